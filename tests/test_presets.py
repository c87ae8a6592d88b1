"""The presets with published counterparts have their shapes: parameters, counted without memory."""

from __future__ import annotations

import pytest
import torch

from story_ldm.systems.story_ldm.memory_attention import MemoryAttention
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

PUBLISHED = {"paper-256": 147_347_844, "sd15": 859_520_964, "sdxl": 2_567_463_684}  # of the UNet, as their authors' code builds it


def built(name: str, **settings) -> StoryUNet2DConditionModel:
    with torch.device("meta"):
        return StoryUNet2DConditionModel(**PRESETS[name]()["unet"] | settings)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_without_memory(name):
    assert sum(p.numel() for p in built(name, memory="none").parameters()) == PUBLISHED[name]


def test_memory_of_make_a_story():
    """Published: a memory layer beside each attention, 16.75 M. Here: one a block, at the blocks with attention, of the same layers."""
    unet = built("paper-256", memory="sentence")
    attentions = {
        name: m.proj_out.out_features if hasattr(m.proj_out, "out_features") else m.proj_out.out_channels
        for name, m in unet.named_modules()
        if name.split(".")[-2:-1] == ["attentions"]
    }
    assert len(attentions) == 16
    with torch.device("meta"):
        layers = [MemoryAttention(width, width, 1280, 8, "sentence") for width in attentions.values()]
    assert round(sum(p.numel() for layer in layers for p in layer.parameters()) / 1e6, 2) == 16.75
    blocks = {name.split(".attentions")[0].replace("_blocks", "").replace("mid_block", "mid") for name in attentions}
    assert blocks == set(unet.memory_sources) and "down.3" not in blocks
