"""Training speed with memory against without: the same UNet, the same stories and noise draws, the same precision, in one run.

python benchmarks/bench_training.py                       # toon-64; bfloat16 on a CPU, fp16 on a GPU
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
import tyro
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor

from story_ldm.diffusion import StoryBatch, StoryDenoiser
from story_ldm.presets import PRESETS
from story_ldm.text import LanguageMemory, new_text_encoder, train_tokenizer
from story_ldm.train_utils import default_precision
from story_ldm.unet import StoryUNet2DConditionModel


@dataclass
class Settings:
    preset: str = "toon-64"
    batch: int = 8
    """Stories a step."""
    frames: int = 5
    noise_draws: int = 2
    repeats: int = 7


def main(s: Settings) -> None:
    accelerator = Accelerator(mixed_precision=default_precision())
    preset = PRESETS[s.preset]()
    tokenizer = train_tokenizer(["a story"], max_length=preset["max_length"])
    device, shape = accelerator.device, (preset["unet"]["in_channels"],) + (preset["unet"]["sample_size"],) * 2
    yes = torch.ones(s.batch, dtype=torch.bool, device=device)
    clean = torch.randn(s.batch, s.frames, *shape, device=device)
    ids = torch.randint(2, len(tokenizer), (s.batch, s.frames, preset["max_length"]), device=device)
    batch = StoryBatch(
        latents=clean,
        ids=ids,
        mask=torch.ones_like(ids),
        noisy=torch.randn(s.noise_draws * s.batch, s.frames, *shape, device=device),
        levels=torch.randint(0, 1000, (s.noise_draws * s.batch, s.frames), device=device),
        memory_latents=clean,
        memory_levels=torch.zeros(s.batch, s.frames, dtype=torch.long, device=device),
        use_text=yes,
        use_memory=yes,
        use_language=yes,
    )

    def step_of(memory: str):
        torch.manual_seed(0)
        unet = StoryUNet2DConditionModel(**{**preset["unet"], "memory": memory})
        if not torch.cuda.is_available():
            unet.set_attn_processor(AttnProcessor())
        text = new_text_encoder(tokenizer, **preset["text"])
        empty = torch.zeros(preset["max_length"], dtype=torch.long)
        parts = (unet.to(memory_format=torch.channels_last), text, LanguageMemory(**preset["language_memory"]), None, empty, empty + 1)
        model = StoryDenoiser(*parts)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        model, optimizer = accelerator.prepare(model, optimizer)

        def step():
            start = time.perf_counter()
            accelerator.backward(model(batch)[0].float().square().mean())
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            return time.perf_counter() - start

        return step

    steps = {memory: step_of(memory) for memory in ("none", "sentence", "spatial")}
    times = {memory: [] for memory in steps}
    for n in range(s.repeats + 2):
        for memory, step in steps.items():
            seconds = step()
            if n >= 2:
                times[memory].append(seconds)
    frames = s.batch * s.frames * s.noise_draws
    speed = {memory: frames / statistics.median(values) for memory, values in times.items()}
    sizes = f"{s.batch} stories × {s.frames} frames × {s.noise_draws} noise draws"
    print(f"{s.preset}, {sizes}, {accelerator.mixed_precision}, {torch.get_num_threads()} threads\n")
    print("| memory | frames/s | ÷ without |\n|---|---|---|")
    for memory, value in speed.items():
        print(f"| {memory} | {value:.0f} | {value / speed['none']:.2f} |")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
