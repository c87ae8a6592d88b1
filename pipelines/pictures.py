"""Pictures that guide frames of StoryLDMPipeline, one a frame: ControlNet, IP-Adapter, and sketches (img2img), by diffusers' loaders and models.

    pipe = StoryLDMPipeline.from_stable_diffusion(folder, controlnet=ControlNetModel.from_pretrained("owner/name"))
    pipe(sentences, control_image=[pose, None, pose])                     # None: nothing guides this frame
    pipe.load_ip_adapter("h94/IP-Adapter", subfolder="models", weight_name="ip-adapter_sd15.safetensors")
    pipe(sentences, ip_adapter_image=portrait)                            # of all frames
    pipe(sentences, image=[sketch, None, None], strength=0.6)

What a picture does to its frame it does to later ones through memory alone: earlier frames are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.attention_processor import IPAdapterAttnProcessor, IPAdapterAttnProcessor2_0, IPAdapterXFormersAttnProcessor
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from torch import Tensor, nn

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.latents import encode_frames, upcast

from .checks import check_flags, check_number, check_tensor

Pictures: TypeAlias = list[list[tuple[Image.Image, ...] | None]]  # of each frame of each story
IMAGE_EMBEDS = "image_embeds_"  # and a number: what the UNet's IP-Adapters read, among the added conditions
PROCESSORS = (IPAdapterAttnProcessor, IPAdapterAttnProcessor2_0, IPAdapterXFormersAttnProcessor)


def check_pictures(name: str, value: Any, lengths: Sequence[int], copies: int, each: int = 1, whose: str = "") -> Pictures:
    """One for all frames, a list with one a frame (None: none), or a list of such lists with one for each story. each: how many belong together in
    a tuple, one for each of the ControlNets or IP-Adapters, which `whose` names. lengths: frames of each drawing; copies: drawings of each story."""
    stories, lengths = value, lengths[::copies]
    if isinstance(value, (Image.Image, tuple)):
        stories = [[value] * length for length in lengths]
    elif isinstance(value, list) and len(lengths) == 1 and not any(isinstance(story, list) for story in value):
        stories = [value]
    right = "it must be a PIL image, a list with one (or None) for each frame, or a list of such lists with one for each story"
    if not isinstance(stories, list) or len(stories) != len(lengths) or not all(isinstance(story, list) for story in stories):
        raise ValueError(f"{name} is {value!r}; {right}")
    found: Pictures = []
    for n, (story, length) in enumerate(zip(stories, lengths, strict=True)):
        if len(story) != length:
            raise ValueError(f"{name} has {len(story)} pictures for story {n} of {length} frames; {right}")
        tuples = [picture if picture is None or isinstance(picture, tuple) else (picture,) for picture in story]
        for m, pictures in enumerate(tuples):
            if pictures is not None and not all(isinstance(picture, Image.Image) for picture in pictures):
                raise ValueError(f"{name} of frame {m} of story {n} is {story[m]!r}; {right}")
            if pictures is not None and len(pictures) != each:
                raise ValueError(f"{name} of frame {m} of story {n} has {len(pictures)} pictures for {each} {whose}: give a tuple with one for each")
        found += [tuples] * copies
    return found


# ControlNet


@dataclass(frozen=True)
class Control:
    """What ControlNets add to the UNet while one frame of each of B stories is drawn: pictures (B, 3, H, W), one tensor a ControlNet; which of the
    frames have any (B,); and of each ControlNet its scale and the shares of the steps between which it is used."""

    net: Any
    pictures: list[Tensor]
    given: Tensor
    scales: list[float]
    start: list[float]
    end: list[float]
    guess_mode: bool

    def residuals(self, step: int, steps: int, x: Tensor, timestep: Tensor, rows: Conditioning, kinds: int) -> dict[str, Any]:
        """The UNet's arguments for step `step` of `steps`. x, rows: what the UNet reads, all stories of one of the `kinds` of rows after those of
        another; in guess mode the first kind, which is without text, gets nothing."""
        used = [start <= step / steps and (step + 1) / steps <= end for start, end in zip(self.start, self.end, strict=True)]
        if not any(used):
            return {}
        scales = [scale * use for scale, use in zip(self.scales, used, strict=True)]
        skipped = len(x) // kinds if self.guess_mode and kinds > 1 else 0
        read = rows[skipped:]
        pictures = [torch.cat([picture] * (kinds - bool(skipped))) for picture in self.pictures]
        one = not isinstance(self.net, MultiControlNetModel)
        down, mid = self.net(
            x[skipped:],
            timestep,
            encoder_hidden_states=read.states,
            controlnet_cond=pictures[0] if one else pictures,
            conditioning_scale=scales[0] if one else scales,
            class_labels=read.pooled,
            added_cond_kwargs={name: read.added[name] for name in ("text_embeds", "time_ids") if name in read.added},
            guess_mode=self.guess_mode,
            return_dict=False,
        )

        def of_rows(residual: Tensor) -> Tensor:
            if skipped:
                residual = torch.cat([residual.new_zeros(skipped, *residual.shape[1:]), residual])
            return residual if self.given.all() else residual * self.given.repeat(kinds).view(-1, 1, 1, 1)

        return {"down_block_additional_residuals": [of_rows(x) for x in down], "mid_block_additional_residual": of_rows(mid)}


def check_control(
    pipe: Any,
    image: Any,
    scale: Any,
    start: Any,
    end: Any,
    guess_mode: Any,
    size: tuple[int, int],
    lengths: Sequence[int],
    copies: int,
    chunks: bool,
) -> Callable[[list[int], int | list[int]], Control | None]:
    """Checks the arguments of ControlNets; returns what they add to one frame of each of some stories: (stories, frame or frames) → Control.

    size: height and width of the frames. lengths, copies: as of `check_pictures`. chunks: whether long sentences are read in chunks."""
    check_flags(guess_mode=guess_mode)
    if image is None:
        return lambda stories, m: None
    if pipe.controlnet is None:
        raise ValueError("control_image is given, and there is no ControlNet: pipe.register_modules(controlnet=ControlNetModel.from_pretrained(…))")
    if not isinstance(pipe.controlnet, (ControlNetModel, MultiControlNetModel)):
        raise ValueError(f"controlnet is a {type(pipe.controlnet).__name__}; it must be a ControlNetModel, or several in a MultiControlNetModel")
    if pipe.text_encoder is None:
        raise ValueError("control_image is given, and this pipeline has a reader; a ControlNet reads what a CLIP text encoder makes of a sentence")
    if chunks:
        raise ValueError("long_sentences is 'chunks', and control_image is given: a ControlNet does not read sentences in chunks; give one of them")
    nets = list(pipe.controlnet.nets) if isinstance(pipe.controlnet, MultiControlNetModel) else [pipe.controlnet]
    for net in nets:
        for field in ("cross_attention_dim", "block_out_channels", "layers_per_block", "addition_embed_type", "class_embed_type"):
            wanted, found = (part.config.get(field) for part in (pipe.unet, net))
            if wanted != found and list(_listed(wanted)) != list(_listed(found)):
                raise ValueError(f"{field} of the ControlNet is {found}, and of the UNet {wanted}: take a ControlNet for this Stable Diffusion")
    settings: list[list[float]] = []
    for name, value in (("controlnet_conditioning_scale", scale), ("control_guidance_start", start), ("control_guidance_end", end)):
        values = value if isinstance(value, list) else [value] * len(nets)
        if len(values) != len(nets):
            raise ValueError(f"{name} is {value!r}; it must be a number, or a list of one for each of the {len(nets)} ControlNets")
        for one in values:
            check_number(name, one, *([] if name.endswith("scale") else [0, 1]))
        settings.append(values)
    scales, starts, ends = settings
    for first, last in zip(starts, ends, strict=True):
        if first >= last:
            raise ValueError(f"control_guidance_start is {first}; it must be below control_guidance_end, which is {last}")
    pictures = check_pictures("control_image", image, lengths, copies, len(nets), "ControlNets")
    processor = VaeImageProcessor(vae_scale_factor=1, do_convert_rgb=True, do_normalize=False)
    guess_mode = guess_mode or bool(nets[0].config.get("global_pool_conditions"))

    def of(stories: list[int], m: int | list[int]) -> Control | None:
        frames = [pictures[n][k] for n, k in zip(stories, m if isinstance(m, list) else [m] * len(stories), strict=True)]
        if not any(frames):
            return None
        device, blank = pipe._execution_device, Image.new("RGB", (1, 1))
        tensors = [
            torch.cat([processor.preprocess(blank if frame is None else frame[i], *size) for frame in frames]).to(device, pipe.controlnet.dtype)
            for i in range(len(nets))
        ]
        tensors = [x.contiguous() for x in tensors]  # as diffusers' are: the last bits depend on the order in memory
        given = torch.tensor([frame is not None for frame in frames], device=device)
        return Control(pipe.controlnet, tensors, given, scales, starts, ends, guess_mode)

    return of


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


# IP-Adapter


def has_ip_adapter(unet: nn.Module) -> bool:
    return getattr(unet.config, "encoder_hid_dim_type", None) == "ip_image_proj"


def check_ip_adapter(
    pipe: Any, image: Any, embeds: Any, lengths: Sequence[int], copies: int, guided: bool = True
) -> Callable[[Conditioning, Conditioning], tuple]:
    """Checks the arguments of IP-Adapters; returns what adds their images to the conditioning (B, M, …) of stories and to the negative one, which is
    read if guided."""
    names = ["ip_adapter_image"] * (image is not None) + ["ip_adapter_image_embeds"] * (embeds is not None)
    if not has_ip_adapter(pipe.unet):
        if names:
            raise ValueError(f"{names[0]} is given, and no IP-Adapter is loaded: pipe.load_ip_adapter(…)")
        return lambda condition, negative: (condition, negative)
    if len(names) != 1:
        raise ValueError(
            f"an IP-Adapter is loaded, and {' and '.join(names) or 'no picture'} given: give ip_adapter_image, a picture a frame, or "
            "ip_adapter_image_embeds; or call pipe.unload_ip_adapter()"
        )
    if not any(isinstance(processor, PROCESSORS) for processor in pipe.unet.attn_processors.values()):
        raise ValueError("the IP-Adapter's attention was replaced (by sliced, fused or xformers attention): load it again, after that")
    layers = pipe.unet.encoder_hid_proj.image_projection_layers
    if embeds is not None:
        return _given_embeds(embeds, lengths, copies, len(layers), guided)
    if pipe.image_encoder is None:
        raise ValueError("ip_adapter_image is given, and the IP-Adapter was loaded without image encoder: give ip_adapter_image_embeds")
    pictures = check_pictures("ip_adapter_image", image, lengths, copies, len(layers), "IP-Adapters")

    def add(condition: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
        from diffusers import StableDiffusionPipeline

        positives, negatives = dict[str, Tensor](), dict[str, Tensor]()
        for i, layer in enumerate(layers):
            read: dict[int, tuple[Tensor, Tensor]] = {}  # each picture once, and alone: the last bits depend on the number of rows

            def encoded(picture: Image.Image, read: dict = read, hidden: bool = not isinstance(layer, ImageProjection)) -> tuple[Tensor, Tensor]:
                if id(picture) not in read:
                    read[id(picture)] = StableDiffusionPipeline.encode_image(pipe, picture, pipe._execution_device, 1, hidden)
                return read[id(picture)]

            some = next((frame[i] for story in pictures for frame in story if frame), Image.new("RGB", (1, 1)))
            none = encoded(some)[1]
            rows = [[none if frame is None else encoded(frame[i])[0] for frame in story] for story in pictures]
            longest = condition.states.shape[1]
            positives[f"{IMAGE_EMBEDS}{i}"] = torch.stack([torch.stack(story + [none] * (longest - len(story))) for story in rows])
            negatives[f"{IMAGE_EMBEDS}{i}"] = none.expand(*negative.states.shape[:-2], *none.shape)
        return replace(condition, added=condition.added | positives), replace(negative, added=negative.added | negatives)

    return add


def _given_embeds(embeds: Any, lengths: Sequence[int], copies: int, adapters: int, guided: bool) -> Callable[[Conditioning, Conditioning], tuple]:
    """For `ip_adapter_image_embeds`, as diffusers' `prepare_ip_adapter_image_embeds` makes them: of each adapter (2, pictures, …), the negative one
    first, for all frames, or without guidance (1, pictures, …); or (stories, M, 2, pictures, …)."""
    if not isinstance(embeds, list) or len(embeds) != adapters:
        raise ValueError(f"ip_adapter_image_embeds must be a list with a tensor for each of the {adapters} IP-Adapters")
    shape = (len(lengths) // copies, max(lengths))
    if not guided:  # a negative one that nothing reads
        embeds = [torch.cat([x, x]) if isinstance(x, Tensor) and x.ndim in (3, 4) and len(x) == 1 else x for x in embeds]
    for x in embeds:
        dims = getattr(x, "ndim", 0)
        check_tensor("ip_adapter_image_embeds", x, (*shape, 2, *[None] * (dims - 3)) if dims > 4 else (2, *[None] * max(dims - 1, 2)))

    def add(condition: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
        frames = [(x if x.ndim > 4 else x.expand(*shape, *x.shape)).repeat_interleave(copies, 0).to(condition.states) for x in embeds]
        if negative.states.ndim == 2:
            negative = negative.map(lambda x: x.expand(len(lengths), shape[1], *x.shape))
        negatives, positives = ({f"{IMAGE_EMBEDS}{i}": x[:, :, which] for i, x in enumerate(frames)} for which in (0, 1))
        return replace(condition, added=condition.added | positives), replace(negative, added=negative.added | negatives)

    return add


# sketches


@dataclass(frozen=True)
class Sketches:
    """Sketches of frames, and how many of the scheduler's calls those frames leave out at their beginning."""

    pictures: Pictures
    left_out: int = 0

    def groups(self, stories: list[int], m: int) -> list[list[int]]:
        """Stories of which frame m is drawn together: all from noise, or all from sketches."""
        parts = [[n for n in stories if self.has(n, m) == sketched] for sketched in (False, True)]
        return [part for part in parts if part]

    def has(self, n: int, m: int) -> bool:
        return bool(self.pictures) and self.pictures[n][m] is not None

    def begin(self, stories: list[int], m: int) -> int:
        """The index of the first of the scheduler's calls for frame m of one of the groups."""
        return self.left_out if self.has(stories[0], m) else 0

    def latents(self, pipe: Any, stories: list[int], m: int, generators: Any, size: tuple[int, int], dtype: torch.dtype) -> Tensor | None:
        """Latents (B, c, h, w) of the sketches of one of the groups; None of one that begins with noise. As in diffusers' img2img, the autoencoder
        draws from each frame's generator, before the noise."""
        if not self.has(stories[0], m):
            return None
        processor, vae = VaeImageProcessor(vae_scale_factor=1, do_convert_rgb=True), pipe.vae
        each = generators if isinstance(generators, list) else [generators] * len(stories)
        pictures = [processor.preprocess(self.pictures[n][m][0], *size).to(pipe._execution_device, dtype) for n in stories]  # type: ignore[index]
        with upcast(vae, pipe.text_encoder_2 is not None):
            return torch.cat([encode_frames(vae, x, sample=True, generator=g) for x, g in zip(pictures, each, strict=True)]).to(dtype)


def check_sketches(pipe: Any, image: Any, strength: Any, lengths: Sequence[int], copies: int, steps: int) -> Sketches:
    """Checks the arguments of sketches. steps: of one frame, which a strength of 1 takes all."""
    if image is None:
        if strength is not None:
            raise ValueError(f"strength is {strength!r}, and image is not given: it says how far a frame leaves its sketch")
        return Sketches([])
    strength = 0.8 if strength is None else strength
    check_number("strength", strength, 0, 1)
    if int(steps * strength) < 1:
        raise ValueError(f"strength is {strength}; of {steps} steps it leaves none: it must be at least {1 / steps:.3g}")
    if not hasattr(pipe.scheduler, "add_noise"):
        raise ValueError(f"image is given, and {type(pipe.scheduler).__name__} adds no noise to a sketch: take another scheduler")
    left_out = (steps - min(int(steps * strength), steps)) * getattr(pipe.scheduler, "order", 1)
    return Sketches(check_pictures("image", image, lengths, copies), left_out)


def begun(scheduler: Any, sketch: Tensor, noise: Tensor, left_out: int) -> Tensor:
    """What the drawing of a frame begins with, from its sketch."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(left_out)
    return scheduler.add_noise(sketch, noise, scheduler.timesteps[left_out : left_out + 1].repeat(len(sketch)))
