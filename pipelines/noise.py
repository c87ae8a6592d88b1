"""The noise of a story's frames: each frame's own, so that a frame that is drawn again, or alone, is the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .checks import check_generator

Generators = torch.Generator | list[torch.Generator] | None


class FrameNoise:
    """Frame 0 draws from the given generator, as Stable Diffusion does, and frame m ≥ 1 from a generator of its own, whose seed follows from
    `initial_seed()` of the given one and m (and, if several stories share it, from the story's number). With `seeds`, from a list of them for each
    story, one a frame, every frame draws from its seed. Without either, a base seed comes from torch's global generator.

    generator: one, or a list with one for each of the stories. Raises ValueError for generators and seeds that do not fit the stories."""

    def __init__(self, generator: Generators, seeds: Any, lengths: Sequence[int]):
        check_generator(generator, len(lengths))
        self.generator, self.seeds = generator, _checked_seeds(seeds, generator, lengths)
        self.base: int | None = None

    def generators(self, stories: Sequence[int], m: int) -> Generators:
        """What frame m of these stories, by their numbers, draws from."""
        if self.seeds is not None:
            return [torch.Generator().manual_seed(self.seeds[n][m]) for n in stories]
        if m == 0:
            return [self.generator[n] for n in stories] if isinstance(self.generator, list) else self.generator
        return [self._of_frame(n, m) for n in stories]

    def own_generator(self, n: int, m: int) -> torch.Generator:
        """What frame m of one story draws from, if it is drawn together with others: never torch's global generator."""
        generators = self.generators([n], m)
        one = generators[0] if isinstance(generators, list) else generators
        return torch.Generator().manual_seed(int(torch.randint(2**62, ()))) if one is None else one

    def draw(self, generators: Generators, stories: int, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Noise (stories, *shape), one story after the other."""
        each = generators if isinstance(generators, list) else [generators] * stories
        return torch.cat([randn_tensor((1, *shape), g, device, dtype) for g in each])

    def _of_frame(self, n: int, m: int) -> torch.Generator:
        given = self.generator[n] if isinstance(self.generator, list) else self.generator
        if given is None and self.base is None:
            self.base = int(torch.randint(2**62, ()))
        seed = self.base if given is None else given.initial_seed()
        shared = f"/{n}" if n and not isinstance(self.generator, list) else ""
        digest = hashlib.sha256(f"{seed}/{m}{shared}".encode()).digest()
        device = torch.device("cpu") if given is None else given.device
        return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _checked_seeds(seeds: Any, generator: Generators, lengths: Sequence[int]) -> list[list[int]] | None:
    if seeds is None:
        return None
    if generator is not None:
        raise ValueError("generator and seeds are both given; give one of them")
    single = len(lengths) == 1 and isinstance(seeds, (list, tuple)) and not any(isinstance(seed, (list, tuple)) for seed in seeds)
    stories = [seeds] if single else seeds
    if not isinstance(stories, (list, tuple)) or not all(isinstance(story, (list, tuple)) for story in stories) or len(stories) != len(lengths):
        raise ValueError(f"seeds is {seeds!r}; it must be a list with one seed a frame, a list of such lists with one for each story, or None")
    for story, length in zip(stories, lengths, strict=True):
        if len(story) != length:
            raise ValueError(f"seeds has {len(story)} seeds for a story of {length} frames; give one a frame")
        for seed in story:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
                raise ValueError(f"seeds has {seed!r}; a seed must be a whole number from 0 to {2**63 - 1}")
    return [list(story) for story in stories]
