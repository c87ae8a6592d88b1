"""Rates of generated stories: the evaluator's readings of the frames, compared with the labels and with the story's own earlier frames.

    labels = as_arrays(frame_labels(stories))                  # frames of all stories, one after another
    readings = as_arrays(evaluator.read(frames))
    table = story_rates(labels, readings)                      # {row: {column: {"value", "low", "high", "count"}}}
    print(rates_markdown(table))

Rows `named`, `referential` (a character or the place follows from earlier sentences only) and `all`: exact set of characters, background, garment
and action of the characters in the labels (correct only if the character itself is read), F1 of characters and background. Where a world has them:
hour, weather, face, to whom they are turned (facing), and the prop and its colour of those who hold one.
Row `new names`: frames of stories in which somebody has a name that is held out from training.
Row `later`: the garment in frames whose sentence does not state it; hour, weather, face and prop in frames that show those of the frame before.
Row `pronoun`: frames of one character whom the sentence calls he, she or it.
Row `self`: whether the mark of a character, and the layout of a place, which no sentence states, are those of the first frame of the same story that
shows this character or place. A system that gives every Bruno a crown keeps marks without any memory; `chance` is therefore the rate at which two
different stories agree.
Intervals: 95 %, bootstrap over stories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from story_ldm.data.toonstories import CHARACTERS, MENTIONS
from story_ldm.metrics.bootstrap import bootstrap_weights, f1_scores, share, story_sums

Arrays = dict[str, ndarray]
Table = dict[str, dict[str, dict]]
Measures = dict[tuple[str, str], tuple[ndarray, ndarray]]  # (row, column) → right, counted: (F,) per frame or (F, K) per character
PRONOUNS = tuple(c.pronoun for c in CHARACTERS)
LASTING = ("time", "weather", "face", "prop")  # mentioned once, they last
POSITION_COLUMNS = (
    ("all", "characters"),
    ("all", "background"),
    ("all", "garment"),
    ("all", "action"),
    ("all", "face"),
    ("all", "time"),
    ("all", "weather"),
    ("self", "mark kept"),
    ("self", "layout kept"),
)


def as_arrays(tensors: Mapping[str, ArrayLike]) -> Arrays:
    return {name: np.asarray(values) for name, values in tensors.items()}


def story_rates(labels: Arrays, readings: Arrays, pronouns: Sequence[str] = PRONOUNS, resamples: int = 1000, seed: int = 0) -> Table:
    """All rates with their intervals. labels: from `frame_labels`, of F frames. readings: of the same frames. Columns of heads that `readings` lacks
    are left out. pronouns: of each character, if the labels have none."""
    story = labels["story"]
    weights = bootstrap_weights(story.max() + 1, resamples, seed)
    table: Table = {}
    for (row, column), (right, counted) in measures(labels, readings, pronouns).items():
        table.setdefault(row, {})[column] = share(right, counted, story, weights)
    for row, chosen in frame_rows(labels).items():
        for name, scores in f1_columns(labels, readings, chosen, weights).items():
            table[row] |= {f"{name} F1 {kind}": value for kind, value in scores.items()}
    for column, chance in (("mark kept", mark_chance), ("layout kept", layout_chance)):
        if column in table.get("self", {}):
            table["self"][column]["chance"] = chance(labels, readings)
    return table


def frame_rows(labels: Arrays) -> dict[str, ndarray]:
    """Row → mask of its frames (F,)."""
    rows = {"named": ~labels["referential"], "referential": labels["referential"], "all": np.ones(len(labels["story"]), bool)}
    if labels.get("new_name", np.zeros(0)).any():
        new = np.zeros(labels["story"].max() + 1, bool)
        np.logical_or.at(new, labels["story"], labels["new_name"].any(1))
        rows["new names"] = new[labels["story"]]
    return rows


def measures(labels: Arrays, readings: Arrays, pronouns: Sequence[str] = PRONOUNS) -> Measures:
    """Right and counted cases of every rate."""
    rates: Measures = {}
    columns = _right(labels, readings)
    for row, chosen in frame_rows(labels).items():
        for column, (right, counted) in columns.items():
            rates[row, column] = (right & _like(chosen, right), counted & _like(chosen, right))
    if "garment" in columns:
        right, counted = columns["garment"]
        later = labels["mention"] != MENTIONS.index("introduction")
        rates["later", "garment"] = (right & later, counted & later)
    for column in LASTING:
        if column in columns:
            right, counted = columns[column]
            lasts = _lasts(labels["story"], labels[column])
            rates["later", column] = (right & lasts, counted & lasts)
    alone, other = _pronoun(labels, readings, pronouns)
    rates["pronoun", "right character"] = (columns["characters"][0] & alone, alone)
    rates["pronoun", "other of the pronoun"] = (other, alone)
    if "mark" in readings:
        rates["self", "mark kept"] = _kept_marks(labels, readings)[:2]
    if "layout" in readings:
        rates["self", "layout kept"] = _kept_layouts(labels, readings)[:2]
    return rates


def f1_columns(labels: Arrays, readings: Arrays, chosen: ndarray, weights: ndarray) -> dict[str, dict[str, dict]]:
    """F1 scores of characters and background over the chosen frames (F,)."""
    scores = {"characters": f1_scores(labels["characters"], readings["characters"], chosen, labels["story"], weights)}
    if "background" in readings:
        places = np.arange(max(labels["background"].max(), readings["background"].max()) + 1)
        true, predicted = (x["background"][:, None] == places for x in (labels, readings))
        scores["background"] = f1_scores(true, predicted, chosen & (labels["background"] >= 0), labels["story"], weights)
    return scores


def per_story(rates: Measures, story: ndarray) -> dict[str, dict[str, list[float]]]:
    """Input of the paired tests: for each rate the sums of right and counted cases of each story; sums of numbers are rounded to four digits."""
    count = story.max() + 1
    return {
        f"{row}/{column}": {
            "right": story_sums(right, story, count).round(4).astype(int if right.dtype == bool else float).tolist(),
            "of": story_sums(of, story, count).astype(int).tolist(),
        }
        for (row, column), (right, of) in rates.items()
    }


def position_groups(longest: int) -> list[tuple[int, int]]:
    """First and last position of each group: single positions up to length 10; else the first 5, the next 10, the last 10, and the rest."""
    if longest <= 10:
        return [(m, m) for m in range(longest)]
    edges = [*sorted({0, 5, 15, longest - 10} & set(range(longest))), longest]
    return [(a, b - 1) for a, b in pairwise(edges)]


def rates_by_position(labels: Arrays, rates: Measures, resamples: int = 1000, seed: int = 0) -> dict[str, dict[str, dict]]:
    """Rates by position: {"0": {column: cell}, …}, or {"0-4": …} for long stories."""
    story, position = labels["story"], labels["position"]
    weights = bootstrap_weights(story.max() + 1, resamples, seed)
    table = {}
    for first, last in position_groups(position.max() + 1):
        here = (position >= first) & (position <= last)
        name = str(first) if first == last else f"{first}-{last}"
        table[name] = {
            key[1]: share(right & _like(here, right), counted & _like(here, counted), story, weights)
            for key, (right, counted) in rates.items()
            if key in POSITION_COLUMNS
        }
    return table


def _like(chosen: ndarray, right: ndarray) -> ndarray:
    """A mask of frames (F,) that broadcasts to `right`, (F,) or (F, K)."""
    return chosen if right.ndim == 1 else chosen[:, None]


def _right(labels: Arrays, readings: Arrays) -> dict[str, tuple[ndarray, ndarray]]:
    """Column → right and counted cases, (F,) per frame or (F, K) per character; only characters in the labels count."""
    there = labels["characters"]
    columns = {"characters": ((there == readings["characters"]).all(1), np.ones(len(there), bool))}
    for name in ("background", "garment", "action", "time", "weather", "face", "facing", "prop", "prop_color"):
        if name not in readings or name not in labels or (name == "prop" and "prop_color" not in readings):  # the first world's props have no rate
            continue
        counted = (labels[name] >= 0) & (True if name not in ("prop", "prop_color") else labels["prop"] > 0)
        right = counted & (labels[name] == readings[name])
        columns[name.replace("_", " ")] = (right if right.ndim == 1 else right & readings["characters"], counted)
    return columns


def _lasts(story: ndarray, values: ndarray) -> ndarray:
    """Mask of the labels, (F,) or (F, K), that are those of the story's frame before."""
    again = np.append(False, story[1:] == story[:-1])
    return (values == np.roll(values, 1, 0)) & _like(again, values)


def _pronoun(labels: Arrays, readings: Arrays, pronouns: Sequence[str]) -> tuple[ndarray, ndarray]:
    """Mask of frames (F,) with one character, called by a pronoun; and of those in which another one with this pronoun is read instead."""
    there, read = labels["characters"], readings["characters"]
    alone = (there.sum(1) == 1) & (labels["mention"] == MENTIONS.index("pronoun")).any(1)
    if "pronoun" in labels:  # free ones, of a story's own characters
        kind = np.full((labels["story"].max() + 1, there.shape[1]), -1)
        np.maximum.at(kind, labels["story"], labels["pronoun"])
        kind = kind[labels["story"]]  # (F, K)
    else:
        kind = np.broadcast_to(np.unique(pronouns, return_inverse=True)[1], there.shape)
    true, shown, row = there.argmax(1), read.argmax(1), np.arange(len(there))
    return alone, alone & (read.sum(1) == 1) & (true != shown) & (kind[row, true] == kind[row, shown])


def _kept_marks(labels: Arrays, readings: Arrays) -> tuple[ndarray, ndarray, ndarray]:
    """(F, K): whether the mark is that of the first frame, what is counted, and the number of that first frame."""
    there, mark = labels["characters"], readings["mark"]
    first = first_frames(labels["story"], there)  # (F, K)
    shown = there & readings["characters"]
    column = np.arange(there.shape[1])
    later = shown & (first < np.arange(len(there))[:, None]) & shown[first, column]
    return later & (mark == mark[first, column]), later, first


def mark_chance(labels: Arrays, readings: Arrays) -> float:
    """Rate at which the first frames of a character in two different stories agree in its mark."""
    _, later, first = _kept_marks(labels, readings)
    column = np.arange(later.shape[1])
    return _agreement([readings["mark"][np.unique(first[later[:, k], k]), k] for k in column], later.sum(0))


def _kept_layouts(labels: Arrays, readings: Arrays) -> tuple[ndarray, ndarray, ndarray]:
    """(F,): the same for layouts, over frames whose place was shown before and is read correctly in both frames."""
    place, layout = labels["background"], readings["layout"]
    at = place[:, None] == np.arange(max(place.max() + 1, 1))  # (F, P)
    first = np.where(place >= 0, first_frames(labels["story"], at)[np.arange(len(place)), place.clip(0)], np.arange(len(place)))
    right = (place >= 0) & (readings["background"] == place)
    later = right & (first < np.arange(len(place))) & right[first]
    return later & (layout == layout[first]), later, first


def layout_chance(labels: Arrays, readings: Arrays) -> float:
    """Rate at which the first frames at a place in two different stories agree in its layout."""
    _, later, first = _kept_layouts(labels, readings)
    there = [later & (labels["background"] == place) for place in range(labels["background"].max() + 1)]
    return _agreement([readings["layout"][np.unique(first[frames])] for frames in there], [frames.sum() for frames in there])


def first_frames(story: ndarray, shown: ndarray) -> ndarray:
    """(F, K): for frames that show k, the number of the story's first frame that does; else their own number. story (F,), shown (F, K) bool."""
    rows = np.broadcast_to(np.arange(len(story))[:, None], shown.shape)
    earliest = np.full((story.max() + 1, shown.shape[1]), len(story))
    np.minimum.at(earliest, story, np.where(shown, rows, len(story)))
    return np.where(shown, earliest[story], rows)


def _agreement(groups: list[ndarray], weights: Sequence[int] | ndarray) -> float:
    """Rate at which two different members of a group agree, averaged over groups by weight."""
    agreements, weight = [], []
    for values, w in zip(groups, weights, strict=True):
        if len(values) > 1:
            counts = np.bincount(values)
            agreements.append((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))
            weight.append(w)
    return float(np.average(agreements, weights=weight)) if agreements else float("nan")
