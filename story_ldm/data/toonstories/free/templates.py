"""The template language of the phrase tables.

    [a|b|]          one of these, at even odds (an empty one is nothing); a table is such a choice without brackets
    {slot}          filled in by the writer: a role ({S}, {S.o}, {S.p}), a pronoun of the clause's subject ({he}, {him}, {his}, {self}),
                    an action ({V}, {V.ing}, {V.inf}), a place ({loc}, {goal}, {plc}), or another table by its name
    <verb>          a verb that agrees with the clause's subject, in the clause's tense and mode; <verb/flag> overrides the mode:
                    fin (simple tense), full (the same, never contracted), past, perf and pperf (has or had, the participle follows),
                    ing, inf, neg (does not do), s and p (simple, singular or plural)
    ^               a new sentence begins: the next letter is a capital
Spaces around a table's alternatives do not count.
"""

from __future__ import annotations

import re
from functools import cache

from story_ldm.data.toonstories.world import Dice

TOKEN = re.compile(r"[\[\]|{}<>^]|[^\[\]|{}<>^]+")
# A compiled template is a tuple of nodes: ("text", words), ("new", ""), ("slot", (name, form)), ("verb", (lemma, flag)), ("pick", templates).
Template = tuple


@cache
def table(source: str) -> tuple[Template, ...]:
    """The compiled alternatives of a table."""
    tokens = TOKEN.findall(re.sub(r"\s+", " ", source.strip()))
    alternatives, end = _alternatives(tokens, 0)
    assert end == len(tokens), f"unbalanced brackets: {source[:80]!r}"
    return tuple(_trimmed(nodes) for nodes in alternatives)


def pick(alternatives: tuple[Template, ...], dice: Dice) -> Template:
    return alternatives[int(dice.random() * len(alternatives))]


def _alternatives(tokens: list[str], at: int) -> tuple[list[list], int]:
    """From `at` to the bracket that closes this choice, or to the end."""
    found: list[list] = [[]]
    while at < len(tokens) and tokens[at] != "]":
        token = tokens[at]
        at += 1
        if token == "|":
            found.append([])
        elif token == "[":
            inner, at = _alternatives(tokens, at)
            found[-1].append(("pick", tuple(tuple(nodes) for nodes in inner)))
            at += 1
        elif token in "{<":
            name, _, form = tokens[at].partition("." if token == "{" else "/")
            assert tokens[at + 1] == {"{": "}", "<": ">"}[token], tokens[at - 1 : at + 2]
            found[-1].append(("slot" if token == "{" else "verb", (name, form)))
            at += 2
        elif token == "^":
            found[-1].append(("new", ""))
        else:
            found[-1].append(("text", token))
    return found, at


def _trimmed(nodes: list) -> Template:
    if nodes and nodes[0][0] == "text":
        nodes[0] = ("text", nodes[0][1].lstrip())
    if nodes and nodes[-1][0] == "text":
        nodes[-1] = ("text", nodes[-1][1].rstrip())
    return tuple(node for node in nodes if node != ("text", ""))


def words_of(source: str) -> set[str]:
    """All words that stand in a table, in lower case, verbs as lemmas."""
    return set(re.findall(r"[a-z]+", re.sub(r"\{[^}]*\}", " ", source).lower()))


def verbs_of(source: str) -> set[str]:
    return set(re.findall(r"<([a-z]+)", source))
