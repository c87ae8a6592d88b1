"""Comparison of several systems: reads and checks their results files, and makes the tables of `evaluation/compare_systems.py`.

    results = read_results([Path("results/story-ldm.json"), Path("results/storygan.json")])   # raises if they do not compare
    blocks = [*summary(results), *tables(results), *paired_tables(paired_tests(results)), *published()]
    to_markdown(blocks)                                                                       # of story_ldm.reports.pages, like to_html

A results file has one system's rates, as cells {"value", "low", "high", "count"} by row and column. All rows and columns of all files are shown;
cells that are missing, or counted nothing, are "–". The best of a column is bold, and so are values that equal it as printed.

Over 350 lines: what is read of results files and each of the tables made from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import ItemsView
from pathlib import Path
from typing import Any, NamedTuple

from story_ldm.files import regular_file
from story_ldm.metrics.cells import first_number, number, shown
from story_ldm.reports.pages import Block, Cell, Grid, Heading, Note, Row

Result = dict[str, Any]
FIELDS = {"protocol": str, "system": str, "reference": dict, "table": dict}
OPTIONAL = {"generation": dict, "by_position": dict, "distances": dict, "ceiling": dict, "evaluator": dict, "per_story": dict, "story_ids": list}
DRAWN = {
    "all": "All frames",
    "named": "Frames whose sentence names everybody and the place",
    "referential": "Frames with a referential sentence (somebody or the place is to be worked out from earlier ones)",
    "new names": "Frames of stories in which somebody has a name that is held out from training",
}
CONSISTENT = ("pronoun", "later", "self")
HEADLINE = {
    "all": ("characters",),
    "named": ("characters", "background", "garment"),
    "referential": ("characters", "background", "garment"),
    "new names": ("characters",),
    "pronoun": ("right character", "other of the pronoun"),
    "later": ("garment",),
    "self": ("mark kept", "layout kept"),
}
MATCH = ("match", "pixels")
F1 = " F1 "
ARROWS = {"higher": "\u00a0↑", "lower": "\u00a0↓", "": ""}
LOWER_IS_BETTER = ("other of the pronoun", "lpips")
NOT_SHARES = {"cosine": 2, "ssim": 3, "lpips": 3}  # column → digits; all other columns are shares, printed in %
LEAST_ACCURACY = 0.99  # of an evaluator on real frames; below it the report warns


# --- reading ---------------------------------------------------------------------------------------------------------------------------


def read_results(files: list[Path]) -> list[Result]:
    """Read results files that compare. Raises SystemExit, which names the file and the field that is missing or differs."""
    results = [read_result(file) for file in files]
    first = results[0]
    for n, result in enumerate(results):
        for other, name in zip(files[:n], (r["system"] for r in results[:n])):
            if name == result["system"]:
                raise SystemExit(f"{other} and {files[n]} are both of a system named {name!r}; each system needs a different name")
        names = dict.fromkeys([*first["reference"], *result["reference"]])
        pairs = {"protocol": (first["protocol"], result["protocol"])}
        pairs |= {f"reference/{name}": (first["reference"].get(name), result["reference"].get(name)) for name in names}
        for field, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise SystemExit(f"{files[0]} and {files[n]} do not compare: {field} is {ours!r} and {theirs!r}")
    return results


def read_result(file: Path) -> Result:
    """Read and check one results file; optional fields that are missing are added empty. Raises SystemExit, which names the file and the field."""
    try:
        result = json.loads(regular_file(Path(file)).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SystemExit(f"{file} cannot be read as a results file: {error}") from None
    if not isinstance(result, dict):
        raise SystemExit(f"{file} is not a results file: it contains a {type(result).__name__} instead of an object with the field protocol")
    for field, kind in FIELDS.items():
        if not isinstance(result.get(field), kind):
            raise SystemExit(f"{file} is not a results file: the field {field} {'has the wrong type' if field in result else 'is missing'}")
    result |= {field: result.get(field) or kind() for field, kind in OPTIONAL.items()}
    for field, kind in OPTIONAL.items():
        if not isinstance(result[field], kind):
            raise SystemExit(f"{file} is not a results file: the field {field} has the wrong type")
    for part in ("table", "ceiling", "by_position"):
        for row, columns in result[part].items():
            for column, cell in _items(file, f"{part}/{row}", columns):
                _numbers(file, f"{part}/{row}/{column}", dict(_items(file, f"{part}/{row}/{column}", cell, "value")))
    for name, cell in result["distances"].items():
        _numbers(file, f"distances/{name}", {key: value for key, value in _items(file, f"distances/{name}", cell, "value") if key != "pixels"})
    for field in ("reference/dataset", "reference/split", "reference/text", "evaluator/name"):
        if not isinstance(result[field.split("/")[0]].get(field.split("/")[1]), (str, type(None))):
            raise SystemExit(f"{file} is not a results file: the field {field} has the wrong type")
    _numbers(file, "reference", {name: value for name, value in result["reference"].items() if name in ("stories", "frames", "size")})
    for field in ("evaluator/accuracy", "generation/parameters"):
        part, name = field.split("/")
        values = dict(_items(file, field, result[part].get(name) or {}))
        _numbers(file, field, values)
        if values:
            result[part][name] = {key: value for key, value in values.items() if value is not None}
    _numbers(file, "generation", {"seconds_per_story": result["generation"].get("seconds_per_story")})
    if not all(isinstance(story, str) for story in result["story_ids"]):
        raise SystemExit(f"{file} is not a results file: the field story_ids has the wrong type")
    for name, counts in result["per_story"].items():
        for key, values in _items(file, f"per_story/{name}", counts, "right", "of"):
            if not isinstance(values, list) or None in values:
                raise SystemExit(f"{file} is not a results file: the field per_story/{name}/{key} has the wrong type")
            _numbers(file, f"per_story/{name}/{key}", dict(enumerate(values)))
        _check_sums(file, result, name, counts)
    return result


def _items(file: Path, field: str, value: Any, *needed: str) -> ItemsView[str, Any]:
    if not isinstance(value, dict):
        raise SystemExit(f"{file} is not a results file: the field {field} has the wrong type")
    for name in needed:
        if name not in value:
            raise SystemExit(f"{file} is not a results file: the field {field}/{name} is missing")
    return value.items()


def _numbers(file: Path, field: str, values: dict) -> None:
    """Raises SystemExit if a value is neither a number nor null."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, type(None))) or value in (math.inf, -math.inf):
            raise SystemExit(f"{file} is not a results file: the field {field}/{name} is {value!r}; it must be a number or null")


def _check_sums(file: Path, result: Result, name: str, counts: dict) -> None:
    """Counts per story, which the paired tests use, must agree with the table. Raises SystemExit."""
    right, of, stories = counts["right"], counts["of"], len(result["story_ids"])
    if len(right) != stories or len(of) != stories:
        raise SystemExit(f"{file}: per_story/{name} has {len(right)} and {len(of)} numbers for {stories} story_ids")
    value = number(result["table"].get(name.partition("/")[0], {}).get(name.partition("/")[2]))
    if value is not None and sum(of) and abs(sum(right) / sum(of) - value) > 1e-3:
        raise SystemExit(f"{file}: per_story/{name} sums to {sum(right) / sum(of):.4f}, but its table has {value:.4f}")


def warnings(results: list[Result]) -> list[str]:
    """Differences between results that make their comparison doubtful, but are not errors."""
    messages = []
    texts = {result["system"]: result["generation"]["text"] for result in results if "text" in result["generation"]}
    if len(set(map(str, texts.values()))) > 1:
        messages.append("the systems read different forms of the text (" + "; ".join(f"{k}: {v}" for k, v in texts.items()) + ")")
    for field in ("name", "accuracy"):
        values = {result["system"]: result["evaluator"].get(field) for result in results if result["evaluator"]}
        if any(value != next(iter(values.values())) for value in values.values()):
            messages.append(f"the frames were read by different evaluators ({field}: " + "; ".join(f"{k}: {v}" for k, v in values.items()) + ")")
    read = {
        head
        for result in results
        for columns in result["table"].values()
        for column in columns
        for head in (column.split()[0], column.replace(" ", "_"))
    }
    for result in results:
        for head, accuracy in (result["evaluator"].get("accuracy") or {}).items():
            if head in read and accuracy < LEAST_ACCURACY:
                messages.append(f"the evaluator {result['evaluator'].get('name')} reads {head} of real frames at {100 * accuracy:.1f} % only")
    for name in dict.fromkeys(name for result in results for name in result["distances"]):
        for field in ("real", "generated", "pixels", "floor"):
            values = {result["system"]: result["distances"][name].get(field) for result in results if name in result["distances"]}
            if any(value != next(iter(values.values())) for value in values.values()):
                messages.append(f"{name} was measured differently ({field}: " + "; ".join(f"{k}: {v}" for k, v in values.items()) + ")")
    return list(dict.fromkeys(messages))


# --- tables ----------------------------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    group: str
    name: str
    cells: list[dict | None]  # one per system
    bounds: dict[str, dict]  # name → cell of the rows below the systems: ceiling, true frames, floor
    scale: float = 100
    digits: int = 1
    better: str = "higher"  # or "lower"; "": not ranked


def best(values: list[float | None], scale: float = 1, digits: int = 1, better: str = "higher") -> list[bool]:
    """Mask of the best values, compared as printed; all False if fewer than two systems have a value."""
    rounded = [None if value is None else float(shown(value, scale, digits)) for value in values]
    known = [value for value in rounded if value is not None]
    if len(known) < 2 or not better:
        return [False] * len(values)
    winner = max(known) if better == "higher" else min(known)
    return [value == winner for value in rounded]


def columns_of(results: list[Result], row: str, group: str) -> list[Column]:
    """All columns that any system has in a row of the table, in order of first appearance; chance becomes a separate column."""
    columns = []
    for name in dict.fromkeys(name for result in results for name in result["table"].get(row, {})):
        cells = [result["table"].get(row, {}).get(name) for result in results]
        ceiling = first_number(result["ceiling"].get(row, {}).get(name) for result in results)
        style = _style(name)
        truth = first_number(cells, "truth")
        known = {"memoryless ceiling": ceiling, "the true frames": truth}
        bounds = {bound: {"value": value} for bound, value in known.items() if value is not None}
        columns.append(Column(group, name, cells, bounds, *style, "lower" if name in LOWER_IS_BETTER else "higher"))
        chance = [number(cell, "chance") for cell in cells]
        if any(value is not None for value in chance):
            columns.append(Column(group, f"{name.removesuffix(' kept')} by chance", [{"value": value} for value in chance], {}, *style, ""))
    return [column for column in columns if any(number(cell) is not None for cell in column.cells)]


def _style(name: str) -> tuple[float, int]:
    """Scale and number of digits of a column."""
    return (1, NOT_SHARES[name]) if name in NOT_SHARES else (100, 1)


def grid(results: list[Result], columns: list[Column]) -> Grid:
    """One row per system, and below them one row per bound."""
    marks = [best([number(cell) for cell in c.cells], c.scale, c.digits, c.better) for c in columns]
    rows = [
        Row(result["system"], [_cell(c, c.cells[n])._replace(strong=mark[n]) for c, mark in zip(columns, marks, strict=True)])
        for n, result in enumerate(results)
    ]
    for name in dict.fromkeys(name for c in columns for name in c.bounds):
        rows.append(Row(name, [_cell(c, c.bounds[name], interval=False) if name in c.bounds else Cell("") for c in columns], aside=True))
    return Grid([(c.group, c.name + ARROWS[c.better]) for c in columns], rows)


def _cell(column: Column, cell: dict | None, interval: bool = True) -> Cell:
    text, low, high = (shown(number(cell, key), column.scale, column.digits) for key in ("value", "low", "high"))
    return Cell(text, f"{low} – {high}" if interval and "–" not in (text, low, high) else "")


def headline(results: list[Result]) -> list[Block]:
    """The table of the main rates, without their intervals."""
    columns = [column for row, names in HEADLINE.items() for column in columns_of(results, row, row) if column.name in names]
    if not columns:
        return []
    table = grid(results, columns)
    rows = [row._replace(cells=[cell._replace(small="") for cell in row.cells]) for row in table.rows]
    return [Heading("At a glance"), Note("In %; intervals and all other rates below."), table._replace(rows=rows)]


def summary(results: list[Result]) -> list[Block]:
    """Names of the systems, the reference, the evaluator's accuracy, and warnings."""
    reference, evaluator = results[0]["reference"], results[0]["evaluator"]
    facts = ", ".join(f"{name} {value}" for name, value in reference.items())
    accuracy = ", ".join(f"{head} {100 * share:.1f} %" for head, share in (evaluator.get("accuracy") or {}).items())
    names = ", ".join(result["system"] for result in results)
    blocks: list[Block] = [Note(f"{names}. Reference: {facts}. Protocol: {results[0]['protocol']}.")]
    if evaluator:
        blocks.append(Note(f"Frames were read by the evaluator {evaluator.get('name', '–')}; its own accuracy on real frames: {accuracy or '–'}."))
    return blocks + [Note(f"{text}.", warning=True) for text in warnings(results)]


def tables(results: list[Result]) -> list[Block]:
    """All tables of rates, distances and cost."""
    note = "Shares of what is exactly right in %, beneath them 95 % intervals (bootstrap over stories). ↑ higher is better, ↓ lower. Bold: the best"
    blocks: list[Block] = [Heading("What is drawn"), Note(f"{note} as printed; whether a difference holds is the question of the paired tests.")]
    if any(result["ceiling"] for result in results):
        blocks.append(Note("Memoryless ceiling: what a perfect painter could reach who sees the current sentence only."))
    drawn = {row: columns_of(results, row, "") for row in DRAWN}
    for row, title in DRAWN.items():
        if exact := [column for column in drawn[row] if F1 not in column.name]:
            blocks += [Heading(title, 3), grid(results, exact)]
    for row, title in DRAWN.items():
        if scores := [_grouped(column) for column in drawn[row] if F1 in column.name]:
            blocks += [Heading(f"F1 scores: {title[0].lower()}{title[1:]}", 3), grid(results, scores)]
    rest = dict.fromkeys((*CONSISTENT, *(row for result in results for row in result["table"] if row not in DRAWN and row not in MATCH)))
    if columns := [column for row in rest for column in columns_of(results, row, row)]:
        lasting = LASTING if any("face" in result["table"].get("later", {}) for result in results) else ""
        blocks += [Heading("Consistency"), Note(CONSISTENCY + lasting), grid(results, columns)]
    columns = [column for row in MATCH for column in columns_of(results, row, row)] + _distances(results)
    if columns:
        blocks += [Heading("Distances and matching"), Note(_distance_note(results)), grid(results, columns)]
    return [*blocks, *_cost(results)]


def _grouped(column: Column) -> Column:
    """The column "characters F1 micro" as "micro" in the group "characters F1"."""
    name, _, kind = column.name.partition(F1)
    return column._replace(group=f"{name}{F1.rstrip()}", name=kind)


CONSISTENCY = """pronoun: one character on stage whom the sentence calls he, she or it. later: the garment in frames whose sentence does not tell
it. self: is a mark (or a layout) that no sentence names the one in the story's own first frame of it; by chance: how often two different
stories of this system agree, for a system that draws every story alike keeps much without remembering any."""
LASTING = " later, hour, weather, face and prop: in frames that show those of the frame before."


def _distances(results: list[Result]) -> list[Column]:
    columns = []
    for name in dict.fromkeys(name for result in results for name in result["distances"]):
        cells = [result["distances"].get(name) for result in results]
        floor = first_number(cells, "floor")
        bounds = {} if floor is None else {"real against real": {"value": floor}}
        columns.append(Column("distances", name, cells, bounds, 1, 2, "lower"))
    return columns


def _distance_note(results: list[Result]) -> str:
    text = "cosine is × 100, ssim and lpips are no shares."
    for name, cell in {name: cell for result in results for name, cell in result["distances"].items()}.items():
        text += f" {name}: {cell.get('real', '–')} real and {cell.get('generated', '–')} generated, pixels in {cell.get('pixels', '–')}."
    return text + " Real against real: two disjoint halves of the reference (smaller sets are farther apart)."


def _cost(results: list[Result]) -> list[Block]:
    generations = [result["generation"] for result in results]
    if not any(generations):
        return []
    parts = [g.get("parameters") or {} for g in generations]
    totals = [{"value": part.get("total", sum(part.values()))} if part else None for part in parts]
    seconds: list[dict | None] = [{"value": g.get("seconds_per_story")} for g in generations]
    costs = grid(
        results,
        [
            Column("", "parameters (M)", totals, {}, 1e-6, 2, "lower"),
            Column("", "seconds a story", seconds, {}, 1, 2, "lower"),
        ],
    )
    rows = []
    for row, part, g in zip(costs.rows, parts, generations, strict=True):
        sizes = ", ".join(f"{name} {count / 1e6:.2f}" for name, count in part.items() if name != "total")
        other = {name: value for name, value in g.items() if name not in ("parameters", "seconds_per_story")}
        rows.append(row._replace(cells=[*row.cells, Cell(sizes or "–"), Cell(", ".join(f"{name} {value}" for name, value in other.items()) or "–")]))
    note = Note("As each generation wrote it down; seconds compare only if taken on the same machine.")
    return [Heading("Cost"), note, Grid([*costs.head, ("", "of which (M)"), ("", "how it was generated")], rows)]


def paired_tables(tests: dict[str, list[dict]]) -> list[Block]:
    """One row per pair of systems, one column per tested rate. tests: from `paired_tests`."""
    blocks = [Heading("Paired tests")]
    if not tests:
        return [*blocks, Note("No two systems have counts of each story for the columns asked for.")]
    note = "Differences of two systems on the same stories (first minus second), of shares in percentage points, of cosine (× 100), ssim and lpips as"
    note += " they are, 95 % interval, two-sided p of the paired bootstrap over stories, and p after Holm's correction over the pairs of a column;"
    note += " bold: below 0.05 after it."
    pairs = dict.fromkeys((test["first"], test["second"]) for column in tests.values() for test in column)
    by_pair = {column: {(test["first"], test["second"]): test for test in of} for column, of in tests.items()}
    rows = [Row(f"{a} − {b}", [_test_cell(by_pair[column].get((a, b)), *_style(column.partition("/")[2])) for column in tests]) for a, b in pairs]
    return [*blocks, Note(note), Grid([("", column) for column in tests], rows, first="pair")]


def _test_cell(test: dict | None, scale: float, digits: int) -> Cell:
    if test is None or test["p"] is None:
        return Cell()
    difference, low, high = (f"{round(scale * test[key], digits) + 0.0:+.{digits}f}" for key in ("difference", "low", "high"))
    return Cell(difference, f"{low} to {high}\np {_p(test['p'])}\nHolm {_p(test['holm'])}", strong=test["holm"] < 0.05)


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def published() -> list[Block]:
    """Tables of published numbers, in a separate part that explains why they do not compare with the measured ones."""
    content = json.loads(Path(__file__).with_name("published.json").read_text())
    blocks: list[Block] = [Heading("Published by others: not measured here, not comparable with any table above", apart=True), Note(content["why"])]
    for table in content["tables"]:
        head = [("", name + ARROWS[better]) for name, better in table["metrics"].items()]
        rows = [Row(method, [Cell(value or "–") for value in values]) for method, values in table["rows"].items()]
        blocks += [
            Heading(f"{table['paper']}, {table['table']}: {table['dataset']}", 3),
            Note(f"{table['source']}. {table['note']}"),
            Grid(head, rows, first="method"),
        ]
    return blocks
