"""ToonStories: the built-in world, as rows of the story form.

    from story_ldm import load_stories
    stories = load_stories("toonstories", split="test", size=64, text="referential")
    story-ldm data toonstories --out DIR                # the same as Parquet with a dataset card
    story-ldm preview --output sheet.png                # a contact sheet to look at

`world.py` says who and what there is and what happens, `text.py` writes the sentences of the forms `full` and `referential`, `free/` those of
the form `free`, `stories.py` makes a story of both, `draw.py` draws it. The benchmark of reference resolution (sentences) and of visual
consistency: a mark of each character and the layout of each place are named in no sentence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from datasets import ClassLabel, Features, Image, List, Value

from story_ldm.data.toonstories.draw import draw_frame
from story_ldm.data.toonstories.free import FreeFrame, free_story
from story_ldm.data.toonstories.stories import make_story
from story_ldm.data.toonstories.text import FROZEN_FORMS
from story_ldm.data.toonstories.world import (
    ACTIONS,
    CHARACTER_NAMES,
    CHARACTERS,
    COLORS,
    LAYOUTS,
    MARKS,
    MENTIONS,
    PLACES,
    PROPS,
    SPLITS,
    WORLD_VERSION,
    kind_of,
)

__all__ = [
    "ACTIONS",
    "CHARACTERS",
    "CHARACTER_NAMES",
    "COLORS",
    "FEATURES",
    "FROZEN_FORMS",
    "LAYOUTS",
    "MARKS",
    "MENTIONS",
    "PLACES",
    "PROPS",
    "SIZE",
    "SOURCE_DIGEST",
    "SPLITS",
    "TEXT_FORMS",
    "TITLE",
    "WORLD_VERSION",
    "full_mentions",
    "make_story",
    "story_row",
    "story_rows",
]

TITLE, SIZE = "ToonStories", 64

# Part of the arguments of every cached dataset, so that a changed world is never read from an old cache. No row has a tale or a reader's targets.
SOURCE_FILES = sorted(
    file
    for pattern in ("*.py", "*.txt")
    for file in Path(__file__).parent.rglob(pattern)
    if file.parent.name != "tales" and file.name not in ("tales.py", "told.py")
)
SOURCE_DIGEST = hashlib.sha256(b"".join(file.read_bytes() for file in SOURCE_FILES)).hexdigest()[:16]

TEXT_FORMS = (*FROZEN_FORMS, "free")

# The attributes of a frame; lists are aligned with the frame's `characters`. `props` is "none" for whoever holds nothing; `mentions` says how
# the sentence refers to each character (of the referential form; "introduction" or "name" in the full form; in the free form -1 for whom it
# does not mention).
ATTRIBUTES = {
    "layout": Value("int32"),
    "garments": List(ClassLabel(names=list(COLORS))),
    "marks": List(ClassLabel(names=list(MARKS))),
    "actions": List(ClassLabel(names=list(ACTIONS))),
    "props": List(ClassLabel(names=["none", *PROPS])),
    "prop_colors": List(ClassLabel(names=["none", *COLORS])),
    "slots": List(Value("int32")),
    "mentions": List(ClassLabel(names=list(MENTIONS))),
}
FEATURES = Features(
    {
        "story_id": Value("string"),
        "frames": List(Image()),
        "sentences": List(Value("string")),
        "characters": List(List(ClassLabel(names=list(CHARACTER_NAMES)))),
        "backgrounds": List(ClassLabel(names=list(PLACES))),
        "referential": List(Value("bool")),
        "attributes": List(ATTRIBUTES),
    }
)


def full_mentions(mentions: list) -> list:
    """How the full form mentions those whom the referential one mentions so (words, or class numbers): introduced, else by name."""
    introduction, name = ("introduction", "name") if mentions and isinstance(mentions[0], str) else (0, 1)
    return [introduction if how == introduction else name for how in mentions]


def free_mentions(frame: FreeFrame) -> list[int]:
    """How the free form mentions each character on stage, as class numbers: the clearest way that the frame has for it, -1 where it has none."""
    hows = [{r.how for r in frame.references if c in r.who} for c in frame.facts.characters]
    return [next((k for k, how in enumerate(MENTIONS) if how in these), -1) for these in hows]


def story_row(seed: int, split: str, index: int, size: int = 64, text: str = "referential", length: int | None = None, pictures: bool = True) -> dict:
    """The story (seed, split, index) as one row of the story form, its frames PIL pictures of `size` × `size` (none without `pictures`)."""
    story = make_story(seed, split, index, length)
    if text == "free":
        free = free_story(story)
        sentences = [frame.text for frame in free]
        mentions: list[list[int]] | list[list[str]] = [free_mentions(frame) for frame in free]
        referential = [not (frame.facts.place_stated and set(free_mentions(frame)) <= {0, 1}) for frame in free]
    else:
        sentences, frames = story.sentences[text], range(len(story.frames))
        mentions = story.mentions if text == "referential" else [full_mentions(how) for how in story.mentions]
        referential = [text == "referential" and story.referential(m) for m in frames]
    attributes = []
    for m, frame in enumerate(story.frames):
        held = [c == frame.holder for c in frame.characters]
        attributes.append(
            {
                "layout": frame.layout,
                "garments": [story.garment(m, c) for c in frame.characters],
                "marks": [story.marks[c] for c in frame.characters],
                "actions": frame.actions,
                "props": [1 + story.prop[0] if holds else 0 for holds in held],
                "prop_colors": [1 + story.prop[1] if holds else 0 for holds in held],
                "slots": frame.slots,
                "mentions": mentions[m],
            }
        )
    return {
        "story_id": story.story_id,
        "frames": [draw_frame(story, m, size) for m in range(len(story.frames) if pictures else 0)],
        "sentences": sentences,
        "characters": [[kind_of(c) for c in frame.characters] for frame in story.frames],
        "backgrounds": [frame.place for frame in story.frames],
        "referential": referential,
        "attributes": attributes,
    }


def story_rows(indices: list[int], source: str = SOURCE_DIGEST, length: int | tuple[int, ...] | None = None, **settings) -> Iterator[dict]:
    """Rows for `datasets.Dataset.from_generator`, whose cache is found by the arguments; `source` is one of them. Several lengths take turns."""
    for index in indices:
        yield story_row(index=index, length=length[index % len(length)] if isinstance(length, tuple) else length, **settings)
