"""One call, one output type: sentences in, frames out. What is not asked for is not imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story_ldm.encoders.prompt_surgery import PromptSurgery
    from story_ldm.systems.story_ldm.reference import Reference
    from story_ldm.systems.story_ldm.shared_attention import ConsistentAttention

    from .ar_ldm import ARLDMPipeline
    from .dynamic_block_gan import DynamicBlockGANPipeline
    from .output import StoryPipelineOutput
    from .story_gan import StoryGANPipeline
    from .story_ldm import StoryLDMPipeline

__all__ = [
    "ARLDMPipeline",
    "ConsistentAttention",
    "DynamicBlockGANPipeline",
    "PromptSurgery",
    "Reference",
    "StoryGANPipeline",
    "StoryLDMPipeline",
    "StoryPipelineOutput",
]
_MODULES = {
    "ARLDMPipeline": "story_ldm.pipelines.ar_ldm",
    "ConsistentAttention": "story_ldm.systems.story_ldm.shared_attention",
    "DynamicBlockGANPipeline": "story_ldm.pipelines.dynamic_block_gan",
    "PromptSurgery": "story_ldm.encoders.prompt_surgery",
    "Reference": "story_ldm.systems.story_ldm.reference",
    "StoryGANPipeline": "story_ldm.pipelines.story_gan",
    "StoryLDMPipeline": "story_ldm.pipelines.story_ldm",
    "StoryPipelineOutput": "story_ldm.pipelines.output",
}


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'story_ldm.pipelines' has no attribute {name!r}")
