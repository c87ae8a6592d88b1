"""Measure training speed: Story-LDM against a plain diffusers step, with and without memory, and the effect of each option.

    python benchmarks/bench_training.py                       # toon-64; bfloat16 on a CPU, fp16 on a GPU
    python benchmarks/bench_training.py --switches            # also each option against the script's defaults
    python benchmarks/bench_training.py --preset sd15 --train memory --batch 1 --noise-draws 1

The plain step is that of diffusers' text-to-image training: the same UNet without memory, the same frames, and a frozen text encoder that runs at
every step. Story-LDM's rows also train their text encoder and language memory. The rows "frozen text" train only the UNet with its memory layers,
on precomputed sentence states (`train_story_ldm.py --freeze-text-encoder`). The steps of all rows are interleaved on a CPU, and medians are
printed: a busy machine slows all rows equally.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
import tyro
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.sentences import encode_stories, new_text_encoder, train_tokenizer
from story_ldm.systems.story_ldm.building import freeze
from story_ldm.systems.story_ldm.diffusion import StoryBatch, StoryDenoiser
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.run import default_precision, one_of
from story_ldm.training.watch import forward_flops, peak_flops


@dataclass
class Settings:
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the networks."""
    train: Literal["all", "memory"] = "all"
    """Train all weights, or only memory layers and language memory."""
    batch: int = 8
    """Stories per step."""
    frames: int = 5
    """Frames per story."""
    noise_draws: int = 2
    """Noise draws per frame."""
    repeats: int = 7
    """Timed steps of each row; the median is printed."""
    switches: bool = False
    """Also measure each speed option of train_story_ldm.py, and each precision, against the defaults."""


@dataclass
class Variant:
    """The configuration of one row; the defaults are those of train_story_ldm.py."""

    memory: str = "spatial"
    plain: bool = False
    frozen_text: bool = False
    precision: str = default_precision()
    optimizer: str = "adamw"
    fused: bool = True
    gradient_checkpointing: bool = False
    compile: bool = False
    channels_last: bool = True
    xformers: bool = False


GPU = torch.cuda.is_available()
SWITCHES = {
    "channels_last off": Variant(channels_last=False),
    "fused AdamW off": Variant(fused=False),
    "Muon": Variant(optimizer="muon"),
    "gradient checkpointing": Variant(gradient_checkpointing=True),
    "compile": Variant(compile=True),
    "float32": Variant(precision="no"),
}
if GPU:
    SWITCHES |= {"bf16": Variant(precision="bf16"), "8-bit AdamW": Variant(optimizer="adamw8bit"), "xformers": Variant(xformers=True)}


def random_batch(s: Settings, preset: dict[str, Any], vocab_size: int, device: torch.device) -> StoryBatch:
    shape = (preset["unet"]["in_channels"],) + (preset["unet"]["sample_size"],) * 2
    enabled = torch.ones(s.batch, dtype=torch.bool, device=device)
    clean = torch.randn(s.batch, s.frames, *shape, device=device)
    ids = torch.randint(2, vocab_size, (s.batch, s.frames, preset["max_length"]), device=device)
    noise = torch.randn(s.noise_draws * s.batch, s.frames, *shape, device=device)
    levels = torch.randint(0, 1000, noise.shape[:2], device=device)
    ones, clean_levels = torch.ones_like(ids), torch.zeros_like(levels[: s.batch])
    return StoryBatch(clean, ids, ones, ones[..., 0], noise, noise, levels, clean, clean_levels, enabled, enabled, enabled)


class PlainStep(torch.nn.Module):
    """Separate frames: diffusers' UNet, and a frozen text encoder that encodes each frame's sentence."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel):
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder.requires_grad_(False)

    def forward(self, batch: StoryBatch) -> tuple[Tensor, None]:
        draws = len(batch.noisy) // len(batch.latents)
        with torch.no_grad():
            condition = encode_stories(self.text_encoder, None, batch.ids.repeat(draws, 1, 1), batch.mask.repeat(draws, 1, 1))
        condition = condition.map(lambda x: x.flatten(0, 1))
        class_labels = {"class_labels": condition.pooled} if self.unet.class_embedding is not None else {}
        return self.unet(batch.noisy.flatten(0, 1), batch.levels.flatten(), condition.states, **class_labels).sample.view_as(batch.noisy), None


def new_step(s: Settings, v: Variant) -> Callable[[], tuple[float, int]]:
    """A function that runs one training step and returns its duration in seconds and the floating-point operations per frame of its forward."""
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(mixed_precision=v.precision)
    preset = PRESETS[s.preset]()
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["a story"], max_length=preset["max_length"])
    batch = random_batch(s, preset, len(tokenizer), accelerator.device)
    text = new_text_encoder(tokenizer, **preset["text"])
    settings = {name: value for name, value in preset["unet"].items() if not v.plain or not name.startswith("memory")}
    unet = UNet2DConditionModel(**settings) if v.plain else StoryUNet2DConditionModel(**{**settings, "memory": v.memory})
    language = None if v.plain or v.frozen_text else LanguageMemory(**preset["language_memory"])
    if v.frozen_text:
        batch.states = encode_stories(text.requires_grad_(False), None, batch.ids, batch.mask).states
    if v.xformers:
        unet.enable_xformers_memory_efficient_attention()
    elif not GPU:
        unet.set_attn_processor(AttnProcessor())
    if v.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if v.channels_last:
        unet.to(memory_format=torch.channels_last)
    empty = torch.zeros(preset["max_length"], dtype=torch.long)
    model = PlainStep(unet, text) if v.plain else StoryDenoiser(unet, text, language, None, empty, empty + 1)
    if s.train == "memory" and isinstance(model, StoryDenoiser):
        freeze(model, dtype={"fp16": torch.float16, "bf16": torch.bfloat16}.get(v.precision))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer: torch.optim.Optimizer
    if v.optimizer == "adamw" and not v.fused:
        optimizer = torch.optim.AdamW(trained, lr=1e-4)
    else:
        optimizer = new_optimizer(v.optimizer, muon_groups(model) if v.optimizer == "muon" else [{"params": trained}], lr=1e-4)
    model, optimizer = accelerator.prepare(model, optimizer)
    frames = s.batch * s.frames * s.noise_draws
    with accelerator.autocast():
        flops = forward_flops(accelerator.unwrap_model(model), batch) // frames
    if v.compile:
        unet.compile()
    model.train()

    def step() -> tuple[float, int]:
        start = time.perf_counter()
        accelerator.backward(model(batch)[0].float().square().mean())
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if GPU:
            torch.cuda.synchronize()
        return time.perf_counter() - start, flops

    return step


def timed(s: Settings, variants: dict[str, Variant]) -> dict[str, dict[str, Any]]:
    """Name → `seconds` of each step, `speed` in frames per second, `flops` per frame of the forward and, on a GPU, peak memory in `bytes`.

    On a CPU, whose speed drifts, the rows are interleaved; on a GPU they run one after another, each with the whole memory."""
    results: dict[str, dict[str, Any]] = {name: {"seconds": [], "bytes": 0} for name in variants}
    for group in [{name: variant} for name, variant in variants.items()] if GPU else [variants]:
        gc.collect()
        if GPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        steps = {name: new_step(s, variant) for name, variant in group.items()}
        for n in range(s.repeats + 2):
            for name, step in steps.items():
                seconds, flops = step()
                if n >= 2:
                    results[name]["seconds"].append(seconds)
                    results[name]["flops"] = flops
                    results[name]["bytes"] = torch.cuda.max_memory_allocated() if GPU else 0
        del steps, step
    frames = s.batch * s.frames * s.noise_draws
    return {name: row | {"speed": frames / statistics.median(row["seconds"])} for name, row in results.items()}


def print_table(rows: dict[str, dict[str, Any]], baseline: str, cost: float) -> None:
    """Print the rows as Markdown, with speeds relative to the row `baseline`. cost: forward and backward together, in forwards."""
    memory, peak = ("peak GiB | share of peak | ", peak_flops()) if GPU else ("", 0)
    print(f"| step | frames/s | ÷ {baseline} | forward GFLOPs per frame | {memory}\n|{'---|' * (6 if GPU else 4)}")
    for name, row in rows.items():
        cells = [name, f"{row['speed']:.1f}", f"{row['speed'] / rows[baseline]['speed']:.2f}", f"{row['flops'] / 1e9:.2f}"]
        if GPU:
            cells += [f"{row['bytes'] / 2**30:.1f}", f"{cost * row['flops'] * row['speed'] / peak:.0%}" if peak else "unknown"]
        print("| " + " | ".join(cells) + " |", flush=True)


def main(s: Settings) -> None:
    sizes = f"{s.batch} stories × {s.frames} frames × {s.noise_draws} noise draws"
    device = torch.cuda.get_device_name() if GPU else f"{torch.get_num_threads()} CPU threads"
    print(f"{s.preset}, train {s.train}, {sizes}, {default_precision()}, {device}\n")
    cost = 3 if s.train == "all" else 2
    forms = {f"{memory} memory": Variant(memory=memory) for memory in ("sentence", "spatial")}
    forms = {"no memory": Variant(memory="none"), **forms}
    if s.train == "all":
        forms |= {f"{name}, frozen text": replace(variant, frozen_text=True) for name, variant in forms.items()}
    print_table(timed(s, {"plain diffusers": Variant(plain=True), **forms}), "plain diffusers", cost)
    for name, variant in SWITCHES.items() if s.switches else ():
        print()
        print_table(timed(s, {"defaults": Variant(), name: variant}), "defaults", cost)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
