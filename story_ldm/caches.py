"""What does not change in training is computed once, by the main process, and kept as safetensors; all processes map the same file into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from datasets import Dataset
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from .data.stories import frames_tensor
from .latents import encode_frames
from .train_utils import digest


def cached_latents(cache: Path, accelerator: Accelerator, data: Dataset, source: tuple, vae: AutoencoderKL) -> Tensor:
    """(N, M, c, h, w) fp16 latents of all stories. source: what `data` was made from, beside its fingerprint."""
    config = [(key, value) for key, value in vae.config.items() if not key.startswith("_")]
    facts = (*source, len(data), data._fingerprint, accelerator.mixed_precision, config)

    def encoded() -> Iterable[Tensor]:
        vae.to(accelerator.device)
        for start in tqdm(range(0, len(data), 16), desc="encoding latents"):
            frames = torch.stack([frames_tensor(f) for f in data[start : start + 16]["frames"]])
            with accelerator.autocast():
                yield encode_frames(vae, frames.to(accelerator.device))
        vae.cpu()

    return _cached(accelerator, cache / f"latents-{digest(str(facts), vae.state_dict().values())}.safetensors", encoded)


def cached_states(cache: Path, accelerator: Accelerator, ids: Tensor, text_encoder: CLIPTextModel) -> Callable[[list[int]], Tensor]:
    """Row numbers of stories → their sentence states (B, M, L, D) fp16, of a text encoder that is not trained; equal sentences are kept once.
    ids: (N, M, L) of all stories."""
    sentences, number = ids.flatten(0, 1).unique(dim=0, return_inverse=True)
    facts = digest(str((sentences.shape, accelerator.mixed_precision)), [sentences, *text_encoder.state_dict().values()])

    @torch.no_grad()
    def encoded() -> Iterable[Tensor]:
        text_encoder.to(accelerator.device)
        for part in tqdm(sentences.split(256), desc="encoding sentences"):
            with accelerator.autocast():
                yield text_encoder(part.long().to(accelerator.device)).last_hidden_state

    states, number = _cached(accelerator, cache / f"states-{facts}.safetensors", encoded), number.view(ids.shape[:2])
    return lambda rows: states[number[rows]]


def _cached(accelerator: Accelerator, file: Path, parts: Callable[[], Iterable[Tensor]]) -> Tensor:
    """The parts one after another, in fp16, out of the file, which is made where it is missing."""
    with accelerator.main_process_first():
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(".partial")
            save_file({"values": torch.cat([part.half().cpu() for part in parts()])}, beside)
            beside.rename(file)
    return load_file(file)["values"]
