"""Pictures that guide frames, on tiny models in the published layouts: ControlNet, IP-Adapter and sketches, against diffusers' own pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import STORY, as_trained
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from safetensors.torch import save_file
from test_diffusers_conventions import pictures, seeded, stable_diffusion
from test_stable_diffusion_xl import make_xl
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

A, B, C = pictures(3, 16)
DRAWING = {"num_inference_steps": 4, "guidance_scale": 5.0, "output_type": "np"}
FAST = {**DRAWING, "num_inference_steps": 2}
NONE = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


@pytest.fixture(scope="module")
def sd(tokenizer):
    return stable_diffusion(tokenizer)


@pytest.fixture(scope="module")
def xl():
    return make_xl()


def control_net(unet, seed: int = 0) -> ControlNetModel:
    torch.manual_seed(seed)
    return as_trained(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4)).eval(), seed, std=0.1)


def with_memory(sd, **parts) -> StoryLDMPipeline:
    pipe = StoryLDMPipeline.from_stable_diffusion(sd, **parts)
    unet = StoryUNet2DConditionModel.from_unet(pipe.unet, memory="spatial", memory_heads=2)
    as_trained(unet.memory_layers)
    pipe.register_modules(unet=unet)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, sentences=STORY, **settings) -> np.ndarray:
    return pipe(sentences, **{**DRAWING, "generator": seeded(3), **settings}).frames[0]


def fast(pipe, sentences=STORY, **settings) -> np.ndarray:
    return draw(pipe, sentences, **{**FAST, **settings})


def official(kind, sd, *parts, **settings) -> np.ndarray:
    """The first sentence by a pipeline of diffusers with these components."""
    extra = {} if sd.__class__.__name__.startswith("StableDiffusionXL") else NONE
    pipe = kind(**{**{k: v for k, v in sd.components.items() if k not in NONE}, **dict(parts), **extra})
    pipe.set_progress_bar_config(disable=True)
    return pipe(STORY[0], **{**DRAWING, "generator": seeded(3), **settings}).images[0]


def differs(a: np.ndarray, b: np.ndarray) -> list[bool]:
    return [not np.array_equal(x, y) for x, y in zip(a, b, strict=True)]


# ControlNet


@pytest.mark.parametrize("which", ["sd", "xl"])
@pytest.mark.parametrize("guess_mode", [False, True])
def test_frame_0_is_that_of_diffusers_control_net(which, guess_mode, request):
    sd = request.getfixturevalue(which)
    net = control_net(sd.unet)
    settings = {"controlnet_conditioning_scale": 0.7, "control_guidance_end": 0.5, "guess_mode": guess_mode}
    kind = StableDiffusionControlNetPipeline if which == "sd" else StableDiffusionXLControlNetPipeline
    expected = official(kind, sd, ("controlnet", net), image=A, **settings)
    pipe = with_memory(sd, controlnet=net)
    found = draw(pipe, control_image=[A, B, None, A], **settings)
    np.testing.assert_array_equal(found[0], expected)
    assert not np.array_equal(found[0], draw(pipe, STORY[:1])[0])


def test_several_control_nets(sd):
    nets = [control_net(sd.unet, seed) for seed in (0, 1)]
    scales = {"controlnet_conditioning_scale": [0.7, 0.4], "control_guidance_start": [0.0, 0.3]}
    expected = official(StableDiffusionControlNetPipeline, sd, ("controlnet", nets), image=[A, B], **scales)
    pipe = with_memory(sd, controlnet=nets)
    np.testing.assert_array_equal(draw(pipe, STORY[:2], control_image=[(A, B), None], **scales)[0], expected)


def test_control_images_are_causal_and_each_story_has_its_own(sd):
    pipe = with_memory(sd, controlnet=control_net(sd.unet))
    plain = fast(pipe)
    assert differs(fast(pipe, control_image=[None, None, A, None]), plain) == [False, False, True, True]
    assert differs(fast(pipe, control_image=[None, None, A, None], use_memory=False), fast(pipe, use_memory=False)) == [False, False, True, False]
    two = pipe([STORY, STORY[:2]], control_image=[[A, None, B, C], [None, B]], **FAST, generator=[seeded(3), seeded(4)]).frames
    np.testing.assert_allclose(two[0], fast(pipe, control_image=[A, None, B, C]), atol=2e-5)
    np.testing.assert_allclose(two[1], fast(pipe, STORY[:2], control_image=[None, B], generator=seeded(4)), atol=2e-5)
    copies = pipe(STORY[:2], control_image=[A, None], num_images_per_prompt=2, **FAST, generator=[seeded(3), seeded(4)]).frames
    np.testing.assert_allclose(copies[1], fast(pipe, STORY[:2], control_image=[A, None], generator=seeded(4)), atol=2e-5)
    for memory in ("reference", "consistent-attention", "prompt-surgery"):
        found = fast(pipe, memory=memory, control_image=[None, A, A, A])
        assert differs(found, fast(pipe, memory=memory))[1:] == [True] * 3, memory


def test_a_control_net_is_a_component(sd, tmp_path):
    pipe = with_memory(sd, controlnet=control_net(sd.unet))
    expected = fast(pipe, control_image=A)
    pipe.save_pretrained(tmp_path / "one")
    opened = StoryLDMPipeline.from_pretrained(tmp_path / "one")
    opened.set_progress_bar_config(disable=True)
    np.testing.assert_array_equal(fast(opened, control_image=A), expected)
    np.testing.assert_array_equal(fast(StoryLDMPipeline.from_pipe(pipe), control_image=A), expected)


# IP-Adapter


def ip_adapter(folder, unet, seed: int = 0, plus: bool = False) -> dict:
    """A folder in the published layout: weights and the image encoder beside them. Returns the arguments that load it."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder = as_trained(CLIPVisionModelWithProjection(CLIPVisionConfig(**shape, image_size=16, patch_size=8, projection_dim=6)).eval(), seed)
    encoder.save_pretrained(folder / "models" / "image_encoder")
    width = unet.config.cross_attention_dim
    shapes = {"proj.weight": (4 * width, 6), "proj.bias": (4 * width,), "norm.weight": (width,), "norm.bias": (width,)}
    if plus:  # a resampler of the image encoder's last but one states
        shapes = {"latents": (1, 3, 8), "proj_in.weight": (8, 8), "proj_in.bias": (8,), "proj_out.weight": (width, 8), "proj_out.bias": (width,)}
        shapes |= {"norm_out.weight": (width,), "norm_out.bias": (width,)}
        layer = {"0.norm1.weight": (8,), "0.norm1.bias": (8,), "0.norm2.weight": (8,), "0.norm2.bias": (8,), "0.to_q.weight": (64, 8)}
        layer |= {"0.to_kv.weight": (128, 8), "0.to_out.weight": (8, 64), "1.0.weight": (8,), "1.0.bias": (8,), "1.1.weight": (32, 8)}
        shapes |= {f"layers.{i}.{name}": size for i in range(4) for name, size in {**layer, "1.3.weight": (8, 32)}.items()}
    weights = {f"image_proj.{name}": 0.3 * torch.randn(size) for name, size in shapes.items()}
    layers = [name.removesuffix(".processor") for name in unet.attn_processors if name.endswith("attn2.processor")]
    for key, name in enumerate(layers):
        size = unet.get_submodule(name).to_k.out_features
        weights |= {f"ip_adapter.{2 * key + 1}.to_{part}_ip.weight": torch.randn(size, width) for part in "kv"}
    save_file(weights, folder / "models" / "ip-adapter.safetensors")
    return {"pretrained_model_name_or_path_or_dict": str(folder), "subfolder": "models", "weight_name": "ip-adapter.safetensors"}


def with_ip_adapter(pipe, adapter: dict):
    adapter = dict(adapter)
    pipe.load_ip_adapter(adapter.pop("pretrained_model_name_or_path_or_dict"), **adapter)
    pipe.set_ip_adapter_scale([0.8] * len(pipe.unet.encoder_hid_proj.image_projection_layers))
    return pipe


@pytest.mark.parametrize("kind", ["sd", "plus", "xl"])
def test_frame_0_is_that_of_diffusers_ip_adapter(kind, tokenizer, tmp_path):
    sd = make_xl() if kind == "xl" else stable_diffusion(tokenizer)
    adapter = ip_adapter(tmp_path, sd.unet, plus=kind == "plus")
    pipe = with_memory(sd)
    plain = draw(pipe)
    with_ip_adapter(pipe, adapter)
    with_ip_adapter(sd, adapter)
    expected = sd(STORY[0], **DRAWING, generator=seeded(3), ip_adapter_image=A).images[0]
    embeds = sd.prepare_ip_adapter_image_embeds(A, None, torch.device("cpu"), 1, True)
    found = draw(pipe, ip_adapter_image=[A, None, B, A])
    np.testing.assert_array_equal(found[0], expected)
    assert not np.array_equal(found[0], plain[0])
    np.testing.assert_array_equal(draw(pipe, ip_adapter_image_embeds=embeds), draw(pipe, ip_adapter_image=A))
    alone = sd.prepare_ip_adapter_image_embeds(A, None, torch.device("cpu"), 1, False)  # without a negative one, as without guidance
    unguided = draw(pipe, ip_adapter_image=A, guidance_scale=1.0)
    np.testing.assert_array_equal(draw(pipe, ip_adapter_image_embeds=alone, guidance_scale=1.0), unguided)
    with pytest.raises(ValueError, match=r"ip_adapter_image_embeds have the shape \(1, .*; these stories require \(2"):
        draw(pipe, ip_adapter_image_embeds=alone)
    pipe.unload_ip_adapter()
    np.testing.assert_array_equal(draw(pipe), plain)


def test_ip_adapter_images_are_causal_and_each_story_has_its_own(tokenizer, tmp_path):
    """Of several adapters too; embeddings a frame are those of the images; a memory adapter may be loaded afterwards."""
    sd = stable_diffusion(tokenizer)
    adapter = ip_adapter(tmp_path, sd.unet)
    adapter["weight_name"] = [adapter["weight_name"]] * 2
    pipe = with_ip_adapter(with_memory(sd), adapter)
    with_ip_adapter(sd, adapter)
    pipe.set_ip_adapter_scale([0.8, 0.3])
    pairs = [(A, B), None, (B, C), (A, A)]
    found = fast(pipe, ip_adapter_image=pairs)
    assert differs(fast(pipe, ip_adapter_image=[*pairs[:2], (B, A), pairs[3]]), found) == [False, False, True, True]
    two = pipe([STORY, STORY[:2]], ip_adapter_image=[pairs, [(C, C), (A, A)]], **FAST, generator=[seeded(3), seeded(4)]).frames
    np.testing.assert_allclose(two[0], found, atol=2e-5)
    np.testing.assert_allclose(two[1], fast(pipe, STORY[:2], ip_adapter_image=[(C, C), (A, A)], generator=seeded(4)), atol=2e-5)
    embeds = [sd.prepare_ip_adapter_image_embeds(list(pair or (A, A)), None, "cpu", 1, True) for pair in pairs]
    by_frame = [torch.stack([frame[i] for frame in embeds])[None] for i in range(2)]
    for x in by_frame:
        x[:, 1, 1] = x[:, 1, 0]  # no image
    np.testing.assert_array_equal(fast(pipe, ip_adapter_image_embeds=by_frame), found)
    for memory in ("reference", "consistent-attention", "prompt-surgery"):
        assert (
            differs(fast(pipe, memory=memory, ip_adapter_image=[pairs[0]] * 4), fast(pipe, memory=memory, ip_adapter_image=pairs))[1:] == [True] * 3
        )
    pipe.load_memory_adapter(pipe.save_memory_adapter(tmp_path / "memory"))
    np.testing.assert_array_equal(fast(pipe, ip_adapter_image=pairs), found)


# sketches


@pytest.mark.parametrize("kind", [DDIMScheduler, PNDMScheduler, EulerAncestralDiscreteScheduler, HeunDiscreteScheduler, "xl"])
def test_frame_0_is_that_of_diffusers_img2img(kind, sd, xl):
    """With schedulers that are stochastic, call the UNet more often than they have steps, or scale their noise. Not to the last bit, which depends
    on the order of the latents in memory."""
    sd = xl if kind == "xl" else sd
    official_kind = StableDiffusionXLImg2ImgPipeline if kind == "xl" else StableDiffusionImg2ImgPipeline
    scheduler = sd.scheduler if kind == "xl" else kind(**({"skip_prk_steps": True} if kind is PNDMScheduler else {}))
    settings = {"strength": 0.6, "num_inference_steps": 5}
    expected = official(official_kind, sd, ("scheduler", scheduler), image=A, **settings)
    pipe = with_memory(sd)
    pipe.scheduler = scheduler
    found = draw(pipe, STORY[:2], image=[A, None], **settings)
    np.testing.assert_allclose(found[0], expected, atol=2e-5)
    assert np.abs(found - draw(pipe, STORY[:2], num_inference_steps=5)).mean((1, 2, 3)).min() > 1e-3


def test_noise_belongs_to_its_frame_with_sketches_too(sd):
    """A frame that is drawn again after the same frames is the same picture; a sketch changes its own frame and later ones; stories of a batch, of
    which some frames have sketches, are as alone; steps are counted."""
    pipe = with_memory(sd)
    pipe.scheduler = EulerAncestralDiscreteScheduler()
    latent = {"output_type": "latent"}
    for memory in (None, "reference"):
        whole = fast(pipe, image=[None, A, B, C], memory=memory, **latent)
        again = fast(pipe, image=[None, A, B, C], memory=memory, frames=whole[:2], **latent)
        assert torch.equal(again, whole), memory
    plain = fast(pipe)
    assert differs(fast(pipe, image=[None, None, A, None]), plain) == [False, False, True, True]
    assert differs(fast(pipe, image=[None, None, A, None], use_memory=False), fast(pipe, use_memory=False)) == [False, False, True, False]
    two = pipe([STORY, STORY[:2]], image=[[A, None, B, C], [None, B]], **FAST, generator=[seeded(3), seeded(4)]).frames
    np.testing.assert_allclose(two[0], fast(pipe, image=[A, None, B, C]), atol=2e-5)
    np.testing.assert_allclose(two[1], fast(pipe, STORY[:2], image=[None, B], generator=seeded(4)), atol=2e-5)
    calls = []

    def seen(pipe, step, timestep, tensors):
        calls.append((step, pipe.num_timesteps))
        return {}

    draw(pipe, STORY[:2], image=[A, None], strength=0.5, callback_on_step_end=seen)
    assert calls == [(0, 2), (1, 2), (2, 4), (3, 4), (4, 4), (5, 4)]


# what is refused


def test_what_does_not_fit_is_refused_before_any_work(sd, xl, tokenizer, tmp_path, monkeypatch):
    pipe, controlled = with_memory(sd), with_memory(sd, controlnet=control_net(sd.unet))
    several = with_memory(sd, controlnet=MultiControlNetModel([control_net(sd.unet)] * 2))
    wrong = with_memory(sd, controlnet=control_net(xl.unet))
    adapter = ip_adapter(tmp_path, sd.unet)
    adapted = with_ip_adapter(with_memory(sd), adapter)
    replaced = with_ip_adapter(with_memory(sd), adapter)
    replaced.enable_attention_slicing()
    for part in (pipe, controlled, several, wrong, adapted, replaced):
        monkeypatch.setattr(part.unet, "forward", lambda *args, **more: pytest.fail("work"))
    monkeypatch.setattr(sd.text_encoder, "forward", lambda *args, **more: pytest.fail("work"))
    for part, arguments, message in (
        (pipe, {"control_image": A}, "control_image is given, and there is no ControlNet"),
        (controlled, {"control_image": "a.png"}, "control_image is 'a.png'; it must be a PIL image, a list with one"),
        (controlled, {"control_image": [A, B]}, "control_image has 2 pictures for story 0 of 4 frames"),
        (controlled, {"control_image": [A, 1, A, A]}, "control_image of frame 1 of story 0 is 1; it must be a PIL image"),
        (several, {"control_image": A}, "control_image of frame 0 of story 0 has 1 pictures for 2 ControlNets: give a tuple"),
        (controlled, {"control_image": A, "controlnet_conditioning_scale": "1"}, "controlnet_conditioning_scale is '1'; it must be a number"),
        (several, {"control_image": (A, A), "control_guidance_end": [1.0]}, "control_guidance_end is .*a list of one for each of the 2 ControlNets"),
        (controlled, {"control_image": A, "control_guidance_start": 1.0}, "control_guidance_start is 1.0; it must be below control_guidance_end"),
        (controlled, {"control_image": A, "long_sentences": "chunks"}, "long_sentences is 'chunks', and control_image is given"),
        (controlled, {"control_image": A, "guess_mode": 1}, "guess_mode is 1; it must be True or False"),
        (wrong, {"control_image": A}, "cross_attention_dim of the ControlNet is 20, and of the UNet 8: take a ControlNet for this"),
        (pipe, {"ip_adapter_image": A}, "ip_adapter_image is given, and no IP-Adapter is loaded"),
        (adapted, {}, "an IP-Adapter is loaded, and no picture given"),
        (replaced, {"ip_adapter_image": A}, "the IP-Adapter's attention was replaced"),
        (adapted, {"ip_adapter_image": [(A, B)] * 4}, "has 2 pictures for 1 IP-Adapters"),
        (adapted, {"ip_adapter_image_embeds": [torch.zeros(3, 1, 6)]}, r"ip_adapter_image_embeds have the shape \(3, 1, 6\); these stories require"),
        (pipe, {"strength": 0.5}, "strength is 0.5, and image is not given"),
        (pipe, {"image": A, "strength": 0.1}, "strength is 0.1; of 4 steps it leaves none: it must be at least 0.25"),
        (pipe, {"image": A, "strength": 2}, "strength is 2; it must be a number from 0 to 1"),
        (pipe, {"image": [A]}, "image has 1 pictures for story 0 of 4 frames"),
        (pipe, {"image": A, "memory": "consistent-attention"}, "image is given; memory='consistent-attention' draws its anchors together"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(part, **arguments)
    for call in (adapted.to_stable_diffusion, lambda: adapted.save_pretrained(tmp_path / "saved")):
        with pytest.raises(ValueError, match=r"IP-Adapter.*unload_ip_adapter"):
            call()
    pipe.enable_attention_slicing()
    with pytest.raises(ValueError, match=r"attention is sliced.*disable_attention_slicing"):
        with_ip_adapter(pipe, adapter)
    with pytest.raises(ValueError, match=r"weight_name is 'ip-adapter.bin', which may be a pickle"):
        with_ip_adapter(pipe, {**adapter, "weight_name": "ip-adapter.bin"})
