"""The writer of a story of ToonStories 2: the first world's, who can also tell faces, looks, hours and weathers, and what is done to somebody."""

from __future__ import annotations

from dataclasses import dataclass

from story_ldm.data.toonstories.free.garments import Unclear
from story_ldm.data.toonstories.free.names import TITLES
from story_ldm.data.toonstories.free.people import Person
from story_ldm.data.toonstories.free.style import Style
from story_ldm.data.toonstories.free.templates import Template, pick
from story_ldm.data.toonstories.free.writer import Writer
from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2.free.tables import TABLES, alternatives
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, HAIRS, KINDS, PEOPLE
from story_ldm.data.toonstories2.text import FUR_WORDS
from story_ldm.data.toonstories2.world import PAIRS, Frame, Story, kind_of


@dataclass
class Character(Person):
    """A person of whose kind, or else name, a pronoun is expected."""

    expected: str = ""

    @property
    def usual(self) -> str:
        return self.expected


def draw_people(story: Story, style: Style, dice: Dice) -> dict[int, Person]:
    """The cast as this writer names it: by the story's names, with titles at times, or without a name."""
    test = story.split.startswith("test")
    nameless = dice.chance(0.5 if style.voice == "caption" else 0.1)
    plan = dice.weighted({"noun": 58, "sentence": 12, "late": 20, "never": 10})
    if style.voice == "caption" and dice.chance(0.3):
        plan = "sentence"
    people: dict[int, Person] = {}
    for c in story.cast:
        name, pronoun, title, person = story.names[c], story.pronouns[c], "", KINDS[kind_of(c)] in PEOPLE
        twin = any(kind_of(k) == kind_of(c) for k in story.cast if k != c)
        bare = (nameless or dice.chance(0.08)) and not twin
        if not bare and dice.chance(0.1):
            title = dice.pick([title for title in TITLES[pronoun if pronoun in TITLES and dice.chance(0.7) else ""] if title != "Lady"])  # a kind
        if title or dice.chance(0.7):
            name = name._replace(short="")
        noun = pick(alternatives(TABLES.KINDS[kind_of(c)], test), dice)[0][1]
        garment = dice.pick(("noun", "late", "never", "sentence")) if dice.chance(0.2) else plan
        expected = story.usual_pronoun(c) if person or not bare else ""
        people[c] = Character(c, pronoun, None if bare else name, title, noun, False, not person, garment, expected)
    if any(person.name is None for person in people.values()):  # "Max waves. What about the cat?" would leave open whether Max is the cat
        for somebody in people.values():
            somebody.may_wait = False
    return people


class StateWriter(Writer):
    t = TABLES
    colors = COLORS
    kind_of = staticmethod(kind_of)

    def __init__(self, story: Story, style: Style, people: dict[int, Person], dice: Dice):
        super().__init__(story, style, people, dice)
        self.test = story.split.startswith("test")
        self.looks_told: set[int] = set()
        self.sky_due: tuple[str, ...] = ()
        self.felt_due: set[int] = set()
        self.adjectives: dict[str, tuple[int, str]] = {}  # of an introduction to come → whose, and what it tells
        self.target: int | None = None  # to whom the event's action is done

    def begin_frame(self, frame: Frame, before: list[int], old_place: int | None) -> None:
        super().begin_frame(frame, before, old_place)
        self.faces = dict(zip(frame.characters, frame.faces, strict=True))
        self.sky_due, self.felt_due, self.target = frame.sky, set(frame.felt), frame.event.at

    def saved(self) -> tuple:
        return super().saved(), self.sky_due, set(self.felt_due), set(self.looks_told)

    def restore(self, saved: tuple) -> None:
        first, self.sky_due, self.felt_due, self.looks_told = saved
        super().restore(first)

    def choose(self, source: str) -> Template:
        return pick(alternatives(source, self.test), self.dice)

    def thing_of(self, frame: Frame) -> tuple[int, int]:
        return frame.event.prop or (0, 0)

    def others_words(self, count: int) -> str:
        return self.t.OTHERS_BY_COUNT[count]

    # --- what somebody looks like and feels ---------------------------------------------------------------------------------------------------

    def look_word(self, c: int, alone: bool = False) -> str:
        """A word for the look before the kind, "" where there is none; `alone`: before "hair", of a person."""
        kind, look = KINDS[kind_of(c)], self.story.looks[c]
        return self.word(self.t.HAIR_WORDS[look % len(HAIRS)][alone]) if kind in PEOPLE else FUR_WORDS[kind][look]

    def describes(self, c: int) -> bool:
        new = c not in self.talk.introduced
        return self.dice.chance(max(self.style.describing, 0.4) if new else self.style.describing)

    def adjective(self, c: int) -> str:
        new, face = c not in self.talk.introduced, self.faces.get(c, 0)
        self.adjectives = {}
        told = "face" if c in self.felt_due and self.dice.chance(0.5) else "look" if c not in self.looks_told and self.dice.chance(0.7) else ""
        if new and told:
            word = self.word(self.t.FACE_ADJECTIVES[face]) if told == "face" else self.look_word(c)
            if word:
                self.adjectives = {word: (c, told)}
                return word
        if not new and c in self.looks_told and self.dice.chance(0.25) and self.look_word(c):
            return self.look_word(c)
        if not new and face and c not in self.felt_due and self.dice.chance(0.15):
            return self.word(self.t.FACE_ADJECTIVES[face])
        return super().adjective(c)

    def refer(self, words: str, how: str, who: tuple[int, ...]) -> None:
        super().refer(words, how, who)
        if how == "introduction":
            for word, (c, told) in self.adjectives.items():
                if who == (c,) and f"{word} " in words:
                    (self.felt_due.discard if told == "face" else self.looks_told.add)(c)
            self.adjectives = {}

    def felt_alike(self) -> bool:
        """Whether all subjects of the clause have the same face, which is yet to be told and an adverb can tell."""
        who = self.subject
        return bool(who) and self.felt_due.issuperset(who) and len({self.faces[c] for c in who}) == 1 and self.faces[who[0]] > 0

    def wants_adverb(self) -> bool:
        return super().wants_adverb() or (self.felt_alike() and self.dice.chance(0.4))

    def adverb(self) -> str:
        if not self.felt_alike():
            return super().adverb()
        self.felt_due -= set(self.subject)
        return self.word(self.t.FACE_ADVERBS[self.faces[self.subject[0]]])

    # --- slots ---------------------------------------------------------------------------------------------------------------------------------

    def action_source(self, name: str, action: int) -> str:
        if name == "V" and self.target is not None:
            return self.t.PAIR_AT[ACTIONS[action]] if action in PAIRS else self.t.ACTION_AT[ACTIONS[action]]
        if name == "W":
            return self.t.WATCH if self.frame.event.watching else self.t.IDLE
        return super().action_source(name, action)

    def plain_action(self) -> None:
        if self.target is None:
            super().plain_action()
        else:
            self.acted = True
            self.run_table(self.t.PLAIN_AT[ACTIONS[self.doing]])

    def inverted_action(self) -> None:
        if self.target is not None:
            raise Unclear
        super().inverted_action()

    def somebody(self) -> None:
        """{X}: nobody who is there, for whoever greets one of them is turned to that one."""
        self.text.put("the " + self.word(self.t.GREETED))

    def feeling(self) -> None:
        self.run_table((self.t.FACE_PLAIN if self.plainly else self.t.FACE)[self.faces[(self.subject or self.roles["S"])[0]]])

    def sky(self) -> None:
        """{sky}: hour and weather, where they are due, as they are at first or as they come."""
        frame, first = self.frame, self.number == 1
        tables = {
            "time": (self.t.TIME_NOW if first else self.t.TIME_COMES)[frame.time],
            "weather": (self.t.WEATHER_NOW if first else self.t.WEATHER_COMES)[frame.weather],
        }
        if not self.sky_due:
            raise Unclear
        for k, name in enumerate(self.sky_due):
            self.text.put(" and " if k else "")
            self.run_table(tables[name])
        self.sky_due = ()

    def sky_was_told(self) -> None:
        self.sky_due = ()

    plainly = False
    other_slots = Writer.other_slots | {
        "X": somebody,
        "V0": plain_action,
        "inverted": inverted_action,
        "P": feeling,
        "sky": sky,
        "skytold": sky_was_told,
        "hair": lambda self: self.text.put(self.look_word(self.roles["S"][0], True)),
        "fur": lambda self: self.text.put(self.look_word(self.roles["S"][0])),
    }
