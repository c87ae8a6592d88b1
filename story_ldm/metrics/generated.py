"""Frames of a system under test: one frame per frame of the reference, in its order, checked before anything is scored.

    frames = generated_frames(load_stories("generated/story-ldm", "test", None), reference, size=64)    # uint8 (F, 3, H, W)
    frames = folder_frames(Path("pictures"), reference, size=64)                        # <story_id>/<position>.png, .jpg, …

Missing or extra stories, other numbers of frames, other sentences, unreadable pictures and other sizes raise a ValueError that names the story and
the frame.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset, Image, List
from PIL import Image as PILImage
from torch import Tensor

from story_ldm.data.frames import uint8_frames
from story_ldm.data.pictures import PICTURE_SUFFIXES, UNREADABLE, as_rgb, colour, open_picture
from story_ldm.files import is_clutter, nfc


def generated_frames(
    generated: Dataset, reference: Dataset, size: int, resize: bool = False, texts: tuple[list, ...] = (), background: str = "white"
) -> Tensor:
    """uint8 frames (F, 3, size, size) of stories in the story form. texts: forms of the reference's text, each with one list of sentences per story;
    each story must have been drawn for one of them. Raises ValueError."""
    rows = {story_id: n for n, story_id in enumerate(generated["story_id"])}
    _check_ids(list(rows), reference["story_id"][:], len(generated))
    sentences = generated["sentences"][:]
    for n, story_id in enumerate(reference["story_id"]):
        if texts and not any(sentences[rows[story_id]] == text[n] for text in texts):
            raise ValueError(f"story {story_id} was drawn for sentences that are not the reference's: {sentences[rows[story_id]]}")
    raw = generated.select_columns("frames").cast_column("frames", List(Image(decode=False)))

    def pictures(n: int) -> list:
        frames = raw[rows[reference["story_id"][n]]]["frames"]
        return [frame["bytes"] for frame in frames]

    return _stacked(pictures, reference, size, resize, background)


def folder_frames(folder: Path, reference: Dataset, size: int, resize: bool = False, background: str = "white") -> Tensor:
    """uint8 frames (F, 3, size, size) of pictures `<story_id>/<position>` made by any program, as .png, .jpg, … Raises ValueError."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    colour(background)
    stories = {nfc(f.name): f for f in folder.iterdir() if f.is_dir() and not is_clutter(f.name)}
    names = [nfc(story_id) for story_id in reference["story_id"]]
    _check_ids(list(stories), names)

    def pictures(n: int) -> list:
        files = [file for file in stories[names[n]].iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and not is_clutter(file.name)]
        numbers = {int(file.stem) if re.fullmatch("[0-9]{1,9}", file.stem) else file.stem: file for file in files}
        wanted = range(len(reference["sentences"][n]))
        if numbers.keys() != set(wanted) or len(files) > len(wanted):
            raise ValueError(f"{stories[names[n]]} holds the pictures {sorted(f.name for f in files)}; the story needs {', '.join(map(str, wanted))}")
        return [numbers[m] for m in wanted]

    return _stacked(pictures, reference, size, resize, background)


def _check_ids(ids: list[str], wanted: list[str], rows: int | None = None) -> None:
    if rows is not None and rows != len(ids):
        raise ValueError(f"{rows - len(ids)} rows repeat the id of another story")
    for some, others, problem in ((wanted, set(ids), "are missing"), (ids, set(wanted), "are not in the reference")):
        odd = [story_id for story_id in some if story_id not in others]
        if odd:
            raise ValueError(f"{len(odd)} of {len(some)} stories {problem}; the first is {odd[0]}")


def _stacked(pictures: Callable[[int], list], reference: Dataset, size: int, resize: bool, background: str) -> Tensor:
    counts = [len(sentences) for sentences in reference["sentences"]]
    frames, place = torch.empty((sum(counts), 3, size, size), dtype=torch.uint8), 0
    transparent = False
    for n, count in enumerate(counts):
        story_id, sources = reference["story_id"][n], pictures(n)
        if len(sources) != count:
            raise ValueError(f"story {story_id} has {len(sources)} frames; the reference has {count}")
        for m, source in enumerate(sources):
            if source is None:
                raise ValueError(f"frame {m} of story {story_id} has no picture")
            try:
                with open_picture(source) as opened:
                    transparent = transparent or opened.has_transparency_data
                    picture = as_rgb(opened, background)
            except UNREADABLE as error:
                raise ValueError(f"frame {m} of story {story_id} cannot be read: {error}") from error
            if picture.size != (size, size):
                if not resize:
                    has = f"{picture.width} × {picture.height} pixels, not {size} × {size}"
                    raise ValueError(f"frame {m} of story {story_id} has {has}; use --resize to resize it")
                picture = picture.resize((size, size), PILImage.Resampling.BOX if picture.width > size else PILImage.Resampling.BICUBIC)
            frames[place] = uint8_frames([picture])[0]
            place += 1
    if transparent:
        print(f"pictures have transparent parts, which are laid on {background} (--background)", file=sys.stderr)
    return frames
