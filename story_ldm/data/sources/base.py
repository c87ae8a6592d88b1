"""What all sources share: the form they have, the choice of a frame, and checks that name the fault.

A source is a file of this folder with a function `open_source(folder) -> Source`: the stories of each split as keys, and `story`, which makes one
of them: `story_id`, `frames` (encoded pictures), `sentences`, and where known `characters` and `backgrounds` by number. Whatever is wrong with a copy
ends in a StoryDataError that names the file, what is there and what would be right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from story_ldm.data.faults import StoryDataError, as_fault, printable
from story_ldm.data.pictures import png, strip_frame, strip_length

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}  # how public copies call them


@dataclass(frozen=True)
class FrameChoice:
    """Which of the frames of a shot stands for it: "middle", "first", a number, or "random", which is a function of the seed and the shot."""

    how: str = "middle"
    seed: int = 0

    def __post_init__(self):
        if self.how not in ("middle", "first", "random") and not re.fullmatch(r"\d{1,9}", self.how):
            raise StoryDataError(f"frame is {self.how!r}; it must be middle, first, random or a number from 0")

    def __call__(self, shot: str, count: int) -> int:
        if count < 1:
            raise StoryDataError(f"shot {shot} has no frame")
        if self.how == "random":
            return int.from_bytes(hashlib.sha256(f"{self.seed}/{shot}".encode()).digest()[:8], "big") % count
        n = {"middle": count // 2, "first": 0}.get(self.how)
        n = int(self.how) if n is None else n
        if n >= count:
            raise StoryDataError(f"frame {n} of shot {shot} is asked for; it has {count}, numbered from 0")
        return n


@dataclass
class Source:
    """A copy of a dataset. `splits`: keys of the stories; `shots`: what the frames of a story are called, by which overlaps are found."""

    splits: dict[str, list]
    shots: Callable[[str, Any], list[str]]
    story: Callable[[str, Any, FrameChoice], dict]
    cast: dict[str, str] = field(default_factory=dict)
    """Characters in the published order, and the pronoun of each (he, she, it)."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other ways to write a name in a text → the name."""
    characters: bool = False
    """Whether the stories have character labels."""
    backgrounds: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    """Features of what else is told of a frame."""
    published: dict[str, int] = field(default_factory=dict)
    recalled: bool = True
    """Whether the published counts are known from hearsay alone; then they are shown, and a copy is not judged by them."""
    licence: str = "other"
    notes: list[str] = field(default_factory=list)
    """What the dataset's own rules leave out, for the card."""

    def __post_init__(self):
        for split, keys in self.splits.items():
            seen: set[str] = set()
            twice = next((key for key in keys if (name := repr(key)) in seen or seen.add(name)), None)
            if twice is not None:
                raise StoryDataError(f"the split file lists {twice!r} twice in {split}; a story is there once")

    def stories(self, split: str, choose: FrameChoice) -> Iterator[dict]:
        for key in self.splits[split]:
            with as_fault(f"story {key} of {split}"):
                row = self.story(split, key, choose)
            yield row


def checked_row(row: dict, source: Source) -> dict:
    """The row, if its parts fit each other and its labels are those of the source."""
    name, sentences = row["story_id"], row["sentences"]
    if not sentences:
        raise StoryDataError(f"story {name} has no sentence")
    for m, sentence in enumerate(sentences):
        if not sentence:
            raise StoryDataError(f"sentence {m} of story {name} is empty")
    for part in ("sentences", "shots"):
        for m, text in enumerate(row.get(part, [])):
            if printable(text) != text:
                raise StoryDataError(f"{part[:-1]} {m} of story {name} is {_short(printable(text))}; it holds half a character (a lone surrogate)")
    for part in ("frames", "characters", "backgrounds"):
        if part in row and len(row[part]) != len(sentences):
            raise StoryDataError(f"story {name} has {len(sentences)} sentences and {len(row[part])} {part}; there must be one a sentence")
    limits = {"characters": len(source.cast), "backgrounds": len(source.backgrounds)}
    for part, limit in limits.items():
        for m, values in enumerate(row.get(part, [])):
            for value in values if isinstance(values, list) else [values]:
                if not 0 <= value < limit:
                    raise StoryDataError(f"{part} of frame {m} of story {name} hold {value}; there are {limit} names, numbered from 0")
    return row


# --- files -------------------------------------------------------------------------------------------------------------------------------


def inside(folder: Path, relative: str) -> Path:
    """A file that the data names, in the folder. Raises StoryDataError if the name leads out of it."""
    path = PurePosixPath(str(relative).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in str(relative) or re.match(r"[A-Za-z]:", str(relative)):
        raise StoryDataError(f"the file name {relative!r} leads out of {folder}")
    return folder.joinpath(*path.parts)


def needed(file: Path, what: str) -> Path:
    if not file.exists():
        raise StoryDataError(f"{file} is missing; it holds {what}")
    return file


def read_json(file: Path, kind: type, what: str):
    """A JSON file that holds a `kind`."""
    try:
        value = json.loads(needed(file, what).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, StoryDataError):
            raise
        raise StoryDataError(f"{file} is no JSON ({error}); it must hold {what}") from None
    return of_kind(value, kind, f"{file}")


def read_json_lines(file: Path) -> list[dict]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise StoryDataError(f"{file} cannot be read: {error}") from None
    for n, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(of_kind(json.loads(line), dict, f"line {n} of {file}"))
            except (ValueError, RecursionError) as error:
                raise StoryDataError(f"line {n} of {file}: {error}") from None
    return rows


def of_kind(value, kind: type | tuple[type, ...], where: str):
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise StoryDataError(f"{where} is {_short(value)}; it must be of type {' or '.join(k.__name__ for k in kinds)}")
    return value


def entry(table: dict, key, file: Path | str):
    """What a table holds for a shot."""
    if key not in table:
        raise StoryDataError(f"{file} has nothing for {key!r}")
    return table[key]


def field_of(row: dict, name: str, kind: type | tuple[type, ...], where: str):
    if name not in row:
        raise StoryDataError(f"{where} has no field {name!r}; it has {', '.join(map(repr, row)) or 'none'}")
    return of_kind(row[name], kind, f"{name} of {where}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def text_of(value, where: str) -> str:
    """A caption on one line. Bytes are UTF-8, and so are strings of Python 2 that were read as latin1."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    value = str(of_kind(value, str, where))
    try:
        value = value.encode("latin1").decode("utf-8")
    except UnicodeError:
        pass
    value = " ".join(value.split())
    if not value:
        raise StoryDataError(f"{where} is empty")
    return value


def marked(vector, count: int, where: str) -> list[int]:
    """The places of the ones in a vector of zeros and ones."""
    try:
        values = np.asarray(vector).astype(float).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise StoryDataError(f"{where} is {_short(vector)}; it must be {count} zeros and ones") from None
    if len(values) != count or not ((values == 0) | (values == 1)).all():
        raise StoryDataError(f"{where} has {len(values)} values ({_short(values.tolist())}); it must be {count} zeros and ones")
    return np.flatnonzero(values).tolist()


# --- pictures ----------------------------------------------------------------------------------------------------------------------------

UNREADABLE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)  # all that PIL raises for bad files


def opened(data: bytes, where: str) -> Image.Image:
    """A picture, decoded to its last pixel."""
    try:
        picture = Image.open(BytesIO(data))
        picture.load()
    except UNREADABLE as error:
        raise StoryDataError(f"{where} cannot be decoded ({error}); the file is cut short or no picture") from None
    return picture


def file_bytes(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StoryDataError(f"{file}, {what}, {'is missing' if isinstance(error, FileNotFoundError) else f'cannot be read: {error}'}") from None


def whole_picture(file: Path, what: str) -> bytes:
    """The bytes of a picture file as they are, once they have been decoded."""
    data = file_bytes(file, what)
    opened(data, str(file))
    return data


def frame_of_strip(data: bytes, shot: str, choose: FrameChoice, swapped: bool = False) -> tuple[bytes, int]:
    """The chosen frame of a strip as PNG, and its number. swapped: red and blue have changed places."""
    strip = opened(data, f"the strip of shot {shot}").convert("RGB")
    n = choose(shot, strip_length(strip))
    frame = strip_frame(strip, n)
    return png(Image.merge("RGB", frame.split()[::-1]) if swapped else frame), n


def safe_id(name: str) -> str:
    """A story id that can be a folder's name."""
    return re.sub(r"[^\w.-]", "_", name.replace("/", ".")).lstrip(".") or "_"
