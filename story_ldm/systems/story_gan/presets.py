"""Sizes of StoryGAN as one table: `PRESETS[name]()` gives the settings of each of its networks.

python -m story_ldm.systems.story_gan.presets            # parameter counts of every preset, and the published ones

The training script sets `sentence_width` from the text encoder, and the story discriminator's `story_length` from the data. Default training values
of each preset are in `story_ldm/systems/gan_presets.py`.
"""

from __future__ import annotations

from story_ldm.files import markdown_table


def toon_64() -> dict:
    """The built-in world at 64 px, trained in under an hour on a laptop's CPU: the layer tables with half the channels."""
    judge = {"block_out_channels": (32, 64, 128, 256)}
    return {
        "resolution": 64,
        "story_gan": {"block_out_channels": (256, 128, 64, 32)},
        "image_discriminator": judge,
        "story_discriminator": {**judge, "story_length": 5},
    }


def paper_64() -> dict:
    """The layer tables as they stand."""
    judge = {"block_out_channels": (64, 128, 256, 512)}
    return {
        "resolution": 64,
        "story_gan": {"block_out_channels": (512, 256, 128, 64)},
        "image_discriminator": judge,
        "story_discriminator": {**judge, "story_length": 5},
    }


def pororo() -> dict:
    """As many parameters as the dynamic-block GAN's Table 1 counts for StoryGAN on Pororo-SV, reached by width (the table counts the public code's
    layers, which differ), with sentence vectors of 256 numbers, as from AttnGAN's encoder."""
    judge = {"sentence_width": 256, "block_out_channels": (144, 296, 576, 1104)}
    return {
        "resolution": 64,
        "story_gan": {"sentence_width": 256, "width": 512, "gist_channels": 32, "block_out_channels": (2656, 1328, 664, 336)},
        "image_discriminator": {**judge, "width": 512},
        "story_discriminator": {**judge, "story_length": 5},
    }


PRESETS = {"toon-64": toon_64, "paper-64": paper_64, "pororo": pororo}
PUBLISHED = {"pororo": (47.0, 47.2)}  # millions in the generator and in the discriminators together


def parameter_counts(preset: str) -> dict[str, int]:
    """Parameters of each network; nothing is allocated."""
    import torch

    from story_ldm.systems.story_gan.networks import ImageDiscriminator, StoryDiscriminator, StoryGAN

    kinds = {"story_gan": StoryGAN, "image_discriminator": ImageDiscriminator, "story_discriminator": StoryDiscriminator}
    with torch.device("meta"):
        return {name: sum(p.numel() for p in kind(**PRESETS[preset]()[name]).parameters()) for name, kind in kinds.items()}


def parameter_table() -> str:
    """Markdown table of the parameters in millions."""
    rows = []
    for name in PRESETS:
        generator, image, story = (count / 1e6 for count in parameter_counts(name).values())
        published = [f"{count} M" for count in PUBLISHED[name]] if name in PUBLISHED else ["-", "-"]
        rows.append([name, *(f"{count:.2f} M" for count in (generator, image, story, image + story)), *published])
    head = ("preset", "generator", "D_I", "D_S", "both", "generator, published", "discriminators, published")
    return markdown_table(head, rows)


if __name__ == "__main__":
    print(parameter_table())
