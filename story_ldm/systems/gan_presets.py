"""Presets of the GANs at other resolutions, and the default training values of each preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAPERS_TRAINING = {"learning_rate": 2e-4, "discriminator_learning_rate": 2e-4, "norm": "batch", "discriminator_norm": "batch"}
PAPERS_TRAINING |= {"batch": 16, "image_batch": 48}
TRAINING = {  # few steps: small batches, and a faster generator, against discriminators that spectral normalisation slows down
    "toon-64": {"learning_rate": 1e-3, "discriminator_learning_rate": 4e-4, "discriminator_norm": "spectral", "batch": 8, "image_batch": 16}
}


def at_resolution(preset: dict, resolution: int | None) -> dict:
    """A preset for frames of another side: each network loses blocks at its fine end, or gains some, each with half the channels of the one before.

    Raises ValueError for a side that is not a power of two from 16 on."""
    if resolution is None or resolution == preset["resolution"]:
        return preset
    levels = resolution.bit_length() - 3  # 4 × 4, 8 × 8 and so on, up to half of the side
    if resolution != 4 * 2**levels or levels < 2:
        raise ValueError(f"resolution is {resolution}; a GAN draws powers of two from 16 on")

    def sized(network: dict) -> dict:
        widths = network["block_out_channels"]
        coarse_first = sorted(widths, reverse=True)[:levels]
        while len(coarse_first) < levels:
            coarse_first.append(max(coarse_first[-1] // 16 * 8, 8))  # groups of norms have 8
        changed = {"block_out_channels": tuple(coarse_first if widths[0] == max(widths) else reversed(coarse_first))}
        if "attention_sizes" in network:
            changed["attention_sizes"] = tuple(size for size in network["attention_sizes"] if size < resolution)
        return network | changed

    return {name: sized(part) for name, part in preset.items() if name != "resolution"} | {"resolution": resolution}


def training_values(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with, in place of each None, the value of the preset's training, or else the papers'."""
    defaults = PAPERS_TRAINING | TRAINING.get(preset, {})
    return {name: defaults[name] if value is None else value for name, value in given.items()}
