"""Verb forms and articles: a table of irregular verbs and the spelling rules of the regular ones."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

IRREGULAR = {  # lemma → past, past participle
    pair[0]: (pair[1], pair[2])
    for pair in (
        line.split("/")
        for line in """awake/awoke/awoken be/was/been beat/beat/beaten become/became/become begin/began/begun bend/bent/bent bite/bit/bitten
        blow/blew/blown break/broke/broken bring/brought/brought build/built/built burst/burst/burst buy/bought/bought catch/caught/caught
        choose/chose/chosen come/came/come creep/crept/crept cut/cut/cut do/did/done draw/drew/drawn drink/drank/drunk drive/drove/driven
        eat/ate/eaten fall/fell/fallen feel/felt/felt fight/fought/fought find/found/found fling/flung/flung fly/flew/flown
        forget/forgot/forgotten freeze/froze/frozen get/got/got give/gave/given go/went/gone grow/grew/grown hang/hung/hung have/had/had
        hear/heard/heard hide/hid/hidden hold/held/held hurt/hurt/hurt keep/kept/kept kneel/knelt/knelt know/knew/known lay/laid/laid
        lead/led/led leap/leapt/leapt leave/left/left let/let/let lie/lay/lain light/lit/lit lose/lost/lost make/made/made mean/meant/meant
        meet/met/met put/put/put read/read/read ride/rode/ridden ring/rang/rung rise/rose/risen run/ran/run say/said/said see/saw/seen
        sell/sold/sold send/sent/sent set/set/set shake/shook/shaken shine/shone/shone show/showed/shown shut/shut/shut sing/sang/sung
        sink/sank/sunk sit/sat/sat sleep/slept/slept slide/slid/slid speak/spoke/spoken spend/spent/spent spin/spun/spun speed/sped/sped
        bust/bust/bust spread/spread/spread spring/sprang/sprung stand/stood/stood stick/stuck/stuck strike/struck/struck
        stride/strode/stridden sweep/swept/swept swim/swam/swum swing/swung/swung take/took/taken tear/tore/torn feed/fed/fed
        forgive/forgave/forgiven tell/told/told think/thought/thought throw/threw/thrown wake/woke/woken wear/wore/worn weave/wove/woven
        bid/bade/bidden unwind/unwound/unwound win/won/won wind/wound/wound dream/dreamt/dreamt""".split()
    )
}
DOUBLED = set(
    """admit wag bid bop bat bob chat clap drip drop fan flap flip flop forget fret grab grin hop hug hum jog leapfrog jig nap nod plan
    plod plop pop pat rub sag scan scrub shrug sip skip slap slip snap spot squat swat step stir stop strut swap tap tip trip trot tug
    twig wag wrap zip run sit get put let set cut win swim spin begin shut quit flit""".split()
)
LATER = {"cling": ("clung", "clung"), "hit": ("hit", "hit"), "shed": ("shed", "shed"), "weep": ("wept", "wept")}  # the second world's
DOUBLED |= set("dip grip grit hit jab kip shed skid skim sob thud".split())
VOWELS = "aeiou"


class Forms(NamedTuple):
    third: str
    ing: str
    past: str
    participle: str


@cache
def forms(lemma: str) -> Forms:
    """Of a lemma ("hop"): hops, hopping, hopped, hopped."""
    soft_y = lemma.endswith("y") and lemma[-2] not in VOWELS
    if lemma in ("have", "be"):
        third = {"have": "has", "be": "is"}[lemma]
    elif soft_y:
        third = lemma[:-1] + "ies"
    else:
        third = lemma + ("es" if lemma.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
    doubled = lemma + lemma[-1] if lemma in DOUBLED else lemma
    if lemma.endswith("ie"):
        ing = lemma[:-2] + "ying"
    elif lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")) and lemma != "be":
        ing = lemma[:-1] + "ing"
    else:
        ing = doubled + "ing"
    if lemma in IRREGULAR or lemma in LATER:
        return Forms(third, ing, *(IRREGULAR.get(lemma) or LATER[lemma]))
    past = lemma + "d" if lemma.endswith("e") else lemma[:-1] + "ied" if soft_y else doubled + "ed"
    return Forms(third, ing, past, past)


MODALS = {"can": "could", "will": "would", "must": "had to", "may": "might"}
STATES = frozenset("be have know like love want need see hear feel seem belong own mean think hope remember".split())  # rarely progressive


def finite(lemma: str, plural: bool, past: bool) -> str:
    if lemma in MODALS:
        return MODALS[lemma] if past else lemma
    if lemma == "be":
        return ("were" if plural else "was") if past else ("are" if plural else "is")
    if past:
        return forms(lemma).past
    return lemma if plural else forms(lemma).third


def negated(lemma: str, plural: bool, past: bool, short: bool) -> str:
    """ "does not jump", "isn't", "couldn't"."""
    if lemma == "be" or lemma in MODALS:
        word, rest = finite(lemma, plural, past), ""
        if word == "can":
            return "can't" if short else "cannot"
        if word == "will":
            return "won't" if short else "will not"
    else:
        word, rest = ("did" if past else "do" if plural else "does"), f" {lemma}"
    return f"{word}n't{rest}" if short else f"{word} not{rest}"


def with_article(phrase: str) -> str:
    """ "a red shirt", "an orange one"; by the first letter, which is right for all words of the tables."""
    return f"an {phrase}" if phrase[0] in "aeiouAEIOU" and not phrase.startswith(("one", "uni", "euro", "use")) else f"a {phrase}"
