"""Intervals, F1 scores against scikit-learn's, and rates by position."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from story_ldm.metrics.bootstrap import bootstrap_weights, f1_scores, share
from story_ldm.metrics.story_rates import measures, per_story, position_groups, rates_by_position


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(2, 6), st.floats(0, 1), st.integers(0, 1000))
def test_f1_is_that_of_scikit_learn(frames, classes, density, seed):
    dice = np.random.default_rng(seed)
    true, predicted = dice.random((2, frames, classes)) < density
    chosen = dice.random(frames) < 0.8
    story = np.sort(dice.integers(0, 5, frames))
    found = f1_scores(true, predicted, chosen, story, bootstrap_weights(story.max() + 1, 20, 0))
    for kind, value in found.items():
        if not chosen.any() or not (true | predicted)[chosen].any():
            assert math.isnan(value["value"])
            continue
        expected = f1_score(true[chosen], predicted[chosen], average=kind, zero_division=np.nan)
        assert value["value"] == pytest.approx(expected, abs=1e-12, nan_ok=True), kind
        assert value["count"] == chosen.sum()


def test_f1_of_one_class_a_frame_is_that_of_scikit_learn():
    dice = np.random.default_rng(0)
    true, predicted = dice.integers(0, 8, (2, 300))
    story = np.repeat(np.arange(60), 5)
    found = f1_scores(true[:, None] == np.arange(8), predicted[:, None] == np.arange(8), story >= 0, story, bootstrap_weights(60, 200, 0))
    for kind, value in found.items():
        assert value["value"] == pytest.approx(f1_score(true, predicted, average=kind))
        assert value["low"] < value["value"] < value["high"]
    assert found["micro"]["value"] == pytest.approx((true == predicted).mean())


def test_interval_covers_the_truth_nineteen_times_in_twenty():
    """Stories whose frames are alike: an interval that took frames for independent would cover far less."""
    dice, covered = np.random.default_rng(1), 0
    story, weights = np.repeat(np.arange(200), 5), bootstrap_weights(200, 400, 0)
    for _ in range(200):
        right = np.repeat(dice.random(200) < 0.7, 5)
        found = share(right, np.ones(1000, bool), story, weights)
        covered += found["low"] <= 0.7 <= found["high"]
    assert 180 <= covered <= 199


def test_interval_is_the_normal_one_on_many_stories():
    """Between the 2.5 % and the 97.5 % quantile lie 2 · 1.96 standard errors."""
    right = np.random.default_rng(0).random(800) < 0.3
    found = share(right, np.ones(800, bool), np.arange(800), bootstrap_weights(800, 4000, 0))
    error = (right.mean() * (1 - right.mean()) / 800) ** 0.5
    assert [found["low"], found["high"]] == pytest.approx([right.mean() - 1.96 * error, right.mean() + 1.96 * error], abs=0.15 * error)


@given(st.integers(1, 60))
def test_positions_are_in_one_group_each(longest):
    covered = [m for first, last in position_groups(longest) for m in range(first, last + 1)]
    assert covered == list(range(longest))


def test_groups_of_long_stories():
    assert position_groups(50) == [(0, 4), (5, 14), (15, 39), (40, 49)]
    assert position_groups(5) == [(m, m) for m in range(5)]


def test_rates_by_position_and_per_story_add_up():
    story, position = np.repeat([0, 1, 2], 4), np.tile(np.arange(4), 3)
    there = np.zeros((12, 3), bool)
    there[:, 0] = True
    labels = {
        "story": story,
        "position": position,
        "referential": position > 0,
        "characters": there,
        "background": np.zeros(12, int),
        "mention": np.where(there, 1, -100),
    }
    readings = {"characters": there.copy(), "background": (position == 3).astype(int)}
    readings["characters"][position == 2, 1] = True
    found = measures(labels, readings, ("he", "she", "it"))
    table = rates_by_position(labels, found)
    assert [table[str(m)]["characters"]["value"] for m in range(4)] == [1, 1, 0, 1]
    assert [table[str(m)]["background"]["value"] for m in range(4)] == [1, 1, 1, 0]
    counts = per_story(found, story)
    assert counts["all/characters"] == {"right": [3, 3, 3], "of": [4, 4, 4]}
    assert counts["referential/background"] == {"right": [2, 2, 2], "of": [3, 3, 3]}
