"""Which sentences of a story refer to earlier ones: ReCap's switch (2026), which lets a frame read memory only where it must.

refers(["Rosa waves in the city.", "She sits down.", "Bruno comes.", "Rosa sits there."])    # [False, True, False, True]
"""

from __future__ import annotations

import re

from story_ldm.data.references import CLAUSE, DETERMINERS, PREPOSITIONS, is_referential

NAME = re.compile(r"\b[A-Z][\w'’-]*")
OPENERS = CLAUSE | DETERMINERS | PREPOSITIONS | set("he she it they his her its their i we you my our your there both all not no yes oh".split())


def names_in(sentence: str) -> set[str]:
    """Capitalized words, except for those that begin an English sentence without being a name."""
    words = {word.replace("’", "'").removesuffix("'s").rstrip("'-") for word in NAME.findall(sentence)}
    return {word for word in words if word.lower() not in OPENERS}


def refers(sentences: list[str]) -> list[bool]:
    """For each sentence whether it has a personal pronoun, or names nobody who was not named before. English only; the first never does."""
    seen: set[str] = set()
    flags = []
    for m, sentence in enumerate(sentences):
        names = names_in(sentence)
        flags.append(m > 0 and (is_referential(sentence) or names <= seen))
        seen |= names
    return flags
