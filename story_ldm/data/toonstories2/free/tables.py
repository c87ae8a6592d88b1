"""All tables of the free form of ToonStories 2: those of the first world, less what would tell something else here (a face, an hour, a weather, a
position, another kind, action or prop), and its own."""

from __future__ import annotations

import re
from functools import cache

from story_ldm.data.toonstories.free.tables import TABLES as FIRST
from story_ldm.data.toonstories.free.tables import Tables
from story_ldm.data.toonstories.free.templates import Template, table
from story_ldm.data.toonstories.world import seeded_by
from story_ldm.data.toonstories2.free import doings, places, states, who

HOURS = """day|morning|afternoon|evening|night|nightlight|noon|midnight|dawn|sunrise|sunset|dusk|bedtime|teatime|moonlight|breakfast|supper
|lunch|dinner|tomorrow|yesterday|next day|the day before|hour|daylight|stars?|lamp|late|early"""
SKIES = """sun|sunny|sunlight|sunshine|rain|rainy|rainbow|snow|snowy|snowflake|wind|windy|breeze|storm|stormy|thunder|lightning|fog|foggy|mist
|clouds?|weather|icicle|avalanche|winter|blizzard|sky is"""
FACES = """happy|happily|glad|gladly|joy|joyful|joyfully|cheerful|cheerfully|merry|merrily|jolly|jovial|gleeful|gleefully|delight|delighted
|delightful|pleased|pleasure|thrilled|overjoyed|excited|excitedly|excitement|smile|laugh|giggle|giggly|grin|chuckle|snigger|beam|sad|sadly
|unhappy|cry|weep|sob|tears?|sigh|gloomy|lonely|homesick|mope|sulky|sorrow|angry|angrily|cross|grumpy|grumble|furious|furiously|frown
|surprised?|amazed|astonish|gasp|gape|gawk|blissfully|good mood|spirits|moods?|moody|tickled|relieved|over the moon|as happy|fun|funny
|shining eyes|happiness|snivel|complain|fret|good time|great time|lovely day|well|lucky|poor|dear me|oh dear|shriek|squeal|jubilate
|enthusiastic|enthusiastically|bubbly|flustered|perky|smiling|red-faced|twinkle|sulk|bashful|boisterous|fussy|gruff|stubbornly|triumph
|hilarious|wonderful|lovely|carefree|upbeat|optimistic|zestfully|wholeheartedly|jauntily|jaunty|tearful|dreadful|terrified|afraid|shock
|fright"""
ACTS = """munch|nibble|sip|chew|devour|gobble|slurp|eat|taste|bite|drink|feast|swallow|gulp|relish|feed|read|book|asleep|sleep|sleepy|doze|nap
|snooze|dream|dreamy|dreamily|slumber|fall|tumble|trip|stumble|topple|collapse|hug|embrace|cuddle|snuggle|nestle|hand in hand|point|drowsy
|study|yawn|curl|biscuit|sandwich|each other|walk"""
THINGS = """ball|balloon|umbrella|flag|kite|gift|presents?|lantern|bucket|basket|drum|guitar|key|letter|ice cream|teddy|boat|pinwheel|cup
|suitcase|banner|pennant|parcel|trunk|letterbox|hamper|parasol"""
PEOPLE = """bear|rabbit|fox|mouse|frog|duck|robot|alien|cat|kitten|dog|puppy|puppies|pig|lion|penguin|owl|elephant|dragon|girl|boy|woman|man
|men|women|lady|ladies|mum|dad|mother|father|aunt|auntie|uncle|grandma|grandpa|child|children|kids|baby|babies|teacher|pirate|witch|wizard|king
|queen|knight|ghost|mermaid|dentist|postman|plumber|fleas?"""
MARKS = "crown|hat|flower|glasses|bow|scarf"
SPOILT = "waterin|woode|loya|snu|eart"  # words that the first world's tables have by mistake, and keep
HERE = "castle|school|garden|farm|playground|sea|living room|homework|barn|harbour"
UNWANTED = re.compile(
    rf"\b(?:{'|'.join((HOURS, SKIES, FACES, ACTS, THINGS, PEOPLE, MARKS, SPOILT, HERE))})(?:s|es|d|ed|ing|ning|ling)?\b".replace("\n", ""), re.I
)
SKY_ONLY = re.compile(rf"\b(?:{'|'.join((HOURS, SKIES, 'owl|children|sailors?'))})(?:s|es|ed|ing)?\b".replace("\n", ""), re.I)
BESIDE = re.compile(
    r"(?:next to|beside|behind|in front)[^|]*\{O|in front:|in the background|\{O[.\w]*\} in front"
)  # positions are named in no sentence
TOKEN = re.compile(r"[\[\]|]|[^\[\]|]+")


def without(source: str, unwanted: re.Pattern) -> str:
    """The table without the alternatives, also those in brackets, that match."""
    kept, _ = _kept(TOKEN.findall(re.sub(r"\s+", " ", source.strip())), 0, unwanted)
    return "|".join(kept)


def _kept(tokens: list[str], at: int, unwanted: re.Pattern) -> tuple[list[str], int]:
    found: list[str] = []
    whole, own, right = "", "", True  # the alternative, its own words, whether its brackets have anything left
    while True:
        token = tokens[at] if at < len(tokens) else "]"
        if token == "[":
            inner, at = _kept(tokens, at + 1, unwanted)
            right &= bool(inner)
            whole, own = f"{whole}[{'|'.join(inner)}]", own + " _ "
        elif token in "|]":
            if right and not unwanted.search(own):
                found.append(whole)
            whole, own, right = "", "", True
            if token == "]":
                return found, at
        else:
            whole, own = whole + token, own + token
        at += 1


def _fitting(name: str, value):
    """A table of the first world as it fits here."""
    if isinstance(value, dict):
        return {key: _fitting(name, part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_fitting(name, part) for part in value)
    if not isinstance(value, str):
        return value
    unwanted = SKY_ONLY if name in ("LOC", "GOAL", "PLC", "HEADING", "SCENES") else UNWANTED
    return without(without(value, unwanted), BESIDE) if name not in KEPT else value


KEPT = ("EVERYBODY", "OTHERS", "OTHER", "SINGULAR_GROUPS")  # of which no alternative may be missing
_first = {name: _fitting(name, value) for name, value in vars(FIRST).items()}
_own = {name: value for module in (doings, states, who) for name, value in vars(module).items() if name[0].isupper()}
for _name in ("ACTION", "CALLS", "INVERTED", "PLAIN_ACTION", "SIMPLE_ACTION"):
    _own[_name] = (*_first[_name], *_own[_name])
_own["MOVING"] = _first["MOVING"] | _own["MOVING"]
for _name in ("LOC", "GOAL", "PLC", "HEADING", "SCENES"):
    _own[_name] = (*_first[_name][:1], places.BEACH[_name], *_first[_name][2:], *(place[_name] for place in places.NEW))
_quiet = _first["QUIET"]["open"].replace("{At}it", "{loc} it")  # which says the place in any case
_own["QUIET"] = _first["QUIET"] | {"open": _quiet}
TABLES = Tables(**_first | _own)


# --- what only the test splits say ----------------------------------------------------------------------------------------------------------


def held_out(template: Template) -> bool:
    """Whether only the test splits use this alternative of a long table: one in eight words, phrases and constructions that are not the usual
    ones."""
    return seeded_by("toonstories-2", "phrase", template) % 8 == 0


@cache
def alternatives(source: str, test: bool) -> tuple[Template, ...]:
    """The alternatives of a table that stories draw from; the test splits' own are three times as likely there as others."""
    found = table(source)
    own = tuple(template for template in found if len(found) >= 10 and found.count(template) == 1 and held_out(template))
    common = tuple(template for template in found if template not in own)
    return common + 3 * own if test else common
