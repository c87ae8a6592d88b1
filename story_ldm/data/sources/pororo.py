"""Pororo-SV: five consecutive shots of an animated series, each with a caption and character labels.

    story-ldm data convert pororo DIR --out data/pororo --frame middle

DIR contains `<season>/<episode>/<n>.png`, each a strip of the square frames of one shot; `img_cache4.npy` (the first shot of each story) and
`following_cache4.npy` (the next four), paths as bytes; `descriptions.npy` {key: [captions]} and `labels.npy` {key: 9 zeros and ones}, pickled dicts
whose keys are the paths without `.png`; and `train_seen_unseen_ids.npy`, three lists of indices into `img_cache4` (train, seen, unseen), or the older
`train_test_ids.npy` with two lists. Of several captions the first is used, as in ARLDM. (StoryViz `dcsgan/pororo_data.py`)
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from story_ldm.data.faults import StoryDataError
from story_ldm.data.safe_pickles import read_npy
from story_ldm.data.sources.base import (
    FrameChoice,
    Source,
    entry,
    existing,
    file_bytes,
    frame_of_strip,
    indices_of_ones,
    of_type,
    path_inside,
    safe_id,
    text_of,
)

CAST = {
    "Pororo": "he",
    "Loopy": "she",
    "Crong": "he",
    "Eddy": "he",
    "Poby": "he",
    "Petty": "she",
    "Tongtong": "he",
    "Rody": "he",
    "Harry": "he",
}
LICENCE = "Frames of Pororo the Little Penguin, © ICONIX, OCON and EBS, given to researchers on request (PororoQA); redistribution is not allowed."
PUBLISHED = {"train": 10_191, "validation": 2_334, "test": 2_208}
ID_FILES = {"train_seen_unseen_ids.npy": ("train", "validation", "test"), "train_test_ids.npy": ("train", "test")}


def open_source(folder: Path) -> Source:
    """A copy of Pororo-SV in `folder`."""
    first = _paths(path_inside(folder, "img_cache4.npy"), 1)
    following = _paths(path_inside(folder, "following_cache4.npy"), 2)
    if len(first) != len(following):
        raise StoryDataError(f"img_cache4.npy has {len(first)} entries and following_cache4.npy {len(following)}; both must list the same stories")
    captions, labels = (of_type(read_npy(path_inside(folder, name)), dict, name) for name in ("descriptions.npy", "labels.npy"))

    def shots(split: str, n: int) -> list[str]:
        if not 0 <= n < len(first):
            raise StoryDataError(f"id {n} of {split} is out of range; img_cache4.npy has {len(first)} stories, numbered from 0")
        return [shot_of(path) for path in (first[n], *following[n])]

    @lru_cache(maxsize=64)  # stories are overlapping windows
    def picture(shot: str, choose: FrameChoice) -> tuple[bytes, int]:
        file = path_inside(folder, f"{shot}.png")
        return frame_of_strip(file_bytes(file, f"the strip of shot {shot}"), shot, choose)

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        keys = shots(split, n)
        texts = [of_type(entry(captions, key, "descriptions.npy"), (list, tuple, np.ndarray, str), f"descriptions.npy[{key!r}]") for key in keys]
        if any(len(text) == 0 for text in texts):
            raise StoryDataError(f"descriptions.npy has no caption for {keys[[len(text) for text in texts].index(0)]!r}")
        frames = [picture(key, choose) for key in keys]
        return {
            "story_id": safe_id(keys[0]),
            "frames": [data for data, _ in frames],
            "sentences": [
                text_of(text if isinstance(text, str) else text[0], f"the caption of {key}") for key, text in zip(keys, texts, strict=True)
            ],
            "characters": [indices_of_ones(entry(labels, key, "labels.npy"), len(CAST), f"labels.npy[{key!r}]") for key in keys],
            "shots": [f"{key}#{number}" for key, (_, number) in zip(keys, frames, strict=True)],
        }

    return Source(_splits(folder), shots, story, CAST, characters=True, published=PUBLISHED, licence=LICENCE)


def shot_of(path: str) -> str:
    """The key of a shot, from the path of its strip."""
    return path.removesuffix(".png").lstrip("/")


def _paths(file: Path, dimensions: int) -> list:
    """Paths as str, or as lists of str for two dimensions; the file has bytes, strings, or strings that look like bytes ("b'…'")."""
    value = read_npy(existing(file, "paths of the shots"))
    if not isinstance(value, np.ndarray) or value.ndim != dimensions or value.dtype.kind not in "SUO" or (dimensions == 2 and value.shape[1] != 4):
        raise StoryDataError(f"{file} has shape {np.shape(value)}; it must be an array of paths{', 4 per story' if dimensions == 2 else ''}")
    return [_path(part, file) if dimensions == 1 else [_path(path, file) for path in part] for part in value]


def _path(value: Any, file: Path) -> str:
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else of_type(value, str, f"an entry of {file}")
    literal = re.fullmatch(r"b(['\"])(.*)\1", value)
    return str(literal[2] if literal else value)


def _splits(folder: Path) -> dict[str, list[int]]:
    file = next((path_inside(folder, name) for name in ID_FILES if (folder / name).exists()), None)
    if file is None:
        raise StoryDataError(f"{folder} has neither {' nor '.join(ID_FILES)}; one of them lists the splits")
    value, names = read_npy(file), ID_FILES[file.name]
    if not isinstance(value, (np.ndarray, list, tuple)) or len(value) != len(names):
        raise StoryDataError(f"{file} is not a split file: it must contain {len(names)} lists of ids ({', '.join(names)})")
    splits = {}
    for name, ids in zip(names, value, strict=True):
        ids = np.asarray(ids)
        numbers = ids.astype(object).reshape(-1).tolist()
        if ids.ndim != 1 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) for n in numbers):
            raise StoryDataError(f"{file} is not a split file: the ids of {name} must be integers, indices into img_cache4.npy")
        splits[name] = sorted(int(n) for n in numbers)
    return splits
