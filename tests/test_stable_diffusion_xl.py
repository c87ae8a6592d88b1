"""Story-LDM on a Stable Diffusion XL: a tiny one in the published layout, its memory adapter, LoRAs, training, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import STORY, as_trained, script, sentences_of, tiny_vae
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.sentences import tokenize_stories, train_tokenizer
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.memory_adapter import ADAPTER, save_memory_adapter
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

train = script("training/train_story_ldm.py")
UNET = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "norm_num_groups": 4,
    "cross_attention_dim": 8 + 12,
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 10 + 6 * 4,
}
DRAWING = {"num_inference_steps": 3, "guidance_scale": 5.0, "output_type": "np"}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def make_xl(zeros: bool = True) -> StableDiffusionXLPipeline:
    """A Stable Diffusion XL of 16 px: two tokenizers that pad differently, a second encoder with a projection."""
    stories = [sentence for story in sentences_of(30) for sentence in story]
    tokenizer, second = (train_tokenizer(stories, vocab_size=700, max_length=64) for _ in range(2))
    second.pad_token = "!"
    torch.manual_seed(0)
    shared = {"vocab_size": len(tokenizer), "num_attention_heads": 2, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1}
    encoders = [
        CLIPTextModel(CLIPTextConfig(**shared, hidden_size=8, intermediate_size=16, num_hidden_layers=2, projection_dim=8)),
        CLIPTextModelWithProjection(CLIPTextConfig(**shared, hidden_size=12, intermediate_size=24, num_hidden_layers=3, projection_dim=10)),
    ]
    for encoder in encoders:
        for parameter in encoder.eval().parameters():  # CLIP's initial weights are so small that sentences hardly differ
            torch.nn.init.normal_(parameter, std=0.5)
    schedule = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1, "timestep_spacing": "leading"}
    xl = StableDiffusionXLPipeline(
        vae=tiny_vae(1),
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=tokenizer,
        tokenizer_2=second,
        unet=UNet2DConditionModel(**UNET).eval(),
        scheduler=EulerDiscreteScheduler(**schedule),
        force_zeros_for_empty_prompt=zeros,
        add_watermarker=False,
    )
    return quiet(xl)


@pytest.fixture(scope="module")
def plain() -> StableDiffusionXLPipeline:
    return make_xl()


@pytest.fixture(scope="module")
def xl(plain, tmp_path_factory) -> Path:
    """In the published layout, saved by diffusers."""
    folder = tmp_path_factory.mktemp("xl") / "xl"
    plain.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(plain, tmp_path_factory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapter"), plain)


def write_adapter(folder: Path, plain: StableDiffusionXLPipeline, trained: bool = True) -> Path:
    unet = StoryUNet2DConditionModel.from_unet(plain.unet, memory_heads=2)
    language = LanguageMemory(20, layers=1, heads=4)
    if trained:
        as_trained(unet.memory_layers), as_trained(language)
    return save_memory_adapter(folder, unet, language, resolution=16).parent


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def open_story(xl, adapter: Path | None = None, **settings) -> StoryLDMPipeline:
    return quiet(StoryLDMPipeline.from_stable_diffusion(xl, memory_adapter=adapter, **settings))


def noise() -> torch.Tensor:
    return torch.randn(1, len(STORY), 4, 8, 8, generator=torch.Generator().manual_seed(5))


def draw(pipe: StoryLDMPipeline, **settings) -> np.ndarray:
    return pipe(STORY, **{"latents": noise(), **DRAWING, **settings}).frames[0]


def draw_plain(pipe: StableDiffusionXLPipeline, **settings) -> np.ndarray:
    settings = {"latents": noise(), **DRAWING, **settings}
    given = settings.pop("latents")
    return np.stack([pipe(sentence, latents=given[:, m], **settings).images[0] for m, sentence in enumerate(STORY)])


@pytest.mark.parametrize(
    "settings", [{}, {"negative_prompt": "a cat"}, {"negative_prompt": ""}, {"clip_skip": 1}, {"guidance_scale": 1.0}, {"height": 24, "width": 16}]
)
def test_without_memory_it_is_xl(settings, plain, adapter, tmp_path):
    """All frames to the last bit: without an adapter, with one at zero, and with a trained one that is off; frame 0 also with it."""
    given = torch.randn(1, len(STORY), 4, settings.get("height", 16) // 2, 8, generator=torch.Generator().manual_seed(5))
    settings = {**settings, "latents": given}
    expected = draw_plain(plain, **settings)
    assert len({frame.tobytes() for frame in expected}) == len(STORY)
    np.testing.assert_array_equal(draw(open_story(plain), **settings), expected)
    np.testing.assert_array_equal(draw(open_story(plain, write_adapter(tmp_path, plain, trained=False)), **settings), expected)
    pipe = open_story(plain, adapter)
    found = draw(pipe, **settings)
    pipe.register_modules(language_memory=None)
    np.testing.assert_array_equal(draw(pipe, use_memory=False, **settings), expected)
    np.testing.assert_array_equal(draw(pipe, **settings)[0], expected[0])
    assert all(not np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_folder_opens_as_the_pipeline_in_it(plain, xl, adapter, tmp_path):
    """The published layout, and a whole story pipeline saved from it: the same pictures."""
    pipe = open_story(xl, adapter)
    expected = draw(pipe)
    np.testing.assert_array_equal(draw(open_story(plain, adapter)), expected)
    file = pipe.save_memory_adapter(tmp_path / "second")
    np.testing.assert_array_equal(draw(open_story(plain, file)), expected)
    pipe.save_pretrained(tmp_path / "whole")
    assert {"text_encoder_2", "tokenizer_2"} <= {folder.name for folder in (tmp_path / "whole").iterdir()}
    np.testing.assert_array_equal(draw(quiet(StoryLDMPipeline.from_pretrained(tmp_path / "whole"))), expected)


def test_zeros_for_the_empty_prompt_are_a_setting(plain, tmp_path):
    other = make_xl(zeros=False)
    expected = draw_plain(other)
    pipe = open_story(other)
    np.testing.assert_array_equal(draw(pipe), expected)
    assert not np.array_equal(expected, draw_plain(plain))
    assert StoryLDMPipeline.from_pipe(pipe).config.force_zeros_for_empty_prompt is False
    pipe.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["force_zeros_for_empty_prompt"] is False
    assert StoryLDMPipeline.load_config(tmp_path)["force_zeros_for_empty_prompt"] is False


def test_embeddings_and_the_way_back(plain, adapter):
    for has_memory in (True, False):
        pipe = open_story(plain, adapter if has_memory else None)
        states, negative, pooled, negative_pooled = pipe.encode_prompt(STORY)
        assert pooled.shape == (1, len(STORY), 10 + 20 * has_memory) and not negative.any() and not negative_pooled.any()
        embeds = {"prompt_embeds": states, "negative_prompt_embeds": negative, "pooled_prompt_embeds": pooled}
        embeds["negative_pooled_prompt_embeds"] = negative_pooled
        np.testing.assert_array_equal(pipe(latents=noise(), **DRAWING, **embeds).frames[0], draw(pipe))
        with pytest.raises(ValueError, match=rf"pooled_prompt_embeds have the shape .*require \(1, 4, {10 + 20 * has_memory}\)"):
            pipe(**{**embeds, "pooled_prompt_embeds": pooled[..., :-1]})
    back = quiet(open_story(plain).to_stable_diffusion())
    np.testing.assert_array_equal(draw_plain(back), draw_plain(plain))
    np.testing.assert_array_equal(draw(quiet(StoryLDMPipeline.from_pipe(back))), draw_plain(plain))


def test_lora_on_top(xl, adapter, tmp_path):
    """A LoRA of the UNet and both text encoders changes frame 0 as it changes XL's; switched off, weighted zero or taken off, all is as before."""
    targets = {"unet": ["to_q", "to_k", "to_v", "to_out.0"], "text_encoder": ["q_proj", "v_proj"], "text_encoder_2": ["q_proj", "v_proj"]}
    source = make_xl()
    for part, names in targets.items():
        getattr(source, part).add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=names))
    layers = {f"{part}_lora_layers": get_peft_model_state_dict(getattr(source, part)) for part in targets}
    StoryLDMPipeline.save_lora_weights(tmp_path, **layers)
    plain, pipe = make_xl(), open_story(make_xl(), adapter)
    pipe.register_modules(language_memory=None)
    before, weights = draw(pipe), {name: value.clone() for name, value in pipe.unet.memory_layers.state_dict().items()}
    for each in (plain, pipe):
        each.load_lora_weights(tmp_path)
    assert all(hasattr(getattr(pipe, part), "peft_config") for part in targets)
    with_lora = draw(pipe)
    np.testing.assert_array_equal(with_lora[0], draw_plain(plain)[0])
    assert all(not np.allclose(*pair, atol=1e-3) for pair in zip(with_lora, before, strict=True))
    scale = {"cross_attention_kwargs": {"scale": 0.5}}
    np.testing.assert_array_equal(draw(pipe, **scale)[0], draw_plain(plain, **scale)[0])
    pipe.set_adapters(pipe.get_active_adapters(), 0.0)
    np.testing.assert_allclose(draw(pipe), before, **CLOSE)
    pipe.set_adapters(pipe.get_active_adapters(), 1.0)
    pipe.fuse_lora()
    np.testing.assert_allclose(draw(pipe), with_lora, atol=1e-4)
    pipe.unfuse_lora()
    pipe.unload_lora_weights()
    np.testing.assert_allclose(draw(pipe), before, **CLOSE)
    found = pipe.unet.memory_layers.state_dict()
    assert found.keys() == weights.keys() and all(torch.equal(value, found[name]) for name, value in weights.items())


def test_half_precision_leaves_the_autoencoder_in_full():
    """XL's autoencoder overflows in fp16: as in diffusers it decodes in float32, and is in fp16 again afterwards."""
    plain = make_xl().to(dtype=torch.float16)
    pipe, settings = open_story(plain), {"latents": noise().half(), "num_inference_steps": 1}
    np.testing.assert_array_equal(draw(pipe, **settings), draw_plain(plain, **settings))
    assert pipe.vae.dtype == torch.float16


def command(output: Path, xl: Path, cache: Path, what: str, *more) -> list:
    argv = ["train_story_ldm.py", "--output", output, "--preset", "tiny", "--limit", 6, "--batch", 2, "--stories", 6, "--warmup", 2, *more]
    return [*argv, "--log-every", 1, "--init-from", xl, "--train", what, "--cache", cache, "--store", "float32", "--learning-rate", 0.01]


def test_training_an_adapter(trainer, plain, xl, tmp_path):
    """The command, by which memory and a LoRA are trained and samples drawn; what it leaves opens on the XL, and tells stories."""
    trainer(*command(tmp_path / "run", xl, tmp_path, "memory+lora", "--sample-every", 2, "--sample-stories", 1))
    folder = tmp_path / "run" / "adapter"
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", ADAPTER, "pytorch_lora_weights.safetensors"]
    assert all(name.startswith(("memory_layers", "language_memory")) for name in load_file(folder / ADAPTER))
    pipe = open_story(make_xl(), folder)
    found = draw(pipe)
    assert all(not np.array_equal(*pair) for pair in zip(found[1:], draw_plain(plain)[1:], strict=True))
    pipe.load_lora_weights(folder)
    assert not np.array_equal(draw(pipe), found)


def test_training_all_of_it(trainer, xl, tmp_path):
    """The result is a whole pipeline, with both encoders, from which training goes on."""
    trainer(*command(tmp_path / "run", xl, tmp_path, "all", "--sample-every", 0))
    pipe = quiet(StoryLDMPipeline.from_pretrained(tmp_path / "run" / "pipeline"))
    assert np.isfinite(draw(pipe)).all()
    moved = load_file(tmp_path / "run" / "pipeline" / "text_encoder_2" / "model.safetensors")
    before = load_file(xl / "text_encoder_2" / "model.safetensors")
    assert any(not torch.equal(value, before[name]) for name, value in moved.items())
    trainer(*command(tmp_path / "more", tmp_path / "run" / "pipeline", tmp_path, "memory", "--sample-every", 0))
    assert (tmp_path / "more" / "adapter" / ADAPTER).exists()


def test_training_lowers_the_loss_and_leaves_the_rest(xl):
    """The script's own model and noise, one batch over and over, from states as the cache packs them; frozen weights stay to the last bit."""
    torch.manual_seed(0)
    s = train.Settings(init_from=xl, train="memory", resolution=16)
    sd = train.open_start(s.init_from)
    model, tokenizers = train.build(s, {"unet": {"memory_heads": 2}, "language_memory": {"layers": 1}}, sd, sd.vae, 16)
    train.freeze(model)
    model.train()
    scheduler = train.DDPMScheduler.from_config(sd.scheduler.config)
    ids, mask = tokenize_stories(tokenizers, [STORY, STORY[::-1]])
    assert ids.shape == (*mask.shape, 2) and not torch.equal(ids[..., 0], ids[..., 1])
    packed = model.text_encoder.pack(model.text_encoder(ids.flatten(0, 1))).unflatten(0, ids.shape[:2]).detach()
    one = SimpleNamespace(num_processes=1, process_index=0, device=torch.device("cpu"))
    latents = torch.randn(2, len(STORY), 4, 8, 8)
    draws = {"noise_draws": 2, "memory_noise": 150, "text_dropout": 0, "memory_dropout": 0, "language_dropout": 0.25}
    batches = [
        train.draw_batch(one, scheduler, 1, 0, latents, ids, mask, torch.ones(latents.shape[:2]), states, **draws) for states in (None, packed)
    ]
    torch.testing.assert_close(*(model(replace(batch, use_text=torch.tensor([True, False])))[0] for batch in batches))
    batch = batches[1]
    condition, empty, _ = model.read(batch)
    assert condition.added["time_ids"].tolist() == [[[16, 16, 0, 0, 16, 16]] * 4] * 2 and not empty.states.any()
    assert empty.added["time_ids"].tolist() == [16, 16, 0, 0, 16, 16]

    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, lr=1e-2), []
    for _ in range(30):
        loss = train.diffusion_loss(scheduler, model(batch)[0], batch, s.min_snr_gamma)[1]
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.95 * losses[0]
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)


def test_whatever_is_trained_has_a_gradient(xl):
    """Of both text encoders, of which one is not read to its end: DDP would wait for the rest."""
    s = train.Settings(init_from=xl, resolution=16)
    sd = train.open_start(s.init_from)
    model, tokenizers = train.build(s, {"unet": {"memory_heads": 2}, "language_memory": {"layers": 1}}, sd, sd.vae, 16)
    as_trained(model.unet.memory_layers), as_trained(model.language_memory)
    scheduler = train.DDPMScheduler.from_config(sd.scheduler.config)
    one = SimpleNamespace(num_processes=1, process_index=0, device=torch.device("cpu"))
    draws = {"noise_draws": 1, "memory_noise": 0, "text_dropout": 0, "memory_dropout": 0, "language_dropout": 0}
    latents = torch.randn(1, len(STORY), 4, 8, 8)
    batch = train.draw_batch(one, scheduler, 0, 0, latents, *tokenize_stories(tokenizers, [STORY]), torch.ones(latents.shape[:2]), **draws)
    train.diffusion_loss(scheduler, model(batch)[0], batch, s.min_snr_gamma)[0].backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = [name for name, p in model.text_encoder.named_parameters() if not p.requires_grad]
    assert frozen and all(name.startswith("first.") and (".layers.1." in name or "final_layer_norm" in name) for name in frozen)


def changed(folder: Path, xl: Path, file: str, **fields) -> Path:
    shutil.copytree(xl, folder)
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **fields}))
    return folder


BAD_FOLDERS = {
    "refiner": ("model_index.json", {"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None]}, "is the refiner of a .* XL"),
    "aesthetic score": ("model_index.json", {"requires_aesthetics_score": True}, "is the refiner of a Stable Diffusion XL.*take the base model"),
    "one encoder": ("model_index.json", {"text_encoder_2": [None, None]}, "is not a Stable Diffusion XL: its text_encoder_2 is None; in XL it is"),
    "inpainting": ("unet/config.json", {"in_channels": 9}, "in_channels of the UNet .* is 9; .* it is 4"),
    "no sizes": ("unet/config.json", {"addition_embed_type": "text"}, "addition_embed_type of the UNet .* is 'text'; .* it is 'text_time'"),
    "Playground": ("vae/config.json", {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}, "latents_mean of the autoencoder .* it is None"),
}


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_what_is_no_xl_is_refused(what, xl, tmp_path):
    file, fields, message = BAD_FOLDERS[what]
    with pytest.raises(ValueError, match=message):
        StoryLDMPipeline.from_stable_diffusion(changed(tmp_path / "bad", xl, file, **fields))


def test_open_pipelines_are_refused_alike(plain):
    refiner = StableDiffusionXLPipeline(**{**plain.components, "text_encoder": None, "tokenizer": None}, add_watermarker=False)
    with pytest.raises(ValueError, match="the open pipeline is the refiner"):
        StoryLDMPipeline.from_stable_diffusion(refiner)
    pipe = open_story(plain)
    with pytest.raises(ValueError, match="give both, beside a text_encoder and a tokenizer"):
        StoryLDMPipeline(**{**pipe.components, "tokenizer_2": None})
    with pytest.raises(ValueError, match="clip_skip is 2; it must be a number from 0 to 1"):
        draw(pipe, clip_skip=2)
