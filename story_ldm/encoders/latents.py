"""Frames to latents and back, for any `AutoencoderKL` and other autoencoders of diffusers (Tiny, asymmetric, VQ, consistency).

    latents = encode_frames(vae, frames)         # frames (..., 3, H, W) in [-1, 1] → (..., c, h, w)
    frames = decode_latents(vae, latents)

The project's own autoencoders have a pixel-unshuffle in front (each r × r block of pixels becomes channels), which makes them several times
faster. r follows from `in_channels = 3 r²`, so Stable Diffusion's autoencoders (r = 1) need no special case. Latents are normalised per channel
if the autoencoder's config has `latents_mean` and `latents_std`, otherwise by its `scaling_factor` (and `shift_factor`).

A `StoryAutoencoder` may draw larger frames than its encoder reads (`enlargement`). Frames have the drawn size here, everywhere: they reach the
encoder averaged over enlargement × enlargement pixels. Its raw latents may be folded (`fold`): each block of 2 × 2 becomes one cell of four times the
channels, which is what a UNet sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, ConsistencyDecoderVAE
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


@contextmanager
def upcast(vae: AutoencoderKL, xl: bool = True) -> Iterator[None]:
    """In float32, as half precision overflows in XL's autoencoder, if its config says so (`force_upcast`). xl: False changes nothing."""
    dtype, needed = vae.dtype, xl and vae.config.get("force_upcast", False)
    if needed and dtype == torch.float16:
        vae.to(dtype=torch.float32)
    try:
        kind = "cpu" if vae.device.type == "meta" else vae.device.type  # meta: the weights are offloaded
        with torch.autocast(kind, enabled=False) if needed else nullcontext():
            yield
    finally:
        if needed and dtype == torch.float16:
            vae.to(dtype=dtype)


def shuffle_factor(vae: AutoencoderKL, channels: Literal["in_channels", "out_channels"] = "in_channels") -> int:
    """r of the pixel-unshuffle in front of the encoder, or of the pixel-shuffle behind the decoder ("out_channels")."""
    return round((vae.config.get(channels, 3) / 3) ** 0.5)  # a ConsistencyDecoderVAE has other names, and pixels as they are


def downscale_factor(vae: AutoencoderKL) -> int:
    """Width and height of a latent cell, in pixels of the frame."""
    levels = vae.config.get("decoder_widths") or vae.config.block_out_channels
    return shuffle_factor(vae, "out_channels") * 2 ** (len(levels) - 1) * fold(vae)


def fold(vae: AutoencoderKL) -> int:
    """How many raw latents a side become one latent cell (`latent_fold` of a StoryAutoencoder); 1 for others."""
    return vae.config.get("latent_fold", 1)


def enlargement(vae: AutoencoderKL) -> int:
    """How many times the side of what the encoder reads a frame has: 1, except for a decoder with more levels than the encoder."""
    return downscale_factor(vae) // (fold(vae) * shuffle_factor(vae) * 2 ** (len(vae.config.block_out_channels) - 1))


def _affine(vae: AutoencoderKL, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | tuple[float, float]:
    """(mean, scale) of normalised latents: z = (raw - mean) * scale."""
    config = vae.config
    if config.get("latents_mean") is None:
        return config.get("shift_factor") or 0.0, config.get("scaling_factor", 1.0)
    shape = (1, -1, 1, 1)
    return like.new_tensor(config.latents_mean).view(shape), 1 / like.new_tensor(config.latents_std).view(shape)


def frames_to_raw(vae: AutoencoderKL, frames: torch.Tensor) -> DiagonalGaussianDistribution:
    """Posterior of the raw latents of frames (B, 3, H, W) in [-1, 1]."""
    return _encode(vae, frames).latent_dist


def _encode(vae: AutoencoderKL, frames: torch.Tensor) -> Any:
    factor = enlargement(vae)
    if factor > 1:
        frames = F.avg_pool2d(frames, factor)
    return vae.encode(F.pixel_unshuffle(frames, shuffle_factor(vae)))


def raw_to_frames(vae: AutoencoderKL, raw: torch.Tensor) -> torch.Tensor:
    """Frames (B, 3, H, W), about [-1, 1] and not clamped, of raw latents (B, c, h, w)."""
    # a consistency decoder draws noise: always the same, so that a frame follows from its latents
    fixed = {"generator": torch.Generator().manual_seed(0)} if isinstance(vae, ConsistencyDecoderVAE) else {}
    return F.pixel_shuffle(vae.decode(raw, **fixed).sample, shuffle_factor(vae, "out_channels"))


@torch.no_grad()
def encode_frames(vae: AutoencoderKL, frames: torch.Tensor, sample: bool = False, generator: torch.Generator | None = None) -> torch.Tensor:
    """Frames (..., 3, H, W) in [-1, 1] → normalised latents (..., c, h, w), the mode of the posterior, or a sample of it by the generator."""
    encoded = _encode(vae, frames.flatten(0, -4).to(vae.dtype))
    if hasattr(encoded, "latent_dist"):
        raw = encoded.latent_dist.sample(generator) if sample else encoded.latent_dist.mode()
    else:  # AutoencoderTiny and VQModel have no distribution
        raw = encoded.latents
    mean, scale = _affine(vae, raw)
    return F.pixel_unshuffle((raw - mean) * scale, fold(vae)).unflatten(0, frames.shape[:-3])


@torch.no_grad()
def decode_latents(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Normalised latents (..., c, h, w) → frames (..., 3, H, W) in [-1, 1]."""
    flat = F.pixel_shuffle(latents.flatten(0, -4).to(vae.dtype), fold(vae))
    mean, scale = _affine(vae, flat)
    return raw_to_frames(vae, flat / scale + mean).clamp(-1, 1).unflatten(0, latents.shape[:-3])
