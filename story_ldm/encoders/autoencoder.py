"""StoryAutoencoder: an AutoencoderKL with a small convolutional decoder, which may draw larger frames than its encoder reads.

    vae = StoryAutoencoder.from_vae(AutoencoderKL.from_pretrained("checkpoints/toon-story-ldm/vae"))    # new decoder: 64 px in, 128 px out
    vae = open_autoencoder("runs/decoder/vae")                                                          # either class, by the folder's config

Latents are the encoder's alone, so every diffusion model trained on them draws larger frames with this autoencoder in the place of its own.
`encoders/latents.py` derives both sizes from the config. `training/train_autoencoder.py --decoder-widths 192 128 64` trains one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  diffusers looks the base class up in this module
from torch import Tensor, nn

from story_ldm.files import json_object
from story_ldm.model_folders import open_local
from story_ldm.nn.layers import zero_init


def group_norm(channels: int) -> nn.GroupNorm:
    """16 channels a group: on a CPU, with channels last, groups of 8 take twice the time."""
    return nn.GroupNorm(max(1, channels // 16), channels)


class DecoderBlock(nn.Module):
    """x + conv(silu(conv(norm(x)))), which is x at first: (B, C, H, W) → (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = zero_init(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(self.norm(x))))


class Enlarge(nn.Module):
    """A 1 × 1 convolution to 4 × `width` channels, which become 2 × 2 cells: (B, C, H, W) → (B, width, 2H, 2W)."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class FastDecoder(nn.Module):
    """Latents (B, c, h, w) → (B, out_channels, h · 2^(levels - 1), w · 2^(levels - 1)).

    widths, blocks: channels and number of blocks of each level, coarse to fine. Each level has twice the side of the one before."""

    def __init__(self, channels: int, out_channels: int, widths: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        assert len(widths) == len(blocks) > 0, f"widths are {widths} and blocks {blocks}; a decoder needs as many of one as of the other"
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        layers: list[nn.Module] = []
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            layers += [Enlarge(widths[level - 1], width)] if level else []
            layers += [DecoderBlock(width) for _ in range(count)]
        self.layers = nn.Sequential(*layers)
        self.norm_out = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.conv_in(latents.contiguous(memory_format=torch.channels_last))
        return self.conv_out(F.silu(self.norm_out(self.layers(x))))


class StoryAutoencoder(AutoencoderKL):
    """An AutoencoderKL with a `FastDecoder` in the place of its decoder; encoder and latents are the stock ones.

    decoder_widths, decoder_blocks: levels of the decoder, coarse to fine. A level more than the encoder has draws frames of twice the side of those
    that the encoder reads. latent_fold: blocks of latent_fold × latent_fold raw latents are one cell for the UNet: an autoencoder of 16 × 16 × 8 is
    more exact than one of 8 × 8 × 32, and folded by 2 it costs the UNet the same. The other settings are those of AutoencoderKL; `up_block_types` has
    no effect. Tiling is not supported."""

    @register_to_config
    def __init__(
        self, decoder_widths: tuple[int, ...] = (192, 128, 64), decoder_blocks: tuple[int, ...] = (2, 3, 1), latent_fold: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.decoder = FastDecoder(self.config.latent_channels, self.config.out_channels, tuple(decoder_widths), tuple(decoder_blocks))

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        # diffusers reads signatures, and the base's settings arrive through **kwargs
        return AutoencoderKL._get_init_keys(input_class) | AutoencoderKL._get_init_keys(AutoencoderKL)

    @classmethod
    def from_vae(cls, vae: AutoencoderKL, **decoder: Any) -> StoryAutoencoder:
        """Encoder, latents, dtype and device of `vae`, and a new decoder; `decoder`: its widths and blocks."""
        settings = {key: value for key, value in vae.config.items() if not key.startswith("_")}
        model = cls(**{**settings, **decoder})
        weights = {name: value for name, value in vae.state_dict().items() if not name.startswith("decoder.")}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        assert not unexpected and all(name.startswith("decoder.") for name in missing), (missing, unexpected)
        return model.to(vae.device).type(vae.dtype).train(vae.training)

    def enable_tiling(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("StoryAutoencoder has no tiling; its frames are small")


def new_autoencoder(settings: dict[str, Any]) -> AutoencoderKL:
    """A new autoencoder with a preset's settings, of the class that has them."""
    return (StoryAutoencoder if "decoder_widths" in settings else AutoencoderKL)(**settings)


def open_autoencoder(folder: str | Path, **kwargs: Any) -> AutoencoderKL:
    """The autoencoder of a folder, of the class that its config names. kwargs: those of `from_pretrained`."""
    config = Path(folder) / "config.json"
    name = json_object(config).get("_class_name") if config.is_file() else None
    return open_local(StoryAutoencoder if name == "StoryAutoencoder" else AutoencoderKL, folder, **kwargs)
