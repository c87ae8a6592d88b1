"""The diffusion objective of Story-LDM (Eq. 8) for train_story_ldm.py: noise levels, loss weights, one teacher-forced forward over stories."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.sentences import encode_stories
from story_ldm.encoders.xl_text import XLTextEncoder, with_size
from story_ldm.systems.story_ldm.memory_attention import StoryMemory
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel


def noise_scheduler(prediction_type: str = "v_prediction") -> DDPMScheduler:
    """DDPM with 1,000 steps of the cosine schedule (Nichol and Dhariwal 2021)."""
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type, clip_sample=False, timestep_spacing="trailing")


def stratified_timesteps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Noise levels (count,): each is uniform over 0 … steps-1, together they are evenly spaced, and their order is random."""
    offset = torch.rand((), generator=generator)
    levels = ((torch.arange(count) + offset) / count * steps).long().clamp(max=steps - 1)
    return levels[torch.randperm(count, generator=generator)]


def add_noise(scheduler: DDPMScheduler, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """Z_t of latents (B, M, c, h, w) at levels (B, M)."""
    return scheduler.add_noise(clean.flatten(0, 1), noise.flatten(0, 1), levels.flatten()).unflatten(0, levels.shape)


def target(scheduler: DDPMScheduler, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """Target of the UNet's prediction (B, M, c, h, w): the noise, or v = √ᾱ ε - √(1-ᾱ) Z_0 (Salimans and Ho 2022)."""
    if scheduler.config.prediction_type == "epsilon":
        return noise
    return scheduler.get_velocity(clean.flatten(0, 1), noise.flatten(0, 1), levels.flatten()).unflatten(0, levels.shape)


def min_snr_weights(scheduler: DDPMScheduler, levels: Tensor, gamma: float) -> Tensor:
    """Min-SNR-γ weight of each level (Hang et al. 2023): min(SNR, γ) / SNR for ε, min(SNR, γ) / (SNR + 1) for v."""
    alpha = scheduler.alphas_cumprod.to(levels.device)[levels]
    snr = alpha / (1 - alpha)
    return snr.clamp(max=gamma) / (snr if scheduler.config.prediction_type == "epsilon" else snr + 1)


@dataclass
class NoisyStories:
    """B stories of M frames, each with `draws` noise draws: what every latent diffusion model of stories is trained on."""

    latents: Tensor  # (B, M, c, h, w) clean, normalised
    ids: Tensor  # (B, M, L), of a tokenizer; (B, M, L, 2), of XL's two; (B, M, L, 1 + NGRAMS), of a reader
    mask: Tensor  # (B, M, L)
    weight: Tensor  # (B, M): of each frame in the loss, 0 for padding after a story's end (`padded_frames`)
    noisy: Tensor  # (draws * B, M, c, h, w)
    noise: Tensor  # (draws * B, M, c, h, w): the noise in `noisy`
    levels: Tensor  # (draws * B, M)

    def part(self, stories: Tensor) -> Self:
        """The part of the batch with these stories, indices (N,)."""
        stories = stories.to(self.latents.device)
        rows = torch.cat([stories + first for first in range(0, len(self.noisy), len(self.latents))])
        per_draw, values = {"noisy", "noise", "levels"}, {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{name: value[rows if name in per_draw else stories] for name, value in values.items() if value is not None})


@dataclass
class StoryBatch(NoisyStories):
    """One training batch of Story-LDM."""

    memory_latents: Tensor  # (B, M, c, h, w): the clean latents, some of them slightly noisy
    memory_levels: Tensor  # (B, M): noise levels of `memory_latents`
    use_text: Tensor  # (B,) bool; stories without text do not read memory either
    use_memory: Tensor  # (B,) bool
    use_language: Tensor  # (B,) bool
    states: Tensor | None = None  # (B, M, L, D): the text encoder's states, if it is not trained; of XL's encoders packed, (B, M, L * D + P)


def diffusion_loss(scheduler: DDPMScheduler, prediction: Tensor, batch: NoisyStories, gamma: float) -> tuple[Tensor, Tensor]:
    """Mean squared error of the prediction (draws * B, M, c, h, w), with Min-SNR-γ weights and without; padding does not count."""
    draws = len(batch.noisy) // len(batch.latents)
    clean, weight = batch.latents.repeat(draws, 1, 1, 1, 1), batch.weight.repeat(draws, 1)
    error = (prediction.float() - target(scheduler, clean, batch.noise, batch.levels)).square().mean((2, 3, 4))  # (draws * B, M)
    return (error * min_snr_weights(scheduler, batch.levels, gamma) * weight).mean(), (error * weight).mean()


class StoryDenoiser(nn.Module):
    """UNet and what reads the sentences (a reader, or text encoder, language memory and fact head) as one module: DDP and autocast need a single
    forward."""

    empty_ids: Tensor
    empty_mask: Tensor

    def __init__(
        self,
        unet: StoryUNet2DConditionModel,
        text_encoder: CLIPTextModel | XLTextEncoder | None,
        language_memory: LanguageMemory | None,
        fact_head: nn.Linear | None,
        empty_ids: Tensor,
        empty_mask: Tensor,
        reader: Reader | None = None,
        cell: int = 8,
    ):
        """cell: pixels a latent cell, of which XL's UNet is told the size of the frames."""
        super().__init__()
        self.cell = cell
        self.unet, self.text_encoder, self.language_memory, self.fact_head, self.reader = unet, text_encoder, language_memory, fact_head, reader
        self.register_buffer("empty_ids", empty_ids, persistent=False)  # (L,), (L, 2) or (L, 1 + NGRAMS): the empty sentence
        self.register_buffer("empty_mask", empty_mask, persistent=False)

    def read(self, batch: StoryBatch) -> tuple[Conditioning, Conditioning, Any]:
        """The conditioning (B, M, …), that of the empty sentence, and the logits of the facts: (B, M, F) of a fact head, a reader's by fact."""
        if self.reader is not None:
            condition, logits = self.reader(batch.ids, batch.mask)
            return condition, self.reader(self.empty_ids[None, None], self.empty_mask[None, None])[0][0, 0], logits
        assert self.text_encoder is not None
        alone, embeds = batch.states, None
        if isinstance(self.text_encoder, XLTextEncoder) and alone is not None:
            alone, embeds = self.text_encoder.unpack(alone)
        condition = encode_stories(self.text_encoder, self.language_memory, batch.ids, batch.mask, batch.use_language, alone, embeds)
        logits = None if self.fact_head is None else self.fact_head(condition.pooled)
        if isinstance(self.text_encoder, XLTextEncoder):
            empty = encode_stories(self.text_encoder, None, self.empty_ids[None, None], self.empty_mask[None, None])[0, 0]
            empty = empty.map(torch.zeros_like) if self.text_encoder.zero_empty else empty
            height, width = (side * self.cell for side in batch.latents.shape[-2:])
            return with_size(condition, height, width), with_size(empty, height, width), logits
        states = self.text_encoder(self.empty_ids[None]).last_hidden_state[0]  # (L, D)
        return condition, Conditioning(states, states[self.empty_mask.sum() - 1]), logits

    def forward(self, batch: StoryBatch) -> tuple[Tensor, Any]:
        """Predictions (draws * B, M, c, h, w), and the logits of the facts, if any."""
        condition, empty, logits = self.read(batch)
        draws = len(batch.noisy) // len(batch.latents)
        memory, positions = self.write(batch, condition)
        prediction = self.unet(batch.noisy, batch.levels, condition.where(batch.use_text, empty).repeat(draws), memory, positions).sample
        return prediction, logits

    def write(self, batch: StoryBatch, condition: Conditioning) -> tuple[StoryMemory | None, list[int]]:
        """The memory of all frames but the last, which no frame reads, for the stories that read it; and the positions of the frames."""
        positions = list(range(batch.latents.shape[1]))
        if self.unet.config.memory == "none" or len(positions) == 1:
            return None, positions
        earlier = slice(None), slice(-1)
        memory = self.unet.write(batch.memory_latents[earlier], condition[earlier], timestep=batch.memory_levels[earlier])
        memory.enabled = batch.use_memory & batch.use_text
        return memory, positions
