"""Sizes of the dynamic-block GAN as one table: `PRESETS[name]()` gives the settings of each of its networks.

python -m story_ldm.systems.dynamic_block_gan.presets      # parameter counts of every preset, and the published ones
"""

from __future__ import annotations

from story_ldm.files import markdown_table


def toon_64() -> dict:
    """The built-in world at 64 px, with the channels of StoryGAN's toon-64."""
    return {
        "resolution": 64,
        "generator": {"block_out_channels": (256, 128, 64, 32), "attention_sizes": (4, 8, 16)},
        "discriminator": {"block_out_channels": (32, 64, 128, 256), "attention_sizes": (4, 8, 16)},
    }


def pororo() -> dict:
    """As many parameters as in Table 1 of the paper, by width, since it gives no layers; text vectors of 256 numbers, as from AttnGAN's encoder."""
    common = {"sentence_width": 256, "context_width": 256, "attention_sizes": (4, 8, 16, 32), "attention_width": 256}
    return {
        "resolution": 64,
        "generator": {**common, "block_out_channels": (1024, 864, 512, 256)},
        "discriminator": {**common, "block_out_channels": (128, 256, 512, 744)},
    }


PRESETS = {"toon-64": toon_64, "pororo": pororo}
PUBLISHED = {"pororo": (25.1, 23.5)}  # millions in the generator and in the discriminator


def parameter_counts(preset: str) -> dict[str, int]:
    """Parameters of the dynamic-block GAN's networks; nothing is allocated."""
    import torch

    from story_ldm.systems.dynamic_block_gan.networks import DynamicBlockDiscriminator, DynamicBlockGAN

    kinds = {"generator": DynamicBlockGAN, "discriminator": DynamicBlockDiscriminator}
    with torch.device("meta"):
        return {name: sum(p.numel() for p in kind(**PRESETS[preset]()[name]).parameters()) for name, kind in kinds.items()}


def parameter_table() -> str:
    """Markdown table of the parameters in millions."""
    rows = []
    for name in PRESETS:
        generator, discriminator = (count / 1e6 for count in parameter_counts(name).values())
        published = [f"{count} M" for count in PUBLISHED[name]] if name in PUBLISHED else ["-", "-"]
        rows.append([name, f"{generator:.2f} M", f"{discriminator:.2f} M", *published])
    head = ("preset", "generator", "discriminator", "generator, published", "discriminator, published")
    return markdown_table(head, rows)


if __name__ == "__main__":
    print(parameter_table())
