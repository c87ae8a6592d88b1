"""Watching a run: its log line, what it costs in floating-point operations, and when it must stop."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from story_ldm.training.checkpoints import stop_training
from story_ldm.training.processes import AGAIN, any_process

OVERFLOWS = 50  # steps in a row that a loss scaler may skip: from its first scale, 2^16, it needs fewer than 20 to find its own
SCHEDULERS_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
# Dense fp16 or bf16 operations a second by the vendor's data sheets, accumulated in fp32; the first name that is part of the device's counts.
PEAK_FLOPS = {
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "V100": 125e12,
    "T4": 65e12,
    "RTX A6000": 155e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def _watched() -> list[signal.Signals]:
    return [number for number in SCHEDULERS_SIGNALS if isinstance(getattr(signal.getsignal(number), "__self__", None), Watch)]


def _after_fork_in_child() -> None:
    for number in (numbers := _watched()):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


# A process that is forked during a run dies of these signals again: a pool ends its workers by SIGTERM and waits for them, and a handler in
# Python comes too late for one that waits for a lock. The signals are held back meanwhile, so that none is lost.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _watched()),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched()),
        after_in_child=_after_fork_in_child,
    )


def outlive_signals(worker: int) -> None:
    """A data loader's worker that is sent a scheduler's signal, too, goes on until its parent ends it: `worker_init_fn`."""
    for number in SCHEDULERS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Watch:
    """One log line every `every` steps, which trackers get, too: averages since the last, speed, memory, how far, and how long still. Stops
    what goes nowhere: an average that is not finite, or OVERFLOWS steps in a row that the loss scaler skipped.

    SIGTERM and SIGUSR1, which schedulers send before they take a machine away, end the loop like a time limit (`time_is_up`), and after the
    checkpoint `leave_if_asked` ends the process with the exit code AGAIN."""

    def __init__(self, accelerator: Accelerator, total: int, every: int, what: str = "stories", *, run: Path, frames: int = 0, flops: float = 0):
        """frames: of a story, to tell frames/s, too. flops: floating-point operations that training on one story takes."""
        self.accelerator, self.total, self.every, self.what, self.run = accelerator, total, every, what, run
        self.frames, self.flops = frames, flops
        self.sums: dict[str, torch.Tensor] = {}
        self.count, self.seen, self.since, self.started = 0, 0, time.monotonic(), time.monotonic()
        self.overflows, self.overflows_in_a_row, self.asked, self.scale = 0, 0, None, self._loss_scale()
        for number in SCHEDULERS_SIGNALS if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, self._note)

    def _note(self, number: int, frame) -> None:
        self.asked = signal.Signals(number).name

    def _loss_scale(self) -> float:
        return self.accelerator.scaler.get_scale() if self.accelerator.scaler is not None else 1.0

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60

    def time_is_up(self, minutes: float | None) -> bool:
        """Whether `minutes` have passed or a signal came; all processes hear the same answer, or some would wait for the others for ever."""
        mine = self.asked is not None or (minutes is not None and self.minutes >= minutes)
        return mine if self.accelerator.num_processes == 1 else any_process(self.accelerator, mine)

    def leave_if_asked(self) -> None:
        """To be called after the last checkpoint. Raises SystemExit with the code AGAIN in all processes if any was sent a signal."""
        if any_process(self.accelerator, self.asked is not None):
            self.accelerator.print(f"{self.asked or 'a signal'}: the checkpoint is written; run the same command again to go on")
            raise SystemExit(AGAIN)

    def tick(self, step: int, done: int, batch: int, lr: float, **values: torch.Tensor) -> dict[str, float] | None:
        self.seen += batch
        before, self.scale = self.scale, self._loss_scale()
        # (accelerate's own optimizer_step_was_skipped does not see what a fused optimizer skips)
        if self.scale < before:  # the loss may be infinite, which the scaler has answered already
            self.overflows, self.overflows_in_a_row = self.overflows + 1, self.overflows_in_a_row + 1
            if self.overflows_in_a_row >= OVERFLOWS:
                self._stop(step, f"{OVERFLOWS} steps in a row overflowed in {self.accelerator.mixed_precision}")
        else:
            self.overflows_in_a_row, self.count = 0, self.count + 1
            for name, value in values.items():
                self.sums[name] = self.sums.get(name, 0) + value.detach()
        if step % self.every or not self.count:
            return None
        names = list(self.sums)
        means = self.accelerator.reduce(torch.stack([self.sums[n].float() / self.count for n in names]), "mean").tolist()
        means = dict(zip(names, means, strict=True))
        for name, mean in means.items():
            if not math.isfinite(mean):
                self._stop(step, f"{name} is {mean}")
        speed = self.seen / (time.monotonic() - self.since)
        speeds = {self.what: speed} | ({"frames": speed * self.frames} if self.frames else {})
        parts = [f"step {step}", f"{done}/{self.total} {self.what}", *(f"{n} {v:.4f}" for n, v in means.items()), f"lr {lr:.2e}"]
        parts += [f"{value:.1f} {name}/s" for name, value in speeds.items()] + [f"memory {memory_in_use() / 2**30:.1f} GiB"]
        if self.flops:
            rate, peak = speed * self.flops, peak_flops() * self.accelerator.num_processes
            parts.append(f"{rate / 1e12:.2f} TFLOP/s" + (f" ({rate / peak:.0%} of peak)" if peak else ""))
            speeds["tflop"] = rate / 1e12
        parts += [f"overflows {self.overflows}"] if self.overflows else []
        parts += [f"ETA {(self.total - done) / max(speed, 1e-9) / 60:.0f} min"]
        if self.accelerator.is_main_process:
            print(" | ".join(parts), file=sys.stderr, flush=True)
        self.sums, self.count, self.seen, self.since = {}, 0, 0, time.monotonic()
        values = means | {"lr": lr, "overflows": self.overflows} | {f"{name}_per_s": value for name, value in speeds.items()}
        self.accelerator.log(values, step=step)
        return values

    def _stop(self, step: int, what: str) -> None:
        stop_training(self.accelerator, self.run, step, what)


def memory_in_use() -> int:
    """Bytes: the most that this process has held on its GPU so far; without one, what it holds of main memory now."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss


def peak_flops() -> float:
    """What this device can do in half precision; 0 where that is not known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peak for known, peak in PEAK_FLOPS.items() if known in name), 0.0)


@torch.no_grad()
def forward_flops(model: nn.Module, *inputs) -> int:
    """Floating-point operations of one forward, as torch counts them (matrix products, convolutions, attention)."""
    training = model.training
    model.eval()  # statistics of a batch norm stay as they are
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    model.train(training)
    return counter.get_total_flops()


def sizes(parameters: dict[str, int]) -> str:
    return " | ".join(f"{name} {count / 1e6:.2f} M" for name, count in parameters.items())


def parameter_counts(**networks: nn.Module) -> dict[str, int]:
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
