"""One call, one output type: sentences in, frames out."""

from story_ldm.encoders.prompt_surgery import PromptSurgery
from story_ldm.systems.story_ldm.reference import Reference
from story_ldm.systems.story_ldm.shared_attention import ConsistentAttention

from .dynamic_block_gan import DynamicBlockGANPipeline
from .output import StoryPipelineOutput
from .story_gan import StoryGANPipeline
from .story_ldm import StoryLDMPipeline

__all__ = [
    "ConsistentAttention",
    "DynamicBlockGANPipeline",
    "PromptSurgery",
    "Reference",
    "StoryGANPipeline",
    "StoryLDMPipeline",
    "StoryPipelineOutput",
]
