"""The memoryless ceiling: what a perfect painter could reach who sees the current sentence alone.

told = what_is_told(labels, sentences, PLACES)             # the same for the train split's
ceiling = memoryless_ceiling(told_in_train, train_labels, told, labels)
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy import ndarray

from story_ldm.data.toonstories import CHARACTER_NAMES, COLORS, MENTIONS
from story_ldm.metrics.story_rates import PRONOUNS, Arrays, Table, story_rates


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
    ceiling["pronoun"], ceiling["later"] = tables["characters"]["pronoun"], {"garment": tables["garment"]["later"]["garment"]}
    ceiling["told in train"] = {"all": {"value": float(seen.mean()), "count": len(seen)}}
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
