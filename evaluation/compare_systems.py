"""Compare the results of several systems: tables, paired tests, bar charts and a gallery, as Markdown and as one HTML file.

    python evaluation/compare_systems.py results/a.json results/b.json --out results/comparison
    python evaluation/compare_systems.py results/*.json --baseline storygan --out results/comparison
    python evaluation/compare_systems.py results/a.json results/b.json --generated a=generated/a b=generated/b --stories 4

The results files are written by `score_stories.py`. Results of different protocols or references raise an error. The folder `--out` gets
comparison.md, comparison.html (self-contained), rates.png and positions.png. With `--generated` it also gets gallery.png: the same stories drawn by
each system below the true frames, with maps of the memory weights if they were stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from datasets import Dataset
from tyro.conf import Positional

from story_ldm.data.pictures import save_picture
from story_ldm.data.stories import load_stories
from story_ldm.files import write_text
from story_ldm.metrics.paired_tests import COLUMNS, paired_tests
from story_ldm.one_line import one_line_errors
from story_ldm.reports.pages import Block, Heading, Note, Picture, to_html, to_markdown
from story_ldm.reports.pictures import GalleryRow, position_bars, rate_bars, stacked, story_gallery
from story_ldm.reports.tables import Result, headline, paired_tables, published, read_results, summary, tables, warnings


@dataclass
class Settings:
    results: Positional[tuple[Path, ...]]
    """Results files, one per system."""
    out: Path = Path("results/comparison")
    """Folder for the comparison."""
    title: str = "Comparison of systems"
    """Heading of the comparison."""
    notes: tuple[str, ...] = ()
    """Paragraphs below the heading, such as the command or the training budget."""
    baseline: str | None = None
    """Test every other system against this one instead of every pair."""
    columns: tuple[str, ...] = COLUMNS
    """Rates to test, each as row/column."""
    resamples: int = 2000
    """Number of bootstrap resamples for the paired tests."""
    seed: int = 0
    """Seed of the bootstrap."""
    plots: bool = True
    """Draw bar charts, which require matplotlib."""
    generated: tuple[str, ...] = ()
    """system=FOLDER of each system's generated stories, for the gallery."""
    stories: int = 4
    """Number of stories in the gallery, from the start of the split."""
    story_ids: tuple[str, ...] = ()
    """Ids of the stories in the gallery, instead of the first --stories."""
    dataset: str | None = None
    """Name or folder of the true stories; by default the one named in the results."""
    side: int = 128
    """Width and height of a frame in the gallery, in pixels."""


def main(s: Settings) -> None:
    if not s.results:
        raise SystemExit("no results files given; at least one, written by score_stories.py, is required")
    results = read_results(list(s.results))
    tests = paired_tests(results, s.columns, s.baseline, s.resamples, s.seed)
    folders = generated_folders(s.generated, [result["system"] for result in results])
    s.out.mkdir(parents=True, exist_ok=True)

    blocks = [Heading(s.title, 1), *map(Note, s.notes), *summary(results), *headline(results)]
    if s.plots and rate_bars(results, s.out / "rates.png"):
        blocks.append(Picture("rates.png", "Bars of the main rates of every system, with 95 % intervals"))
    blocks += tables(results)
    if s.plots and position_bars(results, s.out / "positions.png"):
        blocks += [Heading("By position in the story"), Picture("positions.png", "Bars of the main rates by position in the story")]
    if len(results) > 1:
        blocks += paired_tables(tests)
    if folders:
        blocks += gallery(s, results[0], folders)
    blocks += published()

    write_text(s.out / "comparison.md", to_markdown(blocks))
    write_text(s.out / "comparison.html", to_html(blocks, s.title, s.out))
    for text in warnings(results):
        print(f"warning: {text}")
    print(f"{len(results)} systems, {sum(map(len, tests.values()))} paired tests; {s.out / 'comparison.md'} and comparison.html written")


def generated_folders(given: tuple[str, ...], systems: list[str]) -> dict[str, Path]:
    """System → its folder, in the order of the results. Raises SystemExit for values that are not system=FOLDER of one of the systems."""
    folders = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or name not in systems:
            raise SystemExit(f"--generated is {text!r}; it must be system=FOLDER with one of the systems {', '.join(systems)}")
        folders[name] = Path(folder)
    return {name: folders[name] for name in systems if name in folders}


def gallery(s: Settings, result: Result, folders: dict[str, Path]) -> list[Block]:
    """Write gallery.png, and return the blocks that show it."""
    reference = result["reference"]
    source, split, size = s.dataset or reference["dataset"], reference["split"], reference["size"]
    text = reference.get("text") or result["generation"].get("text", "referential")
    all_ids = load_stories(source, split, size, text, pictures=False)["story_id"][:]
    ids = list(s.story_ids or all_ids[: s.stories])
    missing = [story_id for story_id in ids if story_id not in all_ids]
    if missing:
        raise SystemExit(f"{source} ({split}) has no story {missing[0]}")
    truth = rows_of(load_stories(source, split, size, text, limit=1 + max(map(all_ids.index, ids))), ids)
    drawn = {name: rows_of(load_stories(folder, split, size), ids) for name, folder in folders.items()}
    sheets = []
    for story_id in ids:
        rows: list[GalleryRow] = [("truth", truth[story_id]["frames"], None)]
        for name, stories in drawn.items():
            row, frames = stories.get(story_id), len(truth[story_id]["frames"])
            if row is None or len(row["frames"]) != frames:
                raise SystemExit(f"{folders[name]} has {len(row['frames']) if row else 'no'} frames of story {story_id}, which has {frames}")
            rows.append((name, row["frames"], memory_weights(row)))
        sheets.append(story_gallery(rows, truth[story_id]["sentences"], s.side, title=story_id))
    save_picture(stacked(sheets, gap=s.side // 4), s.out / "gallery.png")
    note = "The truth on top. A blue map says how much each frame, counted from 0, looked at those before it in its visual memory."
    return [Heading("Gallery"), Note(note), Picture("gallery.png", f"{len(ids)} stories: the truth, then {', '.join(drawn)}")]


def rows_of(stories: Dataset, ids: list[str]) -> dict[str, dict]:
    """The rows with these ids, by id."""
    return {story_id: stories[n] for n, story_id in enumerate(stories["story_id"]) if story_id in ids}


def memory_weights(row: dict) -> Sequence[np.ndarray] | None:
    """Row m: weights with which frame m read each earlier frame; None if they were not stored."""
    lines = row.get("memory_weights")
    return [np.asarray(line, float) for line in lines] if lines else None


if __name__ == "__main__":
    with one_line_errors("compare_systems.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
