"""A Stable Diffusion 1.x, 2.x or XL in one .safetensors file, in the layout in which its makers publish it.

    sd = open_single_file("model.safetensors")                          # a StableDiffusionPipeline or StableDiffusionXLPipeline
    sd = open_single_file("model.safetensors", config="folder")         # other sizes: with the configs of a folder in diffusers format

The file holds weights alone. diffusers converts them (`from_single_file`), by configs that are made here; nothing is looked for on a network.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError, safe_open
from transformers import CLIPTokenizer

from story_ldm.encoders.clip_tokenizer import clip_tokenizer
from story_ldm.files import regular_file, write_text
from story_ldm.model_folders import open_local
from story_ldm.systems.story_ldm.presets import sd15, sdxl, vae

UNET, INPUT = "model.diffusion_model.", "model.diffusion_model.input_blocks.0.0.weight"
TEXT = {"1.x": "cond_stage_model.transformer.", "2.x": "cond_stage_model.model.", "XL": "conditioner.embedders.1."}  # where its text encoder is
REFINER = "conditioner.embedders.0.model."  # where XL has its first encoder, conditioner.embedders.0.transformer
NOISE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1, "clip_sample": False}
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "1.x": ("PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": False, "prediction_type": "epsilon"}),
    "2.x": ("DDIMScheduler", {"set_alpha_to_one": False, "prediction_type": "v_prediction"}),
    "XL": ("EulerDiscreteScheduler", {"timestep_spacing": "leading", "prediction_type": "epsilon"}),
}


def text(width: int, layers: int, act: str, projection: int, heads: int, **more: Any) -> dict[str, Any]:
    """config.json of a CLIP text encoder as Stable Diffusion's makers publish it (eos_token_id 2: pooled where the largest token is)."""
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": heads}
    tokens = {"vocab_size": 49408, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    return {**sizes, **tokens, "hidden_act": act, "projection_dim": projection, "layer_norm_eps": 1e-5, "architectures": ["CLIPTextModel"], **more}


def configs(family: str) -> dict[str, dict[str, Any]]:
    """The config of each component of a Stable Diffusion "1.x", "2.x" (2.1: 768 px, predicts the velocity) or "XL"."""
    unet = (sdxl if family == "XL" else sd15)()["unet"]
    unet = {"_class_name": "UNet2DConditionModel", **{key: value for key, value in unet.items() if not key.startswith("memory")}}
    if family == "2.x":
        unet |= {"sample_size": 96, "attention_head_dim": (5, 10, 20, 20), "cross_attention_dim": 1024, "use_linear_projection": True}
    side, factor = {"1.x": (512, 0.18215), "2.x": (768, 0.18215), "XL": (1024, 0.13025)}[family]
    autoencoder = vae(side, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2)
    clip = text(768, 12, "quick_gelu", 768, heads=12)
    parts = {
        "unet": unet,
        "vae": {"_class_name": "AutoencoderKL", **autoencoder, "scaling_factor": factor},
        "text_encoder": text(1024, 23, "gelu", 512, heads=16) if family == "2.x" else clip,
    }
    if family == "XL":
        parts["text_encoder_2"] = text(1280, 32, "gelu", 1280, heads=20, architectures=["CLIPTextModelWithProjection"])
    return parts


def family_of(file: Path, shapes: dict[str, list[int]]) -> str:
    """The family, "1.x", "2.x" or "XL", by the names of the tensors. Raises ValueError for what is none of them."""
    what = f"{file} is not a Stable Diffusion 1.x, 2.x or XL in one file"
    if any("lora" in name for name in shapes) and INPUT not in shapes:
        raise ValueError(f"{what}: it is a LoRA; load it onto one by load_lora_weights")
    if INPUT not in shapes:
        raise ValueError(f"{what} in the layout of its makers: it has no {INPUT}")
    if shapes[INPUT][1] != 4:
        raise ValueError(f"{what} that draws from text alone: {INPUT} reads {shapes[INPUT][1]} channels; it must read 4 (inpainting and depth more)")
    if "edm_mean" in shapes:
        raise ValueError(f"{what}: its latents are normalised as Playground 2.5's (it has edm_mean)")
    family = next((family for family, prefix in TEXT.items() if any(name.startswith(prefix) for name in shapes)), None)
    if family is None and any(name.startswith(REFINER) for name in shapes):
        raise ValueError(f"{file} is the refiner of a Stable Diffusion XL, which goes over finished pictures and draws none: take the base model")
    if family is None:
        raise ValueError(f"{what}: it has no text encoder ({', '.join(TEXT.values())} …)")
    return family


def open_single_file(
    file: str | Path, config: str | Path | None = None, prediction_type: str | None = None, **settings: Any
) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """The Stable Diffusion in a .safetensors file.

    config: a folder in diffusers format whose configs (and tokenizers, if it has some) to take instead of those of the published sizes.
    prediction_type: what the file's UNet predicts, if its marks do not say so: a 1.x or XL is taken to predict the noise (epsilon), a 2.x the
    velocity (v_prediction), as 2.1 does. settings: dtype, and components to take in the place of the file's.
    Raises ValueError for another file, or one that the configs do not fit."""
    file = Path(file)
    if file.suffix.lower() != ".safetensors":
        raise ValueError(f"{file} may hold a pickle, which is not opened; a Stable Diffusion in one file must be a .safetensors file")
    try:
        with safe_open(regular_file(file), "pt") as opened:
            shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}
    except SafetensorError as error:
        raise ValueError(f"{file} cannot be read as safetensors ({error})") from None
    family = family_of(file, shapes)
    if "vae" not in settings and not any(name.startswith("first_stage_model.") for name in shapes):
        raise ValueError(f"{file} has no autoencoder (first_stage_model.…); give one: vae=AutoencoderKL.from_pretrained(…)")
    kind = StableDiffusionXLPipeline if family == "XL" else StableDiffusionPipeline
    scheduler, steps = SCHEDULERS[family]
    prediction_type = prediction_type or ("v_prediction" if "v_pred" in shapes else steps["prediction_type"])
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type is {prediction_type!r}; it must be epsilon or v_prediction")
    steps = {**NOISE, **steps, "prediction_type": prediction_type}
    if "ztsnr" in shapes:  # the mark of a noise schedule that ends in noise alone
        steps |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if config is not None and not (Path(config) / "model_index.json").is_file():
        raise ValueError(f"config is {str(config)!r}; it must be the folder of a Stable Diffusion in diffusers format, with a model_index.json")
    pads = {"tokenizer": "!" if family == "2.x" else None, **({"tokenizer_2": "!"} if family == "XL" else {})}
    for name, pad in pads.items():
        if config is not None and (Path(config) / name).is_dir():
            settings.setdefault(name, open_local(CLIPTokenizer, Path(config) / name))
        else:
            settings.setdefault(name, clip_tokenizer(pad) if pad else clip_tokenizer())
    with TemporaryDirectory() as made:
        if config is None:
            _write(Path(made), kind.__name__, {**configs(family), "scheduler": {"_class_name": scheduler, **steps}}, list(pads))
        try:
            sd = kind.from_single_file(str(file), config=str(config or made), **{**settings, "local_files_only": True})
        except (SingleFileComponentError, ValueError, RuntimeError, KeyError) as error:
            raise ValueError(f"{file} does not fit the configs of {config or f'a Stable Diffusion {family}'}: {error}") from error
    for part, model in sd.components.items():
        absent = next((name for name, value in model.named_parameters() if value.is_meta), None) if hasattr(model, "named_parameters") else None
        if absent:
            raise ValueError(f"{file} does not fit the configs of {config or f'a Stable Diffusion {family}'}: it has no {absent} of the {part}")
    return sd


def _write(folder: Path, kind: str, parts: dict[str, dict[str, Any]], tokenizers: list[str]) -> None:
    """The configs as diffusers looks for them."""
    index: dict[str, Any] = {"_class_name": kind, **({"force_zeros_for_empty_prompt": True} if kind.startswith("StableDiffusionXL") else {})}
    index |= {name: ["transformers", "CLIPTokenizer"] for name in tokenizers}
    for name, config in parts.items():
        (folder / name).mkdir()
        write_text(folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json"), json.dumps(config))
        index[name] = ["diffusers", config["_class_name"]] if "_class_name" in config else ["transformers", config["architectures"][0]]
    write_text(folder / "model_index.json", json.dumps(index))
