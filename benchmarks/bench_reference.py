"""Compare the cost of drawing a story with that of Make-A-Story's published sampler, for UNets of the same shape.

    python benchmarks/bench_reference.py                                       # this project's columns
    python benchmarks/bench_reference.py --reference FOLDER                    # beside the published code, a clone of ubc-vision/Make-A-Story
    python benchmarks/bench_reference.py --reference FOLDER --seconds 3        # also measured, not only counted

Operations are counted by torch on both UNets, without computing anything (device "meta"). The published sampler draws all frames of a story together,
every step of it anew; here a story is drawn frame by frame, and what was drawn is written into memory once. Text encoder and autoencoder, which both
need once a sentence and once a frame, do not count. Both run two rows a frame, for guidance. Published defaults: 200 DDIM steps
(scripts/txt2img_flintstone_multitxt.py), the UNet of configs/latent-diffusion/flintstones_txt2img-1p4B-eval.yaml.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.files import markdown_table
from story_ldm.systems.story_ldm.memory_attention import StoryMemory
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

PUBLISHED = {  # unet_config of the published configuration
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 128,
    "attention_resolutions": [4, 2, 1],
    "num_res_blocks": 2,
    "channel_mult": [1, 2, 4, 4],
    "num_heads": 8,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "context_dim": 1280,
    "use_checkpoint": False,  # which trades operations for memory in training only
    "legacy": False,
}


@dataclass
class Settings:
    reference: Path | None = None
    """Folder of Make-A-Story's published code (it needs einops); its columns are left out without it."""
    memory: Literal["spatial", "sentence"] = "spatial"
    """Form of this project's memory."""
    frames: tuple[int, ...] = (5, 10, 50)
    """Lengths of the stories."""
    steps: int = 20
    """Diffusion steps a frame here; the default of StoryLDMPipeline."""
    reference_steps: int = 200
    """Diffusion steps of the published sampler; its script's default."""
    max_memory_frames: int | None = None
    """Read at most this many earlier frames here."""
    seconds: int = 0
    """Also measure the seconds of one diffusion step, this often, and print medians; 0 only counts."""


class Here:
    """This project's UNet in the published shape: what a story of M frames runs."""

    def __init__(self, memory: str, device: str):
        with torch.device(device):
            self.unet = StoryUNet2DConditionModel(**{**PRESETS["paper-256"]()["unet"], "memory": memory}).eval()
        self.device = device

    def inputs(self, *leading: int) -> tuple[Tensor, Conditioning]:
        config = self.unet.config
        latents = torch.randn(*leading, config.in_channels, config.sample_size, config.sample_size, device=self.device)
        width = config.cross_attention_dim
        return latents, Conditioning(torch.randn(*leading, 77, width, device=self.device), torch.randn(*leading, width, device=self.device))

    def remembered(self, frames: int) -> StoryMemory:
        """The memory of frames that look alike: one is written, which is quicker."""
        if not frames:
            return StoryMemory()
        memory = self.unet.write(*self.inputs(1, 1))
        entries = {site: entry.map(lambda x: x.repeat_interleave(frames, dim=1)) for site, entry in memory.entries.items()}
        return StoryMemory(entries, list(range(frames)), sizes=memory.sizes)

    def step(self, frames: int) -> Callable[[], Any]:
        """One diffusion step of a frame that reads `frames` earlier ones, with guidance."""
        memory, (latents, condition) = self.remembered(frames), self.inputs(2)
        assert condition.pooled is not None
        prepared = self.unet.prepare(memory, condition.pooled[1:]).after(1) if frames else None
        return lambda: self.unet(latents, 500, condition, memory=prepared)

    def write(self) -> Callable[[], Any]:
        latents, condition = self.inputs(1, 1)
        return lambda: self.unet.write(latents, condition)

    def story(self, cost: Callable[[Callable[[], Any]], float], frames: int, steps: int, most: int | None) -> float:
        """The cost of a story of so many frames: of what reads k frames, it grows evenly with k (attention), so two of them are measured."""
        many = max(2, frames - 1)
        plain, one, last = (cost(self.step(k)) for k in (0, 1, many))
        reads = [min(m, most or m) for m in range(1, frames)]
        return steps * (plain + sum(one + (k - 1) * (last - one) / (many - 1) for k in reads)) + (frames - 1) * cost(self.write())


def published_unet(folder: Path, device: str) -> nn.Module:
    """The UNet of Make-A-Story's code. Raises ValueError if there is none in the folder."""
    sys.path.insert(0, str(folder))
    try:
        model = importlib.import_module("ldm.modules.diffusionmodules.openaimodel").UNetModel
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--reference is {folder}; its ldm.modules.diffusionmodules.openaimodel.UNetModel cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(folder))
    with torch.device(device):
        return model(**PUBLISHED).eval()


def published_step(unet: nn.Module, frames: int, device: str) -> Callable[[], Any]:
    """One step of the published sampler: all frames of a story, with guidance."""
    latents, context = torch.randn(2, 4, frames, 32, 32, device=device), torch.randn(2, frames, 77, 1280, device=device)
    t = torch.full((2,), 500, device=device)
    return lambda: unet(latents, t, context=context)


def operations(job: Callable[[], Any]) -> float:
    with FlopCounterMode(display=False) as counter:
        job()
    return counter.get_total_flops()


def seconds(repeats: int) -> Callable[[Callable[[], Any]], float]:
    def measured(job: Callable[[], Any]) -> float:
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    return measured


def table(s: Settings, cost: Callable[[Callable[[], Any]], float], device: str, scale: float, unit: str) -> str:
    """Markdown table of the cost of a story by its length."""
    here, head = Here(s.memory, device), ["frames", f"here, {s.steps} steps, {unit}", "of it memory"]
    other = published_unet(s.reference, device) if s.reference is not None else None
    if other is not None:
        head += [f"published, {s.steps} steps", "÷ here", f"published, {s.reference_steps} steps", "÷ here"]
    plain, rows = cost(here.step(0)), []
    for frames in s.frames:
        own = here.story(cost, frames, s.steps, s.max_memory_frames)
        row: list[Any] = [frames, f"{own * scale:.4g}", f"{1 - frames * s.steps * plain / own:.1%}"]
        if other is not None:
            step = cost(published_step(other, frames, device))
            for steps in (s.steps, s.reference_steps):
                row += [f"{steps * step * scale:.4g}", f"{steps * step / own:.2f}"]
        rows.append(row)
    return markdown_table(head, rows)


@torch.no_grad()
def main(s: Settings) -> None:
    print(f"{s.memory} memory, frames of 256 px, one story\n")
    print(table(s, operations, "meta", 1e-12, "10¹² operations"))
    if s.seconds:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
        print(f"\n{where}, medians of {s.seconds} runs of a step, times the number of steps\n")
        print(table(s, seconds(s.seconds), device, 1, "seconds"))
    if s.reference is None:
        print("\nWithout --reference the published sampler is left out: give the folder of its code.")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
