"""What the sentences of a story tell: the targets on which the reader is trained, and the rates by which it is judged."""

from __future__ import annotations

import hashlib

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from story_ldm.data.free_english import SaidFrame
from story_ldm.data.toonstories import CHARACTERS, SPLITS, TEXT_FORMS, make_story
from story_ldm.data.toonstories.free import free_story
from story_ldm.data.toonstories.tales import told_tale
from story_ldm.data.toonstories.told import CANDIDATES, IGNORED, told_story
from story_ldm.data.toonstories.world import kind_of
from story_ldm.data.words import split_words
from story_ldm.encoders.reader import UnderstoodCharacter, UnderstoodFrame
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.metrics.understanding import percent, told_frames, understanding_counts

GOLDEN = "af15add740417c3d"


@settings(deadline=None)
@given(split=st.sampled_from(list(SPLITS)), index=st.integers(0, 10**6), form=st.sampled_from(TEXT_FORMS), length=st.integers(1, 9))
def test_told_stories(split, index, form, length):
    story, told = make_story(0, split, index, length), told_story(0, split, index, form, length)
    free = free_story(story)
    seen = [[kind for kind, here in zip(*row) if here] for row in zip(told.facts["kinds"], told.facts["seen"])]
    assert [sorted(kinds) for kinds in seen] == [sorted(map(kind_of, frame.characters)) for frame in story.frames]
    assume(len({kind_of(c) for c in story.cast}) == len(story.cast))
    assert told.sentences == ([frame.text for frame in free] if form == "free" else story.sentences[form])
    kinds = told.facts["kinds"][-1]
    for m, frame in enumerate(story.frames):
        row = {name: values[m] for name, values in told.facts.items()}
        of = dict(zip(row["kinds"], range(4)))
        assert {c for c in of if c != IGNORED and row["seen"][of[c]]} == set(frame.characters) and row["places"] == frame.place
        assert [k for k in row["kinds"] if k != IGNORED] == kinds[: sum(k != IGNORED for k in row["kinds"])], "nobody changes the slot"
        for c, action in zip(frame.characters, frame.actions):
            assert row["garments"][of[c]] in (0, 1 + story.garment(m, c)) and (form == "free" or row["garments"][of[c]])
            assert row["actions"][of[c]] in (IGNORED, action) and (row["weights"][of[c]] > 0) == (row["actions"][of[c]] != IGNORED)
            assert (row["props"][of[c]] > 0) == (row["prop_colors"][of[c]] > 0) == (c == frame.holder)
        for slot in range(4):
            if not row["seen"][slot]:
                assert row["garments"][slot] == row["actions"][slot] == row["props"][slot] == IGNORED


def test_golden_targets():
    """Published readers were trained on these."""
    told = [told_story(0, "train_wide", index, form, 4) for form in ("full", "referential", "free", "names") for index in range(3)]
    told += [told_tale(0, "train_wide", index, candidates=1 + index % 2) for index in range(12)]
    parts = [(story.sentences, sorted(story.facts.items()), story.mentions) for story in told]
    assert hashlib.sha256(repr(parts).encode()).hexdigest()[:16] == GOLDEN


def test_slots_are_in_the_order_of_the_text():
    for index in range(300):
        told = told_story(0, "train", index, "referential")
        positions = [told.sentences[0].find(CHARACTERS[c].name) for c in told.facts["kinds"][0] if c != IGNORED]
        assert positions == sorted(positions) and min(positions) >= 0


def test_stories_chosen_for_names_cross_them():
    chosen = [told_story(0, "train_wide", index, "names", 5) for index in range(8)]
    plain = [told_story(0, "train_wide", index, "free", 5) for index in range(8 * CANDIDATES)]
    assert chosen[3] in plain[3 * CANDIDATES : 4 * CANDIDATES]
    assert sum(told.crossed for told in chosen) / len(chosen) > 2 * sum(told.crossed for told in plain) / len(plain)


def test_mentions_are_words_of_those_who_are_meant():
    for index in range(40):
        told = told_story(0, "train_wide", index, "free", 4)
        story = free_story(make_story(0, "train_wide", index, 4))
        for sentence, frame, mentions in zip(told.sentences, story, told.mentions, strict=True):
            assert len(mentions) == len(frame.references)
            for reference, (words, slots) in zip(frame.references, mentions, strict=True):
                assert split_words(sentence)[words.start : words.stop] == split_words(sentence[reference.start : reference.end])
                assert len(slots) == len(reference.who) and all(told.facts["kinds"][-1][s] == kind_of(c) for s, c in zip(slots, reference.who))


def test_attention_to_other_words_than_the_mentions_costs():
    """So does attention to only one of two mentions."""
    facts = {"mentions": torch.tensor([[[[1, 0, 2], [0, 0, 0]]]])}
    attentions = ([0.5, 0.0, 0.5], [0.25, 0.5, 0.25], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0])
    losses = [reading_loss({"mentions": torch.tensor([[[x, [0.0, 0.0, 1.0]]]])}, facts)[0] for x in attentions]
    assert losses == sorted(losses) and losses[1] - losses[0] > 0.3


def test_a_story_without_a_told_action_has_no_target_for_it():
    """An actor of `also` whose action the free text leaves out does not stand by."""
    story, told = make_story(0, "train_wide", 2499, 8), told_story(0, "train_wide", 2499, "free", 8)
    for m, frame in enumerate(story.frames):
        actions = dict(zip(told.facts["kinds"][m], zip(told.facts["actions"][m], told.facts["weights"][m])))
        for c, action in zip(frame.characters, frame.actions):
            target, weight = actions[kind_of(c)]
            assert target in (IGNORED, action) and (weight == 0) == (target == IGNORED)


def test_counts():
    told = told_story(0, "train_wide", 5, "full", 4)
    said = told_frames(told)
    perfect = [
        UnderstoodFrame(
            f.place, [UnderstoodCharacter(k, dict(f.garments).get(k), dict(f.actions).get(k, "stand"), dict(f.props).get(k)) for k in f.who]
        )
        for f in said
    ]
    counts = understanding_counts([said], [perfect])
    assert set(percent(counts).values()) == {100.0} and counts["characters"] == counts["place"] == (4, 4)
    fox, bear = UnderstoodCharacter("fox", "red", "wave", None), UnderstoodCharacter("bear", "blue", "sit", "red ball")
    garments, props = [("fox", "blue"), ("bear", "red")], [("bear", "green ball"), ("fox", "red flag")]
    truth = SaidFrame(["fox", "bear"], "moon", garments, [("bear", "sit")], props, ["duck"])
    expected = {"characters": (1, 1), "place": (1, 1), "garments": (0, 2), "actions": (1, 1), "props": (1, 2)}
    assert understanding_counts([[truth]], [[UnderstoodFrame("moon", [fox, bear])]]) == expected
    duck = UnderstoodCharacter("duck", None, "sit", None)
    for read, right in (([fox, bear, fox], 0), ([fox], 0), ([fox, bear, duck], 1), ([fox, bear, duck, duck], 0)):
        assert understanding_counts([[truth]], [[UnderstoodFrame("moon", read)]])["characters"] == (right, 1), "the text leaves one duck open"


def test_counts_of_two_of_a_kind():
    two = SaidFrame(["fox", "fox"], "moon", [("fox", "red"), ("fox", "blue")])
    red, blue = (UnderstoodCharacter("fox", color, "stand", None) for color in ("red", "blue"))
    for read, once, characters, garments in (([red, blue], False, 1, 2), ([red, red], False, 1, 1), ([red], False, 0, 1), ([red], True, 1, 0)):
        counts = understanding_counts([[two]], [[UnderstoodFrame("moon", read)]], each_kind_once=once)
        assert counts["characters"] == (characters, 1) and counts["garments"] == (garments, 0 if once else 2)
