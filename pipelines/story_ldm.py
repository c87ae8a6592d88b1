"""StoryLDMPipeline: sentences in, a consistent sequence of frames out.

    pipe = StoryLDMPipeline.from_pretrained("checkpoints/toon-story-ldm")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Frames are drawn in order (Eq. 9). Each finished frame is written into the visual memory once and read at every diffusion step of all later frames.
Stories of a batch may differ in length. With a Stable Diffusion and a memory adapter trained for its shape:

    pipe = StoryLDMPipeline.from_stable_diffusion("folder or hub name", memory_adapter="runs/adapter/adapter")
    pipe.load_lora_weights("a LoRA for that Stable Diffusion")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, SchedulerMixin, StableDiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

import story_ldm.encoders.autoencoder  # noqa: F401  diffusers finds component classes in imported modules only
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.sentences import encode_stories, tokenize_stories
from story_ldm.systems.story_ldm.memory_adapter import check_stable_diffusion, load_memory_adapter, open_stable_diffusion, save_memory_adapter
from story_ldm.systems.story_ldm.memory_attention import StoryMemory
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

from .base import StoryPipeline
from .checks import check_drawn, check_frames, check_generator, check_output_type, check_sentences
from .output import StoryPipelineOutput

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
CALLBACK_TENSORS = ("latents", "noise_prediction")


class StoryLDMPipeline(StoryPipeline, StableDiffusionLoraLoaderMixin):
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

    def load_memory_adapter(self, memory_adapter: str | Path) -> None:
        """Replace memory layers and language memory by those of an adapter (folder or file). Raises ValueError if it does not fit the UNet."""
        self.register_modules(language_memory=load_memory_adapter(memory_adapter, self.unet, self.scheduler.config.get("prediction_type")))

    def save_memory_adapter(self, folder: str | Path, dtype: torch.dtype | None = None, **facts: Any) -> Path:
        """Save memory layers and language memory as a memory adapter with a card; both include `facts` (JSON). Returns the file."""
        facts = {"prediction_type": self.scheduler.config.prediction_type, **facts}
        return save_memory_adapter(folder, self.unet, self.language_memory, dtype, **facts)

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
        """Draw one frame for each sentence.

        sentences: one story or a list of stories. height, width: pixels, by default the training resolution.
        guidance_scale, memory_guidance_scale: e = e(∅,∅) + g (e(S,∅) - e(∅,∅)) + g_memory (e(S,memory) - e(S,∅)); by default both are equal,
        which needs two UNet rows per frame, not three.
        generator: one, or a list with one per story. latents: the initial noise (stories, M, c, h, w). frames: the first frames of each story as
        PIL images, to be continued. max_memory_frames: read at most this many earlier frames, those with the most relevant sentences.
        use_memory: False disables the visual memory. callback_on_step_end(pipe, step, timestep, tensors): `step` counts over all frames.

        Raises ValueError for invalid input, before any frame is drawn.
        """
        single, stories = check_sentences(sentences)
        factor = downscale_factor(self.vae)
        sample_size = self.unet.config.sample_size
        native = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
        height, width = height or native[0] * factor, width or native[1] * factor
        multiple = factor * 2**self.unet.num_upsamplers if (height, width) != (native[0] * factor, native[1] * factor) else factor
        self._check(stories, height, width, multiple, num_inference_steps, generator, latents, output_type, max_memory_frames)
        first_frames = check_frames(frames, stories, single, (width, height))
        if negative_prompt is not None and not isinstance(negative_prompt, str):
            raise ValueError(f"negative_prompt is {negative_prompt!r}; it must be a string, which applies to all stories, or None")
        unknown = set(callback_on_step_end_tensor_inputs) - set(CALLBACK_TENSORS)
        if unknown:
            raise ValueError(f"callback_on_step_end_tensor_inputs has {sorted(unknown)}; it may have {', '.join(CALLBACK_TENSORS)}")

        device, dtype = self._execution_device, self.unet.dtype
        condition = self.encode_sentences(stories)
        negative = self.encode_sentences([[negative_prompt or ""]], alone=True)[0, 0]
        has_memory = use_memory and self.unet.config.memory != "none"
        memory_scale = guidance_scale if memory_guidance_scale is None else memory_guidance_scale
        lengths = [len(story) for story in stories]
        shape = (1, self.unet.config.in_channels, height // factor, width // factor)
        drawn: list[list[Tensor]] = [[] for _ in stories]
        weights = [np.zeros((n, n), np.float32) for n in lengths] if return_memory_weights else None
        memory = StoryMemory()
        rows = list(range(len(stories)))  # the stories in memory
        to_draw = [[n for n, length in enumerate(lengths) if len(first_frames[n]) <= m < length] for m in range(max(lengths))]
        step = 0  # counts over all frames

        def on_step(timestep: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
            nonlocal step
            if callback_on_step_end is not None:
                tensors = {"latents": x, "noise_prediction": prediction}
                changed = callback_on_step_end(self, step, int(timestep), {name: tensors[name] for name in callback_on_step_end_tensor_inputs})
                x = (changed or {}).get("latents", x)
            step += 1
            bar.update()
            return x

        with self.progress_bar(total=num_inference_steps * sum(map(bool, to_draw))) as bar:
            for m in range(max(lengths)):
                unfinished = [n for n in rows if lengths[n] > m]
                if len(unfinished) < len(rows):
                    index = torch.tensor([rows.index(n) for n in unfinished], device=device)
                    memory, rows = memory.rows(index) if len(memory) else memory, unfinished
                clean: dict[int, Tensor] = {n: self._encode(first_frames[n][m], dtype) for n in rows if m < len(first_frames[n])}
                drawing = to_draw[m]
                if drawing:
                    generators = [generator[n] for n in drawing] if isinstance(generator, list) else generator
                    if latents is not None:
                        noise = latents[drawing, m].to(device, dtype)
                    elif isinstance(generators, list):
                        noise = torch.cat([randn_tensor(shape, g, device, dtype) for g in generators])
                    else:
                        noise = torch.cat([randn_tensor(shape, generators, device, dtype) for _ in drawing])
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
                        memory_guidance_scale=memory_scale,
                        generators=generators,
                        return_memory_weights=return_memory_weights,
                        on_step=on_step,
                    )
                    clean |= dict(zip(drawing, x, strict=True))
                    if weights is not None and frame_weights is not None:
                        for n, row, positions in zip(drawing, frame_weights, self._positions(readable, len(drawing)), strict=True):
                            weights[n][m, positions] = row
                for n, x in clean.items():
                    drawn[n].append(x)
                if has_memory and m + 1 < max(lengths):
                    frame = torch.stack([clean[n] for n in rows])[:, None]  # (stories, 1, c, h, w)
                    memory.append(self.unet.write(frame, condition[rows, m : m + 1], positions=[m]))

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
        understood = self.reader.understand(stories)
        return understood[0] if single else understood

    def encode_sentences(self, stories: list[list[str]], alone: bool = False) -> Conditioning:
        """The conditioning (B, M, …) of stories; shorter stories are padded with empty sentences.

        alone: skip the language memory, as for the empty sentence of guidance. Raises ValueError if a sentence is too long."""
        if self.reader is not None:
            condition, _ = self.reader(*(x.to(self._execution_device) for x in self.reader.tokenize(stories)))
            return condition.to(dtype=self.unet.dtype)
        longest = max(map(len, stories))
        padded = [story + [""] * (longest - len(story)) for story in stories]
        ids, mask = (x.to(self._execution_device) for x in tokenize_stories(self.tokenizer, padded))
        return encode_stories(self.text_encoder, None if alone else self.language_memory, ids, mask).to(dtype=self.unet.dtype)

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
        on_step: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda timestep, latents, prediction: latents,
    ) -> tuple[Tensor, np.ndarray | None]:
        """The reverse process of one frame of each story: noise (B, c, h, w) → clean latents (B, c, h, w) and memory weights (B, K).

        condition: (B, …), of these frames. negative: of the empty or negative sentence, without leading dimensions. memory: the K earlier frames
        to read; it may be empty. on_step(timestep, latents, prediction) returns the latents for the next step. The weights are None unless
        requested, and if memory is empty.
        """
        stories, x = len(noise), noise
        has_memory = len(memory) > 0
        # rows of guidance as (with text, with memory); only the last one reads memory
        if guidance_scale <= 1 and memory_guidance_scale == guidance_scale:
            kinds = [(True, True)]
        elif memory_guidance_scale == guidance_scale or not has_memory:
            kinds = [(False, False), (True, True)]
        else:
            kinds = [(False, False), (True, False), (True, True)]
        without_text = negative.map(lambda y: y.expand(stories, *y.shape))
        row_condition = Conditioning.cat([condition if text else without_text for text, _ in kinds])
        if has_memory:
            memory = memory.rows(torch.arange(stories, device=x.device).repeat(len(kinds)))
            if len(kinds) > 1:
                memory.enabled = torch.tensor([reads for _, reads in kinds], device=x.device).repeat_interleave(stories)
        self.scheduler.set_timesteps(num_inference_steps, device=x.device)
        x = x * self.scheduler.init_noise_sigma
        extra = {"generator": generators} if "generator" in self.scheduler.step.__code__.co_varnames else {}
        step_weights = []
        for t in self.scheduler.timesteps:
            rows = self.scheduler.scale_model_input(torch.cat([x] * len(kinds)), t)
            readable = memory if has_memory else None
            out = self.unet(rows, t, row_condition, memory=readable, return_memory_weights=return_memory_weights and has_memory)
            parts = out.sample.chunk(len(kinds))
            prediction = parts[0]
            if len(kinds) > 1:
                prediction = parts[0] + guidance_scale * (parts[1] - parts[0])
            if len(kinds) == 3:
                prediction = prediction + memory_guidance_scale * (parts[2] - parts[1])
            if out.memory_weights:
                step_weights.append(torch.stack([w[-stories:].mean((1, 2)) for w in out.memory_weights.values()]).mean(0))  # (B, K)
            x = on_step(t, self.scheduler.step(prediction, t, x, **extra, return_dict=False)[0], prediction)
        return x, torch.stack(step_weights).mean(0).float().cpu().numpy() if step_weights else None

    def _encode(self, frame: Tensor, dtype: torch.dtype) -> Tensor:
        return encode_frames(self.vae, frame[None].to(self._execution_device)).to(dtype)[0]

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

    def _check(
        self,
        stories: list[list[str]],
        height: int,
        width: int,
        multiple: int,
        steps: int,
        generator: torch.Generator | list[torch.Generator] | None,
        latents: Tensor | None,
        output_type: str,
        max_memory_frames: int | None,
    ) -> None:
        for name, value in (("height", height), ("width", width)):
            if value < 1 or value % multiple:
                raise ValueError(f"{name} is {value}; it must be positive and divisible by {multiple}")
        if steps < 1:
            raise ValueError(f"num_inference_steps is {steps}; it must be at least 1")
        check_generator(generator, stories)
        factor = downscale_factor(self.vae)
        shape = (len(stories), max(map(len, stories)), self.unet.config.in_channels, height // factor, width // factor)
        if latents is not None and tuple(latents.shape) != shape:
            raise ValueError(f"latents have the shape {tuple(latents.shape)}; these stories require {shape}")
        check_output_type(output_type, OUTPUT_TYPES)
        if max_memory_frames is not None and max_memory_frames < 1:
            raise ValueError(f"max_memory_frames is {max_memory_frames}; it must be at least 1, or None for all")
