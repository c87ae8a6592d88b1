"""Opening a Stable Diffusion 1.x, 2.x or XL, and what is none that draws from text alone.

sd = open_stable_diffusion("folder, hub name or .safetensors file")       # a StableDiffusionPipeline or StableDiffusionXLPipeline, in float32
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

from story_ldm.files import HUB_NAME, check_shards
from story_ldm.model_folders import as_broken_folder, check_component, half_variant, is_single_file
from story_ldm.systems.story_ldm.single_file import open_single_file

StableDiffusion: TypeAlias = StableDiffusionPipeline | StableDiffusionXLPipeline
PARTS: dict[str, str | None] = {"vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "unet": "UNet2DConditionModel", "text_encoder_2": None}
XL_PARTS = {**PARTS, "text_encoder_2": "CLIPTextModelWithProjection"}
REFINER = "is the refiner of a Stable Diffusion XL, which goes over finished pictures and draws none from text: take the base model"


def open_stable_diffusion(folder: str | Path, **settings: Any) -> StableDiffusion:
    """A Stable Diffusion 1.x, 2.x or XL from a diffusers folder, a hub name or one .safetensors file, in float32 unless `dtype` is given, and without
    its safety checker. Weights that a folder has in half precision alone are taken. settings: those of `from_pretrained`, or `open_single_file`.

    Raises ValueError, before any weight is read, if it is something else."""
    if "torch_dtype" not in settings:
        settings.setdefault("dtype", torch.float32)
    if is_single_file(folder):
        none: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
        sd = open_single_file(folder, **{name: value for name, value in settings.items() if name != "variant"})
        sd.register_modules(**{name: value for name, value in none.items() if name in sd.components})
        return sd
    for option in ("config", "prediction_type"):
        if settings.pop(option, None) is not None:
            raise ValueError(f"{option} is given, but {folder} is not a model in a single file, which alone has none of its own")
    if Path(folder).is_dir():
        check_shards(Path(folder))
        settings["local_files_only"] = True
    elif isinstance(folder, Path) or not re.fullmatch(HUB_NAME, folder):
        what = "it has no model_index.json, for it is not a folder, nor the name of a model on the hub (owner/name)"
        raise ValueError(f"{folder} is not a Stable Diffusion in diffusers format: {what}")
    folder = str(folder)
    try:
        index = StableDiffusionPipeline.load_config(folder)
    except (OSError, ValueError) as error:  # ValueError: no folder, and no name on the hub could be like that
        raise ValueError(f"{folder} is not a Stable Diffusion in diffusers format: it has no model_index.json") from error
    with as_broken_folder(folder, "Stable Diffusion"):
        xl = str(index.get("_class_name", "")).startswith("StableDiffusionXL")
        if xl and (index.get("requires_aesthetics_score") or (index.get("text_encoder") or (None, None))[1] is None):
            raise ValueError(f"{folder} {REFINER}")
        parts, family = (XL_PARTS, "XL") if xl else (PARTS, "1.x or 2.x")
        for part, expected in parts.items():
            found = (index.get(part) or (None, None))[1]
            if found != expected:
                raise ValueError(
                    f"{folder} is not a Stable Diffusion {family}: its {part} is {found}; in {family.replace('or', 'and')} it is {expected}"
                )
        check_stable_diffusion(UNet2DConditionModel.load_config(folder, subfolder="unet"), folder, xl)
        if Path(folder).is_dir() and "variant" not in settings:
            settings["variant"] = half_variant(Path(folder), parts)
        for part in (*(part for part, expected in parts.items() if expected), "tokenizer", "scheduler", *(["tokenizer_2"] if xl else [])):
            if Path(folder).is_dir() and part not in settings:
                library, name = index.get(part) or (None, None)
                check_component(Path(folder) / part, getattr(sys.modules.get(str(library)), str(name), None))
        without: dict[str, Any] = {"feature_extractor": None, "image_encoder": None}
        without |= {"add_watermarker": False} if xl else {"safety_checker": None, "requires_safety_checker": False}
        kind = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
        sd = kind.from_pretrained(folder, **{"use_safetensors": True, **without, **settings})
    check_parts(sd, folder)
    return sd


def check_stable_diffusion(unet_config: Any, name: str, xl: bool = False) -> None:
    """Raise ValueError for a UNet that needs more inputs than noisy latents, a time step, what the text encoders make of a sentence and, of XL, the
    size: inpainting, depth, unCLIP. (A distilled one, LCM's, also needs the guidance, which is embedded.)"""
    expected: dict[str, Any] = {"in_channels": unet_config.get("out_channels", 4), "class_embed_type": None}
    expected["addition_embed_type"] = "text_time" if xl else None
    for field, value in expected.items():
        found = unet_config.get(field, None if xl and field == "addition_embed_type" else value)
        if found != value:
            raise ValueError(f"{field} of the UNet of {name} is {found!r}; of a Stable Diffusion that draws from text alone it is {value!r}")


def check_parts(sd: StableDiffusion, name: str | Path) -> None:
    """Raise ValueError for an XL's refiner, and for latents that are normalised per channel and by a factor, as Playground 2.5's."""
    if not isinstance(sd, StableDiffusionXLPipeline):
        return
    if sd.text_encoder is None or sd.text_encoder_2 is None:
        raise ValueError(f"{name} {REFINER}")
    if sd.vae.config.latents_mean is not None:
        raise ValueError(f"latents_mean of the autoencoder of {name} is {sd.vae.config.latents_mean}; of an XL that is read here it is None")
