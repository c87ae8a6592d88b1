"""Stories in free English, written by hand, with what each frame's sentences say.

    for story in read_stories("tests/data/free_english.txt"):
        print(story.level, story.voice, story.sentences, story.said)

The form of the file:

    ## LEVEL | VOICE                                                 begins a story
    @ LETTER KIND PRONOUN NAME                                       a character; the name may be missing
    SENTENCES | WHO | PLACE | GARMENTS | ACTIONS | PROP              a frame

WHO: the letters of all who are to be seen; in parentheses whom the text leaves open. GARMENTS, ACTIONS: LETTER:value, those that this frame's text
states, new or changed; a garment stays until it changes. PROP: LETTER:colour thing of who holds it in this frame. "-": none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class SaidFrame:
    """What a frame's sentences say so far. Keys of the tables are kinds of characters; what is not said is left out."""

    who: set[str]  # to be seen
    place: str
    garments: dict[str, str] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    props: dict[str, str] = field(default_factory=dict)  # "red ball"
    open: set[str] = field(default_factory=set)  # may be seen or not


@dataclass
class HandWrittenStory:
    level: str
    voice: str
    sentences: list[str] = field(default_factory=list)
    said: list[SaidFrame] = field(default_factory=list)


def read_stories(file: str | Path) -> list[HandWrittenStory]:
    """The stories of a file. Raises ValueError, with the line, for one that does not have the form."""
    stories: list[HandWrittenStory] = []
    kinds: dict[str, str] = {}
    garments: dict[str, str] = {}
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.startswith("## "):
                level, voice = line.removeprefix("## ").split(" | ")
                stories.append(HandWrittenStory(level, voice))
                kinds, garments = {}, {}
            elif line.startswith("@ "):
                letter, kind = line.split()[1:3]
                kinds[letter] = kind
            elif line.strip() and not line.startswith("#"):
                sentences, who, place, worn, done, held = line.split(" | ")
                garments.update(_by_kind(worn, kinds))
                outside, inside = re.fullmatch(r"(\w*)(?:\((\w+)\))?", "" if who == "-" else who).groups("")  # type: ignore[union-attr]
                seen = {kinds[letter] for letter in outside}
                stories[-1].sentences.append(sentences)
                stories[-1].said.append(
                    SaidFrame(
                        who=seen,
                        place=place,
                        garments={kind: value for kind, value in garments.items() if kind in seen},
                        actions=_by_kind(done, kinds),
                        props=_by_kind(held, kinds),
                        open={kinds[letter] for letter in inside},
                    )
                )
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{file}, line {number} is {line!r}; it must have the form in the header of story_ldm.data.free_english") from error
    return stories


def _by_kind(facts: str, kinds: dict[str, str]) -> dict[str, str]:
    """ "B:red,D:blue" → {"bear": "red", "duck": "blue"}"""
    return {} if facts == "-" else {kinds[letter]: value for letter, _, value in (fact.partition(":") for fact in facts.split(","))}
