"""Rates of a few stories drawn during training, without intervals and result files."""

from __future__ import annotations

from pathlib import Path

import torch
from datasets import Dataset
from PIL import Image

from story_ldm.data.frames import frames_tensor
from story_ldm.data.toonstories import CHARACTER_NAMES
from story_ldm.encoders.evaluator import FrameEvaluator, frame_labels, label_names
from story_ldm.metrics.story_rates import PRONOUNS, as_arrays, measures
from story_ldm.model_folders import open_local

QUICK_RATES = (
    ("all", "characters"),
    ("all", "background"),
    ("all", "garment"),
    ("all", "face"),
    ("all", "weather"),
    ("referential", "characters"),
    ("referential", "background"),
    ("self", "mark kept"),
    ("self", "layout kept"),
)


def quick_rates(evaluator: Path, stories: Dataset, drawn: list[list[Image.Image]], device: torch.device | str = "cpu") -> dict[str, float]:
    """Rates (0 … 1) of the drawn frames of these stories by name, such as "all/characters", as the evaluator in this folder reads them.

    Empty if the stories have no character labels or other characters than the evaluator. Rates of nothing are left out."""
    reader = open_local(FrameEvaluator, evaluator, dtype=torch.float32).eval().to(device)
    names = list(reader.config.characters)
    if label_names(stories.features, "characters") != names:
        return {}
    side = (reader.config.sample_size,) * 2
    how = Image.Resampling.BOX if drawn[0][0].width > side[0] else Image.Resampling.BICUBIC  # as generated.py resizes
    frames = torch.cat([frames_tensor([frame.convert("RGB").resize(side, how) for frame in story]) for story in drawn])
    pronouns = PRONOUNS if tuple(names) == CHARACTER_NAMES else ("",) * len(names)
    rates = measures(
        as_arrays(frame_labels(stories, len(names))), as_arrays({n: x.cpu() for n, x in reader.read(frames.to(device)).items()}), pronouns
    )
    counts = {f"{row}/{column}": rates[row, column] for row, column in QUICK_RATES if (row, column) in rates}
    return {name: float((right & counted).sum() / counted.sum()) for name, (right, counted) in counts.items() if counted.any()}
