"""Stories of ToonStories 2 as rows of the story form, with all labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from datasets import ClassLabel, Features, Image, List, Value

from story_ldm.data.toonstories import free_mentions, full_mentions
from story_ldm.data.toonstories.world import MENTIONS
from story_ldm.data.toonstories2.draw import draw_scene
from story_ldm.data.toonstories2.free import free_story
from story_ldm.data.toonstories2.stories import make_story
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, FACINGS, KINDS, MARKS, PLACES, PROPS, TIMES, WEATHERS, shows_sky
from story_ldm.data.toonstories2.text import FROZEN_FORMS
from story_ldm.data.toonstories2.world import PRONOUNS, SLEEP, Frame, Story, kind_of

TITLE, SIZE = "ToonStories 2", 128
TEXT_FORMS = (*FROZEN_FORMS, "free")

# Part of the arguments of every cached dataset, so that a changed world is never read from an old cache. The first world shares its grammar.
DATA = Path(__file__).parents[1]
SOURCE_FILES = sorted(
    file
    for folder in ("toonstories2", "toonstories/free")
    for file in (DATA / folder).rglob("*.*")
    if file.suffix in (".py", ".txt") and file.parent.name != "tales" and file.name != "told.py"  # no row has what these make
)
SOURCE_FILES += [DATA / "toonstories" / name for name in ("text.py", "world.py")]
SOURCE_DIGEST = hashlib.sha256(b"".join(file.read_bytes() for file in SOURCE_FILES)).hexdigest()[:16]

# The attributes of a frame; lists are aligned with the frame's `characters`. -1: hour and weather of the moon, which has neither; the face of
# somebody asleep; a partner where somebody is turned to the viewer; how the free form mentions somebody whom it does not mention.
ATTRIBUTES = {
    "layout": Value("int32"),
    "time": ClassLabel(names=list(TIMES)),
    "weather": ClassLabel(names=list(WEATHERS)),
    "names": List(Value("string")),
    "pronouns": List(ClassLabel(names=list(PRONOUNS))),
    "looks": List(Value("int32")),  # of people skin × 5 + hair, else one of three furs
    "garments": List(ClassLabel(names=list(COLORS))),
    "marks": List(ClassLabel(names=list(MARKS))),
    "actions": List(ClassLabel(names=list(ACTIONS))),
    "faces": List(ClassLabel(names=list(FACES))),
    "props": List(ClassLabel(names=["none", *PROPS])),
    "prop_colors": List(ClassLabel(names=["none", *COLORS])),
    "slots": List(Value("int32")),  # positions from left to right
    "facings": List(ClassLabel(names=list(FACINGS))),
    "partners": List(Value("int32")),  # to whom they are turned: an index into `characters`
    "mentions": List(ClassLabel(names=list(MENTIONS))),
}
FEATURES = Features(
    {
        "story_id": Value("string"),
        "frames": List(Image()),
        "sentences": List(Value("string")),
        "characters": List(List(ClassLabel(names=list(KINDS)))),
        "backgrounds": List(ClassLabel(names=list(PLACES))),
        "referential": List(Value("bool")),
        "attributes": List(ATTRIBUTES),
    }
)


def attributes_of(story: Story, m: int, frame: Frame, mentions: list) -> dict:
    """The attributes of frame m as class numbers and numbers."""
    who, seen = frame.characters, shows_sky(frame.place)
    held = [frame.held.get(c) for c in who]
    return {
        "layout": frame.layout,
        "time": frame.time if seen else -1,
        "weather": frame.weather if seen else -1,
        "names": [story.names[c].full for c in who],
        "pronouns": [PRONOUNS.index(story.pronouns[c]) for c in who],
        "looks": [story.looks[c] for c in who],
        "garments": [story.garment(m, c) for c in who],
        "marks": [story.marks[c] for c in who],
        "actions": frame.actions,
        "faces": [-1 if action == SLEEP else face for action, face in zip(frame.actions, frame.faces, strict=True)],
        "props": [1 + prop[0] if prop else 0 for prop in held],
        "prop_colors": [1 + prop[1] if prop else 0 for prop in held],
        "slots": frame.slots,
        "facings": [frame.facing(c) for c in who],
        "partners": [who.index(frame.toward[c]) if c in frame.toward else -1 for c in who],
        "mentions": mentions,
    }


def story_row(
    seed: int, split: str, index: int, size: int = SIZE, text: str = "referential", length: int | None = None, pictures: bool = True
) -> dict:
    """The story (seed, split, index) as one row of the story form, its frames PIL pictures of `size` × `size` (none without `pictures`)."""
    story = make_story(seed, split, index, length)
    frames = range(len(story.frames))
    mentions: list = story.mentions
    if text == "free":
        free = free_story(story)
        sentences = [frame.text for frame in free]
        mentions = [free_mentions(frame) for frame in free]
        referential = [not (frame.facts.place_stated and set(how) <= {0, 1}) for frame, how in zip(free, mentions, strict=True)]
    else:
        sentences = story.sentences[text]
        mentions = mentions if text == "referential" else [full_mentions(how) for how in mentions]
        referential = [text == "referential" and story.referential(m) for m in frames]
    return {
        "story_id": story.story_id,
        "frames": [draw_scene(story.scene(m), size) for m in frames if pictures],
        "sentences": sentences,
        "characters": [[kind_of(c) for c in frame.characters] for frame in story.frames],
        "backgrounds": [frame.place for frame in story.frames],
        "referential": referential,
        "attributes": [attributes_of(story, m, frame, mentions[m]) for m, frame in enumerate(story.frames)],
    }


def story_rows(indices: list[int], source: str = SOURCE_DIGEST, length: int | tuple[int, ...] | None = None, **settings) -> Iterator[dict]:
    """Rows for `datasets.Dataset.from_generator`, whose cache is found by the arguments; `source` is one of them. Several lengths take turns."""
    for index in indices:
        yield story_row(index=index, length=length[index % len(length)] if isinstance(length, tuple) else length, **settings)
