"""The results in the repository: readable tables say what the files hold, comparisons are made from them, and docs/results.md shows them."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT, script

from story_ldm.reports.pages import to_markdown
from story_ldm.reports.tables import headline, read_result, read_results

PAGE = ROOT / "docs" / "results.md"
RESULTS = [file for file in sorted((ROOT / "results").rglob("*.json")) if file.name != "choices.json"]


@pytest.fixture(scope="module")
def scorer():
    return script("evaluation/score_stories.py")


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_result_and_its_table(file, scorer):
    result = read_result(file)
    assert result["system"] == file.stem and result["protocol"] == scorer.PROTOCOL
    assert "/root" not in file.read_text() and "/home" not in file.read_text() and "/tmp" not in file.read_text()
    assert scorer.markdown(json.loads(file.read_text())) == file.with_suffix(".md").read_text()


@pytest.mark.parametrize("comparison", sorted((ROOT / "results").glob("*/comparison.md")), ids=lambda file: file.parent.name)
def test_a_comparison_is_of_the_results(comparison):
    """As is what docs/results.md shows of it."""
    text = comparison.read_text()
    (names,) = re.findall(r"^(.*)\. Reference: ", text, re.M)
    files = [
        next(file for file in (comparison.parent / f"{name}.json", ROOT / "results" / f"{name}.json") if file.exists()) for name in names.split(", ")
    ]
    table = to_markdown(headline(read_results(files))[-1:]).strip()
    assert table in text
    if comparison.parent.name == "ablation":
        assert table in PAGE.read_text()


@pytest.mark.parametrize("name", ["story-ldm", "story-ldm-compositional", "story-ldm-long"])
def test_the_page_says_how_good_the_shipped_model_is(name):
    table = read_result(ROOT / "results" / f"{name}.json")["table"]
    cells = [table["all"][rate] for rate in ("characters", "background", "garment", "action")]
    cells += [table["pronoun"]["right character"], table["self"]["mark kept"], table["self"]["layout kept"]]
    row = " | ".join(f"{100 * cell['value']:.1f}" for cell in cells)
    assert f"| [{name}](../results/{name}.md) | {row} |" in PAGE.read_text()


BASELINES = ("story-gan", "svfn", "svc", "image-gan", "dynamic-block", "no-attention", "sa-only", "wsa-only", "no-block-in-g", "no-block-in-d")


@pytest.mark.parametrize("name", ["story-ldm", *(f"baselines/{name}" for name in BASELINES)])
def test_the_page_says_how_good_the_baselines_are(name):
    result = read_result(ROOT / "results" / f"{name}.json")
    table, (fid, fsd) = result["table"], (result["distances"][f"{kind}_evaluator"]["value"] for kind in ("fid", "fsd"))
    shares = [table[row][rate]["value"] for row, rate in (("named", "background"), ("referential", "background"), ("all", "characters"))]
    cells = [f"{fid:.1f}", f"{fsd:.1f}", f"{table['pixels']['ssim']['value']:.3f}", f"{table['match']['cosine']['value']:.1f}"]
    row = " | ".join([*cells, *(f"{100 * share:.1f}" for share in shares)])
    assert f"| [{result['system']}](../results/{name}.md) | {row} |" in PAGE.read_text()


def test_the_page_says_where_the_shipped_model_fails():
    def rates(name: str, positions: str, *columns: str) -> tuple[str, ...]:
        found = read_result(ROOT / "results" / f"{name}.json")["by_position"][positions]
        return tuple(f"{100 * found[column]['value']:.1f}" for column in columns)

    page = " ".join(PAGE.read_text().split())
    (compositional,), (test,) = rates("story-ldm-compositional", "0", "background"), rates("story-ldm", "0", "background")
    assert f"{compositional} % of their first frames are in the right place, where the test split has {test} %" in page
    early, late = (rates("story-ldm-long", positions, "characters", "mark kept", "background") for positions in ("5-14", "40-49"))
    kept = f"({early[0]} and {early[1]} at positions 5 to 14, {late[0]} and {late[1]} at 40 to 49)"
    assert f"{kept}, places do not ({early[2]} and {late[2]})" in page
