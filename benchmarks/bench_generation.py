"""Speed and memory of generation, all in one run: medians, and the ratios that matter.

    python benchmarks/bench_generation.py                       # the shipped model
    python benchmarks/bench_generation.py --model DIR --repeats 9

1. A frame of Story-LDM at position 5 (five earlier frames in memory) against a frame of the plain LDM: same UNet, steps and guidance.
2. Position 50 against position 5, with bounded memory. 3. Cached memory against memory written anew at every diffusion step.
4. Seconds a story, 1 and 16 stories at once. 5. Bytes of memory, and growth of the process, against the story length M.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from story_ldm.pipelines import StoryLDMPipeline

from story_ldm.cli import SHIPPED_MODEL
from story_ldm.data.toonstories import make_story
from story_ldm.systems.story_ldm.memory_attention import StoryMemory


@dataclass
class Settings:
    model: Path = SHIPPED_MODEL
    steps: int = 20
    guidance: float = 2.0
    max_memory_frames: int = 5
    """How many earlier frames the bounded memory reads."""
    repeats: int = 7


class FrameBench:
    """One frame at a position, timed alone: the pipeline's own reverse process with a memory written beforehand."""

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
        earlier = slice(None), slice(position)
        return self.pipe.unet.write(self.clean[earlier], self.condition[earlier]) if position else StoryMemory()

    @torch.no_grad()
    def frame(self, position: int, memory: StoryMemory, bound: int | None = None, write: bool = True) -> None:
        """All diffusion steps of the frame at `position`, and its write pass."""
        unet, s = self.pipe.unet, self.s
        condition = self.condition[:, position]
        memory = unet.recall(memory, condition.pooled, bound) if len(memory) else memory
        scales = {"guidance_scale": s.guidance, "memory_guidance_scale": s.guidance}
        self.pipe.draw_frame(self.clean[:, position], condition, self.negative, memory, num_inference_steps=s.steps, **scales)
        if write:
            own = slice(None), slice(position, position + 1)
            unet.write(self.clean[own], self.condition[own], positions=[position])

    @torch.no_grad()
    def frame_without_cache(self, position: int) -> None:
        """The same, with the memory of all earlier frames written anew before every diffusion step."""
        self.pipe.scheduler.set_timesteps(self.s.steps)
        for _ in range(self.s.steps):
            self.memory(position)
        self.frame(position, self.memory(position))


def interleaved(repeats: int, **jobs: Callable[[], None]) -> dict[str, float]:
    """Median seconds of each job; the jobs take turns, so that a slow moment of the machine hits all of them."""
    times = {name: [] for name in jobs}
    for n in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if n:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main(s: Settings) -> None:
    pipe = StoryLDMPipeline.from_pretrained(s.model)
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
    print("| a frame | ms |\n|---|---|")
    for name, value in times.items():
        print(f"| {name} | {1000 * value:.0f} |")
    print("\n| ratio | value | bar |\n|---|---|---|")
    print(f"| position 5 ÷ plain LDM | {times['at_5'] / times['plain']:.2f} | ≤ 1.25 |")
    print(f"| position 50 ÷ position 5, memory bounded to {s.max_memory_frames} | {times['bounded_50'] / times['bounded_5']:.2f} | ≤ 1.10 |")
    print(f"| position 50 ÷ position 5, memory not bounded | {times['unbounded_50'] / times['at_5']:.2f} | |")
    print(f"| recomputed ÷ cached memory | {times['recomputed'] / times['at_5']:.2f} | |")

    stories = [make_story(split="test", index=n).sentences["referential"] for n in range(16)]
    whole = interleaved(
        max(1, s.repeats // 3),
        one=lambda: pipe(stories[:1], num_inference_steps=s.steps, guidance_scale=s.guidance),
        sixteen=lambda: pipe(stories, num_inference_steps=s.steps, guidance_scale=s.guidance),
    )
    print("\n| stories of 5 frames at once | seconds a story |\n|---|---|")
    print(f"| 1 | {whole['one']:.2f} |\n| 16 | {whole['sixteen'] / 16:.2f} |")

    print("\n| story length M | visual memory, MiB | peak of the process, MiB |\n|---|---|---|")
    for length in (5, 10, 25, 50):
        memory = bench.memory(length)
        bench.frame(length, memory)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {length} | {memory.nbytes / 2**20:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
