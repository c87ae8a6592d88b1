"""Noise belongs to its frame: a frame that is drawn again, alone or after the same frames, is the same picture."""

from __future__ import annotations

import pytest
import torch
from conftest import STORY, tiny_pipeline
from diffusers import EulerAncestralDiscreteScheduler
from test_pipeline import CLOSE, FORMS, draw, seeded


@pytest.mark.parametrize("scheduler", [None, EulerAncestralDiscreteScheduler(prediction_type="v_prediction")])
@pytest.mark.parametrize("form", FORMS)
def test_going_on_from_frames_is_the_whole_run(form, scheduler, tokenizer):
    """To the last bit, wherever a story is taken up again, with a generator and with seeds, and with a scheduler that draws noise in its steps."""
    pipe = tiny_pipeline(tokenizer, form, **({} if scheduler is None else {"scheduler": scheduler}))
    for extra in ({}, {"generator": None, "seeds": [5, 6, 5, 7]}):
        whole = draw(pipe, STORY, **extra)
        for k in range(1, len(STORY)):
            again = extra or {"generator": seeded()}
            assert torch.equal(draw(pipe, STORY, frames=whole[:k], **again), whole), k


def forgetful(tokenizer):
    """A pipeline that draws equal sentences with equal noise as equal frames (without visual memory)."""
    pipe = tiny_pipeline(tokenizer, "spatial")
    pipe.register_modules(language_memory=None)
    return pipe


def test_each_frame_has_noise_of_its_own(tokenizer):
    """A frame's noise does not depend on the number of frames, nor on those drawn before it; two frames, seeds or stories have different noise."""
    pipe, same = forgetful(tokenizer), ["Rosa waves."] * 3
    frames = draw(pipe, same, use_memory=False)
    assert not any(torch.equal(frames[a], frames[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert torch.equal(draw(pipe, same[:2], use_memory=False), frames[:2])
    assert not torch.equal(draw(pipe, same, use_memory=False, generator=seeded(1))[2], frames[2])
    shared = draw(pipe, [same, same], use_memory=False)
    torch.testing.assert_close(shared[0], frames, **CLOSE)
    assert not torch.isclose(shared[1], frames).all(-1).all(-1).all(-1).any()
    torch.manual_seed(3)
    first, second = (draw(pipe, same, use_memory=False, generator=None) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(draw(pipe, same, use_memory=False, generator=None), first)
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_seeds(tokenizer):
    pipe, same = forgetful(tokenizer), ["Rosa waves."] * 3
    frames = draw(pipe, same, use_memory=False, generator=None, seeds=[4, 4, 9])
    assert torch.equal(frames[0], frames[1]) and not torch.equal(frames[0], frames[2])
    several = draw(pipe, [same, same[:1]], use_memory=False, generator=None, seeds=[[4, 5, 9], [4]])
    torch.testing.assert_close(several[0][2], frames[2], **CLOSE)
    torch.testing.assert_close(several[1][0], frames[0], **CLOSE)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"seeds": [1, 2]}, "seeds has 2 seeds for a story of 3 frames; give one a frame"),
        ({"seeds": 7}, "seeds is 7; it must be a list with one seed a frame"),
        ({"seeds": [1, 2, -1]}, "seeds has -1; a seed must be a whole number from 0"),
        ({"seeds": [1, 2, True]}, "seeds has True; a seed must be"),
        ({"seeds": [[1, 2, 3]] * 2}, "with one for each story"),
        ({"seeds": [1, 2, 3], "generator": seeded()}, "generator and seeds are both given; give one of them"),
        ({"frames": torch.zeros(1, 4, 7, 8)}, r"frames of story 0 have the shape \(1, 4, 7, 8\); these stories require"),
        ({"frames": torch.zeros(4, 4, 8, 8)}, "frames of story 0 has 4 images; it may have at most 3"),
    ],
)
def test_what_is_refused(extra, words, tokenizer):
    with pytest.raises(ValueError, match=words):
        draw(tiny_pipeline(tokenizer), ["Rosa waves."] * 3, **{"generator": None, **extra})
