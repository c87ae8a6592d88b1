"""FlintstonesSV: five consecutive clips of The Flintstones, each with a description, a setting and character labels.

    story-ldm data convert flintstones DIR --out data/flintstones --text referential

DIR contains `flintstones_annotations_v1-0.json` (a list of `globalID`, `description`, `setting`, `characters[].entityLabel`),
`train-val-test_split.json` {train, val, test}, `video_frames_sampled/<globalID>.npy` (frames, height, width, 3) uint8, and optionally
`labels.pkl` {id: 7 zeros and ones}, `following_cache4.pkl` {id: next four ids} and StoryGPT-V's `labels_bg.pkl` {"label": {id: class}}. Without the
first two, characters and clip order are derived from the annotations and ids, as in public code; without the last, the backgrounds are the settings.
Clips with fewer than four clips after them in their episode do not begin a story.
(StoryDALL-E `flintstones_dataloader.py`, Make-A-Story `flintstones_data_ref.py`)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from story_ldm.data.faults import StoryDataError
from story_ldm.data.pictures import png
from story_ldm.data.safe_pickles import npy_loads, read_pickle
from story_ldm.data.sources.base import (
    FrameChoice,
    Source,
    entry,
    field_of,
    file_bytes,
    indices_of_ones,
    of_type,
    path_inside,
    read_json,
    safe_id,
    text_of,
)

CAST = {"Wilma": "she", "Fred": "he", "Betty": "she", "Barney": "he", "Dino": "he", "Pebbles": "she", "Mr Slate": "he"}
ALIASES = {"Fred Flintstone": "Fred", "Wilma Flintstone": "Wilma", "Barney Rubble": "Barney", "Betty Rubble": "Betty", "Mister Slate": "Mr Slate"}
LICENCE = "Frames of The Flintstones, © Hanna-Barbera; annotations by Gupta et al. (2018), for research; redistribution is not allowed."
PUBLISHED = {"train": 20_132, "validation": 2_071, "test": 2_309}
FOLLOWING = 4
MAX_CLASSES = 10_000  # of backgrounds; StoryGPT-V has some hundreds


def open_source(folder: Path) -> Source:
    """A copy of FlintstonesSV in `folder`."""
    annotations = {}
    for n, row in enumerate(read_json(path_inside(folder, "flintstones_annotations_v1-0.json"), list, "the annotations of all clips")):
        where = f"annotation {n}"
        annotations[field_of(of_type(row, dict, where), "globalID", str, where)] = row
    split_file = path_inside(folder, "train-val-test_split.json")
    lists = read_json(split_file, dict, "the ids of train, val and test")
    ids = {name: field_of(lists, key, list, str(split_file)) for name, key in (("train", "train"), ("validation", "val"), ("test", "test"))}
    for name, clips in ids.items():
        for clip in clips:
            of_type(clip, str, f"an id of {name} in {split_file}")
    file = path_inside(folder, "following_cache4.pkl")
    following = of_type(read_pickle(file), dict, str(file)) if file.exists() else _following([clip for clips in ids.values() for clip in clips])
    for clip, rest in following.items():
        of_type(rest, (list, tuple, np.ndarray), f"{file.name}[{clip!r}]")
    splits = {name: [clip for clip in clips if len(following.get(clip, ())) == FOLLOWING] for name, clips in ids.items()}
    left_out = sum(map(len, ids.values())) - sum(map(len, splits.values()))
    labels_file = path_inside(folder, "labels.pkl")
    labels = of_type(read_pickle(labels_file), dict, "labels.pkl") if labels_file.exists() else None
    names, background = _backgrounds(folder, annotations)

    def shots(split: str, clip: str) -> list[str]:
        return [of_type(shot, str, f"following_cache4.pkl[{clip!r}]") for shot in (clip, *following[clip])]

    @lru_cache(maxsize=64)  # stories are overlapping windows
    def picture(shot: str, choose: FrameChoice) -> tuple[bytes, int]:
        file = path_inside(folder, f"video_frames_sampled/{shot}.npy")
        data = file_bytes(file, f"the frames of clip {shot}")
        try:
            frames = npy_loads(data)
        except StoryDataError as error:
            raise StoryDataError(f"{file} is refused: {error}") from None
        if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape or frames.dtype.kind not in "uif":
            raise StoryDataError(f"{file} contains {frames.dtype} of shape {frames.shape}; it must be numbers of (frames, height, width, 3)")
        n = choose(shot, len(frames))
        return png(Image.fromarray(frames[n].astype(np.uint8))), n

    def characters(shot: str) -> list[int]:
        if labels is not None:
            return indices_of_ones(entry(labels, shot, "labels.pkl"), len(CAST), f"labels.pkl[{shot!r}]")
        listed = field_of(entry(annotations, shot, "the annotations"), "characters", list, f"annotation {shot}")
        where = f"a character of {shot}"
        labelled = {field_of(of_type(c, dict, where), "entityLabel", str, where).strip().lower() for c in listed}
        return [n for n, name in enumerate(CAST) if name.lower() in labelled]  # both in lower case, else "Mr Slate" is never matched

    def story(split: str, clip: str, choose: FrameChoice) -> dict:
        keys = shots(split, clip)
        rows = [entry(annotations, key, "flintstones_annotations_v1-0.json") for key in keys]
        frames = [picture(key, choose) for key in keys]
        return {
            "story_id": safe_id(clip),
            "frames": [data for data, _ in frames],
            "sentences": [
                text_of(field_of(row, "description", str, f"annotation {key}"), f"the description of {key}")
                for key, row in zip(keys, rows, strict=True)
            ],
            "characters": [characters(key) for key in keys],
            "backgrounds": [background(key) for key in keys],
            "shots": [f"{key}#{number}" for key, (_, number) in zip(keys, frames, strict=True)],
        }

    notes = [f"{left_out} clips do not begin a story: fewer than {FOLLOWING} clips follow them in their episode."] if left_out else []
    return Source(splits, shots, story, CAST, ALIASES, characters=True, backgrounds=names, published=PUBLISHED, licence=LICENCE, notes=notes)


def _following(clips: list[str]) -> dict[str, list[str]]:
    """The next four clips of each clip, if they are of the same season and episode (fields 1 and 3 of the id)."""
    clips, table = sorted(clips), {}
    for n, clip in enumerate(clips):
        rest = clips[n + 1 : n + 1 + FOLLOWING]
        if all(_episode(other) == _episode(clip) for other in rest):
            table[clip] = rest
    return table


def _episode(clip: str) -> tuple[str, str]:
    fields = clip.split("_")
    if len(fields) < 4:
        raise StoryDataError(f"the id {clip!r} has no season and episode; it must look like s_02_e_18_shot_039150_039224")
    return fields[1], fields[3]


def _backgrounds(folder: Path, annotations: dict[str, dict]) -> tuple[tuple[str, ...], Callable[[str], int]]:
    """Names of the background classes, and a function that returns the class of a clip."""
    file = path_inside(folder, "labels_bg.pkl")
    if file.exists():
        table = field_of(of_type(read_pickle(file), dict, "labels_bg.pkl"), "label", dict, "labels_bg.pkl")
        classes = {int(of_type(n, (int, np.integer), f"labels_bg.pkl['label'][{clip!r}]")) for clip, n in table.items()}
        if not all(0 <= n < MAX_CLASSES for n in classes):
            raise StoryDataError(f"labels_bg.pkl has the classes {min(classes)} to {max(classes)}; they must be from 0 to {MAX_CLASSES - 1}")
        names = tuple(f"background {n}" for n in range(max(classes, default=-1) + 1))
        return names, lambda shot: int(entry(table, shot, "labels_bg.pkl['label']"))

    def setting(shot: str) -> str:
        row = entry(annotations, shot, "the annotations")
        return " ".join(field_of(row, "setting", str, f"annotation {shot}").split()).lower()

    names = tuple(sorted({setting(shot) for shot in annotations}))
    number = {name: n for n, name in enumerate(names)}
    return names, lambda shot: number[setting(shot)]
