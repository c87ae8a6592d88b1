"""What all pipelines of this project inherit."""

from __future__ import annotations

import torch
from diffusers import DiffusionPipeline

OLD_MODULES = {  # what folders of version 0.1 call the modules of their components
    "story_ldm.unet": "story_ldm.systems.story_ldm.unet",
    "story_ldm.text": "story_ldm.encoders.language_memory",
    "story_ldm.gans.story_gan": "story_ldm.systems.story_gan.networks",
    "story_ldm.gans.dynamic_block": "story_ldm.systems.dynamic_block_gan.networks",
    "story_ldm.gans.damsm": "story_ldm.encoders.damsm",
}


class StoryPipeline(DiffusionPipeline):
    @classmethod
    def load_config(cls, *args, **kwargs):
        """diffusers' own, with the modules of components by their present names."""

        def renamed(config: dict) -> dict:
            return {part: [OLD_MODULES.get(value[0], value[0]), *value[1:]] if isinstance(value, list) else value for part, value in config.items()}

        found = super().load_config(*args, **kwargs)
        return (renamed(found[0]), *found[1:]) if isinstance(found, tuple) else renamed(found)

    @classmethod
    def from_pretrained(cls, folder, **kwargs) -> StoryPipeline:
        """diffusers' own, but in float32 unless `dtype` is given, whatever the weights are stored in."""
        if "torch_dtype" not in kwargs:  # the name that diffusers had before
            kwargs.setdefault("dtype", torch.float32)
        return super().from_pretrained(folder, **kwargs)
