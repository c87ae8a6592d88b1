"""Tales: stories that people wrote, with gaps for names, kinds, colours, places, actions and the prop, which are filled in at random.

The grammar of the form `free` recombines phrases; a tale has the constructions that run through a whole story as somebody in particular tells it. The
reader learns from both. Form of a file in `tales/`:

    ## VOICE                                                    begins a tale
    @ LETTER KIND name|noname PRONOUN                           a character; `any` kind or pronoun is drawn
    SENTENCES | WHO | PLACE | GARMENTS | ACTIONS | PROP         a frame

WHO: the letters of all who are to be seen, new ones in the order of their first mention; in parentheses whom the text leaves open. GARMENTS, ACTIONS:
LETTER:value, those that this frame's text states. PROP: LETTER:value of who holds it in this frame. "-": none. Values are words of the world or gaps:

    {A} {A.kind} {A.he} {A.him} {A.his} {A.himself} {A.he's}    a character's name, kind and pronouns (a first capital stays)
    {A.color} {A.old}      what it wears from this frame on, and wore until the one before; GARMENTS `A:color` states it, `A:new` draws a new one,
                           `A:=B` gives it what B wore before
    {in P} {to P} {from P} {P}                                  places P, Q and R, all different
    {V} {V.s} {V.ing} {V.ed}                                    actions V, W and X, all different and none of them "stand"
    {T} {T.thing} {T.color}                                     the prop
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from story_ldm.data.toonstories.free import phrases
from story_ldm.data.toonstories.free.inflect import forms
from story_ldm.data.toonstories.free.names import TITLES, draw_names
from story_ldm.data.toonstories.free.people import FORMS
from story_ldm.data.toonstories.free.slips import Slips, make_slips
from story_ldm.data.toonstories.free.templates import Template, pick, table
from story_ldm.data.toonstories.free.text import Text
from story_ldm.data.toonstories.told import IGNORED, LABELS, STANDS_BY, ToldStory, words_of
from story_ldm.data.toonstories.world import Dice, seeded_by

FOLDER = Path(__file__).with_name("tales")
GAP = re.compile(r"\{([^{}]*)\}")
NAMED = re.compile(r"\{([A-C])(?:\.kind)?\}")
MENTION = re.compile(r"\{([A-C])(?:\.(?:kind|[Hh]e(?:'s)?|[Hh]im|[Hh]is|[Hh]imself))?\}")
ACTING = tuple(action for action in LABELS["actions"] if action != "stand")
LONGEST = 7  # beginnings of tales are told up to this length: hundreds have as many frames
PLACE_LETTERS, ACTION_LETTERS = "PQR", "VWX"


@dataclass(frozen=True)
class TaleFrame:
    sentences: str
    who: str
    open: str
    place: str
    garments: dict[str, str]
    actions: dict[str, str]
    props: dict[str, str]


@dataclass
class Tale:
    voice: str
    where: str  # the file and line
    cast: dict[str, tuple[str, bool, str]] = field(default_factory=dict)  # letter → kind, whether it has a name, pronoun
    frames: list[TaleFrame] = field(default_factory=list)


def read_tales(file: Path) -> list[Tale]:
    """The tales of a file. Raises ValueError, with the line, for one that does not have the form."""
    tales: list[Tale] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.startswith("## "):
                tales.append(Tale(line.removeprefix("## "), f"{file.name}, line {number}"))
            elif line.startswith("@ "):
                letter, kind, named, pronoun = line.removeprefix("@ ").split()
                if letter not in "ABC" or named not in ("name", "noname") or pronoun not in ("any", *FORMS):
                    raise ValueError("a character is LETTER KIND name|noname PRONOUN")
                tales[-1].cast[letter] = (_known(kind, "kinds", ("any",)), named == "name", pronoun)
            elif line.strip() and not line.startswith("#"):
                tales[-1].frames.append(_frame(line, tales[-1].cast))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{file.name}, line {number}: {error}; it is {line!r}") from error
    return tales


def _frame(line: str, cast: dict) -> TaleFrame:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != 6:
        raise ValueError(f"a frame has 6 columns, this one has {len(columns)}")
    sentences, who, place, worn, done, held = columns
    match = re.fullmatch(r"([ABC]*)(?:\(([ABC]+)\))?", "" if who == "-" else who)
    if match is None or not set(match[0]) - set("()") <= set(cast):
        raise ValueError(f"WHO is {who!r}; it must be letters of the cast, {', '.join(cast)}")
    seen, may_be = match[1], match[2] or ""
    garments = _pairs(worn, seen + may_be, "garments", ("color", "new", *(f"={letter}" for letter in cast)))
    actions = _pairs(done, seen + may_be, "actions", tuple(ACTION_LETTERS))
    props = {letter: value for letter, value in (part.split(":") for part in _parts(held))}
    for letter, value in props.items():
        color, _, thing = value.partition(" ")
        if letter not in seen + may_be or not (value == "T" or (color in LABELS["prop_colors"] and thing in LABELS["props"])):
            raise ValueError(f"PROP is {held!r}; it must be LETTER:T or LETTER:COLOUR THING of somebody in WHO")
    return TaleFrame(sentences, seen, may_be, _known(place, "places", tuple(PLACE_LETTERS)), garments, actions, props)


def _known(value: str, fact: str, also: tuple[str, ...]) -> str:
    if value not in LABELS[fact] and value not in also:
        raise ValueError(f"{value!r} is none of the {fact}: {', '.join((*also, *LABELS[fact]))}")
    return value


def _parts(column: str) -> list[str]:
    return [] if column == "-" else column.split(",")


def _pairs(column: str, letters: str, fact: str, also: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for part in _parts(column):
        letter, value = part.split(":")
        if letter not in letters:
            raise ValueError(f"{part!r}: {letter} is not in WHO")
        found[letter] = _known(value, fact, also)
    return found


@cache
def all_tales(validation: bool = False) -> tuple[Tale, ...]:
    """The tales that the reader trains on, or the twentieth of them that is kept for validation."""
    tales = [tale for file in sorted(FOLDER.glob("*.txt")) for tale in read_tales(file)]
    return tuple(tale for tale in tales if (seeded_by("tale", tale.frames[0].sentences) % 20 == 0) == validation)


@cache
def _long_enough(validation: bool, length: int) -> tuple[Tale, ...]:
    return tuple(tale for tale in all_tales(validation) if len(tale.frames) >= length)


def told_tale(seed: int, split: str, index: int, length: int | None = None, slots: int = 4, candidates: int = 1) -> ToldStory:
    """A tale with its gaps filled in, and what it tells: a pure function of its arguments. length: of the tale's beginning that is told, at most
    LONGEST; all of it by default. candidates: tales of which the one is told whose mentions are least in the order of appearance. The split
    "validation" has tales of its own."""
    dice = Dice(seeded_by("toonstories", "tales", seed, split, index))
    tales = _long_enough(split == "validation", length or 1)
    tale = max((dice.pick(tales) for _ in range(candidates)), key=lambda tale: crossed(tale, length))
    return fill(tale, dice, split, length, slots)


def crossed(tale: Tale, length: int | None) -> int:
    """Frames of the tale's beginning in which names and kinds are not mentioned in the order of appearance."""
    order: list[str] = []
    count = 0
    for frame in tale.frames[:length]:
        order += [letter for letter in frame.who if letter not in order]
        named = [order.index(letter) for letter in NAMED.findall(frame.sentences) if letter in frame.who]
        count += named != sorted(named)
    return count


def fill(tale: Tale, dice: Dice, split: str, length: int | None = None, slots: int = 4) -> ToldStory:
    """The tale, or its beginning, with its gaps filled in at random, and what it tells."""
    gaps = _Gaps(tale, dice, split)
    order: list[str] = []
    facts: dict[str, list] = {name: [] for name in ("seen", "kinds", "garments", "actions", "weights", "props", "prop_colors", "places")}
    texts, known = [], []
    for frame in tale.frames[:length]:
        gaps.begin(frame)
        texts.append(gaps.filled(frame.sentences))
        order += [letter for letter in frame.who if letter not in order]
        known.append([ord(letter) for letter in order])
        row: dict[str, list] = {name: [IGNORED] * slots for name in facts}
        row["seen"], row["weights"] = [0] * slots, [0.0] * slots
        for slot, letter in enumerate(order):
            row["kinds"][slot] = LABELS["kinds"].index(gaps.kinds[letter])
            if letter in frame.open:
                row["seen"][slot] = IGNORED
            if letter not in frame.who:
                continue
            row["seen"][slot] = 1
            row["garments"][slot] = 1 + LABELS["garments"].index(gaps.worn[letter]) if letter in gaps.stated else 0
            action = frame.actions.get(letter)
            row["actions"][slot] = LABELS["actions"].index(gaps.actions.get(action, action) if action else "stand")
            row["weights"][slot] = 1.0 if action else STANDS_BY
            held = frame.props.get(letter)
            color, thing = (gaps.prop if held == "T" else tuple(held.split())) if held else ("", "")
            row["props"][slot] = 1 + LABELS["props"].index(thing) if held else 0
            row["prop_colors"][slot] = 1 + LABELS["prop_colors"].index(color) if held else 0
        for name, values in row.items():
            facts[name].append(LABELS["places"].index(gaps.places.get(frame.place, frame.place)) if name == "places" else values)
    _add_slips(texts, dice)
    read = [text.read() for text in texts]
    mentions = [words_of(text, references, letters) for (text, references), letters in zip(read, known, strict=True)]
    return ToldStory([text for text, _ in read], facts, mentions)


class _Gaps:
    """What stands in a tale's gaps, this time."""

    def __init__(self, tale: Tale, dice: Dice, split: str):
        self.dice = dice
        literal = {name: {value for frame in tale.frames for value in getattr(frame, name).values()} for name in ("garments", "actions")}
        kinds = dice.sample_distinct([kind for kind in LABELS["kinds"] if kind not in {kind for kind, _, _ in tale.cast.values()}], 3)
        self.kinds = {letter: kinds.pop() if kind == "any" else kind for letter, (kind, _, _) in tale.cast.items()}
        self.nouns = {letter: _words(phrases.KINDS[LABELS["kinds"].index(kind)], dice) for letter, kind in self.kinds.items()}
        free = [pronoun for pronoun in ("he", "she", "it") if pronoun not in {pronoun for _, _, pronoun in tale.cast.values()}]
        self.pronouns = {}
        for letter, (_, _, pronoun) in tale.cast.items():  # different ones, as far as they go: the writer relies on it
            if pronoun == "any":
                pronoun = dice.weighted({p: 1 if p == "it" else 3 for p in free or ("he", "she", "it")})
                free = [p for p in free if p != pronoun]
            self.pronouns[letter] = pronoun
        self.names = self._names(split)
        colors = [color for color in LABELS["garments"] if color not in literal["garments"]]
        self.colors = dice.sample_distinct(colors, len(colors))
        self.worn: dict[str, str] = {}
        self.old: dict[str, str] = {}
        self.stated: set[str] = set()
        places = [place for place in LABELS["places"] if place not in {frame.place for frame in tale.frames}]
        self.places = dict(zip(PLACE_LETTERS, dice.sample_distinct(places, 3)))
        spare = [action for action in ACTING if action not in literal["actions"]]  # the others are used only where these do not suffice
        rest = [action for action in ACTING if action in literal["actions"]]
        self.actions = dict(zip(ACTION_LETTERS, [*dice.sample_distinct(spare, len(spare)), *rest]))
        self.prop = (dice.pick(LABELS["prop_colors"]), dice.pick(LABELS["props"]))
        plain = dice.chance(0.6)  # words for colours and for the prop
        self.color_words = {
            color: color if plain else _words(source, dice) for color, source in zip(LABELS["garments"], phrases.COLOR_WORDS, strict=True)
        }
        self.thing = self.prop[1] if plain else _words(phrases.PROP_WORDS[LABELS["props"].index(self.prop[1])], dice)

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
            self.worn[letter] = next(color for color in [*self.colors, *LABELS["garments"]] if color not in taken)
            if new and letter not in self.old:
                self.old[letter] = next(color for color in self.colors if color not in self.worn.values())
        return self.worn[letter]

    def filled(self, template: str) -> Text:
        """The template with its gaps filled in; words that mean characters refer to them by the codes of their letters."""
        text = GAP.sub(lambda found: self._gap(found[1]), template)
        text = re.sub(r"\b([Aa])n? (?=(?:\0[A-C])?[aeiou]\w)(?!(?:\0[A-C])?(?:one\b|uni|use))", r"\1n ", text)
        text = re.sub(r"\b([Aa])n (?=(?:\0[A-C])?[bcdfgjklmnpqrstvwxyz]\w)", r"\1 ", text)
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
        if head == "T":
            color = self.color_words[self.prop[0]]
            return {"": f"{color} {self.thing}", "thing": self.thing, "color": color}[form]
        how, _, letter = head.rpartition(" ")
        number = LABELS["places"].index(self.places[letter])
        if how == "from":
            return f"from {_words(phrases.PLC[number], self.dice)}"
        return _words({"in": phrases.LOC, "to": phrases.GOAL, "": phrases.PLC}[how][number], self.dice)


def _words(source: str, dice: Dice) -> str:
    """A plain alternative of a phrase table, without verbs and slots."""
    return re.sub(r"\s+", " ", _plain(pick(_plain_alternatives(source), dice), dice)).strip()


@cache
def _plain_alternatives(source: str) -> tuple[Template, ...]:
    return tuple(nodes for nodes in table(source) if all(kind in ("text", "pick") for kind, _ in nodes))


def _plain(nodes: Template, dice: Dice) -> str:
    return "".join(value if kind == "text" else _plain(pick(value, dice), dice) for kind, value in nodes)


def _add_slips(texts: Iterable[Text], dice: Dice) -> None:
    """One tale in six gets errors of typing or hearing, lower case, or lacks full stops."""
    if not dice.chance(1 / 6):
        return
    slips = Slips(
        typing=dice.pick((0.0, 0.03)),
        hearing=dice.pick((0.0, 0.3)),
        articles=dice.pick((0.0, 0.0, 0.4)),
        lower=dice.chance(0.4),
        full_stops=dice.pick((0.0, 0.5)),
    )
    for text in texts:
        make_slips(text, slips, dice)
