"""A built-in world as a folder of Parquet files in the story form, with a dataset card.

story-ldm data toonstories --out DIR        # load_stories(DIR, split=…) reads it
story-ldm data toonstories-2 --out DIR
"""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from pyarrow import parquet

from story_ldm.data.stories import WORLDS, load_stories
from story_ldm.data.story_form import card_data, parquet_name
from story_ldm.data.toonstories import ACTIONS, CHARACTERS, COLORS, LAYOUTS, MARKS, PLACES, PROPS
from story_ldm.data.toonstories2 import tables as second
from story_ldm.files import markdown_table, regular_file, write_text, written_beside

STORIES_PER_FILE = 5_000


def export_toonstories(
    out: Path,
    size: int = 64,
    splits: tuple[str, ...] = (),
    limit: int | None = None,
    seed: int = 0,
    num_proc: int | None = None,
    dataset: str = "toonstories",
) -> None:
    """Writes `data/<split>-<k>-of-<n>.parquet` for each split, with two text forms (`sentences`, `sentences_full`), and README.md. Existing
    files are kept. Raises ValueError for an unknown split, or if the folder contains another export."""
    world = WORLDS[dataset]
    unknown = [split for split in splits if split not in world.SPLITS]
    if unknown:
        raise ValueError(f"--split is {unknown[0]!r}; {world.TITLE} has {', '.join(world.SPLITS)}")
    card, heading = out / "README.md", f"# {world.TITLE} (version {world.WORLD_VERSION}, seed {seed}, {size} px)"
    if card.exists() and heading not in regular_file(card).read_text().splitlines():
        raise ValueError(f"{out} contains another export; this one would be {heading.lstrip('# ')!r}: set another --out")
    folder = out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits or tuple(world.SPLITS):
        stories = load_stories(dataset, split, size, limit=limit, seed=seed, num_proc=num_proc)
        full = load_stories(dataset, split, size, "full", limit=limit, seed=seed, pictures=False)
        stories = stories.add_column("sentences_full", full["sentences"][:], feature=full.features["sentences"])
        files = -(-len(stories) // STORIES_PER_FILE)
        for k in range(files):
            write_parquet(stories.shard(files, k, contiguous=True), folder / parquet_name(split, k, files))
    counts = {split: sum(parquet.read_metadata(file).num_rows for file in folder.glob(f"{split}-*.parquet")) for split in world.SPLITS}
    write_text(card, _card(dataset, {split: count for split, count in counts.items() if count}, heading))


def write_parquet(stories: Dataset, file: Path) -> None:
    """Writes a file atomically; keeps an existing one. Raises ValueError if that has another number of stories."""
    if file.exists():
        count = parquet.read_metadata(file).num_rows
        if count != len(stories):
            raise ValueError(f"{file} contains {count} stories, but this export has {len(stories)}: set another --out")
    else:
        with written_beside(file) as partial:
            stories.to_parquet(str(partial))


def _card(dataset: str, counts: dict[str, int], heading: str) -> str:
    rows = ((split, f"{count:,}", WORLDS[dataset].SPLITS[split][3]) for split, count in counts.items())
    return f"""---
{card_data(counts, "mit")}
---
{heading}

A picture-book world drawn by a program: a benchmark of reference resolution and visual consistency. `sentences` is the referential form;
`sentences_full` names every character and place in each sentence.

{markdown_table(("split", "stories", "frames per story"), rows)}

{_first() if dataset == "toonstories" else _second()}
"""


def _first() -> str:
    who = ", ".join(f"{c.name} the {c.species} ({c.pronoun})" for c in CHARACTERS)
    return f"""Characters: {who}. Places: {", ".join(PLACES)}, each in {LAYOUTS} layouts. Garments and props in {", ".join(COLORS)}.
Actions: {", ".join(ACTIONS)}. Props: {", ".join(PROPS)}. Marks, never mentioned in a sentence: {", ".join(MARKS)}.
The pairs character × place and character × garment colour held out for `test_compositional` occur in no other split."""


def _second() -> str:
    t = second
    return f"""Kinds, whose names and pronouns are a story's own: {", ".join(t.KINDS)}. Places: {", ".join(t.PLACES)}, each in {t.LAYOUTS} layouts.
Hours: {", ".join(t.TIMES)}. Weathers: {", ".join(t.WEATHERS)}. Faces: {", ".join(t.FACES)}. Actions: {", ".join(t.ACTIONS)}.
Props: {", ".join(t.PROPS)}. Garments and props in {", ".join(t.COLORS)}. Marks, never mentioned in a sentence: {", ".join(t.MARKS)}.
The pairs kind × place, kind × garment colour and kind × action held out for `test_compositional` occur in `train_wide` only."""
