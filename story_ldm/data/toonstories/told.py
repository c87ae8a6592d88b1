"""What the sentences of a story tell, by slots: the targets on which the reader is trained before any picture.

story = told_story(seed=0, split="train_wide", index=7, form="free", length=5)
story.sentences, story.facts["garments"]            # one row a frame, one column a character in the order of appearance
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from story_ldm.data.toonstories.free import free_story
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
MOST_CHARACTERS = 3  # of a story
STANDS_BY = 0.3  # weight of "stand" for whom the frame does not mention
CANDIDATES = 8  # stories of which the form "names" takes one


@dataclass
class ToldStory:
    sentences: list[str]
    facts: dict[str, list]  # rows of `slots` values by frame; "places": one value a frame; "weights": of the actions
    mentions: list[list[tuple[range, list[int]]]] = field(default_factory=list)  # by frame: words that mean characters, and the slots of these
    crossed: int = 0  # frames whose mentions are not in the order of appearance, of characters that act or dress differently


def told_story(seed: int, split: str, index: int, form: str, length: int | None = None, slots: int = 4) -> ToldStory:
    """The story in a form and what it tells. Frame m's facts follow from the sentences up to m; IGNORED where they do not. The form "names": of
    CANDIDATES stories in the form free the one with most frames that nobody reads rightly by the order of mentions; else these are rare."""
    if form == "names":
        numbers = range(index * CANDIDATES, (index + 1) * CANDIDATES)
        return max((told_story(seed, split, n, "free", length, slots) for n in numbers), key=lambda told: told.crossed)
    story = make_story(seed, split, index, length)
    order: list[int] = []
    crossed = 0
    meant: list[list[tuple[range, list[int]]]] = []
    facts: dict[str, list] = {name: [] for name in ("seen", "kinds", "garments", "actions", "weights", "props", "prop_colors", "places")}
    told = free_story(story) if form == "free" else None
    sentences = [frame.text for frame in told] if told else story.sentences[form]
    for m, frame in enumerate(story.frames):
        if told:
            garments = dict(zip(frame.characters, told[m].facts.garments))
            actions = dict(zip(frame.characters, told[m].facts.actions))
            first = {c: min((r.start for r in told[m].references if c in r.who), default=len(sentences[m])) for c in frame.characters}
        else:
            garments = {c: story.garment(m, c) for c in frame.characters}
            actions = dict(zip(frame.characters, frame.actions))
            first = {c: sentences[m].find(EVERYONE[c].name) for c in frame.characters}
        order += sorted((c for c in frame.characters if c not in order), key=lambda c: first[c])
        if told:
            mentions = sorted((r.start, r.who[0]) for r in told[m].references if len(r.who) == 1 and r.how != "pronoun")
            named = [order.index(c) for _, c in mentions if c in frame.characters]
            crossed += named != sorted(named) and len({(actions[order[slot]], garments[order[slot]]) for slot in named}) > 1
        meant.append(words_of(sentences[m], told[m].references, order) if told else [])
        row: dict[str, list] = {name: [IGNORED] * slots for name in facts}
        row["seen"], row["weights"] = [0] * slots, [0.0] * slots
        for slot, c in enumerate(order):
            row["kinds"][slot] = kind_of(c)
            if c not in frame.characters:
                continue
            row["seen"][slot] = 1
            garment, action, holds = garments[c], actions[c], c == frame.holder
            row["garments"][slot] = 0 if garment is None else 1 + garment
            said = action is not None
            stands = frame.event.quiet if c in frame.event.subjects else c not in frame.event.also
            if said or stands:
                row["actions"][slot], row["weights"][slot] = (action if said else 0), (1.0 if said else STANDS_BY)
            row["props"][slot] = 1 + story.prop[0] if holds else 0
            row["prop_colors"][slot] = 1 + story.prop[1] if holds else 0
        for name, values in row.items():
            facts[name].append(frame.place if name == "places" else values)
    return ToldStory(list(sentences), facts, meant, crossed)


def words_of(text: str, references: Iterable[Reference], order: list) -> list[tuple[range, list[int]]]:
    """The words that each reference to characters in `order` consists of, and the places of these in it."""
    slots = [(r, [order.index(c) for c in r.who if c in order]) for r in references]
    return [(range(len(split_words(text[: r.start])), len(split_words(text[: r.end]))), which) for r, which in slots if which]


def told_facts(story_ids: list[str], lengths: list[int], form: str, slots: int) -> dict[str, list] | None:
    """The facts of the built-in world's stories with these ids, as lists over all frames, story after story; None if one is not such a story."""
    found: dict[str, list] = {}
    for story_id, length in zip(story_ids, lengths, strict=True):
        match = re.fullmatch(r"toon-(\d+)-(\w+)-(\d+)", story_id)
        if match is None or match[2] not in SPLITS:
            return None
        for name, values in told_story(int(match[1]), match[2], int(match[3]), form, length, slots).facts.items():
            found.setdefault(name, []).extend(values)
    return found
