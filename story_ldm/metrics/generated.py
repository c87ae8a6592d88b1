"""The frames of a system under test, put beside the reference: every story of the reference, in its order, checked before anything is scored.

    frames = generated_frames(load_stories("generated/story-ldm", "test", None), reference, size=64)    # uint8 (F, 3, H, W)
    frames = folder_frames(Path("pictures"), reference, size=64)                                          # <story_id>/<position>.png

Whatever does not fit (stories missing or not of the reference, other counts, other sentences, unreadable pictures, another size) ends in
a ValueError that names the story and the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Image, List
from PIL import Image as PILImage
from PIL import UnidentifiedImageError
from torch import Tensor


def generated_frames(generated: Dataset, reference: Dataset, size: int, resize: bool = False, texts: tuple[list, ...] = ()) -> Tensor:
    """uint8 (F, 3, size, size) of stories in the story form. texts: the sentences (one list a story) that they may have been drawn for."""
    rows = {story_id: n for n, story_id in enumerate(generated["story_id"])}
    _check_ids(list(rows), reference["story_id"][:], len(generated))
    sentences = generated["sentences"][:]
    for n, story_id in enumerate(reference["story_id"]):
        if texts and not any(sentences[rows[story_id]] == text[n] for text in texts):
            raise ValueError(f"story {story_id} was drawn for other sentences than the reference's: {sentences[rows[story_id]]}")
    raw = generated.select_columns("frames").cast_column("frames", List(Image(decode=False)))

    def pictures(n: int) -> list:
        frames = raw[rows[reference["story_id"][n]]]["frames"]
        return [BytesIO(frame["bytes"]) if frame["bytes"] else frame["path"] for frame in frames]

    return _stacked(pictures, reference, size, resize)


def folder_frames(folder: Path, reference: Dataset, size: int, resize: bool = False) -> Tensor:
    """uint8 (F, 3, size, size) of `<story_id>/<position>.png` pictures made by any program."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    _check_ids([f.name for f in folder.iterdir() if f.is_dir()], reference["story_id"][:])

    def pictures(n: int) -> list:
        files = {file.stem: file for file in (folder / reference["story_id"][n]).glob("*.png")}
        wanted = [str(m) for m in range(len(reference["sentences"][n]))]
        if files.keys() != set(wanted):
            raise ValueError(f"{folder / reference['story_id'][n]} holds the pictures {sorted(files)}; the story has {', '.join(wanted)}")
        return [files[m] for m in wanted]

    return _stacked(pictures, reference, size, resize)


def _check_ids(found: list[str], wanted: list[str], rows: int | None = None) -> None:
    if rows is not None and rows != len(found):
        raise ValueError(f"{rows - len(found)} story ids are there twice")
    for some, others, says in ((wanted, set(found), "are missing"), (found, set(wanted), "are not of the reference")):
        odd = [story_id for story_id in some if story_id not in others]
        if odd:
            raise ValueError(f"{len(odd)} of {len(some)} stories {says}, the first is {odd[0]}")


def _stacked(pictures: Callable[[int], list], reference: Dataset, size: int, resize: bool) -> Tensor:
    counts = [len(sentences) for sentences in reference["sentences"]]
    frames, place = np.empty((sum(counts), size, size, 3), np.uint8), 0
    for n, count in enumerate(counts):
        story_id, found = reference["story_id"][n], pictures(n)
        if len(found) != count:
            raise ValueError(f"story {story_id} has {len(found)} frames; the reference has {count}")
        for m, source in enumerate(found):
            try:
                with PILImage.open(source) as picture:
                    picture = picture.convert("RGB")
            except (OSError, UnidentifiedImageError) as error:
                raise ValueError(f"frame {m} of story {story_id} cannot be read: {error}") from error
            if picture.size != (size, size):
                if not resize:
                    has = f"{picture.width} × {picture.height} pixels, not {size} × {size}"
                    raise ValueError(f"frame {m} of story {story_id} has {has}; --resize makes them fit")
                picture = picture.resize((size, size), PILImage.Resampling.BOX if picture.width > size else PILImage.Resampling.BICUBIC)
            frames[place] = np.asarray(picture)
            place += 1
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
