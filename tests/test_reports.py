"""Result files of several systems put beside one another: tables, refusals, paired tests, pictures, and the script as it is run.

pytest tests/test_reports.py

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from scipy.stats import norm

from story_ldm.metrics.bootstrap import bootstrap_weights
from story_ldm.metrics.cells import shown
from story_ldm.metrics.paired_tests import holm, paired_difference, paired_tests
from story_ldm.reports.cards import write_model_card
from story_ldm.reports.pages import Cell, Grid, Heading, Note, Picture, Row, to_html, to_markdown
from story_ldm.reports.pictures import memory_map, position_bars, rate_bars, story_gallery
from story_ldm.reports.strips import story_strip
from story_ldm.reports.tables import best, headline, paired_tables, published, read_results, summary, tables, warnings

STORIES = 40
SHARES = ("characters", "characters F1 micro", "background", "garment", "action")


def cell(value: float | None, **more) -> dict:
    return {"value": value, "low": None if value is None else value - 0.01, "high": None if value is None else value + 0.01, "count": 200, **more}


def result(system: str, rate: float, seed: int = 0) -> dict:
    """A whole results file of a system that is right about `rate` of the time."""
    dice = np.random.default_rng(seed)
    right = (dice.random((STORIES, 5)) < rate).sum(1)
    table = {row: {column: cell(rate) for column in SHARES} for row in ("all", "named")}
    table["referential"] = {"characters": cell(float(right.sum() / (5 * STORIES)))}
    table["pronoun"] = {"right character": cell(rate), "other of the pronoun": cell(1 - rate)}
    table["self"] = {"mark kept": cell(rate, chance=0.1667)}
    table["match"], table["pixels"] = {"cosine": cell(7.283, truth=21.5), "r-precision": cell(None)}, {"ssim": cell(0.8124), "lpips": cell(rate)}
    return {
        "protocol": "story-protocol-1",
        "system": system,
        "generation": {"parameters": {"unet": 11_140_000, "vae": 2_300_000}, "seconds_per_story": 0.63, "steps": 20, "memory": True},
        "reference": {"dataset": "toonstories", "split": "test", "text": "referential", "stories": STORIES, "frames": 200, "size": 16},
        "table": table,
        "by_position": {str(m): {"characters": cell(rate)} for m in range(5)},
        "distances": {"fid_evaluator": {"value": 100 * (1 - rate), "floor": 1.12, "real": 200, "generated": 200, "pixels": "[-1, 1]"}},
        "ceiling": {"referential": {"characters": cell(0.611)}},
        "evaluator": {"name": "toon-evaluator", "accuracy": {"characters": 0.999}},
        "story_ids": [f"story-{n}" for n in range(STORIES)],
        "per_story": {"referential/characters": {"right": right.tolist(), "of": [5] * STORIES}},
        "settings": {},
        "versions": {},
    }


def written(folder: Path, *results) -> list[Path]:
    files = [folder / f"{n}.json" for n in range(len(results))]
    for file, one in zip(files, results, strict=True):
        file.write_text(one if isinstance(one, str) else json.dumps(one))
    return files


def grid_under(blocks: list, heading: str) -> Grid:
    start = next(n for n, block in enumerate(blocks) if isinstance(block, Heading) and block.text.startswith(heading))
    return next(block for block in blocks[start:] if isinstance(block, Grid))


def column(grid: Grid, name: str) -> list[Cell]:
    n = [name for _, name in grid.head].index(name)
    return [row.cells[n] for row in grid.rows]


# --- tables ----------------------------------------------------------------------------------------------------------------------------


def test_numbers_as_they_are_printed():
    assert shown(0.93456, 100) == "93.5" and shown(-0.0001, 100) == "0.0" and shown(None) == "–" and shown(12.345, 1, 2) == "12.35"
    assert best([0.9312, 0.9308, 0.5, None], 100) == [True, True, False, False], "ties as printed are all best"
    assert best([3.2, 1.5], better="lower") == [False, True]
    assert best([0.9, None]) == [False, False] and best([1, 2], better="") == [False, False]


def test_tables_of_two_systems(tmp_path):
    results = read_results(written(tmp_path, result("good", 0.93), result("bad", 0.41)))
    blocks = tables(results)
    drawn = grid_under(blocks, "All frames")
    assert [name for _, name in drawn.head] == [f"{name}\u00a0↑" for name in SHARES if "F1" not in name]
    assert grid_under(blocks, "F1 scores: all frames").head == [("characters F1", "micro\u00a0↑")]
    assert [row.name for row in drawn.rows] == ["good", "bad"]
    assert column(drawn, "characters\u00a0↑") == [Cell("93.0", "92.0 – 94.0", True), Cell("41.0", "40.0 – 42.0", False)]
    assert column(grid_under(blocks, "Frames with a referential"), "characters\u00a0↑")[2] == Cell("61.1")
    kept = grid_under(blocks, "Consistency")
    assert [group for group, _ in kept.head] == ["pronoun", "pronoun", "self", "self"]
    assert [c.strong for c in column(kept, "other of the pronoun\u00a0↓")] == [True, False]
    assert column(kept, "mark by chance") == [Cell("16.7"), Cell("16.7")]
    far = grid_under(blocks, "Distances")
    assert [name for _, name in far.head] == ["cosine\u00a0↑", "ssim\u00a0↑", "lpips\u00a0↓", "fid_evaluator\u00a0↓"], "what nobody has is left out"
    assert column(far, "cosine\u00a0↑")[0] == Cell("7.28", "7.27 – 7.29", True) and column(far, "ssim\u00a0↑")[1].text == "0.812"
    assert [c.strong for c in column(far, "lpips\u00a0↓")[:2]] == [False, True]
    assert [c.text for c in column(far, "fid_evaluator\u00a0↓")] == ["7.00", "59.00", "", "1.12"]
    assert [row.name for row in far.rows if row.aside] == ["the true frames", "real against real"]
    cost = grid_under(blocks, "Cost")
    assert [c.text for c in cost.rows[0].cells] == ["13.44", "0.63", "unet 11.14, vae 2.30", "steps 20, memory True"]
    text = to_markdown(summary(results) + blocks)
    assert "| good | **93.0**<br><sub>92.0 – 94.0</sub> |" in text and "characters 99.9 %" in text and "Warning" not in text


def test_the_headline_has_rates_without_intervals(tmp_path):
    first = grid_under(headline(read_results(written(tmp_path, result("good", 0.93), result("bad", 0.41)))), "At a glance")
    assert [name for _, name in first.head][:3] == ["characters\u00a0↑", "characters\u00a0↑", "background\u00a0↑"]
    assert [group for group, _ in first.head].count("named") == 3 and "mark by chance" not in [name for _, name in first.head]
    assert column(first, "other of the pronoun\u00a0↓") == [Cell("7.0", strong=True), Cell("59.0"), Cell("")]
    assert [row.name for row in first.rows] == ["good", "bad", "memoryless ceiling"]


def test_what_one_system_lacks_is_a_dash(tmp_path):
    bare = {name: value for name, value in result("bare", 0.5).items() if name in ("protocol", "system", "reference")}
    bare |= {"generation": None, "ceiling": None, "table": {"all": {"characters": cell(None), "action": cell(0.25)}}}
    results = read_results(written(tmp_path, result("whole", 0.5), bare))
    blocks = tables(results)
    assert [c.text for c in grid_under(blocks, "All frames").rows[1].cells] == ["–", "–", "–", "25.0"]
    assert {c.text for c in grid_under(blocks, "Cost").rows[1].cells} == {"–"}
    assert not any(c.strong for c in column(grid_under(blocks, "All frames"), "characters\u00a0↑")), "the best of one is none"
    assert paired_tests(results) == {} and "No two systems" in to_markdown(paired_tables({}))


@pytest.mark.parametrize(
    "change, said",
    [
        ({"protocol": "story-protocol-2"}, ["protocol", "'story-protocol-1'", "'story-protocol-2'", "1.json"]),
        ({"reference": {"stories": 7}}, ["reference/stories", "40", "7"]),
        ({"reference": {"split": "val"}}, ["reference/split", "'test'", "'val'"]),
        ({"system": "one"}, ["0.json", "1.json", "'one'"]),
        ({"table": None}, ["1.json", "table"]),
        ({"table": {"all": {"characters": {"rate": 1}}}}, ["1.json", "table/all/characters/value", "missing"]),
        ({"distances": {"fid_evaluator": 3.0}}, ["1.json", "distances/fid_evaluator"]),
        ({"per_story": {"referential/characters": {"right": [1], "of": [1]}}}, ["1.json", "per_story/referential/characters", "40"]),
        ({"per_story": {"referential/characters": {"right": [0] * STORIES, "of": [5] * STORIES}}}, ["sums to 0.0000"]),
        ("[]", ["1.json", "protocol"]),
        ("{", ["1.json", "cannot be read"]),
        ('{"protocol": "toon-rates-1", "rates": {}}', ["1.json", "system", "missing"]),
    ],
)
def test_refusals_name_the_file_and_the_field(tmp_path, change, said):
    other = result("two", 0.5)
    if isinstance(change, dict):
        other = {name: value | change[name] if name == "reference" and name in change else change.get(name, value) for name, value in other.items()}
    files = written(tmp_path, result("one", 0.5), other if isinstance(change, dict) else change)
    with pytest.raises(SystemExit) as refused:
        read_results(files)
    assert [words for words in said if words not in str(refused.value)] == []


def test_doubts_are_warnings(tmp_path):
    other = result("two", 0.5)
    other["evaluator"] = {"name": "another", "accuracy": {"characters": 0.95, "prop": 0.9}}
    other["distances"]["fid_evaluator"]["pixels"] = "[0, 1]"
    one, other["generation"]["text"] = result("one", 0.5), "full"
    one["generation"]["text"] = "referential"
    said = warnings(read_results(written(tmp_path, one, other)))
    assert [words for words in ("another", "95.0 %", "[0, 1]", "two: full") if not any(words in text for text in said)] == []
    assert len(said) == 5, "nobody measured props"


# --- paired tests ----------------------------------------------------------------------------------------------------------------------


def test_identical_systems_do_not_differ(tmp_path):
    a, b = result("a", 0.7), result("b", 0.7)
    (test,) = paired_tests(read_results(written(tmp_path, a, b)))["referential/characters"]
    assert test == {"first": "a", "second": "b", "difference": 0, "low": 0, "high": 0, "p": 1, "holm": 1}


def test_paired_difference_is_that_of_every_resample():
    """Three stories: all 27 resamples, so that the distribution is exact."""
    a, b = {"right": [2, 1, 3], "of": [3, 1, 4]}, {"right": [1, 1, 0], "of": [3, 2, 1]}
    exact, weights = [], []
    for drawn in product(range(3), repeat=3):
        rates = [sum(x["right"][n] for n in drawn) / sum(x["of"][n] for n in drawn) for x in (a, b)]
        exact.append(rates[0] - rates[1])
        weights.append(np.bincount(drawn, minlength=3))
    found = paired_difference(a, b, np.array(weights))
    assert found["difference"] == pytest.approx(6 / 8 - 2 / 6)
    assert [found["low"], found["high"]] == pytest.approx(np.percentile(exact, [2.5, 97.5]))
    assert found["p"] == pytest.approx(min(1, 2 * (sum(d <= 0 for d in exact) + 1) / 28))


def test_paired_difference_on_many_stories_is_the_normal_one():
    """Of `of` = 1 throughout, the interval and p are those of the mean of paired differences."""
    dice = np.random.default_rng(1)
    a, b = (dice.random((2, 500)) < np.array([[0.62], [0.55]])).astype(int)
    one = np.ones(500, int)
    found = paired_difference({"right": a, "of": one}, {"right": b, "of": one}, bootstrap_weights(500, 4000, 0))
    mean, error = (a - b).mean(), (a - b).std() / 500**0.5
    assert found["low"] == pytest.approx(mean - 1.96 * error, abs=0.006) and found["high"] == pytest.approx(mean + 1.96 * error, abs=0.006)
    assert found["p"] == pytest.approx(2 * norm.sf(abs(mean) / error), abs=0.015)


def test_a_better_system_is_found_better(tmp_path):
    results = read_results(written(tmp_path, result("good", 0.95), result("bad", 0.5, seed=1), result("bad again", 0.5, seed=2)))
    tests = {(t["first"], t["second"]): t for t in paired_tests(results)["referential/characters"]}
    assert list(tests) == [("good", "bad"), ("good", "bad again"), ("bad", "bad again")]
    first = tests["good", "bad"]
    assert first["low"] > 0.3 and first["p"] == pytest.approx(2 / 2001) and first["holm"] == pytest.approx(6 / 2001)
    against = paired_tests(results, baseline="bad")["referential/characters"]
    assert [(t["first"], t["second"]) for t in against] == [("good", "bad"), ("bad again", "bad")] and against[0]["holm"] == pytest.approx(4 / 2001)
    grid = next(block for block in paired_tables({"referential/characters": list(tests.values())}) if isinstance(block, Grid))
    assert grid.rows[0].name == "good − bad" and grid.rows[0].cells[0].strong and grid.rows[0].cells[0].text.startswith("+4")
    assert "Holm 0.003" in grid.rows[0].cells[0].small and not grid.rows[2].cells[0].strong
    test = {"first": "a", "second": "b", "difference": 0.0126, "low": -0.5, "high": 1.25, "p": 0.2, "holm": 0.2}
    grid = next(block for block in paired_tables({"pixels/ssim": [test], "match/cosine": [test]}) if isinstance(block, Grid))
    assert [cell.text for cell in grid.rows[0].cells] == ["+0.013", "+0.01"], "as they are, with their own digits"


def test_bold_is_what_holds_after_correction():
    """Of many pairs some are below 0.05 by chance."""
    test = {"first": "a", "difference": 0.1, "low": 0.02, "high": 0.2, "p": 0.03}
    tests = [test | {"second": "b", "holm": 0.09}, test | {"second": "c", "holm": 0.04}]
    grid = next(block for block in paired_tables({"all/characters": tests}) if isinstance(block, Grid))
    assert [row.cells[0].strong for row in grid.rows] == [False, True]


def test_paired_tests_refuse_other_stories_and_unknown_systems(tmp_path):
    other = result("b", 0.5)
    other["story_ids"][3] = "elsewhere"
    results = read_results(written(tmp_path, result("a", 0.5), other))
    with pytest.raises(SystemExit, match="number 3 is 'story-3' and 'elsewhere'"):
        paired_tests(results)
    with pytest.raises(SystemExit, match=r"'c'.*a, b"):
        paired_tests(results, baseline="c")


def test_nothing_counted_is_no_test():
    assert paired_difference({"right": [0], "of": [0]}, {"right": [1], "of": [1]}, np.ones((5, 1), int))["p"] is None


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.8]) == [1.0, None, 1.0] and holm([]) == []


# --- written -----------------------------------------------------------------------------------------------------------------------------


def test_published_numbers_stand_apart():
    blocks = published()
    assert blocks[0].apart and "not comparable" in blocks[0].text and "[0.5, 1]" in blocks[1].text
    grids = {blocks[n - 2].text: block for n, block in enumerate(blocks) if isinstance(block, Grid)}
    values = {(title, row.name): [c.text for c in row.cells] for title, grid in grids.items() for row in grid.rows}

    def of(title: str, method: str) -> list[str]:
        return next(cells for (name, row), cells in values.items() if title in name and row == method)

    assert of("Table 1: Pororo-SV", "dynamic-block GAN") == ["52.87", "55.20", "4.61", "25.1", "23.5"]
    assert of("Table 1: Abstract", "StoryGAN") == ["135.16", "55.80", "3.59"] and of("Table 1: Abstract", "VLC") == ["–"] * 3
    assert of("Table 2 (ablation)", "dynamic-block GAN w/o DB in D") == ["61.81", "60.49"] and of("Table 3", "VLC") == ["12.00", "13.67", "9.67"]
    assert of("Table 2: Flintstones", "LDM") == ["57.38", "78.68", "44.19", "28.25", "87.39"]
    assert of("Table 2: PororoSV", "Story-LDM (its authors')") == ["20.26", "57.95", "–", "–", "36.64"]
    assert of("Table 2: MUGEN", "Story-LDM (its authors')") == ["93.40", "95.60", "92.19", "92.37", "62.16"]
    assert all(len(row.cells) == len(grid.head) for grid in grids.values() for row in grid.rows)


class Page(HTMLParser):
    """What a page shows, and whether every element is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.text, self.pictures = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())


def test_names_are_only_text(tmp_path):
    name = "<b>x | *y* `z` _"
    Pictures.new("RGB", (2, 2)).save(tmp_path / "p.png")
    grid = Grid([("<i>", "n")], [Row(name, [Cell("1.0", "0 – 2\nmore", True)])])
    blocks = [Heading(name), Note(name, warning=True), Picture("p.png", name), grid, Heading("apart", apart=True), Note("end")]
    page = Page(to_html(blocks, name, tmp_path))
    assert page.text.count(name) == 4 and not {"b", "i"} & {*page.tags} and "section" in page.tags  # title, heading, note, row
    assert page.pictures[0].startswith("data:image/png;base64,") and "1.0" in page.text and "more" in page.text
    text = to_markdown(blocks)
    assert "<b>" not in text and text.count(r"&lt;b&gt;x \| \*y\* \`z\` \_") == 4
    assert all(line.replace(r"\|", "").count("|") == 3 for line in text.splitlines() if line.startswith("|"))


# --- pictures ----------------------------------------------------------------------------------------------------------------------------


def frames_of(*colours: str) -> list[Pictures.Image]:
    return [Pictures.new("RGB", (16, 16), colour) for colour in colours]


def test_gallery_has_its_rows_in_order():
    side, weights = 48, np.tril(np.ones((2, 2)), -1)
    rows = [("truth", frames_of("red", "lime"), None), ("a", frames_of("blue", "cyan"), weights), ("b", frames_of("magenta", "yellow"), None)]
    sheet = story_gallery(rows, ["One.", "Two."], side)
    without = story_gallery([(name, frames, None) for name, frames, _ in rows], ["One.", "Two."], side)
    strip, gap = story_strip(rows[0][1], ["One.", "Two."], side), side // 24
    heat = memory_map(weights, strip.width, side).height
    assert sheet.width == without.width == side + strip.width
    assert sheet.height == without.height + heat, "a map beneath one system only"
    assert without.height == strip.height + 2 * (side + gap + 1)

    def seen(picture: Pictures.Image, m: int) -> list[tuple]:
        """Pure colours down the middle of frame m, from the top."""
        x, runs = side + gap + m * (side + gap) + side // 2, []
        for y in range(picture.height):
            colour = picture.getpixel((x, y))
            if set(colour) <= {0, 255} and colour != (255, 255, 255) and colour != (0, 0, 0) and (not runs or runs[-1] != colour):
                runs.append(colour)
        return runs

    for picture in (sheet, without):
        assert seen(picture, 0) == [(255, 0, 0), (0, 0, 255), (255, 0, 255)]
        assert seen(picture, 1) == [(0, 255, 0), (0, 255, 255), (255, 255, 0)]


def test_memory_map_is_the_lower_triangle():
    side, gap = 48, 2
    picture = memory_map([[], [1.0], [0.0, 0.5]], 3 * (side + gap) + gap, side)  # also of lines that end
    line = (picture.height - 2 * gap - 2) // 2
    at = [[picture.getpixel((side + gap + k * (side + gap) + 2, gap + m * line + 2)) for k in range(3)] for m in range(2)]
    white = (255, 255, 255)
    assert at == [[(0, 84, 148), white, white], [white, (128, 170, 202), white]]


def test_bars(tmp_path):
    results = read_results(written(tmp_path, *(result(f"$s{n}$", 0.5 + n / 40) for n in range(9))))
    assert rate_bars(results, tmp_path / "rates.png") and position_bars(results, tmp_path / "positions.png")
    with Pictures.open(tmp_path / "rates.png") as picture:
        assert picture.width == 1350 and len(picture.convert("RGB").getcolors(10**6)) > 50
    short = copy.deepcopy(results)
    for one in short:
        one["by_position"] = {"0": {"characters": cell(0.5)}}
    assert not position_bars(short, tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_long_names_stay_on_the_picture(tmp_path):
    results = read_results(written(tmp_path, *(result(f"language-and-spatial-memory-{n}-off", 0.5) for n in range(7))))
    rate_bars(results, tmp_path / "rates.png")
    with Pictures.open(tmp_path / "rates.png") as picture:
        edges = [picture.convert("L").crop((x, 0, x + 6, 300)) for x in (0, picture.width - 6)]
    assert [edge.getextrema() for edge in edges] == [(255, 255)] * 2


# --- the script --------------------------------------------------------------------------------------------------------------------------


def story_folder(folder: Path, colour: tuple, weights: bool) -> Path:
    """Three stories of two frames in the story form."""
    rows = {
        "story_id": [f"story-{n}" for n in range(3)],
        "frames": [[Pictures.new("RGB", (16, 16), colour) for _ in range(2)] for _ in range(3)],
        "sentences": [["Bruno waves.", "He sits."]] * 3,
    }
    features = {"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))}
    if weights:
        rows["memory_weights"] = [[[0.0, 0.0], [0.8, 0.0]]] * 3
        features["memory_weights"] = List(List(Value("float32")))
    folder.mkdir()
    Dataset.from_dict(rows, features=Features(features)).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    return folder


def test_the_script_end_to_end(tmp_path):
    truth = story_folder(tmp_path / "truth", (250, 0, 0), weights=False)
    drawn = {"one": story_folder(tmp_path / "one", (0, 250, 0), weights=True), "<b>two": story_folder(tmp_path / "two", (0, 0, 250), weights=False)}
    results = [result("one", 0.9), result("<b>two", 0.4, seed=1)]
    for each in results:
        each["reference"]["dataset"] = str(truth)
        del each["reference"]["text"]
    words = [sys.executable, ROOT / "evaluation" / "compare_systems.py", *written(tmp_path, *results), "--out", tmp_path / "out"]
    words += ["--generated", *(f"{name}={folder}" for name, folder in drawn.items()), "--story-ids", "story-2", "story-0", "--side", "32"]
    words += ["--title", "Two systems", "--notes", "Trained alike.", "Both of them."]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert "2 systems, 1 paired tests" in ran.stdout
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["comparison.html", "comparison.md", "gallery.png", "positions.png", "rates.png"]
    text = (tmp_path / "out" / "comparison.md").read_text()
    order = [
        "# Two systems",
        "Trained alike.\n\nBoth of them.",
        "## At a glance",
        "(rates.png)",
        "## What is drawn",
        "## Paired tests",
        "## Gallery",
        "(gallery.png)",
        "## Published by others",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places) and "<b>" not in text and "one − &lt;b&gt;two" in text
    page = Page((tmp_path / "out" / "comparison.html").read_text())
    assert len(page.pictures) == 3 and "<b>two" in page.text and "b" not in page.tags and "section" in page.tags
    sheet = Pictures.open(tmp_path / "out" / "gallery.png")
    strip = story_strip(frames_of("red", "red"), ["Bruno waves.", "He sits."], 32)
    one_story = strip.height + 2 * (32 + 32 // 24 + 1) + memory_map(np.zeros((2, 2)), strip.width, 32).height
    assert sheet.size == (32 + strip.width, 2 * one_story + 32 // 4)


# --- cards -------------------------------------------------------------------------------------------------------------------------------


def test_a_card_shows_the_whole_curve_and_the_newest_samples(tmp_path):
    """The curve from its first line on, at equal distances, up to its end; the sheet that was drawn last."""
    curve = [[100 * n, 50 - n] for n in range(1, 46)]
    sheets = [tmp_path / f"step-{n}.png" for n in (1, 2)]
    for n, sheet in enumerate(sheets):
        sheet.write_bytes(bytes([n]))
    (tmp_path / "model_index.json").write_text('{"_class_name": "StoryLDMPipeline"}')
    write_model_card(tmp_path, {"preset": "toon-64", "dataset": "toonstories"}, {"unet": 1_230_000}, curve, 4500, sheets)
    card = (tmp_path / "README.md").read_text()
    shown = [int(line.split("|")[1]) for line in card.splitlines() if re.fullmatch(r"\| \d+ \| \d+ \|", line)]
    assert shown[0] == 100 and set(np.diff(shown)) == {200} and shown[-1] > 4200
    assert "| unet | 1.23 M |" in card and (tmp_path / "samples.png").read_bytes() == sheets[-1].read_bytes()
