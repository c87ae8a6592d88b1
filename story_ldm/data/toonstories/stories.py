"""`make_story`: samples the events of a story by the state machine of `world.py` and writes its sentences by `text.py`."""

from __future__ import annotations

from story_ldm.data.toonstories.text import write_sentences
from story_ldm.data.toonstories.world import SPLITS, WORLD_VERSION, Dice, Story, content_bucket, draw_story, seeded_by


def make_story(seed: int = 0, split: str = "train", index: int = 0, length: int | None = None) -> Story:
    """The story (seed, split, index) with `length` frames (default: that of the split, 5 or 50).

    Raises ValueError for an unknown split, a negative index or a length below 1."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; ToonStories has {', '.join(SPLITS)}")
    if index < 0 or (length is not None and length < 1):
        raise ValueError(f"index is {index} and length {length}; index must be ≥ 0 and length ≥ 1")
    low, high, _, default_length = SPLITS[split]
    dice = Dice(seeded_by("toonstories", WORLD_VERSION, seed, split, index))
    while True:
        story = draw_story(dice, seed, split, index, length or default_length)
        write_sentences(story, dice)
        if low <= content_bucket(story) < high:
            return story
