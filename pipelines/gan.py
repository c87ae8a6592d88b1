"""Base class of the GANs' pipelines."""

from __future__ import annotations

import torch
from diffusers.image_processor import VaeImageProcessor
from torch import Tensor

from .base import StoryPipeline
from .checks import check_drawn, check_flags, check_generator, check_output_type, check_sentences
from .output import StoryPipelineOutput

OUTPUT_TYPES = ("pil", "np", "pt")
FRAMES_AT_ONCE = 64  # a story of 50 frames needs no more memory than a few short ones


class GANPipeline(StoryPipeline):
    """Checks input before anything is drawn, and returns frames as every pipeline of this project."""

    def __init__(self):
        super().__init__()
        self.image_processor = VaeImageProcessor()

    def checked(self, sentences, generator, output_type: str, return_dict: bool) -> tuple[list[list[str]], list[torch.Generator | None]]:
        """The stories, and a generator for each."""
        _, stories = check_sentences(sentences)
        check_generator(generator, len(stories))
        check_output_type(output_type, OUTPUT_TYPES)
        check_flags(return_dict=return_dict)
        return stories, generator if isinstance(generator, list) else [generator] * len(stories)

    def finished(self, drawn: list[Tensor], lengths: list[int], output_type: str, return_dict: bool) -> StoryPipelineOutput | tuple:
        """The output. drawn: frames of all stories in order, in parts (F, 3, H, W) in [-1, 1]. lengths: of the stories."""
        stories = torch.cat(drawn).float().split(lengths)
        check_drawn(torch.cat(stories))
        finished = [self.image_processor.postprocess(frames, output_type=output_type) for frames in stories]
        self.maybe_free_model_hooks()
        return StoryPipelineOutput(frames=finished) if return_dict else (finished,)


def normal(width: int, generator: torch.Generator | None) -> Tensor:
    """N(0, I) on the CPU, drawn on the generator's device."""
    return torch.randn(width, generator=generator, device=generator.device if generator is not None else None).cpu()
