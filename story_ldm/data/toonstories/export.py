"""ToonStories as a folder of Parquet files in the story form, with a dataset card.

story-ldm data toonstories --out DIR        # load_stories(DIR, split=…) reads it
"""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from pyarrow import parquet

from story_ldm.data.stories import load_stories
from story_ldm.data.story_form import card_data, parquet_name
from story_ldm.data.toonstories import ACTIONS, CHARACTERS, COLORS, LAYOUTS, MARKS, PLACES, PROPS, SPLITS, WORLD_VERSION
from story_ldm.files import markdown_table, regular_file, write_text, written_beside

STORIES_PER_FILE = 5_000


def export_toonstories(
    out: Path, size: int = 64, splits: tuple[str, ...] = (), limit: int | None = None, seed: int = 0, num_proc: int | None = None
) -> None:
    """Writes `data/<split>-<k>-of-<n>.parquet` for each split, with two text forms (`sentences`, `sentences_full`), and README.md. Existing
    files are kept. Raises ValueError for an unknown split, or if the folder contains another export."""
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise ValueError(f"--split is {unknown[0]!r}; ToonStories has {', '.join(SPLITS)}")
    card, heading = out / "README.md", _heading(size, seed)
    if card.exists() and heading not in regular_file(card).read_text().splitlines():
        raise ValueError(f"{out} contains another export; this one would be {heading.lstrip('# ')!r}: set another --out")
    folder = out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits or tuple(SPLITS):
        stories = load_stories("toonstories", split, size, limit=limit, seed=seed, num_proc=num_proc)
        full = load_stories("toonstories", split, size, "full", limit=limit, seed=seed, pictures=False)
        stories = stories.add_column("sentences_full", full["sentences"][:], feature=full.features["sentences"])
        files = -(-len(stories) // STORIES_PER_FILE)
        for k in range(files):
            write_parquet(stories.shard(files, k, contiguous=True), folder / parquet_name(split, k, files))
    counts = {split: sum(parquet.read_metadata(file).num_rows for file in folder.glob(f"{split}-*.parquet")) for split in SPLITS}
    write_text(card, _card({split: count for split, count in counts.items() if count}, size, seed))


def write_parquet(stories: Dataset, file: Path) -> None:
    """Writes a file atomically; keeps an existing one. Raises ValueError if that has another number of stories."""
    if file.exists():
        count = parquet.read_metadata(file).num_rows
        if count != len(stories):
            raise ValueError(f"{file} contains {count} stories, but this export has {len(stories)}: set another --out")
    else:
        with written_beside(file) as partial:
            stories.to_parquet(str(partial))


def _heading(size: int, seed: int) -> str:
    return f"# ToonStories (version {WORLD_VERSION}, seed {seed}, {size} px)"


def _card(counts: dict[str, int], size: int, seed: int) -> str:
    rows = ((split, f"{count:,}", SPLITS[split][3]) for split, count in counts.items())
    who = ", ".join(f"{c.name} the {c.species} ({c.pronoun})" for c in CHARACTERS)
    return f"""---
{card_data(counts, "mit")}
---
{_heading(size, seed)}

A picture-book world drawn by a program: a benchmark of reference resolution and visual consistency. `sentences` is the referential form;
`sentences_full` names every character and place in each sentence.

{markdown_table(("split", "stories", "frames per story"), rows)}

Characters: {who}. Places: {", ".join(PLACES)}, each in {LAYOUTS} layouts. Garments and props in {", ".join(COLORS)}.
Actions: {", ".join(ACTIONS)}. Props: {", ".join(PROPS)}. Marks, never mentioned in a sentence: {", ".join(MARKS)}.
The pairs character × place and character × garment colour held out for `test_compositional` occur in no other split.
"""
