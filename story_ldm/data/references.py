"""Referential text: repeated names become he, she, it or they, as in the extended datasets of Make-A-Story.

    refer(["Fred and Wilma sit in the car.", "Fred and Wilma talk.", "A dog barks at Fred's car."], {"Fred": "he", "Wilma": "she"})
    # → (["Fred and Wilma sit in the car.", "They talk.", "A dog barks at Fred's car."], [False, True, False])

The names in a sentence are replaced if it names exactly the characters that the last sentence with names named, and only where the pronoun cannot
mean another of them: "they" stands for all of them together, he, she or it for one if no other has the same pronoun. Characters without a name
("a man") are not considered. A sentence is flagged as referential if it was changed or contains a personal pronoun.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# subject, object, possessive before a noun, possessive alone
FORMS = {
    "he": ("he", "him", "his", "his"),
    "she": ("she", "her", "her", "hers"),
    "it": ("it", "it", "its", "its"),
    "they": ("they", "them", "their", "theirs"),
}
PERSONAL = re.compile(r"\b(he|him|his|himself|she|hers?|herself|they|them|theirs?|themselves)\b", re.I)
# words that begin a clause, whose first noun is its subject
CLAUSE = set(
    "and but or so while when whenever as because if then that where who which whom until before after since although though suddenly now "
    "here there meanwhile later finally again once how why what whether than".split()
)
# finite verbs: a name before one of them is the subject, unless a preposition precedes the name
FINITE = set("is are was were has have had does do did will would can could may might must shall should isn't wasn't doesn't didn't can't".split())
PREPOSITIONS = set(
    "to at with of by for from behind near beside besides in on into onto under over above below toward towards about around between among "
    "against like without through past off up down upon across along inside outside opposite".split()
)
CONTRACTED = set("a an the not been going also still very just".split())  # words after "Fred's" that make it "Fred is"
NOUNS = set("bowling living dining swimming fishing hunting sewing washing wedding building clothing ceiling painting drawing".split())
NOUNS |= set("evening morning feeling meeting ring thing king string wing swing sling being".split())  # -ing words that are nouns
DETERMINERS = set("a an the this that another some no every little baby young old poor other".split())  # "the little Fred" is not replaced


def refer(sentences: list[str], cast: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> tuple[list[str], list[bool]]:
    """The sentences of a story with references in place of names, and for each sentence whether it is referential.

    cast: name → he, she or it. aliases: another spelling of a name → the name ("Fred Flintstone" → "Fred")."""
    names = {written.lower(): name for written, name in ({name: name for name in cast} | dict(aliases or {})).items()}
    pattern = _pattern(tuple(names)) if names else None
    last_named: frozenset[str] = frozenset()
    result = []
    for sentence in sentences:
        groups = _groups(sentence, pattern, names) if pattern else []
        named = frozenset(name for group in groups for name in group[2])
        result.append(_referential(sentence, groups, named, cast) if named and named == last_named else sentence)
        last_named = named or last_named
    return result, [is_referential(new) or new != old for new, old in zip(result, sentences, strict=True)]


def is_referential(sentence: str) -> bool:
    """Whether the sentence contains a personal pronoun. "it" does not count: it means the weather as often as a character."""
    return bool(PERSONAL.search(sentence))


@lru_cache(maxsize=64)
def _pattern(written: tuple[str, ...]) -> re.Pattern:
    """Matches a name as a separate word, in any case, with its possessive ending; "Mr Slate" also matches "Mr. Slate"."""
    longest_first = sorted(written, key=len, reverse=True)
    either = "|".join(r"\.?\s+".join(map(re.escape, name.split())) for name in longest_first)
    return re.compile(rf"(?<![\w'’-])(?P<name>{either})(?P<own>['’]s(?!\w)|(?<=s)['’](?=\s+\w))?(?![\w-])(?!['’]\w)", re.I)


def _groups(sentence: str, pattern: re.Pattern, names: dict[str, str]) -> list[tuple[int, int, list[str], bool]]:
    """(start, end, names, possessive) of each name, or list of names joined by "and" and commas."""
    groups: list[tuple[int, int, list[str], bool]] = []
    matches = [(m.start(), m.end(), names[" ".join(m["name"].lower().replace(".", " ").split())], bool(m["own"])) for m in pattern.finditer(sentence)]
    n = 0
    while n < len(matches):
        last = n  # the last name that an "and" joins to this one
        for k in range(n + 1, len(matches)):
            between = sentence[matches[k - 1][1] : matches[k][0]]
            if matches[k - 1][3] or matches[k][2] in {m[2] for m in matches[n:k]} or not re.fullmatch(r"\s*,\s*|\s*,?\s+(and|&)\s+", between):
                break
            if re.search(r"and|&", between):
                last = k
                if k + 1 < len(matches) and not re.fullmatch(r"\s*,?\s+(and|&)\s+", sentence[matches[k][1] : matches[k + 1][0]]):
                    break
        together = matches[n : last + 1]
        groups.append((matches[n][0], matches[last][1], [name for *_, name, _ in together], together[-1][3]))
        n = last + 1
    return groups


def _referential(sentence: str, groups: list[tuple[int, int, list[str], bool]], named: frozenset[str], cast: Mapping[str, str]) -> str:
    pronouns = [cast[name] for name in named]
    parts, done = [], 0
    for start, end, who, own in groups:
        before, after = sentence[:start], sentence[end:]
        if len(who) > 1 and set(who) == named and len(named) > 1:
            pronoun = "they"
            both = re.search(r"\bboth\s+$", before[done:], re.I)
            start -= len(both[0]) if both else 0
            before = sentence[:start]
        elif len(who) == 1 and pronouns.count(cast[who[0]]) == 1:
            pronoun = cast[who[0]]
        else:
            continue
        previous = re.search(r"([\w'’]+)\s*$", before)
        if previous and previous[1].lower() in DETERMINERS:
            continue
        written = _form(pronoun, own, before, after)
        begins = re.search(r"(^|[.!?])[\s\"'“‘(]*$", before)
        parts += [sentence[done:start], written[0].upper() + written[1:] if begins else written]
        done = end
    return "".join(parts) + sentence[done:]


def _form(pronoun: str, own: bool, before: str, after: str) -> str:
    """The grammatical form of the pronoun for a name that stood between `before` and `after`."""
    subject, direct, possessive, alone = FORMS[pronoun]
    next_word = re.match(r"\s+([\w'’]+)", after)
    following = next_word[1].lower() if next_word else ""
    if own:
        if following in CONTRACTED or (following.endswith("ing") and following not in NOUNS):
            return f"{subject}'{'re' if pronoun == 'they' else 's'}"
        return possessive if following and following not in CLAUSE | PREPOSITIONS | FINITE else alone
    previous = re.search(r"([\w'’]+)\s*$", before)
    last = previous[1].lower() if previous else ""
    if not last or last in CLAUSE or last.endswith("ly") or last == "both":
        return subject
    return subject if following in FINITE and last not in PREPOSITIONS else direct
