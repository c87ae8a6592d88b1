"""How often what was read of a frame, from its sentence or off its picture, is what its sentences say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from story_ldm.data.free_english import SaidFrame
from story_ldm.data.toonstories.told import IGNORED, LABELS, ToldStory
from story_ldm.data.toonstories.world import ACTIONS, COLORS, PLACES, PROPS
from story_ldm.encoders.reader import UnderstoodFrame

FACTS = ("characters", "place", "garments", "actions", "props")


def understanding_counts(
    said: Iterable[list[SaidFrame]], understood: Iterable[list[UnderstoodFrame]], each_kind_once: bool = False
) -> dict[str, tuple[int, int]]:
    """By fact, how many are right and how many were said: the characters (exactly those) and the place of each frame, and each garment, action and
    prop (the thing, whatever its colour) of a character that is to be seen. Of two characters of one kind, each may be either.

    each_kind_once: the readings, as a frame evaluator's, say of a kind only whether it is there. Facts of characters of whose kind there are two are
    then left out."""
    counts = dict.fromkeys(FACTS, (0, 0))

    def count(fact: str, right: int, total: int = 1) -> None:
        counts[fact] = (counts[fact][0] + right, counts[fact][1] + total)

    for truth, reading in zip(said, understood, strict=True):
        for frame, read in zip(truth, reading, strict=True):
            who, there, may_be = Counter(frame.who), Counter(c.kind for c in read.characters), Counter(frame.open)
            if each_kind_once:
                who, may_be = Counter(set(who)), Counter(set(may_be))
            count("characters", who <= there <= who + may_be)
            count("place", read.place == frame.place)
            for fact, told, mine in (
                ("garments", frame.garments, [(c.kind, c.garment) for c in read.characters]),
                ("actions", frame.actions, [(c.kind, c.action) for c in read.characters]),
                (
                    "props",
                    [(kind, prop.split()[-1]) for kind, prop in frame.props],
                    [(c.kind, (c.prop or "").split(" ")[-1]) for c in read.characters],
                ),
            ):
                if each_kind_once:
                    told = [(kind, value) for kind, value in told if frame.who.count(kind) == 1]
                count(fact, (Counter[Any](told) & Counter[Any](mine)).total(), len(told))
    return counts


def percent(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """The counts as percentages; facts that were never said are left out."""
    return {fact: 100 * right / total for fact, (right, total) in counts.items() if total}


def told_frames(story: ToldStory) -> list[SaidFrame]:
    """What a told story says; actions of whom a frame does not mention are left out."""
    frames = []
    for m in range(len(story.sentences)):
        row = {name: values[m] for name, values in story.facts.items()}
        slots = [slot for slot, seen in enumerate(row["seen"]) if seen == 1]
        kind = {slot: LABELS["kinds"][row["kinds"][slot]] for slot in slots}
        holding = [slot for slot in slots if row["props"][slot]]
        frames.append(
            SaidFrame(
                who=list(kind.values()),
                place=PLACES[row["places"]],
                garments=[(kind[slot], COLORS[row["garments"][slot] - 1]) for slot in slots if row["garments"][slot]],
                actions=[(kind[slot], ACTIONS[row["actions"][slot]]) for slot in slots if row["weights"][slot] == 1],
                props=[(kind[slot], f"{COLORS[row['prop_colors'][slot] - 1]} {PROPS[row['props'][slot] - 1]}") for slot in holding],
                open=[LABELS["kinds"][row["kinds"][slot]] for slot, seen in enumerate(row["seen"]) if seen == IGNORED],
            )
        )
    return frames
