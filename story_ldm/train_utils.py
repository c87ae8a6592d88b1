"""What the training scripts share: a few plain functions, no trainer.

Everything random in a step is a pure function of (seed, step): which stories are read (`StepBatches`) and every noise draw
(`step_generator`). A run that goes on from step s therefore repeats nothing and skips nothing, and N processes with 1/N of the batch each
see the draws of one process with the whole batch (`local_rows`). Checkpoints are written beside and renamed (`save_checkpoint`).
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn


def default_precision() -> str:
    """fp16 on a GPU, bfloat16 on a CPU: what the accelerate launcher chose, if it did, comes first."""
    return os.environ.get("ACCELERATE_MIXED_PRECISION") or ("fp16" if torch.cuda.is_available() else "bf16")


class StepBatches:
    """Endless batches of row numbers: the permutations of epoch 0, 1, 2, … one after another, cut every `batch` rows; each process gets its
    share of each batch. Starts at any step without reading what lies before."""

    def __init__(self, rows: int, batch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1):
        assert batch % world == 0, f"the batch of {batch} rows cannot be shared by {world} processes"
        self.rows, self.batch, self.seed, self.start, self.rank, self.world = rows, batch, seed, start, rank, world

    def permutation(self, epoch: int) -> torch.Tensor:
        return torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))

    def __iter__(self) -> Iterator[list[int]]:
        position, share = self.start * self.batch, self.batch // self.world
        epoch, order = -1, None
        while True:
            batch = []
            for place in range(position, position + self.batch):
                if place // self.rows != epoch:
                    epoch = place // self.rows
                    order = self.permutation(epoch).tolist()
                batch.append(order[place % self.rows])
            yield batch[self.rank * share : (self.rank + 1) * share]
            position += self.batch


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 16 + stream)


def local_rows(accelerator: Accelerator, whole: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor drawn for the whole batch, on its device."""
    share = whole.shape[0] // accelerator.num_processes
    start = accelerator.process_index * share
    return whole[start : start + share].to(accelerator.device)


def warmup_cosine(step: int, warmup: int, total: int, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to `floor` at `total` steps."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def warmup_stable_decay(step: int, warmup: int, total: int, decay: float) -> float:
    """Factor on the learning rate: linear warm-up, level, then over the last `decay` of `total` steps linearly down to 0."""
    return min(1.0, (step + 1) / max(1, warmup), max(0.0, (total - step) / max(1.0, decay * total)))


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the complete checkpoints of a run, oldest first."""
    found = (re.fullmatch(r"step-(\d+)", p.name) for p in (run / "checkpoints").glob("step-*"))
    return sorted(int(match[1]) for match in found if match)


def save_checkpoint(accelerator: Accelerator, run: Path, step: int, keep: int, **facts) -> None:
    """The whole state of a run (what accelerate knows of, and `facts`) as `checkpoints/step-N`: written beside, then renamed; pruned to `keep`."""
    final = run / "checkpoints" / f"step-{step:08d}"
    beside = final.with_name(f".{final.name}.partial")
    if accelerator.is_main_process:
        shutil.rmtree(beside, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(beside), safe_serialization=True)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (beside / "progress.json").write_text(json.dumps({"step": step, **facts}))
        shutil.rmtree(final, ignore_errors=True)
        os.replace(beside, final)
        for old in checkpoint_steps(run)[:-keep]:
            shutil.rmtree(run / "checkpoints" / f"step-{old:08d}")
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, run: Path) -> dict:
    """Loads the newest checkpoint of the run; returns its progress, {"step": 0} where there is none."""
    steps = checkpoint_steps(run)
    if not steps:
        return {"step": 0}
    folder = run / "checkpoints" / f"step-{steps[-1]:08d}"
    accelerator.load_state(str(folder))
    accelerator.print(f"going on from {folder}")
    return json.loads((folder / "progress.json").read_text())


def claim_run(accelerator: Accelerator, run: Path, settings, may_change: tuple[str, ...] = ()) -> None:
    """Writes the settings beside the run, or compares them with those it was started with. Raises SystemExit that shows what differs."""
    file, now = run / "settings.json", json.loads(json.dumps(asdict(settings), default=str))
    if file.exists():
        then = json.loads(file.read_text())
        changed = [k for k in now if k not in may_change and k in then and then[k] != now[k]]
        if changed:
            lines = "\n".join(f"  {k}: {then[k]!r} → {now[k]!r}" for k in changed)
            raise SystemExit(f"{run} holds a run with other settings; give the old ones or another --output:\n{lines}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        run.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(now, indent=1))
    accelerator.wait_for_everyone()


def write_text(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.partial")
    beside.write_text(text)
    os.replace(beside, file)


def save_component(model: nn.Module, folder: Path, dtype: torch.dtype | None = None, **settings) -> None:
    """`save_pretrained` of a component, optionally stored in another precision, written beside and renamed."""
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    (copy.deepcopy(model).to(dtype) if dtype else model).save_pretrained(beside, **settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(beside, folder)


class Watch:
    """One log line every `every` steps: averages since the last, speed, how far, and how long still."""

    def __init__(self, accelerator: Accelerator, total: int, every: int, what: str = "stories"):
        self.accelerator, self.total, self.every, self.what = accelerator, total, every, what
        self.sums: dict[str, torch.Tensor] = {}
        self.count, self.seen, self.since, self.started = 0, 0, time.monotonic(), time.monotonic()

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60

    def time_is_up(self, minutes: float | None) -> bool:
        """Whether `minutes` have passed; all processes hear the same answer, or the slower ones would wait for the others for ever."""
        if minutes is None:
            return False
        return bool(self.accelerator.reduce(torch.tensor(float(self.minutes >= minutes), device=self.accelerator.device), "max"))

    def tick(self, step: int, done: int, batch: int, lr: float, **values: torch.Tensor) -> dict[str, float] | None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
        self.count, self.seen = self.count + 1, self.seen + batch
        if step % self.every:
            return None
        names = list(self.sums)
        means = self.accelerator.reduce(torch.stack([self.sums[n].float() / self.count for n in names]), "mean").tolist()
        speed = self.seen / (time.monotonic() - self.since)
        eta = (self.total - done) / max(speed, 1e-9) / 60
        text = " | ".join(f"{n} {v:.4f}" for n, v in zip(names, means, strict=True))
        line = f"step {step} | {done}/{self.total} {self.what} | {text} | lr {lr:.2e} | {speed:.1f} {self.what}/s | ETA {eta:.0f} min"
        if self.accelerator.is_main_process:
            print(line, file=sys.stderr, flush=True)
        self.sums, self.count, self.seen, self.since = {}, 0, 0, time.monotonic()
        return dict(zip(names, means, strict=True)) | {"lr": lr, f"{self.what}_per_s": speed}
