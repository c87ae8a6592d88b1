"""One call, one output type: sentences in, frames out."""

from .dynamic_block_gan import DynamicBlockGANPipeline
from .output import StoryPipelineOutput
from .story_gan import StoryGANPipeline
from .story_ldm import StoryLDMPipeline

__all__ = ["DynamicBlockGANPipeline", "StoryGANPipeline", "StoryLDMPipeline", "StoryPipelineOutput"]
