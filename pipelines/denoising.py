"""The reverse process of one frame: rows of guidance, the scheduler's steps, and what callbacks change on the way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.systems.story_ldm.memory_attention import PreparedMemory, StoryMemory

from .conventions import DiffusersConventions, changed_embeds
from .pictures import Control, begun
from .without_training import Reader


class Denoising(DiffusersConventions):
    @torch.no_grad()
    def draw_frame(
        self,
        noise: Tensor,
        condition: Conditioning,
        negative: Conditioning,
        memory: StoryMemory,
        *,
        num_inference_steps: int,
        guidance_scale: float,
        memory_guidance_scale: float,
        generators: torch.Generator | list[torch.Generator] | None = None,
        return_memory_weights: bool = False,
        on_step: Callable[[int, Tensor, dict[str, Tensor]], dict[str, Tensor]] = lambda index, timestep, tensors: {},
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        eta: float = 0.0,
        reader: Reader | None = None,
        control: Control | None = None,
        sketch: Tensor | None = None,
        begin: int = 0,
    ) -> tuple[Tensor, np.ndarray | None]:
        """The reverse process of one frame of each story: noise (B, c, h, w) → clean latents (B, c, h, w) and memory weights (B, K).

        condition: (B, …), of these frames. negative: of the empty or negative sentence, (B, …) or without leading dimensions. memory: the K earlier
        frames to read; it may be empty. on_step(index, timestep, tensors) returns those of the callback's tensors that it changed. reader: what reads
        earlier frames without training. control: what ControlNets add. sketch (B, c, h, w): latents from which the frames are drawn instead of from
        noise alone, without the scheduler's first `begin` calls. The weights are None unless requested, and if memory is empty.
        """
        stories = len(noise)
        self._guidance_scale = guidance_scale
        kinds, embedded = self._guidance(guidance_scale, memory_guidance_scale, len(memory) > 0, noise)
        prepared = self.unet.prepare(memory, condition.pooled) if len(memory) else None
        rows, reading = self._rows(kinds, condition, negative, prepared, stories)
        self._set_timesteps(num_inference_steps, timesteps, sigmas, noise.device)
        x = noise * self.scheduler.init_noise_sigma if sketch is None else begun(self.scheduler, sketch, noise, begin)
        times = self.scheduler.timesteps[begin:]
        self._num_timesteps = len(times)
        extra = self._step_options(eta)
        if "generator" in inspect.signature(self.scheduler.step).parameters:
            extra["generator"] = generators
        options, weights = self._attention_options(), return_memory_weights and prepared is not None
        step_weights = []
        for i, t in enumerate(times, begin):
            if self._interrupt:  # while other stories of the same call were drawn
                break
            model_input = self.scheduler.scale_model_input(torch.cat([x] * len(kinds)), t)
            if reader is not None:
                reader.before_step(i, len(kinds))
            residuals = {} if control is None else control.residuals(i - begin, len(times), model_input, t, rows, len(kinds))
            sample, *more = self.unet(
                model_input,
                t,
                rows,
                memory=reading,
                return_memory_weights=weights,
                timestep_cond=embedded,
                cross_attention_kwargs=options,
                return_dict=False,
                **residuals,
            )
            parts = sample.chunk(len(kinds))
            prediction = guided(parts, guidance_scale, memory_guidance_scale, self._guidance_rescale)
            if reader is not None:
                prediction = reader.after_step(t, model_input[:stories], prediction)
            if weights:
                step_weights.append(torch.stack([w.mean((1, 2)) for w in more[0].values()]).mean(0))  # (R, K)
            x = self.scheduler.step(prediction, t, x, **extra, return_dict=False)[0]
            tensors = {"latents": x, "noise_prediction": prediction, "prompt_embeds": condition.states, "negative_prompt_embeds": negative.states}
            changed = on_step(i, t, tensors)
            x = changed.get("latents", x)
            cut = self._guidance_scale != guidance_scale
            if cut:
                guidance_scale = memory_guidance_scale = self._guidance_scale
            states = changed_embeds("prompt_embeds", condition.states, changed, cut)
            without = changed_embeds("negative_prompt_embeds", negative.states, changed, cut)
            if cut or states is not condition.states or without is not negative.states:
                condition, negative = replace(condition, states=states), replace(negative, states=without)
                kinds, embedded = self._guidance(guidance_scale, memory_guidance_scale, len(memory) > 0, noise)
                rows, reading = self._rows(kinds, condition, negative, prepared, stories)
            if self._interrupt:
                break
        if prepared is None or not step_weights:
            return x, None
        read = torch.stack(step_weights).mean(0)
        all_weights = read.new_zeros(stories, read.shape[1]).index_add(0, prepared.rows, read)  # zeros of stories that read nothing
        return x, all_weights.float().cpu().numpy()

    def _guidance(self, guidance_scale: float, memory_guidance_scale: float, has_memory: bool, like: Tensor) -> tuple[list[bool], Tensor | None]:
        """The UNet's rows (`guidance_rows`). A distilled one (LCM, Luo et al. 2023) reads the guidance instead, embedded (1, width), with one row."""
        width = self.unet.config.time_cond_proj_dim
        if width is None:
            return guidance_rows(guidance_scale, memory_guidance_scale, has_memory), None
        scale = torch.tensor([guidance_scale - 1.0])
        from diffusers import StableDiffusionPipeline

        return [True], StableDiffusionPipeline.get_guidance_scale_embedding(self, scale, width).to(like)

    @staticmethod
    def _rows(
        kinds: list[bool], condition: Conditioning, negative: Conditioning, memory: PreparedMemory | None, stories: int
    ) -> tuple[Conditioning, PreparedMemory | None]:
        """Conditioning and memory of the UNet's rows, all stories of one kind after those of another; the last ones read."""
        without_text = negative if negative.states.ndim == 3 else negative.map(lambda y: y.expand(stories, *y.shape))
        rows = Conditioning.cat([condition if text else without_text for text in kinds])
        return rows, None if memory is None else memory.after((len(kinds) - 1) * stories)

    def _attention_options(self) -> dict[str, Any] | None:
        """A copy: diffusers takes the LoRA's scale out of it."""
        return None if self._cross_attention_kwargs is None else dict(self._cross_attention_kwargs)


def guided(parts: Sequence[Tensor], guidance_scale: float, memory_guidance_scale: float, rescale: float) -> Tensor:
    """The prediction of those of a frame's rows, in the order of `guidance_rows`."""
    prediction = parts[0]
    if len(parts) > 1:
        prediction = parts[0] + guidance_scale * (parts[1] - parts[0])
    if len(parts) == 3:
        prediction = prediction + memory_guidance_scale * (parts[2] - parts[1])
    if len(parts) > 1 and rescale > 0:
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

        prediction = rescale_noise_cfg(prediction, parts[-1], rescale)
    return prediction


def guidance_rows(guidance_scale: float, memory_guidance_scale: float, has_memory: bool) -> list[bool]:
    """The UNet's rows for one frame: which of them have text. Only the last one reads memory."""
    if guidance_scale <= 1 and memory_guidance_scale == guidance_scale:
        return [True]
    if memory_guidance_scale == guidance_scale or not has_memory:
        return [False, True]
    return [False, True, True]
