"""The states of a story of ToonStories 2 and who is in it. `tables.py` says what there is, `play.py` what happens.

As in the first world (`toonstories/world.py`): characters enter and leave, all move to another place or back, and positions, garments, marks, looks
and layouts persist. New: hour and weather are told when they change and last, everywhere; a face lasts until another is told, or its owner leaves;
everybody may hold one thing; two hug or hold hands; who looks at somebody is turned to them; name and pronoun belong to the story's character.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from story_ldm.data.toonstories.free.names import Name, names_for
from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2.tables import (
    ACTIONS,
    COLORS,
    FACINGS,
    KINDS,
    LAYOUTS,
    MARKS,
    PLACES,
    Figure,
    Scene,
    looks_of,
)

WORLD_VERSION = "2.0"
KIND_PRONOUNS = {"girl": "she", "boy": "he", "woman": "she", "man": "he"}  # of nearly all of a kind
PRONOUNS = ("he", "she", "it", "they")
PAIRS = (ACTIONS.index("hug"), ACTIONS.index("hold hands"))  # done by two who stand side by side
SLEEP = ACTIONS.index("sleep")

# Split → (first bucket, end, stories, default length), as in the first world. A story belongs to the split whose buckets contain the hash of its
# cast: none can be in two splits, except in the two for training. `train_wide` has the pairs that are held out elsewhere, and two of a kind.
SPLITS = {
    "train": (0, 60, 20_000, 5),
    "train_wide": (0, 60, 20_000, 5),
    "validation": (60, 70, 1_000, 5),
    "test": (70, 80, 1_000, 5),
    "test_compositional": (80, 90, 1_000, 5),
    "test_long": (90, 100, 100, 50),
}


def kind_of(character: int) -> int:
    """Characters are numbered by kind; 20 to 39 are second ones of a kind."""
    return character % len(KINDS)


def held_out_place(character: int) -> int:
    """The place at which only `test_compositional` and `train_wide` show this kind; so with the next two."""
    return kind_of(character) % len(PLACES)


def held_out_garment(character: int) -> int:
    return kind_of(character) % len(COLORS)


def held_out_action(character: int) -> int:
    return 1 + kind_of(character) % (len(ACTIONS) - 1)


@dataclass
class Event:
    """The event of one frame. `subjects` act; all others on stage stand by, or do what `also` says. `other` enters, leaves or is given the prop.
    `quiet`: subjects come, go or are there and do nothing of note. `watching`: those who stand by look at the only subject."""

    kind: str  # open, act, enter, return, leave, move, back, pick_up, put_away, give, change
    subjects: list[int]
    action: int = 0
    other: int | None = None
    also: dict[int, int] = field(default_factory=dict)
    quiet: bool = False
    at: int | None = None  # whom the only subject waves, points or looks at, and who looks back
    prop: tuple[int, int] | None = None  # what is picked up, put away or given
    watching: bool = False


@dataclass
class Frame:
    """The state that a picture shows. Lists are aligned with `characters`, those on stage in order of arrival."""

    place: int
    layout: int
    time: int
    weather: int
    characters: list[int]
    slots: list[int]  # positions
    actions: list[int]
    faces: list[int]
    held: dict[int, tuple[int, int]]  # who holds a prop → (index into PROPS, index into COLORS)
    event: Event
    sky: tuple[str, ...] = ()  # "time" and "weather" where the text tells them
    felt: tuple[int, ...] = ()  # whose face the text tells
    brought: tuple[int, ...] = ()  # newcomers who bring a prop along
    changed: dict[int, int] = field(default_factory=dict)  # garments that are no longer the story's
    toward: dict[int, int] = field(default_factory=dict)  # who is turned to whom

    def bystanders(self) -> list[int]:
        """Those on stage who have no part in the event."""
        event = self.event
        given = event.other if event.kind == "give" else event.at
        return [c for c in self.characters if c not in event.subjects and c not in event.also and c != given]

    def facing(self, c: int) -> int:
        """An index into FACINGS."""
        if c not in self.toward:
            return 0
        here, there = (self.slots[self.characters.index(k)] for k in (c, self.toward[c]))
        return FACINGS.index("right" if there > here else "left")


@dataclass
class Story:
    """A complete story. Dictionaries map each character of the cast to an index into a table, or to its name and pronoun."""

    seed: int
    split: str
    index: int
    cast: list[int]
    names: dict[int, Name]
    pronouns: dict[int, str]
    looks: dict[int, int]
    garments: dict[int, int]
    marks: dict[int, int]
    layouts: dict[int, int]  # place → layout number
    art_seed: int
    frames: list[Frame] = field(default_factory=list)
    sentences: dict[str, list[str]] = field(default_factory=dict)  # text form → the text of each frame
    mentions: list[list[str]] = field(default_factory=list)  # as in the first world
    place_named: list[bool] = field(default_factory=list)

    @property
    def story_id(self) -> str:
        return f"toon2-{self.seed}-{self.split}-{self.index:06d}"

    def garment(self, m: int, c: int) -> int:
        """What the character wears in frame m."""
        return self.frames[m].changed.get(c, self.garments[c])

    def held(self, m: int) -> dict[int, tuple[int, int]]:
        """Who holds what in frame m."""
        return self.frames[m].held

    def usual_pronoun(self, c: int) -> str:
        """What a reader expects of the kind, or else of the name; "" where nothing is to be expected."""
        return KIND_PRONOUNS.get(KINDS[kind_of(c)], "") or self.names[c].pronoun

    def referential(self, m: int) -> bool:
        """As in the first world."""
        return not (self.place_named[m] and all(how in ("introduction", "name") for how in self.mentions[m]))

    def scene(self, m: int) -> Scene:
        """What the picture of frame m shows."""
        f, figures = self.frames[m], []
        for c, slot, action, face in zip(f.characters, f.slots, f.actions, f.faces, strict=True):
            garment, prop = self.garment(m, c), f.held.get(c)
            figures.append(Figure(kind_of(c), self.looks[c], garment, action, face, self.marks[c], prop, slot, f.facing(c)))
        return Scene(f.place, f.layout, f.time, f.weather, tuple(figures), (), self.art_seed)


def content_bucket(story: Story) -> int:
    """Hash, modulo 100, of the cast: who it is, how they are called and what they look like."""
    content = repr((story.cast, story.names, story.pronouns, story.looks, story.garments, story.marks))
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big") % 100


def draw_cast(dice: Dice, seed: int, split: str, index: int) -> Story:
    """A story without frames: who is in it and what they are like, and which layout each place would have."""
    size = dice.weighted({1: 25, 2: 40, 3: 23, 4: 12})
    cast = dice.sample_distinct(range(len(KINDS)), size)
    if split == "train_wide" and size > 1 and dice.chance(0.12):
        cast[1] = cast[0] + len(KINDS)
    free = split in ("test_compositional", "train_wide")
    garments = {c: dice.pick([g for g in range(len(COLORS)) if free or g != held_out_garment(c)]) for c in cast}
    if split == "test_compositional" and dice.chance(0.33):
        garments[cast[0]] = held_out_garment(cast[0])
    pronouns = {c: _pronoun(dice, c) for c in cast}
    return Story(
        seed=seed,
        split=split,
        index=index,
        cast=cast,
        names=_names(dice, split, pronouns),
        pronouns=pronouns,
        looks={c: dice.pick(range(looks_of(kind_of(c)))) for c in cast},
        garments=garments,
        marks={c: dice.pick(range(len(MARKS))) for c in cast},
        layouts={p: dice.pick(range(LAYOUTS)) for p in range(len(PLACES))},
        art_seed=int(dice.random() * 2**31),
    )


def _pronoun(dice: Dice, c: int) -> str:
    usual = KIND_PRONOUNS.get(KINDS[kind_of(c)])
    return dice.weighted({usual: 95, "they": 5} if usual else {"he": 36, "she": 36, "it": 18, "they": 10})


def _names(dice: Dice, split: str, pronouns: dict[int, str]) -> dict[int, Name]:
    """Names that mostly suit the pronoun, and of which no two share a form."""
    drawn: dict[int, Name] = {}
    for c, pronoun in pronouns.items():
        taken = {form for name in drawn.values() for form in (name.full, name.short) if form}
        surprising = dice.chance(0.04)
        while c not in drawn:
            name = dice.pick(names_for(split))
            if not {name.full, name.short} & taken and (surprising or pronoun in ("it", "they") or name.pronoun in ("", pronoun)):
                drawn[c] = name
    return drawn
