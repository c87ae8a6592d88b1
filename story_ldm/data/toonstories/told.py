"""What the sentences of a story tell, by slots: the targets on which the reader is trained before any picture.

story = told_story(seed=0, split="train_wide", index=7, form="free", length=5)
story.sentences, story.facts["garments"]            # one row a frame, one column a character in the order of appearance

What another world has otherwise stands in its own `ToldWorld` (`toonstories2/told.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from story_ldm.data.toonstories.free import free_story, phrases
from story_ldm.data.toonstories.free.templates import Template, table
from story_ldm.data.toonstories.free.text import Reference
from story_ldm.data.toonstories.stories import make_story
from story_ldm.data.toonstories.world import ACTIONS, CHARACTERS, COLORS, EVERYONE, PLACES, PROPS, SPLITS, kind_of
from story_ldm.data.words import split_words

IGNORED = -100  # as torch's cross-entropy has it
LABELS = {  # by kind of fact, the names of the values; "not said" and "nothing" are value 0 of garments, props and prop_colors
    "kinds": [who.species for who in CHARACTERS],
    "garments": list(COLORS),
    "actions": list(ACTIONS),
    "props": list(PROPS),
    "prop_colors": list(COLORS),
    "places": list(PLACES),
}
STANDS_BY = 0.3  # weight of "stand" for whom the frame does not mention
CANDIDATES = 8  # stories of which the form "names" takes one


@dataclass(frozen=True, eq=False)
class ToldWorld:
    """A world as its stories and tales are told."""

    name: str  # as load_stories has it
    labels: dict[str, list[str]]
    letters: str  # of a tale's characters: as many as a story has at most
    story_id: str  # how the ids of its stories begin
    splits: Container[str]
    make_story: Callable[..., Any]
    free_story: Callable[..., list]
    kind_of: Callable[[int], int]
    appears: Callable[[Any, int, str], int]  # where in a sentence of `full` or `referential` a character of the story is introduced
    held: Callable[[Any, int], Mapping[int, tuple[int, int]]]  # by who holds it in a frame of the story, a prop and its colour
    # what else a frame of the story tells, by fact, characters' in a list: of the free form's facts, if it is told in this form, and the slots
    states: Callable[[Any, int, Any, list[int]], dict[str, Any]]
    tales: Path  # folder
    words: Any  # tables KINDS, COLOR_WORDS, PROP_WORDS, LOC, GOAL, PLC, in the language of `free/templates.py`
    alternatives: Callable[[str], tuple[Template, ...]]  # those of a table that tales may use
    usual_pronouns: Mapping[str, str] = field(default_factory=dict)  # of kinds that have one
    prop_letters: str = "T"  # of the gaps of a tale
    pairs: tuple[str, ...] = ()  # actions that nobody does alone
    lends: ToldWorld | None = None  # the world whose tales are told here, too
    strangers: re.Pattern | None = None  # words for whom there is only here: tales that have them are not lent
    doubts: Mapping[str, re.Pattern] = field(default_factory=dict)  # words by which a lent tale may tell a fact of which its columns know nothing


@dataclass
class ToldStory:
    sentences: list[str]
    facts: dict[str, list]  # rows of `slots` values by frame; of OF_FRAMES one value a frame; "weights": of the actions
    mentions: list[list[tuple[range, list[int]]]] = field(default_factory=list)  # by frame: words that mean characters, and the slots of these
    crossed: int = 0  # frames whose mentions are not in the order of appearance, of characters that act or dress differently


OF_FRAMES = ("places", "times", "weathers")  # facts of which a frame has one
FIRST = ToldWorld(
    name="toonstories",
    labels=LABELS,
    letters="ABC",
    story_id="toon",
    splits=SPLITS,
    make_story=make_story,
    free_story=free_story,
    kind_of=kind_of,
    appears=lambda story, c, sentence: sentence.find(EVERYONE[c].name),
    held=lambda story, m: {} if story.frames[m].holder is None else {story.frames[m].holder: story.prop},
    states=lambda story, m, told, order: {},
    tales=Path(__file__).with_name("tales"),
    words=phrases,
    alternatives=table,
)


def told_story(seed: int, split: str, index: int, form: str, length: int | None = None, slots: int = 4, world: ToldWorld = FIRST) -> ToldStory:
    """The story in a form and what it tells. Frame m's facts follow from the sentences up to m; IGNORED where they do not. The form "names": of
    CANDIDATES stories in the form free the one with most frames that nobody reads rightly by the order of mentions; else these are rare."""
    if form == "names":
        numbers = range(index * CANDIDATES, (index + 1) * CANDIDATES)
        return max((told_story(seed, split, n, "free", length, slots, world) for n in numbers), key=lambda told: told.crossed)
    story = world.make_story(seed, split, index, length)
    order: list[int] = []
    crossed = 0
    meant: list[list[tuple[range, list[int]]]] = []
    facts = empty_facts(world)
    told = world.free_story(story) if form == "free" else None
    sentences = [frame.text for frame in told] if told else story.sentences[form]
    for m, frame in enumerate(story.frames):
        if told:
            garments = dict(zip(frame.characters, told[m].facts.garments))
            actions = dict(zip(frame.characters, told[m].facts.actions))
            first = {c: min((r.start for r in told[m].references if c in r.who), default=len(sentences[m])) for c in frame.characters}
        else:
            garments = {c: story.garment(m, c) for c in frame.characters}
            actions = dict(zip(frame.characters, frame.actions))
            first = {c: world.appears(story, c, sentences[m]) for c in frame.characters}
        order += sorted((c for c in frame.characters if c not in order), key=lambda c: first[c])
        if told:
            mentions = sorted((r.start, r.who[0]) for r in told[m].references if len(r.who) == 1 and r.how != "pronoun")
            named = [order.index(c) for _, c in mentions if c in frame.characters]
            crossed += named != sorted(named) and len({(actions[order[slot]], garments[order[slot]]) for slot in named}) > 1
        meant.append(words_of(sentences[m], told[m].references, order) if told else [])
        row, held = empty_row(world, slots), world.held(story, m)
        states = world.states(story, m, told[m].facts if told else None, order)
        for slot, c in enumerate(order):
            row["kinds"][slot] = world.kind_of(c)
            if c not in frame.characters:
                continue
            row["seen"][slot] = 1
            garment, action = garments[c], actions[c]
            row["garments"][slot] = 0 if garment is None else 1 + garment
            said = action is not None
            stands = frame.event.quiet if c in frame.event.subjects else c not in frame.event.also
            if said or stands:
                row["actions"][slot], row["weights"][slot] = (action if said else 0), (1.0 if said else STANDS_BY)
            row["props"][slot], row["prop_colors"][slot] = (1 + held[c][0], 1 + held[c][1]) if c in held else (0, 0)
            for name, values in states.items():
                if name not in OF_FRAMES:
                    row[name][slot] = values[frame.characters.index(c)]
        add_row(facts, row | {"places": frame.place} | {name: value for name, value in states.items() if name in OF_FRAMES})
    return ToldStory(list(sentences), facts, meant, crossed)


def empty_facts(world: ToldWorld) -> dict[str, list]:
    return {name: [] for name in ("seen", "weights", *world.labels)}


def empty_row(world: ToldWorld, slots: int) -> dict[str, Any]:
    """The facts of a frame of which nothing is known and at which nobody is to be seen."""
    row: dict[str, Any] = {name: IGNORED if name in OF_FRAMES else [IGNORED] * slots for name in world.labels}
    return {"seen": [0] * slots, "weights": [0.0] * slots} | row


def add_row(facts: dict[str, list], row: dict[str, Any]) -> None:
    for name, values in row.items():
        facts[name].append(values)


def words_of(text: str, references: Iterable[Reference], order: list) -> list[tuple[range, list[int]]]:
    """The words that each reference to characters in `order` consists of, and the places of these in it."""
    slots = [(r, [order.index(c) for c in r.who if c in order]) for r in references]
    return [(range(len(split_words(text[: r.start])), len(split_words(text[: r.end]))), which) for r, which in slots if which]


def told_facts(story_ids: list[str], lengths: list[int], form: str, slots: int, world: ToldWorld = FIRST) -> dict[str, list] | None:
    """The facts of the built-in world's stories with these ids, as lists over all frames, story after story; None if one is not such a story."""
    found: dict[str, list] = {}
    for story_id, length in zip(story_ids, lengths, strict=True):
        match = re.fullmatch(rf"{world.story_id}-(\d+)-(\w+)-(\d+)", story_id)
        if match is None or match[2] not in world.splits:
            return None
        for name, values in told_story(int(match[1]), match[2], int(match[3]), form, length, slots, world).facts.items():
            found.setdefault(name, []).extend(values)
    return found
