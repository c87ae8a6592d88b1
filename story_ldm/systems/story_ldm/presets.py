"""Sizes of all models as one table: `PRESETS[name]()` gives the settings of each component.

python -m story_ldm.systems.story_ldm.presets                 # parameter counts of every preset
"""

from __future__ import annotations


def toon_64() -> dict:
    """The shipped model: 64 px frames, 8 × 8 × 16 latents; trained in hours on a laptop."""
    return {
        "resolution": 64,
        "max_length": 32,
        "vae": vae(64, in_channels=48, latent_channels=16, widths=(128, 192), layers=1),
        "unet": unet(8, 16, (128, 176), layers=1, heads=4, text_width=192, class_embed=True, norm_num_groups=16),
        "text": {"width": 192, "layers": 2, "heads": 4},
        "language_memory": {"width": 192, "layers": 2, "heads": 4},
    }


def toon_128() -> dict:
    """The built-in world at 128 px: 16 × 16 × 16 latents."""
    return {
        "resolution": 128,
        "max_length": 32,
        "vae": vae(128, in_channels=48, latent_channels=16, widths=(128, 256), layers=1),
        "unet": unet(16, 16, (128, 256, 384), layers=1, heads=4, text_width=256, class_embed=True),
        "text": {"width": 256, "layers": 3, "heads": 4},
        "language_memory": {"width": 256, "layers": 2, "heads": 4},
    }


def paper_256() -> dict:
    """Make-A-Story's sizes, read off its published configuration: f8 latents of 256 px, UNet width 128 × (1, 2, 4, 4), 8 heads, a text
    encoder of 32 layers and width 1280. Its tokenizer is that of the corpus here, and its text encoder a CLIP one instead of BERT."""
    return {
        "resolution": 256,
        "max_length": 77,
        "vae": vae(256, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2),
        "unet": unet(32, 4, (128, 256, 512, 512), layers=2, heads=8, text_width=1280),
        "text": {"width": 1280, "layers": 32, "heads": 16},
        "language_memory": {"width": 1280, "layers": 2, "heads": 16},
    }


def sd15() -> dict:
    """The shape of Stable Diffusion 1.5 at 512 px; memory layers where attention over 32 × 32 cells and fewer is affordable."""
    blocks = unet(64, 4, (320, 640, 1280, 1280), layers=2, heads=8, text_width=768, last_plain=True)
    return {
        "resolution": 512,
        "max_length": 77,
        "vae": vae(512, in_channels=3, latent_channels=4, widths=(128, 256, 512, 512), layers=2),
        "unet": {**blocks, "memory_blocks": ["down.0", "down.1", "down.2", "mid", "up.0", "up.1"]},
        "text": {"width": 768, "layers": 12, "heads": 12},
        "language_memory": {"width": 768, "layers": 2, "heads": 12},
    }


def vae(resolution: int, in_channels: int, latent_channels: int, widths: tuple[int, ...], layers: int) -> dict:
    """AutoencoderKL; in_channels = 3 r² puts a pixel-unshuffle by r in front (see latents.py)."""
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
    size: int, channels: int, widths: tuple[int, ...], layers: int, heads: int, text_width: int, class_embed=False, last_plain=False, **more
) -> dict:
    """StoryUNet2DConditionModel. class_embed: the pooled sentence is added to the time embedding. last_plain: no attention in the deepest level."""
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
        "attention_head_dim": heads,  # the number of heads: diffusers keeps the name for old configs
        "memory_heads": heads,
        **pooled,
        **more,
    }


PRESETS = {"toon-64": toon_64, "toon-128": toon_128, "paper-256": paper_256, "sd15": sd15}


def preset_at(name: str, resolution: int | None = None) -> dict:
    """A preset, for frames of another size than its own where one is given. Raises ValueError for a size that it cannot halve as often as it must."""
    preset = PRESETS[name]()
    if resolution is None or resolution == preset["resolution"]:
        return preset
    factor = preset["resolution"] // preset["unet"]["sample_size"]
    least = factor * 2 ** (len(preset["unet"]["block_out_channels"]) - 1)
    if resolution < least or resolution % least:
        raise ValueError(f"resolution is {resolution}; {name} draws multiples of {least} pixels")
    preset["vae"]["sample_size"], preset["unet"]["sample_size"] = resolution, resolution // factor
    return preset | {"resolution": resolution}


def parameter_table() -> str:
    """Markdown table of the parameters of each preset's components, in millions; nothing is allocated."""
    import torch
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    from story_ldm.encoders.language_memory import LanguageMemory
    from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

    def millions(model) -> float:
        return sum(p.numel() for p in model.parameters()) / 1e6

    lines = ["| preset | frames | latents | autoencoder | UNet | of it memory | text encoder | language memory |", "|---" * 8 + "|"]
    for name, preset in PRESETS.items():
        p, text = preset(), preset()["text"]
        config = CLIPTextConfig(
            hidden_size=text["width"],
            intermediate_size=4 * text["width"],
            num_hidden_layers=text["layers"],
            num_attention_heads=text["heads"],
            vocab_size=1000 if name.startswith("toon") else 49408,
            max_position_embeddings=p["max_length"],
        )
        with torch.device("meta"):
            model = StoryUNet2DConditionModel(**p["unet"])
            parts = [AutoencoderKL(**p["vae"]), model, model.memory_layers, CLIPTextModel(config), LanguageMemory(**p["language_memory"])]
        size, channels = p["unet"]["sample_size"], p["unet"]["in_channels"]
        counts = " | ".join(f"{millions(part):.2f} M" for part in parts)
        lines.append(f"| {name} | {p['resolution']} px | {size} × {size} × {channels} | {counts} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(parameter_table())
