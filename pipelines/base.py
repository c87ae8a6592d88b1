"""What all pipelines of this project inherit."""

from __future__ import annotations

import torch
from diffusers import DiffusionPipeline


class StoryPipeline(DiffusionPipeline):
    @classmethod
    def from_pretrained(cls, folder, **kwargs) -> StoryPipeline:
        """diffusers' own, but in float32 unless `dtype` is given, whatever the weights are stored in."""
        if "torch_dtype" not in kwargs:  # the name that diffusers had before
            kwargs.setdefault("dtype", torch.float32)
        return super().from_pretrained(folder, **kwargs)
