"""Batches, noise draws, shares of the processes and learning rates of a training step, as pure functions of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor


class StepBatches:
    """Endless iterator over batches of row numbers, of which each process gets its share.

    The permutations of epochs 0, 1, 2, … are concatenated and cut every `batch` rows. `start` is the first step; earlier ones cost nothing."""

    def __init__(self, rows: int, batch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1):
        assert batch % world == 0, f"batch is {batch}; it must be divisible by the {world} processes"
        self.rows, self.batch, self.seed, self.start, self.rank, self.world = rows, batch, seed, start, rank, world

    def permutation(self, epoch: int) -> torch.Tensor:
        return torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))

    def __iter__(self) -> Iterator[list[int]]:
        position, share = self.start * self.batch, self.batch // self.world
        epoch, order = -1, list[int]()
        while True:
            batch = []
            for place in range(position, position + self.batch):
                if place // self.rows != epoch:
                    epoch = place // self.rows
                    order = self.permutation(epoch).tolist()
                batch.append(order[place % self.rows])
            yield batch[self.rank * share : (self.rank + 1) * share]
            position += self.batch


class BucketBatches:
    """As `StepBatches`, where each batch has stories of one bucket. Every epoch each bucket's stories are shuffled and cut into batches, the last of
    which is filled up from the beginning, and the batches of all buckets are shuffled.

    buckets (N,): of each story."""

    def __init__(self, buckets: Tensor, batch: int, seed: int, start: int = 0):
        self.rows = [(buckets == bucket).nonzero()[:, 0] for bucket in buckets.unique()]
        self.batch, self.seed, self.start = batch, seed, start
        self.steps = sum(-(-len(rows) // batch) for rows in self.rows)  # of an epoch

    def epoch(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        batches: list[list[int]] = []
        for rows in self.rows:
            order = rows[torch.randperm(len(rows), generator=generator)]
            places = torch.arange(-(-len(rows) // self.batch) * self.batch) % len(rows)
            batches += order[places].view(-1, self.batch).tolist()
        return [batches[n] for n in torch.randperm(len(batches), generator=generator).tolist()]

    def __iter__(self) -> Iterator[list[int]]:
        epoch, place = divmod(self.start, self.steps)
        while True:
            yield from self.epoch(epoch)[place:]
            epoch, place = epoch + 1, 0


def whole_steps(stories: int, batch: int) -> int:
    """Number of steps in which a run sees `stories` stories, `batch` at a time. Raises ValueError if that is not even one."""
    if batch < 1 or stories < batch:
        raise ValueError(f"--stories is {stories} and a step takes {batch}; --stories must be at least one step's, and those at least 1")
    return stories // batch


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """A CPU generator for the draws of one step; up to 16 independent streams per step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 16 + stream)


def padded_frames(lengths: Tensor, rows: list[int]) -> tuple[Tensor, Tensor]:
    """Which frames a batch of stories reads, in a list of the frames of all stories, story after story: numbers (B, M), and weights (B, M).

    lengths (N,): frames of each story. rows: the B stories of the full batch. M is the longest of them. Shorter ones are padded by their last frame
    repeated, which no earlier frame reads; it has weight 0. The weights of all other frames are equal, with a mean of 1 over the full batch: a mean
    with these weights is that of the real frames, also if parts of the batch are computed apart and their means are averaged."""
    own = lengths[rows, None]  # (B, 1)
    longest = max(int(own.max()), min(2, int(lengths.max())))  # not 1 by chance: a single frame reads no memory, whose weights get no gradients then
    position = torch.arange(longest)
    weight = (position < own) * (len(rows) * longest / int(own.sum()))
    return (lengths.cumsum(0) - lengths)[rows, None] + position.minimum(own - 1), weight


def draw_positions(lengths: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Story lengths (B,) → `count` distinct random positions in each story (B, count); positions repeat in stories shorter than `count`."""
    longest = max(int(lengths.max()), count)
    keys = torch.rand(len(lengths), longest, generator=generator)
    keys[torch.arange(longest) >= lengths[:, None]] = 2.0
    order = keys.argsort(1)  # positions beyond the story's end come last
    return order.gather(1, torch.arange(count) % lengths[:, None])


def local_rows(accelerator: Accelerator, batch: torch.Tensor) -> torch.Tensor:
    """This process's rows (B / processes, …) of a tensor (B, …) drawn for the full batch, on its device."""
    return batch[local_part(accelerator, len(batch))].to(accelerator.device)


def local_part(accelerator: Accelerator, batch: int) -> slice:
    """This process's rows of a full batch."""
    share = batch // accelerator.num_processes
    return slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)


def warmup_cosine(step: int, warmup: int, total: int, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to `floor` at step `total`."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def warmup_stable_decay(step: int, warmup: int, total: int, decay: float) -> float:
    """Factor on the learning rate: linear warm-up, constant, then linear to 0 over the last share `decay` of `total` steps."""
    return min(1.0, (step + 1) / max(1, warmup), max(0.0, (total - step) / max(1.0, decay * total)))


def halved(step: int, total: int, halvings: int) -> float:
    """Factor on the learning rates: halved `halvings` times, at equal intervals over `total` steps."""
    return 0.5 ** (step * (halvings + 1) // total)
