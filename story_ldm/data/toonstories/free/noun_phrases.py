"""Noun phrases of the free form: how a writer introduces somebody, and how it refers to one or several who are known.

Each function writes into the writer's text and returns whether a verb after it is in the plural. `case` is "s" (subject), "o" (object) or
"p" (possessive)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story_ldm.data.toonstories.free.garments import Unclear, garment_after_noun, garment_of, plain_color
from story_ldm.data.toonstories.free.inflect import with_article
from story_ldm.data.toonstories.free.people import FORMS, Person

if TYPE_CHECKING:
    from story_ldm.data.toonstories.free.writer import Writer


def bare_name(person: Person) -> str:
    """The name without a title."""
    assert person.name is not None, "a character without a name is called by its kind"
    return person.name.full


def noun_of(w: Writer, c: int) -> str:
    """A word for the kind: the writer's usual one, at times another."""
    return w.people[c].noun if w.dice.chance(0.75) else w.word(w.t.KINDS[w.kind_of(c)])


def described(w: Writer, c: int, noun: str) -> str:
    """The noun, perhaps with an adjective (not on a noun that has one)."""
    plain = " " not in noun or noun == "visitor from space"
    return f"{w.adjective(c)} {noun}" if plain and w.describes(c) else noun


def one(w: Writer, c: int, case: str = "s", pronoun: bool = True, listed: bool = False) -> bool:
    person, talk, dice = w.people[c], w.talk, w.dice
    if c not in talk.introduced:
        if case == "p":
            raise Unclear
        introduce(w, c, case)
        return False
    bound = case != "s"
    options: dict[str, float] = {}
    if pronoun and talk.clear(c, bound):
        here = any(c in who for who in talk.sentence)
        options["pronoun"] = 60 * w.style.pronouns * (4 if here else 1)
    if person.name:
        options |= {"name": 34, "adjective name": 20 * w.style.describing}
    twins = [k for k in w.story.cast if k != c and w.kind_of(k) == w.kind_of(c)]
    if c in talk.kind_said and not twins:
        weight = w.style.kinds if person.name else 1.0
        options |= {"kind": 24 * weight, "our kind": 8 * weight if w.style.mine else 0}
        if person.name:
            options["name kind"] = 3
        if c in talk.garments_before:
            others = [k for k in talk.stage if k != c]
            options["garment kind"] = 2.5
            if c in talk.stage and others and talk.garments_before.issuperset(others) and all(w.garments[k] != w.garments[c] for k in others):
                options["garment"] = 4
    elif twins and c in talk.garments_before and talk.garments_before.issuperset(twins) and all(w.garments[k] != w.garments[c] for k in twins):
        options["garment kind"] = 12
    if not listed and case != "p" and len(talk.stage) == 2 and c in talk.stage and talk.last_one() not in (None, c):
        options |= {"friend": 5, "other": 3}
    how = dice.weighted(options)
    if how == "pronoun":
        form = FORMS[person.pronoun][{"s": 0, "o": 1, "p": 2}[case]]
        talk.pronouns[c] = person.pronoun
        w.refer(form, "pronoun", (c,))
        return person.pronoun == "they"
    if how == "friend":
        owner = talk.last_one()
        assert owner is not None, "a friend is somebody's"
        clear = pronoun and talk.clear(owner, True) and any(owner in who for who in talk.frame)
        if not clear and not w.people[owner].name:
            how = "other"
        else:
            if clear:
                talk.pronouns[owner] = w.people[owner].pronoun
            whose = FORMS[w.people[owner].pronoun][2] if clear else w.people[owner].names[-1] + "'s"
            words, label = f"{whose} {w.word(w.t.FRIEND)}", "species"
    if how == "other":
        words, label = w.word(w.t.OTHER), "species"
    elif how == "name":
        words, label = dice.pick(person.names), "name"
    elif how == "adjective name":
        words, label = f"{w.word(w.t.NAME_ADJECTIVES)} {bare_name(person)}", "name"
    elif how == "name kind":
        words, label = f"{bare_name(person)} the {noun_of(w, c)}", "name"
    elif how == "kind":
        words, label = f"the {described(w, c, noun_of(w, c))}", "species"
    elif how == "our kind":
        words, label = f"our {dice.pick(('', '', 'little ', 'dear ')) if ' ' not in person.noun else ''}{person.noun}", "species"
    elif how == "garment kind":
        color = plain_color(w, c)
        words, label = (
            dice.pick((f"the {person.noun} in {color}", f"the {person.noun} in the {color} shirt", f"the {color}-shirted {person.noun}")),
            "species",
        )
    elif how == "garment":
        words, label = f"the one in {plain_color(w, c)}", "species"
    w.refer(words + ("'s" if case == "p" else ""), label, (c,))
    return False


def introduce(w: Writer, c: int, case: str) -> None:
    """The first mention: a name that is bound to a kind, or a kind alone; perhaps with the garment."""
    person, talk, dice, style = w.people[c], w.talk, w.dice, w.style
    noun = noun_of(w, c)
    known = described(w, c, noun)
    own = style.mine and dice.chance(0.4)
    bound, comma = True, False
    if person.name is None:
        words = f"our {known}" if own else with_article(known) if dice.chance(0.85) else f"the {known}"
        if style.voice == "panel":
            words = dice.pick((known, with_article(known)))
    elif style.voice == "panel" and not person.name.short and dice.chance(0.6):
        words = f"{person.full} ({noun}"
        color = garment_of(w, c)
        if person.garment == "noun":
            talk.garments.add(c)
            words += dice.pick((f", {color.color} {color.noun}", f", {color.color} shirt", f", in {color.color}"))
        w.refer(words + ")", "introduction", (c,))
        _introduced(w, c)
        return
    else:
        name = person.full
        short = bool(person.name.short)
        company = [k for k in talk.stage if k != c and k in talk.introduced]
        options = {"the": 40}
        if not short:
            late = person.may_wait and case == "s"
            options |= {"a": 12, "called": 12, "the kind": 5, "bare": 30 if person.resident else 0, "late": 10 if late else 0, "our": 8 if own else 0}
        options["friend"] = 8 if not short and len(company) == 1 and talk.last_one() == company[0] and talk.clear(company[0], True) else 0
        how = dice.weighted(options)
        if how == "the":
            words = f"{name} the {known}"
            if short:
                words = f"{words} ({person.name.short} for short)"
        elif how == "a":
            words, comma = f"{name}, {with_article(known)}", True
        elif how == "called":
            called = (
                "named",
                "called",
                "called",
                "by the name of",
                *(["whose name was" if w.past else "whose name is"] if person.garment != "noun" else []),
            )
            words = f"{with_article(known)} {dice.pick(called)} {name}"
        elif how == "the kind":
            words = f"the {known} {name}"
        elif how == "our":
            words = f"our {known} {name}"
        elif how == "friend":
            owner = company[0]
            talk.pronouns[owner] = w.people[owner].pronoun
            words = f"{FORMS[w.people[owner].pronoun][2]} {w.word(w.t.FRIEND)} {name} the {noun}"
        else:
            words, bound = name, person.resident
            if how == "late":
                w.owes_kind.append(c)
    w.refer(words, "introduction", (c,))
    _introduced(w, c, bound)
    if person.garment == "noun":
        garment_after_noun(w, c, comma)
    elif comma:
        w.text.comma = True


def _introduced(w: Writer, c: int, bound: bool = True) -> None:
    w.talk.introduced.add(c)
    if bound:
        w.talk.kind_said.add(c)
    if w.people[c].garment == "sentence":
        w.owes_garment.append(c)


def many(w: Writer, who: list[int], case: str = "s", pronoun: bool = True) -> bool:
    """One or several."""
    if len(who) == 1:
        return one(w, who[0], case, pronoun)
    talk, dice, everybody = w.talk, w.dice, set(who)
    if talk.introduced.issuperset(who):
        options: dict[str, float] = {"list": 0 if case == "p" else 22}
        if pronoun and talk.group_meant() == everybody and len(talk.stage) > 1:
            options["they"] = 50 * w.style.pronouns
        last = talk.last_one()
        if everybody == set(talk.stage) and case != "p":
            options["everybody"] = 25
        elif last is not None and everybody == set(talk.stage) - {last} and case != "p":
            options["others"] = 40
        if not any(options.values()):
            raise Unclear
        how = dice.weighted(options)
        if how == "they":
            w.refer(FORMS["they"][{"s": 0, "o": 1, "p": 2}[case]], "group", tuple(who))
            return True
        if how != "list":
            words = w.word(w.t.EVERYBODY[len(who)] if how == "everybody" else w.others_words(len(who)))
            w.refer(words, "group", tuple(who))
            return words not in w.t.SINGULAR_GROUPS
    elif case == "p":
        raise Unclear
    twins = len({w.kind_of(c) for c in who}) == 1 and not talk.introduced & everybody and all(w.people[c].name for c in who)
    if twins and dice.chance(0.6):  # "two rabbits, Rosa and Nina"
        plural = w.t.PLURALS[w.kind_of(who[0])]
        w.text.put(f"two {dice.pick(('', '', 'young ', 'little ', 'good '))}{plural}{dice.pick((', ', ', ', ' called ', ' named ', ': '))}")
        for k, c in enumerate(who):
            w.text.put(" and " if k else "")
            w.refer(w.people[c].full, "introduction", (c,))
            _introduced(w, c)
        return True
    for k, c in enumerate(who):
        if k:
            w.text.put(" and " if k == len(who) - 1 else ", ")
        one(w, c, "o", pronoun=False, listed=True)
    return True
