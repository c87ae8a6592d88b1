"""The writer of one story: fills templates in, with verbs that agree and references that are clear.

Over 350 lines: one state, which every slot of a template reads or changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from story_ldm.data.toonstories.free.garments import Garment, Unclear
from story_ldm.data.toonstories.free.inflect import MODALS, STATES, finite, forms, negated, with_article
from story_ldm.data.toonstories.free.noun_phrases import many, one
from story_ldm.data.toonstories.free.people import FORMS, Discourse, Person
from story_ldm.data.toonstories.free.style import Style
from story_ldm.data.toonstories.free.tables import TABLES, Tables
from story_ldm.data.toonstories.free.templates import Template, pick, table
from story_ldm.data.toonstories.free.text import Text
from story_ldm.data.toonstories.world import COLORS, Dice, kind_of

WORDS = {  # slot → table
    "adj": "ADJECTIVES",
    "too": "TOO",
    "topic": "TOPIC",
    "seat": "SEAT",
    "thing": "THING",
    "box": "BOX",
    "greeted": "GREETED",
    "front": "FRONT",
    "F": "FIDGET",
    "one_day": "ONE_DAY",
}
BY_PLACE = {"loc": "LOC", "goal": "GOAL", "plc": "PLC", "heading": "HEADING"}
AT = ("slot", ("At", ""))
ROLES = frozenset("SONLABRHGT")
SHORT_BEFORE = ("it ", "that ", "there ", "here ", "who ", "what ")  # words that "is" is contracted with


class Writer:
    """`t`, `colors` and `kind_of` are the world's, as are the types of stories and frames."""

    t: Tables = TABLES
    colors: tuple[str, ...] = COLORS
    kind_of = staticmethod(kind_of)

    def __init__(self, story: Any, style: Style, people: dict[int, Person], dice: Dice):
        self.story, self.style, self.people, self.dice = story, style, people, dice
        self.talk = Discourse(people)
        self.text = Text()
        self.past = style.past
        self.owes_kind: list[int] = []  # introduced by a bare name: the kind is due in this frame
        self.owes_garment: list[int] = []
        self.worn: dict[int, Garment] = {}  # as the writer first thought of it
        self.garments = dict(story.garments)  # as of this frame
        self.garment_values: dict[str, str] = {}  # of the garment slots
        self.prop_nouns: dict[int, str] = {}
        self.number = 0  # of the frame, from 1
        self.others_do = 0  # what {U} is

    # --- one frame, one sentence -----------------------------------------------------------------------------------------------------------

    def begin_frame(self, frame: Any, before: list[int], old_place: int | None) -> None:
        self.frame, self.text, self.old_place = frame, Text(), old_place
        self.doing = frame.event.action  # what {V} is
        self.thing = self.thing_of(frame)  # what {aP} is
        self.talk.begin_frame(before)
        for c, garment in frame.changed.items():
            if self.garments[c] != garment:
                self.garments[c] = garment
                self.worn.pop(c, None)
                self.talk.garments.discard(c)
                self.talk.garments_before.discard(c)
        self.place_said = self.watched = self.acted = False
        self.others_told: set[int] = set()  # of those whom the event's `also` names
        if self.style.shifting:
            self.past = self.dice.chance(0.5)

    def thing_of(self, frame: Any) -> tuple[int, int]:
        return self.story.prop

    def saved(self) -> tuple:
        return self.talk.saved(), self.text.saved(), list(self.owes_kind), list(self.owes_garment), self.place_said, self.watched, self.acted

    def restore(self, saved: tuple) -> None:
        talk, text, self.owes_kind, self.owes_garment, self.place_said, self.watched, self.acted = saved
        self.talk.restore(talk)
        self.text.restore(text)

    def sentence(self, template: Template, roles: dict[str, list[int]], mark: str = ".", mode: str = "simple", place: bool = False, core=()) -> bool:
        """Writes one sentence, or nothing where a reference in it would not be clear. `place`: {at} or {At} is filled in."""
        saved = self.saved()
        self.roles, self.mode, self.first, self.core = roles, mode, True, core
        self.subject: list[int] = []
        self.plural = self.say_place = False
        self.say_place = place
        self.front = place and AT in (*template, *core) and self.dice.chance(0.35)
        if self.text.pieces:
            self.text.put(" ")
        self.talk.sentence = []
        try:
            self.run(template)
        except Unclear:
            self.restore(saved)
            return False
        self.text.finish(mark)
        return True

    def run(self, template: Template) -> None:
        for kind, value in template:
            if kind == "text":
                self.text.put(value)
            elif kind == "pick":
                self.run(pick(value, self.dice))
            elif kind == "verb":
                self.verb(*value)
            elif kind == "slot":
                self.slot(*value)
            else:
                self.text.comma = False
                self.text.new_sentence()
                self.talk.sentence = []

    def choose(self, source: str) -> Template:
        """A random alternative of a table."""
        return pick(table(source), self.dice)

    def word(self, source: str) -> str:
        """A random entry of a table of plain words."""
        template = self.choose(source)
        return template[0][1] if template else ""

    def run_table(self, source: str) -> None:
        self.run(self.choose(source))

    # --- slots -------------------------------------------------------------------------------------------------------------------------------

    def slot(self, name: str, form: str) -> None:
        if name in ROLES:
            self.role(self.roles[name], form)
        elif name in ("he", "him", "his", "self"):
            self.pronoun(name)
        elif name in ("V", "W", "M", "U"):
            self.action(name, form)
        elif name in WORDS:
            self.run_table(getattr(self.t, WORDS[name]))
        elif name in BY_PLACE:
            self.place_said = True
            self.run_table(getattr(self.t, BY_PLACE[name])[self.frame.place])
        elif name in ("At", "at"):
            if self.say_place and self.front == (name == "At"):
                self.place_said = True
                self.text.put("" if name == "At" else " ")
                self.run_table(self.t.LOC[self.frame.place])
                if name == "At":
                    self.text.put(", " if self.dice.chance(0.8) else " ")
        elif name in ("mood", "mood1"):
            self.run_table((self.t.MOOD if name == "mood" else self.t.MOOD_PLAIN)[self.doing not in (0, 3)])
        elif name in self.other_slots:
            self.other_slots[name](self)
        else:
            self.values(name, form)

    def role(self, who: list[int], form: str) -> None:
        if form == "n":
            self.subject, self.first = who, True
            self.plural = many(self, who, pronoun=self.style.voice == "bedtime" and self.dice.chance(0.15))
        elif form in ("o", "p", "w"):
            plural = many(self, who, "p" if form == "p" else "o", pronoun=form != "w")
            if form == "w":
                self.subject, self.plural = who, plural
        else:
            self.subject, self.first = who, True
            self.plural = many(self, who)

    def refer(self, words: str, how: str, who: tuple[int, ...]) -> None:
        joined = self.text.joined()
        self.text.put(words, how, who)
        self.talk.mention(who, joined)

    def pronoun(self, name: str) -> None:
        """Of the clause's subject; "he" gives way to another reference where it would not be clear, the other cases cannot."""
        case = ("he", "him", "his", "self").index(name)
        who = self.subject
        if not who:
            raise Unclear
        if len(who) > 1:
            clear = self.talk.group_meant() == set(who) and len(self.talk.stage) > 1
            pronoun = "they"
        else:
            clear = self.talk.clear(who[0], case > 0)
            pronoun = self.people[who[0]].pronoun
        if clear:
            if len(who) == 1:
                self.talk.pronouns[who[0]] = pronoun
            self.refer(FORMS[pronoun][case], "pronoun" if len(who) == 1 else "group", tuple(who))
            if case == 0:
                self.plural, self.first = pronoun == "they", True
        elif case == 0:
            self.plural, self.first = many(self, who, pronoun=False), True
        else:
            raise Unclear

    def action(self, name: str, form: str) -> None:
        """{V}, {W}, {M}, {U}: what is done here, by onlookers, as a way to move, and by others; a form of it, or the clause's own."""
        action = self.doing
        if name == "V" and form != "0":
            self.acted = True
        source = self.action_source(name, action)
        self.acted |= name == "M"
        self.watched |= name == "W"
        mode, first = self.mode, self.first
        if form in ("ing", "inf"):
            self.mode = form
        adverb = name == "V" and self.wants_adverb()
        template = self.choose(source)
        self.run(template)
        if adverb and len(template) < 3 and sum(len(node[1].split()) for node in template if node[0] == "text") < 3:
            self.text.put(" " + self.adverb())
        if form in ("ing", "inf"):
            self.mode, self.first = mode, first

    def describes(self, c: int) -> bool:
        """Whether the noun for somebody gets an adjective."""
        return self.dice.chance(self.style.describing)

    def adjective(self, c: int) -> str:
        return self.word(self.t.TRAITS[self.kind_of(c)] if self.dice.chance(0.25) else self.t.ADJECTIVES)

    def others_words(self, count: int) -> str:
        """Words for all on stage but one, who are `count`."""
        return self.t.OTHERS

    def action_source(self, name: str, action: int) -> str:
        t = self.t
        return {"V": t.ACTION[action], "W": t.WATCH, "M": t.MOVING.get(action, ""), "U": t.ACTION[self.others_do]}[name]

    def wants_adverb(self) -> bool:
        return self.dice.chance(self.style.adverbs)

    def adverb(self) -> str:
        return self.word(self.t.ADVERB if self.doing else self.t.CALM_ADVERB)

    def plain_action(self) -> None:
        self.acted = True
        self.run_table(self.t.PLAIN_ACTION[self.doing])

    def inverted_action(self) -> None:
        self.acted = True
        self.run_table(self.t.INVERTED[self.doing])

    def somebody(self) -> None:
        """{X}: somebody else who is there, or the world at large."""
        here = [c for c in self.frame.characters if c not in self.subject and c in self.talk.introduced and c in self.talk.stage]
        if here and self.dice.chance(0.7):
            one(self, self.dice.pick(here), "o")
        else:
            self.text.put("the " + self.word(self.t.GREETED))

    def limb(self) -> None:
        if not self.subject:
            raise Unclear
        c = self.subject[0]
        self.text.put(self.word(self.t.LIMB[self.kind_of(c)]) if len(self.subject) == 1 else "arms")

    def limbs(self) -> None:
        c = (self.subject or self.roles["S"])[0]
        self.text.put(self.t.LIMBS[self.kind_of(c)] if len(self.subject) < 2 else "arms")

    def call(self) -> None:
        self.text.put(self.word(self.t.CALLS[self.doing]))

    def elsewhere(self, tables: tuple[str, ...]) -> None:
        self.run_table(tables[self.dice.pick([p for p in range(len(tables)) if p not in (self.frame.place, self.old_place)])])

    other_slots: dict[str, Callable[[Any], None]] = {
        "V0": plain_action,
        "X": somebody,
        "limb": limb,
        "limbs": limbs,
        "call": call,
        "core": lambda self: self.run(self.core),
        "inverted": inverted_action,
        "qloc": lambda self: self.elsewhere(self.t.LOC),
        "qgoal": lambda self: self.elsewhere(self.t.GOAL),
        "qplc": lambda self: self.elsewhere(self.t.PLC),
        "oplc": lambda self: self.run_table(self.t.PLC[self.old_place]),
        "sound": lambda self: self.text.put(self.t.SOUNDS[self.kind_of(next(iter(self.roles.get("N") or self.roles["S"])))]),
        "number": lambda self: self.text.put(str(self.number)),
        "aK": lambda self: self.kind_noun(),
    }

    def values(self, name: str, form: str) -> None:
        if name == "V2":  # an action that nobody does
            other = self.dice.pick([a for a in range(1, len(self.t.SIMPLE_ACTION)) if a != self.doing])
            mode, first, self.mode = self.mode, self.first, form
            self.run_table(self.t.SIMPLE_ACTION[other])
            self.mode, self.first = mode, first
        elif name in ("aP", "theP", "p", "PC"):
            self.prop(name)
        elif name in ("former", "latter"):
            pair = self.pair or self.talk.last_two()
            if pair != (self.roles["S"][0], self.roles["O"][0]):
                raise Unclear
            self.pair = pair
            words = f"the {name}" + ("'s" if form == "p" else "")
            self.refer(words, "pronoun", (pair[name == "latter"],))
        else:
            self.text.put(self.garment_values[name])

    pair: tuple[int, ...] = ()  # former and latter, once one of them was used in a sentence

    def kind_noun(self) -> None:
        c = self.roles["S"][0]
        noun = self.people[c].noun
        self.refer(with_article(noun), "introduction", (c,))
        self.talk.kind_said.add(c)

    def prop(self, name: str) -> None:
        kind, color = self.thing
        if kind not in self.prop_nouns:
            self.prop_nouns[kind] = self.word(self.t.PROP_WORDS[kind])
        noun, color_word = self.prop_nouns[kind], self.colors[color]
        words = {
            "aP": f"{with_article(f'{color_word} {noun}')}",
            "theP": f"the {color_word} {noun}" if self.dice.chance(0.4) else f"the {noun}",
            "p": noun,
            "PC": color_word,
        }
        self.text.put(words[name])

    # --- verbs ---------------------------------------------------------------------------------------------------------------------------------

    def verb(self, lemma: str, flag: str) -> None:
        plural, past, form = self.plural, self.past, flag or self.mode
        if flag in ("s", "p"):
            plural, form = flag == "p", "fin"
        if form in ("ing", "inf", "pp") and lemma not in MODALS:
            made = forms(lemma)
            self.text.put({"ing": made.ing, "inf": lemma, "pp": made.participle}[form])
        elif form == "prog" and lemma not in STATES and lemma not in MODALS:
            if self.first:
                self.auxiliary("be", plural, past)
                self.text.put(" ")
            self.first = False
            self.text.put(forms(lemma).ing)
        elif form in ("perf", "pperf"):  # only the auxiliary; the participle follows in the table
            self.text.put(finite("have", plural, past or form == "pperf"))
        elif form == "full":
            self.text.put(finite(lemma, plural, past))
        elif form == "past":
            self.text.put(finite(lemma, plural, True))
        elif form == "neg":
            self.text.put(negated(lemma, plural, past, self.dice.chance(self.style.contractions)))
        elif lemma in ("be", "have") and form == "fin" and flag:
            self.auxiliary(lemma, plural, past)
        else:
            if self.style.bare_verbs and not past and lemma not in ("be", "have") and self.dice.chance(0.6):
                plural = True
            self.text.put(finite(lemma, plural, past))

    def auxiliary(self, lemma: str, plural: bool, past: bool) -> None:
        """be or have, contracted with a pronoun before it where the writer does so."""
        pieces = self.text.pieces
        word = finite(lemma, plural, past)
        if lemma == "be" and not past and self.dice.chance(self.style.contractions) and len(pieces) > 1 and pieces[-1][0].endswith(" "):
            words, how = (pieces[-2][0], pieces[-2][1]) if pieces[-1][0] == " " else (pieces[-1][0], "")
            after_pronoun = how and words.lower() in ("he", "she", "it", "they")
            if after_pronoun or (not how and not plural and (words.lower().strip() + " ").endswith(SHORT_BEFORE)):
                self.text._trim()
                word = "'re" if plural else "'s"
        self.text.put(word)
