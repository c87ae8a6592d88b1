"""How often what was read of a frame, from its sentence or off its picture, is what its sentences say."""

from __future__ import annotations

from collections.abc import Iterable

from story_ldm.data.free_english import SaidFrame
from story_ldm.data.toonstories.told import LABELS, ToldStory
from story_ldm.data.toonstories.world import ACTIONS, COLORS, PLACES, PROPS
from story_ldm.encoders.reader import UnderstoodFrame

FACTS = ("characters", "place", "garments", "actions", "props")


def understanding_counts(said: Iterable[list[SaidFrame]], understood: Iterable[list[UnderstoodFrame]]) -> dict[str, tuple[int, int]]:
    """By fact, how many are right and how many were said: the characters (exactly those) and the place of each frame, and each garment, action and
    prop (the thing, whatever its colour) of a character that is to be seen."""
    counts = dict.fromkeys(FACTS, (0, 0))

    def count(fact: str, right: bool) -> None:
        counts[fact] = (counts[fact][0] + right, counts[fact][1] + 1)

    for truth, reading in zip(said, understood, strict=True):
        for frame, read in zip(truth, reading, strict=True):
            kinds = [c.kind for c in read.characters]
            count("characters", len(set(kinds)) == len(kinds) and frame.who <= set(kinds) <= frame.who | frame.open)
            count("place", read.place == frame.place)
            of = {c.kind: c for c in read.characters}
            for kind in frame.who:
                mine = of.get(kind)
                if kind in frame.garments:
                    count("garments", mine is not None and mine.garment == frame.garments[kind])
                if kind in frame.actions:
                    count("actions", mine is not None and mine.action == frame.actions[kind])
                if kind in frame.props:
                    thing = frame.props[kind].split()[-1]
                    count("props", mine is not None and mine.prop is not None and mine.prop.split()[-1] == thing)
    return counts


def percent(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """The counts as percentages; facts that were never said are left out."""
    return {fact: 100 * right / total for fact, (right, total) in counts.items() if total}


def told_frames(story: ToldStory) -> list[SaidFrame]:
    """The same by kind of character, as `metrics.understanding` counts it; actions of whom a frame does not mention are left out."""
    frames = []
    for m in range(len(story.sentences)):
        row = {name: values[m] for name, values in story.facts.items()}
        slots = [slot for slot, seen in enumerate(row["seen"]) if seen]
        kind = {slot: LABELS["kinds"][row["kinds"][slot]] for slot in slots}
        holding = [slot for slot in slots if row["props"][slot]]
        frames.append(
            SaidFrame(
                who=set(kind.values()),
                place=PLACES[row["places"]],
                garments={kind[slot]: COLORS[row["garments"][slot] - 1] for slot in slots if row["garments"][slot]},
                actions={kind[slot]: ACTIONS[row["actions"][slot]] for slot in slots if row["weights"][slot] == 1},
                props={kind[slot]: f"{COLORS[row['prop_colors'][slot] - 1]} {PROPS[row['props'][slot] - 1]}" for slot in holding},
            )
        )
    return frames
