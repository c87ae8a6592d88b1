"""Settings of a call that fit a Stable Diffusion: default steps, guidance and size, negative prompts a frame, chunks of long sentences, slicing."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from conftest import STORY, as_trained, tiny_language_memory, tiny_pipeline
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, LCMScheduler, PNDMScheduler, UniPCMultistepScheduler
from test_diffusers_conventions import stable_diffusion, story_of
from test_stable_diffusion_xl import make_xl

from story_ldm.encoders.sentences import tokenize_chunks, tokenize_sentences
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

NOISE = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
FAST = {"num_inference_steps": 2, "output_type": "np", "latents": NOISE}
LONG = "Rosa the rabbit in a red shirt and a blue hat waves to Bruno the bear in the city " * 5


@pytest.fixture(scope="module")
def sd(tokenizer):
    return stable_diffusion(tokenizer)


def with_memory(sd) -> StoryLDMPipeline:
    pipe = story_of(sd)
    unet = StoryUNet2DConditionModel.from_unet(pipe.unet, memory_heads=2)
    as_trained(unet.memory_layers)
    pipe.register_modules(unet=unet)
    return pipe


def draw(pipe, sentences=STORY, **settings) -> np.ndarray:
    return pipe(sentences, **{**FAST, **settings}).frames[0]


def seen(pipe) -> tuple[int, float]:
    """Steps and guidance of a call that gives none."""
    found = []

    def stop(pipe, step, timestep, tensors):
        found.append((pipe.num_timesteps, pipe.guidance_scale))
        pipe._interrupt = True
        return {}

    pipe(STORY[:1], latents=NOISE[:, :1], output_type="latent", callback_on_step_end=stop)
    return found[0]


def test_defaults_fit_the_model(sd, tokenizer):
    """diffusers' own for a Stable Diffusion, by its scheduler; the built-in world's for its models, whatever scheduler they have."""
    pipe = story_of(sd)
    expected = {DDIMScheduler: 50, PNDMScheduler: 51, DPMSolverMultistepScheduler: 25, UniPCMultistepScheduler: 25, LCMScheduler: 4}
    for kind, calls in expected.items():
        pipe.scheduler = kind(**({"skip_prk_steps": True} if kind is PNDMScheduler else {}))
        assert seen(pipe) == (calls, 7.5), kind
    xl = StoryLDMPipeline.from_stable_diffusion(make_xl())
    xl.set_progress_bar_config(disable=True)
    assert seen(xl) == (50, 5.0)
    assert seen(tiny_pipeline(tokenizer)) == (20, 2.0)
    np.testing.assert_array_equal(draw(story_of(sd)), draw(story_of(sd), guidance_scale=7.5))


def test_an_adapter_draws_at_the_size_that_it_was_trained_at(sd, tmp_path):
    file = with_memory(sd).save_memory_adapter(tmp_path / "sized", resolution=24)
    bare = with_memory(sd).save_memory_adapter(tmp_path / "bare")
    sizes = []
    for adapter in (bare, file):
        pipe = story_of(sd)
        pipe.load_memory_adapter(adapter)
        once = {"num_inference_steps": 1, "generator": torch.Generator().manual_seed(0)}
        sizes.append([pipe(STORY[:2], **once, **more).frames[0][1].size for more in ({}, {"height": 16, "width": 32})])
    assert sizes == [[(16, 16), (32, 16)], [(24, 24), (32, 16)]]
    assert sd.unet.config.sample_size == 8, "the Stable Diffusion is as it was"
    assert pipe.to_stable_diffusion().unet.config.sample_size == 8, "and so is the way back"
    assert StoryUNet2DConditionModel.from_config(pipe.unet.config).config.memory_sample_size == 12, "it is saved with the pipeline"
    pipe.load_memory_adapter(bare)
    assert pipe._check_size(None, None, 2) == (16, 16), "the next adapter does not say"


def test_a_negative_prompt_a_frame(sd):
    """Each frame as with its own for all; equal ones are one for all to the last bit; the same in a batch of stories, and for copies."""
    pipe = story_of(sd)
    texts = ["a cat", "a dog", "", "rain"]
    expected = np.stack([draw(pipe, negative_prompt=text)[m] for m, text in enumerate(texts)])
    np.testing.assert_array_equal(draw(pipe, negative_prompt=texts), expected)
    np.testing.assert_array_equal(draw(pipe, negative_prompt=["rain"] * 4), draw(pipe, negative_prompt="rain"))
    two = {"latents": torch.cat([NOISE, NOISE]), "num_inference_steps": 2, "output_type": "np"}
    found = pipe([STORY, STORY[:2]], negative_prompt=[texts, ["rain", "a cat"]], **two).frames
    np.testing.assert_allclose(found[0], expected, atol=2e-5)
    np.testing.assert_allclose(found[1], draw(pipe, STORY[:2], negative_prompt=["rain", "a cat"], latents=NOISE[:, :2]), atol=2e-5)
    copies = pipe(STORY, negative_prompt=texts, num_images_per_prompt=2, **two).frames
    np.testing.assert_allclose(copies[1], expected, atol=2e-5)
    for wrong in (["a cat"], [["a"] * 4] * 2, [1, 2, 3, 4], 7):
        with pytest.raises(ValueError, match=r"negative_prompt is .*; it must be a string, a list with a string for each frame"):
            pipe(STORY, negative_prompt=wrong)


def test_long_sentences_are_refused_or_read_in_chunks(sd, tokenizer):
    """Short ones draw as ever, though others are long; a long one is read to its end; the first chunk is what the text encoder would have cut."""
    pipe = with_memory(sd)
    pipe.register_modules(language_memory=tiny_language_memory())
    before = draw(pipe)
    np.testing.assert_array_equal(draw(pipe, long_sentences="chunks"), before)
    story = [*STORY[:3], LONG]
    with pytest.raises(ValueError, match=r"has \d+ tokens; this text encoder reads at most"):
        draw(pipe, story)
    long = draw(pipe, story, long_sentences="chunks")
    np.testing.assert_allclose(long[:3], before[:3], atol=2e-5)
    other = draw(pipe, [*STORY[:3], LONG + "at night"], long_sentences="chunks")
    np.testing.assert_array_equal(other[:3], long[:3])
    assert not np.allclose(other[3], long[3], atol=1e-3)
    assert not np.allclose(draw(pipe, negative_prompt=LONG, long_sentences="chunks"), before, atol=1e-3)
    for wrong, why in (("skip", "it must be error or chunks"), (True, "it must be error or chunks")):
        with pytest.raises(ValueError, match=why):
            draw(pipe, long_sentences=wrong)


def test_chunks_of_tokens(tokenizer):
    limit = tokenizer.model_max_length
    for sentence, count in (("Rosa waves.", 1), (LONG, -(-(len(tokenizer(LONG).input_ids) - 2) // (limit - 2)))):
        ids, mask = tokenize_chunks(tokenizer, ["Rosa waves.", sentence])
        assert ids.shape == mask.shape == (2, count * limit)
        short, short_mask = tokenize_sentences(tokenizer, ["Rosa waves."])
        assert torch.equal(ids[:1, :limit], short) and torch.equal(mask[:1, :limit], short_mask) and not mask[0, limit:].any()
        words = ids[1][mask[1].bool()]
        kept = words[(words != tokenizer.bos_token_id) & (words != tokenizer.eos_token_id)]
        assert kept.tolist() == tokenizer(sentence).input_ids[1:-1] and mask[1].diff().le(0).all(), "one run of ones: only the last part is not full"
        assert (ids[1].view(count, limit)[:, 0] == tokenizer.bos_token_id).all()


def test_slicing_and_tiling_draw_the_same(sd):
    """Less memory at once, by the methods that diffusers has or had under these names; memory layers and what they read are untouched."""
    pipe = with_memory(sd)
    expected = draw(pipe)
    for switch in ("enable_vae_slicing", "enable_vae_tiling", "enable_attention_slicing"):
        getattr(pipe, switch)()
        np.testing.assert_allclose(draw(pipe), expected, atol=2e-5)
        getattr(pipe, switch.replace("enable", "disable"))()
    np.testing.assert_allclose(draw(pipe), expected, atol=2e-5)
    noise = torch.randn(1, 1, 4, 32, 32, generator=torch.Generator().manual_seed(5))  # larger than a tile of 16 px
    whole = draw(pipe, STORY[:1], latents=noise, height=64, width=64)
    pipe.enable_vae_tiling()
    tiled = draw(pipe, STORY[:1], latents=noise, height=64, width=64)
    pipe.disable_vae_tiling()
    assert not np.array_equal(tiled, whole) and np.abs(tiled - whole).mean() < 0.1


def test_the_extra_step_is_counted(sd):
    """PNDM calls the UNet once more than it has steps: callbacks see every call, and the bar reaches its end."""
    pipe = story_of(sd)
    pipe.scheduler = PNDMScheduler(skip_prk_steps=True)
    calls, bars = [], []

    def seen(pipe, step, timestep, tensors):
        calls.append(step)
        return {}

    pipe.set_progress_bar_config(disable=False, file=io.StringIO())
    progress = pipe.progress_bar
    pipe.progress_bar = lambda *args, **kwargs: bars.append(progress(*args, **kwargs)) or bars[-1]
    draw(pipe, STORY[:2], latents=NOISE[:, :2], num_inference_steps=4, callback_on_step_end=seen)
    assert calls == list(range(2 * 5)) and pipe.num_timesteps == 5
    assert bars[0].n == bars[0].total
