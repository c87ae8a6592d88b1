"""StoryLDMPipeline: invariants 1 to 4 in sampling, guidance, memory weights, going on from frames, outputs, and what is refused.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, STORY, WIDTH, as_trained, tiny_pipeline, tiny_text_encoder, tiny_unet, tiny_vae
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.pipelines.noise import FrameNoise
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

FORMS = ("sentence", "spatial")
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(pipe, sentences, **kwargs) -> torch.Tensor | list[torch.Tensor]:
    """Latents of one story, or a list of several stories'."""
    kwargs = {"num_inference_steps": 3, "output_type": "latent", "generator": seeded(), **kwargs}
    frames = pipe(sentences, **kwargs).frames
    return frames[0] if isinstance(sentences[0], str) else frames


def pictures(count: int, side: int = 32, seed: int = 0) -> list[Image.Image]:
    return [Image.fromarray(x) for x in np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)]


def noise_for(pipe, stories: int, frames: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(stories, frames, pipe.unet.config.in_channels, 8, 8, generator=seeded(seed))


@torch.no_grad()
def by_hand(pipe, story, latents, steps=3, scale=2.0, memory_scale=None, clean=()) -> torch.Tensor:
    """Eq. 9 without a cache: every diffusion step writes all earlier clean latents anew and calls the UNet once for every guidance term."""
    memory_scale = scale if memory_scale is None else memory_scale
    condition, empty = pipe.encode_sentences([story]), pipe.encode_sentences([[""]], alone=True)[:, 0]
    clean = list(clean)
    for m in range(len(clean), len(story)):
        pipe.scheduler.set_timesteps(steps)
        x = latents[:, m] * pipe.scheduler.init_noise_sigma
        for t in pipe.scheduler.timesteps:
            memory = pipe.unet.write(torch.stack(clean, 1), condition[:, :m]) if m else None
            nothing = pipe.unet(x, t, empty).sample
            text = pipe.unet(x, t, condition[:, m]).sample
            both = pipe.unet(x, t, condition[:, m], memory=memory).sample
            e = nothing + scale * (text - nothing) + memory_scale * (both - text)
            x = pipe.scheduler.step(e, t, x, return_dict=False)[0]
        clean.append(x)
    return torch.cat(clean)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given_frames", [0, 2])
def test_causality(form, given_frames, tokenizer):
    """Invariant 1: a changed sentence or given frame k leaves every frame before it bit-identical, and changes every frame after it."""
    pipe = tiny_pipeline(tokenizer, form)
    frames = pictures(given_frames)
    extra = {"frames": frames} if frames else {}
    before = draw(pipe, STORY, **extra)
    for k in range(len(STORY)):
        after = draw(pipe, [*STORY[:k], "Milo runs away into the forest.", *STORY[k + 1 :]], **extra)
        assert torch.equal(before[:k], after[:k]), k
        assert all(not torch.equal(before[m], after[m]) for m in range(max(k, given_frames), len(STORY))), k
    for k in range(given_frames):
        after = draw(pipe, STORY, frames=[*frames[:k], *pictures(1, seed=9), *frames[k + 1 :]])
        assert torch.equal(before[:k], after[:k]), k
        assert all(not torch.equal(before[m], after[m]) for m in (k, *range(given_frames, len(STORY)))), k


@pytest.mark.parametrize("form", FORMS)
def test_cached_memory_is_memory_written_anew(form, tokenizer):
    """Invariant 2, against a loop that keeps nothing."""
    pipe = tiny_pipeline(tokenizer, form)
    latents = noise_for(pipe, 1, len(STORY))
    torch.testing.assert_close(draw(pipe, STORY, latents=latents), by_hand(pipe, STORY, latents), **CLOSE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheduler", [DDIMScheduler, EulerAncestralDiscreteScheduler])
def test_batched_stories_are_the_same_one_by_one(form, scheduler, tokenizer):
    """Invariant 2: stories of different lengths, some of which go on from frames."""
    pipe = tiny_pipeline(tokenizer, form, scheduler=scheduler(prediction_type="v_prediction"))
    stories = [STORY[:2], STORY, ["Toby sits."], STORY[1:]]
    frames = [[], pictures(1), [], pictures(2, seed=1)]
    for extra in ({}, {"frames": frames}, {"max_memory_frames": 1, "memory_guidance_scale": 1.5}):
        together = draw(pipe, stories, generator=[seeded(n) for n in range(4)], **extra)
        assert [len(story) for story in together] == [2, 4, 1, 3]
        for n, story in enumerate(stories):
            mine = {**extra, "frames": [frames[n]]} if "frames" in extra else extra
            (alone,) = draw(pipe, [story], generator=[seeded(n)], **mine)
            torch.testing.assert_close(together[n], alone, **CLOSE)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler])
@pytest.mark.parametrize("form", FORMS)
def test_first_frame_is_stable_diffusions(scheduler, form, tokenizer):
    """Invariant 3, to the last bit, with memory layers that are not zero any more."""
    torch.manual_seed(0)
    config = {k: v for k, v in tiny_unet().config.items() if not k.startswith(("_", "memory", "class_embed", "projection"))}
    unet = UNet2DConditionModel(**config).eval()
    shared = {"vae": tiny_vae(1), "text_encoder": tiny_text_encoder(tokenizer), "tokenizer": tokenizer}
    settings = {"clip_sample": False, "steps_offset": 1} if scheduler is DDIMScheduler else {}  # Stable Diffusion's own
    plain = StableDiffusionPipeline(
        **shared, unet=unet, scheduler=scheduler(**settings), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    plain.set_progress_bar_config(disable=True)
    pipe = tiny_pipeline(tokenizer, scheduler=scheduler(**settings), r=1, language=False)
    story_unet = StoryUNet2DConditionModel.from_unet(unet, form, memory_heads=2)
    as_trained(story_unet.memory_layers)
    pipe.register_modules(**shared, unet=story_unet)
    for sentences in (STORY[:1], STORY[:3]):
        for output_type in ("latent", "np"):
            for kwargs in ({"guidance_scale": 3.0, "negative_prompt": "a cat"}, {"guidance_scale": 1.0}):
                common = {"num_inference_steps": 4, "output_type": output_type, **kwargs}
                expected = plain(sentences[0], generator=seeded(3), **common).images[0]
                found = pipe(sentences, generator=seeded(3), **common).frames[0]
                assert len(found) == len(sentences)
                np.testing.assert_array_equal(np.asarray(found[0]), np.asarray(expected))


LOAD = """
import json, sys, torch
from story_ldm.pipelines import StoryLDMPipeline
for folder in sys.argv[1:]:
    pipe = StoryLDMPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    story = json.load(open(folder + "/story.json"))
    frames = pipe(story, num_inference_steps=2, output_type="latent", generator=torch.Generator().manual_seed(0)).frames[0]
    torch.save(frames, folder + "/frames.pt")
"""


def test_saved_and_opened_in_another_process(tokenizer, tmp_path):
    """Invariant 4, with and without language memory, in both forms; weights lie in safetensors files and nowhere else."""
    kinds = {"all": {}, "papers": {"language": False, "memory": "sentence"}, "plain": {"language": False, "memory": "none", "r": 1}}
    expected = {}
    for name, settings_ in kinds.items():
        pipe = tiny_pipeline(tokenizer, **settings_)
        pipe.save_pretrained(tmp_path / name, safe_serialization=True)
        assert {file.suffix for file in (tmp_path / name).rglob("*") if file.is_file()} <= {".safetensors", ".json", ".txt", ".py"}
        assert (json.loads((tmp_path / name / "model_index.json").read_text())["language_memory"] == [None, None]) == (name != "all")
        (tmp_path / name / "story.json").write_text(json.dumps(STORY))
        opened = StoryLDMPipeline.from_pretrained(tmp_path / name)
        for part in ("vae", "unet", "text_encoder", *(["language_memory"] if pipe.language_memory else [])):
            weights, saved = getattr(opened, part).state_dict(), getattr(pipe, part).state_dict()
            assert list(weights) == list(saved) and all(torch.equal(weights[key], value) for key, value in saved.items())
        # the tensors of a safetensors file lie at other addresses, after which matrix products choose their kernels: last bits differ
        opened.set_progress_bar_config(disable=True)
        expected[name] = draw(opened, STORY, num_inference_steps=2)
        torch.testing.assert_close(draw(pipe, STORY, num_inference_steps=2), expected[name], **CLOSE)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", LOAD, *(str(tmp_path / n) for n in kinds)], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    for name, frames in expected.items():
        assert torch.equal(torch.load(tmp_path / name / "frames.pt"), frames), name


class Pixels(AutoencoderKL):
    """An autoencoder without loss: latents are 2 × 2 pixels."""

    def encode(self, x):
        return AutoencoderKLOutput(DiagonalGaussianDistribution(torch.cat([x, torch.full_like(x, -30.0)], 1)))

    def decode(self, z):
        return DecoderOutput(z)


@pytest.mark.parametrize("form", FORMS)
def test_going_on_from_drawn_frames(form, tokenizer):
    """Frames of a drawn story given back: the rest comes out nearly the same (they have been rounded to 8 bits)."""
    pipe = tiny_pipeline(tokenizer, form, in_channels=12, out_channels=12)
    normal = {"latents_mean": [0.0] * 12, "latents_std": [0.1] * 12}
    pipe.register_modules(vae=Pixels(3 * 4, 12, block_out_channels=(4,), norm_num_groups=2, latent_channels=12, **normal))
    latents = noise_for(pipe, 1, len(STORY))
    whole = draw(pipe, STORY, latents=latents)
    assert whole.abs().max() < 10, "or pixels are clipped and this test says nothing"
    drawn = pipe(STORY, latents=latents, num_inference_steps=3).frames[0]
    for count in (1, 3, 4):
        again = draw(pipe, STORY, latents=latents, frames=drawn[:count])
        torch.testing.assert_close(again[:count], whole[:count], atol=0.05, rtol=0)
        if count < 4:
            other = draw(pipe, STORY, latents=latents, frames=pictures(count, side=16))
            assert (again - whole)[count:].norm() * 20 < (other - whole)[count:].norm()


def test_given_frames_are_written_as_they_are_encoded(tokenizer):
    from story_ldm.data.frames import frames_tensor
    from story_ldm.encoders.latents import encode_frames

    pipe = tiny_pipeline(tokenizer)
    frames, latents = pictures(2), noise_for(pipe, 1, len(STORY))
    clean = [encode_frames(pipe.vae, frames_tensor([frame])) for frame in frames]
    torch.testing.assert_close(draw(pipe, STORY, latents=latents, frames=frames), by_hand(pipe, STORY, latents, clean=clean), **CLOSE)


@pytest.mark.parametrize("form", FORMS)
def test_guidance(form, tokenizer):
    pipe = tiny_pipeline(tokenizer, form)
    latents = noise_for(pipe, 1, len(STORY))
    joint = draw(pipe, STORY, latents=latents, guidance_scale=2.0)
    assert torch.equal(joint, draw(pipe, STORY, latents=latents, guidance_scale=2.0, memory_guidance_scale=2.0))
    # another number that is not equal goes through three rows a frame
    torch.testing.assert_close(draw(pipe, STORY, latents=latents, guidance_scale=2.0, memory_guidance_scale=2.0 + 1e-9), joint, **CLOSE)
    for scale, memory_scale in ((3.0, 1.5), (1.0, 4.0), (2.0, 0.0), (1.0, 1.0)):
        found = draw(pipe, STORY, latents=latents, guidance_scale=scale, memory_guidance_scale=memory_scale)
        expected = by_hand(pipe, STORY, latents, scale=scale, memory_scale=memory_scale)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    without = draw(pipe, STORY, latents=latents, guidance_scale=2.0, use_memory=False)
    torch.testing.assert_close(draw(pipe, STORY, latents=latents, guidance_scale=2.0, memory_guidance_scale=0.0), without, **CLOSE)


@pytest.mark.parametrize("kwargs, rows", [({"guidance_scale": 1.0}, [2, 2]), ({}, [4, 4]), ({"memory_guidance_scale": 3.0}, [4, 6])])
def test_rows_of_guidance(kwargs, rows, tokenizer, monkeypatch):
    """No more UNet work a frame than the guidance asked for needs."""
    pipe = tiny_pipeline(tokenizer)
    seen, forward = [], pipe.unet.forward
    monkeypatch.setattr(pipe.unet, "forward", lambda x, *args, **more: (seen.append(len(x)), forward(x, *args, **more))[1])
    draw(pipe, [STORY[:2], STORY[2:]], num_inference_steps=1, **kwargs)
    assert seen == rows


def test_negative_prompt(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    plain = draw(pipe, STORY)
    assert torch.equal(draw(pipe, STORY, negative_prompt=""), plain)
    assert not torch.equal(draw(pipe, STORY, negative_prompt="the sea"), plain)
    assert torch.equal(draw(pipe, STORY, negative_prompt="the sea", guidance_scale=1.0), draw(pipe, STORY, guidance_scale=1.0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kwargs", [{}, {"guidance_scale": 1.0}, {"memory_guidance_scale": 3.0}])
def test_memory_weights(form, kwargs, tokenizer):
    pipe = tiny_pipeline(tokenizer, form)
    stories = [STORY, STORY[:2]]
    output = pipe(stories, num_inference_steps=2, generator=seeded(), output_type="latent", return_memory_weights=True, **kwargs)
    assert [w.shape for w in output.memory_weights] == [(4, 4), (2, 2)]
    for weights in output.memory_weights:
        np.testing.assert_array_equal(weights, np.tril(weights, -1))
        total = weights.sum(1)[1:]
        assert (weights >= 0).all() and (total > 0).all() and (total <= 1 + 1e-5).all()
        if form == "sentence":
            np.testing.assert_allclose(total, 1, atol=1e-5)
    same = draw(pipe, stories, num_inference_steps=2, **kwargs)
    for found, expected in zip(output.frames, same, strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)
    frames, weights = pipe(STORY, num_inference_steps=1, output_type="latent", return_memory_weights=True, return_dict=False)
    assert len(frames) == len(weights) == 1


@pytest.mark.parametrize("form", FORMS)
def test_max_memory_frames(form, tokenizer):
    pipe = tiny_pipeline(tokenizer, form)
    expected = draw(pipe, STORY)
    assert torch.equal(draw(pipe, STORY, max_memory_frames=3), expected) and torch.equal(draw(pipe, STORY, max_memory_frames=99), expected)
    small = pipe(
        STORY,
        num_inference_steps=3,
        generator=seeded(),
        max_memory_frames=1,
        output_type="latent",
        return_memory_weights=True,
        guidance_scale=1,
    )
    (weights,) = small.memory_weights
    assert (np.count_nonzero(weights, axis=1) == [0, 1, 1, 1]).all()
    condition = pipe.encode_sentences([STORY])
    memory = pipe.unet.write(small.frames[0][None], condition)
    for m in (2, 3):  # it read the frame whose sentence is the most relevant to its own
        logits = [pipe.unet.memory_layer(site).relevance(condition.pooled[:, m], entry)[0, :m] for site, entry in memory.entries.items()]
        assert weights[m].argmax() == torch.stack(logits).mean(0).argmax()
    bounded = draw(pipe, STORY, max_memory_frames=1)
    assert torch.equal(bounded[:2], expected[:2]) and not torch.equal(bounded[2:], expected[2:])


@pytest.mark.parametrize("form", FORMS)
def test_memory_in_half_precision(form, tokenizer):
    """What is remembered is rounded, and only that: bounded or not, frame 0 is the same and the others nearly."""
    pipe = tiny_pipeline(tokenizer, form)
    for bound in (None, 2):
        expected, found = (draw(pipe, STORY, max_memory_frames=bound, memory_dtype=dtype) for dtype in (None, torch.bfloat16))
        assert torch.equal(found[0], expected[0]) and not torch.equal(found[1:], expected[1:])
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    assert torch.equal(draw(pipe, STORY, memory_dtype=torch.float32), draw(pipe, STORY))


def test_weights_say_which_frames_are_read(tokenizer):
    """Of a bounded memory: the frame of the most relevant sentence has a weight and is read, wherever it stands; the others are not."""
    pipe, given, other = tiny_pipeline(tokenizer, language=False), pictures(3), pictures(1, seed=9)
    bounded = {"num_inference_steps": 1, "output_type": "latent", "max_memory_frames": 1, "return_memory_weights": True}
    read = []
    for story in (STORY, [STORY[2], *STORY[:2], STORY[3]]):
        out = pipe(story, frames=given, generator=seeded(), **bounded)
        (k,) = np.flatnonzero(out.memory_weights[0][3])
        for m in range(3):
            changed = pipe(story, frames=[*given[:m], *other, *given[m + 1 :]], generator=seeded(), **bounded)
            assert torch.equal(changed.frames[0][3], out.frames[0][3]) == (m != k)
        read.append(story[k])
    assert read[0] == read[1]


def test_without_memory_it_is_the_plain_model(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    off, on = draw(pipe, STORY, use_memory=False), draw(pipe, STORY)
    weights = pipe(STORY, num_inference_steps=1, use_memory=False, output_type="latent", return_memory_weights=True).memory_weights
    assert not weights[0].any()
    pipe.register_modules(unet=StoryUNet2DConditionModel.from_unet(pipe.unet, memory="none"))
    assert torch.equal(draw(pipe, STORY), off) and torch.equal(off[0], on[0]) and not torch.equal(off[1:], on[1:])


@pytest.mark.parametrize("r", [1, 2])
def test_output_types(r, tokenizer):
    pipe = tiny_pipeline(tokenizer, r=r)
    stories, side = [STORY[:2], STORY[:1]], 16 * r
    common = {"num_inference_steps": 1, "latents": noise_for(pipe, 2, 2)}
    latent, array, tensor, picture = (pipe(stories, output_type=kind, **common).frames for kind in ("latent", "np", "pt", "pil"))
    assert [x.shape for x in latent] == [(2, 4, 8, 8), (1, 4, 8, 8)]
    assert [x.shape for x in array] == [(2, side, side, 3), (1, side, side, 3)] and all(0 <= x.min() and x.max() <= 1 for x in array)
    assert [x.shape for x in tensor] == [(2, 3, side, side), (1, 3, side, side)] and all(x.dtype == torch.float32 for x in tensor)
    assert [[p.size for p in story] for story in picture] == [[(side, side)] * 2, [(side, side)]]
    np.testing.assert_array_equal(array[0], tensor[0].permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(np.asarray(picture[0][1]), (array[0][1] * 255).round().astype(np.uint8))
    as_tuple = pipe(stories, output_type="latent", return_dict=False, **common)
    assert isinstance(as_tuple, tuple) and len(as_tuple) == 1 and torch.equal(as_tuple[0][1], latent[1])
    assert pipe(tuple(STORY[:2]), num_inference_steps=1).memory_weights is None


def test_other_sizes(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    assert draw(pipe, STORY[:2], height=48, width=40).shape == (2, 4, 12, 10)
    assert pipe(STORY[:2], height=48, num_inference_steps=1).frames[0][1].size == (32, 48)


def test_latents_and_generators(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    stories = [STORY[:2], STORY[:2]]
    assert all(torch.equal(*pair) for pair in zip(draw(pipe, stories), draw(pipe, stories), strict=True))
    assert not torch.equal(*draw(pipe, stories)), "one generator draws other noise for each story"
    assert torch.equal(*draw(pipe, stories, generator=[seeded(1), seeded(1)]))
    # each frame's noise is what its generators draw, so `latents` can repeat it
    noise, shape = FrameNoise(seeded(4), None, [len(STORY)]), (4, 8, 8)
    frames = [noise.draw(noise.generators([0], m), 1, shape, torch.device("cpu"), torch.float32) for m in range(len(STORY))]
    latents = torch.stack(frames, 1)
    before = latents.clone()
    assert torch.equal(draw(pipe, STORY, latents=latents), draw(pipe, STORY, generator=seeded(4))) and torch.equal(latents, before)


def test_own_steps_and_guidance(tokenizer, tmp_path):
    """What a pipeline says of itself holds where a call says nothing, after saving and with other components, too; a Stable Diffusion has none."""
    parts = tiny_pipeline(tokenizer).components
    with pytest.raises(ValueError, match="default_steps is 0; it must be a whole number"):
        StoryLDMPipeline(**parts, default_steps=0)
    with pytest.raises(ValueError, match="default_guidance is 'two'; it must be a number"):
        StoryLDMPipeline(**parts, default_guidance="two")
    pipe = StoryLDMPipeline(**parts, default_steps=2, default_guidance=1.5)
    pipe.save_pretrained(tmp_path)
    for one in (pipe, StoryLDMPipeline.from_pretrained(tmp_path), StoryLDMPipeline.from_pipe(pipe)):
        one.set_progress_bar_config(disable=True)
        assert torch.equal(draw(one, STORY[:2], num_inference_steps=None), draw(pipe, STORY[:2], num_inference_steps=2, guidance_scale=1.5))
    assert "default_steps" not in tiny_pipeline(tokenizer).config


def test_callback(tokenizer):
    for disabled in (True, False):
        pipe = tiny_pipeline(tokenizer)
        pipe.set_progress_bar_config(disable=disabled)
        calls = []

        def callback(caller, step, timestep, tensors, calls=calls):
            calls.append((step, timestep, {name: value.clone() for name, value in tensors.items()}))
            return {"latents": torch.zeros_like(tensors["latents"])} if step == 5 else tensors

        both = ("latents", "noise_prediction")
        result = draw(pipe, [STORY[:3], STORY[:2]], callback_on_step_end=callback, callback_on_step_end_tensor_inputs=both, num_inference_steps=2)
        assert [step for step, *_ in calls] == list(range(6)), "steps count through all frames"
        assert [t for _, t, _ in calls] == [int(t) for t in pipe.scheduler.timesteps] * 3
        assert [sorted(tensors) for *_, tensors in calls] == [sorted(both)] * 6
        assert calls[0][2]["latents"].shape == (2, 4, 8, 8) and calls[5][2]["latents"].shape == (1, 4, 8, 8)
        assert not result[0][2].any() and torch.equal(calls[3][2]["latents"][1], result[1][1])
    quiet = []
    draw(pipe, STORY[:1], callback_on_step_end=lambda *args: quiet.append(args))  # returns nothing
    assert len(quiet) == 3 and list(quiet[0][3]) == ["latents"]


BAD_INPUT = [
    ("Bruno waves.", {}, "sentences is 'Bruno waves.'.*list of sentences"),
    ([], {}, r"sentences is \[\].*list of sentences"),
    (None, {}, "sentences is None.*list"),
    ([STORY, []], {}, r"story 1 is \[\].*at least one sentence"),
    ([STORY, "He waves."], {}, "story 1 is 'He waves.'.*list"),
    ([*STORY, " \n"], {}, r"sentence 4 of story 0 is ' \\n'.*not empty"),
    ([STORY, ["Bruno waves.", None]], {}, "sentence 1 of story 1 is None.*string"),
    (["word " * 80], {}, r"sentence 'word word .*has \d+ tokens.*at most 32.*shorten or split"),
    (["Bruno waves.", "word " * 80], {}, r"sentence 'word word .*has \d+ tokens.*at most 32.*shorten or split"),
    (STORY, {"negative_prompt": "word " * 80}, r"word.*has \d+ tokens.*at most 32"),
    (STORY, {"negative_prompt": ["a cat"]}, r"negative_prompt is \['a cat'\].*string"),
    (STORY, {"height": 30}, "height is 30.*divisible by 8"),
    (STORY, {"width": 33}, "width is 33.*divisible by 8"),
    (STORY, {"height": -32}, "height is -32"),
    (STORY, {"num_inference_steps": 0}, "num_inference_steps is 0.*at least 1"),
    (STORY, {"generator": [torch.Generator()] * 2}, "generator is a list of 2; give one, or .*each of the 1 stories"),
    (STORY, {"latents": torch.zeros(1, 3, 4, 8, 8)}, r"latents have the shape \(1, 3, 4, 8, 8\).*\(1, 4, 4, 8, 8\)"),
    (STORY, {"output_type": "pill"}, "output_type is 'pill'.*pil, np, pt, latent"),
    (STORY, {"max_memory_frames": 0}, "max_memory_frames is 0.*at least 1"),
    (STORY, {"callback_on_step_end_tensor_inputs": ("image_latents",)}, "tensor_inputs has .'image_latents'.*latents"),
    ([STORY, STORY], {"frames": [pictures(1)]}, "frames must be.* each of the 2 stories"),
    (STORY, {"frames": [np.zeros((32, 32, 3))]}, "frames of story 0 must be a list of PIL"),
    ([STORY], {"frames": pictures(1)}, "frames of story 0 must be"),
    (STORY, {"frames": pictures(5)}, "frames of story 0 has 5 images.*at most 4"),
    (STORY, {"frames": [*pictures(1), *pictures(1, side=16)]}, r"frames of story 0.*\(32, 32\), \(16, 16\)"),
    (STORY, {"frames": pictures(2, side=16)}, r"frames of story 0.*\(16, 16\).*\(32, 32\)"),
]


@pytest.mark.parametrize("sentences, kwargs, message", BAD_INPUT, ids=[message[:30] for *_, message in BAD_INPUT])
def test_bad_input_is_refused_before_any_work(sentences, kwargs, message, tokenizer, monkeypatch):
    pipe = tiny_pipeline(tokenizer)
    called = []
    monkeypatch.setattr(pipe.unet, "forward", lambda *args, **more: called.append(args))
    monkeypatch.setattr(pipe.unet, "write", lambda *args, **more: called.append(args))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        pipe(sentences, **{"num_inference_steps": 1, **kwargs})
    assert not called


@pytest.fixture(scope="module")
def smallest(tokenizer):
    return tiny_pipeline(tokenizer, size=2, memory_blocks=["mid"])


@settings(max_examples=25, deadline=None)
@given(story=st.lists(st.text(max_size=40), max_size=3))
@example(story=["\u200b", "<|endoftext|> <|startoftext|>", "¡Ünïcödé 漢字 🐸!"])
@example(story=["a" * 5000])
@example(story=["Bruno waves.", "a" * 500])
@example(story=["\u3000"])
def test_wild_sentences(story, smallest):
    """Any text is drawn, or refused with a ValueError that says why."""
    empty = not story or any(not sentence.strip() for sentence in story)
    lengths = [] if empty else [len(smallest.tokenizer(sentence).input_ids) for sentence in story]
    if empty or max(lengths) > 32:
        with pytest.raises(ValueError, match=r"not empty|list of sentences|tokens; this text encoder reads at most 32"):
            smallest(story, num_inference_steps=1)
    else:
        latents = draw(smallest, story, num_inference_steps=1)
        assert latents.shape == (len(story), 4, 2, 2) and latents.isfinite().all()


def test_half_precision_runs(tokenizer):
    pipe = tiny_pipeline(tokenizer).to(torch.bfloat16)
    output = pipe(STORY[:2], num_inference_steps=1, output_type="np", frames=pictures(1), return_memory_weights=True)
    assert np.isfinite(output.frames[0]).all() and output.memory_weights[0][1, 0] > 0
    assert pipe.unet.dtype == torch.bfloat16 and WIDTH == pipe.unet.config.cross_attention_dim
