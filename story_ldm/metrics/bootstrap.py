"""Shares, F1 scores and means with 95 % intervals by bootstrap over stories, because the frames of one story are not independent.

    weights = bootstrap_weights(stories=1000, resamples=1000, seed=0)
    share(right, counted, story, weights)          # {"value": 0.93, "low": 0.92, "high": 0.94, "count": 5000}

Every measure is a function of per-story sums, so all resamples take one matrix product with `weights`.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray


def bootstrap_weights(stories: int, resamples: int, seed: int) -> ndarray:
    """(resamples, stories) int: number of times that each story occurs in each resample."""
    return np.random.default_rng(seed).multinomial(stories, np.full(stories, 1 / stories), size=resamples)


def story_sums(values: ndarray, story: ndarray, stories: int) -> ndarray:
    """Values of frames (F,) or (F, K), and the story number of each frame (F,) → sums per story (stories,)."""
    return np.bincount(story, weights=values.reshape(len(story), -1).sum(1), minlength=stories)


def cell(value: float, resampled: ndarray, count: int) -> dict:
    """A value with its percentile interval: 2.5 % and 97.5 % of the resampled values. All are NaN if `count` is 0."""
    resampled = resampled[~np.isnan(resampled)]
    low, high = np.percentile(resampled, [2.5, 97.5]) if count and len(resampled) else (float("nan"),) * 2
    return {"value": float(value) if count else float("nan"), "low": float(low), "high": float(high), "count": int(count)}


def share(right: ndarray, counted: ndarray, story: ndarray, weights: ndarray) -> dict:
    """Share of `counted` that is `right`, with its interval. Both are (F,) or (F, K) bool; or `right` holds numbers, which are averaged and must be 0
    where `counted` is False. story: (F,). weights: from `bootstrap_weights`."""
    hits, of = (story_sums(x, story, weights.shape[1]) for x in (right, counted))
    with np.errstate(invalid="ignore", divide="ignore"):
        return cell(hits.sum() / of.sum(), (weights @ hits) / (weights @ of), of.sum())


def f1_scores(true: ndarray, predicted: ndarray, chosen: ndarray, story: ndarray, weights: ndarray) -> dict[str, dict]:
    """F1 over the `chosen` frames (F,): micro (over all decisions), macro (mean over classes), weighted (mean by the number of true cases).

    true, predicted: (F, K) bool. A class that is neither true nor predicted has no F1 and is left out of the means, as scikit-learn does
    with zero_division=nan. `count` is the number of frames.
    """
    stories = weights.shape[1]
    parts = (true & predicted, true & ~predicted, ~true & predicted)
    hit, missed, wrong = (
        np.stack([np.bincount(story, weights=part[:, k] & chosen, minlength=stories) for k in range(true.shape[1])], 1) for part in parts
    )

    def scores(hit: ndarray, missed: ndarray, wrong: ndarray) -> ndarray:
        """(…, K) sums → (…, 3)"""
        with np.errstate(invalid="ignore", divide="ignore"):
            each, support = 2 * hit / (2 * hit + missed + wrong), hit + missed
            micro = 2 * hit.sum(-1) / (2 * hit + missed + wrong).sum(-1)
            macro = np.nansum(each, -1) / (~np.isnan(each)).sum(-1)
            weighted = np.where(np.isnan(micro), micro, np.nansum(each * support, -1) / support.sum(-1).clip(1))
        return np.stack([micro, macro, weighted], -1)

    values = scores(hit.sum(0), missed.sum(0), wrong.sum(0))
    resampled = scores(weights @ hit, weights @ missed, weights @ wrong)
    return {name: cell(values[n], resampled[:, n], chosen.sum()) for n, name in enumerate(("micro", "macro", "weighted"))}
