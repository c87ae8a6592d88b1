"""Progressive distillation of a Story-LDM with its guidance: one step of the student is several guided steps of the teacher.

    levels = grid(scheduler, 4)                                                  # noise levels of the student, highest first, and -1: (5,)
    end = solve(predict, scheduler, noisy, levels[n], levels[n + 1], 4)          # where four steps of the teacher lead from there
    goal = step_target(scheduler, noisy, end, levels[n], levels[n + 1])          # what the student is to predict to get there in one
    error = step_error(scheduler, prediction, goal, levels[n])                   # (B, M), for the loss

Salimans and Ho 2022 (progressive distillation), Meng et al. 2023 (of guidance). Level -1 is the clean latent.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from diffusers import DDPMScheduler
from torch import Tensor


def grid(scheduler: DDPMScheduler, steps: int) -> Tensor:
    """The noise levels of `steps` DDIM steps with trailing spacing, highest first, and -1: (steps + 1,). Raises ValueError if they are not even."""
    total = scheduler.config.num_train_timesteps
    if not 1 <= steps <= total or total % steps:
        raise ValueError(f"steps is {steps}; it must divide the {total} noise levels, as 1, 2, 4, 5 and 8 do 1000")
    return torch.arange(total, -1, -total // steps) - 1


def signal_and_noise(scheduler: DDPMScheduler, levels: Tensor, ndim: int) -> tuple[Tensor, Tensor]:
    """√ᾱ and √(1-ᾱ) of levels (B, M), with ones up to `ndim` dimensions; 1 and 0 of level -1."""
    alphas = torch.cat([scheduler.alphas_cumprod, torch.ones(1)]).to(levels.device)[levels]
    alphas = alphas[(..., *[None] * (ndim - levels.ndim))]
    return alphas.sqrt(), (1 - alphas).sqrt()


def clean_of(scheduler: DDPMScheduler, noisy: Tensor, prediction: Tensor, levels: Tensor) -> Tensor:
    """Z_0 by a prediction of the noise, or of the velocity, of latents (B, M, c, h, w) at levels (B, M)."""
    signal, noise = signal_and_noise(scheduler, levels, noisy.ndim)
    if scheduler.config.prediction_type == "epsilon":
        return (noisy - noise * prediction) / signal
    return signal * noisy - noise * prediction


def solve(predict: Callable[[Tensor, Tensor], Tensor], scheduler: DDPMScheduler, noisy: Tensor, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Latents (B, M, c, h, w) at levels `start` (B, M), brought to levels `end` in `steps` steps of DPM-Solver++(2M) (Lu et al. 2022), of which the
    first, and one to the clean latents, are of first order (DDIM). predict(noisy, levels) is the model's prediction.

    A frame whose `end` is nearer than `steps` levels takes some of them twice, which changes nothing."""
    share = torch.arange(steps + 1, device=start.device) / steps
    levels = (start[..., None] + share * (end - start)[..., None]).round().long().unbind(-1)
    clean: Tensor | None = None
    before: Tensor | None = None
    for now, then in pairwise(levels):
        last, clean = clean, clean_of(scheduler, noisy, predict(noisy, now), now)
        (signal, noise), (signal_then, noise_then) = (signal_and_noise(scheduler, level, noisy.ndim) for level in (now, then))
        kept = noise_then / noise.clamp(min=1e-8)
        direction = clean
        if last is not None and before is not None:
            step, past = log_snr(scheduler, then) - log_snr(scheduler, now), log_snr(scheduler, now) - log_snr(scheduler, before)
            ratio = torch.where((then < 0) | (past <= 0), torch.zeros_like(step), step / past.clamp(min=1e-6))[..., None, None, None]
            direction = clean + ratio / 2 * (clean - last)
        noisy = kept * noisy + (signal_then - signal * kept) * direction
        before = now
    return noisy


def log_snr(scheduler: DDPMScheduler, levels: Tensor) -> Tensor:
    """Half the logarithm of the signal-to-noise ratio, λ, of levels (B, M); of level -1 that of level 0."""
    signal, noise = signal_and_noise(scheduler, levels.clamp(min=0), levels.ndim)
    return signal.log() - noise.log()


def step_target(scheduler: DDPMScheduler, noisy: Tensor, ended: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The prediction with which one DDIM step leads from latents `noisy` (B, M, c, h, w) at levels `start` (B, M) to `ended` at levels `end`."""
    (signal, noise), (signal_end, noise_end) = (signal_and_noise(scheduler, level, noisy.ndim) for level in (start, end))
    clean = (ended - noise_end / noise * noisy) / (signal_end - signal * noise_end / noise)
    if scheduler.config.prediction_type == "epsilon":
        return (noisy - signal * clean) / noise
    return (signal * noisy - clean) / noise


def step_error(scheduler: DDPMScheduler, prediction: Tensor, goal: Tensor, levels: Tensor) -> Tensor:
    """Mean squared error (B, M) of a prediction (B, M, c, h, w) as one of the velocity: that of the noise divided by ᾱ, for at high levels a small
    error of the noise is a large one of the picture."""
    error = (prediction - goal).square().mean((2, 3, 4))
    if scheduler.config.prediction_type == "epsilon":
        return error / signal_and_noise(scheduler, levels, levels.ndim)[0].square()
    return error
