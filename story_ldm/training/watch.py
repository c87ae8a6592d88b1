"""Progress of a run: log lines, floating-point operations, time limits and signals.

    watch = Watch(accelerator, s.stories, s.log_every, run=s.output)
    while step < total and not watch.time_is_up(s.max_minutes):
        …
        watch.tick(step, step * s.batch, s.batch, lr, loss=loss)
    save_checkpoint(…)
    watch.leave_if_asked()

A GPU's share of peak is reported if PEAK_FLOPS has it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from story_ldm.training.checkpoints import stop_training
from story_ldm.training.processes import RESUME_EXIT_CODE, any_process

OVERFLOWS = 50  # consecutive steps that the loss scaler may skip; from its initial scale, 2^16, it needs fewer than 20 to settle
SCHEDULERS_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
# Dense fp16 or bf16 operations per second with fp32 accumulation, from the vendor's data sheets; the first key that the device's name contains.
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


# Processes forked during a run get the default handlers back: a pool ends its workers by SIGTERM and waits for them, but a worker that waits for
# a lock never runs a Python handler. The signals are blocked during the fork, because one that arrives in between would be lost.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _watched()),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched()),
        after_in_child=_after_fork_in_child,
    )


def ignore_signals(worker: int) -> None:
    """`worker_init_fn` of a data loader: its workers ignore a scheduler's signals, which reach them too, until their parent ends them."""
    for number in SCHEDULERS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Watch:
    """Prints a line every `every` steps and logs it to the trackers: progress, averages since the last line, speed, memory and ETA.

    Stops the run if an average is NaN or infinite, or if the loss scaler skips OVERFLOWS steps in a row. SIGTERM and SIGUSR1, which schedulers
    send before they reclaim a machine, end the loop as a time limit does (`time_is_up`); after the checkpoint, `leave_if_asked` exits with
    RESUME_EXIT_CODE."""

    def __init__(self, accelerator: Accelerator, total: int, every: int, what: str = "stories", *, run: Path, frames: float = 0, flops: float = 0):
        """total: how many `what` the run trains on. frames: mean frames per story, to report frames/s. flops: operations to train on one story."""
        self.accelerator, self.total, self.every, self.what, self.run = accelerator, total, every, what, run
        self.frames, self.flops = frames, flops
        self.sums: dict[str, torch.Tensor] = {}
        self.count, self.seen, self.since, self.started = 0, 0, time.monotonic(), time.monotonic()
        self.received_signal: str | None = None
        self.overflows, self.overflows_in_a_row, self.scale = 0, 0, self._loss_scale()
        for number in SCHEDULERS_SIGNALS if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received_signal = signal.Signals(number).name

    def _loss_scale(self) -> float:
        return self.accelerator.scaler.get_scale() if self.accelerator.scaler is not None else 1.0

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60

    def time_is_up(self, minutes: float | None) -> bool:
        """Whether `minutes` have passed or a signal was received, in any process: if only some stopped, they would wait for the others forever."""
        stop = self.received_signal is not None or (minutes is not None and self.minutes >= minutes)
        return stop if self.accelerator.num_processes == 1 else any_process(self.accelerator, stop)

    def leave_if_asked(self) -> None:
        """Raises SystemExit(RESUME_EXIT_CODE) in all processes if any received a signal. Call it after the last checkpoint."""
        if any_process(self.accelerator, self.received_signal is not None):
            self.accelerator.print(f"{self.received_signal or 'signal'}: checkpoint written; run the same command to resume")
            raise SystemExit(RESUME_EXIT_CODE)

    def tick(self, step: int, done: int, batch: int, lr: float | torch.Tensor, **values: torch.Tensor) -> dict[str, float] | None:
        """Adds a step's scalar `values` to the averages. Returns the logged averages and speeds if it is time for a line.

        done: stories trained on so far. batch: those of this step. Raises SystemExit if the run must stop (see the class)."""
        self.seen += batch
        before, self.scale = self.scale, self._loss_scale()
        # accelerate's optimizer_step_was_skipped does not work with fused optimizers
        if self.scale < before:  # the scaler skipped this step; its loss may be infinite and is left out of the averages
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
        logged = means | {"lr": lr, "overflows": self.overflows} | {f"{name}_per_s": value for name, value in speeds.items()}
        self.accelerator.log(logged, step=step)
        return logged

    def _stop(self, step: int, what: str) -> None:
        stop_training(self.accelerator, self.run, step, what)


def memory_in_use() -> int:
    """Bytes: peak GPU memory of this process; on a CPU, its current resident memory."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss


def peak_flops() -> float:
    """Peak operations per second of this device in half precision; 0 if unknown."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peak for known, peak in PEAK_FLOPS.items() if known in name), 0.0)


@torch.no_grad()
def forward_flops(model: nn.Module, *inputs: Any) -> int:
    """Floating-point operations of one forward pass, as torch counts them (matrix products, convolutions, attention)."""
    training = model.training
    model.eval()  # or the running statistics of batch norms would change
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    model.train(training)
    return counter.get_total_flops()


def sizes(parameters: dict[str, int]) -> str:
    """Parameter counts as one line, in millions."""
    return " | ".join(f"{name} {count / 1e6:.2f} M" for name, count in parameters.items())


def parameter_counts(**networks: nn.Module) -> dict[str, int]:
    """Number of parameters per network."""
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
