"""Building AR-LDM for train_ar_ldm.py and train_history_encoder.py: new, or from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import BlipForImageTextRetrieval, CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerBase

from story_ldm.encoders.autoencoder import open_autoencoder
from story_ldm.encoders.xl_text import XLTextEncoder
from story_ldm.files import json_object
from story_ldm.model_folders import open_local
from story_ldm.systems.ar_ldm.conditioning import HistoryEmbedding, check_widths
from story_ldm.systems.ar_ldm.history import encoder_token, new_history_encoder, open_history
from story_ldm.systems.story_ldm.building import build_text
from story_ldm.systems.story_ldm.diffusion import noise_scheduler
from story_ldm.systems.story_ldm.stable_diffusion import StableDiffusion
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

OWN = ("ARLDMPipeline", "StoryLDMPipeline")  # pipelines to start from, beside a Stable Diffusion


class Parts(NamedTuple):
    """What a training starts from, in float32."""

    vae: AutoencoderKL
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    history_tokenizer: PreTrainedTokenizerBase
    history_encoder: BlipForImageTextRetrieval
    scheduler: DDPMScheduler
    before: HistoryEmbedding | None  # of an AR-LDM


def is_ar_ldm(folder: Path | None) -> bool:
    return folder is not None and (folder / "history_embedding").is_dir()


def open_parts(
    preset: dict[str, Any], start: Path | None, sd: StableDiffusion | None, vae: Path, text: Path, history: Path | None, prediction: str
) -> Parts:
    """The parts of the pipeline in `start` or of `sd`; what they lack comes from the folders `vae`, `text` and `history`, or is new.

    prediction: target of a UNet that no Stable Diffusion or AR-LDM has trained. Raises ValueError for a model that is read by two text encoders, and
    for parts of different widths."""
    if sd is not None:
        tokenizer, text_encoder, unet, autoencoder = sd.tokenizer, sd.text_encoder, sd.unet, sd.vae
        scheduler = DDPMScheduler.from_config(sd.scheduler.config)
    else:
        has_text = start is not None and (start / "text_encoder").is_dir()  # a pipeline with a reader has none
        tokenizer, text_encoder = build_text(start if start is not None and has_text else text)
        unet = UNet2DConditionModel(**preset["unet"]) if start is None else open_unet(start / "unet")
        autoencoder = open_autoencoder(vae if start is None else start / "vae")
        scheduler = open_local(DDPMScheduler, start / "scheduler") if start is not None and is_ar_ldm(start) else noise_scheduler(prediction)
    if isinstance(sd, StableDiffusionXLPipeline) or isinstance(text_encoder, XLTextEncoder):
        raise ValueError(f"--init-from is {start}, which has two text encoders, as Stable Diffusion XL; AR-LDM needs one: take a 1.x or 2.x")
    folder = history or (start if is_ar_ldm(start) else None)
    if folder is None:
        history_tokenizer, blip = tokenizer, new_history(tokenizer, preset)
    else:
        blip, history_tokenizer = open_history(folder)
        history_tokenizer.model_max_length = min(history_tokenizer.model_max_length, tokenizer.model_max_length)  # BERT's is 512, all of it padding
    before = open_local(HistoryEmbedding, start / "history_embedding") if start is not None and is_ar_ldm(start) else None
    check_widths(unet, text_encoder, blip, before)
    return Parts(autoencoder, tokenizer, text_encoder, unet, history_tokenizer, blip, scheduler, before)


def new_history(tokenizer: PreTrainedTokenizerBase, preset: dict[str, Any]) -> BlipForImageTextRetrieval:
    return new_history_encoder(len(tokenizer) + 1, tokenizer.model_max_length, **preset["history"])


def open_unet(folder: Path) -> UNet2DConditionModel:
    """The plain UNet of a folder; of Story-LDM's, without its memory."""
    story = folder.is_dir() and json_object(folder / "config.json").get("_class_name") == StoryUNet2DConditionModel.__name__
    unet = open_local(StoryUNet2DConditionModel if story else UNet2DConditionModel, folder, dtype=torch.float32)
    return unet.to_unet() if story else unet


def build_embedding(parts: Parts, longest: int, same_encoder: bool) -> HistoryEmbedding:
    """Type and time embeddings for stories of `longest` frames: those of the AR-LDM that is gone on from, with more rows or fewer, or new ones.

    same_encoder: it also keeps its history encoder."""
    before = parts.before
    token = before.config.encoder_token if before is not None and same_encoder else encoder_token(parts.history_encoder, parts.history_tokenizer)
    embedding = HistoryEmbedding(parts.text_encoder.config.hidden_size, longest, token)
    if before is not None:
        rows = min(longest, before.config.longest)
        with torch.no_grad():
            embedding.kinds.weight.copy_(before.kinds.weight)
            embedding.times.weight[:rows] = before.times.weight[:rows]
    return embedding
