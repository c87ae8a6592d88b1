"""`StoryPipelineOutput`: the output type of every pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from diffusers.utils import BaseOutput


@dataclass
class StoryPipelineOutput(BaseOutput):
    """Frames of each story, and memory weights if they were requested.

    frames: per story, a list of M PIL images ("pil"), an array (M, H, W, 3) in [0, 1] ("np"), a tensor (M, 3, H, W) in [0, 1] ("pt") or latents
    (M, c, h, w) ("latent"). memory_weights: per story, an array (M, M) with the attention of frame m to frame k < m, averaged over layers,
    heads and diffusion steps."""

    frames: list[Any]
    memory_weights: list[np.ndarray] | None = None
