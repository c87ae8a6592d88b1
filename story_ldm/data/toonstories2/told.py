"""What the sentences of a story of ToonStories 2 tell, by slots: as in the first world (`toonstories/told.py`), and faces, to whom somebody is
turned, hour and weather.

story = told_story(seed=0, split="train_wide", index=7, form="free", length=5, world=SECOND)
story.facts["faces"], story.facts["times"]
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from story_ldm.data.toonstories.told import FIRST, IGNORED, ToldWorld, told_facts, told_story
from story_ldm.data.toonstories2.free import Facts, free_story
from story_ldm.data.toonstories2.free.tables import ACTS, HERE, HOURS, SKIES, TABLES, alternatives
from story_ldm.data.toonstories2.free.tables import FACES as FACE_WORDS
from story_ldm.data.toonstories2.stories import make_story
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, KINDS, PLACES, PROPS, TIMES, WEATHERS
from story_ldm.data.toonstories2.world import KIND_PRONOUNS, PAIRS, SPLITS, Story, kind_of

__all__ = ["LABELS", "SECOND", "TOLD_WORLDS", "told_facts", "told_story"]

LABELS = {  # as in the first world; "the viewer" is value 0 of partners, the others are the slots
    "kinds": list(KINDS),
    "garments": list(COLORS),
    "actions": list(ACTIONS),
    "props": list(PROPS),
    "prop_colors": list(COLORS),
    "faces": list(FACES),
    "partners": ["the first", "the second", "the third", "the fourth"],
    "places": list(PLACES),
    "times": list(TIMES),
    "weathers": list(WEATHERS),
}


def appears(story: Story, c: int, sentence: str) -> int:
    found = re.search(rf"\b{re.escape(story.names[c].full)} the ", sentence, re.I)
    return found.start() if found else len(sentence)


def states(story: Story, m: int, told: Facts | None, order: list[int]) -> dict[str, Any]:
    """A face, hour or weather that was not told is the usual one, which is known, too; to whom somebody is turned is known only where it is told."""
    frame = story.frames[m]
    toward = [frame.toward.get(c, -1) for c in frame.characters] if told is None else told.toward
    partners = [IGNORED if c is None else 0 if c < 0 else 1 + order.index(c) for c in toward]
    return {"faces": frame.faces, "partners": partners, "times": frame.time, "weathers": frame.weather}


def _words(words: str) -> re.Pattern:
    return re.compile(rf"\b(?:{words})(?:s|es|d|ed|ing|ning|ling)?\b".replace("\n", ""), re.I)


SECOND = ToldWorld(
    name="toonstories-2",
    labels=LABELS,
    letters="ABCD",
    story_id="toon2",
    splits=SPLITS,
    make_story=make_story,
    free_story=free_story,
    kind_of=kind_of,
    appears=appears,
    held=Story.held,
    states=states,
    tales=Path(__file__).with_name("tales"),
    words=TABLES,
    alternatives=lambda source: alternatives(source, False),
    usual_pronouns=KIND_PRONOUNS,
    prop_letters="TU",
    pairs=tuple(ACTIONS[a] for a in PAIRS),
    lends=FIRST,
    strangers=_words(
        """cat|kitten|kitty|dog|puppy|puppies|pup|pig|piglet|hen|lion|penguin|owl|elephant|dragon|girl|boy|woman|man|men|women|lady|ladies|lad
|lass|gentleman|gentlemen|mum|dad|mummy|daddy|mother|father|grandma|grandpa|child|children|kid|baby|babies"""
    ),
    doubts={
        "garments": _words("orange|pink|black"),
        "actions": _words(re.sub(r"\|book\b", "", ACTS) + "|stroll|wander|march|hike|lie|lay|lying|picnic|cake|meal|lunch|supper|breakfast|dinner"),
        "props": _words(
            """kite|gift|presents?|parcel|lantern|lamp|torch|bucket|pail|basket|hamper|drum|guitar|ukulele|key|letter|envelope|ice cream
|teddy|boat|ship|pinwheel|windmill|cup|mug|tea|suitcase|bag|trunk"""
        ),
        "faces": _words(FACE_WORDS),
        "times": _words(HOURS),
        "weathers": _words(SKIES),
        "places": _words(
            HERE
            + """|sofa|couch|armchair|fireplace|lounge|pier|jetty|dock|quay|ocean|boardwalk|lawn|vegetables?|classroom|blackboard|palace|swing
|slide|seesaw|sandpit|snow|igloo|sledge|backyard|barnyard|stable|tractor|fields?|hay"""
        ),
    },
)
TOLD_WORLDS = {world.name: world for world in (FIRST, SECOND)}
