"""The form `free` of ToonStories 2: its references can be resolved, its facts are those of its text, states are told, and words are held out.

pytest tests/test_toonstories2_free.py
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from free_reader import FreeReader
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm import load_stories
from story_ldm.data.toonstories.free import slips
from story_ldm.data.toonstories.free.names import all_names, held_out_name
from story_ldm.data.toonstories2 import SPLITS, make_story, story_row
from story_ldm.data.toonstories2.free import free_story
from story_ldm.data.toonstories2.free.tables import TABLES, alternatives
from story_ldm.data.toonstories2.tables import ACTIONS, FACES, HAIRS, KINDS, PEOPLE, TIMES, WEATHERS
from story_ldm.data.toonstories2.world import kind_of

HERE = Path(__file__).parent
WORD = re.compile(r"[a-zà-ÿ]+(?:['’-][a-zà-ÿ]+)*")
COUNTS = {"train": 250, "validation": 120, "test": 250, "test_compositional": 120, "test_long": 12}


@cache
def some(split: str, count: int = 0) -> list:
    """The split's first stories and their free frames."""
    return [(story, free_story(story)) for story in (make_story(0, split, index) for index in range(count or COUNTS[split]))]


def check_resolved(story, frames) -> None:
    reader, before, garments = FreeReader(second=True), [], {}
    for m, frame in enumerate(frames):
        where = f"{story.story_id}, frame {m}: {frame.text}"
        spans = [(r.start, r.end) for r in frame.references]
        assert spans == sorted(spans) and all(a[1] <= b[0] for a, b in pairwise(spans)), where
        try:
            meant = reader.read(frame.text, spans, before, garments)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        for reference, who in zip(frame.references, meant, strict=True):
            surface = frame.text[reference.start : reference.end]
            assert {one.kind for one in who} == set(reference.who), (
                f"{where}: {surface!r} is read as {[one.kind for one in who]}, not {reference.who}"
            )
        before = frame.facts.characters
        garments |= {c: g for c, g in zip(before, frame.facts.garments) if g is not None}


@pytest.mark.parametrize("split", COUNTS)
def test_a_reader_resolves_every_reference(split):
    for story, frames in some(split):
        check_resolved(story, frames)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(-(2**63), 2**63), split=st.sampled_from(list(SPLITS)), index=st.integers(0, 10**9), length=st.integers(1, 12))
def test_any_story_can_be_written_and_read(seed, split, index, length):
    story = make_story(seed, split, index, length)
    frames = free_story(story)
    assert len(frames) == length
    if len({kind_of(c) for c in story.cast}) == len(story.cast):  # the resolver goes by kinds
        check_resolved(story, frames)


# --- what the text states ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test_compositional"])
def test_facts_are_the_storys_and_those_of_the_text(split):
    unstated = Counter()
    for story, frames in some(split):
        known: set[int] = set()
        for m, (frame, state) in enumerate(zip(frames, story.frames, strict=True)):
            facts, where = frame.facts, f"{story.story_id}, frame {m}: {frame.text}"
            assert (facts.characters, facts.place, facts.time, facts.weather) == (state.characters, state.place, state.time, state.weather), where
            assert facts.place_stated or m, f"{where}: the first frame leaves its place open"
            assert facts.held == state.held and facts.faces == state.faces, where
            for k, c in enumerate(facts.characters):
                garment, action, look, toward = facts.garments[k], facts.actions[k], facts.looks[k], facts.toward[k]
                assert garment in (None, story.garment(m, c)) and action in (None, state.actions[k]) and look in (None, story.looks[c] % 5), where
                assert toward in (None, state.toward.get(c, -1)), where
                assert garment is not None or c not in known, f"{where}: a garment that was stated is no longer"
                known |= {c} if garment is not None else set()
                unstated.update({"garment": garment is None, "look": look is None, "action": action is None})
                unstated["all"] += 1
                if (c in state.event.subjects or c in state.event.also) and state.actions[k]:
                    assert action is not None or c in state.event.also, f"{where}: the action is not stated"
            assert m or {c for r in frame.references if r.how == "introduction" for c in r.who} == set(state.characters), where
    assert 0.1 < unstated["garment"] / unstated["all"] < 0.6 and 0.2 < unstated["look"] / unstated["all"] < 0.9, unstated
    assert unstated["action"] < 0.3 * unstated["all"], unstated


# What a reader looks for who knows nothing of the tables.
SIGNS = {
    "evening": "evening|dusk|sunset|twilight|s[aue]n?k|sun |late in the day|day (?:is|was) nearly|day dr|shadows|getting dark",
    "night": "night|dark|moon|stars|bed",
    "rain": "rain|pour|drizzl|wet|drops|heavens",
    "snow": "snow|flakes",
    "wind": "wind|bree|blow|blew|gust|bluster",
    "fog": "fog|mist",
    "storm": "storm|thunder|lightning",
    "happy": "happ|smil|laugh|grin|gigg|beam|glad|joy|cheer|merr|jolly|pleased|delight|thrill|good mood|spirits|world|glow|chuckl|smirk|great",
    "sad": "sad|cry|cri|weep|wept|sob|tear|glo+m|miserabl|heart|dumps|downcast|glum|sorrow|upset|sniffl|wail|griev|mop"
    "|whimper|long face|howl|blub|mourn|wet|head",
    "angry": "ang|cross|furi|mad|grump|annoy|livid|temper|irritat|rag|frown|scowl|fum|grumbl|growl|glar|grim|teeth|snarl|seeth",
    "surprised": "surpris|asto|amaz|startl|stun|aback|speechless|flab|dumb|words|gasp|believe|mouth|eyebrows|gap"
    "|saucers|shock|fright|marvel|big eyes",
}


def test_hour_weather_and_faces_are_told_where_they_change_and_else_not():
    """In stories without mistakes on purpose."""
    told = wrong = other = 0
    for story, frames in some("train"):
        for frame, state in zip(frames, story.frames, strict=True):
            text = frame.text.lower()
            news = [TIMES[state.time]] * ("time" in state.sky) + [WEATHERS[state.weather]] * ("weather" in state.sky)
            news += [FACES[face] for c, face in zip(state.characters, state.faces, strict=True) if c in state.felt]
            for name in news:
                if name in SIGNS:
                    told += 1
                    wrong += not re.search(SIGNS[name], text)
            other += not state.sky and bool(re.search(r"\b(evening|night|rain|rainy|foggy|stormy|windy|snows)\b", text))
    assert told > 500 and wrong < 0.03 * told, (told, wrong)
    assert other < 0.01 * sum(len(frames) for _, frames in some("train")), other


def test_looks_that_are_told_are_in_the_text():
    hair = {"blond": "blond|fair|golden", "brown": "brown|chestnut", "black": "black|raven", "red": "red|ginger", "grey": "grey|silver"}
    missing = told = 0
    for _, frames in some("train"):
        said = ""
        for frame in frames:
            said += " " + frame.text.lower()
            for c, look in zip(frame.facts.characters, frame.facts.looks, strict=True):
                if look is not None and KINDS[kind_of(c)] in PEOPLE:
                    told += 1
                    missing += not re.search(hair[HAIRS[look]], said)
    assert told > 40 and missing < 0.05 * told


# --- rows, names, held-out words, variety ---------------------------------------------------------------------------------------------------


def test_rows_have_the_same_labels_in_every_form():
    for split in ("train", "test_long"):
        free, other = (story_row(0, split, 3, text=text, pictures=False) for text in ("free", "referential"))
        for name in free.keys() - {"sentences", "referential", "attributes"}:
            assert free[name] == other[name]
        for a, b in zip(free["attributes"], other["attributes"], strict=True):
            assert {**a, "mentions": 0} == {**b, "mentions": 0} and len(a["mentions"]) == len(b["mentions"])
        assert free["sentences"] == [frame.text for frame in free_story(make_story(0, split, 3))]
    stories = load_stories("toonstories-2", "validation", 16, "free", limit=3)
    assert stories["sentences"][2] == [frame.text for frame in free_story(make_story(0, "validation", 2))]


def test_names_are_the_storys_and_no_words():
    forms = {form.lower() for name in all_names() for form in (name.full, name.short) if form}
    assert not forms & slips.table_words(TABLES), forms & slips.table_words(TABLES)
    held_out = {name.full for name in all_names() if held_out_name(name.full)}
    for split in COUNTS:
        used = {word for _, frames in some(split) for frame in frames for word in re.findall(r"\b[A-Z]\w+", frame.text)} & held_out
        assert bool(used) == split.startswith("test"), (split, used)


def test_test_splits_have_words_and_constructions_of_their_own():
    sources = [TABLES.ACT, TABLES.ENTER, TABLES.MOVE, *TABLES.ACTION, *TABLES.LOC, *TABLES.FACE[1:], TABLES.ADJECTIVES]
    for source in sources:
        own = set(alternatives(source, True)) - set(alternatives(source, False))
        assert len(own) < 0.3 * len(set(alternatives(source, True)))
    assert sum(bool(set(alternatives(source, True)) - set(alternatives(source, False))) for source in sources) > 0.9 * len(sources)
    words = {split: Counter(w for _, frames in some(split, 250) for f in frames for w in WORD.findall(f.text.lower())) for split in ("train", "test")}
    names = {form.lower() for name in all_names() for form in (name.full, name.short)}
    new = [w for w, count in words["test"].items() if count > 1 and w not in words["train"] and w.removesuffix("'s") not in names]
    assert len(new) > 100, len(new)


def test_no_frame_is_too_long():
    lengths = [len(re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", frame.text)) for split in COUNTS for _, frames in some(split) for frame in frames]
    assert max(lengths) <= 96


def test_no_slip_makes_another_word():
    assert not set(slips.BY_EAR.values()) & slips.vocabulary(TABLES), set(slips.BY_EAR.values()) & slips.vocabulary(TABLES)


@pytest.mark.slow
def test_an_event_has_hundreds_of_forms():
    forms: dict[str, set[str]] = {action: set() for action in ACTIONS}
    for story, frames in some("train", 4000):
        for frame, state in zip(frames, story.frames):
            if state.event.kind == "act" and not state.sky and not state.felt:
                text = frame.text
                for r in reversed(frame.references):
                    text = text[: r.start] + "@" + text[r.end :]
                forms[ACTIONS[state.event.action]].add(text)
    assert min(len(found) for found in forms.values()) > 150, {action: len(found) for action, found in forms.items()}


@pytest.mark.slow
def test_there_are_3000_word_forms():
    """In 20,000 stories, names and what is misspelled aside."""
    stories = (make_story(0, "train", index) for index in range(20_000))
    counts = Counter(word for story in stories for frame in free_story(story) for word in WORD.findall(frame.text.lower()))
    names = {form.lower() for name in all_names() for form in (name.full, name.short)}
    assert sum(word.removesuffix("'s") not in names and count > 3 for word, count in counts.items()) >= 3000


# --- the same on every machine, and fast -----------------------------------------------------------------------------------------------------

KEYS = [(0, "train", 0), (7, "test", 31), (1, "test_compositional", 5), (2, "test_long", 3), (3, "train_wide", 17)]
GOLDEN = "6cd86dccc7fcac1f221b8ff7a825550d6871091793c1e1140d0ed734c5c73384"


def digest() -> str:
    return hashlib.sha256("\n".join(repr(free_story(make_story(*key))) for key in KEYS).encode()).hexdigest()


def test_golden_stories():
    assert digest() == GOLDEN


def test_another_process_writes_the_same():
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONHASHSEED": "4242", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    code = "from test_toonstories2_free import digest\nprint(digest())"
    there = subprocess.run([sys.executable, "-c", code], env=env, cwd=HERE, capture_output=True, text=True)
    assert there.stdout.strip() == digest(), there.stderr[-2000:]


def test_200_stories_a_second():
    stories, rates = [make_story(3, "train", index) for index in range(60)], []
    for _ in range(4):
        start = time.process_time()
        for story in stories:
            free_story(story)
        rates.append(len(stories) / (time.process_time() - start))
    assert max(rates) >= 200
