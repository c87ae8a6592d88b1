"""The memoryless ceiling: the best rates of a system that sees the current sentence only.

facts = stated_facts(labels, sentences, PLACES)                                  # likewise `train_facts` of the train split
ceiling = memoryless_ceiling(train_facts, train_labels, facts, labels)
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from story_ldm.data.toonstories import CHARACTER_NAMES, COLORS, MENTIONS
from story_ldm.metrics.story_rates import PRONOUNS, Arrays, Table, story_rates


def stated_facts(
    labels: Arrays, sentences: list[str], places: Sequence[str], pronouns: Sequence[str] = PRONOUNS, kinds: Sequence[str] = ()
) -> list[str]:
    """The facts that each sentence states by itself, independent of its wording: characters by name (with the garment if it is stated), by pronoun or
    as "they", and the place if it is named, such as "Bruno red, she @ beach".

    kinds: of a world whose names and pronouns are free; a name alone says of no kind there, and the garment is given by its number."""
    facts = []
    for m, sentence in enumerate(sentences):
        who = []
        for k in np.flatnonzero(labels["characters"][m]).tolist():
            how, garment = MENTIONS[labels["mention"][m, k]], labels["garment"][m, k]
            if how in ("pronoun", "group"):
                who.append("they" if how == "group" else f"pronoun {labels['pronoun'][m, k]}" if kinds else pronouns[k])
            elif kinds:
                who.append("a name" if how == "name" else f"{kinds[k]} {garment}" if how == "introduction" else kinds[k])
            else:
                who.append(CHARACTER_NAMES[k] + (f" {COLORS[garment]}" if how == "introduction" else ""))
        where = places[labels["background"][m]]
        named = re.search(rf"\b{re.escape(where)}\b", sentence.lower()) if kinds else where in sentence.lower()  # "it snows" names no place
        facts.append(f"{', '.join(sorted(who))} @ {where if named else '?'}")
    return facts


def memoryless_ceiling(train_facts: list[str], train: Arrays, facts: list[str], labels: Arrays, **settings) -> Table:
    """Rates of the guess that is most frequent in train among frames whose sentences state the same facts.

    train_facts, facts: `stated_facts` of each frame. Facts that train lacks count as guessed correctly, which makes this an upper bound. Each column
    is guessed separately. Row `self` is left out, because without memory it is at chance, and actions, because every sentence states them. settings:
    of `story_rates`. Row "told in train": share of frames whose facts occur in train.
    """
    tables = {}
    for column in ("characters", "background", "garment"):
        guess, seen = _most_frequent(train_facts, train[column], facts, labels[column])
        readings = {"characters": labels["characters"], column: guess}
        if column == "garment":  # a garment is read only of characters that are there
            readings["characters"] = guess >= 0
        tables[column] = story_rates(labels, readings, **settings)
    ceiling = {row: {column: table[row][column] for column, table in tables.items()} for row in ("named", "referential", "all")}
    ceiling["pronoun"], ceiling["later"] = tables["characters"]["pronoun"], {"garment": tables["garment"]["later"]["garment"]}
    ceiling["told in train"] = {"all": {"value": float(seen.mean()), "count": len(seen)}}
    return ceiling


def _most_frequent(train_facts: list[str], train: ndarray, facts: list[str], truth: ndarray) -> tuple[ndarray, ndarray]:
    """For each frame the value most frequent in train with its facts, or `truth` if train lacks these facts; and a mask of the frames whose facts
    train has."""
    counts: dict[str, Counter] = defaultdict(Counter)
    keys = [row.tobytes() for row in np.ascontiguousarray(train.reshape(len(train), -1))]
    for stated, key in zip(train_facts, keys, strict=True):
        counts[stated][key] += 1
    guess, seen = truth.copy(), np.array([stated in counts for stated in facts])
    for n in np.flatnonzero(seen):
        key = counts[facts[n]].most_common(1)[0][0]
        guess[n] = np.frombuffer(key, train.dtype).reshape(truth.shape[1:])
    return guess, seen
