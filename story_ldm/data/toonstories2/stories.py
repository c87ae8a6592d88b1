"""`make_story`: samples the states of a story by `world.py` and `play.py`, and writes its sentences by `text.py`."""

from __future__ import annotations

from story_ldm.data.toonstories.world import Dice, seeded_by
from story_ldm.data.toonstories2.play import Play
from story_ldm.data.toonstories2.tables import PLACES
from story_ldm.data.toonstories2.text import write_sentences
from story_ldm.data.toonstories2.world import (
    PAIRS,
    SPLITS,
    WORLD_VERSION,
    Story,
    content_bucket,
    draw_cast,
    held_out_action,
    held_out_garment,
    held_out_place,
)


def make_story(seed: int = 0, split: str = "train", index: int = 0, length: int | None = None) -> Story:
    """The story (seed, split, index) with `length` frames (default: that of the split, 5 or 50).

    Raises ValueError for an unknown split, a negative index or a length below 1."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; ToonStories 2 has {', '.join(SPLITS)}")
    if index < 0 or (length is not None and length < 1):
        raise ValueError(f"index is {index} and length {length}; index must be ≥ 0 and length ≥ 1")
    low, high, _, default_length = SPLITS[split]
    dice = Dice(seeded_by("toonstories-2", WORLD_VERSION, seed, split, index))
    while True:
        story = draw_cast(dice, seed, split, index)
        if low <= content_bucket(story) < high:
            break
    free = split in ("test_compositional", "train_wide")
    first, shown = story.cast[0], ""
    if split == "test_compositional" and story.garments[first] != held_out_garment(first):  # another pair that is held out
        shown = dice.pick(("place", "action")) if len(story.cast) > 1 or held_out_action(first) not in PAIRS else "place"
    places = [p for p in range(len(PLACES)) if free or all(p != held_out_place(c) for c in story.cast)]
    place = held_out_place(first) if shown == "place" else dice.pick(places)
    Play(story, dice, free, places, place).run(length or default_length, held_out_action(first) if shown == "action" else None)
    visited = {f.place for f in story.frames}
    story.layouts = {p: n for p, n in story.layouts.items() if p in visited}
    write_sentences(story, dice)
    return story
