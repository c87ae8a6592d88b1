"""StoryGANPipeline: sentences in, frames out, by StoryGAN or one of its reductions.

    pipe = StoryGANPipeline.from_pretrained("runs/story-gan/pipeline")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Stories may have any length, also different ones in a batch. All frames of a story are drawn at once; its noise is drawn first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from story_ldm.encoders.sentence_vectors import story_vectors
from story_ldm.systems.story_gan.networks import StoryGAN

from .checks import check_tensor
from .gan import FRAMES_AT_ONCE, GANPipeline, normal
from .output import StoryPipelineOutput


class StoryGANPipeline(GANPipeline):
    """StoryGAN (CVPR 2019) as a diffusers pipeline. text_encoder: a DAMSM text encoder, or an encoder model of transformers."""

    model_cpu_offload_seq = "text_encoder->story_gan"

    def __init__(self, story_gan: StoryGAN, text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase):
        super().__init__()
        self.register_modules(story_gan=story_gan, text_encoder=text_encoder, tokenizer=tokenizer)

    @torch.no_grad()
    def __call__(
        self,
        sentences: list[str] | list[list[str]],
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: tuple[Tensor, Tensor, Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> StoryPipelineOutput | tuple:
        """Draws one frame a sentence.

        sentences: one story or a list of stories. generator: one, or one a story. latents: the noise itself, as `StoryGAN.draw_noise` makes it:
        ε_S and g_0 (stories, H) and ε (stories, M, Z), M of the longest story. output_type: "pil", "np" or "pt".

        Raises ValueError, before anything is drawn, for input that does not fit.
        """
        stories, generators = self.checked(sentences, generator, output_type, return_dict)
        gan, device = self.story_gan, self._execution_device
        lengths = [len(story) for story in stories]
        if latents is not None:
            code_shape, frame_shape = (len(stories), gan.config.width), (len(stories), max(lengths), gan.config.noise_width)
            if not isinstance(latents, (list, tuple)) or len(latents) != 3 or not all(isinstance(x, Tensor) for x in latents):
                raise ValueError(f"latents is {latents!r}; it must be three tensors, as draw_noise makes them")
            shapes = [tuple(x.shape) for x in latents]
            if shapes != [code_shape, code_shape, frame_shape]:
                raise ValueError(f"latents have the shapes {shapes}; these stories need {[code_shape, code_shape, frame_shape]}")
            for x in latents:
                check_tensor("latents", x, x.shape)
        vectors, mask = (x.to(device) for x in story_vectors(self.text_encoder, self.tokenizer, stories))
        noise = self.draw_noise(lengths, generators) if latents is None else latents
        story_noise, state_noise, frame_noise = (x.to(device) for x in noise)
        code, _, _ = gan.encode_story(vectors, story_noise, mask)
        gists = gan.gists(vectors, code, state_noise, frame_noise)[mask]  # (frames of all stories, G)
        return self.finished([gan.draw(part) for part in gists.split(FRAMES_AT_ONCE)], lengths, output_type, return_dict)

    def draw_noise(self, lengths: list[int], generators: list[torch.Generator | None]) -> tuple[Tensor, ...]:
        """ε_S, g_0 and ε_1 … ε_M of each story, story by story and frame by frame: a longer story begins with the noise of a shorter one."""
        drawn, config = [], self.story_gan.config
        for length, own in zip(lengths, generators, strict=True):
            story, state = (normal(config.width, own) for _ in range(2))
            frames = [normal(config.noise_width, own) for _ in range(length)]
            frames += [torch.zeros_like(frames[0])] * (max(lengths) - length)
            drawn.append((story, state, torch.stack(frames)))
        return tuple(torch.stack(part) for part in zip(*drawn, strict=True))
