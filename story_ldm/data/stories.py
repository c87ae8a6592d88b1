"""The story form, and `load_stories`, which reads every dataset in it.

A story is one row of a Hugging Face dataset: `story_id`, `frames` (pictures), `sentences` (one per frame), and where known `characters`,
`backgrounds`, `referential` and `attributes` (specific to the world). Training, generation and evaluation read this form only.

    from story_ldm import load_stories
    stories = load_stories("toonstories", split="test", size=64, text="referential")  # or a folder in the story form, or hf://datasets/owner/name
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset, Image, List, concatenate_datasets, get_dataset_split_names, load_dataset
from PIL import ImageOps
from pyarrow import ArrowException, parquet

from story_ldm.data import toonstories, toonstories2
from story_ldm.data.long_sentences import Limit, LongSentences, say_cut, too_long
from story_ldm.data.pictures import FITS, UNREADABLE, Fit, as_rgb, colour, fitted, is_plain, nearest_shape, open_picture
from story_ldm.data.story_form import check_columns, check_rows, parquet_files, with_pictures
from story_ldm.files import HUB_NAME, file_digest

WORLDS = {"toonstories": toonstories, "toonstories-2": toonstories2}  # built in
SIDES = re.compile(r"\b(left|right|leftmost|rightmost|leftward|rightward|clockwise|counterclockwise)s?\b", re.I)


def load_stories(
    name_or_folder: str | Path,
    split: str = "train",
    size: int | Sequence[tuple[int, int]] | Literal["usual"] | None = "usual",
    text: str = "referential",
    *,
    limit: int | None = None,
    length: int | Sequence[int] | None = None,
    seed: int = 0,
    pictures: bool = True,
    num_proc: int | None = None,
    fit: Fit = "crop",
    background: str = "white",
    window: int | None = None,
    short: Literal["keep", "drop"] = "keep",
    flip: bool = False,
) -> Dataset:
    """Loads one split in the story form, with frames of `size` × `size` pixels, cached as Arrow. Of several sizes, (height, width) each, a story has
    the one whose shape is nearest to that of its first picture.

    name_or_folder: "toonstories" or "toonstories-2", the built-in worlds; a folder that holds `<split>-*.parquet` (or `data/<split>-*.parquet`) in
        the story form; or hf://datasets/owner/name for such a dataset of the hub, which is streamed where only its first stories are asked for.
        What is not written so is looked for on this machine only.
    size: "usual" is 64 pixels, and 128 for toonstories-2; None leaves a folder's frames unchanged.
    text: "referential" or "full", and of the built-in worlds "free"; a folder holds one form, and a column `sentences_full` where it has both.
    limit: only the first stories. seed, length: seed of a built-in world and length of its stories; several lengths take turns, story by story.
    pictures: False leaves `frames` empty, for work on text alone.
    fit: how pictures become square: "crop" to the centre, or "pad" with black.
    background: colour under transparent parts of pictures, if a size is set; says on stderr if there are any.
    window: cut stories into pieces of this many frames.
    short: "keep" stories shorter than `window` whole, or "drop" them and print their number on stderr.
    flip: append a mirrored copy of each story whose sentences mention no side (left, clockwise, …).
    Raises ValueError for an invalid split, text form, size, limit, length, fit, background or window, FileNotFoundError for a folder without the
    split.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}; it must be {' or '.join(FITS)}")
    if window is not None and window < 1:
        raise ValueError(f"window is {window}; it must be at least 1")
    colour(background)
    stories = _load(name_or_folder, split, size, text, limit, length, seed, pictures, num_proc, fit, background)
    if window is not None:
        stories = _cut(_long_enough(stories, window) if short == "drop" else stories, window)
    return with_flips(stories, num_proc) if flip else stories


def _load(name_or_folder, split, size, text, limit, length, seed, pictures, num_proc, fit, background) -> Dataset:
    world = WORLDS.get(str(name_or_folder))
    size = (world or toonstories).SIZE if size == "usual" else size
    if text not in toonstories.TEXT_FORMS:
        raise ValueError(f"text is {text!r}; it must be one of {', '.join(toonstories.TEXT_FORMS)}")
    if text == "free" and not world:
        raise ValueError(f"text is 'free'; only the built-in worlds have this form, not {name_or_folder}")
    if not isinstance(size, int) and world:
        raise ValueError(f"size is {size}; a built-in world is square and needs one size, such as 64 pixels")
    size = tuple((height, width) for height, width in size) if isinstance(size, Sequence) else size
    if size is not None and min([side for sides in size for side in sides] if isinstance(size, tuple) else [size], default=0) < 8:
        raise ValueError(f"size is {size}; frames need at least 8 pixels per side")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    length = tuple(length) if isinstance(length, Sequence) else length  # datasets shares the items of lists between processes
    if length is not None and min(length if isinstance(length, tuple) else (length,), default=0) < 1:
        raise ValueError(f"length is {length}; a story has at least 1 frame")
    if world:
        if split not in world.SPLITS:
            raise ValueError(f"split is {split!r}; {world.TITLE} has {', '.join(world.SPLITS)}")
        count = min(limit or world.SPLITS[split][2], world.SPLITS[split][2])
        settings = {"seed": seed, "split": split, "size": size, "text": text, "length": length, "pictures": pictures}
        return Dataset.from_generator(
            world.story_rows,
            features=world.FEATURES,
            gen_kwargs={"indices": list(range(count)), "source": world.SOURCE_DIGEST, **settings},
            num_proc=min(num_proc, count) if num_proc and num_proc > 1 else None,
        )
    name = hub_name(name_or_folder)
    stories = _open_folder(Path(name_or_folder), split, limit) if name is None else _open_hub(name, split, limit)
    return _finished(stories, size, text, pictures, num_proc, fit, background)


def hub_name(name: str | Path) -> str | None:
    """The owner/name of a dataset of the hub, which is asked for as hf://datasets/owner/name; None for every other name, which is local.

    Raises ValueError for another address of the hub."""
    if not str(name).startswith("hf:"):
        return None
    match = re.fullmatch(f"hf://datasets/({HUB_NAME})", str(name))
    if match is None:
        raise ValueError(f"dataset is {str(name)!r}; on the hub it must be hf://datasets/owner/name")
    return match[1]


def _open_folder(folder: Path, split: str, limit: int | None) -> Dataset:
    files = _split_files(folder, split)
    if not files:
        hub = f"; a dataset of the hub is hf://datasets/{folder}" if re.fullmatch(HUB_NAME, folder.as_posix()) and not folder.exists() else ""
        raise FileNotFoundError(f"{folder} has no {split}-*.parquet; it must be a folder in the story form that has this split{hub}")
    try:
        rows = sum(parquet.read_metadata(file).num_rows for file in files)
    except (OSError, ArrowException) as error:
        raise ValueError(f"a Parquet file of {folder}, split {split}, cannot be read ({error}); `story-ldm data check {folder}` says which") from None
    if not rows:
        raise ValueError(f"{files[0]} contains no stories")
    stories = load_dataset("parquet", data_files=files, split=f"train[:{limit}]" if limit else "train")
    try:
        check_columns(stories.features)
        check_rows(stories.data.table, stories.features)
    except ValueError as error:
        raise ValueError(f"{files[0] if len(files) == 1 else f'{folder}, split {split}'}: {error}") from None
    return stories if isinstance(getattr(stories.features["frames"], "feature", None), Image) else stories.cast(with_pictures(stories.features))


def _split_files(folder: Path, split: str) -> list[str]:
    return [str(file) for file in parquet_files(folder, f"{split}-*.parquet")]


def _open_hub(name: str, split: str, limit: int | None) -> Dataset:
    try:
        stories = load_dataset(name, split=split, streaming=limit is not None)
    except (OSError, ValueError) as error:  # no such dataset or split, or no network
        raise FileNotFoundError(f"split {split} of {name} cannot be read from the hub: {error}") from error
    try:
        check_columns(stories.features)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if limit is None:
        return stories
    raw = stories.take(limit).cast_column("frames", List(Image(decode=False)))  # downloads only these, and decodes none
    return Dataset.from_list(list(raw), features=raw.features).cast(stories.features)


def dataset_digests(name_or_folder: str | Path) -> dict[str, str]:
    """File name → 16 hexadecimal digits of the SHA-256, of the Parquet files of a folder; empty for the built-in worlds and datasets of the hub."""
    if hub_name(name_or_folder) is not None:
        return {}
    return {file.name: file_digest(file)[:16] for file in parquet_files(Path(name_or_folder))}


def held_out_split(name_or_folder: str | Path) -> str:
    """The split for evaluation during training: validation if the dataset has one, else test, else train."""
    if str(name_or_folder) in WORLDS:
        return "validation"
    if (name := hub_name(name_or_folder)) is None:
        existing = [split for split in ("validation", "test") if _split_files(Path(name_or_folder), split)]
    else:
        existing = [split for split in ("validation", "test") if split in get_dataset_split_names(name)]
    return existing[0] if existing else "train"


def tested_split(name_or_folder: str | Path) -> str:
    """The split for the final evaluation: test if the dataset has one, else the held-out split."""
    if str(name_or_folder) in WORLDS:
        return "test"
    name = hub_name(name_or_folder)
    has_test = _split_files(Path(name_or_folder), "test") if name is None else "test" in get_dataset_split_names(name)
    return "test" if has_test else held_out_split(name_or_folder)


def story_lengths(stories: Dataset) -> list[int]:
    """The number of frames of each story."""
    return [len(sentences) for sentences in stories["sentences"]]


def fit_stories(forms: list[Dataset], limit: Limit | None, how: LongSentences) -> list[Dataset]:
    """Stories whose sentences a text encoder can read. forms: the same stories in one or several forms of text. limit: None if it reads any length.

    how: "error" raises ValueError, which counts and names the sentences that are too long; "cut" shortens them to the limit; "skip" leaves their
    stories out, of all forms. Says on stderr how many."""
    texts = [form["sentences"][:] for form in forms] if limit is not None else []
    lengths = limit.longer(sentence for stories in texts for story in stories for sentence in story) if limit is not None else {}
    if limit is None or not lengths:
        return forms
    if how == "cut":
        short = {sentence: limit.cut(sentence) for sentence in lengths}
        say_cut(lengths, limit)
        texts = [[[short.get(sentence, sentence) for sentence in story] for story in stories] for stories in texts]
        return [_replaced(form, "sentences", text, form.features["sentences"]) for form, text in zip(forms, texts, strict=True)]
    kept = [n for n, told in enumerate(zip(*texts, strict=True)) if not any(sentence in lengths for story in told for sentence in story)]
    if how != "skip" or not kept:
        raise ValueError(too_long(lengths, limit) + (", but each story has one" if how == "skip" else ""))
    left_out = f"{len(forms[0]) - len(kept):,} of {len(forms[0]):,} stories"
    print(f"{left_out} have sentences of more than {limit.most} {limit.unit} and are left out (--long-sentences skip)", file=sys.stderr)
    return [form.select(kept) for form in forms]


def one_length(stories: Dataset) -> int:
    """The number of frames of every story. Raises ValueError if stories differ in length, for trainings that take one length only."""
    lengths = {*story_lengths(stories)}
    if len(lengths) > 1:
        raise ValueError(f"stories have {min(lengths)} to {max(lengths)} frames, and this training needs one length: set --window {min(lengths)}")
    return lengths.pop()


def _finished(stories: Dataset, size: int | tuple | None, text: str, pictures: bool, num_proc: int | None, fit: Fit, background: str) -> Dataset:
    if not pictures:
        stories = _replaced(stories, "frames", [[]] * len(stories), List(Image()))
    elif (kinds := _kinds(stories)) != {(size, size, "plain")} and size is not None:
        if any(kind == "transparent" for *_, kind in kinds):
            print(f"pictures have transparent parts, which are laid on {background} (background)", file=sys.stderr)
        how = {"size": size, "fit": fit, "background": background}
        stories = stories.cast_column("frames", List(Image())).map(_resize, fn_kwargs=how, num_proc=num_proc, desc=f"resizing to {size}")
    if text == "full" and "sentences_full" in stories.column_names:
        stories = _in_full_form(stories)
    return stories.remove_columns([column for column in ("sentences_full",) if column in stories.column_names])


def _long_enough(stories: Dataset, window: int) -> Dataset:
    """The stories of at least `window` frames; says how many are dropped."""
    kept = [n for n, length in enumerate(story_lengths(stories)) if length >= window]
    if not kept:
        raise ValueError(f"no story has {window} frames; set a smaller window")
    if dropped := len(stories) - len(kept):
        print(f"{dropped} of {len(stories)} stories have fewer than {window} frames and are dropped", file=sys.stderr)
    return stories.select(kept) if dropped else stories


def _cut(stories: Dataset, window: int) -> Dataset:
    """Stories cut into pieces of `window` frames; the last piece of a story overlaps the one before if the length is not a multiple."""
    features = stories.features
    raw = stories.cast_column("frames", List(Image(decode=False)))
    raw = raw.map(_pieces, batched=True, batch_size=100, fn_kwargs={"window": window}, features=raw.features, desc=f"stories of {window} frames")
    return raw.cast(features)


def _pieces(rows: dict[str, list], window: int) -> dict[str, list]:
    pieces: dict[str, list] = {column: [] for column in rows}
    for n, sentences in enumerate(rows["sentences"]):
        count = len(sentences)
        starts = sorted({*range(0, count - window + 1, window), max(0, count - window)})
        for start in starts:
            for column, values in rows.items():
                aligned = isinstance(values[n], list) and len(values[n]) == count
                pieces[column].append(values[n][start : start + window] if aligned else values[n])
            if count > window:
                pieces["story_id"][-1] += f"-from-{start}"
    return pieces


def with_flips(stories: Dataset, num_proc: int | None = None) -> Dataset:
    """The stories, followed by mirrored copies of those whose sentences mention no side."""
    sideless = [n for n, sentences in enumerate(stories["sentences"]) if not any(SIDES.search(sentence) for sentence in sentences)]
    if not sideless:
        return stories
    return concatenate_datasets([stories, stories.select(sideless).map(_mirror, num_proc=num_proc, desc="mirroring").cast(stories.features)])


def _mirror(row: dict) -> dict:
    return {"story_id": f"{row['story_id']}-mirrored", "frames": [ImageOps.mirror(as_rgb(frame)) for frame in row["frames"]]}


def _replaced(stories: Dataset, column: str, values: list, feature: Any) -> Dataset:
    order = stories.column_names
    return stories.remove_columns(column).add_column(column, values, feature=feature).select_columns(order)


def _in_full_form(stories: Dataset) -> Dataset:
    """The stories with their full sentences, and with `referential` and `mentions` as those sentences refer to characters and places."""
    features = stories.features
    stories = _replaced(stories, "sentences", stories["sentences_full"][:], features["sentences"])
    if "referential" in features:
        stories = _replaced(stories, "referential", [[False] * len(flags) for flags in stories["referential"]], features["referential"])
    if "attributes" in features and "mentions" in features["attributes"].feature:
        attributes = [[{**a, "mentions": toonstories.full_mentions(a["mentions"])} for a in row] for row in stories["attributes"]]
        stories = _replaced(stories, "attributes", attributes, features["attributes"])
    return stories


def _kinds(stories: Dataset) -> set[tuple[int, int, str]]:
    """Width, height and kind of the pictures: transparent, other (shown differently by programs, as turned ones are), or plain.

    Raises ValueError for a frame that is only a path, which datasets would follow to any file or address, and for one that is not in one of
    `FORMATS`, which datasets would open in any format that PIL has."""
    kinds = set()
    for row in stories.select_columns(["story_id", "frames"]).cast_column("frames", List(Image(decode=False))):
        for m, frame in enumerate(row["frames"] or []):
            if not frame or frame["bytes"] is None:
                has = "has no bytes" + (f", but the path {frame['path']!r}" if frame and frame["path"] is not None else "")
                raise ValueError(f"frame {m} of story {row['story_id']} {has}; a story holds the pictures themselves")
            with _of_frame(m, row["story_id"]), open_picture(frame["bytes"]) as picture:
                kinds.add((*picture.size, "transparent" if picture.has_transparency_data else "plain" if is_plain(picture) else "other"))
    return kinds


def _resize(row: dict, size: int | tuple, fit: Fit, background: str) -> dict:
    frames: list = []
    height, width = (size, size) if isinstance(size, int) else nearest_shape(row["frames"][0], size) if row["frames"] else (0, 0)
    for m, frame in enumerate(row["frames"]):
        with _of_frame(m, row["story_id"]):
            frames.append(fitted(frame, height, width, fit, background))
    return {"frames": frames}


@contextmanager
def _of_frame(m: int, story: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(f"frame {m} of story {story} cannot be read: {error}") from None
