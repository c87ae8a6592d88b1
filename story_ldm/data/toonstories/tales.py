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

Tales of ToonStories 2 (`../toonstories2/tales/`) have up to four characters, A to D, and two columns more: … | FACES | SKY. FACES: LETTER:value of
those whose face this frame's text tells, new or changed; it stays until another is told, or its owner leaves. SKY: hour and weather that this frame's
text tells; they stay. ACTIONS may be of two (A:hug,B:hug). And there are more gaps:

    {U} {U.thing} {U.color}      another prop; several may hold one, and a colour that the text leaves open is missing (A:ball)
    {F} {F.ly}                   faces F and G, different and not neutral: "sad", "with a sad face"; FACES `A:F`
    {H} {Y}                      an hour ("one {H}") and a weather ("a {Y} {H}"); SKY `H, Y`

Tales of the first world are told in the second, too, where they name nobody whom only that has. Of facts that they may tell and do not state, nothing
is known there (`doubts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from story_ldm.data.tale_gaps import ACTION_LETTERS, FACE_LETTERS, GAP, PLACE_LETTERS, Gaps
from story_ldm.data.toonstories.free.people import FORMS
from story_ldm.data.toonstories.free.slips import Slips, make_slips
from story_ldm.data.toonstories.free.text import Text
from story_ldm.data.toonstories.told import FIRST, IGNORED, STANDS_BY, ToldStory, ToldWorld, add_row, empty_facts, empty_row, words_of
from story_ldm.data.toonstories.world import Dice, seeded_by

FOLDER = FIRST.tales
NAMED = re.compile(r"\{([A-D])(?:\.kind)?\}")
LONGEST = 7  # beginnings of tales are told up to this length: hundreds have as many frames
OWN = 4  # a world's own tale is told as often as so many that are lent


@dataclass(frozen=True)
class TaleFrame:
    sentences: str
    who: str
    open: str
    place: str
    garments: dict[str, str]
    actions: dict[str, str]
    props: dict[str, str]
    faces: dict[str, str] = field(default_factory=dict)
    sky: tuple[str, ...] = ()


@dataclass
class Tale:
    voice: str
    where: str  # the file and line
    world: ToldWorld = FIRST
    cast: dict[str, tuple[str, bool, str]] = field(default_factory=dict)  # letter → kind, whether it has a name, pronoun
    frames: list[TaleFrame] = field(default_factory=list)


def read_tales(file: Path, world: ToldWorld = FIRST) -> list[Tale]:
    """The tales of a file. Raises ValueError, with the line, for one that does not have the form."""
    tales: list[Tale] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.startswith("## "):
                tales.append(Tale(line.removeprefix("## "), f"{file.name}, line {number}", world))
            elif line.startswith("@ "):
                letter, kind, named, pronoun = line.removeprefix("@ ").split()
                if letter not in world.letters or named not in ("name", "noname") or pronoun not in ("any", *FORMS):
                    raise ValueError("a character is LETTER KIND name|noname PRONOUN")
                tales[-1].cast[letter] = (_known(kind, "kinds", ("any",), world), named == "name", pronoun)
            elif line.strip() and not line.startswith("#"):
                tales[-1].frames.append(_frame(line, tales[-1].cast, world))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{file.name}, line {number}: {error}; it is {line!r}") from error
    return tales


def _frame(line: str, cast: dict, world: ToldWorld) -> TaleFrame:
    columns = [column.strip() for column in line.split("|")]
    count = 8 if "faces" in world.labels else 6
    if len(columns) != count:
        raise ValueError(f"a frame has {count} columns, this one has {len(columns)}")
    sentences, who, place, worn, done, held, felt, above = (*columns, "-", "-")[:8]
    match = re.fullmatch(rf"([{world.letters}]*)(?:\(([{world.letters}]+)\))?", "" if who == "-" else who)
    if match is None or not set(match[0]) - set("()") <= set(cast):
        raise ValueError(f"WHO is {who!r}; it must be letters of the cast, {', '.join(cast)}")
    seen, may_be = match[1], match[2] or ""
    garments = _pairs(worn, seen + may_be, "garments", ("color", "new", *(f"={letter}" for letter in cast)), world)
    actions = _pairs(done, seen + may_be, "actions", tuple(ACTION_LETTERS), world)
    faces = _pairs(felt, seen + may_be, "faces", tuple(FACE_LETTERS), world)
    props = {letter: value for letter, value in (part.split(":") for part in _parts(held))}
    for letter, value in props.items():
        known = value in world.prop_letters or prop_of(value, world)[1] in world.labels["props"]
        if letter not in seen + may_be or not known:
            raise ValueError(f"PROP is {held!r}; it must be LETTER:T or LETTER:COLOUR THING of somebody in WHO")
    sky = tuple(_parts(above))
    for value in sky:
        if value not in ("H", "Y") and not any(value in world.labels[fact] for fact in ("times", "weathers")):
            raise ValueError(f"SKY is {above!r}; it must be an hour and/or a weather: {', '.join(_skies(world))}")
    return TaleFrame(sentences, seen, may_be, _known(place, "places", tuple(PLACE_LETTERS), world), garments, actions, props, faces, sky)


def _skies(world: ToldWorld) -> list[str]:
    return ["H", *world.labels["times"], "Y", *world.labels["weathers"]]


def prop_of(value: str, world: ToldWorld) -> tuple[str, str]:
    """Colour and thing of "red ice cream"; "" for a colour that is left open."""
    color, _, thing = value.partition(" ")
    return (color, thing) if color in world.labels["prop_colors"] else ("", value)


def _known(value: str, fact: str, also: tuple[str, ...], world: ToldWorld) -> str:
    if value not in world.labels[fact] and value not in also:
        raise ValueError(f"{value!r} is none of the {fact}: {', '.join((*also, *world.labels[fact]))}")
    return value


def _parts(column: str) -> list[str]:
    return [] if column == "-" else [part.strip() for part in column.split(",")]


def _pairs(column: str, letters: str, fact: str, also: tuple[str, ...], world: ToldWorld) -> dict[str, str]:
    found = {}
    for part in _parts(column):
        letter, value = part.split(":")
        if letter not in letters:
            raise ValueError(f"{part!r}: {letter} is not in WHO")
        found[letter] = _known(value, fact, also, world)
    return found


def all_tales(validation: bool = False, world: ToldWorld = FIRST) -> tuple[Tale, ...]:
    """The tales that the reader trains on, or the twentieth of them that is kept for validation; those that are lent come last."""
    return _all_tales(validation, world)


@cache
def _all_tales(validation: bool, world: ToldWorld) -> tuple[Tale, ...]:
    tales = [tale for file in sorted(world.tales.glob("*.txt")) for tale in read_tales(file, world)]
    own = tuple(tale for tale in tales if (seeded_by("tale", tale.frames[0].sentences) % 20 == 0) == validation)
    lent = all_tales(validation, world.lends) if world.lends else ()
    return own + tuple(tale for tale in lent if not (world.strangers and any(world.strangers.search(bare(frame)) for frame in tale.frames)))


def bare(frame: TaleFrame) -> str:
    """Its sentences without the gaps."""
    return GAP.sub("", frame.sentences)


@cache
def _long_enough(validation: bool, length: int, world: ToldWorld) -> tuple[list[Tale], list[Tale]]:
    """The world's own, and those that are lent."""
    tales = [tale for tale in all_tales(validation, world) if len(tale.frames) >= length]
    return [tale for tale in tales if tale.world is world], [tale for tale in tales if tale.world is not world]


def told_tale(
    seed: int, split: str, index: int, length: int | None = None, slots: int = 4, candidates: int = 1, world: ToldWorld = FIRST
) -> ToldStory:
    """A tale with its gaps filled in, and what it tells: a pure function of its arguments. length: of the tale's beginning that is told, at most
    LONGEST; all of it by default. candidates: tales of which the one is told whose mentions are least in the order of appearance. The split
    "validation" has tales of its own."""
    dice = Dice(seeded_by(world.name, "tales", seed, split, index))
    own, lent = _long_enough(split == "validation", length or 1, world)

    def pick() -> Tale:
        return dice.pick(lent if lent and dice.chance(len(lent) / (OWN * len(own) + len(lent))) else own)

    tale = max((pick() for _ in range(candidates)), key=lambda tale: crossed(tale, length))
    return fill(tale, dice, split, length, slots, world)


def crossed(tale: Tale, length: int | None) -> int:
    """Frames of the tale's beginning in which names and kinds are not mentioned in the order of appearance."""
    order: list[str] = []
    count = 0
    for frame in tale.frames[:length]:
        order += [letter for letter in frame.who if letter not in order]
        named = [order.index(letter) for letter in NAMED.findall(frame.sentences) if letter in frame.who]
        count += named != sorted(named)
    return count


def fill(tale: Tale, dice: Dice, split: str, length: int | None = None, slots: int = 4, world: ToldWorld | None = None) -> ToldStory:
    """The tale, or its beginning, with its gaps filled in at random, and what it tells. world: where it is told, by default its own."""
    world = world or tale.world
    labels, doubts = world.labels, world.doubts if world is not tale.world else {}
    gaps = Gaps(tale, dice, split, world)
    order: list[str] = []
    facts = empty_facts(world)
    texts, known = [], []
    faces: dict[str, str] = {}
    sky = {"times": "day", "weathers": "clear"}  # where nothing is told
    doubted: set[str] = set()  # facts that the text may tell and the columns do not
    place = ""
    for frame in tale.frames[:length]:
        gaps.begin(frame)
        texts.append(gaps.filled(frame.sentences))
        order += [letter for letter in frame.who if letter not in order]
        known.append([ord(letter) for letter in order])
        faces = {letter: face for letter, face in (faces | frame.faces).items() if letter in frame.who + frame.open}
        for value in frame.sky:
            value = gaps.sky.get(value, value)
            sky["times" if value in labels["times"] else "weathers"] = value
        doubted -= {"actions"} if frame.place == place else {"actions", "places"}
        doubted |= {fact for fact, words in doubts.items() if words.search(bare(frame))}
        place = frame.place
        row = empty_row(world, slots)
        for slot, letter in enumerate(order):
            row["kinds"][slot] = labels["kinds"].index(gaps.kinds[letter])
            if letter in frame.open:
                row["seen"][slot] = IGNORED
            if letter not in frame.who:
                continue
            row["seen"][slot] = 1
            if letter in gaps.stated:
                row["garments"][slot] = 1 + labels["garments"].index(gaps.worn[letter])
            elif "garments" not in doubted:
                row["garments"][slot] = 0
            action = frame.actions.get(letter)
            if "actions" not in doubted or action not in (None, "stand", "sit"):
                row["actions"][slot] = labels["actions"].index(gaps.actions.get(action, action) if action else "stand")
                row["weights"][slot] = 1.0 if action else STANDS_BY
            held = frame.props.get(letter)
            if held:
                color, thing = gaps.things.get(held) or prop_of(held, world)
                row["props"][slot] = 1 + labels["props"].index(thing)
                row["prop_colors"][slot] = 1 + labels["prop_colors"].index(color) if color else IGNORED
            elif "props" not in doubted:
                row["props"][slot] = row["prop_colors"][slot] = 0
            if "faces" in labels and "faces" not in doubted:
                face = faces.get(letter, "neutral")
                row["faces"][slot] = labels["faces"].index(gaps.faces.get(face, face))
        if "places" not in doubted:
            row["places"] = labels["places"].index(gaps.places.get(frame.place, frame.place))
        row |= {fact: labels[fact].index(value) for fact, value in sky.items() if fact in labels and fact not in doubted}
        add_row(facts, row)
    _add_slips(texts, dice)
    read = [text.read() for text in texts]
    mentions = [words_of(text, references, letters) for (text, references), letters in zip(read, known, strict=True)]
    return ToldStory([text for text, _ in read], facts, mentions)


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
