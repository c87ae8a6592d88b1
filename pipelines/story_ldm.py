"""StoryLDMPipeline: sentences in, a consistent sequence of frames out.

    pipe = StoryLDMPipeline.from_pretrained("checkpoints/toon-story-ldm")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Frames are drawn in order (Eq. 9). Each finished frame is written into the visual memory once and read at every diffusion step of all later frames.
Stories of a batch may differ in length. With a Stable Diffusion and a memory adapter trained for its shape:

    pipe = StoryLDMPipeline.from_stable_diffusion("folder or hub name", memory_adapter="runs/adapter/adapter")
    pipe.load_lora_weights("a LoRA for that Stable Diffusion")

This file has over 350 lines because the arguments of a call, with what each means, are a quarter of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, SchedulerMixin, StableDiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import scale_lora_layers, unscale_lora_layers
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

import story_ldm.encoders.autoencoder  # noqa: F401  diffusers finds component classes in imported modules only
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.sentences import encode_stories, tokenize_stories
from story_ldm.systems.story_ldm.memory_adapter import (
    ADAPTER,
    check_stable_diffusion,
    load_memory_adapter,
    open_stable_diffusion,
    save_memory_adapter,
)
from story_ldm.systems.story_ldm.memory_attention import StoryMemory
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

from .base import hub_folder
from .checks import (
    check_count,
    check_drawn,
    check_flags,
    check_frames,
    check_number,
    check_output_type,
    check_sentences,
    check_tensor,
)
from .conventions import refuse
from .denoising import Denoising
from .noise import FrameNoise
from .output import StoryPipelineOutput

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


class StoryLDMPipeline(Denoising):
    """Story-LDM (Make-A-Story, CVPR 2023) as a diffusers pipeline. What reads the sentences is a `reader`, or a `text_encoder` with its `tokenizer`
    and, except in the paper's form, a `language_memory`.

    LoRAs for the underlying Stable Diffusion are loaded, weighted and fused with diffusers' methods (`load_lora_weights`, …)."""

    model_cpu_offload_seq = "text_encoder->language_memory->reader->unet->vae"
    _optional_components = ["text_encoder", "tokenizer", "language_memory", "reader"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel | None,
        tokenizer: CLIPTokenizer | None,
        unet: StoryUNet2DConditionModel,
        scheduler: SchedulerMixin,
        language_memory: LanguageMemory | None = None,
        reader: Reader | None = None,
    ):
        super().__init__()
        if (reader is None) != (text_encoder is not None and tokenizer is not None):
            raise ValueError("a story pipeline needs a reader, or a text_encoder and a tokenizer, and not both")
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            language_memory=language_memory,
            reader=reader,
        )
        self.image_processor = VaeImageProcessor()

    @classmethod
    def from_stable_diffusion(
        cls, sd: str | Path | StableDiffusionPipeline, memory_adapter: str | Path | None = None, **kwargs: Any
    ) -> StoryLDMPipeline:
        """A story pipeline from a Stable Diffusion and a memory adapter; without an adapter each frame is drawn alone.

        sd: folder, hub name, or an open pipeline, whose components are shared except for the UNet. kwargs: those of `from_pretrained`.
        Raises ValueError if the Stable Diffusion or the adapter does not fit."""
        if isinstance(sd, StableDiffusionPipeline):
            check_stable_diffusion(sd.unet.config, "the open pipeline")
            if getattr(sd.unet, "peft_config", None):
                raise ValueError(f"the UNet has the LoRAs {list(sd.unet.peft_config)}; it must have none: fuse them, or load them afterwards")
        else:
            sd = open_stable_diffusion(sd, **kwargs)
        unet = StoryUNet2DConditionModel.from_unet(sd.unet, memory="none")
        pipe = cls(sd.vae, sd.text_encoder, sd.tokenizer, unet, sd.scheduler)
        if memory_adapter is not None:
            pipe.load_memory_adapter(memory_adapter)
        return pipe

    def load_memory_adapter(self, memory_adapter: str | Path, **hub: Any) -> None:
        """Replace memory layers and language memory by those of an adapter: a folder, a file, or `owner/name` of the Hugging Face hub, with `hub`
        (revision, token, cache_dir, local_files_only). Raises ValueError if it does not fit the UNet, OSError if the hub has none."""
        folder = hub_folder(memory_adapter, "a memory adapter", [ADAPTER], **hub) or memory_adapter
        self.register_modules(language_memory=load_memory_adapter(folder, self.unet, self.scheduler.config.get("prediction_type")))

    def save_memory_adapter(self, folder: str | Path, dtype: torch.dtype | None = None, **facts: Any) -> Path:
        """Save memory layers and language memory as a memory adapter with a card; both include `facts` (JSON). Returns the file."""
        facts = {"prediction_type": self.scheduler.config.prediction_type, **facts}
        return save_memory_adapter(folder, self.unet, self.language_memory, dtype, **facts)

    @torch.no_grad()
    def __call__(
        self,
        sentences: list[str] | list[list[str]] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 20,
        guidance_scale: float = 2.0,
        memory_guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        frames: list[Image.Image] | Tensor | list[list[Image.Image] | Tensor] | None = None,
        max_memory_frames: int | None = None,
        use_memory: bool = True,
        output_type: str = "pil",
        return_dict: bool = True,
        return_memory_weights: bool = False,
        callback_on_step_end: Callable[[Any, int, Any, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] | list[str] = ("latents",),
        *,
        seeds: list[int] | list[list[int]] | None = None,
        num_images_per_prompt: int = 1,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        eta: float = 0.0,
        guidance_rescale: float = 0.0,
        clip_skip: int | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        **refused: Any,
    ) -> StoryPipelineOutput | tuple:
        """Draw one frame for each sentence.

        sentences: one story or a list of stories. height, width: pixels, by default the training resolution.
        guidance_scale, memory_guidance_scale: e = e(∅,∅) + g (e(S,∅) - e(∅,∅)) + g_memory (e(S,memory) - e(S,∅)); by default both are equal,
        which needs two UNet rows per frame, not three.
        generator: one, or a list with one per story. Frame 0 draws its noise from it, frame m ≥ 1 from one seeded by its initial seed and m, so a
        frame that is drawn again after the same frames is the same picture. seeds: one a frame instead, or a list for each story.
        latents: the initial noise (stories, M, c, h, w). frames: the first frames of each story, to be continued: PIL images, or their latents
        (K, c, h, w) as output_type "latent" gives them, after which the rest is drawn bit for bit as in one call. max_memory_frames: read at most
        this many earlier frames, those with the most relevant sentences.
        use_memory: False disables the visual memory. callback_on_step_end(pipe, step, timestep, tensors): `step` counts over all frames; for
        diffusers' callback objects (SDCFGCutoffCallback, …) within each frame. It may return changed latents, prompt_embeds (stories, L, D) and
        negative_prompt_embeds (L, D).
        num_images_per_prompt: draw each story so often, one after another; noise, generators and frames are then one for each drawing.
        timesteps, sigmas, eta, guidance_rescale, clip_skip, cross_attention_kwargs: as in diffusers' Stable Diffusion.
        prompt_embeds, …: what `encode_prompt` returns, instead of sentences.

        Raises ValueError for invalid input, before any frame is drawn.
        """
        refuse(refused)
        check_flags(use_memory=use_memory, return_dict=return_dict, return_memory_weights=return_memory_weights)
        check_count("num_images_per_prompt", num_images_per_prompt)
        single, stories = False, list[list[str]]()
        if prompt_embeds is None:
            if pooled_prompt_embeds is not None:
                raise ValueError("pooled_prompt_embeds is given without prompt_embeds")
            single, stories = check_sentences(sentences)
            stories = [story for story in stories for _ in range(num_images_per_prompt)]
            lengths = [len(story) for story in stories]
        else:
            if sentences is not None:
                raise ValueError("sentences and prompt_embeds are both given; give one of them")
            lengths = self._check_embeds(prompt_embeds, pooled_prompt_embeds, num_images_per_prompt)
        self._check_text(negative_prompt, negative_prompt_embeds, negative_pooled_prompt_embeds, clip_skip, prompt_embeds is not None)
        factor = downscale_factor(self.vae)
        height, width = self._check_size(height, width, factor)
        check_count("num_inference_steps", num_inference_steps, self.scheduler.config.get("num_train_timesteps"))
        for name, value in (("guidance_scale", guidance_scale), ("eta", eta), ("guidance_rescale", guidance_rescale)):
            check_number(name, value)
        if memory_guidance_scale is not None:
            check_number("memory_guidance_scale", memory_guidance_scale)
        if max_memory_frames is not None:
            check_count("max_memory_frames", max_memory_frames)
        if cross_attention_kwargs is not None and not isinstance(cross_attention_kwargs, dict):
            raise ValueError(f"cross_attention_kwargs is {cross_attention_kwargs!r}; it must be a dict, or None")
        lora_scale = (cross_attention_kwargs or {}).get("scale")
        if lora_scale is not None:
            check_number("scale of cross_attention_kwargs", lora_scale)
        noise_of = FrameNoise(generator, seeds, lengths)
        shape = (self.unet.config.in_channels, height // factor, width // factor)
        if latents is not None:
            check_tensor("latents", latents, (len(lengths), max(lengths), *shape))
        check_output_type(output_type, OUTPUT_TYPES)
        given_frames = check_frames(frames, lengths[::num_images_per_prompt], single, (width, height), shape)
        official, callback_tensors = self._official(callback_on_step_end, callback_on_step_end_tensor_inputs)
        self._step_options(eta)
        ends = self._set_timesteps(num_inference_steps, timesteps, sigmas)

        self._guidance_scale, self._guidance_rescale, self._clip_skip = guidance_scale, guidance_rescale, clip_skip
        self._cross_attention_kwargs, self._interrupt = cross_attention_kwargs, False
        device, dtype = self._execution_device, self.unet.dtype
        if prompt_embeds is None:
            condition = self.encode_sentences(stories, clip_skip=clip_skip, lora_scale=lora_scale)
        else:
            given = Conditioning(prompt_embeds, pooled_prompt_embeds).to(device, dtype)
            condition = given.map(lambda x: x.repeat_interleave(num_images_per_prompt, 0))
        if negative_prompt_embeds is None:
            negative = self.encode_sentences([[negative_prompt or ""]], alone=True, lora_scale=lora_scale)[0, 0]
        else:
            negative = Conditioning(negative_prompt_embeds, negative_pooled_prompt_embeds).to(device, dtype)
        if negative.states.shape != condition.states.shape[2:]:
            shapes = f"{tuple(negative.states.shape)}, those of the sentences {tuple(condition.states.shape[2:])}"
            raise ValueError(f"negative_prompt_embeds have the shape {shapes}; they must have the same")
        if not self._needs_pooled:
            condition, negative = replace(condition, pooled=None), replace(negative, pooled=None)
        first_frames = [self._latents(story, dtype) for story in given_frames for _ in range(num_images_per_prompt)]
        has_memory = use_memory and self.unet.config.memory != "none"
        drawn: list[list[Tensor]] = [[] for _ in lengths]
        weights = [np.zeros((n, n), np.float32) for n in lengths] if return_memory_weights else None
        memory = StoryMemory()
        rows = list(range(len(lengths)))  # the stories in memory
        to_draw = [[n for n, length in enumerate(lengths) if len(first_frames[n]) <= m < length] for m in range(max(lengths))]
        step = 0  # counts over all frames

        def on_step(index: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            nonlocal step
            changed = None
            if callback_on_step_end is not None:
                asked = {name: tensors[name] for name in callback_tensors}
                changed = callback_on_step_end(self, index if official else step, timestep, asked)
            step += 1
            if index in ends:
                bar.update()
            return changed or {}

        with self.progress_bar(total=len(ends) * sum(map(bool, to_draw))) as bar:
            for m in range(max(lengths)):
                unfinished = [n for n in rows if lengths[n] > m]
                if len(unfinished) < len(rows):
                    index = torch.tensor([rows.index(n) for n in unfinished], device=device)
                    memory, rows = memory.rows(index) if len(memory) else memory, unfinished
                clean: dict[int, Tensor] = {n: first_frames[n][m] for n in rows if m < len(first_frames[n])}
                drawing = to_draw[m]
                if drawing:
                    generators = noise_of.generators(drawing, m)
                    if latents is not None:
                        noise = latents[drawing, m].to(device, dtype)
                    else:
                        noise = noise_of.draw(generators, len(drawing), shape, device, dtype)
                    readable = memory
                    if len(memory) and has_memory:
                        readable = memory.rows(torch.tensor([rows.index(n) for n in drawing], device=device))
                        readable = self.unet.recall(readable, condition[drawing, m].pooled, max_memory_frames)
                    x, frame_weights = self.draw_frame(
                        noise,
                        condition[drawing, m],
                        negative,
                        readable,
                        num_inference_steps=num_inference_steps,
                        guidance_scale=guidance_scale,
                        memory_guidance_scale=guidance_scale if memory_guidance_scale is None else memory_guidance_scale,
                        generators=generators,
                        return_memory_weights=return_memory_weights,
                        on_step=on_step,
                        timesteps=timesteps,
                        sigmas=sigmas,
                        eta=eta,
                    )
                    clean |= dict(zip(drawing, x, strict=True))
                    if weights is not None and frame_weights is not None:
                        for n, row, positions in zip(drawing, frame_weights, self._positions(readable, len(drawing)), strict=True):
                            weights[n][m, positions] = row
                for n, x in clean.items():
                    drawn[n].append(x)
                if self._interrupt:
                    break
                if has_memory and m + 1 < max(lengths):
                    frame = torch.stack([clean[n] for n in rows])[:, None]  # (stories, 1, c, h, w)
                    written = self.unet.write(frame, condition[rows, m : m + 1], positions=[m], cross_attention_kwargs=self._attention_options())
                    memory.append(written)

        finished = [self._finish(torch.stack(story), output_type) for story in drawn]
        self.maybe_free_model_hooks()
        if not return_dict:
            return (finished, weights) if return_memory_weights else (finished,)
        return StoryPipelineOutput(frames=finished, memory_weights=weights)

    def understand(self, sentences: list[str] | list[list[str]]) -> list[Any]:
        """What the reader understands of each sentence: a list of `UnderstoodFrame` for one story, a list of such lists for several.

        Raises ValueError if the pipeline has no reader, or one that cannot say, and if a sentence is too long."""
        single, stories = check_sentences(sentences)
        if self.reader is None:
            raise ValueError("this pipeline has a text encoder instead of a reader, and cannot say what it understood")
        understood = self.reader.understand(stories, self._execution_device)
        return understood[0] if single else understood

    @torch.no_grad()
    def encode_prompt(
        self,
        sentences: list[str] | list[list[str]],
        negative_prompt: str | None = None,
        lora_scale: float | None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """What the UNet reads of stories, to be given to a call under the same names: prompt_embeds (B, M, L, D), negative_prompt_embeds (L, D),
        pooled_prompt_embeds (B, M, D), negative_pooled_prompt_embeds (D,). Shorter stories are padded with empty sentences.

        lora_scale: of the text encoder's LoRAs. Raises ValueError for invalid input."""
        _, stories = check_sentences(sentences)
        self._check_text(negative_prompt, None, None, clip_skip, False)
        condition = self.encode_sentences(stories, clip_skip=clip_skip, lora_scale=lora_scale)
        negative = self.encode_sentences([[negative_prompt or ""]], alone=True, lora_scale=lora_scale)[0, 0]
        prompt_embeds, pooled_prompt_embeds = condition.states, condition.pooled
        negative_prompt_embeds, negative_pooled_prompt_embeds = negative.states, negative.pooled
        return prompt_embeds, negative_prompt_embeds, pooled_prompt_embeds, negative_pooled_prompt_embeds

    def encode_sentences(
        self, stories: list[list[str]], alone: bool = False, clip_skip: int | None = None, lora_scale: float | None = None
    ) -> Conditioning:
        """The conditioning (B, M, …) of stories; shorter stories are padded with empty sentences.

        alone: skip the language memory, as for the empty sentence of guidance. clip_skip: layers of the text encoder to leave out. lora_scale: of
        its LoRAs. Raises ValueError if a sentence is too long."""
        device, dtype = self._execution_device, self.unet.dtype
        if self.reader is not None:
            condition, _ = self.reader(*(x.to(device) for x in self.reader.tokenize(stories)))
            return condition.to(dtype=dtype)
        longest = max(map(len, stories))
        padded = [story + [""] * (longest - len(story)) for story in stories]
        ids, mask = (x.to(device) for x in tokenize_stories(self.tokenizer, padded))
        with lora_scaled(self.text_encoder, lora_scale):
            states = None
            if clip_skip is not None:
                hidden = self.text_encoder(ids.flatten(0, 1), output_hidden_states=True).hidden_states[-(clip_skip + 1)]
                body: Any = getattr(self.text_encoder, "text_model", self.text_encoder)  # transformers has had it both ways
                states = body.final_layer_norm(hidden).unflatten(0, ids.shape[:2])
            return encode_stories(self.text_encoder, None if alone else self.language_memory, ids, mask, alone=states).to(dtype=dtype)

    def _latents(self, frames: list[Tensor] | Tensor, dtype: torch.dtype) -> list[Tensor]:
        """Latents of given frames: pictures (3, H, W), or a tensor of their latents."""
        if isinstance(frames, Tensor):
            return list(frames.to(self._execution_device, dtype))
        return [encode_frames(self.vae, frame[None].to(self._execution_device)).to(dtype)[0] for frame in frames]

    def _finish(self, latents: Tensor, output_type: str) -> Any:
        check_drawn(latents)
        if output_type == "latent":
            return latents
        frames = torch.cat([decode_latents(self.vae, frame[None]) for frame in latents])  # one by one: bit-identical for any story length
        check_drawn(frames)
        return self.image_processor.postprocess(frames, output_type=output_type)

    @staticmethod
    def _positions(memory: StoryMemory, stories: int) -> list[list[int]]:
        return [memory.positions] * stories if memory.kept is None else memory.kept.tolist()


@contextmanager
def lora_scaled(text_encoder: Any, scale: float | None) -> Iterator[None]:
    """Scales the LoRAs of the text encoder, as `cross_attention_kwargs={"scale": …}` those of the UNet."""
    if scale is None or not getattr(text_encoder, "peft_config", None):
        yield
        return
    scale_lora_layers(text_encoder, scale)
    try:
        yield
    finally:
        unscale_lora_layers(text_encoder, scale)
