"""Measure speed and memory of generation; prints medians and ratios as tables.

    python benchmarks/bench_generation.py                       # the shipped model
    python benchmarks/bench_generation.py --model FOLDER --repeats 9
    python benchmarks/bench_generation.py --ar-ldm runs/ar-ldm/pipeline

1. A Story-LDM frame at position 5 (five earlier frames in memory) against a frame of the plain LDM, with the same UNet, steps and guidance.
2. Position 50 against position 5, with bounded memory. 3. Cached memory against memory recomputed at every diffusion step.
4. Seconds per story, for batches of 1 and of 16 stories. 5. Size of the visual memory and peak memory of the process, by story length M.
6. AR-LDM's frame at position 5 against a plain one, and its keys and values once a frame against at every step, with operations and parameters.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

from story_ldm.data.toonstories import make_story
from story_ldm.encoders.latents import decode_latents, downscale_factor
from story_ldm.files import markdown_table, model_folder
from story_ldm.pipelines import ARLDMPipeline, StoryLDMPipeline, ar_ldm
from story_ldm.systems.ar_ldm.conditioning import history_slots
from story_ldm.systems.story_ldm.memory_attention import StoryMemory


@dataclass
class Settings:
    model: Path = Path("toon-story-ldm")
    """Folder of the Story-LDM pipeline to measure, or the name of a shipped one."""
    steps: int = 20
    """Diffusion steps per frame."""
    guidance: float = 2.0
    """Guidance scale of text and memory."""
    max_memory_frames: int = 5
    """Number of earlier frames read in the rows with bounded memory."""
    repeats: int = 7
    """Timed runs of each row; the median is printed."""
    ar_ldm: Path | None = None
    """Folder of an AR-LDM pipeline to measure as well."""


class FrameBench:
    """One frame at a given position: the pipeline's reverse process, with a memory that was written before."""

    def __init__(self, pipe: StoryLDMPipeline, s: Settings):
        self.pipe, self.s = pipe, s
        sentences = make_story(split="test_long", index=0, length=51).sentences["referential"]
        with torch.no_grad():
            self.condition = pipe.encode_sentences([sentences])
            self.negative = pipe.encode_sentences([[""]], alone=True)[0, 0]
            size = pipe.unet.config.sample_size
            self.clean = torch.randn(1, 51, pipe.unet.config.in_channels, size, size, device=pipe.device, dtype=pipe.unet.dtype)

    @torch.no_grad()
    def memory(self, position: int) -> StoryMemory:
        """The visual memory of all frames before `position`."""
        earlier = slice(None), slice(position)
        return self.pipe.unet.write(self.clean[earlier], self.condition[earlier]) if position else StoryMemory()

    @torch.no_grad()
    def frame(self, position: int, memory: StoryMemory, max_memory_frames: int | None = None, write: bool = True) -> None:
        """Run all diffusion steps of the frame at `position`, and its write pass."""
        unet, s = self.pipe.unet, self.s
        condition = self.condition[:, position]
        memory = unet.recall(memory, condition.pooled, max_memory_frames) if len(memory) else memory
        scales = {"guidance_scale": s.guidance, "memory_guidance_scale": s.guidance}
        self.pipe.draw_frame(self.clean[:, position], condition, self.negative, memory, num_inference_steps=s.steps, **scales)
        if write:
            current = slice(None), slice(position, position + 1)
            unet.write(self.clean[current], self.condition[current], positions=[position])

    @torch.no_grad()
    def frame_without_cache(self, position: int) -> None:
        """The same, plus one write pass of all earlier frames per diffusion step."""
        self.pipe.scheduler.set_timesteps(self.s.steps)
        for _ in range(self.s.steps):
            self.memory(position)
        self.frame(position, self.memory(position))


class ARFrameBench:
    """The same for AR-LDM: the reverse process of one frame, and the reading of the finished one by the history encoder."""

    def __init__(self, pipe: ARLDMPipeline, s: Settings):
        self.pipe, self.s = pipe, s
        sentences = make_story(split="test_long", index=0, length=6).sentences["referential"]
        size, longest = pipe.unet.config.sample_size, pipe.history_embedding.config.longest
        pixels = size * downscale_factor(pipe.vae)
        with torch.no_grad():
            self.condition, self.ids, self.mask = pipe._read([sentences])
            self.negative, self.empty = pipe._without([[""]])[0, 0], pipe._empty_history(pixels, pixels)
            self.clean = torch.randn(1, 6, pipe.unet.config.in_channels, size, size, device=pipe.device, dtype=pipe.unet.dtype)
        self.slots = history_slots(6, longest)[0][5].tolist()
        pipe._guidance_scale = s.guidance

    @torch.no_grad()
    def frame(self, reads: bool, cached: bool = True) -> None:
        """Frame 5 with all diffusion steps, of earlier frames or alone; with its reading if it is one of a story."""
        pipe, slots = self.pipe, self.slots if reads else []
        history = self.empty.expand(1, len(slots), *self.empty.shape)
        options = {"num_inference_steps": self.s.steps, "memory_guidance_scale": self.s.guidance}
        with nullcontext() if cached else patch.object(ar_ldm, "context_cache", lambda unet: nullcontext()):
            x = pipe.draw_frame(self.clean[:, 5], self.condition[:, 5], self.negative, history, self.mask[:, slots], self.empty, **options)
        if reads:
            pipe._read_frame(self.ids[0, 5], self.mask[0, 5], decode_latents(pipe.vae, x)[0])


def bench_ar_ldm(s: Settings, folder: Path) -> None:
    """Prints the times of a frame of AR-LDM at position 5, their ratios, and its parameters and operations."""
    pipe = ARLDMPipeline.from_pretrained(folder)
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)
    bench = ARFrameBench(pipe, s)
    jobs: dict[str, Callable[[], None]] = {
        "plain": lambda: bench.frame(False),
        "at_5": lambda: bench.frame(True),
        "not_cached": lambda: bench.frame(True, cached=False),
    }
    times, operations = interleaved(s.repeats, **jobs), {}
    for name, job in jobs.items():
        with FlopCounterMode(display=False) as counter:
            job()
        operations[name] = counter.get_total_flops()
    rows = ((name, f"{1000 * times[name]:.0f}", f"{operations[name] / 1e9:.2f}") for name in jobs)
    print(f"\n{markdown_table(('frame of AR-LDM', 'ms', 'GFLOPs'), rows)}")
    ratios = [("position 5 ÷ plain LDM", "at_5", "plain"), ("keys and values at every step ÷ once a frame", "not_cached", "at_5")]
    table = ((name, f"{times[above] / times[below]:.2f}", f"{operations[above] / operations[below]:.2f}") for name, above, below in ratios)
    print(f"\n{markdown_table(('ratio', 'of the times', 'of the operations'), table)}")
    counts = ((name, f"{sum(p.numel() for p in part.parameters()):,}") for name, part in pipe.components.items() if isinstance(part, torch.nn.Module))
    print(f"\n{markdown_table(('part of AR-LDM', 'parameters'), counts)}")


def interleaved(repeats: int, **jobs: Callable[[], None]) -> dict[str, float]:
    """Median seconds of each job. The jobs are interleaved, to spread slow phases of the machine over all of them."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for n in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if n:  # the first round is a warm-up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main(s: Settings) -> None:
    pipe = StoryLDMPipeline.from_pretrained(model_folder(s.model))
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)
    bench = FrameBench(pipe, s)
    at5, at50 = bench.memory(5), bench.memory(50)
    times = interleaved(
        s.repeats,
        plain=lambda: bench.frame(5, StoryMemory(), write=False),
        at_5=lambda: bench.frame(5, at5),
        bounded_5=lambda: bench.frame(5, at5, s.max_memory_frames),
        bounded_50=lambda: bench.frame(50, at50, s.max_memory_frames),
        unbounded_50=lambda: bench.frame(50, at50),
        recomputed=lambda: bench.frame_without_cache(5),
    )
    print(f"{s.steps} steps, guidance {s.guidance}, {torch.get_num_threads()} threads, medians of {s.repeats} runs\n")
    print(markdown_table(("frame", "ms"), ((name, f"{1000 * value:.0f}") for name, value in times.items())))
    ratios = [
        ("position 5 ÷ plain LDM", "at_5", "plain", "≤ 1.08"),
        (f"position 50 ÷ position 5, memory bounded to {s.max_memory_frames}", "bounded_50", "bounded_5", "≤ 1.05"),
        ("position 50 ÷ position 5, memory not bounded", "unbounded_50", "at_5", ""),
        ("recomputed ÷ cached memory", "recomputed", "at_5", ""),
    ]
    rows = ((name, f"{times[above] / times[below]:.2f}", bar) for name, above, below, bar in ratios)
    print(f"\n{markdown_table(('ratio', 'value', 'bar'), rows)}")

    stories = [make_story(split="test", index=n).sentences["referential"] for n in range(16)]
    per_batch = interleaved(
        max(1, s.repeats // 3),
        one=lambda: pipe(stories[:1], num_inference_steps=s.steps, guidance_scale=s.guidance),
        sixteen=lambda: pipe(stories, num_inference_steps=s.steps, guidance_scale=s.guidance),
    )
    batches = ((1, f"{per_batch['one']:.2f}"), (16, f"{per_batch['sixteen'] / 16:.2f}"))
    print(f"\n{markdown_table(('batch, stories of 5 frames', 'seconds per story'), batches)}")

    costs = []
    for length in (5, 10, 25, 50):
        memory = bench.memory(length)
        bench.frame(length, memory)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        costs.append((length, f"{memory.nbytes / 2**20:.2f}", f"{peak:.0f}"))
    print(f"\n{markdown_table(('story length M', 'visual memory, MiB', 'peak memory of the process, MiB'), costs)}")
    if s.ar_ldm is not None:
        bench_ar_ldm(s, model_folder(s.ar_ldm))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
