"""Stories of one's own, in one of two forms.

    story-ldm data convert folder DIR --out data/mine --size 64

`stories.jsonl`, a line a story: {"story": "picnic", "sentences": ["Mia packs a basket.", …], "characters": [["Mia"], …],
"backgrounds": ["kitchen", …]}, with the pictures in `<story>/<n>.png` (or .jpg), one a sentence, in the order of their numbers; the last two fields
may be left out. Or `metadata.jsonl`, Hugging Face's imagefolder, a line a picture: {"file_name": "picnic/0.png", "text": "Mia packs a basket.",
"characters": ["Mia"], "background": "kitchen"}; pictures of one folder, or of one "story" where that field is given, are a story, in the order of
"position", else of the lines.

The file lies in DIR (where a field "split" may name another split than train), or in `train`, `validation` and `test` in DIR. The order of the
labels and the pronouns are those of `characters.json`, {"Mia": "she", "Rex": "it"}, where DIR has one; else labels are in the order of the alphabet.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import (
    SPLIT_NAMES,
    FrameChoice,
    Source,
    field_of,
    inside,
    of_kind,
    read_json,
    read_json_lines,
    safe_id,
    text_of,
    whole_picture,
)

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
LICENCE = "Own pictures; say here under which licence they may be used."


def open_source(folder: Path) -> Source:
    tables: dict[str, dict[str, dict]] = {}
    places = [(split, folder / name) for split, names in SPLIT_NAMES.items() for name in names]
    for default, where in [("train", folder), *places]:
        for row in _stories(where):
            split = next((s for s, names in SPLIT_NAMES.items() if row.get("split", default) in names), None)
            if split is None:
                raise StoryDataError(f"split of story {row['story']} is {row['split']!r}; it must be train, validation or test")
            if row["story"] in tables.setdefault(split, {}):
                raise StoryDataError(f"{row['source']} lists story {row['story']} twice in {split}; a story is there once")
            tables[split][row["story"]] = row
    if not tables:
        raise StoryDataError(f"{folder} has no stories.jsonl and no metadata.jsonl, neither in itself nor in train, validation or test")
    rows = [row for table in tables.values() for row in table.values()]
    cast = _cast(folder, rows)
    labelled = any(row["characters"] is not None for row in rows)
    places = tuple(sorted({str(place) for row in rows for place in row["backgrounds"] or ()}))

    def shots(split: str, name: str) -> list[str]:
        return [hashlib.sha256(data).hexdigest()[:16] for data in pictures(split, name)]  # files may be copies

    def pictures(split: str, name: str) -> list[bytes]:
        return [whole_picture(file, f"a picture of story {name}") for file in tables[split][name]["files"]()]

    def story(split: str, name: str, choose: FrameChoice) -> dict:
        row = tables[split][name]
        made = {
            "story_id": safe_id(name),
            "frames": pictures(split, name),
            "sentences": [text_of(text, f"sentence {m} of story {name}") for m, text in enumerate(row["sentences"])],
            "shots": [file.relative_to(folder).as_posix() for file in row["files"]()],
        }
        if labelled:
            made["characters"] = [
                [_number(list(cast), who, f"characters of story {name}") for who in of_kind(here, list, f"characters of a frame of story {name}")]
                for here in of_kind(row["characters"], list, f"characters of story {name}, as of others,")
            ]
        if places:
            here = of_kind(row["backgrounds"], list, f"backgrounds of story {name}, as of others,")
            made["backgrounds"] = [_number(list(places), place, f"backgrounds of story {name}") for place in here]
        return made

    splits = {split: list(table) for split, table in tables.items()}
    return Source(splits, shots, story, cast, characters=labelled, backgrounds=places, licence=LICENCE)


def _stories(where: Path) -> list[dict]:
    """story, sentences, characters, backgrounds, and a function that gives the picture files."""
    listed, lines = where / "stories.jsonl", where / "metadata.jsonl"
    if listed.exists():
        return [_listed(row, where, f"line {n} of {listed}") for n, row in enumerate(read_json_lines(listed), 1)]
    groups: dict[str, list[dict]] = {}
    for n, row in enumerate(read_json_lines(lines) if lines.exists() else [], 1):
        file = field_of(row, "file_name", str, f"line {n} of {lines}")
        inside(where, file)
        parent = file.rpartition("/")[0]
        name = row.get("story", parent)
        if not isinstance(name, str) or not name:
            raise StoryDataError(f"line {n} of {lines} tells of no story: give a field 'story', or put the pictures of a story into a folder")
        groups.setdefault(name, []).append({**row, "line": n})
    return [_grouped(name, rows, where, lines) for name, rows in groups.items()]


def _listed(row: dict, where: Path, line: str) -> dict:
    name = field_of(row, "story", str, line)

    def files() -> list[Path]:
        at = inside(where, name)
        found = [f for f in at.iterdir() if f.suffix.lower() in PICTURES] if at.is_dir() else []
        odd = [f.name for f in found if not re.fullmatch(r"\d{1,9}", f.stem)]
        if odd:
            raise StoryDataError(f"{at} has the picture {odd[0]}; pictures of a story are called by their numbers, 0.png, 1.png, …")
        found.sort(key=lambda f: int(f.stem))
        wanted, numbers = len(row["sentences"]), [int(f.stem) for f in found]
        start = numbers[0] if numbers and numbers[0] in (0, 1) else 0
        if numbers != list(range(start, start + wanted)):
            raise StoryDataError(f"{at} has the pictures {numbers}; the story has {wanted} sentences, so it must be {start} to {start + wanted - 1}")
        return found

    return {
        "story": name,
        "source": line,
        "sentences": field_of(row, "sentences", list, line),
        "characters": row.get("characters"),
        "backgrounds": _list(row.get("backgrounds"), f"backgrounds of {line}"),
        "files": files,
        **({"split": row["split"]} if "split" in row else {}),
    }


def _grouped(name: str, rows: list[dict], where: Path, lines: Path) -> dict:
    if any("position" in row for row in rows):
        rows = sorted(rows, key=lambda row: field_of(row, "position", (int, float), f"line {row['line']} of {lines}"))

    def column(key: str):
        """The field of all the pictures, None where none has it."""
        there = [row for row in rows if row.get(key) is not None]
        if there and len(there) < len(rows):
            lacks = next(row["line"] for row in rows if row.get(key) is None)
            raise StoryDataError(f"line {lacks} of {lines} has no field {key!r}, which other pictures of story {name} have")
        return [row[key] for row in rows] if there else None

    splits = set(map(str, column("split") or []))
    if len(splits) > 1:
        raise StoryDataError(f"pictures of story {name} in {lines} are of the splits {', '.join(sorted(splits))}; a story is of one")
    return {
        "story": name,
        "source": str(lines),
        "sentences": column("text") or _no_text(name, lines),
        "characters": column("characters"),
        "backgrounds": _list(column("background"), f"backgrounds of story {name}"),
        "files": lambda: [inside(where, row["file_name"]) for row in rows],
        **({"split": splits.pop()} if splits else {}),
    }


def _no_text(name: str, lines: Path):
    raise StoryDataError(f"pictures of story {name} in {lines} have no field 'text'; it holds the sentence of a picture")


def _list(value, where: str) -> list[str] | None:
    if value is None:
        return None
    return [of_kind(part, str, where) for part in of_kind(value, list, where)]


def _cast(folder: Path, rows: list[dict]) -> dict[str, str]:
    """Names and pronouns; none is known where there is no characters.json."""
    file = folder / "characters.json"
    if file.exists():
        cast = read_json(file, dict, "each character's pronoun")
        for name, pronoun in cast.items():
            if pronoun not in ("he", "she", "it"):
                raise StoryDataError(f"{file} says {pronoun!r} of {name}; it must be he, she or it")
        return cast
    told = [row["characters"] for row in rows if isinstance(row["characters"], list)]  # others are faults of their stories
    names = {who for story in told for here in story if isinstance(here, list) for who in here if isinstance(who, str)}
    return dict.fromkeys(sorted(names), "")


def _number(names: list[str], name, where: str) -> int:
    if name not in names:
        raise StoryDataError(f"{where} hold {name!r}; known are {', '.join(names) or 'none'}")
    return names.index(name)
