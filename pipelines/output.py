"""What every pipeline of this project returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from diffusers.utils import BaseOutput


@dataclass
class StoryPipelineOutput(BaseOutput):
    """frames: one entry a story: a list of M pictures ("pil"), an array (M, H, W, 3) in [0, 1] ("np"), a tensor (M, 3, H, W) in [0, 1] ("pt")
    or latents (M, c, h, w) ("latent"). memory_weights: where asked for, one array (M, M) a story: how much frame m looked at frame k < m,
    averaged over layers, heads and diffusion steps."""

    frames: list[Any]
    memory_weights: list[np.ndarray] | None = None
