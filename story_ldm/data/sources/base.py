"""Shared by all sources: the `Source` form, the choice of a frame, and checks whose errors name the fault.

A source is a file of this folder with a function `open_source(folder) -> Source`, which lists the stories of each split by key and has a function
`story` that reads one: `story_id`, `frames` (encoded pictures), `sentences`, and where known `characters` and `backgrounds` by number. Faults of a
copy raise StoryDataError, which names the file, what it contains and what would be right.
"""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from story_ldm.data.faults import StoryDataError, as_fault, printable
from story_ldm.data.pictures import UNREADABLE, as_rgb, open_picture, png, strip_frame, strip_length, swap_red_blue
from story_ldm.files import nfc, regular_file

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}  # names in public copies


@dataclass(frozen=True)
class FrameChoice:
    """Which frame of a shot to use: "middle", "first", its index from 0, or "random", a function of the seed and the shot's name."""

    how: str = "middle"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in ("middle", "first", "random") and not re.fullmatch(r"\d{1,9}", self.how):
            raise StoryDataError(f"--frame is {self.how!r}; it must be middle, first, random or a number from 0")

    def __call__(self, shot: str, count: int) -> int:
        """The index of the chosen frame of a shot with `count` frames."""
        if count < 1:
            raise StoryDataError(f"shot {shot} has no frame")
        if self.how == "random":
            return int.from_bytes(hashlib.sha256(f"{self.seed}/{shot}".encode()).digest()[:8], "big") % count
        n = {"middle": count // 2, "first": 0}[self.how] if self.how in ("middle", "first") else int(self.how)
        if n >= count:
            raise StoryDataError(f"--frame is {n}, but shot {shot} has {count} frames, numbered from 0")
        return n


@dataclass
class Source:
    """A copy of a dataset. `splits`: keys of the stories; `shots`: names of a story's frames, used to find overlaps of splits; `story`: reads one."""

    splits: dict[str, list]
    shots: Callable[[str, Any], list[str]]
    story: Callable[[str, Any, FrameChoice], dict]
    cast: dict[str, str] = field(default_factory=dict)
    """Characters in the published order, with the pronoun of each (he, she, it)."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Another spelling of a name → the name."""
    characters: bool = False
    """Whether the stories have character labels."""
    backgrounds: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    """Features of the `attributes` of a frame."""
    published: dict[str, int] = field(default_factory=dict)
    recalled: bool = True
    """Whether the published counts are unverified, quoted from memory; such counts are reported, but a copy need not match them."""
    licence: str = "other"
    notes: list[str] = field(default_factory=list)
    """What the dataset's own rules leave out, for the card."""

    def __post_init__(self) -> None:
        for split, keys in self.splits.items():
            seen: set[str] = set()
            for key in keys:
                if repr(key) in seen:
                    raise StoryDataError(f"the split file lists {key!r} twice in {split}; each story must be listed once")
                seen.add(repr(key))

    def stories(self, split: str, choose: FrameChoice) -> Iterator[dict]:
        """Reads the stories of a split, in order. Raises StoryDataError at the first that is broken."""
        for key in self.splits[split]:
            with as_fault(f"story {key} of {split}"):
                row = self.story(split, key, choose)
            yield row


def checked_row(row: dict, source: Source) -> dict:
    """The row itself. Raises StoryDataError if its columns do not match in length or a label is out of range."""
    name, sentences = row["story_id"], row["sentences"]
    if not sentences:
        raise StoryDataError(f"story {name} has no sentence")
    for m, sentence in enumerate(sentences):
        if not sentence:
            raise StoryDataError(f"sentence {m} of story {name} is empty")
    for part in ("sentences", "shots"):
        for m, text in enumerate(row.get(part, [])):
            if printable(text) != text:
                raise StoryDataError(f"{part[:-1]} {m} of story {name} is {_short(printable(text))}; it contains a lone surrogate")
    for part in ("frames", "characters", "backgrounds"):
        if part in row and len(row[part]) != len(sentences):
            raise StoryDataError(f"story {name} has {len(sentences)} sentences and {len(row[part])} {part}; there must be one per sentence")
    limits = {"characters": len(source.cast), "backgrounds": len(source.backgrounds)}
    for part, limit in limits.items():
        for m, values in enumerate(row.get(part, [])):
            for value in values if isinstance(values, list) else [values]:
                if not 0 <= value < limit:
                    raise StoryDataError(f"{part} of frame {m} of story {name} contain {value}; there are {limit} names, numbered from 0")
    return row


# --- files -------------------------------------------------------------------------------------------------------------------------------


def path_inside(folder: Path, relative: str) -> Path:
    """The path of a file of the data. Raises StoryDataError if it lies outside the folder, also through a link; links of a snapshot of the hub may
    lead to the files of its repository."""
    path = PurePosixPath(str(relative).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in str(relative) or re.match(r"[A-Za-z]:", str(relative)):
        raise StoryDataError(f"the file name {relative!r} leads out of {folder}")
    file = folder
    for part in path.parts:
        found = file / part
        if not found.exists() and file.is_dir() and not part.isascii():  # its name on disk may have another Unicode form
            found = next((other for other in file.iterdir() if nfc(other.name) == nfc(part)), found)
        file = found
    if not (target := file.resolve()).is_relative_to(_whole(folder.resolve())):
        raise StoryDataError(f"{file} is a link to {target}, outside of {folder}; put the file itself there")
    return file


def _whole(folder: Path) -> Path:
    """The folder itself; of a snapshot in the hub's cache, `datasets--OWNER--NAME/snapshots/REVISION`, whose files are links to `blobs` beside
    `snapshots`, the folder of the repository."""
    for part in folder.parents:
        if part.name == "snapshots" and re.fullmatch(r"(datasets|models)--.+", part.parent.name):
            return part.parent
    return folder


def existing(file: Path, what: str) -> Path:
    """The file itself. Raises StoryDataError, which says `what` it should contain, if it does not exist."""
    if not file.exists():
        raise StoryDataError(f"{file} is missing; it contains {what}")
    return regular_file(file)


def split_files(folder: Path, suffix: str = ".json") -> dict[str, Path]:
    """The file of each split under one of the names that public copies use; splits without a file are left out."""
    files = {split: [path_inside(folder, f"{name}{suffix}") for name in names] for split, names in SPLIT_NAMES.items()}
    return {split: file for split, candidates in files.items() if (file := next(filter(Path.exists, candidates), None))}


def read_json(file: Path, kind: type, what: str) -> Any:
    """The content of a JSON file, which must be a `kind`; `what` describes it in errors."""
    try:
        value = json.loads(text_in(existing(file, what)))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, StoryDataError):
            raise
        raise StoryDataError(f"{file} is not JSON ({error}); it must contain {what}") from None
    return of_type(value, kind, str(file))


def read_json_lines(file: Path) -> list[dict]:
    """The objects of a JSON Lines file; empty lines are skipped."""
    rows = []
    try:
        lines = text_in(file).split("\n")  # not splitlines, which also splits at U+2028 and others that JSON allows in strings
    except (OSError, ValueError) as error:
        raise StoryDataError(f"{file} cannot be read: {error}") from None
    for n, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(of_type(json.loads(line), dict, f"line {n} of {file}"))
            except (ValueError, RecursionError) as error:
                raise StoryDataError(f"line {n} of {file}: {error}") from None
    return rows


def text_in(file: Path) -> str:
    """The text of a JSON or table file in UTF-8 or, as Windows writes it, UTF-16, with or without a byte order mark, in composed Unicode."""
    data = regular_file(file).read_bytes()
    return nfc(data.decode(json.detect_encoding(data)))


def of_type(value: Any, kind: type | tuple[type, ...], where: str) -> Any:
    """The value itself, which must be a `kind` (a bool is not an int here)."""
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise StoryDataError(f"{where} is {_short(value)}; it must be of type {' or '.join(k.__name__ for k in kinds)}")
    return value


def entry(table: dict, key: Any, file: Path | str) -> Any:
    """The value of a table for a shot or story."""
    if key not in table:
        raise StoryDataError(f"{file} has no entry for {key!r}")
    return table[key]


def field_of(row: dict, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """The value of a field of a JSON object, which must be a `kind`."""
    if name not in row:
        raise StoryDataError(f"{where} has no field {name!r}; it has {', '.join(map(repr, row)) or 'none'}")
    return of_type(row[name], kind, f"{name} of {where}")


def _short(value: Any) -> str:
    text = reprlib.repr(value)  # of nested parts the first levels only
    return text if len(text) <= 60 else f"{text[:57]}…"


def text_of(value: Any, where: str) -> str:
    """A caption on one line. Bytes are decoded as UTF-8, and so are strings of Python 2 that were read as latin1."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    value = str(of_type(value, str, where))
    try:
        value = value.encode("latin1").decode("utf-8")
    except UnicodeError:
        pass
    value = " ".join(value.split())
    if not value:
        raise StoryDataError(f"{where} is empty")
    return value


def indices_of_ones(vector: Any, count: int, where: str) -> list[int]:
    """The indices of the ones in a vector of `count` zeros and ones."""
    try:
        values = np.asarray(vector).astype(float).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise StoryDataError(f"{where} is {_short(vector)}; it must be {count} zeros and ones") from None
    if len(values) != count or not ((values == 0) | (values == 1)).all():
        raise StoryDataError(f"{where} has {len(values)} values ({_short(values.tolist())}); it must be {count} zeros and ones")
    return np.flatnonzero(values).tolist()


# --- pictures ----------------------------------------------------------------------------------------------------------------------------


def decoded(data: bytes, where: str) -> Image.Image:
    """A picture, completely decoded, which `as_rgb` can show."""
    try:
        picture = open_picture(data)
        picture.load()
        if picture.mode in ("I", "F"):
            as_rgb(picture)
    except UNREADABLE as error:
        raise StoryDataError(f"{where} cannot be decoded ({error}); the file is truncated, or not a picture of 8 or 16 bits per channel") from None
    return picture


def file_bytes(file: Path, what: str) -> bytes:
    """The content of a file; `what` describes it in errors."""
    try:
        return regular_file(file).read_bytes()
    except OSError as error:
        raise StoryDataError(f"{file}, {what}, {'is missing' if isinstance(error, FileNotFoundError) else f'cannot be read: {error}'}") from None


def picture_bytes(file: Path, what: str) -> bytes:
    """The unchanged bytes of a picture file, which must decode."""
    data = file_bytes(file, what)
    decoded(data, str(file))
    return data


def frame_of_strip(data: bytes, shot: str, choose: FrameChoice, swapped: bool = False) -> tuple[bytes, int]:
    """The chosen frame of a strip as PNG, and its index. swapped: red and blue are exchanged in the strip."""
    strip = as_rgb(decoded(data, f"the strip of shot {shot}"))
    n = choose(shot, strip_length(strip))
    frame = strip_frame(strip, n)
    return png(swap_red_blue(frame) if swapped else frame), n


def safe_id(name: str) -> str:
    """The name as a story id that is valid as a folder name."""
    return re.sub(r"[^\w.-]", "_", nfc(name).replace("/", ".")).lstrip(".") or "_"
