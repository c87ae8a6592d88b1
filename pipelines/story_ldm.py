"""StoryLDMPipeline: sentences in, a consistent sequence of frames out.

    pipe = StoryLDMPipeline.from_pretrained("checkpoints/toon-story-ldm")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]

Frames are drawn in order (Eq. 9). Each finished frame is written into the visual memory once and read at every diffusion step of all later frames.
Stories of a batch may differ in length. With a Stable Diffusion and a memory adapter trained for its shape:

    pipe = StoryLDMPipeline.from_stable_diffusion("folder or hub name", memory_adapter="runs/adapter/adapter")
    pipe.load_lora_weights("a LoRA for that Stable Diffusion")

ControlNets, IP-Adapters and sketches, with a picture a frame: see pictures.py.
Without an adapter, a Stable Diffusion keeps less, but something: `pipe(sentences, memory="reference")`; see without_training.py.

This file has over 350 lines because the arguments of a call, with what each means, are a quarter of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, SchedulerMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from PIL import Image
from torch import Tensor, nn

import story_ldm.encoders.autoencoder  # noqa: F401  diffusers finds component classes in imported modules only
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames, upcast
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.xl_text import with_size
from story_ldm.systems.story_ldm.memory_adapter import ADAPTER, load_memory_adapter, save_memory_adapter
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
from .conventions import check_long, check_negative, refuse
from .denoising import Denoising
from .noise import FrameNoise
from .output import StoryPipelineOutput
from .pictures import check_control, check_ip_adapter, check_sketches, has_ip_adapter
from .reading import Reading, of_frame, same_length
from .without_training import (
    AnchorReader,
    Form,
    PromptSurgery,
    ReferenceReader,
    check_form,
    form_of,
    installed,
    prompts_of,
    reader_of,
    reads_memory,
    similarity_sentences,
)

if TYPE_CHECKING:
    from story_ldm.systems.story_ldm.stable_diffusion import StableDiffusion

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


class StoryLDMPipeline(Denoising, Reading):
    """Story-LDM (Make-A-Story, CVPR 2023) as a diffusers pipeline. What reads the sentences is a `reader`, or a `text_encoder` with its `tokenizer`
    and, except in the paper's form, a `language_memory`. A Stable Diffusion XL has a second text encoder and tokenizer.

    LoRAs for the underlying Stable Diffusion are loaded, weighted and fused with diffusers' methods (`load_lora_weights`, …)."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->language_memory->reader->image_encoder->unet->vae"
    _optional_components = ["text_encoder", "tokenizer", "language_memory", "reader", "text_encoder_2", "tokenizer_2"]
    _optional_components += ["controlnet", "image_encoder", "feature_extractor"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: nn.Module | None,
        tokenizer: Any,
        unet: StoryUNet2DConditionModel,
        scheduler: SchedulerMixin,
        language_memory: LanguageMemory | None = None,
        reader: Reader | None = None,
        text_encoder_2: nn.Module | None = None,
        tokenizer_2: Any = None,
        force_zeros_for_empty_prompt: bool = True,
        controlnet: ControlNetModel | MultiControlNetModel | list[ControlNetModel] | None = None,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        default_steps: int | None = None,
        default_guidance: float | None = None,
    ):
        """text_encoder, tokenizer: a `CLIPTextModel` and its `CLIPTokenizer`; text_encoder_2: a `CLIPTextModelWithProjection` with its tokenizer_2.
        Their types are not named, for transformers takes seconds to import. force_zeros_for_empty_prompt: of a Stable Diffusion XL; without a
        negative prompt, guidance starts from zeros. image_encoder, feature_extractor: of an IP-Adapter, by which they are loaded. default_steps,
        default_guidance: num_inference_steps and guidance_scale of a call that gives none; saved with the pipeline."""
        super().__init__()
        clip = text_encoder is not None and tokenizer is not None
        if (clip and reader is not None) or (not clip and reader is None and (text_encoder is not None or tokenizer is not None)):
            raise ValueError("a story pipeline needs a reader, or a text_encoder and a tokenizer, and not both; without either it draws embeddings")
        if (text_encoder_2 is None) != (tokenizer_2 is None) or (text_encoder_2 is not None and text_encoder is None):
            raise ValueError("text_encoder_2 and tokenizer_2 are those of a Stable Diffusion XL: give both, beside a text_encoder and a tokenizer")
        if unet is not None and unet.config.get("addition_embed_type") == "text_time" and text_encoder_2 is None:
            raise ValueError("the UNet is that of a Stable Diffusion XL: give also text_encoder_2 and tokenizer_2")
        if text_encoder_2 is not None:
            self.register_to_config(force_zeros_for_empty_prompt=force_zeros_for_empty_prompt)
        if default_steps is not None:
            check_count("default_steps", default_steps)
            self.register_to_config(default_steps=default_steps)
        if default_guidance is not None:
            check_number("default_guidance", default_guidance)
            self.register_to_config(default_guidance=default_guidance)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            language_memory=language_memory,
            reader=reader,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            controlnet=MultiControlNetModel(controlnet) if isinstance(controlnet, (list, tuple)) else controlnet,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        self.image_processor = VaeImageProcessor()

    @classmethod
    def from_stable_diffusion(
        cls,
        sd: str | Path | StableDiffusion,
        memory_adapter: str | Path | None = None,
        controlnet: ControlNetModel | list[ControlNetModel] | None = None,
        **kwargs: Any,
    ) -> StoryLDMPipeline:
        """A story pipeline from a Stable Diffusion (1.x, 2.x, XL) and a memory adapter; without an adapter each frame is drawn alone.

        sd: folder, hub name, or an open pipeline, whose components are shared except for the UNet. controlnet: one, or several, for
        `control_image`. kwargs: those of `from_pretrained`.
        Raises ValueError if the Stable Diffusion or the adapter does not fit."""
        from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

        from story_ldm.systems.story_ldm.stable_diffusion import check_parts, check_stable_diffusion, open_stable_diffusion

        if isinstance(sd, (StableDiffusionPipeline, StableDiffusionXLPipeline)):
            check_stable_diffusion(sd.unet.config, "the open pipeline", isinstance(sd, StableDiffusionXLPipeline))
            check_parts(sd, "the open pipeline")
            if getattr(sd.unet, "peft_config", None):
                raise ValueError(f"the UNet has the LoRAs {list(sd.unet.peft_config)}; it must have none: fuse them, or load them afterwards")
            if has_ip_adapter(sd.unet):
                raise ValueError("the UNet has an IP-Adapter; it must have none: call unload_ip_adapter(), and load it afterwards")
        else:
            sd = open_stable_diffusion(sd, **kwargs)
        unet = StoryUNet2DConditionModel.from_unet(sd.unet, memory="none")
        xl: dict[str, Any] = {}
        if isinstance(sd, StableDiffusionXLPipeline):
            xl = {"text_encoder_2": sd.text_encoder_2, "tokenizer_2": sd.tokenizer_2}
            xl["force_zeros_for_empty_prompt"] = sd.config.force_zeros_for_empty_prompt
        pipe = cls(sd.vae, sd.text_encoder, sd.tokenizer, unet, sd.scheduler, controlnet=controlnet, **xl)
        if memory_adapter is not None:
            pipe.load_memory_adapter(memory_adapter)
        return pipe

    def load_memory_adapter(self, memory_adapter: str | Path, **hub: Any) -> None:
        """Replace memory layers and language memory by those of an adapter: a folder, a file, or `owner/name` of the Hugging Face hub, with `hub`
        (revision, token, cache_dir, local_files_only). Frames then have by default the size that it was trained at. Raises ValueError if it does
        not fit the UNet, OSError if the hub has none."""
        folder = hub_folder(memory_adapter, "a memory adapter", [ADAPTER], **hub) or memory_adapter
        language = load_memory_adapter(folder, self.unet, self.scheduler.config.get("prediction_type"), downscale_factor(self.vae))
        self.register_modules(language_memory=language)

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
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        memory_guidance_scale: float | None = None,
        negative_prompt: str | list[str] | list[list[str]] | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        frames: list[Image.Image] | Tensor | list[list[Image.Image] | Tensor] | None = None,
        max_memory_frames: int | None = None,
        use_memory: bool | str | list[bool] | list[list[bool]] = True,
        output_type: str = "pil",
        return_dict: bool = True,
        return_memory_weights: bool = False,
        callback_on_step_end: Callable[[Any, int, Any, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] | list[str] = ("latents",),
        *,
        memory: str | Form | None = None,
        memory_dtype: torch.dtype | None = None,
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
        long_sentences: str = "error",
        image: Any = None,
        strength: float | None = None,
        control_image: Any = None,
        controlnet_conditioning_scale: float | list[float] = 1.0,
        control_guidance_start: float | list[float] = 0.0,
        control_guidance_end: float | list[float] = 1.0,
        guess_mode: bool = False,
        ip_adapter_image: Any = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        **refused: Any,
    ) -> StoryPipelineOutput | tuple:
        """Draw one frame for each sentence.

        sentences: one story or a list of stories. height, width: pixels, by default the training resolution: of a memory adapter, if it says so.
        num_inference_steps: by default 20, or the pipeline's `default_steps`; of a Stable Diffusion 50, or fewer if its scheduler is made for fewer.
        Some schedulers call the UNet once more (PNDM) or twice a step: `num_timesteps` says how often.
        guidance_scale, memory_guidance_scale: e = e(∅,∅) + g (e(S,∅) - e(∅,∅)) + g_memory (e(S,memory) - e(S,∅)); by default both are equal,
        which needs two UNet rows per frame, not three: the pipeline's `default_guidance`, else 2.0, of a Stable Diffusion 7.5, of XL 5.0.
        negative_prompt: of all frames, or a list with one a frame, or a list of such lists with one for each story.
        generator: one, or a list with one per story. Frame 0 draws its noise from it, frame m ≥ 1 from one seeded by its initial seed and m, so a
        frame that is drawn again after the same frames is the same picture. seeds: one a frame instead, or a list for each story.
        latents: the initial noise (stories, M, c, h, w). frames: the first frames of each story, to be continued: PIL images, or their latents
        (K, c, h, w) as output_type "latent" gives them, after which the rest is drawn bit for bit as in one call. max_memory_frames: read at most
        this many earlier frames, those with the most relevant sentences.
        memory: None, the memory that the UNet was trained with, if any; or a form without training, for any UNet: "reference",
        "consistent-attention", "prompt-surgery", or its settings (`Reference(strength=0.5)`, …). memory_dtype: keep what trained memory remembers of
        finished frames in this precision: torch.bfloat16 takes half of float32's bytes.
        use_memory: False disables the visual memory; "referential" lets only those frames read it whose English sentence has a personal pronoun or
        names nobody new; or a flag for each sentence. callback_on_step_end(pipe, step, timestep, tensors): `step` counts over all frames; for
        diffusers' callback objects (SDCFGCutoffCallback, …) within each frame. It may return changed latents, prompt_embeds (stories, L, D) and
        negative_prompt_embeds (L, D).
        num_images_per_prompt: draw each story so often, one after another; noise, generators and frames are then one for each drawing.
        timesteps, sigmas, eta, guidance_rescale, clip_skip, cross_attention_kwargs: as in diffusers' Stable Diffusion.
        prompt_embeds, …: what `encode_prompt` returns, instead of sentences. long_sentences: "error" refuses sentences that are longer than the text
        encoder reads; "chunks" lets a CLIP text encoder read them in parts of its length, each on its own.
        image, control_image, ip_adapter_image: a PIL image for all frames, a list with one a frame (None: none), or a list of such lists, one for
        each story; of several ControlNets or IP-Adapters a tuple with one for each in the place of an image. image: sketches, each drawn over in the
        last part of the steps, of which `strength` is the share, by default 0.8. control_image: what the ControlNets read, whose other arguments are
        diffusers'. ip_adapter_image_embeds: instead of images, of each IP-Adapter (2, images, …), the negative one first, without guidance
        (1, images, …), or (stories, M, 2, …).

        Raises ValueError for invalid input, before any frame is drawn.
        """
        refuse(refused)
        for name in ("unet", "vae", "scheduler"):
            if getattr(self, name) is None:
                raise ValueError(f"this pipeline has no {name}: it can encode sentences (encode_prompt), not draw them")
        check_flags(return_dict=return_dict, return_memory_weights=return_memory_weights)
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
        without = check_negative(negative_prompt, lengths[::num_images_per_prompt])
        self._check_text(without, negative_prompt_embeds, negative_pooled_prompt_embeds, clip_skip, prompt_embeds is not None)
        check_long(long_sentences, self.reader is None)
        default_steps, default_guidance = self.call_defaults()
        num_inference_steps = default_steps if num_inference_steps is None else num_inference_steps
        guidance_scale = default_guidance if guidance_scale is None else guidance_scale
        copies = slice(None, None, num_images_per_prompt)
        reads = [flags for flags in reads_memory(use_memory, stories[copies], lengths[copies]) for _ in range(num_images_per_prompt)]
        form = form_of(memory)
        form = None if use_memory is False else form
        trained = {"memory_guidance_scale": memory_guidance_scale is not None, "return_memory_weights": return_memory_weights}
        trained["memory_dtype"] = memory_dtype is not None
        by_frame = {"max_memory_frames": max_memory_frames is not None, "frames": frames is not None, "use_memory": use_memory is not True}
        check_form(form, self, stories, trained, by_frame, long_sentences == "chunks")
        reader = reader_of(form, self)
        factor = downscale_factor(self.vae)
        height, width = self._check_size(height, width, factor)
        check_count("num_inference_steps", num_inference_steps, self.scheduler.config.get("num_train_timesteps"))
        for name, value in (("guidance_scale", guidance_scale), ("eta", eta), ("guidance_rescale", guidance_rescale)):
            check_number(name, value)
        if memory_guidance_scale is not None:
            check_number("memory_guidance_scale", memory_guidance_scale)
            if self.unet.config.time_cond_proj_dim is not None:
                raise ValueError("memory_guidance_scale is given; this UNet is distilled (LCM), and reads guidance_scale alone: leave it out")
        if max_memory_frames is not None:
            check_count("max_memory_frames", max_memory_frames)
        if memory_dtype is not None and memory_dtype not in (torch.float16, torch.bfloat16, torch.float32):
            raise ValueError(f"memory_dtype is {memory_dtype!r}; it must be torch.float16, torch.bfloat16 or torch.float32, or None")
        if cross_attention_kwargs is not None and not isinstance(cross_attention_kwargs, dict):
            raise ValueError(f"cross_attention_kwargs is {cross_attention_kwargs!r}; it must be a dict, or None")
        lora_scale = (cross_attention_kwargs or {}).get("scale")
        if lora_scale is not None:
            check_number("scale of cross_attention_kwargs", lora_scale)
        pictures = (lengths, num_images_per_prompt)
        guided = guidance_scale > 1 or memory_guidance_scale not in (None, guidance_scale)
        add_images = check_ip_adapter(
            self, ip_adapter_image, ip_adapter_image_embeds, *pictures, guided and self.unet.config.time_cond_proj_dim is None
        )
        shares = (controlnet_conditioning_scale, control_guidance_start, control_guidance_end)
        control_of = check_control(self, control_image, *shares, guess_mode, (height, width), *pictures, long_sentences == "chunks")
        if isinstance(reader, AnchorReader) and image is not None:
            raise ValueError("image is given; memory='consistent-attention' draws its anchors together, from noise: leave it out")
        noise_of = FrameNoise(generator, seeds, lengths)
        shape = (self.unet.config.in_channels, height // factor, width // factor)
        if latents is not None:
            check_tensor("latents", latents, (len(lengths), max(lengths), *shape))
        check_output_type(output_type, OUTPUT_TYPES)
        given_frames = check_frames(frames, lengths[::num_images_per_prompt], single, (width, height), shape)
        official, callback_tensors = self._official(callback_on_step_end, callback_on_step_end_tensor_inputs)
        self._step_options(eta)
        ends = self._set_timesteps(num_inference_steps, timesteps, sigmas)
        sketches = check_sketches(self, image, strength, *pictures, len(timesteps or sigmas or ()) or num_inference_steps)

        self._guidance_scale, self._guidance_rescale, self._clip_skip = guidance_scale, guidance_rescale, clip_skip
        self._cross_attention_kwargs, self._interrupt = cross_attention_kwargs, False
        device, dtype = self._execution_device, self.unet.dtype
        if prompt_embeds is None:
            condition = self.encode_sentences(stories, clip_skip=clip_skip, lora_scale=lora_scale, chunks=long_sentences == "chunks")
        else:
            given = self._given(prompt_embeds, pooled_prompt_embeds).to(device, dtype)
            condition = given.map(lambda x: x.repeat_interleave(num_images_per_prompt, 0))
        if negative_prompt_embeds is None:
            if isinstance(without, list):
                without = [texts for texts in without for _ in range(num_images_per_prompt)]
            negative = self._without(without, condition, lora_scale, long_sentences == "chunks")
            if long_sentences == "chunks":
                condition, negative = same_length(condition, negative)
        else:
            negative = self._given(negative_prompt_embeds, negative_pooled_prompt_embeds).to(device, dtype)
        if negative.states.shape[-2:] != condition.states.shape[2:]:
            shapes = f"{tuple(negative.states.shape)}, those of the sentences {tuple(condition.states.shape[2:])}"
            raise ValueError(f"negative_prompt_embeds have the shape {shapes}; they must have the same")
        similar = similarity_sentences(condition)
        if not self._needs_pooled:
            condition, negative = replace(condition, pooled=None), replace(negative, pooled=None)
        condition, negative = with_size(condition, height, width), with_size(negative, height, width)
        first_frames = [self._latents(story, dtype) for story in given_frames for _ in range(num_images_per_prompt)]
        has_memory = form is None and use_memory is not False and self.unet.config.memory != "none"
        if isinstance(form, PromptSurgery):
            encode = partial(self.encode_sentences, clip_skip=clip_skip, lora_scale=lora_scale)
            condition, negative = prompts_of(form, self, stories, negative, encode)
            condition = with_size(condition, height, width)
        condition, negative = add_images(condition, negative)
        first_noise = None  # of a form without training: drawn at once, whichever frames are given
        if form is not None and latents is None and seeds is None:
            first_noise = noise_of.draw(noise_of.generators(range(len(lengths)), 0), len(lengths), shape, device, dtype)
        drawn: list[list[Tensor]] = [[] for _ in lengths]
        weights = [np.zeros((n, n), np.float32) for n in lengths] if return_memory_weights else None
        remembered = StoryMemory()
        rows = list(range(len(lengths)))  # the stories in memory
        anchors = [min(reader.s.anchors, length) for length in lengths] if isinstance(reader, AnchorReader) else []
        ahead = anchors or [len(story) for story in first_frames]
        to_draw = [sketches.groups([n for n, length in enumerate(lengths) if ahead[n] <= m < length], m) for m in range(max(lengths))]
        steps = [sum(end >= sketches.begin(group, m) for end in ends) for m, groups in enumerate(to_draw) for group in groups]
        step = 0  # counts over all frames

        def on_step(index: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            nonlocal step
            changed = None
            if callback_on_step_end is not None:
                asked = {name: tensors[name] for name in callback_tensors}
                within = index - (ends[-1] + 1 - self._num_timesteps)  # of a sketch, the first steps are left out
                changed = callback_on_step_end(self, within if official else step, timestep, asked)
            step += 1
            if index in ends:
                bar.update()
            return changed or {}

        def start_noise(index: list[int], m: int, generators: Any) -> Tensor:
            if latents is not None:
                return latents[index, m].to(device, dtype)
            if first_noise is not None and form is not None and (m == 0 or form.same_noise):
                return first_noise[index]
            return noise_of.draw(generators, len(index), shape, device, dtype)

        def call_unet(x: Tensor, timestep: Tensor, read: Any) -> None:
            self.unet(x, timestep, read, cross_attention_kwargs=self._attention_options(), return_dict=False)

        how: dict[str, Any] = {
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "memory_guidance_scale": guidance_scale if memory_guidance_scale is None else memory_guidance_scale,
            "on_step": on_step,
            "timesteps": timesteps,
            "sigmas": sigmas,
            "eta": eta,
            "reader": reader,
        }
        with self.progress_bar(total=sum(steps) + len(ends) * len(anchors)) as bar, installed(reader):
            for n, count in enumerate(anchors):
                assert isinstance(reader, AnchorReader)
                each = [noise_of.own_generator(n, m) for m in range(count)]
                noise = torch.cat([start_noise([n], m, each[m]) for m in range(count)])
                without_text = of_frame(negative, [n] * count, list(range(count)))
                if self._interrupt:  # of a story that has not begun, one frame is returned, as it is: noise
                    first_frames[n] = list(noise[:1])
                    continue
                with reader.drawing_together(n, self._num_timesteps, kept=lengths[n] > count):
                    control = control_of([n] * count, list(range(count)))
                    noise, _ = self.draw_frame(noise, condition[n, :count], without_text, remembered, generators=each, control=control, **how)
                first_frames[n] = list(noise)
            for m in range(max(lengths)):
                unfinished = [n for n in rows if lengths[n] > m]
                if len(unfinished) < len(rows):
                    index = torch.tensor([rows.index(n) for n in unfinished], device=device)
                    remembered, rows = remembered.rows(index) if len(remembered) else remembered, unfinished
                    if isinstance(reader, ReferenceReader):
                        reader.keep(index)
                clean: dict[int, Tensor] = {n: first_frames[n][m] for n in rows if m < len(first_frames[n])}
                for drawing in to_draw[m]:
                    generators = noise_of.generators(drawing, m)
                    sketch = sketches.latents(self, drawing, m, generators, (height, width), dtype)
                    noise = start_noise(drawing, m, generators)
                    own_rows, enabled = torch.tensor([rows.index(n) for n in drawing], device=device), [reads[n][m] for n in drawing]
                    readable = remembered if any(enabled) else StoryMemory()
                    if len(readable) and has_memory:
                        own = replace(remembered) if drawing == rows else remembered.rows(own_rows)
                        readable = self.unet.recall(own, condition[drawing, m].pooled, max_memory_frames)
                        readable.enabled = None if all(enabled) else torch.tensor(enabled, device=device)
                    if isinstance(reader, ReferenceReader):
                        reader.choose(own_rows, similar[drawing, m], max_memory_frames, enabled)
                    elif reader is not None:
                        reader.later = drawing
                    x, frame_weights = self.draw_frame(
                        noise,
                        condition[drawing, m],
                        of_frame(negative, drawing, m),
                        readable,
                        generators=generators,
                        return_memory_weights=return_memory_weights,
                        control=control_of(drawing, m),
                        sketch=sketch,
                        begin=sketches.begin(drawing, m),
                        **how,
                    )
                    clean |= dict(zip(drawing, x, strict=True))
                    if weights is not None and frame_weights is not None:
                        for n, row, positions in zip(drawing, frame_weights, self._positions(readable, len(drawing)), strict=True):
                            weights[n][m, positions] = row
                for n, x in clean.items():
                    drawn[n].append(x)
                if self._interrupt and m + 1 >= max(anchors, default=0):  # anchors are drawn together: all of them are frames so far
                    break
                if has_memory and m + 1 < max(lengths):
                    frame = torch.stack([clean[n] for n in rows])[:, None]  # (stories, 1, c, h, w)
                    written = self.unet.write(frame, condition[rows, m : m + 1], positions=[m], cross_attention_kwargs=self._attention_options())
                    remembered.append(written.to(dtype=memory_dtype))
                if isinstance(reader, ReferenceReader) and m + 1 < max(lengths):
                    noise = start_noise(rows, m, noise_of.generators(rows, m) if m or seeds else None)
                    reader.write(torch.stack([clean[n] for n in rows]), noise, condition[rows, m], similar[rows, m], call_unet)

        finished = [self._finish(torch.stack(story), output_type) for story in drawn]
        self.maybe_free_model_hooks()
        if not return_dict:
            return (finished, weights) if return_memory_weights else (finished,)
        return StoryPipelineOutput(frames=finished, memory_weights=weights)

    def _latents(self, frames: list[Tensor] | Tensor, dtype: torch.dtype) -> list[Tensor]:
        """Latents of given frames: pictures (3, H, W), or a tensor of their latents."""
        if isinstance(frames, Tensor):
            return list(frames.to(self._execution_device, dtype))
        with upcast(self.vae, self.text_encoder_2 is not None):
            return [encode_frames(self.vae, frame[None].to(self._execution_device)).to(dtype)[0] for frame in frames]

    def _finish(self, latents: Tensor, output_type: str) -> Any:
        check_drawn(latents)
        if output_type == "latent":
            return latents
        with upcast(self.vae, self.text_encoder_2 is not None):
            frames = torch.cat([decode_latents(self.vae, frame[None]) for frame in latents])  # one by one: bit-identical for any story length
        check_drawn(frames)
        return self.image_processor.postprocess(frames, output_type=output_type)

    @staticmethod
    def _positions(memory: StoryMemory, stories: int) -> list[list[int]]:
        return [memory.positions] * stories if memory.kept is None else memory.kept.tolist()
