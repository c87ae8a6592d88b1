"""Textual inversions of several vectors: frame 0 against diffusers' pipelines, saving, and how long sentences with them are."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import STORY
from safetensors.torch import save_file
from test_diffusers_conventions import stable_diffusion
from test_guiding_pictures import DRAWING, draw, seeded, with_memory
from test_stable_diffusion_xl import make_xl

from story_ldm.encoders.limits import token_limit
from story_ldm.encoders.sentences import tokenize_chunks, tokenize_sentences
from story_ldm.pipelines import StoryLDMPipeline

REX = ["A picture of <rex> on the beach.", "<rex> waves to Rosa."]


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_frame_0_is_that_of_diffusers(kind, tokenizer, tmp_path):
    sd = make_xl() if kind == "xl" else stable_diffusion(copy.deepcopy(tokenizer))
    pipe = with_memory(sd)
    plain = draw(pipe, STORY[:2])
    torch.manual_seed(0)
    for suffix in ("", "_2") if kind == "xl" else ("",):
        parts = {"tokenizer": getattr(pipe, f"tokenizer{suffix}"), "text_encoder": getattr(pipe, f"text_encoder{suffix}")}
        save_file({"<rex>": torch.randn(3, parts["text_encoder"].config.hidden_size)}, tmp_path / "rex.safetensors")
        pipe.load_textual_inversion(str(tmp_path / "rex.safetensors"), **parts)
    np.testing.assert_array_equal(draw(pipe, STORY[:2]), plain)
    found = draw(pipe, REX)
    np.testing.assert_array_equal(found[0], sd(REX[0], **DRAWING, generator=seeded(3)).images[0])
    if kind == "xl":
        return
    pipe.save_pretrained(tmp_path / "saved")
    opened = StoryLDMPipeline.from_pretrained(tmp_path / "saved")
    opened.set_progress_bar_config(disable=True)
    np.testing.assert_array_equal(draw(opened, REX), found)
    words = pipe.tokenizer.convert_ids_to_tokens(tokenize_sentences(pipe.tokenizer, REX[1:])[0][0].tolist())
    assert words[1:4] == ["<rex>", "<rex>_1", "<rex>_2"]
    assert torch.equal(tokenize_chunks(pipe.tokenizer, REX)[0], tokenize_sentences(pipe.tokenizer, REX)[0])
    assert token_limit(pipe.tokenizer).lengths(["<rex>", "Rosa"])[0] == 5, "every vector counts, so that the refusal of long sentences is right"
