"""Trains the frame evaluator of the built-in world on the train split's real frames.

    accelerate launch training/train_evaluator.py                        # ToonStories, 64 px
    accelerate launch training/train_evaluator.py --max-minutes 5        # and the same command again goes on where it stopped

Frames are decoded once and kept as uint8 (1.2 GB for all 20,000 stories). Light noise, blur and changes of brightness let it read drawn
and generated frames alike; never a flip, which would change a layout. The weights that are best on validation are the product,
`<output>/evaluator` (fp16 safetensors); their accuracy on the test split's real frames stands beside them in `accuracy.json`.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from story_ldm.data import load_stories
from story_ldm.metrics.evaluators import FrameEvaluator, evaluator_loss, frame_labels, reading_accuracy
from story_ldm.train_utils import (
    StepBatches,
    Watch,
    claim_run,
    default_precision,
    load_checkpoint,
    local_rows,
    save_checkpoint,
    save_component,
    step_generator,
    warmup_cosine,
    write_text,
)


@dataclass
class Settings:
    output: Path = Path("runs/evaluator")
    """Folder of the run: checkpoints while it trains, `evaluator` when it is done."""
    dataset: str = "toonstories"
    """Name or folder that load_stories takes; its labels must be those of ToonStories."""
    stories: int = 160_000
    """How many stories' worth of frames to see in all (five frames each)."""
    batch: int = 128
    """Frames a step, over all processes."""
    learning_rate: float = 3e-3
    warmup: int = 200
    weight_decay: float = 1e-2
    noise: float = 0.08
    """Largest standard deviation of the noise that is added to a frame in [-1, 1]."""
    seed: int = 0
    max_minutes: float | None = None
    """Stop (with a checkpoint) after this many minutes."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; each is measured on validation, and the best becomes the product."""
    keep: int = 2
    log_every: int = 100
    workers: int = 2
    """Processes that decode the frames."""
    num_proc: int = 2
    limit: int | None = None
    """Only the first stories of each split."""


def main(s: Settings) -> None:
    accelerator = Accelerator(mixed_precision=default_precision())
    set_seed(s.seed)
    claim_run(accelerator, s.output, s, may_change=("max_minutes", "keep", "log_every", "workers", "num_proc"))
    with accelerator.main_process_first():
        train, validation, test = (load_stories(s.dataset, split, limit=s.limit, num_proc=s.num_proc) for split in ("train", "validation", "test"))

    model = FrameEvaluator().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    total = s.stories * 5 // s.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, s.warmup, total, floor=0.0))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    progress = load_checkpoint(accelerator, s.output)
    step, best = progress["step"], progress.get("best", -1.0)

    product = s.output / "evaluator"
    frames, labels = frames_and_labels(train, s.workers)
    validation_set = frames_and_labels(validation, s.workers)
    batches = iter(StepBatches(len(frames), s.batch, s.seed, step, accelerator.process_index, accelerator.num_processes))
    watch = Watch(accelerator, total * s.batch, s.log_every, "frames")
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        rows = torch.tensor(next(batches))
        draws = local_rows(accelerator, torch.rand(s.batch, 5, generator=step_generator(s.seed, step)))
        noise = step_generator(s.seed, step, 1 + accelerator.process_index)
        x = augment(to_float(frames[rows]).to(accelerator.device), draws, noise, s.noise)
        with accelerator.autocast():
            logits = model(x)
        loss, parts = evaluator_loss(logits, {name: values[rows] for name, values in labels.items()})
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, **parts)
        if step % s.checkpoint_every == 0 or step == total:
            best = keep_if_best(accelerator, model, *validation_set, best, product)
            save_checkpoint(accelerator, s.output, step, s.keep, best=best)
    if step < total and step % s.checkpoint_every:
        save_checkpoint(accelerator, s.output, step, s.keep, best=best)
        if not product.exists():
            keep_if_best(accelerator, model, *validation_set, best, product)
    if accelerator.is_main_process:
        report(product, validation_set, frames_and_labels(test, s.workers), step)
        print(f"{step} of {total} steps done; {product} written")


def frames_and_labels(stories: Dataset, workers: int) -> tuple[Tensor, dict[str, Tensor]]:
    """All frames of the stories as uint8 (F, 3, 64, 64), decoded once, and their labels."""
    loader = DataLoader(stories.select_columns(["frames"]), 64, num_workers=workers, collate_fn=stack_frames)
    frames = torch.cat(list(tqdm(loader, desc="decoding frames", leave=False)))
    labels = frame_labels(stories.remove_columns("frames"))
    assert len(frames) == len(labels["story"]), f"{len(frames)} frames for {len(labels['story'])} sentences"
    return frames, labels


def stack_frames(rows: list[dict]) -> Tensor:
    pictures = [np.asarray(frame.convert("RGB")) for row in rows for frame in row["frames"]]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_float(frames: Tensor) -> Tensor:
    """uint8 → [-1, 1]."""
    return frames.float() / 127.5 - 1


def augment(frames: Tensor, draws: Tensor, generator: torch.Generator, noise: float) -> Tensor:
    """Frames (B, 3, H, W) in [-1, 1] and draws (B, 5) in [0, 1) → a quarter softened, a quarter of half the resolution, brightness and
    contrast changed by up to a tenth, and noise on every other frame."""
    draws = draws[..., None, None, None]
    kind, amount, brightness, contrast, strength = draws.unbind(1)  # (B, 1, 1, 1) each
    kind = kind.flatten()
    soft, coarse = kind < 0.25, (kind >= 0.25) & (kind < 0.5)
    frames = frames.clone()
    if soft.any():
        x = frames[soft]
        frames[soft] = torch.lerp(x, F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1), amount[soft])
    if coarse.any():
        x = frames[coarse]
        half = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
        frames[coarse] = torch.lerp(x, half, amount[coarse])
    frames = frames * (0.9 + 0.2 * contrast) + 0.2 * (brightness - 0.5)
    grain = torch.randn(frames[::2].shape, generator=generator).to(frames)
    frames[::2] += noise * strength[::2] * grain
    return frames.clamp(-1, 1)


def read_all(model: FrameEvaluator, frames: Tensor) -> dict[str, Tensor]:
    parts = [model.read(to_float(part)) for part in frames.split(1024)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def keep_if_best(accelerator: Accelerator, model, frames: Tensor, labels: dict[str, Tensor], best: float, product: Path) -> float:
    """Measures on validation; stores the weights if their mean accuracy is the best so far. Returns the best."""
    # a copy, because storing rounds the weights to fp16
    now = copy.deepcopy(accelerator.unwrap_model(model, keep_fp32_wrapper=False)).eval()
    accuracy = reading_accuracy(read_all(now, frames), labels)
    mean = sum(accuracy.values()) / len(accuracy)
    accelerator.print("validation | " + " | ".join(f"{name} {value:.4f}" for name, value in accuracy.items()))
    if mean > best and accelerator.is_main_process:
        save_component(now, product, torch.float16)
    return max(mean, best)


def report(product: Path, validation_set, test_set, step: int) -> None:
    """Accuracy of the stored weights on real frames, printed and written beside them."""
    model = FrameEvaluator.from_pretrained(product, dtype=torch.float32).eval()
    splits = {"validation": validation_set, "test": test_set}
    result = {"step": step, "frames": {split: len(frames) for split, (frames, _) in splits.items()}}
    result |= {split: reading_accuracy(read_all(model, frames), labels) for split, (frames, labels) in splits.items()}
    write_text(product / "accuracy.json", json.dumps(result, indent=1))
    for name, value in result["test"].items():
        print(f"test | {name:12s} {value:.4f}" + ("" if value >= 0.99 else "   under 0.99: not to be used"))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
