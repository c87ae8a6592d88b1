"""Rates of generated stories: what the evaluator reads in the frames, against the labels and against the story's own earlier frames.

    labels = as_arrays(frame_labels(stories))                  # frames of all stories, one after another
    readings = as_arrays(evaluator.read(frames))
    table = story_rates(labels, readings)                      # {row: {column: {"rate", "low", "high", "count"}}}
    told = what_is_told(labels, sentences, PLACES)             # the same for the train split's
    ceiling = memoryless_ceiling(told_in_train, train_labels, told, labels)
    print(rates_markdown(table, ceiling))

Rows `named`, `referential` and `all` frames (a referential sentence leaves somebody or the place to be worked out from earlier ones):
exact set of characters, background, garment and action of those truly there (right only if the character is read as there, too). Row
`pronoun`: one character on stage whom the sentence calls he, she or it. Row `self`: is a character's mark, named in no sentence, the one in
the story's own first frame of this character; is a place's layout the one in the story's own first frame at this place. A painter who gives
every Bruno a crown keeps marks without a memory, so `chance` beside it says how often two different stories agree. Intervals: 95 %,
bootstrap over stories.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy import ndarray

from story_ldm.data.toonstories import CHARACTER_NAMES, CHARACTERS, COLORS, MENTIONS

Arrays = dict[str, ndarray]
Table = dict[str, dict[str, dict]]
PRONOUNS = tuple(c.pronoun for c in CHARACTERS)


def as_arrays(tensors) -> Arrays:
    return {name: np.asarray(values) for name, values in tensors.items()}


def story_rates(labels: Arrays, readings: Arrays, pronouns: tuple[str, ...] = PRONOUNS, resamples: int = 1000, seed: int = 0) -> Table:
    """labels: of F frames, from `frame_labels`; readings: of the same frames. Columns of heads that `readings` lacks are left out."""
    story = labels["story"]
    weights = bootstrap_weights(story.max() + 1, resamples, seed)

    def measure(right: ndarray, counted: ndarray) -> dict:
        return rate(right, counted, story, weights)

    columns = _right(labels, readings)
    rows = {"named": ~labels["referential"], "referential": labels["referential"], "all": np.ones(len(story), bool)}
    table = {
        row: {column: measure(right & _like(chosen, right), counted & _like(chosen, right)) for column, (right, counted) in columns.items()}
        for row, chosen in rows.items()
    }
    alone, other = _pronoun(labels, readings, pronouns)
    exact = columns["characters"][0]
    table["pronoun"] = {"right character": measure(exact & alone, alone), "other of the pronoun": measure(other, alone)}

    table["self"] = {}
    if "mark" in readings:
        same, counted, chance = _kept_marks(labels, readings)
        table["self"]["mark kept"] = measure(same, counted) | {"chance": chance}
    if "layout" in readings:
        same, counted, chance = _kept_layouts(labels, readings)
        table["self"]["layout kept"] = measure(same, counted) | {"chance": chance}
    return table


def _like(chosen: ndarray, right: ndarray) -> ndarray:
    """A choice of frames (F,) in the shape of `right`, (F,) or (F, K)."""
    return chosen if right.ndim == 1 else chosen[:, None]


def _right(labels: Arrays, readings: Arrays) -> dict[str, tuple[ndarray, ndarray]]:
    """Column → what is right and what counts, (F,) a frame or (F, K) a character truly there."""
    there = labels["characters"]
    columns = {"characters": ((there == readings["characters"]).all(1), np.ones(len(there), bool))}
    for name in ("background", "garment", "action"):
        if name in readings:
            counted = labels[name] >= 0
            right = counted & (labels[name] == readings[name])
            columns[name] = (right if name == "background" else right & readings["characters"], counted)
    return columns


def _pronoun(labels: Arrays, readings: Arrays, pronouns: tuple[str, ...]) -> tuple[ndarray, ndarray]:
    """Frames (F,) of one character who is called by a pronoun, and those of them that show one other character of this pronoun instead."""
    there, read = labels["characters"], readings["characters"]
    alone = (there.sum(1) == 1) & (labels["mention"] == MENTIONS.index("pronoun")).any(1)
    kind = np.unique(pronouns, return_inverse=True)[1]
    true, shown = there.argmax(1), read.argmax(1)
    return alone, alone & (read.sum(1) == 1) & (true != shown) & (kind[true] == kind[shown])


def _kept_marks(labels: Arrays, readings: Arrays) -> tuple[ndarray, ndarray, float]:
    """(F, K): is the mark that of the first frame, what counts; and how often different stories' first frames of a character agree."""
    there, mark = labels["characters"], readings["mark"]
    first = first_frames(labels["story"], there)  # (F, K)
    shown = there & readings["characters"]
    column = np.arange(there.shape[1])
    later = shown & (first < np.arange(len(there))[:, None]) & shown[first, column]
    same = later & (mark == mark[first, column])
    chance = _agreement([mark[np.unique(first[later[:, k], k]), k] for k in column], later.sum(0))
    return same, later, chance


def _kept_layouts(labels: Arrays, readings: Arrays) -> tuple[ndarray, ndarray, float]:
    """(F,): the same of the layouts, over frames whose place was shown before and is read as the right place in both."""
    place, layout = labels["background"], readings["layout"]
    at = place[:, None] == np.arange(max(place.max() + 1, 1))  # (F, P)
    first = np.where(place >= 0, first_frames(labels["story"], at)[np.arange(len(place)), place], np.arange(len(place)))
    right = (place >= 0) & (readings["background"] == place)
    later = right & (first < np.arange(len(place))) & right[first]
    same = later & (layout == layout[first])
    groups = [layout[np.unique(first[later & (place == p)])] for p in range(at.shape[1])]
    return same, later, _agreement(groups, [(later & (place == p)).sum() for p in range(at.shape[1])])


def first_frames(story: ndarray, shown: ndarray) -> ndarray:
    """(F, K): number of the story's first frame that shows k, for frames that show k (elsewhere the frame itself)."""
    rows = np.broadcast_to(np.arange(len(story))[:, None], shown.shape)
    earliest = np.full((story.max() + 1, shown.shape[1]), len(story))
    np.minimum.at(earliest, story, np.where(shown, rows, len(story)))
    return np.where(shown, earliest[story], rows)


def _agreement(groups: list[ndarray], weights) -> float:
    """How often two different members of a group agree, averaged over groups by weight."""
    agreements, weight = [], []
    for values, w in zip(groups, weights, strict=True):
        if len(values) > 1:
            counts = np.bincount(values)
            agreements.append((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))
            weight.append(w)
    return float(np.average(agreements, weights=weight)) if agreements else float("nan")


def bootstrap_weights(stories: int, resamples: int, seed: int) -> ndarray:
    """(resamples, stories): how often each story is in each resample."""
    return np.random.default_rng(seed).multinomial(stories, np.full(stories, 1 / stories), size=resamples)


def rate(right: ndarray, counted: ndarray, story: ndarray, weights: ndarray) -> dict:
    """Share of `counted` that is `right`, both (F,) or (F, K) bool, with its 95 % interval; NaN where nothing counts."""
    per_story = []
    for values in (right, counted):
        values = values.reshape(len(story), -1).sum(1)
        per_story.append(np.bincount(story, weights=values, minlength=weights.shape[1]))
    hits, count = per_story
    total = count.sum()
    if total == 0:
        return {"rate": float("nan"), "low": float("nan"), "high": float("nan"), "count": 0}
    below = weights @ count
    low, high = np.percentile((weights @ hits)[below > 0] / below[below > 0], [2.5, 97.5])
    return {"rate": float(hits.sum() / total), "low": float(low), "high": float(high), "count": int(total)}


def what_is_told(labels: Arrays, sentences: list[str], places: tuple[str, ...], pronouns: tuple[str, ...] = PRONOUNS) -> list[str]:
    """What each sentence tells by itself, whatever its phrasing: who is named (and in which garment, where it is told), which pronouns stand
    for others, how many are only "they", and the place if it is named: "Bruno red, she @ beach"."""
    told = []
    for m, sentence in enumerate(sentences):
        who = []
        for k in np.flatnonzero(labels["characters"][m]):
            how = MENTIONS[labels["mention"][m, k]]
            garment = f" {COLORS[labels['garment'][m, k]]}" if how == "introduction" else ""
            who.append(pronouns[k] if how == "pronoun" else "they" if how == "group" else CHARACTER_NAMES[k] + garment)
        where = places[labels["background"][m]]
        told.append(f"{', '.join(sorted(who))} @ {where if where in sentence.lower() else '?'}")
    return told


def memoryless_ceiling(train_told: list[str], train: Arrays, told: list[str], labels: Arrays, **settings) -> Table:
    """What a perfect painter who sees only the current sentence could reach: for all that it tells, what was most frequent with that in train.

    train_told, told: `what_is_told`, one a frame. What train lacks counts as fully right, which makes this an upper bound. Each column has
    its own best painter. Row `self` is left out: what such a painter keeps is chance; so are actions, which every sentence tells.
    """
    tables = {}
    for column in ("characters", "background", "garment"):
        guess, seen = _most_frequent(train_told, train[column], told, labels[column])
        readings = {"characters": labels["characters"], column: guess}
        if column == "garment":  # whom this painter shows
            readings["characters"] = guess >= 0
        tables[column] = story_rates(labels, readings, **settings)
    ceiling = {row: {column: table[row][column] for column, table in tables.items()} for row in ("named", "referential", "all")}
    ceiling["pronoun"] = tables["characters"]["pronoun"]
    ceiling["told in train"] = {"all": {"rate": float(seen.mean()), "count": len(seen)}}
    return ceiling


def _most_frequent(train_told: list[str], train: ndarray, told: list[str], truth: ndarray) -> tuple[ndarray, ndarray]:
    """The most frequent value in train with what is told of each frame, `truth` where train lacks it; and what train has."""
    counts: dict[str, Counter] = defaultdict(Counter)
    keys = [row.tobytes() for row in np.ascontiguousarray(train.reshape(len(train), -1))]
    for words, key in zip(train_told, keys, strict=True):
        counts[words][key] += 1
    guess, seen = truth.copy(), np.array([words in counts for words in told])
    for n in np.flatnonzero(seen):
        key = counts[told[n]].most_common(1)[0][0]
        guess[n] = np.frombuffer(key, train.dtype).reshape(truth.shape[1:])
    return guess, seen


def rates_markdown(table: Table, ceiling: Table | None = None) -> str:
    """The table as Markdown: rates in per cent with their intervals, and beside them the memoryless ceiling, or chance."""
    lines = ["| frames | what | rate | 95 % interval | of | without memory |", "|---|---|---|---|---|---|"]
    for row, columns in table.items():
        for column, value in columns.items():
            beside = (ceiling or {}).get(row, {}).get(column)
            without = f"{100 * beside['rate']:.1f}" if beside else f"{100 * value['chance']:.1f} (chance)" if "chance" in value else ""
            interval = f"{100 * value['low']:.1f} – {100 * value['high']:.1f}"
            lines.append(f"| {row} | {column} | {100 * value['rate']:.1f} | {interval} | {value['count']} | {without} |")
    return "\n".join(lines)
