"""Presets of Story-LDM: `PRESETS[name]()` returns the settings of each component, `preset_at(name, resolution)` those for another frame size.

python -m story_ldm.systems.story_ldm.presets                 # prints the parameter counts of every preset
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from story_ldm.files import markdown_table


def toon_64() -> dict[str, Any]:
    """The shipped model: the built-in world at 64 px, latents 8 × 8 × 16; trains in hours on a laptop."""
    return {
        "resolution": 64,
        "max_length": 32,
        "vae": vae(64, in_channels=48, latent_channels=16, widths=(128, 192), layers=1),
        "unet": unet(8, 16, (128, 176), layers=1, heads=4, text_width=192, class_embed=True, norm_num_groups=16),
        "text": {"width": 192, "layers": 2, "heads": 4},
        "language_memory": {"width": 192, "layers": 2, "heads": 4},
    }


def toon_128() -> dict[str, Any]:
    """The built-in world at 128 px, latents 16 × 16 × 16."""
    return {
        "resolution": 128,
        "max_length": 32,
        "vae": vae(128, in_channels=48, latent_channels=16, widths=(128, 256), layers=1),
        "unet": unet(16, 16, (128, 256, 384), layers=1, heads=4, text_width=256, class_embed=True),
        "text": {"width": 256, "layers": 3, "heads": 4},
        "language_memory": {"width": 256, "layers": 2, "heads": 4},
    }


def picture_book() -> dict[str, Any]:
    """The second built-in world at 128 px: raw latents 16 × 16 × 8, folded to 8 × 8 × 32, for a UNet with as many cells as toon-64's and 1.6 times
    its weights. The text encoder's place is a reader's (train_reader.py)."""
    raw = vae(128, in_channels=48, latent_channels=8, widths=(64, 128), layers=1)
    return {
        "resolution": 128,
        "max_length": 48,
        "vae": {**raw, "decoder_widths": (128, 64), "decoder_blocks": (3, 1), "latent_fold": 2},
        "unet": unet(8, 32, (160, 224), layers=1, heads=4, text_width=192, class_embed=True, norm_num_groups=16),
        "text": {"width": 192, "layers": 2, "heads": 4},
        "language_memory": {"width": 192, "layers": 2, "heads": 4},
    }


def paper_256() -> dict[str, Any]:
    """Make-A-Story's published configuration: 256 px, latents at 1/8, UNet width 128 × (1, 2, 4, 4) with attention in all levels but the deepest
    (`attention_resolutions` 4, 2, 1), 8 heads, a text encoder with 32 layers and width 1280. Differences: the tokenizer is trained on the corpus, the
    text encoder is a CLIP model, not BERT, and one memory layer follows each block with attention, where the published model has one a layer."""
    return {
        "resolution": 256,
        "max_length": 77,
        "vae": vae(256, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2),
        "unet": {
            **unet(32, 4, (128, 256, 512, 512), layers=2, heads=8, text_width=1280, last_plain=True),
            "memory_blocks": ["down.0", "down.1", "down.2", "mid", "up.1", "up.2", "up.3"],  # those with attention
        },
        "text": {"width": 1280, "layers": 32, "heads": 16},
        "language_memory": {"width": 1280, "layers": 2, "heads": 16},
    }


def sd15() -> dict[str, Any]:
    """The shape of Stable Diffusion 1.5 at 512 px; memory layers only on maps of at most 32 × 32 cells; larger ones cost too much."""
    blocks = unet(64, 4, (320, 640, 1280, 1280), layers=2, heads=8, text_width=768, last_plain=True)
    return {
        "resolution": 512,
        "max_length": 77,
        "vae": vae(512, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2),
        "unet": {**blocks, "memory_blocks": ["down.0", "down.1", "down.2", "mid", "up.0", "up.1"]},
        "text": {"width": 768, "layers": 12, "heads": 12},
        "language_memory": {"width": 768, "layers": 2, "heads": 12},
    }


def sdxl() -> dict[str, Any]:
    """The shape of Stable Diffusion XL at 1024 px, for memory on one: new ones are not trained (two text encoders, 2.6 B parameters). Memory layers
    only on maps of 32 × 32 cells; larger ones cost too much."""
    blocks = unet(128, 4, (320, 640, 1280), layers=2, heads=10, text_width=2048)
    blocks |= {"down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 2), "up_block_types": (*["CrossAttnUpBlock2D"] * 2, "UpBlock2D")}
    blocks |= {"attention_head_dim": (5, 10, 20), "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True}
    blocks |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 1280 + 6 * 256}
    return {
        "resolution": 1024,
        "max_length": 77,
        "vae": vae(1024, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2),
        "unet": {**blocks, "memory_blocks": ["down.1", "down.2", "mid"]},
        "text": {"width": 768, "layers": 12, "heads": 12},
        "text_2": {"width": 1280, "layers": 32, "heads": 20},
        "language_memory": {"width": 2048, "layers": 2, "heads": 32},
    }


def vae(resolution: int, in_channels: int, latent_channels: int, widths: tuple[int, ...], layers: int) -> dict[str, Any]:
    """Settings of an AutoencoderKL; in_channels = 3 r² puts a pixel-unshuffle by r in front of it (see latents.py)."""
    return {
        "in_channels": in_channels,
        "out_channels": in_channels,
        "latent_channels": latent_channels,
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "mid_block_add_attention": in_channels == 3,
        "sample_size": resolution,
    }


def unet(
    size: int,
    channels: int,
    widths: tuple[int, ...],
    layers: int,
    heads: int,
    text_width: int,
    class_embed: bool = False,
    last_plain: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Settings of a StoryUNet2DConditionModel.

    class_embed: add the pooled sentence to the time embedding. last_plain: no attention in the blocks of the deepest level."""
    plain = [last_plain and level == len(widths) - 1 for level in range(len(widths))]
    pooled = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": text_width} if class_embed else {}
    return {
        "sample_size": size,
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": tuple("DownBlock2D" if p else "CrossAttnDownBlock2D" for p in plain),
        "up_block_types": tuple("UpBlock2D" if p else "CrossAttnUpBlock2D" for p in reversed(plain)),
        "cross_attention_dim": text_width,
        "attention_head_dim": heads,  # diffusers' name for the number of heads, kept for old configs
        "memory_heads": heads,
        **pooled,
        **more,
    }


PRESETS = {"toon-64": toon_64, "toon-128": toon_128, "picture-book": picture_book, "paper-256": paper_256, "sd15": sd15, "sdxl": sdxl}


def preset_at(name: str, resolution: int | None = None, table: Mapping[str, Callable[[], dict[str, Any]]] = PRESETS) -> dict[str, Any]:
    """A preset's settings, for frames of `resolution` pixels if given. Raises ValueError if its networks cannot downsample that size."""
    preset = table[name]()
    if resolution is None or resolution == preset["resolution"]:
        return preset
    factor = preset["resolution"] // preset["unet"]["sample_size"]
    least = factor * 2 ** (len(preset["unet"]["block_out_channels"]) - 1)
    if resolution < least or resolution % least:
        raise ValueError(f"--resolution is {resolution}; with --preset {name} it must be a multiple of {least}")
    preset["vae"]["sample_size"], preset["unet"]["sample_size"] = resolution, resolution // factor
    return preset | {"resolution": resolution}


def parameter_table() -> str:
    """Markdown table of the parameter counts, in millions, of each preset's components; allocates no weights."""
    import torch
    from torch import nn
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from story_ldm.encoders.autoencoder import new_autoencoder
    from story_ldm.encoders.language_memory import LanguageMemory
    from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

    def millions(model: nn.Module) -> float:
        return sum(p.numel() for p in model.parameters()) / 1e6

    rows = []
    for name, preset in PRESETS.items():
        p = preset()
        with torch.device("meta"):
            encoders: list[nn.Module] = []
            for text in (p[key] for key in ("text", "text_2") if key in p):
                config = CLIPTextConfig(
                    hidden_size=text["width"],
                    intermediate_size=4 * text["width"],
                    num_hidden_layers=text["layers"],
                    num_attention_heads=text["heads"],
                    vocab_size=1000 if name.startswith(("toon", "picture")) else 49408,
                    max_position_embeddings=p["max_length"],
                    projection_dim=text["width"],
                )
                encoders.append(CLIPTextModelWithProjection(config) if encoders else CLIPTextModel(config))
            model = StoryUNet2DConditionModel(**p["unet"])
            parts = [new_autoencoder(p["vae"]), model, model.memory_layers, nn.ModuleList(encoders), LanguageMemory(**p["language_memory"])]
        size, channels = p["unet"]["sample_size"], p["unet"]["in_channels"]
        rows.append([name, f"{p['resolution']} px", f"{size} × {size} × {channels}", *(f"{millions(part):.2f} M" for part in parts)])
    head = ("preset", "frames", "latents", "autoencoder", "UNet", "of it memory", "text encoder", "language memory")
    return markdown_table(head, rows)


if __name__ == "__main__":
    print(parameter_table())
