"""How often what was read of a frame, from its sentence or off its picture, is what its sentences say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from story_ldm.data.free_english import SaidFrame
from story_ldm.data.toonstories.told import FIRST, IGNORED, ToldStory, ToldWorld
from story_ldm.encoders.understood import UnderstoodFrame

FACTS = ("characters", "place", "garments", "actions", "props")
STATES = ("faces", "time", "weather")  # which ToonStories 2 has besides; counted where they were told


def understanding_counts(
    said: Iterable[list[SaidFrame]], understood: Iterable[list[UnderstoodFrame]], each_kind_once: bool = False
) -> dict[str, tuple[int, int]]:
    """By fact, how many are right and how many were said: the characters (exactly those) and the place of each frame, and each garment, action, prop
    (the thing, whatever its colour) and face of a character that is to be seen, hour and weather. Of two characters of one kind, each may be either.

    each_kind_once: the readings, as a frame evaluator's, say of a kind only whether it is there. Facts of characters of whose kind there are two are
    then left out."""
    counts = dict.fromkeys(FACTS, (0, 0))

    def count(fact: str, right: int, total: int = 1) -> None:
        if total or fact in counts:
            before = counts.get(fact, (0, 0))
            counts[fact] = (before[0] + right, before[1] + total)

    for truth, reading in zip(said, understood, strict=True):
        for frame, read in zip(truth, reading, strict=True):
            who, there, may_be = Counter(frame.who), Counter(c.kind for c in read.characters), Counter(frame.open)
            if each_kind_once:
                who, may_be = Counter(set(who)), Counter(set(may_be))
            count("characters", who <= there <= who + may_be)
            count("place", read.place == frame.place, frame.place != "")
            count("time", read.time == frame.time, frame.time is not None)
            count("weather", read.weather == frame.weather, frame.weather is not None)
            for fact, told, mine in (
                ("garments", frame.garments, [(c.kind, c.garment) for c in read.characters]),
                ("actions", frame.actions, [(c.kind, c.action) for c in read.characters]),
                ("faces", frame.faces, [(c.kind, c.face) for c in read.characters]),
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


def told_frames(story: ToldStory, world: ToldWorld = FIRST) -> list[SaidFrame]:
    """What a told story says; actions of whom a frame does not mention are left out, and so are faces, hours and weathers before the first that is
    not the usual one."""
    labels, frames = world.labels, []
    felt: set[int] = set()
    told: set[str] = set()
    for m in range(len(story.sentences)):
        row = {name: values[m] for name, values in story.facts.items()}
        slots = [slot for slot, seen in enumerate(row["seen"]) if seen == 1]
        kind = {slot: labels["kinds"][row["kinds"][slot]] for slot in slots}
        faces = row.get("faces", [])
        felt = {slot for slot in slots if faces and faces[slot] != IGNORED and (faces[slot] or slot in felt)}
        told |= {fact for fact in ("times", "weathers") if row.get(fact, 0) > 0}
        sky = [labels[fact][row[fact]] if fact in told and row[fact] != IGNORED else None for fact in ("times", "weathers")]
        things = {slot: labels["props"][row["props"][slot] - 1] for slot in slots if row["props"][slot] > 0}
        hues = {slot: labels["prop_colors"][row["prop_colors"][slot] - 1] for slot in things if row["prop_colors"][slot] > 0}
        frames.append(
            SaidFrame(
                who=list(kind.values()),
                place=labels["places"][row["places"]] if row["places"] != IGNORED else "",
                garments=[(kind[slot], labels["garments"][row["garments"][slot] - 1]) for slot in slots if row["garments"][slot] > 0],
                actions=[(kind[slot], labels["actions"][row["actions"][slot]]) for slot in slots if row["weights"][slot] == 1],
                props=[(kind[slot], f"{hues[slot]} {thing}" if slot in hues else thing) for slot, thing in things.items()],
                open=[labels["kinds"][row["kinds"][slot]] for slot, seen in enumerate(row["seen"]) if seen == IGNORED],
                faces=[(kind[slot], labels["faces"][faces[slot]]) for slot in slots if slot in felt],
                time=sky[0],
                weather=sky[1],
            )
        )
    return frames
