"""The story form, and `load_stories`, which reads any source into it.

A story is one row of a Hugging Face dataset: `story_id`, `frames` (pictures), `sentences` (one a frame), and where known `characters`,
`backgrounds`, `referential` and `attributes` (world-specific). Everything that trains, generates or scores reads this form and nothing else.

    from story_ldm import load_stories
    stories = load_stories("toonstories", split="test", size=64, text="referential")     # or a folder of Parquet in the story form
    frames = frames_tensor(stories[0]["frames"])                                          # (M, 3, H, W) in [-1, 1]
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from datasets import Dataset, Image, List, load_dataset
from pyarrow import parquet

from . import toonstories

REQUIRED_COLUMNS = ("story_id", "frames", "sentences")


def load_stories(
    name_or_folder: str | Path,
    split: str = "train",
    size: int | None = 64,
    text: str = "referential",
    *,
    limit: int | None = None,
    length: int | None = None,
    seed: int = 0,
    pictures: bool = True,
    num_proc: int | None = None,
) -> Dataset:
    """Stories of one split in the story form, frames of `size` × `size` pixels (None: those of a folder as they are), cached as Arrow.

    name_or_folder: "toonstories", or a folder that holds `<split>-*.parquet` (or `data/<split>-*.parquet`) in the story form.
    text: "referential" or "full"; a folder holds one form, and a column `sentences_full` where it has both.
    limit: only the first stories. length, seed: story length and seed of the built-in world.
    pictures: False leaves `frames` empty, for work on text alone.
    Raises ValueError for an unknown split, text form, size or limit, FileNotFoundError for a folder without the split.
    """
    if text not in toonstories.TEXT_FORMS:
        raise ValueError(f"text is {text!r}; it must be one of {', '.join(toonstories.TEXT_FORMS)}")
    if size is None and str(name_or_folder) == "toonstories":
        raise ValueError("size is None; the built-in world is drawn at a size, 64 pixels say")
    if size is not None and size < 8:
        raise ValueError(f"size is {size}; frames need at least 8 pixels a side")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    if length is not None and length < 1:
        raise ValueError(f"length is {length}; a story has at least 1 frame")
    if str(name_or_folder) == "toonstories":
        if split not in toonstories.SPLITS:
            raise ValueError(f"split is {split!r}; ToonStories has {', '.join(toonstories.SPLITS)}")
        count = min(limit or toonstories.SPLITS[split][2], toonstories.SPLITS[split][2])
        settings = {"seed": seed, "split": split, "size": size, "text": text, "length": length, "pictures": pictures}
        return Dataset.from_generator(
            toonstories.story_rows,
            features=toonstories.FEATURES,
            gen_kwargs={"indices": list(range(count)), "source": toonstories.SOURCE_DIGEST, **settings},
            num_proc=min(num_proc, count) if num_proc and num_proc > 1 else None,
        )
    return _load_folder(Path(name_or_folder), split, size, text, limit, pictures, num_proc)


def _load_folder(folder: Path, split: str, size: int | None, text: str, limit: int | None, pictures: bool, num_proc: int | None) -> Dataset:
    files = sorted(str(f) for where in (folder, folder / "data") for f in where.glob(f"{split}-*.parquet"))
    if not files:
        raise FileNotFoundError(f"{folder} has no {split}-*.parquet; is it a folder in the story form, and does it have this split?")
    rows = sum(parquet.read_metadata(file).num_rows for file in files)
    if not rows:
        raise ValueError(f"{files[0]} holds no story")
    stories = load_dataset("parquet", data_files=files, split=f"train[:{limit}]" if limit else "train")
    missing = [column for column in REQUIRED_COLUMNS if column not in stories.column_names]
    if missing:
        raise ValueError(f"{files[0]} lacks the column(s) {', '.join(missing)}; a story has {', '.join(REQUIRED_COLUMNS)}")
    if not pictures:
        stories = _replaced(stories, "frames", [[]] * len(stories), List(Image()))
    elif size is not None and any(
        _size(frame) != (size, size) for row in stories.cast_column("frames", List(Image(decode=False))) for frame in row["frames"]
    ):
        stories = stories.cast_column("frames", List(Image())).map(_resize, fn_kwargs={"size": size}, num_proc=num_proc, desc=f"resizing to {size}")
    if text == "full" and "sentences_full" in stories.column_names:
        stories = _in_full_form(stories)
    return stories.remove_columns([column for column in ("sentences_full",) if column in stories.column_names])


def _replaced(stories: Dataset, column: str, values: list, feature) -> Dataset:
    order = stories.column_names
    return stories.remove_columns(column).add_column(column, values, feature=feature).select_columns(order)


def _in_full_form(stories: Dataset) -> Dataset:
    """The stories with their full sentences, and with the labels that tell how a sentence refers to things as these have them."""
    features = stories.features
    stories = _replaced(stories, "sentences", stories["sentences_full"][:], features["sentences"])
    if "referential" in features:
        stories = _replaced(stories, "referential", [[False] * len(flags) for flags in stories["referential"]], features["referential"])
    if "attributes" in features and "mentions" in features["attributes"].feature:
        attributes = [[{**a, "mentions": toonstories.full_mentions(a["mentions"])} for a in row] for row in stories["attributes"]]
        stories = _replaced(stories, "attributes", attributes, features["attributes"])
    return stories


def _size(frame: dict) -> tuple[int, int]:
    with PIL.Image.open(BytesIO(frame["bytes"]) if frame["bytes"] else frame["path"]) as picture:
        return picture.size


def _resize(row: dict, size: int) -> dict:
    return {"frames": [f.convert("RGB").resize((size, size), PIL.Image.Resampling.LANCZOS) for f in row["frames"]]}


def frames_tensor(frames) -> torch.Tensor:
    """PIL pictures of one size → (M, 3, H, W) in [-1, 1]."""
    array = np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1
