"""Mistakes that people make when they type, in one story in eight: keyboard slips, spelling by ear, missing articles, capitals and full stops.

Names are never touched, and no slip makes a word that the phrase tables or the names have: "red" does not become "reed", nor "mat" "cat"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from story_ldm.data.toonstories.free.inflect import IRREGULAR, forms
from story_ldm.data.toonstories.free.names import all_names
from story_ldm.data.toonstories.free.tables import TABLES, Tables
from story_ldm.data.toonstories.free.templates import verbs_of, words_of
from story_ldm.data.toonstories.free.text import Text
from story_ldm.data.toonstories.world import Dice

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {letter: row[max(0, k - 1) : k] + row[k + 1 : k + 2] for row in KEYS for k, letter in enumerate(row)}
BY_EAR = dict(
    pair.split("/")
    for pair in """friend/frend friends/frends because/becuz said/sed was/wuz very/verry beautiful/byootiful kitchen/kichen shirt/shurt yellow/yello
    white/wite purple/purpel dances/danses danced/danst laughed/laffed laughs/laffs little/littel favourite/favrit favorite/favrit
    rabbit/rabit jumped/jumpt jumps/jumpz hopped/hopt walked/walkt mountain/mowntin desert/dezzert bedroom/bedrume forest/forist
    ground/grownd goes/gose again/agen people/peeple happy/happi hello/helo balloon/baloon umbrella/umbrela whole/hoal
    suddenly/suddinly tired/tierd excited/eksited really/reely wearing/waring waved/wayved waves/wayvs sits/sitz then/den there/thare
    with/wiv duck/duk green/grean every/evry world/wurld together/togever nothing/nuffin everybody/evrybody house/howse music/musik""".split()
)
ARTICLES = re.compile(r"\b(?:the|an?) (?!little\b|lot\b|bit\b)", re.I)
# References that hang on one word of theirs
FIXED = re.compile(r"\b(?:one|other|others|former|latter|rest|two|three|both)\b")


@dataclass(frozen=True)
class Slips:
    """How a story is wrong."""

    typing: float = 0.0  # share of the words that are mistyped
    hearing: float = 0.0  # share of the words of BY_EAR that are spelled so
    articles: float = 0.0  # share of the articles that are left out
    lower: bool = False
    full_stops: float = 0.0  # share of the frames that end without one


def draw_slips(voice: str, dice: Dice) -> Slips | None:
    """None for the seven stories in eight that are right."""
    if not dice.chance({"learner": 0.6, "chat": 0.55, "child": 0.2, "adult": 0.04, "bedtime": 0.02}.get(voice, 0.05)):
        return None
    typing = dice.pick((0.0, 0.03, 0.06))
    if voice == "learner":
        return Slips(typing=typing, articles=dice.pick((0.4, 0.7, 0.95)))
    if voice == "chat":
        return Slips(typing=typing, lower=dice.chance(0.8), full_stops=dice.pick((0.3, 1.0)))
    if voice == "child":
        return Slips(typing=typing, hearing=dice.pick((0.3, 0.7)), full_stops=dice.pick((0.0, 0.4)), lower=dice.chance(0.2))
    return Slips(typing=0.05, full_stops=dice.pick((0.0, 0.3)))


@cache
def table_words(tables: Tables = TABLES) -> frozenset[str]:
    """All words of the phrase tables, verbs in all their forms."""
    words = set()
    for value in vars(tables).values():
        for source in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,):
            if isinstance(source, str):
                words |= words_of(source)
                for lemma in verbs_of(source):
                    words |= set(forms(lemma))
    return frozenset(words)


@cache
def vocabulary(tables: Tables = TABLES) -> frozenset[str]:
    """All words that the form has when nothing is wrong."""
    names = {form.lower() for name in all_names() for form in (name.full, name.short)}
    return table_words(tables) | names | set(IRREGULAR)


def make_slips(text: Text, slips: Slips, dice: Dice, tables: Tables = TABLES) -> None:
    """Adds errors to the frame's text, piece by piece; the spans of its references stay correct."""
    pieces = []
    for words, how, who in text.pieces:
        if how in ("pronoun", "group") or (how and FIXED.search(words)):
            pieces.append((words.lower() if slips.lower else words, how, who))
            continue
        if slips.articles:
            words = ARTICLES.sub(lambda found: "" if dice.chance(slips.articles) else found[0], words) or words
        if slips.typing or slips.hearing:
            words = re.sub(r"(?<![\w'’-])[a-z]{3,}(?![\w'’-])", lambda found: _misspelled(found[0], slips, dice, tables), words)
        pieces.append((words.lower() if slips.lower else words, how, who))
    if dice.chance(slips.full_stops) and pieces[-1][0].endswith("."):
        words, how, who = pieces.pop()
        if words[:-1]:
            pieces.append((words[:-1], how, who))
    if not slips.lower:
        words, how, who = pieces[0]
        pieces[0] = (words[:1].upper() + words[1:], how, who)
    text.pieces = pieces


def _misspelled(word: str, slips: Slips, dice: Dice, tables: Tables = TABLES) -> str:
    if word in BY_EAR and slips.hearing and dice.chance(slips.hearing):
        return BY_EAR[word]
    if len(word) < 5 or not dice.chance(slips.typing):
        return word
    k = 1 + int(dice.random() * (len(word) - 2))
    kind = dice.pick(("neighbour", "double", "drop", "swap")[len(word) < 6 :])  # a neighbour makes other words of short ones
    if kind == "neighbour":
        wrong = word[:k] + dice.pick(NEIGHBOURS[word[k]]) + word[k + 1 :]
    elif kind == "double":
        wrong = word[:k] + word[k] + word[k:]
    elif kind == "drop":
        wrong = word[:k] + word[k + 1 :]
    else:
        wrong = word[:k] + word[k + 1] + word[k] + word[k + 2 :]
    return word if wrong in vocabulary(tables) else wrong
