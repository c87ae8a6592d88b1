"""StoryLDMPipeline: sentences in, a consistent sequence of frames out.

    pipe = StoryLDMPipeline.from_pretrained("checkpoints/toon-story-ldm")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Frames are drawn one after another (Eq. 9). Each finished frame is written into the visual memory once; every diffusion step of every later frame
reads it. Stories of a batch may differ in length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm.data.stories import frames_tensor
from story_ldm.latents import decode_latents, downscale_factor, encode_frames
from story_ldm.memory_attention import StoryMemory
from story_ldm.text import LanguageMemory, encode_stories, tokenize_stories
from story_ldm.unet import StoryUNet2DConditionModel

from .output import StoryPipelineOutput

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
CALLBACK_TENSORS = ("latents", "noise_prediction")


class StoryLDMPipeline(DiffusionPipeline):
    """Story-LDM (Make-A-Story, CVPR 2023) as a diffusers pipeline; `language_memory` may be None (the paper's own form)."""

    model_cpu_offload_seq = "text_encoder->language_memory->unet->vae"
    _optional_components = ["language_memory"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: StoryUNet2DConditionModel,
        scheduler,
        language_memory: LanguageMemory | None = None,
    ):
        super().__init__()
        self.register_modules(
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler, language_memory=language_memory
        )
        self.image_processor = VaeImageProcessor()

    @classmethod
    def from_pretrained(cls, folder, **kwargs) -> StoryLDMPipeline:
        """diffusers' own, but in float32 unless `dtype` is given: weights stored in half precision would else come in two precisions."""
        if "torch_dtype" not in kwargs:  # the name that diffusers had before
            kwargs.setdefault("dtype", torch.float32)
        return super().from_pretrained(folder, **kwargs)

    @torch.no_grad()
    def __call__(
        self,
        sentences: list[str] | list[list[str]],
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 20,
        guidance_scale: float = 2.0,
        memory_guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        frames: list[Image.Image] | list[list[Image.Image]] | None = None,
        max_memory_frames: int | None = None,
        use_memory: bool = True,
        output_type: str = "pil",
        return_dict: bool = True,
        return_memory_weights: bool = False,
        callback_on_step_end: Callable[[Any, int, int, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> StoryPipelineOutput | tuple:
        """Draws one frame a sentence.

        sentences: one story or a list of stories. height, width: pixels, by default what the model was trained for.
        guidance_scale, memory_guidance_scale: e = e(∅,∅) + g (e(S,∅) - e(∅,∅)) + g_memory (e(S,memory) - e(S,∅)); by default both are one
        scale, which needs two rows a frame instead of three.
        generator: one, or one a story. latents: the starting noise, (stories, M, c, h, w). frames: pictures of each story's first frames, to go on
        from. max_memory_frames: read only so many earlier frames, those whose sentences are most relevant. use_memory: False switches the
        visual memory off. callback_on_step_end(pipe, step, timestep, tensors): steps count through all frames.

        Raises ValueError, before anything is drawn, for input that does not fit.
        """
        single, stories = self._check_sentences(sentences)
        factor = downscale_factor(self.vae)
        sample_size = self.unet.config.sample_size
        native = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
        height, width = height or native[0] * factor, width or native[1] * factor
        multiple = factor * 2**self.unet.num_upsamplers if (height, width) != (native[0] * factor, native[1] * factor) else factor
        self._check(stories, height, width, multiple, num_inference_steps, generator, latents, output_type, max_memory_frames)
        given = self._check_frames(frames, stories, single, (width, height))
        if negative_prompt is not None and not isinstance(negative_prompt, str):
            raise ValueError(f"negative_prompt is {negative_prompt!r}; it must be one string for all stories, or None")
        unknown = set(callback_on_step_end_tensor_inputs) - set(CALLBACK_TENSORS)
        if unknown:
            raise ValueError(f"callback_on_step_end_tensor_inputs has {sorted(unknown)}; there are {', '.join(CALLBACK_TENSORS)}")

        device, dtype = self._execution_device, self.unet.dtype
        states, pooled = self.encode_sentences(stories)
        negative_states, negative_pooled = (x[0, 0] for x in self.encode_sentences([[negative_prompt or ""]], alone=True))
        has_memory = use_memory and self.unet.config.memory != "none"
        memory_scale = guidance_scale if memory_guidance_scale is None else memory_guidance_scale
        lengths = [len(story) for story in stories]
        shape = (1, self.unet.config.in_channels, height // factor, width // factor)
        drawn: list[list[Tensor]] = [[] for _ in stories]
        weights = [np.zeros((n, n), np.float32) for n in lengths] if return_memory_weights else None
        memory = StoryMemory()
        rows: list[int] = list(range(len(stories)))  # the stories that memory holds
        to_draw = [[n for n, length in enumerate(lengths) if len(given[n]) <= m < length] for m in range(max(lengths))]

        with self.progress_bar(total=num_inference_steps * sum(map(bool, to_draw))) as bar:
            for m in range(max(lengths)):
                alive = [n for n in rows if lengths[n] > m]
                if len(alive) < len(rows):
                    index = torch.tensor([rows.index(n) for n in alive], device=device)
                    memory, rows = memory.rows(index) if len(memory) else memory, alive
                done: dict[int, Tensor] = {n: self._encode(given[n][m], dtype) for n in rows if m < len(given[n])}
                drawing = to_draw[m]
                if drawing:
                    generators = [generator[n] for n in drawing] if isinstance(generator, list) else generator
                    if latents is not None:
                        noise = latents[drawing, m].to(device, dtype)
                    elif isinstance(generators, list):
                        noise = torch.cat([randn_tensor(shape, g, device, dtype) for g in generators])
                    else:
                        noise = torch.cat([randn_tensor(shape, generators, device, dtype) for _ in drawing])
                    mine = memory
                    if len(memory) and has_memory:
                        mine = memory.rows(torch.tensor([rows.index(n) for n in drawing], device=device))
                        mine = self.unet.recall(mine, pooled[drawing, m], max_memory_frames)
                    x, seen = self._draw_frame(
                        noise,
                        states[drawing, m],
                        pooled[drawing, m],
                        negative_states,
                        negative_pooled,
                        mine,
                        num_inference_steps,
                        guidance_scale,
                        memory_scale,
                        generators,
                        return_memory_weights,
                        bar,
                        num_inference_steps * sum(map(bool, to_draw[:m])),
                        callback_on_step_end,
                        callback_on_step_end_tensor_inputs,
                    )
                    done |= dict(zip(drawing, x, strict=True))
                    if seen is not None:
                        for n, row, kept in zip(drawing, seen, self._positions(mine, len(drawing)), strict=True):
                            weights[n][m, kept] = row
                for n, x in done.items():
                    drawn[n].append(x)
                if has_memory and m + 1 < max(lengths):
                    clean = torch.stack([done[n] for n in rows])[:, None]  # (stories, 1, c, h, w)
                    memory.append(self.unet.write(clean, states[rows, m : m + 1], pooled[rows, m : m + 1], positions=[m]))

        finished = [self._finish(torch.stack(story), output_type) for story in drawn]
        self.maybe_free_model_hooks()
        if not return_dict:
            return (finished, weights) if return_memory_weights else (finished,)
        return StoryPipelineOutput(frames=finished, memory_weights=weights)

    def encode_sentences(self, stories: list[list[str]], alone: bool = False) -> tuple[Tensor, Tensor]:
        """States (B, M, L, D) and pooled sentences (B, M, D) of stories, the shorter ones followed by empty sentences.

        alone: without the language memory, as the empty sentence of guidance is read. Raises ValueError for a sentence that is too long."""
        longest = max(map(len, stories))
        padded = [story + [""] * (longest - len(story)) for story in stories]
        ids, mask = (x.to(self._execution_device) for x in tokenize_stories(self.tokenizer, padded))
        states, pooled = encode_stories(self.text_encoder, None if alone else self.language_memory, ids, mask)
        return states.to(self.unet.dtype), pooled.to(self.unet.dtype)

    def _draw_frame(
        self,
        x,
        states,
        pooled,
        negative_states,
        negative_pooled,
        memory,
        steps,
        scale,
        memory_scale,
        generators,
        want_weights,
        bar,
        first_step,
        callback,
        tensors,
    ) -> tuple[Tensor, np.ndarray | None]:
        """The reverse process of one frame of each story: noise (B, c, h, w) → clean latents, and who was looked at (B, K)."""
        stories = len(x)
        remembers = len(memory) > 0
        # rows of guidance: (text?, memory?) each; only the last looks at memory
        if scale <= 1 and memory_scale == scale:
            kinds = [(True, True)]
        elif memory_scale == scale or not remembers:
            kinds = [(False, False), (True, True)]
        else:
            kinds = [(False, False), (True, False), (True, True)]
        row_states = torch.cat([states if text else negative_states.expand_as(states) for text, _ in kinds])
        row_pooled = torch.cat([pooled if text else negative_pooled.expand_as(pooled) for text, _ in kinds])
        if remembers:
            memory = memory.rows(torch.arange(stories, device=x.device).repeat(len(kinds)))
            if len(kinds) > 1:
                memory.enabled = torch.tensor([reads for _, reads in kinds], device=x.device).repeat_interleave(stories)
        self.scheduler.set_timesteps(steps, device=x.device)
        x = x * self.scheduler.init_noise_sigma
        extra = {"generator": generators} if "generator" in self.scheduler.step.__code__.co_varnames else {}
        seen = []
        for k, t in enumerate(self.scheduler.timesteps):
            rows = self.scheduler.scale_model_input(torch.cat([x] * len(kinds)), t)
            out = self.unet(rows, t, row_states, row_pooled, memory=memory if remembers else None, return_memory_weights=want_weights and remembers)
            parts = out.sample.chunk(len(kinds))
            prediction = parts[0]
            if len(kinds) > 1:
                prediction = parts[0] + scale * (parts[1] - parts[0])
            if len(kinds) == 3:
                prediction = prediction + memory_scale * (parts[2] - parts[1])
            if out.memory_weights:
                seen.append(torch.stack([w[-stories:].mean((1, 2)) for w in out.memory_weights.values()]).mean(0))  # (B, K)
            x = self.scheduler.step(prediction, t, x, **extra, return_dict=False)[0]
            if callback is not None:
                now = {"latents": x, "noise_prediction": prediction}
                changed = callback(self, first_step + k, int(t), {name: now[name] for name in tensors})
                x = (changed or {}).get("latents", x)
            bar.update()
        return x, torch.stack(seen).mean(0).float().cpu().numpy() if seen else None

    def _encode(self, frame: Tensor, dtype: torch.dtype) -> Tensor:
        return encode_frames(self.vae, frame[None].to(self._execution_device)).to(dtype)[0]

    def _finish(self, latents: Tensor, output_type: str):
        if output_type == "latent":
            return latents
        frames = torch.cat([decode_latents(self.vae, frame[None]) for frame in latents])  # one by one: the same bits for any story length
        return self.image_processor.postprocess(frames, output_type=output_type)

    @staticmethod
    def _positions(memory: StoryMemory, stories: int) -> list[list[int]]:
        return [memory.positions] * stories if memory.kept is None else memory.kept.tolist()

    @staticmethod
    def _check_sentences(sentences) -> tuple[bool, list[list[str]]]:
        if not isinstance(sentences, (list, tuple)) or not sentences:
            raise ValueError(f"sentences is {sentences!r}; it must be a list of sentences, or a list of such lists")
        single = not isinstance(sentences[0], (list, tuple))
        stories = [list(sentences)] if single else [list(story) if isinstance(story, (list, tuple)) else story for story in sentences]
        for n, story in enumerate(stories):
            if not isinstance(story, list) or not story:
                raise ValueError(f"story {n} is {story!r}; every story must be a list of at least one sentence")
            for m, sentence in enumerate(story):
                if not isinstance(sentence, str) or not sentence.strip():
                    raise ValueError(f"sentence {m} of story {n} is {sentence!r}; it must be a string that is not empty")
        return single, stories

    @staticmethod
    def _check_frames(frames, stories: list[list[str]], single: bool, size: tuple[int, int]) -> list[Tensor]:
        """Given first frames as tensors (K, 3, H, W), K = 0 for a story without."""
        if frames is None:
            return [torch.zeros(0)] * len(stories)
        frames = [frames] if single else frames
        if not isinstance(frames, (list, tuple)) or len(frames) != len(stories):
            raise ValueError(f"frames must be a list with an entry for each of the {len(stories)} stories")
        for n, (pictures, story) in enumerate(zip(frames, stories, strict=True)):
            if not isinstance(pictures, (list, tuple)) or not all(isinstance(picture, Image.Image) for picture in pictures):
                raise ValueError(f"frames of story {n} must be PIL pictures in a list, not {pictures!r}")
            if len(pictures) > len(story):
                raise ValueError(f"story {n} is given {len(pictures)} frames for {len(story)} sentences; there may not be more")
            if any(picture.size != size for picture in pictures):
                raise ValueError(f"frames of story {n} have the sizes {[p.size for p in pictures]}; it is drawn at {size}")
        return [frames_tensor(pictures) if pictures else torch.zeros(0) for pictures in frames]

    def _check(self, stories, height, width, multiple, steps, generator, latents, output_type, max_memory_frames) -> None:
        for name, value in (("height", height), ("width", width)):
            if value < 1 or value % multiple:
                raise ValueError(f"{name} is {value}; it must be positive and divisible by {multiple}")
        if steps < 1:
            raise ValueError(f"num_inference_steps is {steps}; it must be at least 1")
        if isinstance(generator, list) and len(generator) != len(stories):
            raise ValueError(f"generator is a list of {len(generator)} for {len(stories)} stories; give one, or one a story")
        factor = downscale_factor(self.vae)
        shape = (len(stories), max(map(len, stories)), self.unet.config.in_channels, height // factor, width // factor)
        if latents is not None and tuple(latents.shape) != shape:
            raise ValueError(f"latents have the shape {tuple(latents.shape)}; these stories need {shape}")
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type is {output_type!r}; it must be one of {', '.join(OUTPUT_TYPES)}")
        if max_memory_frames is not None and max_memory_frames < 1:
            raise ValueError(f"max_memory_frames is {max_memory_frames}; it must be at least 1, or None for all")
