"""What stands in a tale's gaps, drawn anew each time it is told. `toonstories/tales.py` describes them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from story_ldm.data.toonstories.free.inflect import forms
from story_ldm.data.toonstories.free.names import TITLES, draw_names
from story_ldm.data.toonstories.free.people import FORMS
from story_ldm.data.toonstories.free.templates import Template, pick
from story_ldm.data.toonstories.free.text import Text
from story_ldm.data.toonstories.told import ToldWorld
from story_ldm.data.toonstories.world import Dice

if TYPE_CHECKING:
    from story_ldm.data.toonstories.tales import Tale, TaleFrame

GAP = re.compile(r"\{([^{}]*)\}")
MENTION = re.compile(r"\{([A-D])(?:\.(?:kind|[Hh]e(?:'s)?|[Hh]im|[Hh]is|[Hh]imself))?\}")
PLACE_LETTERS, ACTION_LETTERS, FACE_LETTERS = "PQR", "VWX", "FG"
SKY_LETTERS = {"H": "times", "Y": "weathers"}


class Gaps:
    """What stands in a tale's gaps, this time."""

    def __init__(self, tale: Tale, dice: Dice, split: str, world: ToldWorld):
        self.dice, self.world = dice, world
        labels, words = world.labels, world.words
        literal = {name: {value for frame in tale.frames for value in getattr(frame, name).values()} for name in ("garments", "actions")}
        self.kinds = self._kinds(tale)
        self.nouns = {letter: self._words(words.KINDS[labels["kinds"].index(kind)]) for letter, kind in self.kinds.items()}
        free = [pronoun for pronoun in ("he", "she", "it") if pronoun not in {pronoun for _, _, pronoun in tale.cast.values()}]
        self.pronouns = {}
        usual = {letter: world.usual_pronouns.get(kind) for letter, kind in self.kinds.items()}
        free = [pronoun for pronoun in free if pronoun not in usual.values()]
        for letter, (_, _, pronoun) in tale.cast.items():  # different ones, as far as they go: the writer relies on it
            if pronoun == "any":
                pronoun = usual[letter] or dice.weighted({p: 1 if p == "it" else 3 for p in free or ("he", "she", "it")})
                free = [p for p in free if p != pronoun]
            self.pronouns[letter] = pronoun
        self.names = self._names(split)
        colors = [color for color in labels["garments"] if color not in literal["garments"]]
        self.colors = dice.sample_distinct(colors, len(colors))
        self.worn: dict[str, str] = {}
        self.old: dict[str, str] = {}
        self.stated: set[str] = set()
        places = [place for place in labels["places"] if place not in {frame.place for frame in tale.frames}]
        self.places = dict(zip(PLACE_LETTERS, dice.sample_distinct(places, 3)))
        acting = [action for action in labels["actions"] if action not in ("stand", *world.pairs)]
        spare = [action for action in acting if action not in literal["actions"]]  # the others are used only where these do not suffice
        rest = [action for action in acting if action in literal["actions"]]
        self.actions = dict(zip(ACTION_LETTERS, [*dice.sample_distinct(spare, len(spare)), *rest]))
        self.things = {"T": (dice.pick(labels["prop_colors"]), dice.pick(labels["props"]))}
        plain = dice.chance(0.6)  # words for colours and for the props
        self.color_words = {
            color: color if plain else self._words(source) for color, source in zip(labels["garments"], words.COLOR_WORDS, strict=True)
        }
        if world.prop_letters != "T":
            others = [thing for thing in labels["props"] if thing != self.things["T"][1]]
            self.things["U"] = (dice.pick(labels["prop_colors"]), dice.pick(others))
        self.thing_words = {
            letter: thing if plain else self._words(words.PROP_WORDS[labels["props"].index(thing)]) for letter, (_, thing) in self.things.items()
        }
        self.faces: dict[str, str] = {}
        self.sky: dict[str, str] = {}
        if "faces" in labels:
            told = {value for frame in tale.frames for value in (*frame.faces.values(), *frame.sky)}
            faces = [face for face in labels["faces"][1:] if face not in told]
            drawn = dice.sample_distinct(faces, len(faces))
            self.faces = dict(zip(FACE_LETTERS, drawn + [face for face in labels["faces"][1:] if face not in drawn]))
            for letter, fact in SKY_LETTERS.items():
                self.sky[letter] = dice.pick([value for value in labels[fact] if value not in told] or labels[fact])

    def _kinds(self, tale: Tale) -> dict[str, str]:
        """Kinds that are not the tale's own, whose usual pronoun, if they have one, is the tale's and is that of nobody else."""
        usual = self.world.usual_pronouns
        spare = [kind for kind in self.world.labels["kinds"] if kind not in {kind for kind, _, _ in tale.cast.values()}]
        drawn = self.dice.sample_distinct(spare, len(spare) if usual else len(self.world.letters))
        taken = {usual.get(kind, pronoun) for kind, _, pronoun in tale.cast.values()}
        kinds: dict[str, str] = {}
        for letter, (kind, _, pronoun) in tale.cast.items():
            if kind == "any":
                fits = (lambda p: p not in taken) if pronoun == "any" else (lambda p, pronoun=pronoun: p == pronoun)
                kind = next(kind for kind in reversed(drawn) if kind not in usual or fits(usual[kind]))
                drawn.remove(kind)
                taken.add(usual.get(kind, pronoun))
            kinds[letter] = kind
        return kinds

    def _names(self, split: str) -> dict[str, str]:
        names: dict[str, str] = {}
        for letter, pronoun in self.pronouns.items():
            for _ in range(40):
                drawn = draw_names(self.dice, split, 1)[0]
                suits = pronoun in ("it", "they") or drawn.pronoun in ("", pronoun) or self.dice.chance(0.02)
                if suits and drawn.full not in names.values():
                    break
            name = drawn.short if drawn.short and self.dice.chance(0.2) else drawn.full
            if self.dice.chance(0.08):
                name = f"{self.dice.pick(TITLES[pronoun if pronoun in TITLES else ''])} {name}"
            names[letter] = name
        return names

    def begin(self, frame: TaleFrame) -> None:
        """Dresses those whose clothes the frame mentions."""
        self.old = dict(self.worn)
        for letter, value in frame.garments.items():
            if value.startswith("="):
                self.worn[letter] = self.old.get(value[1], self.worn.get(value[1], "")) or self._color(value[1])
            elif value == "new":
                self.worn[letter] = self._color(letter, new=True)
            elif value == "color":
                self._color(letter)
            else:
                self.worn[letter] = value
            self.stated.add(letter)

    def _color(self, letter: str, new: bool = False) -> str:
        if new or letter not in self.worn:
            taken = set(self.worn.values()) | ({self.old[letter]} if letter in self.old else set())
            self.worn[letter] = next(color for color in [*self.colors, *self.world.labels["garments"]] if color not in taken)
            if new and letter not in self.old:
                self.old[letter] = next(color for color in self.colors if color not in self.worn.values())
        return self.worn[letter]

    def filled(self, template: str) -> Text:
        """The template with its gaps filled in; words that mean characters refer to them by the codes of their letters."""
        text = GAP.sub(lambda found: self._gap(found[1]), template)
        text = re.sub(r"\b([Aa])n? (?=(?:\0[A-D])?[aeiou]\w)(?!(?:\0[A-D])?(?:one\b|uni|use))", r"\1n ", text)
        text = re.sub(r"\b([Aa])n (?=(?:\0[A-D])?[bcdfgjklmnpqrstvwxyz]\w)", r"\1 ", text)
        filled = Text()
        for part in text.split("\0"):  # what a gap has put between two of these begins with the letter of its character
            mention = len(filled.pieces) % 2
            filled.pieces.append((part[1:], "name", (ord(part[0]),)) if mention else (part, "", ()))
        return filled

    def _gap(self, gap: str) -> str:
        words = self._plain_gap(gap)
        means = MENTION.fullmatch(f"{{{gap}}}")
        return f"\0{gap[0]}{words}\0" if means else words

    def _plain_gap(self, gap: str) -> str:
        words = self._lower(gap[0].lower() + gap[1:] if gap[:2] in ("In", "To", "Fr") else gap)
        part = gap.partition(".")[2]
        return words[0].upper() + words[1:] if part[:1].isupper() or gap[:2] in ("In", "To", "Fr") else words

    def _lower(self, gap: str) -> str:
        head, _, form = gap.partition(".")
        form = form.lower()
        if head in self.names:
            if form == "":
                return self.names[head]
            if form == "kind":
                return self.nouns[head]
            if form in ("color", "old"):
                return self.color_words[self._color(head) if form == "color" else self.old.get(head) or self._color(head)]
            subject, them, their, themselves = FORMS[self.pronouns[head]]
            if form == "he's":
                return f"{subject}'s"
            return {"he": subject, "him": them, "his": their, "himself": themselves}[form]
        if head in self.actions:
            lemma = self.actions[head]
            third, ing, past, _ = forms(lemma)
            return {"": lemma, "s": third, "ing": ing, "ed": past}[form]
        labels, words = self.world.labels, self.world.words
        if head in self.things:
            color, thing = self.color_words[self.things[head][0]], self.thing_words[head]
            return {"": f"{color} {thing}", "thing": thing, "color": color}[form]
        if head in self.faces:
            return self._words({"": words.FACE_ADJECTIVES, "ly": words.FACE_ADVERBS}[form][labels["faces"].index(self.faces[head])])
        if head in self.sky:
            table = {"H": words.TIME_NOUNS, "Y": words.WEATHER_ADJECTIVES}[head]
            return self._words(table[labels[SKY_LETTERS[head]].index(self.sky[head])])
        how, _, letter = head.rpartition(" ")
        number = labels["places"].index(self.places[letter])
        if how == "from":
            return f"from {self._words(words.PLC[number])}"
        return self._words({"in": words.LOC, "to": words.GOAL, "": words.PLC}[how][number])

    def _words(self, source: str) -> str:
        """A plain alternative of a phrase table, without verbs and slots."""
        return re.sub(r"\s+", " ", _plain(pick(_plain_alternatives(source, self.world), self.dice), self.dice)).strip()


@cache
def _plain_alternatives(source: str, world: ToldWorld) -> tuple[Template, ...]:
    return tuple(nodes for nodes in world.alternatives(source) if all(kind in ("text", "pick") for kind, _ in nodes))


def _plain(nodes: Template, dice: Dice) -> str:
    return "".join(value if kind == "text" else _plain(pick(value, dice), dice) for kind, value in nodes)
