"""Story visualization: sentences in, a consistent sequence of images out. See README.md."""

from __future__ import annotations

import os
from importlib import import_module

os.environ.setdefault("MKL_CBWR", "AUTO")  # else MKL's last bit depends on where in memory the numbers lie, so on the process

__version__ = "0.2.0"

_LAZY = {
    "StoryLDMPipeline": "story_ldm.pipelines.story_ldm",
    "StoryGANPipeline": "story_ldm.pipelines.story_gan",
    "DynamicBlockGANPipeline": "story_ldm.pipelines.dynamic_block_gan",
    "ARLDMPipeline": "story_ldm.pipelines.ar_ldm",
    "StoryUNet2DConditionModel": "story_ldm.systems.story_ldm.unet",
    "MemoryAttention": "story_ldm.systems.story_ldm.memory_attention",
    "StoryMemory": "story_ldm.systems.story_ldm.memory_attention",
    "StoryAutoencoder": "story_ldm.encoders.autoencoder",
    "LanguageMemory": "story_ldm.encoders.language_memory",
    "load_stories": "story_ldm.data",
}
__all__ = list(_LAZY)


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'story_ldm' has no attribute {name!r}")
