"""The habits of a story's writer, and its characters' names and pronouns, drawn once per story."""

from __future__ import annotations

from dataclasses import dataclass

from story_ldm.data.toonstories.free import phrases
from story_ldm.data.toonstories.free.names import TITLES, Name, draw_names
from story_ldm.data.toonstories.free.people import Person
from story_ldm.data.toonstories.free.templates import table
from story_ldm.data.toonstories.world import CHARACTERS, Dice, Story, kind_of

# voice → share of the stories, share of them in the past tense
VOICES = {
    "adult": (33, 0.5),
    "bedtime": (15, 0.85),
    "child": (14, 0.6),
    "panel": (11, 0.0),
    "caption": (11, 0.03),
    "learner": (9, 0.35),
    "chat": (7, 0.3),
}


@dataclass(frozen=True)
class Style:
    """A writer's habits; numbers are chances unless the comment says otherwise."""

    voice: str
    past: bool
    shifting: bool  # the tense changes from frame to frame
    progressive: float
    contractions: float
    pronouns: float  # weight
    kinds: float  # weight of "the bear" relative to the name
    describing: float  # adjectives on nouns
    adverbs: float
    links: float  # "Then, …"
    asides: float  # a sentence that changes nothing
    onlookers: float
    places: float  # the place is said again
    exclaiming: float
    quotes: str  # opening and closing mark
    mine: bool  # "our bear"
    bare_verbs: bool  # "he jump"
    restating: float  # a garment that was mentioned is mentioned again


def draw_style(dice: Dice) -> Style:
    voice = dice.weighted({voice: share for voice, (share, _) in VOICES.items()})
    terse = voice in ("panel", "caption")
    return Style(
        voice=voice,
        past=dice.chance(VOICES[voice][1]),
        shifting=voice in ("child", "learner", "chat") and dice.chance(0.15),
        progressive=dice.pick((0.0, 0.1, 0.2, 0.6)) if not terse else 0.3,
        contractions=dice.pick((0.0, 0.3, 0.9)) if voice not in ("caption", "learner") else 0.0,
        pronouns=dice.pick((0.3, 1.0, 2.0)) * (0.3 if terse else 1.0),
        kinds=dice.pick((0.2, 0.6, 1.5)),
        describing=dice.pick((0.0, 0.15, 0.35)) + (0.15 if voice == "bedtime" else 0.0),
        adverbs=0.05 if terse else dice.pick((0.05, 0.2, 0.35)),
        links=0.0 if voice == "panel" else 0.05 if voice == "caption" else dice.pick((0.1, 0.25, 0.5)) + (0.2 if voice == "child" else 0.0),
        asides=0.06 if terse else dice.pick((0.1, 0.3, 0.55)) + (0.15 if voice == "bedtime" else 0.0),
        onlookers=dice.pick((0.2, 0.45, 0.7)),
        places=dice.pick((0.15, 0.3, 0.5)),
        exclaiming={"child": 0.3, "bedtime": 0.15, "chat": 0.15, "adult": 0.08}.get(voice, 0.02),
        quotes=dice.pick(('""', '""', '""', "“”", "''")),
        mine=voice in ("bedtime", "child") and dice.chance(0.5),
        bare_verbs=voice == "learner" and dice.chance(0.6),
        restating=dice.pick((0.0, 0.03, 0.1)),
    )


def draw_people(story: Story, style: Style, dice: Dice) -> dict[int, Person]:
    """The cast as this writer names it: residents in a third of the stories, else any names, or none."""
    manner = dice.weighted({"residents": 36, "free": 52, "nameless": 12})
    if style.voice == "caption" and dice.chance(0.6):
        manner = "nameless"
    free = draw_names(dice, story.split, len(story.cast))
    plan = dice.weighted({"noun": 58, "sentence": 12, "late": 20, "never": 10})
    if style.voice == "caption" and dice.chance(0.3):
        plan = "sentence"
    people, taken = {}, set()
    for c, drawn in zip(story.cast, free):
        name: Name | None = drawn
        title, resident = "", False
        if manner == "residents":
            resident = not dice.chance(0.03) and c < len(CHARACTERS)
            namesake = c if resident else dice.pick([k for k in range(len(CHARACTERS)) if k not in story.cast and k not in taken] or [c])
            pronoun = CHARACTERS[namesake].pronoun
            name = Name(CHARACTERS[namesake].name, "", "" if pronoun == "it" else pronoun)
            resident = namesake == c
            taken.add(namesake)
        elif (manner == "nameless" or dice.chance(0.08)) and not any(kind_of(k) == kind_of(c) for k in story.cast if k != c):
            name = None
        elif dice.chance(0.12):
            suggested = dice.pick(("", drawn.pronoun or dice.pick(("he", "she"))))
            title = dice.pick(TITLES[suggested])
        usual = name.pronoun if name else ""
        if title and not usual:
            usual = next(pronoun for pronoun, titles in TITLES.items() if title in titles)
        if not usual or (not resident and dice.chance(0.05)):
            usual = dice.weighted({"he": 33, "she": 33, "it": 22, "they": 12})
        noun = dice.pick(table(phrases.KINDS[kind_of(c)]))[0][1]
        if name and (title or dice.chance(0.7)):
            name = name._replace(short="")
        may_wait = manner != "residents" or resident
        people[c] = Person(
            c, usual, name, title, noun, resident, may_wait, dice.pick(("noun", "late", "never", "sentence")) if dice.chance(0.2) else plan
        )
    return people
