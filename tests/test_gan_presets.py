"""The GANs' sizes at other resolutions than the presets', and how a preset is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from story_ldm.systems.dynamic_block_gan.networks import DynamicBlockDiscriminator, DynamicBlockGAN
from story_ldm.systems.dynamic_block_gan.presets import toon_64 as dynamic_block_toon_64
from story_ldm.systems.gan_presets import PAPERS_TRAINING, TRAINING, at_resolution, fill_in
from story_ldm.systems.story_gan.networks import ImageDiscriminator, StoryDiscriminator, StoryGAN
from story_ldm.systems.story_gan.presets import toon_64


@pytest.mark.parametrize("side", [16, 32, 128])
@pytest.mark.parametrize("preset", [toon_64, dynamic_block_toon_64])
def test_presets_at_another_resolution(preset, side):
    """The coarse end stays as it is; what is drawn has this side, and both kinds of network read and draw it."""
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


def test_what_the_command_does_not_say():
    """Is the preset's, and else the papers'; what it says stays, and nothing is added."""
    open_settings = dict.fromkeys(PAPERS_TRAINING)
    toon, pororo = (SimpleNamespace(**open_settings | {"preset": name, "batch": 2}) for name in ("toon-64", "pororo"))
    small = SimpleNamespace(preset="toon-64", learning_rate=None)
    for settings in (toon, pororo, small):
        fill_in(settings)
    assert vars(toon) == PAPERS_TRAINING | TRAINING["toon-64"] | {"preset": "toon-64", "batch": 2}
    assert vars(pororo) == PAPERS_TRAINING | {"preset": "pororo", "batch": 2}
    assert vars(small) == {"preset": "toon-64", "learning_rate": TRAINING["toon-64"]["learning_rate"]}
