"""ARLDMPipeline: sentences in, a consistent sequence of frames out, by AR-LDM.

    pipe = ARLDMPipeline.from_pretrained("runs/ar-ldm/pipeline")
    frames = pipe(["Rosa the rabbit in a red shirt waves in the city.", "She sits down."]).frames[0]
    frames = pipe(sentences, frames=[first]).frames[0]          # continuation, by the same model

Frames are drawn in order. Each finished frame is decoded and read once, with its sentence, by the history encoder; the cross-attention of all later
frames reads those states. Its keys and values of a frame's context are computed once, not at every diffusion step. Stories of a batch may differ in
length. A story may have any length: frames from `longest` on read the last `longest` - 1 frames, as if the story began with the first of these.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import torch
from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor
from transformers import BlipForImageTextRetrieval, CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerBase

import story_ldm.encoders.autoencoder  # noqa: F401  diffusers finds component classes in imported modules only
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames
from story_ldm.encoders.sentences import encode_stories, tokenize_sentences, tokenize_stories
from story_ldm.systems.ar_ldm.conditioning import HistoryEmbedding, check_widths, history_slots
from story_ldm.systems.ar_ldm.context_cache import context_cache
from story_ldm.systems.ar_ldm.history import BLACK, read_history

from .checks import check_count, check_drawn, check_flags, check_frames, check_number, check_output_type, check_sentences, check_tensor
from .conventions import DiffusersConventions, check_negative, refuse, usual_steps
from .denoising import guidance_rows, guided
from .noise import FrameNoise
from .output import StoryPipelineOutput
from .reading import of_frame

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


class ARLDMPipeline(DiffusersConventions):
    """AR-LDM (arXiv 2211.10950) as a diffusers pipeline. unet: a plain UNet2DConditionModel. text_encoder: any CLIP text model. history_encoder: a
    BLIP (`as_history_encoder` makes one of any BLIP). All three have the width of the UNet's cross-attention.

    LoRAs of the UNet are loaded, weighted and fused with diffusers' methods (`load_lora_weights`, …)."""

    model_cpu_offload_seq = "text_encoder->history_encoder->history_embedding->unet->vae"
    _callback_tensor_inputs = ["latents", "noise_prediction"]
    text_encoder_2 = None  # that of a Stable Diffusion XL

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        history_encoder: BlipForImageTextRetrieval,
        history_tokenizer: PreTrainedTokenizerBase,
        history_embedding: HistoryEmbedding,
        unet: UNet2DConditionModel,
        scheduler: SchedulerMixin,
    ):
        super().__init__()
        check_widths(unet, text_encoder, history_encoder, history_embedding)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            history_encoder=history_encoder,
            history_tokenizer=history_tokenizer,
            history_embedding=history_embedding,
            unet=unet,
            scheduler=scheduler,
        )
        self.image_processor = VaeImageProcessor()

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> Self:
        """An AR-LDM pipeline with the components of another one. kwargs: components to take instead."""
        if not isinstance(pipeline, cls):
            raise ValueError(f"the pipeline is a {type(pipeline).__name__}; it must be a {cls.__name__}: others have no history encoder")
        return super().from_pipe(pipeline, **kwargs)

    def to_stable_diffusion(self) -> Any:
        raise NotImplementedError("the UNet of AR-LDM reads sentences with a type embedding, which a Stable Diffusion does not have")

    def load_ip_adapter(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("AR-LDM does not take IP-Adapters: give the first frames (frames=), which all later ones read")

    def load_textual_inversion(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("AR-LDM does not take textual inversions, which its history encoder could not read: load a LoRA of the UNet")

    @torch.no_grad()
    def __call__(
        self,
        sentences: list[str] | list[list[str]],
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        memory_guidance_scale: float | None = None,
        negative_prompt: str | list[str] | list[list[str]] | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        frames: list[Image.Image] | Tensor | list[list[Image.Image] | Tensor] | None = None,
        use_memory: bool = True,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, Any, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] | list[str] = ("latents",),
        *,
        seeds: list[int] | list[list[int]] | None = None,
        num_images_per_prompt: int = 1,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        eta: float = 0.0,
        guidance_rescale: float = 0.0,
        **refused: Any,
    ) -> StoryPipelineOutput | tuple:
        """Draw one frame for each sentence. The arguments are those of `StoryLDMPipeline`, with the same meanings.

        num_inference_steps, guidance_scale: by default 20 and 2.0 with an autoencoder of train_autoencoder.py, else diffusers' steps and the paper's
        6.0 (the paper takes 250 steps).
        memory_guidance_scale: None leads away from the empty sentence and the empty history at once, as published. A number sets them apart:
        e = e(∅,∅) + g (e(S,∅) - e(∅,∅)) + g_memory (e(S,H) - e(S,∅)), with three UNet rows a frame; for a model of --history-dropout.
        negative_prompt: in the place of the empty sentence. frames: the first frames of each story, to be continued: PIL images, which the history
        encoder reads as they are, or their latents (K, c, h, w), after which the rest is drawn bit for bit as in one call.
        use_memory: False hides all earlier frames. callback_on_step_end(pipe, step, timestep, tensors) may return changed latents; `step` counts over
        all frames, for diffusers' callback objects within each.

        Raises ValueError for invalid input, before any frame is drawn."""
        refuse(refused)
        check_flags(return_dict=return_dict, use_memory=use_memory)
        check_count("num_images_per_prompt", num_images_per_prompt)
        single, stories = check_sentences(sentences)
        stories = [story for story in stories for _ in range(num_images_per_prompt)]
        lengths = [len(story) for story in stories]
        without = check_negative(negative_prompt, lengths[::num_images_per_prompt])
        steps, default_guidance = self.call_defaults()
        num_inference_steps = steps if num_inference_steps is None else num_inference_steps
        guidance_scale = default_guidance if guidance_scale is None else guidance_scale
        memory_guidance_scale = guidance_scale if memory_guidance_scale is None else memory_guidance_scale
        factor = downscale_factor(self.vae)
        height, width = self._check_size(height, width, factor)
        check_count("num_inference_steps", num_inference_steps, self.scheduler.config.get("num_train_timesteps"))
        scales = {"guidance_scale": guidance_scale, "memory_guidance_scale": memory_guidance_scale, "eta": eta, "guidance_rescale": guidance_rescale}
        for name, value in scales.items():
            check_number(name, value)
        noise_of = FrameNoise(generator, seeds, lengths)
        shape = (self.unet.config.in_channels, height // factor, width // factor)
        if latents is not None:
            check_tensor("latents", latents, (len(lengths), max(lengths), *shape))
        check_output_type(output_type, OUTPUT_TYPES)
        given = check_frames(frames, lengths[::num_images_per_prompt], single, (width, height), shape)
        official, callback_tensors = self._official(callback_on_step_end, callback_on_step_end_tensor_inputs)
        self._step_options(eta)
        ends = self._set_timesteps(num_inference_steps, timesteps, sigmas)
        condition, history_ids, history_mask = self._read(stories)
        if isinstance(without, list):
            negative = self._without([texts for texts in without for _ in range(num_images_per_prompt)])
        else:
            negative = self._without([[without or ""]])[0, 0]
        empty = self._empty_history(height, width)

        self._guidance_scale, self._guidance_rescale, self._interrupt = guidance_scale, guidance_rescale, False
        device, dtype = self._execution_device, self.unet.dtype
        first = [story for story in given for _ in range(num_images_per_prompt)]
        clean: list[list[Tensor]] = [[] for _ in stories]  # latents (c, h, w) of the finished frames
        decoded: list[dict[int, Tensor]] = [{} for _ in stories]  # pictures (3, H, W) of those that were needed so far
        history: list[list[Tensor]] = [[] for _ in stories]  # what the history encoder made of them (S, D)
        step = 0  # counts over all frames

        def on_step(index: int, timestep: Tensor, tensors: dict[str, Tensor]) -> Tensor:
            nonlocal step
            changed = None
            if callback_on_step_end is not None:
                changed = callback_on_step_end(self, index if official else step, timestep, {name: tensors[name] for name in callback_tensors})
            step += 1
            if index in ends:
                bar.update()
            return (changed or {}).get("latents", tensors["latents"])

        def picture(n: int, m: int) -> Tensor:  # one by one: bit-identical for any story length
            if m not in decoded[n]:
                decoded[n][m] = decode_latents(self.vae, clean[n][m][None])[0]
            return decoded[n][m]

        to_draw = [[n for n, length in enumerate(lengths) if len(first[n]) <= m < length] for m in range(max(lengths))]
        with self.progress_bar(total=len(ends) * sum(map(bool, to_draw))) as bar:
            for m, drawing in enumerate(to_draw):
                shown = {n: frames[m].to(device) for n, frames in enumerate(first) if m < len(frames)}  # given: pictures, or latents
                for n, frame in shown.items():
                    clean[n].append((frame if isinstance(first[n], Tensor) else encode_frames(self.vae, frame[None])[0]).to(dtype))
                if drawing:
                    generators = noise_of.generators(drawing, m)
                    noise = noise_of.draw(generators, len(drawing), shape, device, dtype) if latents is None else latents[drawing, m]
                    slots = history_slots(m + 1, self.history_embedding.config.longest)[0][m].tolist() if use_memory else []
                    drawn = self.draw_frame(
                        noise.to(device, dtype),
                        condition[drawing, m],
                        of_frame(negative, drawing, m),
                        torch.stack([torch.stack([empty, *(history[n][k] for k in slots)])[1:] for n in drawing]),  # (N, K, S, D), K may be 0
                        history_mask[drawing][:, slots],
                        empty,
                        num_inference_steps=num_inference_steps,
                        memory_guidance_scale=memory_guidance_scale,
                        generators=generators,
                        on_step=on_step,
                        timesteps=timesteps,
                        sigmas=sigmas,
                        eta=eta,
                    )
                    for n, x in zip(drawing, drawn, strict=True):
                        clean[n].append(x)
                if self._interrupt:
                    break
                for n in [n for n, length in enumerate(lengths) if use_memory and m + 1 < length]:
                    frame = shown[n] if n in shown and not isinstance(first[n], Tensor) else picture(n, m)
                    history[n].append(self._read_frame(history_ids[n, m], history_mask[n, m], frame))

        result = []
        for n, frames_latents in enumerate(clean):
            drawn = torch.stack(frames_latents)
            check_drawn(drawn)
            if output_type != "latent":
                drawn = torch.stack([picture(n, m) for m in range(len(frames_latents))])
                check_drawn(drawn)
                drawn = self.image_processor.postprocess(drawn, output_type=output_type)
            result.append(drawn)
        self.maybe_free_model_hooks()
        return StoryPipelineOutput(frames=result) if return_dict else (result,)

    @torch.no_grad()
    def draw_frame(
        self,
        noise: Tensor,
        condition: Conditioning,
        negative: Conditioning,
        history: Tensor,
        history_mask: Tensor,
        empty: Tensor,
        *,
        num_inference_steps: int,
        memory_guidance_scale: float,
        generators: torch.Generator | list[torch.Generator] | None = None,
        on_step: Callable[[int, Tensor, dict[str, Tensor]], Tensor] = lambda index, timestep, tensors: tensors["latents"],
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        eta: float = 0.0,
    ) -> Tensor:
        """The reverse process of one frame of each of N stories: noise (N, c, h, w) → clean latents (N, c, h, w); guided by `guidance_scale`.

        condition: (N, …), of these frames. negative: of the empty or negative sentence, (N, …) or without leading dimensions. history (N, K, S, D)
        and history_mask (N, K, S): the K earlier frames to read; K may be 0. empty (S, D): the empty history. on_step returns the latents to go on
        with."""
        kinds = guidance_rows(self._guidance_scale, memory_guidance_scale, history.shape[1] > 0)
        without = negative if negative.states.ndim == 3 else negative.map(lambda x: x.expand(len(noise), *x.shape))
        texts = [condition if text else without for text in kinds]
        nothing = empty.expand_as(history), torch.ones_like(history_mask)
        slots = [*[nothing] * (len(kinds) - 1), (history, history_mask)]
        rows = [self.history_embedding(text.states, text.mask, *past) for text, past in zip(texts, slots, strict=True)]
        context, mask = (torch.cat(part) for part in zip(*rows, strict=True))
        options = {
            "encoder_hidden_states": context,
            "encoder_attention_mask": None if mask.all() else mask,
            "class_labels": None if self.unet.config.class_embed_type is None else Conditioning.cat(texts).pooled,
        }
        self._set_timesteps(num_inference_steps, timesteps, sigmas, noise.device)
        x = noise * self.scheduler.init_noise_sigma
        extra = self._step_options(eta)
        if "generator" in inspect.signature(self.scheduler.step).parameters:
            extra["generator"] = generators
        with context_cache(self.unet):
            for i, t in enumerate(self.scheduler.timesteps):
                model_input = self.scheduler.scale_model_input(torch.cat([x] * len(kinds)), t)
                parts = self.unet(model_input, t, **options, return_dict=False)[0].chunk(len(kinds))
                prediction = guided(parts, self._guidance_scale, memory_guidance_scale, self._guidance_rescale)
                x = self.scheduler.step(prediction, t, x, **extra, return_dict=False)[0]
                x = on_step(i, t, {"latents": x, "noise_prediction": prediction})
                if self._interrupt:
                    break
        return x

    def _read(self, stories: list[list[str]]) -> tuple[Conditioning, Tensor, Tensor]:
        """The conditioning (B, M, …) of stories, and token ids and mask (B, M, S) for the history encoder; shorter stories are padded with empty
        sentences. Raises ValueError if a sentence is too long for either."""
        longest, device = max(map(len, stories)), self._execution_device
        padded = [story + [""] * (longest - len(story)) for story in stories]
        ids, mask = (x.to(device) for x in tokenize_stories(self.tokenizer, padded))
        history_ids, history_mask = (x.to(device) for x in tokenize_stories(self.history_tokenizer, padded))
        condition = replace(encode_stories(self.text_encoder, None, ids, mask), mask=mask)
        return condition.to(dtype=self.unet.dtype), history_ids, history_mask

    def _without(self, stories: list[list[str]]) -> Conditioning:
        """The same of what guidance leads away from, whose padding is read, as in training."""
        condition = self._read(stories)[0]
        return replace(condition, mask=torch.ones_like(condition.mask))  # type: ignore[arg-type]

    def _read_frame(self, ids: Tensor, mask: Tensor, frame: Tensor) -> Tensor:
        """A sentence (S,) and its frame (3, H, W) → states (S, D)."""
        token = self.history_embedding.config.encoder_token
        return read_history(self.history_encoder, token, ids[None], mask[None], frame[None])[0].to(self.unet.dtype)

    def _empty_history(self, height: int, width: int) -> Tensor:
        """Of the empty sentence and a black picture (S, D)."""
        ids, mask = (x[0].to(self._execution_device) for x in tokenize_sentences(self.history_tokenizer, [""]))
        return self._read_frame(ids, mask, torch.full((3, height, width), BLACK, device=ids.device))

    def call_defaults(self) -> tuple[int, float]:
        own = self.unet.config.class_embed_type is not None or self.vae.config.get("latents_mean") is not None
        return (20, 2.0) if own else (usual_steps(self.scheduler), 6.0)
