"""What users of diffusers' Stable Diffusion find in StoryLDMPipeline under the same names: what callbacks read and change, switching between the two
pipelines, FreeU, fused projections, slicing; what is refused by name, and checks of these arguments."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Self

import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.loaders.ip_adapter import IPAdapterMixin
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin
from diffusers.pipelines.pipeline_utils import StableDiffusionMixin
from torch import Tensor

from .base import StoryPipeline
from .checks import check_count, check_number, check_tensor, check_text
from .pictures import has_ip_adapter

SETTINGS = ("force_zeros_for_empty_prompt", "default_steps", "default_guidance")  # of model_index.json, beside the components
LARGEST = 16384  # pixels a side
REFUSED = {
    "prompt": "it is called `sentences`: one for each frame",
    "callback": "it is called `callback_on_step_end`",
    "callback_steps": "`callback_on_step_end` is called after every step",
    "num_videos_per_prompt": "it is called `num_images_per_prompt`",
    "negative_prompt_2": "all text encoders read `negative_prompt`",
    "prompt_2": "all text encoders read `sentences`",
}


class DiffusersConventions(
    StoryPipeline, StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin, StableDiffusionMixin, IPAdapterMixin, TextualInversionLoaderMixin
):
    _lora_loadable_modules = ["unet", "text_encoder", "text_encoder_2"]
    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "noise_prediction"]
    _guidance_scale = 1.0
    _guidance_rescale = 0.0
    _clip_skip: int | None = None
    _cross_attention_kwargs: dict[str, Any] | None = None
    _num_timesteps = 0
    _interrupt = False

    @property
    def guidance_scale(self) -> float:
        """Of the frame that is being drawn. A callback that sets `_guidance_scale` changes it for the rest of that frame."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        return self._guidance_scale > 1 and self.unet.config.time_cond_proj_dim is None

    @property
    def guidance_rescale(self) -> float:
        return self._guidance_rescale

    @property
    def clip_skip(self) -> int | None:
        return self._clip_skip

    @property
    def cross_attention_kwargs(self) -> dict[str, Any] | None:
        return self._cross_attention_kwargs

    @property
    def num_timesteps(self) -> int:
        """Calls of the UNet for one frame: with some schedulers more than the steps."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """A callback that sets `_interrupt` ends the drawing: the frames so far are returned, the last one as it is."""
        return self._interrupt

    @classmethod
    def from_pipe(cls, pipeline: Any, **kwargs: Any) -> Self:
        """A story pipeline with the components of another one, or of a Stable Diffusion; see `to_stable_diffusion` for the way back.

        kwargs: components to take instead; memory_adapter, for a Stable Diffusion; dtype, by default as they are."""
        from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

        dtype = kwargs.pop("dtype", kwargs.pop("torch_dtype", None))
        if isinstance(pipeline, (StableDiffusionPipeline, StableDiffusionXLPipeline)):
            adapter = kwargs.pop("memory_adapter", None)
            pipe = cls.from_stable_diffusion(pipeline, adapter)  # type: ignore[attr-defined]
            pipe.register_modules(**kwargs)
        else:
            settings = {name: pipeline.config[name] for name in SETTINGS if name in pipeline.config}
            pipe = cls(**{**pipeline.components, **settings, **kwargs})
        return pipe if dtype is None else pipe.to(dtype=dtype)

    def to_stable_diffusion(self) -> Any:
        """The Stable Diffusion (XL) pipeline that this one was made from, without memory; its components, the UNet's weights among them, are shared.

        Raises ValueError if the UNet or what reads the sentences is not that of a Stable Diffusion, or if the UNet has LoRAs."""
        from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

        config = self.unet.config
        if self.text_encoder is None or config.class_embed_type is not None:
            raise ValueError("this pipeline is not made from a Stable Diffusion: it has no text encoder, or a UNet that reads pooled sentences")
        if getattr(self.unet, "peft_config", None):
            raise ValueError(f"the UNet has the LoRAs {list(self.unet.peft_config)}; it must have none: fuse or unload them")
        if has_ip_adapter(self.unet):
            raise ValueError("the UNet has an IP-Adapter; it must have none: call unload_ip_adapter()")
        unet = self.unet.to_unet()
        parts = {name: getattr(self, name) for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
        if self.text_encoder_2 is not None:
            parts |= {"text_encoder_2": self.text_encoder_2, "tokenizer_2": self.tokenizer_2, "unet": unet}
            return StableDiffusionXLPipeline(**parts, force_zeros_for_empty_prompt=self.config.force_zeros_for_empty_prompt, add_watermarker=False)
        none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return StableDiffusionPipeline(unet=unet, **parts, **none)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """diffusers' method. Raises ValueError if an IP-Adapter is loaded, which is no component."""
        if has_ip_adapter(self.unet):
            raise ValueError("an IP-Adapter is loaded, and is not saved with a pipeline: call unload_ip_adapter(), and load it again afterwards")
        super().save_pretrained(*args, **kwargs)

    def load_lora_weights(self, *args: Any, **kwargs: Any) -> None:
        """diffusers' method, of Stable Diffusion or of XL."""
        kind = StableDiffusionLoraLoaderMixin if self.text_encoder_2 is None else StableDiffusionXLLoraLoaderMixin
        kind.load_lora_weights(self, *args, **kwargs)

    @classmethod
    def save_lora_weights(cls, *args: Any, **kwargs: Any) -> None:
        """diffusers' method, of Stable Diffusion or, if there are layers of a second text encoder, of XL."""
        xl = any(name.startswith("text_encoder_2") for name in kwargs)
        kind = StableDiffusionXLLoraLoaderMixin if xl else StableDiffusionLoraLoaderMixin
        kind.save_lora_weights.__func__(cls, *args, **kwargs)

    def fuse_lora(self, components: list[str] | None = None, *args: Any, **kwargs: Any) -> None:
        """diffusers' method; by default of all parts that have LoRAs."""
        super().fuse_lora(self._lora_loadable_modules if components is None else components, *args, **kwargs)

    def unfuse_lora(self, components: list[str] | None = None, **kwargs: Any) -> None:
        """diffusers' method; by default of all parts that have LoRAs."""
        super().unfuse_lora(self._lora_loadable_modules if components is None else components, **kwargs)

    def enable_vae_slicing(self) -> None:
        """Frames pass the autoencoder one by one. (They do so already when they are decoded.)"""
        self.vae.enable_slicing()

    def disable_vae_slicing(self) -> None:
        self.vae.disable_slicing()

    def enable_vae_tiling(self) -> None:
        """Large frames pass the autoencoder in overlapping tiles, which takes less memory."""
        self.vae.enable_tiling()

    def disable_vae_tiling(self) -> None:
        self.vae.disable_tiling()

    def load_textual_inversion(self, inversion: Any, *args: Any, **kwargs: Any) -> None:
        """diffusers' method, from safetensors alone unless `use_safetensors=False` is given: new words, of one or several vectors, in the tokenizer
        and the text encoder; of XL once for each, with `tokenizer` and `text_encoder`. Raises ValueError for a pickle, and if there is a reader."""
        if self.text_encoder is None:
            raise ValueError("this pipeline has a reader, and textual inversions are for a CLIP text encoder: name the character in the text")
        kwargs.setdefault("use_safetensors", True)
        for name in (*(inversion if isinstance(inversion, list) else [inversion]), kwargs.get("weight_name")):
            if kwargs["use_safetensors"] and str(name).lower().endswith((".pt", ".bin", ".ckpt", ".pth")):
                raise ValueError(f"{name} may be a pickle; a textual inversion is a .safetensors file, or open weights")
        super().load_textual_inversion(inversion, *args, **kwargs)

    def load_ip_adapter(
        self,
        adapter: Any,
        subfolder: str | list[str],
        weight_name: str | list[str],
        image_encoder_folder: str | None = "image_encoder",
        **kwargs: Any,
    ) -> None:
        """diffusers' method, from safetensors alone. Raises ValueError for a pickle, and if the pipeline has a reader."""
        if self.text_encoder is None:
            raise ValueError("this pipeline has a reader, and IP-Adapters are for a Stable Diffusion: give the first frames (frames=) instead")
        for name in weight_name if isinstance(weight_name, list) else [weight_name]:
            if not isinstance(adapter, dict) and not str(name).endswith(".safetensors"):
                raise ValueError(f"weight_name is {name!r}, which may be a pickle; it must be a .safetensors file, or the adapter its open weights")
        if any(type(processor).__name__.startswith("Sliced") for processor in self.unet.attn_processors.values()):
            raise ValueError("attention is sliced, which that of an IP-Adapter cannot be: call disable_attention_slicing()")
        source, inside = (x[0] if isinstance(x, list) else x for x in (adapter, subfolder))
        if self.image_encoder is None and image_encoder_folder is not None and not isinstance(source, dict):
            from transformers import CLIPVisionModelWithProjection

            place = image_encoder_folder if "/" in image_encoder_folder else str(PurePosixPath(inside or "", image_encoder_folder))
            hub = {name: kwargs[name] for name in ("cache_dir", "local_files_only", "token", "revision") if name in kwargs}
            encoder = CLIPVisionModelWithProjection.from_pretrained(source, subfolder=place, use_safetensors=True, dtype=self.dtype, **hub)
            self.register_modules(image_encoder=encoder.to(self.device))
        super().load_ip_adapter(adapter, subfolder, weight_name, image_encoder_folder, **kwargs)

    def _official(self, callback: Any, tensors: Any) -> tuple[bool, list[str]]:
        """Whether a callback is one of diffusers' objects, and the tensors that it is given."""
        if callback is not None and not callable(callback):
            raise ValueError(f"callback_on_step_end is {callback!r}; it must be a function (pipe, step, timestep, tensors) -> tensors, or None")
        official = isinstance(callback, (PipelineCallback, MultiPipelineCallbacks))
        if official:
            tensors = callback.tensor_inputs
        names = self._callback_tensor_inputs
        if not isinstance(tensors, (list, tuple)) or not all(isinstance(name, str) and name in names for name in tensors):
            raise ValueError(f"callback_on_step_end_tensor_inputs has {tensors!r}; it may have {', '.join(names)}")
        return official, list(tensors)

    def _set_timesteps(self, steps: int, timesteps: Any = None, sigmas: Any = None, device: torch.device | None = None) -> list[int]:
        """Sets the scheduler's timesteps; returns which of them end a step, and so move the progress bar.

        Raises ValueError for what the scheduler does not take."""
        given = {name: values for name, values in (("timesteps", timesteps), ("sigmas", sigmas)) if values is not None}
        for name, values in given.items():
            high = 1e6 if name == "sigmas" else self.scheduler.config.get("num_train_timesteps", 1000) - 1
            if not isinstance(values, (list, tuple)) or not values:
                raise ValueError(f"{name} is {values!r}; it must be a list of numbers, from the noisiest on, or None")
            for value in values:
                check_number(name, value, 0, high)
            if any(a <= b for a, b in pairwise(values)):
                raise ValueError(f"{name} is {values!r}; each must be below the one before")
            if name not in inspect.signature(self.scheduler.set_timesteps).parameters:
                raise ValueError(f"{name} is given, and {type(self.scheduler).__name__} takes none: leave it out, or take another scheduler")
        if timesteps is not None and sigmas is not None:
            raise ValueError("timesteps and sigmas are both given; give one of them")
        self.scheduler.set_timesteps(*([] if given else [steps]), device=device, **given)
        times, order = self.scheduler.timesteps, getattr(self.scheduler, "order", 1)
        self._num_timesteps = len(times)
        # as in diffusers: a scheduler may begin with extra calls, and then needs `order` calls a step
        first = len(times) - (len(times) if given else steps) * order
        return [i for i in range(len(times)) if i == len(times) - 1 or (i + 1 > first and (i + 1) % order == 0)]

    def _step_options(self, eta: float) -> dict[str, Any]:
        """What the scheduler's step takes of eta. Raises ValueError if eta is not 0, and it does not."""
        takes = "eta" in inspect.signature(self.scheduler.step).parameters
        if eta and not takes:
            raise ValueError(f"eta is {eta}, and {type(self.scheduler).__name__} takes none: leave it 0, or take DDIMScheduler")
        return {"eta": eta} if takes else {}

    def _pooled_width(self, states: Tensor) -> int:
        """Of the pooled embeddings that go with states (…, L, D)."""
        if self.text_encoder_2 is None:
            return states.shape[-1]
        return self.text_encoder_2.config.projection_dim + (states.shape[-1] if self._needs_pooled else 0)

    def call_defaults(self) -> tuple[int, float]:
        """Steps and guidance where a call gives none: the pipeline's own if it has some, else diffusers' for a Stable Diffusion, and those of the
        built-in world's models for others."""
        if self.text_encoder_2 is not None:
            steps, guidance = usual_steps(self.scheduler), 5.0
        else:
            own = self.reader is not None or self.unet.config.class_embed_type is not None or self.vae.config.get("latents_mean") is not None
            steps, guidance = (20, 2.0) if own else (usual_steps(self.scheduler), 7.5)
        return self.config.get("default_steps", steps), self.config.get("default_guidance", guidance)

    @property
    def _needs_pooled(self) -> bool:
        return self.unet is not None and (self.unet.config.memory != "none" or self.unet.config.class_embed_type is not None)

    def _check_size(self, height: Any, width: Any, factor: int) -> tuple[int, int]:
        sample_size = self.unet.config.get("memory_sample_size") or self.unet.config.sample_size
        native = [side * factor for side in ((sample_size, sample_size) if isinstance(sample_size, int) else sample_size)]
        sides = [side if given is None else given for given, side in zip((height, width), native, strict=True)]
        for name, value in zip(("height", "width"), sides, strict=True):
            check_count(name, value, LARGEST)
        multiple = factor if sides == native else factor * 2**self.unet.num_upsamplers
        for name, value in zip(("height", "width"), sides, strict=True):
            if value % multiple:
                raise ValueError(f"{name} is {value}; it must be positive and divisible by {multiple}")
        return int(sides[0]), int(sides[1])

    def _check_text(self, negative_prompt: Any, negative_embeds: Any, negative_pooled: Any, clip_skip: Any, embeds: bool) -> None:
        if negative_prompt is not None:
            if negative_embeds is not None:
                raise ValueError("negative_prompt and negative_prompt_embeds are both given; give one of them")
        if negative_embeds is not None:
            check_tensor("negative_prompt_embeds", negative_embeds, (None, None))
        needed = self._needs_pooled or self.text_encoder_2 is not None
        if negative_pooled is not None or (negative_embeds is not None and needed):
            check_tensor("negative_pooled_prompt_embeds", negative_pooled, (None,))
            if negative_embeds is None or len(negative_pooled) != self._pooled_width(negative_embeds):
                raise ValueError("negative_pooled_prompt_embeds must be given together with negative_prompt_embeds, and have their width")
        if clip_skip is not None:
            if self.text_encoder is None or embeds:
                raise ValueError(f"clip_skip is {clip_skip!r}; there is no CLIP text encoder to be used, of which layers could be left out")
            layers = self.text_encoder.config.num_hidden_layers
            if self.text_encoder_2 is not None:  # of which the last one is left out anyway
                layers = min(layers, self.text_encoder_2.config.num_hidden_layers) - 1
            check_number("clip_skip", clip_skip, 0, layers)
            if int(clip_skip) != clip_skip:
                raise ValueError(f"clip_skip is {clip_skip!r}; it must be a whole number of layers")

    def _check_embeds(self, states: Any, pooled: Any, copies: int) -> list[int]:
        """The lengths of the stories of embeddings."""
        width = self.unet.config.cross_attention_dim
        check_tensor("prompt_embeds", states, (None, None, None, width if isinstance(width, int) else None))
        if not states.numel():
            raise ValueError(f"prompt_embeds have the shape {tuple(states.shape)}; they must be of at least one sentence")
        if pooled is not None or self._needs_pooled or self.text_encoder_2 is not None:
            check_tensor("pooled_prompt_embeds", pooled, (*states.shape[:2], self._pooled_width(states)))
        return [states.shape[1]] * (len(states) * copies)


def usual_steps(scheduler: Any) -> int:
    """Steps for a Stable Diffusion: diffusers' 50, or what its scheduler is made for: 25 of a solver of higher order, 4 of a distilled model."""
    kind = type(scheduler).__name__
    if kind in ("LCMScheduler", "TCDScheduler"):
        return 4
    return 25 if kind.startswith(("DPMSolver", "UniPC", "DEIS", "SASolver", "KDPM2", "Heun")) else 50


def check_negative(negative: Any, lengths: list[int]) -> str | list[list[str]] | None:
    """A negative prompt for all frames, or one a frame as lists of stories. lengths: frames of each story."""
    if negative is None:
        return None
    if isinstance(negative, str):
        check_text("negative_prompt", negative)
        return negative
    one = isinstance(negative, (list, tuple)) and not any(isinstance(story, (list, tuple)) for story in negative)
    stories = [negative] if one and len(lengths) == 1 else negative
    right = "it must be a string, a list with a string for each frame, a list of such lists with one for each story, or None"
    if not isinstance(stories, (list, tuple)) or len(stories) != len(lengths) or not all(isinstance(story, (list, tuple)) for story in stories):
        raise ValueError(f"negative_prompt is {negative!r}; {right}")
    for n, (story, length) in enumerate(zip(stories, lengths, strict=True)):
        if len(story) != length or not all(isinstance(text, str) for text in story):
            raise ValueError(f"negative_prompt is {negative!r}, and story {n} has {length} frames; {right}")
        for m, text in enumerate(story):
            check_text(f"negative_prompt of frame {m} of story {n}", text)
    return [list(story) for story in stories]


def check_long(long_sentences: Any, clip: bool) -> None:
    if long_sentences not in ("error", "chunks"):
        raise ValueError(f"long_sentences is {long_sentences!r}; it must be error or chunks")
    if long_sentences == "chunks" and not clip:
        raise ValueError("long_sentences is 'chunks', and this pipeline has a reader, which reads a sentence whole; only CLIP's are read in chunks")


def refuse(arguments: dict[str, Any]) -> None:
    """Arguments that no story pipeline has: ValueError for those of diffusers, with the reason, otherwise TypeError."""
    for name, value in arguments.items():
        if name not in REFUSED:
            raise TypeError(f"{name} is not an argument of this pipeline")
        if value is not None:
            raise ValueError(f"{name} is not an argument of this pipeline: {REFUSED[name]}")


def changed_embeds(name: str, before: Tensor, changed: dict[str, Tensor], cut: bool) -> Tensor:
    """Embeddings that a callback returned. cut: it has just ended the guidance, for which diffusers' own also drops rows; here that is not needed."""
    after = changed.get(name, before)
    if after.shape != before.shape and not cut:
        raise ValueError(f"the callback returned {name} of the shape {tuple(after.shape)}; they have the shape {tuple(before.shape)}")
    return after if after.shape == before.shape else before
