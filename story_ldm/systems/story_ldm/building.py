"""What train_story_ldm.py trains and what it leaves: a model that is new or begins from trained weights, of which all or a part is trained, and
the pipeline or the adapter in the end. `s` are the settings of that script."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import cast_training_params
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm.encoders.facts import story_facts
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.latents import downscale_factor
from story_ldm.encoders.sentences import tokenize_stories
from story_ldm.systems.story_ldm.diffusion import StoryDenoiser
from story_ldm.systems.story_ldm.memory_adapter import open_stable_diffusion
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel


def stable_diffusion(s) -> StableDiffusionPipeline | None:
    """What `--init-from` names, if it is a Stable Diffusion and no pipeline that was trained here."""
    if s.init_from is None:
        return None
    index = s.init_from / "model_index.json"
    if index.exists() and json.loads(index.read_text())["_class_name"] == "StoryLDMPipeline":
        return None
    sd = open_stable_diffusion(s.init_from)
    kind = sd.scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type of the scheduler of {s.init_from} is {kind!r}; it must be epsilon or v_prediction")
    return sd


def build(s, preset: dict, sd: StableDiffusionPipeline | None = None) -> tuple[StoryDenoiser, AutoencoderKL, CLIPTokenizer]:
    """The model that is trained, the autoencoder, and the tokenizer: new, from `--vae` and `--text`, from a finished pipeline, or from a
    Stable Diffusion."""
    start = s.init_from
    if sd is not None:
        vae, tokenizer, text_encoder = sd.vae, sd.tokenizer, sd.text_encoder
        trained = [s.text / "language_memory"] if holds_weights(s.text / "text_encoder", text_encoder) else []
        language_settings = {
            "width": text_encoder.config.hidden_size,
            "layers": preset["language_memory"]["layers"],
            "heads": text_encoder.config.num_attention_heads,
        }
    else:
        vae = AutoencoderKL.from_pretrained(s.vae if start is None else start / "vae")
        text = s.text if start is None else start
        tokenizer = CLIPTokenizer.from_pretrained(text / "tokenizer")
        text_encoder = CLIPTextModel.from_pretrained(text / "text_encoder", dtype=torch.float32)
        trained = [folder / "language_memory" for folder in (text, s.text) if (folder / "language_memory").exists()]
        language_settings = preset["language_memory"]
    vae.requires_grad_(False).eval()
    text_encoder.requires_grad_(not s.freeze_text_encoder)
    language = None
    if s.language_memory:
        language = LanguageMemory.from_pretrained(trained[0]) if trained else LanguageMemory(**language_settings)
    memory = {"memory": s.memory, "memory_heads": preset["unet"]["memory_heads"]}
    if s.memory_blocks is not None:
        memory["memory_blocks"] = list(s.memory_blocks)
    if sd is not None:
        unet = StoryUNet2DConditionModel.from_unet(sd.unet, **{"memory_blocks": preset["unet"].get("memory_blocks"), **memory})
        unet.register_to_config(sample_size=s.resolution // downscale_factor(vae))
    elif start is None:
        unet = StoryUNet2DConditionModel(**{**preset["unet"], **memory})
    else:
        unet = StoryUNet2DConditionModel.from_pretrained(start / "unet")
        if unet.config.memory != s.memory:
            unet = StoryUNet2DConditionModel.from_unet(unet, **memory)
        elif s.memory_blocks is not None and set(s.memory_blocks) != set(unet.memory_sources):
            raise ValueError(f"memory_blocks is {', '.join(s.memory_blocks)}; the memory of {start} is in {', '.join(unet.memory_sources)}")
        if s.resolution is not None:
            unet.register_to_config(sample_size=s.resolution // downscale_factor(vae))
    if s.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if s.xformers:
        unet.enable_xformers_memory_efficient_attention()
    elif not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())  # the backward of fused attention is slow on a CPU
    ids, mask = tokenize_stories(tokenizer, [[""]])
    if s.channels_last:
        unet.to(memory_format=torch.channels_last)
    return StoryDenoiser(unet, text_encoder, language, None, ids[0, 0], mask[0, 0]), vae, tokenizer


def holds_weights(folder: Path, model: nn.Module) -> bool:
    """Whether a folder has just these weights: a language memory reads the states of one text encoder alone."""
    if not (folder / "model.safetensors").exists():
        return False
    saved, here = load_file(folder / "model.safetensors"), model.state_dict()
    return saved.keys() <= here.keys() and all(torch.equal(value, here[name].to(value.dtype)) for name, value in saved.items())


def freeze(s, model: StoryDenoiser, dtype: torch.dtype | None = None) -> None:
    """Leaves what `--train` names to be trained, in float32; the rest is frozen, in `dtype` where one is given."""
    model.requires_grad_(False)
    for part in (model.unet.memory_layers, model.language_memory):
        if part is not None:
            part.requires_grad_(True)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype or parameter.dtype)
    if s.train == "memory+lora":
        from peft import LoraConfig

        targets = ["to_q", "to_k", "to_v", "to_out.0"]
        model.unet.add_adapter(LoraConfig(r=s.lora_rank, lora_alpha=s.lora_rank, init_lora_weights="gaussian", target_modules=targets))
        cast_training_params(model.unet)


def averaged(s, model: nn.Module) -> list[nn.Parameter]:
    """The weights that have a moving average: all, or where most are frozen those that are trained."""
    return [p for p in model.parameters() if p.requires_grad or s.train == "all"]


def load_facts(s, data) -> tuple[nn.Linear, torch.Tensor] | tuple[None, None]:
    """The head that reads statements off pooled sentences, and the statements (N, M, F) of every sentence."""
    file = s.text / "fact_head.safetensors"
    if not (s.text_loss and s.language_memory and file.exists()):
        return None, None
    weights = load_file(file)
    with safe_open(file, "pt") as f:
        names = f.metadata()["facts"].split("\n")
    if names == [""]:
        return None, None  # a dataset without labels states nothing
    head = nn.Linear(weights["weight"].shape[1], len(names))
    head.load_state_dict(weights)
    number = {name: i for i, name in enumerate(names)}
    rows = data.remove_columns("frames")
    table = torch.zeros(len(rows), len(rows[0]["sentences"]), len(names), dtype=torch.bool)
    for n, row in enumerate(rows):
        for m, facts in enumerate(story_facts(row, data.features)):
            table[n, m, [number[x] for x in facts if x in number]] = True
    return head, table
