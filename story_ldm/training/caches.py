"""Caches of frozen networks' outputs in .npy files. Each process computes its share of the rows, and all processes map the same file into memory.

    latents = cached_latents(cache, accelerator, data, source, vae)             # (F, c, h, w): the frames of all stories, story after story
    states_of = cached_states(cache, accelerator, ids, text_encoder)            # states_of(numbers of sentences, (B, M)): (B, M, L, D)

Frames are read from the memory-mapped Arrow files, a few stories at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, chain
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset, Image, List
from diffusers import AutoencoderKL
from numpy.lib.format import open_memmap, write_array_header_1_0
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from story_ldm.data.frames import frames_tensor
from story_ldm.data.pictures import open_picture
from story_ldm.data.stories import story_lengths
from story_ldm.encoders.latents import encode_frames, upcast
from story_ldm.encoders.xl_text import XLTextEncoder
from story_ldm.files import file_digest, partial_path, regular_file, write_text
from story_ldm.training.checkpoints import digest
from story_ldm.training.processes import any_process


def cached_latents(cache: Path, accelerator: Accelerator, data: Dataset, source: tuple, vae: AutoencoderKL, full: bool = False) -> Tensor:
    """fp16 latents (F, c, h, w) of all frames, story after story. source: identifies the data, besides its fingerprint, in the name of the file.
    full: encode in float32 where the autoencoder's config says so, as XL's."""
    config = [(key, value) for key, value in vae.config.items() if not key.startswith("_")]
    facts = (*source, len(data), data._fingerprint, accelerator.mixed_precision, config, *(["full"] if full else []))

    def encoded(stories: range) -> Iterable[Tensor]:
        vae.to(accelerator.device)
        for start in tqdm(stories[::16], desc="encoding latents", disable=not accelerator.is_main_process):
            frames = frames_tensor(frame for story in data[start : min(start + 16, stories.stop)]["frames"] for frame in story)
            with accelerator.autocast(), upcast(vae, full):
                yield encode_frames(vae, frames.to(accelerator.device))
        vae.cpu()

    offsets = [0, *accumulate(story_lengths(data))]
    latents = _cached(accelerator, cache / f"latents-{digest(str(facts), vae.state_dict().values())}.npy", offsets, encoded)
    return latents.flatten(0, -4)  # older caches, of stories of one length, are (N, M, c, h, w)


class BucketLatents:
    """Latents of the frames of all stories, story after story, where stories differ in size: `latents[index]` for frames of one size.

    parts: latents of the stories of each bucket; buckets (N,), lengths (N,): of each story its bucket and its frames."""

    def __init__(self, parts: list[Tensor], buckets: Tensor, lengths: Tensor):
        self.parts, self.bucket = parts, buckets.repeat_interleave(lengths)
        self.row = torch.zeros_like(self.bucket)
        for n in range(len(parts)):
            own = self.bucket == n
            self.row[own] = torch.arange(int(own.sum()))

    def __len__(self) -> int:
        return len(self.bucket)

    def __getitem__(self, index: Tensor) -> Tensor:
        (bucket,) = self.bucket[index].unique().tolist()  # a batch has stories of one size
        return self.parts[bucket][self.row[index]]


def bucket_latents(cache: Path, accelerator: Accelerator, data: Dataset, source: tuple, vae: AutoencoderKL, full: bool = False) -> tuple:
    """Latents of stories of several sizes, as `cached_latents` makes them for each size, and of each story the number of its size (N,)."""
    stored = data.select_columns(["frames"]).cast_column("frames", List(Image(decode=False)))
    sizes = [open_picture(story["frames"][0]["bytes"]).size for story in stored]
    known = sorted({*sizes})
    buckets = torch.tensor([known.index(size) for size in sizes])
    rows = [(buckets == n).nonzero()[:, 0].tolist() for n in range(len(known))]
    parts = [cached_latents(cache, accelerator, data.select(own), source, vae, full) for own in rows]
    return BucketLatents(parts, buckets, torch.tensor(story_lengths(data))), buckets


def cached_states(cache: Path, accelerator: Accelerator, ids: Tensor, text_encoder: CLIPTextModel | XLTextEncoder) -> Callable[[Tensor], Tensor]:
    """Function from numbers of sentences (…) to their states (…, L, D) in fp16, by a frozen text encoder; of XL's encoders packed, (…, L * D + P).
    Equal sentences are stored once. ids: token ids (S, L) or (S, L, 2) of all sentences."""
    sentences, number = ids.unique(dim=0, return_inverse=True)
    facts = digest(str((sentences.shape, accelerator.mixed_precision)), [sentences, *text_encoder.state_dict().values()])

    @torch.no_grad()
    def encoded(rows: range) -> Iterable[Tensor]:
        text_encoder.to(accelerator.device)
        for part in tqdm(sentences[rows.start : rows.stop].split(256), desc="encoding sentences", disable=not accelerator.is_main_process):
            with accelerator.autocast():
                text = text_encoder(part.long().to(accelerator.device))
                yield text_encoder.pack(text) if isinstance(text_encoder, XLTextEncoder) else text.last_hidden_state

    states = _cached(accelerator, cache / f"states-{facts}.npy", range(len(sentences) + 1), encoded)
    return lambda index: states[number[index]]


def _cached(accelerator: Accelerator, file: Path, offsets: Sequence[int], parts: Callable[[range], Iterable[Tensor]]) -> Tensor:
    """The values of all rows in fp16, mapped from a .npy file. If it is missing, each process computes its share of the rows and writes it in place.

    offsets: the first row of each item (the frames of a story are the rows of one item), and the number of rows. parts: items → values of their rows.
    A file without its checksum, which lies beside it, is made again.
    Another run may write the same file at the same time, or may have been killed while writing it. This is safe: each run writes all rows, and the
    same values to the same places."""
    if any_process(accelerator, accelerator.is_main_process and not _is_whole(file)):
        rank, world = accelerator.process_index, accelerator.num_processes
        partial = partial_path(file)
        items, rows = len(offsets) - 1, offsets[-1]
        share = range(items * rank // world, items * (rank + 1) // world)
        row, end = offsets[share.start], offsets[share.stop]
        own = iter(parts(share))
        first = next(own, None)
        shape = next(shape for shape in gather_object([None if first is None else list(first.shape[1:])]) if shape)
        if accelerator.is_main_process:
            file.parent.mkdir(parents=True, exist_ok=True)
            _allocate(partial, (rows, *shape))
        accelerator.wait_for_everyone()
        values = open_memmap(partial, "r+")
        for part in chain([] if first is None else [first], own):
            values[row : row + len(part)] = part.half().cpu().numpy()
            row += len(part)
        assert row == end, f"{end - row} rows of {file} were not computed"
        values.flush()
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            with suppress(FileNotFoundError):  # the other run has renamed it already
                os.replace(partial, file)
            write_text(_checksum(file), file_digest(file))
        accelerator.wait_for_everyone()
    return torch.from_numpy(open_memmap(file, "c"))  # copy on write, because torch warns about read-only arrays


def _checksum(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _is_whole(file: Path) -> bool:
    """Whether a cache exists and has its checksum."""
    try:
        return file_digest(file) == regular_file(_checksum(file)).read_text()
    except OSError:
        return False


def _allocate(file: Path, shape: tuple[int, ...]) -> None:
    """Allocate an fp16 .npy file. An existing one keeps its values: `open_memmap(file, "w+")` would truncate it while another run writes it."""
    with open(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as out:
        write_array_header_1_0(out, {"descr": "<f2", "fortran_order": False, "shape": shape})
        out.flush()
        size = out.tell() + 2 * math.prod(shape)
        out.truncate(size)
        if hasattr(os, "posix_fallocate"):  # without it, a full disk would kill the process when it writes to the map
            os.posix_fallocate(out.fileno(), 0, size)
