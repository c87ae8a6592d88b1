"""The story form, and `load_stories`, which reads any source into it.

A story is one row of a Hugging Face dataset: `story_id`, `frames` (pictures), `sentences` (one a frame), and where known `characters`,
`backgrounds`, `referential` and `attributes` (world-specific). Everything that trains, generates or scores reads this form and nothing else.

    from story_ldm import load_stories
    stories = load_stories("toonstories", split="test", size=64, text="referential")     # or a folder in the story form, or owner/name of the hub
    frames = frames_tensor(stories[0]["frames"])                                          # (M, 3, H, W) in [-1, 1]
"""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from datasets import Dataset, Image, List, concatenate_datasets, get_dataset_split_names, load_dataset
from PIL import ImageOps
from pyarrow import parquet
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from story_ldm.data import toonstories
from story_ldm.data.pictures import FITS, Fit, square

SIDES = re.compile(r"\b(left|right|leftmost|rightmost|leftward|rightward|clockwise|counterclockwise)s?\b", re.I)
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
    fit: Fit = "crop",
    window: int | None = None,
    flip: bool = False,
) -> Dataset:
    """Stories of one split in the story form, frames of `size` × `size` pixels (None: those of a folder as they are), cached as Arrow.

    name_or_folder: "toonstories", a folder that holds `<split>-*.parquet` (or `data/<split>-*.parquet`) in the story form, or the owner/name of a
        dataset of the hub in the story form, which is streamed where only its first stories are asked for.
    text: "referential" or "full"; a folder holds one form, and a column `sentences_full` where it has both.
    limit: only the first stories. length, seed: story length and seed of the built-in world.
    pictures: False leaves `frames` empty, for work on text alone.
    fit: how a picture that is not square gets its size: "crop" to its middle, or "pad" with black.
    window: stories of other lengths are cut into stories of so many frames; shorter ones are left out, and counted on stderr.
    flip: a mirrored copy of each story of which no sentence names a side comes after all stories.
    Raises ValueError for an unknown split, text form, size or limit, FileNotFoundError for a folder without the split.
    """
    for name, value, allowed in (("fit", fit, FITS), ("window", window, None)):
        if (allowed and value not in allowed) or (allowed is None and value is not None and value < 1):
            raise ValueError(f"{name} is {value!r}; it must be {' or '.join(allowed) if allowed else 'at least 1'}")
    stories = _load(name_or_folder, split, size, text, limit, length, seed, pictures, num_proc, fit)
    if window is not None:
        stories = _cut(stories, window)
    return with_flips(stories, num_proc) if flip else stories


def _load(name_or_folder, split, size, text, limit, length, seed, pictures, num_proc, fit) -> Dataset:
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
    stories = _open_folder(Path(name_or_folder), split, limit) if _is_local(name_or_folder) else _open_hub(str(name_or_folder), split, limit)
    return _finished(stories, size, text, pictures, num_proc, fit)


def _is_local(name: str | Path) -> bool:
    return isinstance(name, Path) or Path(name).is_dir() or not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name)


def _open_folder(folder: Path, split: str, limit: int | None) -> Dataset:
    files = _split_files(folder, split)
    if not files:
        raise FileNotFoundError(f"{folder} has no {split}-*.parquet; is it a folder in the story form, and does it have this split?")
    rows = sum(parquet.read_metadata(file).num_rows for file in files)
    if not rows:
        raise ValueError(f"{files[0]} holds no story")
    stories = load_dataset("parquet", data_files=files, split=f"train[:{limit}]" if limit else "train")
    return _checked(stories, files[0])


def _split_files(folder: Path, split: str) -> list[str]:
    return sorted(str(f) for where in (folder, folder / "data") for f in where.glob(f"{split}-*.parquet"))


def _open_hub(name: str, split: str, limit: int | None) -> Dataset:
    try:
        stories = load_dataset(name, split=split, streaming=limit is not None)
    except (OSError, ValueError) as error:  # not there, no such split, or no network
        raise FileNotFoundError(f"{name} is no folder here, and cannot be read from the hub, split {split}: {error}") from error
    _checked(stories, name)
    if limit is None:
        return stories
    raw = stories.take(limit).cast_column("frames", List(Image(decode=False)))  # no more than these are downloaded, and none is decoded
    return Dataset.from_list(list(raw), features=raw.features).cast(stories.features)


def _checked(stories: Dataset, where: str) -> Dataset:
    missing = [column for column in REQUIRED_COLUMNS if column not in stories.column_names]
    if missing:
        raise ValueError(f"{where} lacks the column(s) {', '.join(missing)}; a story has {', '.join(REQUIRED_COLUMNS)}")
    return stories


def held_out_split(name_or_folder: str | Path) -> str:
    """The split to look at while training: validation where there is one, else test, else train."""
    if str(name_or_folder) == "toonstories":
        return "validation"
    if _is_local(name_or_folder):
        there = [split for split in ("validation", "test") if _split_files(Path(name_or_folder), split)]
    else:
        there = [split for split in ("validation", "test") if split in get_dataset_split_names(str(name_or_folder))]
    return there[0] if there else "train"


def tested_split(name_or_folder: str | Path) -> str:
    """The split to measure on in the end: test where there is one, else the held-out one."""
    if str(name_or_folder) == "toonstories":
        return "test"
    there = _split_files(Path(name_or_folder), "test") if _is_local(name_or_folder) else "test" in get_dataset_split_names(str(name_or_folder))
    return "test" if there else held_out_split(name_or_folder)


def one_length(stories: Dataset) -> int:
    """How many frames each story has. Raises ValueError where they differ, which a batch cannot."""
    lengths = {len(sentences) for sentences in stories["sentences"]}
    if len(lengths) > 1:
        raise ValueError(f"stories are of {min(lengths)} to {max(lengths)} frames, and a batch needs one length: give --length, {min(lengths)} say")
    return lengths.pop()


def _finished(stories: Dataset, size: int | None, text: str, pictures: bool, num_proc: int | None, fit: Fit) -> Dataset:
    if not pictures:
        stories = _replaced(stories, "frames", [[]] * len(stories), List(Image()))
    elif size is not None and any(
        _size(frame) != (size, size) for row in stories.cast_column("frames", List(Image(decode=False))) for frame in row["frames"]
    ):
        how = {"size": size, "fit": fit}
        stories = stories.cast_column("frames", List(Image())).map(_resize, fn_kwargs=how, num_proc=num_proc, desc=f"resizing to {size}")
    if text == "full" and "sentences_full" in stories.column_names:
        stories = _in_full_form(stories)
    return stories.remove_columns([column for column in ("sentences_full",) if column in stories.column_names])


def _cut(stories: Dataset, window: int) -> Dataset:
    """Stories of `window` frames: those of as many, and longer ones in pieces, the last of which overlaps where it must."""
    short = sum(len(sentences) < window for sentences in stories["sentences"])
    if short == len(stories):
        raise ValueError(f"no story has {window} frames; give a smaller length")
    if short:
        print(f"{short} of {len(stories)} stories have fewer than {window} frames and are left out", file=sys.stderr)
    features = stories.features
    raw = stories.cast_column("frames", List(Image(decode=False)))
    raw = raw.map(_pieces, batched=True, batch_size=100, fn_kwargs={"window": window}, features=raw.features, desc=f"stories of {window} frames")
    return raw.cast(features)


def _pieces(rows: dict[str, list], window: int) -> dict[str, list]:
    made: dict[str, list] = {column: [] for column in rows}
    for n, sentences in enumerate(rows["sentences"]):
        count = len(sentences)
        starts = sorted({*range(0, count - window + 1, window), count - window}) if count >= window else []
        for start in starts:
            for column, values in rows.items():
                aligned = isinstance(values[n], list) and len(values[n]) == count
                made[column].append(values[n][start : start + window] if aligned else values[n])
            if count > window:
                made["story_id"][-1] += f"-from-{start}"
    return made


def with_flips(stories: Dataset, num_proc: int | None = None) -> Dataset:
    """The stories, and mirrored ones of those of which no sentence names a side."""
    free = [n for n, sentences in enumerate(stories["sentences"]) if not any(SIDES.search(sentence) for sentence in sentences)]
    if not free:
        return stories
    return concatenate_datasets([stories, stories.select(free).map(_mirror, num_proc=num_proc, desc="mirroring").cast(stories.features)])


def _mirror(row: dict) -> dict:
    return {"story_id": f"{row['story_id']}-mirrored", "frames": [ImageOps.mirror(frame.convert("RGB")) for frame in row["frames"]]}


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


def _resize(row: dict, size: int, fit: Fit) -> dict:
    return {"frames": [square(frame, size, fit) for frame in row["frames"]]}


def frames_tensor(frames) -> torch.Tensor:
    """PIL pictures of one size → (M, 3, H, W) in [-1, 1]."""
    array = np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1


def decode_frames(stories: Dataset, workers: int) -> torch.Tensor:
    """All frames of the stories, one story after another, as uint8 (F, 3, H, W): decoded once, 1.2 GB for 20,000 stories of 64 px."""
    loader = DataLoader(stories.select_columns(["frames"]), 64, num_workers=workers, collate_fn=_stack_frames)
    return torch.cat(list(tqdm(loader, desc="decoding frames", leave=False)))


def _stack_frames(rows: list[dict]) -> torch.Tensor:
    pictures = [np.asarray(frame.convert("RGB")) for row in rows for frame in row["frames"]]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_float(frames: torch.Tensor) -> torch.Tensor:
    """uint8 → [-1, 1]."""
    return frames.float() / 127.5 - 1
