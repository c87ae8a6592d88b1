"""The arguments of a call, as Stable Diffusion has them, on tiny models; and a fuzz of all of them: drawn, or refused with a ValueError before work.

pytest tests/test_pipeline_arguments.py                     # 200 examples a pipeline
pytest tests/test_pipeline_arguments.py -m slow             # 2,000
"""

from __future__ import annotations

import inspect

import diffusers
import numpy as np
import pytest
import torch
from conftest import STORY, WIDTH, as_trained, tiny_pipeline
from diffusers import DDIMScheduler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_diffusers_conventions import TINY, draw, pictures, seeded, stable_diffusion, story_of

from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel


@pytest.mark.parametrize(
    "arguments", [{"eta": 0.7}, {"guidance_rescale": 0.7}, {"clip_skip": 1}, {"num_inference_steps": 5, "negative_prompt": "a cat", "clip_skip": 2}]
)
def test_arguments_mean_what_they_mean_in_stable_diffusion(arguments, tokenizer):
    """The first frame, to the bit."""
    sd = stable_diffusion(tokenizer, layers=2)
    sd.text_encoder.__dict__.setdefault("text_model", sd.text_encoder)  # where this diffusers looks for the last layer norm
    call = {"num_inference_steps": 3, "guidance_scale": 5.0, "output_type": "np", **arguments}
    expected = sd(STORY[0], generator=seeded(), **call).images[0]
    np.testing.assert_array_equal(story_of(sd)(STORY[:2], generator=seeded(), **call).frames[0][0], expected)
    plain = {name: call[name] for name in ("guidance_scale", "output_type", "num_inference_steps")}
    assert not np.array_equal(sd(STORY[0], generator=seeded(), **plain).images[0], expected)


def test_own_timesteps_and_sigmas(tokenizer):
    pipe = tiny_pipeline(tokenizer, scheduler=diffusers.EulerDiscreteScheduler(prediction_type="v_prediction"))
    pipe.scheduler.set_timesteps(3)
    times = [int(t) for t in pipe.scheduler.timesteps]
    steps = []
    draw(pipe, STORY[:1], timesteps=times, callback_on_step_end=lambda pipe, step, t, _: steps.append(int(t)))
    assert steps == times
    torch.testing.assert_close(draw(pipe, sigmas=[10.0, 1.0]), draw(pipe, sigmas=[10.0, 1.0]))


def test_several_drawings_of_a_story(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    generators = [seeded(n) for n in range(4)]
    call = {"num_inference_steps": 2, "output_type": "latent"}
    found = pipe([STORY, STORY[:2]], num_images_per_prompt=2, generator=generators, **call).frames
    assert [len(story) for story in found] == [4, 4, 2, 2]
    for n, story in enumerate((STORY, STORY, STORY[:2], STORY[:2])):
        torch.testing.assert_close(found[n], pipe(story, generator=seeded(n), **call).frames[0], atol=2e-5, rtol=1e-4)
    assert len(pipe(STORY, num_images_per_prompt=3, frames=pictures(1), **call).frames) == 3


def test_embeddings_instead_of_sentences(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    embeds = dict(zip(names, pipe.encode_prompt(STORY, "a cat"), strict=True))
    assert [tuple(embeds[name].shape) for name in names] == [(1, 4, 32, WIDTH), (32, WIDTH), (1, 4, WIDTH), (WIDTH,)]
    assert torch.equal(draw(pipe, None, **embeds), draw(pipe, negative_prompt="a cat"))
    assert len(pipe(**embeds, num_images_per_prompt=2, num_inference_steps=1).frames) == 2
    half = {name: embeds[name] for name in names[:1]}
    for arguments, message in (
        (half, "pooled_prompt_embeds is None; it must be a tensor"),
        ({"sentences": STORY, **embeds}, "sentences and prompt_embeds are both given"),
        ({**embeds, "negative_prompt": "a cat"}, "negative_prompt and negative_prompt_embeds are both given"),
        ({**embeds, "prompt_embeds": embeds[names[0]][0]}, r"prompt_embeds have the shape \(4, 32, 8\)"),
        ({**embeds, "negative_prompt_embeds": torch.zeros(3, WIDTH)}, r"negative_prompt_embeds have the shape \(3, 8\), those of the sentences"),
        ({**embeds, "clip_skip": 1}, "clip_skip is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            pipe(num_inference_steps=1, **arguments)


def test_the_scale_of_loras(tokenizer):
    from peft import LoraConfig

    pipe = story_of(stable_diffusion(tokenizer))
    pipe.register_modules(unet=StoryUNet2DConditionModel.from_unet(pipe.unet, memory_heads=2))
    as_trained(pipe.unet.memory_layers)
    plain = draw(pipe)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    assert not torch.allclose(draw(pipe), plain, atol=1e-3)
    torch.testing.assert_close(draw(pipe, cross_attention_kwargs={"scale": 0.0}), plain)


REFUSED = [
    ({"prompt": "a cat"}, "prompt is not an argument of this pipeline: it is called `sentences`"),
    ({"ip_adapter_image": pictures(1)[0]}, "ip_adapter_image is given, and no IP-Adapter is loaded"),
    ({"callback": print}, "callback is not an argument.*callback_on_step_end"),
    ({"eta": 0.5, "scheduler": diffusers.EulerDiscreteScheduler}, "eta is 0.5, and EulerDiscreteScheduler takes none"),
    ({"sigmas": [1.0]}, "sigmas is given, and DDIMScheduler takes none"),
    ({"timesteps": [1, 5]}, r"timesteps is \[1, 5\]; each must be below the one before"),
    ({"guidance_scale": "2"}, "guidance_scale is .2.; it must be a number"),
    ({"guidance_scale": float("nan")}, "guidance_scale is nan; it must be a number"),
    ({"memory_guidance_scale": "2"}, "memory_guidance_scale is '2'; it must be a number"),
    ({"generator": 0}, "generator is 0; it must be a torch.Generator"),
    ({"height": 0}, "height is 0; it must be a whole number, at least 1"),
    ({"width": 32.0}, "width is 32.0; it must be a whole number"),
    ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5; it must be a whole number, at least 1 and at most 1,000"),
    ({"num_inference_steps": True}, "num_inference_steps is True"),
    ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
    ({"memory_dtype": "bfloat16"}, "memory_dtype is 'bfloat16'; it must be torch.float16, torch.bfloat16 or torch.float32, or None"),
    ({"max_memory_frames": "2"}, "max_memory_frames is '2'; it must be a whole number"),
    ({"latents": [1.0]}, r"latents is \[1.0\]; it must be a tensor"),
    ({"latents": torch.full((1, 4, 4, 8, 8), torch.nan)}, "latents have numbers that are infinite or not a number"),
    ({"output_type": ["pil"]}, r"output_type is \['pil'\]; it must be one of"),
    ({"return_dict": None}, "return_dict is None; it must be True or False"),
    ({"negative_prompt": "\ud800"}, "negative_prompt is .*half of a character"),
    ({"sentences": ["He waves \udfff."]}, "sentence 0 of story 0 is .*half of a character"),
    ({"callback_on_step_end": 1}, "callback_on_step_end is 1; it must be a function"),
    ({"cross_attention_kwargs": 1}, "cross_attention_kwargs is 1; it must be a dict"),
    ({"clip_skip": 99}, "clip_skip is 99; it must be a number from 0 to 1"),
]


@pytest.mark.parametrize("arguments, message", REFUSED, ids=[message[:25] for _, message in REFUSED])
def test_refused_by_name_before_any_work(arguments, message, tokenizer, monkeypatch):
    arguments = {"sentences": STORY, "num_inference_steps": 1, **arguments}
    pipe = tiny_pipeline(tokenizer, scheduler=arguments.pop("scheduler", DDIMScheduler)())
    for part in (pipe.unet, pipe.text_encoder):
        monkeypatch.setattr(part, "forward", lambda *args, **more: pytest.fail("work"))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        pipe(**arguments)


def test_what_cannot_be_loaded_says_so(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    with pytest.raises(ValueError, match=r"word.pt may be a pickle; a textual inversion is a"):
        pipe.load_textual_inversion("word.pt")
    with pytest.raises(ValueError, match=r"weight_name is 'ip-adapter_sd15.bin', which may be a pickle; it must be a .safetensors file"):
        pipe.load_ip_adapter("folder", "models", "ip-adapter_sd15.bin")
    with pytest.raises(TypeError, match="promt is not an argument"):
        pipe(STORY, promt="a cat")


# any value of any argument

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just("\ud800"),
    st.lists(st.one_of(st.integers(-2, 1200), st.floats(), st.text(max_size=3)), max_size=3),
    st.sampled_from(
        [torch.zeros(0), torch.zeros(1, 1, 4, 2, 2), torch.zeros(1, 32, WIDTH), torch.ones(1, dtype=torch.int64), {}, {"scale": 1}, b"x"]
    ),
    st.sampled_from([print, torch.Generator(), [torch.Generator()], pictures(1, 8), np.zeros(3), np.float32(1), np.int64(2)]),
)
STORIES = st.one_of(ODD, st.lists(st.text(max_size=6), min_size=1, max_size=2), st.just(["He waves."]), st.just([["He waves."], ["She sits."]]))


@pytest.fixture(scope="module")
def smallest(tokenizer):
    pipes = {kind: make(tokenizer, **({"size": 2, "memory_blocks": ["mid"]} if kind == "ldm" else {})) for kind, make in TINY.items()}
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    return pipes


def any_arguments(kind: str) -> st.SearchStrategy[dict]:
    """A few arguments with odd values, the others as they are."""
    names = [name for name in inspect.signature(tiny_kind(kind).__call__).parameters if name not in ("self", "sentences", "refused")]
    return st.dictionaries(st.sampled_from(names), ODD, max_size=2)


def tiny_kind(kind: str) -> type:
    from story_ldm import pipelines

    return getattr(pipelines, {"ldm": "StoryLDMPipeline", "story-gan": "StoryGANPipeline", "dynamic": "DynamicBlockGANPipeline"}[kind])


def drawn_or_refused(pipe, sentences, arguments) -> None:
    small = {"num_inference_steps": 1} if "num_inference_steps" in inspect.signature(type(pipe).__call__).parameters else {}
    counts = [arguments.get(name) for name in ("height", "width", "num_inference_steps", "num_images_per_prompt")]
    size = max((count for count in counts if isinstance(count, int)), default=0)
    if size > 64:
        return  # right, but much work
    try:
        pipe(sentences, **{**small, **arguments})
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("examples", [200, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", TINY)
def test_any_argument_is_taken_or_refused(kind, examples, smallest):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STORIES, any_arguments(kind))
    def fuzz(sentences, arguments):
        drawn_or_refused(smallest[kind], sentences, arguments)

    fuzz()
