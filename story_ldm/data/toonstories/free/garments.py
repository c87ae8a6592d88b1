"""What somebody wears, in words: fills in the garment slots of the tables ({C}, {aG} …) and writes "in a red shirt" after a noun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from story_ldm.data.toonstories.free.inflect import with_article

if TYPE_CHECKING:
    from story_ldm.data.toonstories.free.writer import Writer


class Unclear(Exception):
    """A pronoun or a possessive would not be clear here, or somebody unknown has no place in it: the sentence is written in another way."""


@dataclass(frozen=True)
class Garment:
    color: str
    noun: str
    look: str = ""  # an adjective

    @property
    def whole(self) -> str:
        return f"{self.look} {self.color} {self.noun}".strip()


def plain_color(w: Writer, c: int) -> str:
    return w.colors[w.garments[c]]


def garment_of(w: Writer, c: int) -> Garment:
    """As the writer first thought of it, or with the plain word for its colour."""
    if c not in w.worn:
        color = w.word(w.t.COLOR_WORDS[w.garments[c]])
        w.worn[c] = Garment(color, w.word(w.t.GARMENT), w.word(w.t.GARMENT_LOOK))
    return w.worn[c] if w.dice.chance(0.6) else Garment(plain_color(w, c), w.worn[c].noun)


def dress(w: Writer, c: int, other: int | None = None) -> None:
    """Sets what the garment slots mean: {C} {C0} {g} {CG} {aG} {like} of `c`, {D} {D0} {aH} of `other`."""
    worn, color = garment_of(w, c), plain_color(w, c)
    w.garment_values = {"C": worn.color, "C0": color, "g": worn.noun, "CG": f"{worn.color} {worn.noun}", "aG": with_article(worn.whole)}
    w.garment_values["like"] = w.t.COLOR_LIKE[w.garments[c]]
    if other is not None:
        worn = garment_of(w, other)
        w.garment_values |= {"D": worn.color, "D0": plain_color(w, other), "aH": with_article(worn.whole)}


def garment_after_noun(w: Writer, c: int, comma: bool) -> None:
    """ " in a red shirt" after the noun that has just been written; `comma`: one is due after it."""
    subject, plural, mode = w.subject, w.plural, w.mode
    w.subject, w.plural, w.mode = [c], False, "simple"
    dress(w, c)
    saved = w.saved()
    for source in (w.t.GARMENT_AFTER_NOUN, "in {aG}"):
        template = w.choose(source)
        start = template[0][1].split()[0]
        clause = start in ("who", "whose") or (start not in ("in", "with") and w.dice.chance(0.7))
        try:
            w.text.comma = clause
            w.text.put(" ")
            w.run(template)
            break
        except Unclear:
            w.restore(saved)
    w.text.comma = comma or clause or w.text.pieces[-1][0].endswith(" on")
    w.talk.garments.add(c)
    w.subject, w.plural, w.mode = subject, plural, mode
