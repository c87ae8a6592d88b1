"""Tests whether one system is better than another: paired bootstrap over stories of the difference of two rates, with Holm's correction.

    tests = paired_tests(results, ("referential/characters", "self/mark kept"), baseline="storygan")
    tests["self/mark kept"][0]      # {"first", "second", "difference", "low", "high", "p", "holm"}; the last five are None if nothing was counted

A rate is the sum of `right` over the sum of `of`, both with one number per story. All systems drew the same stories, and a resample takes the same
stories of both systems: the difficulty of a story, common to all systems, cancels out of the difference.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy import ndarray

from story_ldm.metrics.bootstrap import bootstrap_weights

COLUMNS = ("referential/characters", "later/garment", "self/mark kept", "self/layout kept", "all/characters", "match/cosine", "pixels/ssim")
Counts = dict[str, list[float]]  # "right" and "of", one number per story


def paired_tests(
    results: list[dict], columns: tuple[str, ...] = COLUMNS, baseline: str | None = None, resamples: int = 2000, seed: int = 0
) -> dict[str, list[dict]]:
    """Column → one test per pair of systems: all pairs, or every other system against `baseline`. The difference is first minus second.

    Columns that fewer than two systems have are left out. Raises SystemExit if the systems' stories differ or `baseline` is not one of them.
    """
    names = [result["system"] for result in results]
    if baseline is not None and baseline not in names:
        raise SystemExit(f"--baseline is {baseline!r}; it must be one of the systems {', '.join(names)}")
    counted = [result for result in results if result.get("per_story")]
    _check_same_stories(counted)
    tests = {}
    for column in columns:
        counts = {result["system"]: result["per_story"][column] for result in counted if column in result["per_story"]}
        if baseline is None:
            pairs = list(combinations(counts, 2))
        else:
            pairs = [(name, baseline) for name in counts if name != baseline and baseline in counts]
        if pairs:
            weights = bootstrap_weights(len(counts[pairs[0][0]]["of"]), resamples, seed)
            rows = [{"first": a, "second": b} | paired_difference(counts[a], counts[b], weights) for a, b in pairs]
            corrected = holm([row["p"] for row in rows])
            tests[column] = [row | {"holm": p} for row, p in zip(rows, corrected, strict=True)]
    return tests


def paired_difference(a: Counts, b: Counts, weights: ndarray) -> dict:
    """Rate of `a` minus rate of `b`, its 95 % interval, and the two-sided p of no difference.

    weights: (resamples, stories) from `bootstrap_weights`. p is twice the share of resamples at or below zero, or at or above zero, whichever is
    smaller. The sample itself counts as one of them, so p is at least 2 / (resamples + 1).
    """
    (right_a, of_a), (right_b, of_b) = ((np.asarray(counts["right"]), np.asarray(counts["of"])) for counts in (a, b))
    if not of_a.sum() or not of_b.sum():
        return dict.fromkeys(("difference", "low", "high", "p"))
    count_a, count_b = weights @ of_a, weights @ of_b
    valid = (count_a > 0) & (count_b > 0)
    differences = (weights @ right_a)[valid] / count_a[valid] - (weights @ right_b)[valid] / count_b[valid]
    low, high = np.percentile(differences, [2.5, 97.5])
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * (tail + 1) / (len(differences) + 1))
    return {"difference": float(right_a.sum() / of_a.sum() - right_b.sum() / of_b.sum()), "low": float(low), "high": float(high), "p": float(p)}


def holm(ps: list[float | None]) -> list[float | None]:
    """Holm's step-down correction: the k-th smallest of n values is multiplied by n - k + 1, and raised to the one before it. None stays None."""
    order = sorted(((p, n) for n, p in enumerate(ps) if p is not None), key=lambda pair: pair[0])
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, n) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[n] = largest
    return corrected


def _check_same_stories(results: list[dict]) -> None:
    for result in results[1:]:
        ours, theirs = results[0]["story_ids"], result["story_ids"]
        if ours != theirs:
            place = next((n for n, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))
            at = " and ".join(repr(ids[place]) if place < len(ids) else "none" for ids in (ours, theirs))
            raise SystemExit(
                f"{results[0]['system']} and {result['system']} differ in story_ids: number {place} is {at}; paired tests need the same stories"
            )
