"""CLEVR-SV: four objects that appear one after another; image k shows k of them.

    story-ldm data convert clevr_sv DIR --out data/clevr --size 64

DIR has `images/CLEVR_new_%06d_{1..4}.png` (320 × 240 RGBA) and `CLEVR_dict.npy`, a pickled dict {file name: 75 numbers}: four slots of 3 shapes,
8 colours, 2 materials, 2 sizes (one-hot) and 3 coordinates, and the direction that points right in the picture. The dataset has no text: the sentence
of a frame is made from its new slot. The numbers are kept in `attributes`. Stories 0 to 9,999 are train, 10,000 to 12,999 test; public code includes
both ends of its ranges, so one story is in both of its splits. (StoryGAN `clevr_data.py`, Clevr-for-StoryGAN `vec_generator.py`)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from datasets import List, Value

from story_ldm.data.faults import StoryDataError
from story_ldm.data.safe_pickles import read_npy
from story_ldm.data.sources.base import FrameChoice, Source, entry, of_type, path_inside, picture_bytes

SHAPES = ("cube", "sphere", "cylinder")
COLORS = ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow")
MATERIALS = ("rubber", "metal")
SIZES = ("large", "small")
SLOT = len(SHAPES) + len(COLORS) + len(MATERIALS) + len(SIZES) + 3
FRAMES, WIDTH = 4, 4 * SLOT + 3
RANGES = {"train": (0, 10_000), "test": (10_000, 13_000)}  # half-open
PUBLISHED = {split: end - start for split, (start, end) in RANGES.items()}
LICENCE = "Rendered by StoryGAN's authors with CLEVR's generator (BSD); the pictures come without a licence."
ATTRIBUTES = {"vector": List(Value("float32"))}


def open_source(folder: Path) -> Source:
    """A copy of CLEVR-SV in `folder`."""
    file = path_inside(folder, "CLEVR_dict.npy")
    vectors = of_type(read_npy(file), dict, str(file))
    numbers = sorted({_number(of_type(name, str, f"a key of {file}"), file) for name in vectors})
    splits = {split: [n for n in numbers if start <= n < end] for split, (start, end) in RANGES.items()}
    beyond = sum(n >= RANGES["test"][1] for n in numbers)

    def shots(split: str, n: int) -> list[str]:
        return [f"CLEVR_new_{n:06d}_{k}.png" for k in range(1, FRAMES + 1)]

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        rows = [_vector(entry(vectors, shot, "CLEVR_dict.npy"), shot) for shot in shots(split, n)]
        return {
            "story_id": f"CLEVR_new_{n:06d}",
            "frames": [picture_bytes(path_inside(folder, f"images/{shot}"), "a picture of CLEVR-SV") for shot in shots(split, n)],
            "sentences": [sentence(row[k * SLOT : (k + 1) * SLOT], row[-3:], shot) for k, (row, shot) in enumerate(zip(rows, shots(split, n)))],
            "attributes": [{"vector": row.tolist()} for row in rows],
            "shots": shots(split, n),
        }

    notes = [f"{beyond} stories numbered from {RANGES['test'][1]:,} are in no published split."] if beyond else []
    return Source(splits, shots, story, attributes=ATTRIBUTES, published=PUBLISHED, recalled=False, licence=LICENCE, notes=notes)


def _number(name: str, file: Path) -> int:
    match = re.fullmatch(r"CLEVR_new_(\d{6})_[1-4]\.png", name)
    if not match:
        raise StoryDataError(f"{file} has the key {name!r}; keys must be file names like CLEVR_new_000123_4.png")
    return int(match[1])


def _vector(value: Any, shot: str) -> np.ndarray:
    array = np.asarray(value)
    if array.size != WIDTH or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise StoryDataError(f"CLEVR_dict.npy[{shot!r}] has {array.size} values; it must be {WIDTH} numbers")
    return array.reshape(-1).astype(np.float32)


def sentence(slot: np.ndarray, right: np.ndarray, shot: str) -> str:
    """The sentence about the object of a slot (18,); `right` (3,) points right in the picture."""
    words, at = [], 0
    for names in (SHAPES, COLORS, MATERIALS, SIZES):
        part = slot[at : at + len(names)]
        if sorted(part.tolist()) != [0.0] * (len(names) - 1) + [1.0]:
            raise StoryDataError(f"CLEVR_dict.npy[{shot!r}]: {part.tolist()} must select exactly one of {', '.join(names)}")
        words.append(names[int(part.argmax())])
        at += len(names)
    x, y = slot[at] * right[0] + slot[at + 1] * right[1], slot[at] * right[1] - slot[at + 1] * right[0]  # to the right, to the front
    side = "on the left" if x < -1 else "on the right" if x > 1 else "in the middle"
    depth = " in front" if y > 1 else " at the back" if y < -1 else ""
    shape, color, material, size = words
    return f"A {size} {color} {material} {shape} appears {side}{depth}."
