"""Pictures as tensors.

frames = frames_tensor(stories[0]["frames"])        # (M, 3, H, W) in [-1, 1]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from story_ldm.data.pictures import as_rgb

if TYPE_CHECKING:
    from datasets import Dataset


def uint8_frames(pictures: Iterable[PIL.Image.Image]) -> torch.Tensor:
    """Pictures of one size as uint8 (M, 3, H, W), channels last in memory."""
    return torch.from_numpy(np.stack([np.asarray(as_rgb(picture)) for picture in pictures])).permute(0, 3, 1, 2)


def to_float(frames: torch.Tensor) -> torch.Tensor:
    """uint8 frames as float32 in [-1, 1]."""
    return frames.float() / 127.5 - 1


def frames_tensor(pictures: Iterable[PIL.Image.Image]) -> torch.Tensor:
    """Pictures of one size as float32 (M, 3, H, W) in [-1, 1]."""
    return to_float(uint8_frames(pictures))


def decode_frames(stories: Dataset, workers: int) -> torch.Tensor:
    """All frames of the stories, story after story, as uint8 (F, 3, H, W): 1.2 GB for 20,000 stories of 5 frames of 64 px."""
    loader = DataLoader(stories.select_columns(["frames"]), 64, num_workers=workers, collate_fn=_stack_frames)
    frames, count, total = torch.empty(0), 0, sum(map(len, stories["sentences"]))
    for part in tqdm(loader, desc="decoding frames", leave=False):
        if not count:  # at once, because putting the parts together would take twice the memory
            frames = torch.empty(total, *part.shape[1:], dtype=part.dtype)
        frames[count : count + len(part)] = part
        count += len(part)
    assert count == total, f"{count} frames for {total} sentences"
    return frames


def _stack_frames(rows: list[dict]) -> torch.Tensor:
    return uint8_frames(frame for row in rows for frame in row["frames"]).contiguous()
