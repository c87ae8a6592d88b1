"""The GANs' presets at other resolutions, and the default training values of each preset."""

from __future__ import annotations

import pytest
import torch

from story_ldm.systems.dynamic_block_gan.networks import DynamicBlockDiscriminator, DynamicBlockGAN
from story_ldm.systems.dynamic_block_gan.presets import toon_64 as dynamic_block_toon_64
from story_ldm.systems.gan_presets import PAPERS_TRAINING, TRAINING, at_resolution, training_values
from story_ldm.systems.story_gan.networks import ImageDiscriminator, StoryDiscriminator, StoryGAN
from story_ldm.systems.story_gan.presets import toon_64


@pytest.mark.parametrize("side", [16, 32, 128])
@pytest.mark.parametrize("preset", [toon_64, dynamic_block_toon_64])
def test_presets_at_another_resolution(preset, side):
    """The coarse end stays as it is; drawn frames have this side, and both kinds of network read and draw it."""
    sized = at_resolution(preset(), side)
    kinds = {
        "story_gan": StoryGAN,
        "image_discriminator": ImageDiscriminator,
        "story_discriminator": StoryDiscriminator,
        "generator": DynamicBlockGAN,
        "discriminator": DynamicBlockDiscriminator,
    }
    networks = {name: kinds[name](**settings).eval() for name, settings in sized.items() if name != "resolution"}
    words = torch.zeros(1, 5, 3, 128), torch.ones(1, 5, 3, dtype=torch.bool)
    sentences, frames = words[0][:, :, 0], torch.zeros(1, 5, 3, side, side)
    if "generator" in networks:
        drawn = networks["generator"](sentences, *words, torch.zeros(1, 100))
        assert networks["discriminator"](frames, (sentences, *words, None))[0].shape == (5,)
    else:
        drawn = networks["story_gan"](sentences, torch.zeros(1, 128), torch.zeros(1, 128), torch.zeros(1, 5, 100))[0]
        assert networks["image_discriminator"](frames[0], torch.zeros(5, 256))[0].shape == (5,)
        assert networks["story_discriminator"](frames, sentences)[0].shape == (1,)
    assert drawn.shape == frames.shape
    for name, settings in preset().items():
        if name != "resolution":
            both = sorted(settings["block_out_channels"])[::-1], sorted(sized[name]["block_out_channels"])[::-1]
            assert all(a == b for a, b in zip(*both)), "the widest come first"
    assert at_resolution(preset(), None) == at_resolution(preset(), 64) == preset()


@pytest.mark.parametrize("side", [0, 8, 48, 100])
def test_no_preset_at_odd_resolutions(side):
    with pytest.raises(ValueError, match=f"resolution is {side}; a GAN draws powers of two from 16 on"):
        at_resolution(toon_64(), side)


def test_values_that_are_left_open():
    """They are the preset's, or else the papers'; given values stay, and none is added."""
    given = dict.fromkeys(PAPERS_TRAINING) | {"batch": 2}
    assert training_values("toon-64", given) == PAPERS_TRAINING | TRAINING["toon-64"] | {"batch": 2}
    assert training_values("pororo", given) == PAPERS_TRAINING | {"batch": 2}
    assert training_values("toon-64", {"learning_rate": None}) == {"learning_rate": TRAINING["toon-64"]["learning_rate"]}
    assert given["learning_rate"] is None, "what is given is not changed"
