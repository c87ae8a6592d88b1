"""Names of the free form's characters: any name for any kind, a fifth of the names in the test splits only."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from story_ldm.data.toonstories.world import Dice, seeded_by

NAMES_FILE = Path(__file__).with_name("names.txt")
TITLES = {  # the pronoun that a title suggests ("" for either) → titles
    "she": ("Mrs", "Miss", "Aunt", "Auntie", "Grandma", "Granny", "Princess", "Queen", "Lady", "Sister"),
    "he": ("Mr", "Uncle", "Grandpa", "Prince", "King", "Sir", "Brother"),
    "": ("Captain", "Doctor", "Professor", "Chef", "Baby", "Cousin", "Major", "Officer", "Detective", "Coach", "Commander"),
}


class Name(NamedTuple):
    full: str
    short: str  # "" where nobody shortens it
    pronoun: str  # of most who bear it; "" for either


@cache
def all_names() -> tuple[Name, ...]:
    found: dict[str, Name] = {}
    for line in NAMES_FILE.read_text().splitlines():
        letter, _, names = line.partition(" ")
        for entry in names.split() if letter != "#" else ():
            full, _, short = entry.partition("=")
            found.setdefault(full, Name(full, short, {"f": "she", "m": "he", "x": ""}[letter]))
    return tuple(found.values())


def held_out_name(name: str) -> bool:
    """Whether only the test splits use this name: a fifth of all."""
    return seeded_by("toonstories", "name", name) % 5 == 0


@cache
def names_for(split: str) -> tuple[Name, ...]:
    """The names that stories of a split draw from, a test split's own and common ones at even odds."""
    common = tuple(name for name in all_names() if not held_out_name(name.full))
    own = tuple(name for name in all_names() if held_out_name(name.full))
    return common + 4 * own if split.startswith("test") else common


def draw_names(dice: Dice, split: str, count: int) -> list[Name]:
    """`count` names of which no two share a form."""
    drawn: list[Name] = []
    while len(drawn) < count:
        name = dice.pick(names_for(split))
        if not {name.full, name.short} & {form for other in drawn for form in (other.full, other.short) if form}:
            drawn.append(name)
    return drawn
