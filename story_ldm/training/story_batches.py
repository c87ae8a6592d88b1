"""Batches of stories with their noise, for the teacher-forced training of train_story_ldm.py (Make-A-Story, Eq. 8) and train_ar_ldm.py."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler
from torch import Tensor

from story_ldm.systems.ar_ldm.denoiser import HistoryBatch
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
    weight: Tensor,
    states: Tensor | None = None,
    *,
    noise_draws: int,
    memory_noise: int,
    text_dropout: float,
    memory_dropout: float,
    language_dropout: float,
) -> StoryBatch:
    """This process's share of a training batch, with its noise and dropout. Draws are made for the full batch and depend only on (seed, step).

    latents (B, M, c, h, w), ids and mask (B, M, L), weight (B, M), states (B, M, L, D) or None are those of this process's stories, all padded to
    the longest M of the full batch (`padded_frames`). noise_draws: noise draws per frame. memory_noise: highest noise level of the latents written
    into memory; half of the stories get none. text_dropout: share of stories without text and memory. memory_dropout: without memory.
    language_dropout: share whose sentences are encoded independently."""
    generator = step_generator(seed, step)
    noisy = noisy_stories(accelerator, scheduler, generator, latents, ids, mask, weight, noise_draws)
    device, clean = accelerator.device, noisy["latents"]
    stories, frames, *shape = latents.shape
    stories *= accelerator.num_processes

    def keep(p: float) -> Tensor:  # (B,) bool: False with probability p
        return local_rows(accelerator, torch.rand(stories, generator=generator) >= p)

    remembered_noise = local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator))
    memory_levels = local_rows(accelerator, torch.randint(0, memory_noise + 1, (stories, frames), generator=generator))
    memory_levels = memory_levels * ~keep(0.5)[:, None]
    remembered = torch.where((memory_levels > 0)[..., None, None, None], add_noise(scheduler, clean, remembered_noise, memory_levels), clean)
    return StoryBatch(
        **noisy,
        memory_latents=remembered,
        memory_levels=memory_levels,
        use_text=keep(text_dropout),
        use_memory=keep(memory_dropout),
        use_language=keep(language_dropout),
        states=None if states is None else states.to(device).float(),
    )


def draw_history_batch(
    accelerator: Accelerator,
    scheduler: DDPMScheduler,
    seed: int,
    step: int,
    latents: Tensor,
    ids: Tensor,
    mask: Tensor,
    weight: Tensor,
    history_ids: Tensor,
    history_mask: Tensor,
    frames: Tensor,
    *,
    noise_draws: int,
    text_dropout: float,
    history_dropout: float,
) -> HistoryBatch:
    """The same for AR-LDM. history_ids, history_mask (B, M, S): of the history encoder; frames (B, M - 1, 3, H, W): what it sees.
    text_dropout: share of frames without text and history, each by itself; history_dropout: with text and without history."""
    generator, device = step_generator(seed, step), accelerator.device
    noisy = noisy_stories(accelerator, scheduler, generator, latents, ids, mask, weight, noise_draws)
    shape = (len(latents) * accelerator.num_processes, latents.shape[1])
    use_text, use_history = (local_rows(accelerator, torch.rand(shape, generator=generator) >= p) for p in (text_dropout, history_dropout))
    return HistoryBatch(
        **noisy,
        history_ids=history_ids.to(device).long(),
        history_mask=history_mask.to(device).long(),
        frames=frames.to(device),
        use_text=use_text,
        use_history=use_history & use_text,
    )


def noisy_stories(
    accelerator: Accelerator,
    scheduler: DDPMScheduler,
    generator: torch.Generator,
    latents: Tensor,
    ids: Tensor,
    mask: Tensor,
    weight: Tensor,
    noise_draws: int,
) -> dict[str, Any]:
    """The fields of `NoisyStories`."""
    stories, frames, *shape = latents.shape
    stories *= accelerator.num_processes
    steps = scheduler.config.num_train_timesteps
    device = accelerator.device
    clean = latents.to(device).float()
    noises, noise_levels = [], []
    for _ in range(noise_draws):
        noises.append(local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator)))
        noise_levels.append(local_rows(accelerator, stratified_timesteps(stories * frames, steps, generator).view(stories, frames)))
    noise, levels = torch.cat(noises), torch.cat(noise_levels)
    return {
        "latents": clean,
        "ids": ids.to(device).long(),
        "mask": mask.to(device).long(),
        "weight": weight.to(device),
        "noisy": add_noise(scheduler, clean.repeat(noise_draws, 1, 1, 1, 1), noise, levels),
        "noise": noise,
        "levels": levels,
    }
