"""Building the model for train_story_ldm.py and bench_training.py: new or from trained weights, with all or some of its parameters trainable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from diffusers import StableDiffusionXLPipeline
from diffusers.training_utils import cast_training_params
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from story_ldm.data.toonstories2.told import TOLD_WORLDS, told_facts
from story_ldm.encoders.facts import fact_table, story_facts
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.sentences import tokenize_sentences
from story_ldm.encoders.xl_text import XLTextEncoder, XLTokenizers
from story_ldm.files import json_object
from story_ldm.model_folders import open_local
from story_ldm.systems.story_ldm.diffusion import StoryDenoiser
from story_ldm.systems.story_ldm.stable_diffusion import StableDiffusion, open_stable_diffusion
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

Train = Literal["all", "memory", "memory+lora"]


def open_start(folder: Path | None, own: tuple[str, ...] = ("StoryLDMPipeline",)) -> StableDiffusion | None:
    """The Stable Diffusion in a folder; None if the folder has one of the pipelines `own`, or is None.

    Raises ValueError if the folder has neither, or if the Stable Diffusion is distilled (LCM) or predicts neither noise nor velocity."""
    if folder is None:
        return None
    index = folder / "model_index.json"
    if index.exists() and json_object(index).get("_class_name") in own:
        return None
    sd = open_stable_diffusion(folder)
    if sd.unet.config.time_cond_proj_dim is not None:
        raise ValueError(
            f"the UNet of {folder} is distilled (LCM), which draws and is not trained here: train for the model that it is distilled from"
        )
    kind = sd.scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type of the scheduler of {folder} is {kind!r}; it must be epsilon or v_prediction")
    return sd


def text_of(sd: StableDiffusion) -> tuple[CLIPTokenizer | XLTokenizers, CLIPTextModel | XLTextEncoder]:
    """Tokenizer and text encoder of a Stable Diffusion, XL's two as one."""
    if not isinstance(sd, StableDiffusionXLPipeline):
        return sd.tokenizer, sd.text_encoder
    encoder = XLTextEncoder(sd.text_encoder, sd.text_encoder_2, sd.config.force_zeros_for_empty_prompt)
    return XLTokenizers(sd.tokenizer, sd.tokenizer_2), encoder


def build_text(folder: Path) -> tuple[CLIPTokenizer | XLTokenizers, CLIPTextModel | XLTextEncoder]:
    """Tokenizer and float32 text encoder from a pipeline's folder or an output folder of train_language_memory.py; XL's two as one."""
    tokenizer, text_encoder = open_local(CLIPTokenizer, folder / "tokenizer"), open_local(CLIPTextModel, folder / "text_encoder", dtype=torch.float32)
    if not (folder / "text_encoder_2").is_dir():
        return tokenizer, text_encoder
    zeros = json_object(folder / "model_index.json").get("force_zeros_for_empty_prompt", True)
    second = open_local(CLIPTextModelWithProjection, folder / "text_encoder_2", dtype=torch.float32)
    return XLTokenizers(tokenizer, open_local(CLIPTokenizer, folder / "tokenizer_2")), XLTextEncoder(text_encoder, second, zeros)


def build_reader(folder: Path | None, start: Path | None) -> Reader | None:
    """The reader in a folder, else that of the pipeline in `start`, if it has one."""
    if folder is None and start is not None and (start / "reader").is_dir():
        folder = start / "reader"
    return None if folder is None else open_local(Reader, folder, dtype=torch.float32)


def build_language_memory(
    text_encoder: CLIPTextModel | XLTextEncoder, settings: dict[str, Any], folders: tuple[Path, ...], same_encoder: bool
) -> LanguageMemory:
    """The language memory of the first folder that has one; otherwise a new one with these settings.

    same_encoder: require that the folder's text encoder has the weights of `text_encoder`, on whose states its language memory was trained; a new
    language memory then gets the width and heads of `text_encoder`."""
    for folder in folders:
        usable = holds_weights(folder / "text_encoder", text_encoder) if same_encoder else (folder / "language_memory").exists()
        if usable:
            return open_local(LanguageMemory, folder / "language_memory")
    if same_encoder:
        settings = {**settings, "width": text_encoder.config.hidden_size, "heads": text_encoder.config.num_attention_heads}
    return LanguageMemory(**settings)


def build_unet(
    preset: dict[str, Any],
    memory: str,
    memory_blocks: tuple[str, ...] | None,
    start: Path | None = None,
    sd: StableDiffusion | None = None,
    sample_size: int | None = None,
) -> StoryUNet2DConditionModel:
    """A UNet with memory: from `sd` if it is given, else from the pipeline in `start`, else new with the preset's settings.

    memory_blocks: the blocks with a memory layer; None takes the preset's. sample_size: latent cells per side, None leaves it as it is.
    Raises ValueError if the pipeline in `start` has the same form of memory in other blocks."""
    settings: dict[str, Any] = {"memory": memory, "memory_heads": preset["memory_heads"]}
    if memory_blocks is not None:
        settings["memory_blocks"] = list(memory_blocks)
    if sd is not None:
        unet = StoryUNet2DConditionModel.from_unet(sd.unet, **{"memory_blocks": preset.get("memory_blocks"), **settings})
    elif start is None:
        return StoryUNet2DConditionModel(**{**preset, **settings})
    else:
        unet = open_local(StoryUNet2DConditionModel, start / "unet")
        if unet.config.memory != memory:
            unet = StoryUNet2DConditionModel.from_unet(unet, **settings)
        elif memory_blocks is not None and set(memory_blocks) != set(unet.memory_sources):
            raise ValueError(f"--memory-blocks is {', '.join(memory_blocks)}; the memory layers of {start} are in {', '.join(unet.memory_sources)}")
    if sample_size is not None:
        unet.register_to_config(sample_size=sample_size)
    return unet


def holds_weights(folder: Path, model: nn.Module) -> bool:
    """Whether a folder's model.safetensors has the weights of `model`."""
    if not (folder / "model.safetensors").exists():
        return False
    saved, current = load_file(folder / "model.safetensors"), model.state_dict()
    return saved.keys() <= current.keys() and all(torch.equal(value, current[name].to(value.dtype)) for name, value in saved.items())


def freeze(model: StoryDenoiser, lora_rank: int | None = None, dtype: torch.dtype | None = None) -> None:
    """Freeze all weights, in `dtype` if it is given, except memory layers and language memory, which stay trainable in float32.

    lora_rank: also train a LoRA of this rank, in float32, on the UNet's attention projections."""
    model.requires_grad_(False)
    for part in (model.unet.memory_layers, model.language_memory):
        if part is not None:
            part.requires_grad_(True)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype or parameter.dtype)
    if lora_rank is not None:
        from peft import LoraConfig

        targets = ["to_q", "to_k", "to_v", "to_out.0"]
        model.unet.add_adapter(LoraConfig(r=lora_rank, lora_alpha=lora_rank, init_lora_weights="gaussian", target_modules=targets))
        cast_training_params(model.unet)


def averaged_weights(model: nn.Module, train: Train) -> list[nn.Parameter]:
    """The parameters of which a moving average is kept: all of them for `--train all`, otherwise the trained ones."""
    return [p for p in model.parameters() if p.requires_grad or train == "all"]


def empty_sentence(tokenizer: CLIPTokenizer | XLTokenizers | None, reader: Reader | None) -> tuple[Tensor, Tensor]:
    """Ids (L, …) and mask (L,) of the sentence that guidance starts from."""
    if reader is not None:
        ids, mask = (x[0] for x in reader.tokenize([[""]]))
    else:
        assert tokenizer is not None
        ids, mask = tokenize_sentences(tokenizer, [""])
    return ids[0].long(), mask[0]


@dataclass
class StorySentences:
    """The sentences of all stories in each text form, tokenized, story after story: ids (forms, S, L, …) and mask (forms, S, L)."""

    ids: Tensor
    mask: Tensor
    facts: dict[str, Tensor] | None  # what a reader's heads are trained on: by fact, (forms, S, …)

    def of(self, form: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, M, L, …) and mask (B, M, L) of sentences (B, M), each story in its form (B,)."""
        return self.ids[form[:, None], index], self.mask[form[:, None], index]

    def facts_of(self, form: Tensor, index: Tensor, device: torch.device) -> dict[str, Tensor] | None:
        return None if self.facts is None else {name: values[form[:, None], index].to(device) for name, values in self.facts.items()}


def read_sentences(
    data: Sequence[Dataset], forms: Sequence[str], tokenizer: CLIPTokenizer | XLTokenizers | None, reader: Reader | None, facts: bool = True
) -> StorySentences:
    """The sentences of a dataset that was loaded once in each form. facts: also what they tell, of a built-in world's stories, for a reader with
    heads."""
    assert all(stories["story_id"][:] == data[0]["story_id"][:] for stories in data), "the forms are not of the same stories"
    flat = [[sentence for story in stories["sentences"] for sentence in story] for stories in data]
    if reader is None:
        assert tokenizer is not None
        tokenized = [tokenize_sentences(tokenizer, sentences) for sentences in flat]
        return StorySentences(torch.stack([ids.int() for ids, _ in tokenized]), torch.stack([mask.bool() for _, mask in tokenized]), None)
    ids, mask = reader.tokenize(flat)
    targets, lengths = None, [len(story) for story in data[0]["sentences"]]
    world = next((world for world in TOLD_WORLDS.values() if world.labels == reader.config.labels), None)
    if facts and world is not None and reader.config.characters >= len(world.letters):
        told = [told_facts(data[0]["story_id"][:], lengths, form, reader.config.characters, world) for form in forms]
        if told[0] is not None:
            targets = {name: torch.stack([torch.tensor((form or {})[name]) for form in told]) for name in told[0]}
    return StorySentences(ids, mask, targets)


def load_facts(text: Path, data: Dataset) -> tuple[nn.Linear, Tensor] | tuple[None, None]:
    """The fact head, pooled sentence → logits of F facts, from an output folder of train_language_memory.py, and the facts (S, F) of all sentences.

    (None, None) if the folder has no head, or one that was trained without labels."""
    file = text / "fact_head.safetensors"
    if not file.exists():
        return None, None
    weights = load_file(file)
    with safe_open(file, "pt") as f:
        names = f.metadata()["facts"].split("\n")
    if names == [""]:
        return None, None  # it was trained on a dataset without labels
    head = nn.Linear(weights["weight"].shape[1], len(names))
    head.load_state_dict(weights)
    rows = data.remove_columns("frames")
    return head, fact_table([facts for row in rows for facts in story_facts(row, data.features)], names)
