"""diffusers' protocol of callbacks, steps and the bar."""

from __future__ import annotations

import os

import diffusers
import pytest
import torch
from conftest import STORY, WIDTH, tiny_pipeline
from diffusers.callbacks import SDCFGCutoffCallback
from test_diffusers_conventions import draw


def test_callbacks_of_diffusers(tokenizer):
    """The guidance ends after a part of each frame, with one story and with several."""
    pipe, rows = tiny_pipeline(tokenizer), []
    pipe.unet.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    for stories in ([STORY[:2]], [STORY[:2], STORY[2:]]):
        rows.clear()
        draw(pipe, stories, num_inference_steps=4, callback_on_step_end=SDCFGCutoffCallback(cutoff_step_index=1, cutoff_step_ratio=None))
        assert rows == [2 * len(stories)] * 2 + [len(stories)] * 2 + [2 * len(stories)] * 2 + [len(stories)] * 2
        assert pipe.guidance_scale == 0 and not pipe.do_classifier_free_guidance


def test_callbacks_see_and_change(tokenizer):
    pipe, seen = tiny_pipeline(tokenizer), []
    assert pipe._callback_tensor_inputs[:3] == ["latents", "prompt_embeds", "negative_prompt_embeds"]

    def look(pipe, step, timestep, tensors):
        seen.append((pipe.num_timesteps, pipe.guidance_scale, pipe.do_classifier_free_guidance, pipe.interrupt, tensors["prompt_embeds"].shape))
        return {}

    plain = draw(pipe, callback_on_step_end=look, callback_on_step_end_tensor_inputs=pipe._callback_tensor_inputs)
    assert set(seen) == {(3, 2.0, True, False, (1, 32, WIDTH))}
    change = {"callback_on_step_end": lambda pipe, step, timestep, tensors: {"prompt_embeds": tensors["prompt_embeds"] + 1}}
    changed = draw(pipe, callback_on_step_end_tensor_inputs=["prompt_embeds"], **change)
    assert not torch.equal(changed[0], plain[0])
    with pytest.raises(ValueError, match=r"the callback returned prompt_embeds of the shape \(2, 2\)"):
        draw(pipe, callback_on_step_end=lambda *_: {"prompt_embeds": torch.zeros(2, 2)})

    def stop(pipe, step, timestep, tensors):
        pipe._interrupt = step == 4  # in the second frame
        return tensors

    stopped = draw(pipe, callback_on_step_end=stop)
    assert len(stopped) == 2 and torch.equal(stopped[0], plain[0]) and not torch.equal(stopped[1], plain[1]) and len(draw(pipe)) == 4


@pytest.mark.parametrize("name, calls", [("HeunDiscreteScheduler", 7), ("KDPM2DiscreteScheduler", 7), ("PNDMScheduler", 13), ("DDIMScheduler", 4)])
def test_steps_and_bar_of_schedulers_with_more_calls_than_steps(name, calls, tokenizer, monkeypatch):
    pipe, steps, bars = tiny_pipeline(tokenizer, scheduler=getattr(diffusers, name)()), [], []
    bar = pipe.progress_bar
    monkeypatch.setattr(pipe, "progress_bar", lambda **more: bars.append(bar(**more)) or bars[-1])
    pipe.set_progress_bar_config(disable=False, file=open(os.devnull, "w"))
    draw(pipe, STORY[:2], num_inference_steps=4, callback_on_step_end=lambda pipe, step, *_: steps.append((step, pipe.num_timesteps)))
    assert steps == [(n, calls) for n in range(2 * calls)]
    assert bars[0].total == bars[0].n == 2 * 4
