"""DynamicBlockGANPipeline: sentences in, frames out, by the dynamic-block GAN or one of its ablations.

    pipe = DynamicBlockGANPipeline.from_pretrained("runs/dynamic-block-gan/pipeline")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Stories may have any length, also different ones in a batch. Each dynamic block chooses one attention for each frame (Eq. 3), without noise.
No later sentence is used: a longer story begins with the frames of a shorter one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from story_ldm.encoders.sentence_vectors import by_story, read_words, tokens_of
from story_ldm.systems.dynamic_block_gan.networks import DynamicBlockGAN

from .checks import check_tensor
from .gan import FRAMES_AT_ONCE, GANPipeline, normal
from .output import StoryPipelineOutput


class DynamicBlockGANPipeline(GANPipeline):
    """The dynamic-block GAN (EMNLP 2022) as a diffusers pipeline. text_encoder: a DAMSM text encoder, or an encoder model of transformers."""

    model_cpu_offload_seq = "text_encoder->dynamic_block_gan"

    def __init__(self, dynamic_block_gan: DynamicBlockGAN, text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase):
        super().__init__()
        self.register_modules(dynamic_block_gan=dynamic_block_gan, text_encoder=text_encoder, tokenizer=tokenizer)

    @torch.no_grad()
    def __call__(
        self,
        sentences: list[str] | list[list[str]],
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> StoryPipelineOutput | tuple:
        """Draws one frame a sentence.

        sentences: one story or a list of stories. generator: one, or one a story. latents: the noise itself, z (stories, Z), shared by all frames
        of a story. output_type: "pil", "np" or "pt".

        Raises ValueError, before anything is drawn, for input that does not fit.
        """
        stories, generators = self.checked(sentences, generator, output_type, return_dict)
        gan, device = self.dynamic_block_gan, self._execution_device
        shape = (len(stories), gan.config.noise_width)
        if isinstance(latents, Tensor) and tuple(latents.shape) != shape:
            raise ValueError(f"latents has the shape {tuple(latents.shape)}; these stories need {shape}")
        if latents is not None:
            check_tensor("latents", latents, shape)
        noise = torch.stack([normal(shape[1], own) for own in generators]) if latents is None else latents
        lengths = [len(story) for story in stories]
        ids, mask = tokens_of(self.text_encoder, self.tokenizer, [sentence for story in stories for sentence in story])
        words, vectors = (x.to(device) for x in read_words(self.text_encoder, ids, mask))  # (F, L, D), (F, D)
        padded, there = by_story(vectors, lengths)
        entries = gan.entries(padded, noise.to(device))[there]  # (F, E)
        parts = (x.split(FRAMES_AT_ONCE) for x in (entries, words, mask.bool().to(device)))
        return self.finished([gan.draw(*part)[0] for part in zip(*parts, strict=True)], lengths, output_type, return_dict)
