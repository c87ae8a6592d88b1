"""Batches of whole stories with their noise, for teacher-forced training (Eq. 8)."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler
from torch import Tensor

from story_ldm.systems.story_ldm.diffusion import StoryBatch, add_noise, stratified_timesteps
from story_ldm.training.steps import local_rows, step_generator


def draw_batch(
    accelerator: Accelerator,
    scheduler: DDPMScheduler,
    seed: int,
    step: int,
    latents: Tensor,
    ids: Tensor,
    mask: Tensor,
    states: Tensor | None = None,
    *,
    noise_draws: int,
    memory_noise: int,
    text_dropout: float,
    memory_dropout: float,
    language_dropout: float,
) -> StoryBatch:
    """This process's part of the batch with all its noise; every draw is a function of (seed, step) and made for the whole batch.

    latents (B, M, c, h, w), ids and mask (B, M, L), states (B, M, L, D) or None: of this process's stories. noise_draws: of each frame.
    memory_noise: the highest level of noise on what memory holds; half of the stories are remembered without. Dropouts: shares of the stories
    without text (and memory), without memory, and with sentences that are encoded alone."""
    generator = step_generator(seed, step)
    stories, frames, *shape = latents.shape
    stories *= accelerator.num_processes
    steps = scheduler.config.num_train_timesteps

    def coin(p: float) -> Tensor:
        return local_rows(accelerator, torch.rand(stories, generator=generator) >= p)

    device = accelerator.device
    clean = latents.to(device).float()
    noises, levels = [], []
    for _ in range(noise_draws):
        noises.append(local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator)))
        levels.append(local_rows(accelerator, stratified_timesteps(stories * frames, steps, generator).view(stories, frames)))
    noise, levels = torch.cat(noises), torch.cat(levels)
    remembered_noise = local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator))
    memory_levels = local_rows(accelerator, torch.randint(0, memory_noise + 1, (stories, frames), generator=generator))
    memory_levels = memory_levels * ~coin(0.5)[:, None]  # half of the stories are remembered as they are
    remembered = torch.where((memory_levels > 0)[..., None, None, None], add_noise(scheduler, clean, remembered_noise, memory_levels), clean)
    return StoryBatch(
        latents=clean,
        ids=ids.to(device).long(),
        mask=mask.to(device).long(),
        noisy=add_noise(scheduler, clean.repeat(noise_draws, 1, 1, 1, 1), noise, levels),
        noise=noise,
        levels=levels,
        memory_latents=remembered,
        memory_levels=memory_levels,
        use_text=coin(text_dropout),
        use_memory=coin(memory_dropout),
        use_language=coin(language_dropout),
        states=None if states is None else states.to(device).float(),
    )
