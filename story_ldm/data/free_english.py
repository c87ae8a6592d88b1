"""Stories in free English, written by hand, with what each frame's sentences say.

    for story in read_stories("tests/data/free_english.txt"):
        print(story.level, story.voice, story.sentences, story.said)

The form of the file:

    ## LEVEL | VOICE                                                 begins a story
    @ LETTER KIND PRONOUN NAME                                       a character; the name may be missing
    SENTENCES | WHO | PLACE | GARMENTS | ACTIONS | PROP              a frame

WHO: the letters of all who are to be seen; in parentheses whom the text leaves open. GARMENTS, ACTIONS: LETTER:value, those that this frame's text
states, new or changed; a garment stays until it changes. PROP: LETTER:colour thing of who holds it in this frame, several separated by commas; the
colour is missing where the text leaves it open. "-": none.

Stories of ToonStories 2 may have two columns more: … | FACES | SKY. FACES: LETTER:face, those that this frame's text states, new or changed; a face
stays until another is told, or its owner leaves. SKY: hour and weather that this frame's text states ("night, rain"); they stay.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from story_ldm.data.toonstories2.told import LABELS
from story_ldm.files import regular_file


@dataclass
class SaidFrame:
    """What a frame's sentences say so far. Characters are given by kind, two of one kind twice; what is not said is left out."""

    who: list[str]  # to be seen
    place: str
    garments: list[tuple[str, str]] = field(default_factory=list)  # (kind, colour)
    actions: list[tuple[str, str]] = field(default_factory=list)
    props: list[tuple[str, str]] = field(default_factory=list)  # (kind, "red ball")
    open: list[str] = field(default_factory=list)  # may be seen or not
    faces: list[tuple[str, str]] = field(default_factory=list)
    time: str | None = None
    weather: str | None = None


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
    faces: dict[str, str] = {}
    sky: dict[str, str] = {}
    try:
        text = regular_file(Path(file)).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text in UTF-8: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.startswith("## "):
                level, voice = line.removeprefix("## ").split(" | ")
                stories.append(HandWrittenStory(level, voice))
                kinds, garments, faces, sky = {}, {}, {}, {}
            elif line.startswith("@ "):
                letter, kind = line.split()[1:3]
                kinds[letter] = _known("kinds", kind)
            elif line.strip() and not line.startswith("#"):
                columns = [column.strip() for column in line.split(" | ")]
                sentences, who, place, worn, done, held, felt, above = [*columns, "-", "-"][: max(8, len(columns))]
                garments.update(_by_letter(worn, kinds, "garments"))
                seen, may_be = re.fullmatch(r"(\w*)(?:\((\w+)\))?", "" if who == "-" else who).groups("")  # type: ignore[union-attr]
                faces = {letter: face for letter, face in (faces | _by_letter(felt, kinds, "faces")).items() if letter in seen + may_be}
                sky |= {"times" if value in LABELS["times"] else "weathers": value for value in _parts(above)}
                props = _by_letter(held, seen + may_be)
                for value in props.values():
                    color, _, thing = value.partition(" ")
                    _known("props", thing if color in LABELS["prop_colors"] else value)
                stories[-1].sentences.append(sentences)
                stories[-1].said.append(
                    SaidFrame(
                        who=[kinds[letter] for letter in seen],
                        place=_known("places", place),
                        garments=[(kinds[letter], value) for letter, value in garments.items() if letter in seen],
                        actions=[(kinds[letter], value) for letter, value in _by_letter(done, seen + may_be, "actions").items() if letter in seen],
                        props=[(kinds[letter], value) for letter, value in props.items() if letter in seen],
                        open=[kinds[letter] for letter in may_be],
                        faces=[(kinds[letter], value) for letter, value in faces.items() if letter in seen],
                        time=sky.get("times"),
                        weather=_known("weathers", sky["weathers"]) if "weathers" in sky else None,
                    )
                )
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{file}, line {number} is {line!r}; it must have the form in the header of story_ldm.data.free_english") from error
    return stories


def _known(fact: str, value: str) -> str:
    if value not in LABELS[fact]:
        raise ValueError(f"{value!r} is none of the {fact}")
    return value


def _parts(column: str) -> list[str]:
    return [] if column == "-" else [part.strip() for part in column.split(",")]


def _by_letter(facts: str, letters: Container[str], fact: str | None = None) -> dict[str, str]:
    """ "B:red,D:blue" → {"B": "red", "D": "blue"}. Raises ValueError for a letter that is nobody's, and a value that is none of the fact's."""
    found: dict[str, str] = {}
    for part in _parts(facts):
        letter, value = part.split(":")
        if letter not in letters:
            raise ValueError(f"{letter} is nobody who may be seen")
        found[letter] = value if fact is None else _known(fact, value)
    return found
