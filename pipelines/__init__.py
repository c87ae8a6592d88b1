"""One call, one output type: sentences in, frames out."""

from .output import StoryPipelineOutput
from .story_ldm import StoryLDMPipeline

__all__ = ["StoryLDMPipeline", "StoryPipelineOutput"]
