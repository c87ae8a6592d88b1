"""The built-in world ToonStories: its characters and places, and the state machine that samples the events of a story.

    from story_ldm.data.toonstories import make_story
    story = make_story(seed=0, split="train", index=7)         # labels and both text forms, a pure function of its arguments

A story is a list of `Frame`s. Each frame shows all characters on stage, at one place, during one event: characters enter and leave, all move
to another place or back to the previous one, a prop is picked up and put away. Positions on stage, the garment and mark of each character and the
layout of each place persist. Stories are identical on every machine: all draws use `random.Random.random`, whose sequence Python guarantees.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

WORLD_VERSION = "1"


@dataclass(frozen=True)
class Character:
    name: str
    species: str
    pronoun: str  # subject form: he / she / it


CHARACTERS = (
    Character("Bruno", "bear", "he"),
    Character("Rosa", "rabbit", "she"),
    Character("Felix", "fox", "he"),
    Character("Mina", "mouse", "she"),
    Character("Toby", "frog", "he"),
    Character("Dora", "duck", "she"),
    Character("Bolt", "robot", "it"),
    Character("Zix", "alien", "it"),
)
CHARACTER_NAMES = tuple(c.name for c in CHARACTERS)
TWINS = (  # number k + 8 is a second one of the kind of number k; only `train_wide` has them
    Character("Otto", "bear", "he"),
    Character("Hazel", "rabbit", "she"),
    Character("Rusty", "fox", "he"),
    Character("Minnie", "mouse", "she"),
    Character("Hopper", "frog", "he"),
    Character("Daisy", "duck", "she"),
    Character("Gizmo", "robot", "it"),
    Character("Vox", "alien", "it"),
)
EVERYONE = CHARACTERS + TWINS
PLACES = ("forest", "beach", "kitchen", "bedroom", "city", "desert", "moon", "mountain")
LAYOUTS = 4  # compositions of each place; one is drawn per story and place
COLORS = ("red", "yellow", "green", "blue", "purple", "white")
MARKS = ("crown", "top hat", "party hat", "flower", "glasses", "star")  # never named in any sentence
ACTIONS = ("stand", "wave", "jump", "sit", "dance", "run", "cheer")
PROPS = ("ball", "balloon", "umbrella", "flag", "book")
SLOTS = 3  # places to stand, left to right
MENTIONS = ("introduction", "name", "species", "pronoun", "group")  # how a sentence refers to a character in its frame

# Split → (first bucket, end, stories, default length). A story belongs to the split whose buckets, out of 100, contain the hash of its content:
# no story can be in two splits, except in the two for training.
SPLITS = {
    "train": (0, 60, 20_000, 5),
    "train_wide": (0, 60, 20_000, 5),  # with the pairs that are held out elsewhere, and more company: for models that no held-out pair judges
    "validation": (60, 70, 1_000, 5),
    "test": (70, 80, 1_000, 5),
    "test_compositional": (80, 90, 1_000, 5),
    "test_long": (90, 100, 100, 50),
}


def held_out_place(character: int) -> int:
    """The place at which only `test_compositional` and `train_wide` show this character."""
    return character % len(PLACES)


def held_out_garment(character: int) -> int:
    """The garment colour that only `test_compositional` and `train_wide` give this character."""
    return character % len(COLORS)


@dataclass
class Event:
    """The event of one sentence. `subjects` act (all others on stage stand, or do what `also` says); `other` is the character that enters, leaves
    or is given the prop. Only `train_wide` has `also`, `quiet` (subjects who come, go or are there and do nothing of note), and the kinds "give" and
    "change" (of the garment)."""

    kind: str  # open, act, enter, return, leave, move, back, pick_up, put_away, give, change
    subjects: list[int]
    action: int
    other: int | None = None
    also: dict[int, int] = field(default_factory=dict)  # who else acts → the action
    quiet: bool = False


@dataclass
class Frame:
    """The state that a picture shows: `characters` on stage in order of arrival, their slots and actions, and the holder of the prop."""

    place: int
    layout: int
    characters: list[int]
    slots: list[int]
    actions: list[int]
    holder: int | None
    event: Event
    changed: dict[int, int] = field(default_factory=dict)  # garments that are no longer the story's


@dataclass
class Story:
    """A complete story. `garments` and `marks` map each character of the cast to an index into COLORS and MARKS; `prop`, the only prop of
    the story, is (index into PROPS, index into COLORS)."""

    seed: int
    split: str
    index: int
    cast: list[int]
    garments: dict[int, int]
    marks: dict[int, int]
    prop: tuple[int, int]
    layouts: dict[int, int]  # place → layout number
    art_seed: int  # small per-story jitter of the scenery
    frames: list[Frame] = field(default_factory=list)
    sentences: dict[str, list[str]] = field(default_factory=dict)  # text form → sentences
    mentions: list[list[str]] = field(default_factory=list)  # per frame and character, in the referential form
    place_named: list[bool] = field(default_factory=list)  # does the referential sentence name the place?

    @property
    def story_id(self) -> str:
        return f"toon-{self.seed}-{self.split}-{self.index:06d}"

    def garment(self, m: int, c: int) -> int:
        """What the character wears in frame m."""
        return self.frames[m].changed.get(c, self.garments[c])

    def referential(self, m: int) -> bool:
        """Whether the referential sentence of frame `m` leaves the place or a character on stage to be inferred from earlier sentences."""
        return not (self.place_named[m] and all(how in ("introduction", "name") for how in self.mentions[m]))


class Dice(random.Random):
    """Random draws based on `random()` only, the one method whose sequence is guaranteed for a seed."""

    def pick(self, items: Sequence):
        return items[int(self.random() * len(items))]

    def chance(self, p: float) -> bool:
        return self.random() < p

    def sample_distinct(self, items: Sequence, k: int) -> list:
        pool = list(items)
        return [pool.pop(int(self.random() * len(pool))) for _ in range(k)]

    def weighted(self, weights: dict):
        x = self.random() * sum(weights.values())
        for item, weight in weights.items():
            x -= weight
            if x < 0:
                return item
        return item


def seeded_by(*parts: object) -> int:
    """A 64-bit seed from the parts, by SHA-256."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big")


def content_bucket(story: Story) -> int:
    """Hash, modulo 100, of everything that text or pictures of the story show (its seed and index are not part of that)."""
    content = asdict(story)
    for name in ("seed", "split", "index", "art_seed"):
        del content[name]
    if all(frame.holder is None for frame in story.frames):
        del content["prop"]  # it is never shown
    for frame in content["frames"]:
        for part, name in ((frame["event"], "also"), (frame["event"], "quiet"), (frame, "changed")):  # which came later
            if not part[name]:
                del part[name]
    return int.from_bytes(hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()[:8], "big") % 100


def kind_of(character: int) -> int:
    """The number of the first character of its kind, which a label has."""
    return character % len(CHARACTERS)


def draw_story(dice: Dice, seed: int, split: str, index: int, length: int) -> Story:
    """Samples a story without sentences: cast, garments, marks, prop, layouts, and `length` frames."""
    compositional, wide = split == "test_compositional", split == "train_wide"
    size = min(dice.weighted({1: 30, 2: 45, 3: 25} if wide else {1: 60, 2: 30, 3: 10}), length + 1)
    cast = dice.sample_distinct(range(len(CHARACTERS)), size)
    if wide and size > 1 and dice.chance(0.15):
        cast[1] = cast[0] + len(CHARACTERS)
    garments = {c: dice.pick([g for g in range(len(COLORS)) if compositional or wide or g != held_out_garment(c)]) for c in cast}
    marks = {c: dice.pick(range(len(MARKS))) for c in cast}
    places = [p for p in range(len(PLACES)) if compositional or wide or all(p != held_out_place(c) for c in cast)]
    first_place = dice.pick(places)
    if compositional and dice.chance(0.5):
        garments[cast[0]] = held_out_garment(cast[0])
    elif compositional:
        first_place = held_out_place(cast[0])
    story = Story(
        seed=seed,
        split=split,
        index=index,
        cast=cast,
        garments=garments,
        marks=marks,
        prop=(dice.pick(range(len(PROPS))), dice.pick(range(len(COLORS)))),
        layouts={p: dice.pick(range(LAYOUTS)) for p in range(len(PLACES))},
        art_seed=int(dice.random() * 2**31),
    )
    _play(story, dice, length, places, first_place, wide)
    story.cast = [c for c in cast if any(c in f.characters for f in story.frames)]
    visited = {f.place for f in story.frames}
    story.garments, story.marks = ({c: table[c] for c in story.cast} for table in (garments, marks))
    story.layouts = {p: n for p, n in story.layouts.items() if p in visited}
    return story


def _play(story: Story, dice: Dice, length: int, places: list[int], place: int, wide: bool) -> None:
    """Appends `length` frames by running the state machine from `place`."""
    waiting = list(story.cast)  # not introduced yet
    stage: dict[int, int] = {}  # character → slot, in the order of arrival
    away: list[int] = []
    holder: int | None = None
    changed: dict[int, int] = {}
    before: int | None = None  # the place that "go back" refers to

    def enter(c: int) -> None:
        stage[c] = dice.pick([s for s in range(SLOTS) if s not in stage.values()])

    for m in range(length):
        action = 1 + int(dice.random() * (len(ACTIONS) - 1)) if dice.chance(0.9) else 0
        everybody = list(stage)
        if m == 0:
            together = 2 if len(waiting) > 1 and (dice.chance(0.4) or length == 1) else 1
            if wide:
                together = dice.weighted({1: 45, 2: 40, 3: 15})
            newcomers, waiting = waiting[:together], waiting[together:]
            for c in newcomers:
                enter(c)
            event = Event("open", newcomers, action)
        elif waiting and (dice.chance(0.5) or length - m <= len(waiting)):
            newcomer = waiting.pop(0)
            enter(newcomer)
            event = Event("enter", [newcomer], action, newcomer)
        else:
            group = everybody if len(everybody) == 1 or dice.chance(0.4) else [dice.pick(everybody)]
            one = dice.pick([c for c in everybody if c != holder] or everybody)  # the holder of the prop does not leave
            weights = {"act": 40, "move": 14 if len(places) > 1 else 0, "back": 0 if before is None else 14}
            weights |= {"pick_up": 14 if holder is None else 0, "put_away": 0 if holder is None else 8}
            weights |= {"leave": 12 if len(stage) > 1 else 0, "return": 20 if away and len(stage) < SLOTS else 0}
            if wide and holder is not None and len(stage) > 1:
                weights["give"] = 50
            if wide:
                weights["change"] = 5
            kind = dice.weighted(weights)
            event = Event(kind, group, action)
            if kind == "move":
                before, place = place, dice.pick([p for p in places if p != place])
                event.subjects = everybody
            elif kind == "back":
                before, place = place, before
                event.subjects = everybody
            elif kind == "pick_up":
                holder, event.subjects, event.action = one, [one], 0
            elif kind == "put_away" and holder is not None:
                event.subjects, event.action, holder = [holder], 0, None
            elif kind == "leave":
                del stage[one]
                away.append(one)
                event.subjects, event.other = list(stage), one
            elif kind == "change":
                event.subjects, event.action = [one], 0
                worn = changed.get(one, story.garments[one])
                changed[one] = dice.pick([g for g in range(len(COLORS)) if g != worn])
            elif kind == "give" and holder is not None:
                event.subjects, event.action, event.other = [holder], 0, dice.pick([c for c in everybody if c != holder])
                holder = event.other
            elif kind == "return":
                back = dice.pick(away)
                away.remove(back)
                enter(back)
                event.subjects, event.other = [back], back
        if wide:
            _widen(event, list(stage), dice)
        story.frames.append(
            Frame(
                place=place,
                layout=story.layouts[place],
                characters=list(stage),
                slots=list(stage.values()),
                actions=[event.action if c in event.subjects else event.also.get(c, 0) for c in stage],
                holder=holder,
                event=event,
                changed={c: g for c, g in changed.items() if c in stage},
            )
        )


def _widen(event: Event, stage: list[int], dice: Dice) -> None:
    """Some events are quiet; in some, not all act alike."""
    if event.kind in ("open", "enter", "return", "leave", "move", "back") and dice.chance(0.3):
        event.quiet, event.action = True, 0
    elif event.kind in ("open", "act", "leave") and len(event.subjects) > 1 and dice.chance(0.5):
        event.subjects = [event.subjects[0] if event.kind == "open" else dice.pick(event.subjects)]
    others = [c for c in stage if c not in event.subjects and not (event.kind == "give" and c == event.other)]
    first = event.kind == "open" and bool(others)  # somebody who would not be spoken of otherwise
    if others and (first or dice.chance(0.5)):
        acting = others if first or dice.chance(0.7) else [dice.pick(others)]
        alike = dice.pick(range(len(ACTIONS))) if dice.chance(0.5) else None
        event.also = {c: dice.pick(range(len(ACTIONS))) if alike is None else alike for c in acting}
