"""What does not change in training is computed once, by each process its share, and kept as safetensors; all processes map the same file into memory.

Pictures are read where they lie (Arrow, memory-mapped), so that a process never holds more than a few stories' of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from .data.stories import frames_tensor
from .latents import encode_frames
from .train_utils import any_process, digest


def cached_latents(cache: Path, accelerator: Accelerator, data: Dataset, source: tuple, vae: AutoencoderKL) -> Tensor:
    """(N, M, c, h, w) fp16 latents of all stories. source: what `data` was made from, beside its fingerprint."""
    config = [(key, value) for key, value in vae.config.items() if not key.startswith("_")]
    facts = (*source, len(data), data._fingerprint, accelerator.mixed_precision, config)

    def encoded(rows: range) -> Iterable[Tensor]:
        vae.to(accelerator.device)
        for start in tqdm(rows[::16], desc="encoding latents", disable=not accelerator.is_main_process):
            frames = torch.stack([frames_tensor(f) for f in data[start : min(start + 16, rows.stop)]["frames"]])
            with accelerator.autocast():
                yield encode_frames(vae, frames.to(accelerator.device))
        vae.cpu()

    return _cached(accelerator, cache / f"latents-{digest(str(facts), vae.state_dict().values())}.safetensors", len(data), encoded)


def cached_states(cache: Path, accelerator: Accelerator, ids: Tensor, text_encoder: CLIPTextModel) -> Callable[[list[int]], Tensor]:
    """Row numbers of stories → their sentence states (B, M, L, D) fp16, of a text encoder that is not trained; equal sentences are kept once.
    ids: (N, M, L) of all stories."""
    sentences, number = ids.flatten(0, 1).unique(dim=0, return_inverse=True)
    facts = digest(str((sentences.shape, accelerator.mixed_precision)), [sentences, *text_encoder.state_dict().values()])

    @torch.no_grad()
    def encoded(rows: range) -> Iterable[Tensor]:
        text_encoder.to(accelerator.device)
        for part in tqdm(sentences[rows.start : rows.stop].split(256), desc="encoding sentences", disable=not accelerator.is_main_process):
            with accelerator.autocast():
                yield text_encoder(part.long().to(accelerator.device)).last_hidden_state

    states = _cached(accelerator, cache / f"states-{facts}.safetensors", len(sentences), encoded)
    number = number.view(ids.shape[:2])
    return lambda rows: states[number[rows]]


def _cached(accelerator: Accelerator, file: Path, rows: int, parts: Callable[[range], Iterable[Tensor]]) -> Tensor:
    """The values of all rows, in fp16, out of the file. Where it is missing each process computes its share, and the main one puts them together."""
    if any_process(accelerator, not file.exists()):
        rank, world = accelerator.process_index, accelerator.num_processes
        (run,) = broadcast_object_list([uuid4().hex])  # another run may make the same file at the same time
        shares = [file.with_suffix(f".{run}-{n}.partial") for n in range(world)]
        file.parent.mkdir(parents=True, exist_ok=True)
        own = [part.half().cpu() for part in parts(range(rows * rank // world, rows * (rank + 1) // world))]
        save_file({"values": torch.cat(own) if own else torch.zeros(0)}, shares[rank])
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            beside = file.with_suffix(f".{run}.partial")
            save_file({"values": torch.cat([part for part in (load_file(share)["values"] for share in shares) if len(part)])}, beside)
            os.replace(beside, file)
            for share in shares:
                share.unlink()
        accelerator.wait_for_everyone()
    return load_file(file)["values"]
