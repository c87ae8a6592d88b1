"""What does not change in training is computed once, by each process its share, and kept as safetensors; all processes map the same file into memory.

Pictures are read where they lie (Arrow, memory-mapped), so that a process never holds more than a few stories' of them."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from story_ldm.data.stories import frames_tensor
from story_ldm.encoders.latents import encode_frames
from story_ldm.training.checkpoints import digest
from story_ldm.training.processes import any_process


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
    """The values of all rows, in fp16, out of the file. Where it is missing each process computes its share, and writes it to its place part by part.

    Another run may make the same file at the same time, or may have been killed at it: each writes all rows, the same values into the same places."""
    if any_process(accelerator, not file.exists()):
        rank, world = accelerator.process_index, accelerator.num_processes
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.partial")
        row = rows * rank // world
        own = iter(parts(range(row, rows * (rank + 1) // world)))
        first = next(own, None)
        shape = next(shape for shape in gather_object([None if first is None else list(first.shape[1:])]) if shape)
        size = 2 * math.prod(shape)
        header = json.dumps({"values": {"dtype": "F16", "shape": [rows, *shape], "data_offsets": [0, rows * size]}}).encode()
        header += b" " * (-len(header) % 8)
        if accelerator.is_main_process:
            with open(os.open(beside, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as out:
                out.write(struct.pack("<Q", len(header)) + header)
                out.truncate(8 + len(header) + rows * size)
        accelerator.wait_for_everyone()
        with open(beside, "r+b") as out:
            out.seek(8 + len(header) + row * size)
            for part in chain([] if first is None else [first], own):
                out.write(part.half().cpu().contiguous().numpy())
            out.flush()
            os.fsync(out.fileno())
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            with suppress(FileNotFoundError):  # the other run was first
                os.replace(beside, file)
        accelerator.wait_for_everyone()
    return load_file(file)["values"]
