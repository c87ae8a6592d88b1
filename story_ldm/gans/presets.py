"""Sizes of the GANs as two tables: `PRESETS[name]()` gives the settings of each of StoryGAN's networks, `DYNAMIC_BLOCK_PRESETS[name]()` those of the
dynamic-block GAN's.

python -m story_ldm.gans.presets            # parameter counts of every preset, beside those that are published

`sentence_width` is that of the text encoder where a network is built, and the story discriminator's `story_length` that of the data. `TRAINING`
says how a preset is trained, for both GANs, where that is not the papers' way; what the command says goes before both.
"""

from __future__ import annotations


def toon_64() -> dict:
    """The built-in world at 64 px, trained in under an hour on a laptop's CPU: the layer tables with half of the channels."""
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
    """The sizes that the dynamic-block GAN's Table 1 counts for StoryGAN on Pororo-SV, reached by width (the public code's layers, which it counts,
    are others), with the sentences of 256 numbers that AttnGAN's encoder has."""
    judge = {"sentence_width": 256, "block_out_channels": (144, 296, 576, 1104)}
    return {
        "resolution": 64,
        "story_gan": {"sentence_width": 256, "width": 512, "gist_channels": 32, "block_out_channels": (2656, 1328, 664, 336)},
        "image_discriminator": {**judge, "width": 512},
        "story_discriminator": {**judge, "story_length": 5},
    }


def dynamic_block_toon_64() -> dict:
    """The built-in world at 64 px, with the channels of StoryGAN's toon-64."""
    return {
        "resolution": 64,
        "generator": {"block_out_channels": (256, 128, 64, 32), "attention_sizes": (4, 8, 16)},
        "discriminator": {"block_out_channels": (32, 64, 128, 256), "attention_sizes": (4, 8, 16)},
    }


def dynamic_block_pororo() -> dict:
    """The sizes of the paper's Table 1, reached by width, since it gives no layers; sentences and words of 256 numbers as in AttnGAN's encoder."""
    common = {"sentence_width": 256, "context_width": 256, "attention_sizes": (4, 8, 16, 32), "attention_width": 256}
    return {
        "resolution": 64,
        "generator": {**common, "block_out_channels": (1024, 864, 512, 256)},
        "discriminator": {**common, "block_out_channels": (128, 256, 512, 744)},
    }


PRESETS = {"toon-64": toon_64, "paper-64": paper_64, "pororo": pororo}
DYNAMIC_BLOCK_PRESETS = {"toon-64": dynamic_block_toon_64, "pororo": dynamic_block_pororo}
PAPERS_TRAINING = {"learning_rate": 2e-4, "discriminator_learning_rate": 2e-4, "norm": "batch", "discriminator_norm": "batch"}
PAPERS_TRAINING |= {"batch": 16, "image_batch": 48}
TRAINING = {  # few steps: small batches, and a generator that learns faster, beside discriminators that spectral normalisation holds back
    "toon-64": {"learning_rate": 1e-3, "discriminator_learning_rate": 4e-4, "discriminator_norm": "spectral", "batch": 8, "image_batch": 16}
}
PUBLISHED = {"pororo": (47.0, 47.2)}  # millions in the generator and in the discriminators together
DYNAMIC_BLOCK_PUBLISHED = {"pororo": (25.1, 23.5)}  # in the generator and in the discriminator


def at_resolution(preset: dict, resolution: int | None) -> dict:
    """A preset for frames of another side: at the fine end of each network blocks fall away, or come in addition, each of half the channels.

    Raises ValueError for what is no power of two from 16 on."""
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


def fill_in(settings) -> None:
    """Gives a script's settings that are None the values of the preset's training, or else the papers'."""
    for name, value in (PAPERS_TRAINING | TRAINING.get(settings.preset, {})).items():
        if getattr(settings, name, 0) is None:
            setattr(settings, name, value)


def parameter_counts(preset: str) -> dict[str, int]:
    """Parameters of each network; nothing is allocated."""
    import torch

    from .story_gan import ImageDiscriminator, StoryDiscriminator, StoryGAN

    kinds = {"story_gan": StoryGAN, "image_discriminator": ImageDiscriminator, "story_discriminator": StoryDiscriminator}
    with torch.device("meta"):
        return {name: sum(p.numel() for p in kind(**PRESETS[preset]()[name]).parameters()) for name, kind in kinds.items()}


def parameter_table() -> str:
    """Markdown table of the parameters in millions."""
    lines = ["| preset | generator | D_I | D_S | both | generator, published | discriminators, published |", "|---" * 7 + "|"]
    for name in PRESETS:
        generator, image, story = (count / 1e6 for count in parameter_counts(name).values())
        published = " | ".join(f"{count} M" for count in PUBLISHED[name]) if name in PUBLISHED else "- | -"
        lines.append(f"| {name} | {generator:.2f} M | {image:.2f} M | {story:.2f} M | {image + story:.2f} M | {published} |")
    return "\n".join(lines)


def dynamic_block_counts(preset: str) -> dict[str, int]:
    """Parameters of the dynamic-block GAN's networks; nothing is allocated."""
    import torch

    from .dynamic_block import DynamicBlockDiscriminator, DynamicBlockGAN

    kinds = {"generator": DynamicBlockGAN, "discriminator": DynamicBlockDiscriminator}
    with torch.device("meta"):
        return {name: sum(p.numel() for p in kind(**DYNAMIC_BLOCK_PRESETS[preset]()[name]).parameters()) for name, kind in kinds.items()}


def dynamic_block_table() -> str:
    """Markdown table of the parameters in millions."""
    lines = ["| preset | generator | discriminator | generator, published | discriminator, published |", "|---" * 5 + "|"]
    for name in DYNAMIC_BLOCK_PRESETS:
        generator, discriminator = (count / 1e6 for count in dynamic_block_counts(name).values())
        published = " | ".join(f"{count} M" for count in DYNAMIC_BLOCK_PUBLISHED[name]) if name in DYNAMIC_BLOCK_PUBLISHED else "- | -"
        lines.append(f"| {name} | {generator:.2f} M | {discriminator:.2f} M | {published} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"StoryGAN\n\n{parameter_table()}\n\nThe dynamic-block GAN\n\n{dynamic_block_table()}")
