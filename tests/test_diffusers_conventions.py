"""What users of diffusers rely on, on tiny models: hub names, offloading, switching pipelines, other autoencoders, LoRAs by block and
compiling. The arguments of a call: `test_pipeline_arguments.py`; its callbacks: `test_callbacks.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from conftest import STORY, WIDTH, as_trained, calls_seen_by_hooks, tiny_pipeline, tiny_unet, tiny_vae
from diffusers import (
    AsymmetricAutoencoderKL,
    AutoencoderTiny,
    ConsistencyDecoderVAE,
    DDIMScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.hooks import HookRegistry, ModelHook
from PIL import Image
from test_dynamic_block_gan import tiny_pipeline as tiny_dynamic_block_gan
from test_story_gan_pipeline import tiny_pipeline as tiny_story_gan

from story_ldm.encoders.latents import decode_latents, encode_frames
from story_ldm.encoders.sentences import new_text_encoder
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.building import open_start
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

TINY = {"ldm": tiny_pipeline, "story-gan": tiny_story_gan, "dynamic": tiny_dynamic_block_gan}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(pipe, sentences=STORY, **kwargs) -> torch.Tensor:
    return pipe(sentences, **{"num_inference_steps": 3, "output_type": "latent", "generator": seeded(), **kwargs}).frames[0]


def pictures(count: int, side: int = 32) -> list[Image.Image]:
    return [Image.fromarray(x) for x in np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)]


def stable_diffusion(tokenizer, layers: int = 1, scheduler=None) -> StableDiffusionPipeline:
    config = {k: v for k, v in tiny_unet().config.items() if not k.startswith(("_", "memory", "class_embed", "projection"))}
    torch.manual_seed(0)
    encoder = new_text_encoder(tokenizer, WIDTH, layers=layers, heads=2).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    pipe = StableDiffusionPipeline(
        vae=tiny_vae(1),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**config).eval(),
        scheduler=scheduler or DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def story_of(sd: StableDiffusionPipeline) -> StoryLDMPipeline:
    pipe = StoryLDMPipeline.from_pipe(sd)
    pipe.set_progress_bar_config(disable=True)
    return pipe


# the hub: a local cache in the layout that huggingface_hub has, without a network


def published(save, cache: Path, name: str) -> None:
    """Saves into the hub's cache, as if it had been downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    save(folder / "snapshots" / ("a" * 40))


@pytest.mark.parametrize("kind", TINY)
def test_pipelines_open_by_their_names_on_the_hub(kind, tokenizer, tmp_path):
    pipe = TINY[kind](tokenizer)
    published(pipe.save_pretrained, tmp_path, "owner/toon")
    opened = type(pipe).from_pretrained("owner/toon", cache_dir=tmp_path)
    first, second = (next(iter(p.components["unet" if kind == "ldm" else "text_encoder"].parameters())) for p in (pipe, opened))
    assert type(opened) is type(pipe) and torch.equal(first, second)
    with pytest.raises(OSError, match="owner/other is neither a folder nor a pipeline"):
        type(pipe).from_pretrained("owner/other", cache_dir=tmp_path)


def test_adapters_open_by_their_names_on_the_hub(tokenizer, tmp_path):
    pipe = story_of(stable_diffusion(tokenizer))
    plain = draw(pipe)
    unet = StoryUNet2DConditionModel.from_unet(pipe.unet, memory_heads=2)
    pipe.register_modules(unet=unet)
    as_trained(unet.memory_layers)
    published(pipe.save_memory_adapter, tmp_path, "owner/adapter")
    expected = draw(pipe)
    other = story_of(stable_diffusion(tokenizer))
    other.load_memory_adapter("owner/adapter", cache_dir=tmp_path)
    torch.testing.assert_close(draw(other), expected)
    assert not torch.equal(expected[1:], plain[1:])
    with pytest.raises(OSError, match="owner/other is neither a folder nor a memory adapter that can be read from the Hugging Face hub"):
        other.load_memory_adapter("owner/other", cache_dir=tmp_path)


# offloading: on a CPU, by the same hooks


@pytest.mark.parametrize("how", ["sequential", "block_level", "leaf_level"])
@pytest.mark.parametrize("kind", TINY)
def test_offloaded(kind, how, tokenizer):
    """Weights that lie elsewhere between calls are there in every entry: also recurrent layers', and those of `write` and `recall`."""
    call = {"output_type": "pt", **({"num_inference_steps": 2, "frames": pictures(1), "max_memory_frames": 1} if kind == "ldm" else {})}
    expected = TINY[kind](tokenizer)(STORY, generator=seeded(), **call).frames[0]
    pipe = TINY[kind](tokenizer)
    if how == "sequential":  # what enable_sequential_cpu_offload does; weights lie on "meta"
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                cpu_offload(part, torch.device("cpu"), offload_buffers=True)
    else:
        model = pipe.components[{"ldm": "unet", "story-gan": "story_gan", "dynamic": "dynamic_block_gan"}[kind]]
        model.enable_group_offload(torch.device("cpu"), torch.device("cpu"), offload_type=how, num_blocks_per_group=1)
    torch.testing.assert_close(pipe(STORY, generator=seeded(), **call).frames[0], expected)


@pytest.mark.parametrize("hooks", ["accelerate", "diffusers"])
def test_writing_and_recalling_reach_the_hooks(hooks, tokenizer):
    """Model offload, and group offload by blocks: both move the UNet's own layers when it is called."""
    pipe, moved = tiny_pipeline(tokenizer), []
    if hooks == "accelerate":
        moved = calls_seen_by_hooks(pipe.unet)
    else:

        class Hook(ModelHook):
            def pre_forward(self, module, *args, **kwargs):
                moved.append(module)
                return args, kwargs

        HookRegistry.check_if_exists_or_initialize(pipe.unet).register_hook(Hook(), "seen")
    draw(pipe, STORY[:3], frames=pictures(1), num_inference_steps=1, max_memory_frames=1)
    assert len(moved) == 2 + 2 + 2 + 2  # frames drawn, frames written, frames recalled for, frames whose memory is prepared


# other pipelines and parts


def test_from_stable_diffusion_and_back(tokenizer):
    sd = stable_diffusion(tokenizer)
    expected = sd(STORY[0], num_inference_steps=3, output_type="np", generator=seeded()).images[0]
    pipe = story_of(sd)
    assert pipe.vae is sd.vae and pipe.text_encoder is sd.text_encoder and pipe.unet.dtype == sd.unet.dtype
    np.testing.assert_array_equal(draw(pipe, guidance_scale=7.5, output_type="np")[0], expected)
    back = pipe.to_stable_diffusion()
    back.set_progress_bar_config(disable=True)
    assert type(back.unet) is UNet2DConditionModel and back.unet.conv_in.weight.data_ptr() == pipe.unet.conv_in.weight.data_ptr()
    np.testing.assert_array_equal(back(STORY[0], num_inference_steps=3, output_type="np", generator=seeded()).images[0], expected)
    again = StoryLDMPipeline.from_pipe(pipe, scheduler=DDIMScheduler())
    assert again.unet is pipe.unet and again.scheduler is not pipe.scheduler
    with pytest.raises(ValueError, match="is not made from a Stable Diffusion"):
        tiny_pipeline(tokenizer).to_stable_diffusion()


OTHER_VAES = {
    "tiny": lambda: AutoencoderTiny(
        encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1)
    ),
    "asymmetric": lambda: AsymmetricAutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        down_block_out_channels=(4, 8),
        up_block_types=("UpDecoderBlock2D",) * 2,
        up_block_out_channels=(4, 8),
        norm_num_groups=2,
    ),
    "consistency": lambda: ConsistencyDecoderVAE(
        encoder_block_out_channels=(4, 8),
        encoder_down_block_types=("DownEncoderBlock2D",) * 2,
        encoder_norm_num_groups=2,
        decoder_block_out_channels=(4, 8),
        decoder_down_block_types=("ResnetDownsampleBlock2D",) * 2,
        decoder_up_block_types=("ResnetUpsampleBlock2D",) * 2,
        decoder_layers_per_block=1,
        decoder_norm_num_groups=2,
        scaling_factor=0.5,
    ),
    "vq": lambda: VQModel(block_out_channels=(8,), latent_channels=4, norm_num_groups=2, num_vq_embeddings=16),
}


@pytest.mark.parametrize("kind", OTHER_VAES)
def test_other_autoencoders(kind, tokenizer, tmp_path):
    """With their own scale: a frame encoded and decoded here is what the autoencoder makes of it; drawn, given frames, saved and opened."""
    torch.manual_seed(0)
    vae = OTHER_VAES[kind]().eval()
    frames = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        encoded = vae.encode(frames)
        raw = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        torch.testing.assert_close(encode_frames(vae, frames), raw * vae.config.scaling_factor)
        drawn = {"generator": seeded()} if kind == "consistency" else {}  # its decoder draws noise: the same for every frame
        torch.testing.assert_close(decode_latents(vae, raw * vae.config.scaling_factor), vae.decode(raw, **drawn).sample.clamp(-1, 1))
    pipe = tiny_pipeline(tokenizer)
    pipe.register_modules(vae=vae)
    side = 8 if kind == "vq" else 16
    found = draw(pipe, output_type="pt", frames=pictures(1, side))
    assert found.shape == (4, 3, side, side) and found.isfinite().all()
    pipe.save_pretrained(tmp_path)
    opened = StoryLDMPipeline.from_pretrained(tmp_path)
    opened.set_progress_bar_config(disable=True)
    torch.testing.assert_close(draw(opened, output_type="pt", frames=pictures(1, side)), found)


@pytest.mark.parametrize("kind", ["Stable Diffusion", "language memory"])
def test_sentences_read_and_frames_drawn_by_two_pipelines(kind, tokenizer, tmp_path):
    """As in diffusers: one has only what reads sentences, the other, which may have been saved so, all but that."""
    pipe = tiny_pipeline(tokenizer) if kind == "language memory" else story_of(stable_diffusion(tokenizer))
    expected = draw(pipe, guidance_scale=3.0)
    text = ("text_encoder", "tokenizer", "language_memory", "reader", "text_encoder_2", "tokenizer_2")
    reading = StoryLDMPipeline(**{name: part if name in text else None for name, part in pipe.components.items()})
    drawing = StoryLDMPipeline(**{name: None if name in text else part for name, part in pipe.components.items()})
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    embeds = dict(zip(names, reading.encode_prompt(STORY), strict=True))
    drawing.save_pretrained(tmp_path)
    opened = StoryLDMPipeline.from_pretrained(tmp_path)
    for each in (drawing, opened):
        each.set_progress_bar_config(disable=True)
        torch.testing.assert_close(draw(each, None, guidance_scale=3.0, **embeds), expected)
    assert drawing.call_defaults() == pipe.call_defaults()
    with pytest.raises(ValueError, match="this pipeline has no unet: it can encode sentences"):
        reading(STORY)
    with pytest.raises(ValueError, match="nothing here reads sentences: give prompt_embeds and negative_prompt_embeds"):
        drawing(STORY)


def test_a_distilled_unet_reads_the_guidance(tokenizer, tmp_path):
    """LCM: one row a frame, and the guidance embedded, as in diffusers' own pipeline."""
    sd = stable_diffusion(tokenizer, scheduler=LCMScheduler())
    torch.manual_seed(0)
    sd.register_modules(unet=UNet2DConditionModel(**{**sd.unet.config, "time_cond_proj_dim": 8}).eval())
    pipe, rows = story_of(sd), []
    pipe.unet.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    found = draw(pipe, STORY[:1], guidance_scale=8.0, output_type="np")
    call = {"num_inference_steps": 3, "output_type": "np", "generator": seeded()}
    np.testing.assert_array_equal(found, sd(STORY[0], guidance_scale=8.0, **call).images)
    assert rows == [1] * 3 and not pipe.do_classifier_free_guidance
    assert not np.array_equal(found, draw(pipe, STORY[:1], guidance_scale=2.0, output_type="np"))
    with pytest.raises(ValueError, match="memory_guidance_scale is given; this UNet is distilled"):
        draw(pipe, memory_guidance_scale=2.0)
    sd.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"the UNet of .* is distilled \(LCM\), which draws and is not trained here"):
        open_start(tmp_path)


def test_lora_weights_by_block(tokenizer):
    """As in the Stable Diffusion itself, to the bit."""
    from peft import LoraConfig

    sd = stable_diffusion(tokenizer)
    pipe, config = story_of(sd), LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    blocks = {"unet": {"down": 0.0, "mid": 0.5, "up": {"block_0": 0.2}}}
    found = {}
    for name, each in (("sd", sd), ("story", pipe)):
        torch.manual_seed(1)
        each.unet.add_adapter(config, "style")
        each.set_adapters("style", adapter_weights=blocks)
        found[name] = [layer.scaling["style"] for layer in each.unet.modules() if hasattr(layer, "scaling")]
    assert found["sd"] == found["story"] and len(set(found["sd"])) == 3


def test_compiled_once(tokenizer):
    """One graph for the UNet, without a break, and no more of them for a longer story."""
    from torch._dynamo.testing import CompileCounter

    story = STORY * 2
    for form in ("spatial", "sentence"):
        torch._dynamo.reset()
        pipe, counter, counts = tiny_pipeline(tokenizer, form), CompileCounter(), []
        expected = draw(pipe, story)
        pipe.unet.compile(fullgraph=True, backend=counter)
        for length in (3, 8):
            found = draw(pipe, story[:length])
            counts.append(counter.frame_count)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
        assert counts[0] == counts[1] <= 3, "without memory, one earlier frame, more earlier frames"


def test_parts_of_other_dtypes(tokenizer, tmp_path):
    tiny_pipeline(tokenizer).save_pretrained(tmp_path)
    pipe = StoryLDMPipeline.from_pretrained(tmp_path, dtype={"unet": torch.bfloat16, "default": torch.float32})
    pipe.set_progress_bar_config(disable=True)
    assert (pipe.unet.dtype, pipe.vae.dtype, pipe.text_encoder.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert draw(pipe, frames=pictures(1)).isfinite().all()


def test_free_u_and_fused_projections(tokenizer):
    sd = stable_diffusion(tokenizer)
    pipe = story_of(sd)
    plain = draw(pipe, output_type="np")
    pipe.fuse_qkv_projections(vae=False)
    np.testing.assert_allclose(draw(pipe, output_type="np"), plain, atol=1e-4)
    pipe.unfuse_qkv_projections(vae=False)
    for each in (pipe, sd):
        each.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    found = draw(pipe, guidance_scale=7.5, output_type="np")[0]
    np.testing.assert_array_equal(found, sd(STORY[0], num_inference_steps=3, output_type="np", generator=seeded()).images[0])
