"""Trains the frame evaluator of a built-in world, or of any dataset with character labels, on the real frames of the train split.

    accelerate launch training/train_evaluator.py                        # ToonStories, 64 px
    accelerate launch training/train_evaluator.py --dataset data/pororo --output runs/pororo-evaluator     # its characters, and all else it labels
    accelerate launch training/train_evaluator.py --max-minutes 5        # the same command resumes the run
    accelerate launch training/train_evaluator.py --dataset toonstories-2 --resolution 128 --fine --limit 14000 --stories 80000 \
        --output runs/toon2-evaluator                                    # ToonStories 2

Frames are decoded once and kept as uint8 (1.5 GB for 24,000 stories of 64 px). Light noise, blur and brightness changes make the evaluator robust to
generated frames; frames are not flipped, because a flip would change the layout. The weights with the best validation accuracy are the result,
`<output>/evaluator` (fp16 safetensors); `accuracy.json` in it has their accuracy on real frames of the test splits.

On ToonStories, it also trains on the pairs of character and background that only `test_compositional` has, in stories of other seeds than that
split's own; on ToonStories 2 it trains on the split `train_wide`, which has all pairs. An evaluator that never saw Bruno in the forest would
recognise him less well there and report that as an error of the generator. In `train_wide` a frame may show two of a kind; of a kind a head says one
thing, so what two of it do not share is not trained on (`frame_labels`).
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
import tyro
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets
from torch import Tensor, nn

from story_ldm.data.frames import decode_frames, to_float
from story_ldm.data.stories import WORLDS, held_out_split, load_stories, tested_split
from story_ldm.encoders.evaluator import UNKNOWN, FrameEvaluator, evaluator_loss, evaluator_settings, frame_labels, label_names, reading_accuracy
from story_ldm.files import write_text
from story_ldm.model_folders import open_local
from story_ldm.reports.cards import write_training_section
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint, save_component
from story_ldm.training.processes import run_script
from story_ldm.training.run import RunSettings, finish_run, run_record, start_run
from story_ldm.training.steps import StepBatches, local_rows, step_generator, warmup_cosine, whole_steps
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes

PAIR_SEEDS = range(1, 5)  # of 1,000 stories each


@dataclass
class Settings(RunSettings):
    output: Path = Path("runs/evaluator")
    """Folder of the run: settings, checkpoints, and the finished `evaluator`."""
    dataset: str = "toonstories"
    """Name, folder or hub name of the stories, as load_stories takes it; it must have character labels."""
    resolution: int = 64
    """Side of the frames in pixels."""
    fine: bool = False
    """A network for small details in pictures of 128 pixels: it reads blocks of 4 × 4 pixels, and characters at twice the resolution."""
    fit: Literal["crop", "pad"] = "crop"
    """How pictures that are not square are fitted: cropped to the centre, or padded with black."""
    background: str = "white"
    """Colour under transparent parts of pictures, by its CSS name or #rrggbb."""
    stories: int = 160_000
    """Number of stories to train on, counted with repetition and as five frames each."""
    batch: int = 128
    """Frames per step, over all processes."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 1e-2
    """Decoupled weight decay."""
    noise: float = 0.08
    """Largest standard deviation of the noise added to frames in [-1, 1]."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; each is measured on validation, and the most accurate weights are the finished evaluator."""
    log_every: int = 100
    """Steps between log lines."""
    workers: int = 2
    """Processes that decode frames."""


def main(s: Settings) -> None:
    total = whole_steps(s.stories * 5, s.batch)  # in frames, of which the built-in world has 5 a story
    accelerator, held_out = start_run(s, "evaluator"), held_out_split(s.dataset)
    with accelerator.main_process_first():
        shape: dict[str, Any] = {"size": s.resolution, "limit": s.limit, "num_proc": s.num_proc, "fit": s.fit, "background": s.background}
        train = load_stories(s.dataset, "train_wide" if s.dataset == "toonstories-2" else "train", **shape)
        splits = {split: load_stories(s.dataset, split, **shape) for split in (held_out, tested_split(s.dataset))}
        if s.dataset in WORLDS:
            splits["test_compositional"] = load_stories(s.dataset, "test_compositional", **shape)
        if s.dataset == "toonstories":
            train = concatenate_datasets([train, *(load_stories(s.dataset, "test_compositional", **shape, seed=seed) for seed in PAIR_SEEDS)])

    labels = labels_of(train)
    settings = evaluator_settings(train.features, s.resolution, labels, s.fine)
    model = FrameEvaluator(**settings).to(memory_format=torch.channels_last)
    parameters, one = parameter_counts(evaluator=model), torch.zeros(1, 3, s.resolution, s.resolution)
    accelerator.print(f"{sizes(parameters)} | forward {forward_flops(model, one) / 1e9:.2f} GFLOPs per frame")
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, s.warmup, total, floor=0.0))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    progress = load_checkpoint(accelerator, s.output)
    step, best = progress["step"], progress.get("best", -1.0)

    product = s.output / "evaluator"
    frames = decode_frames(train, s.workers)
    validation_set = frames_and_labels(splits[held_out], s.workers)
    batches = iter(StepBatches(len(frames), s.batch, s.seed, step, accelerator.process_index, accelerator.num_processes))
    watch = Watch(accelerator, total * s.batch, s.log_every, "frames", run=s.output)
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        rows = torch.tensor(next(batches))
        draws = local_rows(accelerator, torch.rand(s.batch, 5, generator=step_generator(s.seed, step)))
        grain = torch.zeros(s.batch, *frames.shape[1:])
        grain[::2].normal_(0, s.noise, generator=step_generator(s.seed, step, 1))
        x = augment(to_float(frames[rows]).to(accelerator.device), draws.to(accelerator.device), local_rows(accelerator, grain))
        with accelerator.autocast():
            logits = model(x)
        targets = {name: values[rows] for name, values in labels.items()}
        counts = accelerator.reduce(torch.stack([(values != UNKNOWN).sum() for values in targets.values()]).float().to(accelerator.device), "mean")
        loss, parts = evaluator_loss(logits, targets, dict(zip(targets, counts, strict=True)))
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
    watch.leave_if_asked()
    if not product.exists():
        keep_if_best(accelerator, model, *validation_set, best, product)
    if accelerator.is_main_process:
        measured = {split: frames_and_labels(stories, s.workers) for split, stories in splits.items() if split != held_out}
        report(product, {held_out: validation_set, **measured}, step)
        write_training_section(product, run_record(s), parameters, seen=step * s.batch // 5, script="train_evaluator.py")
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, product)


def labels_of(stories: Dataset) -> dict[str, Tensor]:
    return frame_labels(stories.remove_columns("frames"), len(label_names(stories.features, "characters")))


def frames_and_labels(stories: Dataset, workers: int) -> tuple[Tensor, dict[str, Tensor]]:
    """All frames of the stories, decoded, as uint8 (F, 3, H, W), and their labels, each with F rows."""
    return decode_frames(stories, workers), labels_of(stories)


def augment(frames: Tensor, draws: Tensor, grain: Tensor) -> Tensor:
    """Frames (B, 3, H, W) in [-1, 1], draws (B, 5) in [0, 1), noise (B, 3, H, W) → augmented frames (B, 3, H, W).

    A quarter is blurred, a quarter reduced to half the resolution; brightness and contrast change by up to a tenth; noise has a random strength."""
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
    return (frames + strength * grain).clamp(-1, 1)


def read_all(model: FrameEvaluator, frames: Tensor) -> dict[str, Tensor]:
    """The evaluator's readings of uint8 frames (F, 3, H, W), in chunks."""
    parts = [model.read(to_float(part)) for part in frames.split(1024)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def keep_if_best(accelerator: Accelerator, model: nn.Module, frames: Tensor, labels: dict[str, Tensor], best: float, product: Path) -> float:
    """Saves the weights if their mean accuracy on validation frames is higher than `best`. Returns the higher of both."""
    # a copy, because saving rounds the weights to fp16
    snapshot = copy.deepcopy(accelerator.unwrap_model(model, keep_fp32_wrapper=False)).eval()
    accuracy = reading_accuracy(read_all(snapshot, frames), labels)
    known = [value for value in accuracy.values() if value == value]  # not of heads without labels in these frames
    mean = sum(known) / len(known)
    accelerator.print("validation | " + " | ".join(f"{name} {value:.4f}" for name, value in accuracy.items()))
    if mean > best and accelerator.is_main_process:
        save_component(snapshot, product, torch.float16)
    return max(mean, best)


def report(product: Path, splits: dict[str, tuple[Tensor, dict[str, Tensor]]], step: int) -> None:
    """Measures the accuracy of the saved weights on real frames; prints it and writes accuracy.json."""
    model = open_local(FrameEvaluator, product, dtype=torch.float32).eval()
    accuracy = {split: reading_accuracy(read_all(model, frames), labels) for split, (frames, labels) in splits.items()}
    result = {"step": step, "frames": {split: len(frames) for split, (frames, _) in splits.items()}, **accuracy}
    write_text(product / "accuracy.json", json.dumps(result, indent=1))
    for split, values in accuracy.items():
        for name, value in values.items():
            print(f"{split} | {name:12s} {value:.4f}" + ("" if value >= 0.99 else "   below 0.99: do not use it"))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
