"""Story-LDM on a Stable Diffusion: a folder as diffusers saves it, the memory adapter, LoRAs, training, and what is refused.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, STORY, WIDTH, as_trained, assert_same_training, script, sentences_of, tiny_text_encoder, tiny_unet, tiny_vae
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.sentences import tokenize_stories, train_tokenizer
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.building import open_start
from story_ldm.systems.story_ldm.memory_adapter import ADAPTER, load_memory_adapter, save_memory_adapter
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel
from story_ldm.training.story_batches import draw_batch

train = script("training/train_story_ldm.py")
SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1, "set_alpha_to_one": False}
SCHEDULERS = {  # of Stable Diffusion 1.5 and of 2.1
    "epsilon": PNDMScheduler(skip_prk_steps=True, prediction_type="epsilon", **SCHEDULE),
    "v_prediction": DDIMScheduler(clip_sample=False, prediction_type="v_prediction", **SCHEDULE),
}
SHAPES = {"epsilon": {"attention_head_dim": 2}, "v_prediction": {"attention_head_dim": [2, 4], "use_linear_projection": True}}
LORA = {"target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def write_sd(folder: Path, kind: str, seed: int = 0, **unet_settings) -> Path:
    """A Stable Diffusion of 16 px, saved by diffusers."""
    tokenizer = train_tokenizer((sentence for story in sentences_of(30) for sentence in story), vocab_size=700, max_length=64)
    torch.manual_seed(seed)
    config = {k: v for k, v in tiny_unet().config.items() if not k.startswith(("_", "memory", "class_embed", "projection"))}
    sd = StableDiffusionPipeline(
        vae=tiny_vae(1),
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**{**config, **SHAPES[kind], **unet_settings}),
        scheduler=SCHEDULERS[kind],
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with torch.no_grad():
        for parameter in sd.unet.parameters():
            parameter.add_(0.02 * seed * torch.randn_like(parameter))  # a fine-tune
    sd.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sd")
    return {kind: write_sd(folder / kind, kind) for kind in SCHEDULERS}


def write_adapter(folder: Path, sd: Path, trained: bool = True, language: bool = True, **memory) -> Path:
    unet = StoryUNet2DConditionModel.from_unet(UNet2DConditionModel.from_pretrained(sd / "unet"), **{"memory_heads": 2, **memory})
    language_memory = LanguageMemory(WIDTH, layers=1, heads=2) if language else None
    for part in (unet.memory_layers, language_memory):
        if trained and part is not None:
            as_trained(part)
    return save_memory_adapter(folder, unet, language_memory).parent


def open_story(sd, adapter=None) -> StoryLDMPipeline:
    pipe = StoryLDMPipeline.from_stable_diffusion(sd, memory_adapter=adapter)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def open_plain(sd: Path) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(sd, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def settings_of_drawing() -> dict:
    return {"num_inference_steps": 4, "guidance_scale": 7.5, "negative_prompt": "a cat", "output_type": "np"}


def draw(pipe: StoryLDMPipeline, **kwargs) -> np.ndarray:
    noise = torch.randn(1, len(STORY), 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return pipe(STORY, latents=noise, **settings_of_drawing(), **kwargs).frames[0]


def draw_plain(pipe: StableDiffusionPipeline) -> np.ndarray:
    noise = torch.randn(1, len(STORY), 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return np.stack([pipe(sentence, latents=noise[:, m], **settings_of_drawing()).images[0] for m, sentence in enumerate(STORY)])


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("form", ["spatial", "sentence"])
def test_adapter_at_zero_is_stable_diffusion(kind, form, folders, tmp_path):
    """All frames, to the last bit, with zero memory layers and language memory, and without an adapter."""
    expected = draw_plain(open_plain(folders[kind]))
    zero = write_adapter(tmp_path, folders[kind], trained=False, memory=form)
    for pipe in (open_story(folders[kind], zero), open_story(folders[kind]), open_story(open_plain(folders[kind]), zero)):
        np.testing.assert_array_equal(draw(pipe), expected)


@pytest.mark.parametrize("settings", [{}, {"memory": "sentence", "language": False}, {"memory_blocks": ["mid", "up.0"]}])
def test_saved_and_loaded(settings, folders, tmp_path):
    """The same pictures from a file of its own, also after the whole pipeline was saved; on another fine-tune other pictures."""
    sd = folders["v_prediction"]
    pipe = open_story(sd, write_adapter(tmp_path / "first", sd, **settings))
    expected = draw(pipe)
    plain = draw_plain(open_plain(sd))
    if pipe.language_memory is None:
        np.testing.assert_array_equal(draw(pipe, use_memory=False), plain)
    assert all(not np.array_equal(*pair) for pair in zip(expected[1:], plain[1:], strict=True))
    file = pipe.save_memory_adapter(tmp_path / "second", resolution=16)
    assert file.name == ADAPTER and sorted(f.name for f in file.parent.iterdir()) == ["README.md", ADAPTER]
    card = file.with_name("README.md").read_text()
    assert "| prediction_type | v_prediction |" in card and "| resolution | 16 |" in card and "| cross_attention_dim | 8 |" in card
    np.testing.assert_allclose(draw(open_story(sd, file)), expected, **CLOSE)
    pipe.load_memory_adapter(file.parent)  # in the place of what is there
    np.testing.assert_allclose(draw(pipe), expected, **CLOSE)
    pipe.save_pretrained(tmp_path / "whole", safe_serialization=True)
    whole = StoryLDMPipeline.from_pretrained(tmp_path / "whole")
    whole.set_progress_bar_config(disable=True)
    np.testing.assert_allclose(draw(whole), expected, **CLOSE)
    half = pipe.save_memory_adapter(tmp_path / "half", torch.float16)
    assert half.stat().st_size < 0.7 * file.stat().st_size
    np.testing.assert_allclose(draw(open_story(sd, half)), expected, atol=0.05)
    other = open_story(write_sd(tmp_path / "fine-tune", "v_prediction", seed=1), file)
    assert not np.allclose(draw(other), expected, atol=0.01)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_lora_on_top(kind, folders, tmp_path):
    """A LoRA of the Stable Diffusion changes the first frame as it changes Stable Diffusion's, and no memory layer; taken off, all is as before."""
    sd, plain = folders[kind], open_plain(folders[kind])
    plain.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, **LORA))
    metadata = {k: sorted(v) if isinstance(v, set) else v for k, v in plain.unet.peft_config["default"].to_dict().items()}
    layers = get_peft_model_state_dict(plain.unet)
    plain.save_lora_weights(tmp_path / "named", unet_lora_layers=layers, unet_lora_adapter_metadata=metadata)
    plain.save_lora_weights(tmp_path / "unnamed", unet_lora_layers=layers)
    with pytest.raises(ValueError, match=r"the UNet has the LoRAs .'default'.*must have none"):
        StoryLDMPipeline.from_stable_diffusion(plain)
    adapter = write_adapter(tmp_path, sd, language=False)
    pipe, plain = open_story(sd, adapter), open_plain(sd)
    before, weights = draw(pipe), {name: value.clone() for name, value in pipe.unet.memory_layers.state_dict().items()}
    for name in ("named", "unnamed"):
        plain.load_lora_weights(tmp_path / name)
        pipe.load_lora_weights(tmp_path / name)
        with_lora = draw(pipe)
        np.testing.assert_array_equal(with_lora[0], draw_plain(plain)[0])
        assert all(not np.allclose(*pair, atol=1e-3) for pair in zip(with_lora, before, strict=True))
        pipe.load_memory_adapter(adapter)
        np.testing.assert_array_equal(draw(pipe), with_lora)
        pipe.set_adapters(pipe.get_active_adapters(), 0.0)
        np.testing.assert_allclose(draw(pipe), before, **CLOSE)
        found = pipe.unet.memory_layers.state_dict()
        assert found.keys() == weights.keys() and all(torch.equal(value, found[n]) for n, value in weights.items())
        for each in (pipe, plain):
            each.unload_lora_weights()
        np.testing.assert_array_equal(draw(pipe), before)


def test_a_language_memory_for_its_text_encoder_alone(folders, tmp_path):
    """One from `--text` is taken where it was trained to read this Stable Diffusion's text encoder, and no other."""
    torch.manual_seed(0)
    memory = as_trained(LanguageMemory(WIDTH, layers=1, heads=2))
    memory.save_pretrained(tmp_path / "language_memory")
    preset = {"unet": {"memory_heads": 2}, "language_memory": {"layers": 1}}
    for own in (True, False):
        shutil.copytree(folders["epsilon"] / "text_encoder", tmp_path / "text_encoder", dirs_exist_ok=True)
        if not own:
            weights = load_file(tmp_path / "text_encoder" / "model.safetensors")
            save_file({name: value + 1 for name, value in weights.items()}, tmp_path / "text_encoder" / "model.safetensors")
        s = train.Settings(init_from=folders["epsilon"], text=tmp_path, resolution=16)
        sd = train.open_start(s.init_from)
        model, _ = train.build(s, preset, sd, sd.vae, 16)
        assert torch.equal(model.language_memory.to_out.weight, memory.to_out.weight) == own


def test_the_copied_unet_is_not_kept(folders):
    """860 M parameters of a real one, beside those of the model."""
    s = train.Settings(init_from=folders["epsilon"], train="memory", resolution=16)
    sd = train.open_start(s.init_from)
    plain = weakref.ref(sd.unet)
    train.build(s, {"unet": {"memory_heads": 2}, "language_memory": {"layers": 1}}, sd, sd.vae, 16)
    gc.collect()
    assert plain() is None and sd.unet is None


TRAINED = [("epsilon", "memory", None), ("v_prediction", "memory+lora", None), ("epsilon", "memory+lora", torch.bfloat16)]


@pytest.mark.parametrize("kind, what, dtype", TRAINED)
def test_training_lowers_the_loss_and_leaves_the_rest(kind, what, dtype, folders):
    """The script's own model and noise, one batch over and over; also with frozen weights in half precision under autocast."""
    torch.manual_seed(0)
    s = train.Settings(init_from=folders[kind], train=what, resolution=16)
    sd = train.open_start(s.init_from)
    model, tokenizer = train.build(s, {"unet": {"memory_heads": 2}, "language_memory": {"layers": 1}}, sd, sd.vae, 16)
    train.freeze(model, 2 if what == "memory+lora" else None, dtype)
    model.train()
    scheduler = train.DDPMScheduler.from_config(SCHEDULERS[kind].config)
    ids, mask = tokenize_stories(tokenizer, [STORY, STORY[::-1]])
    one = SimpleNamespace(num_processes=1, process_index=0, device=torch.device("cpu"))
    latents = torch.randn(2, len(STORY), 4, 8, 8)
    draws = {"noise_draws": 2, "memory_noise": 150, "text_dropout": 0, "memory_dropout": 0, "language_dropout": 0.25}
    batch = draw_batch(one, scheduler, 0, 0, latents, ids, mask, torch.ones(latents.shape[:2]), **draws)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
            return train.diffusion_loss(scheduler, model(batch)[0], batch, s.min_snr_gamma)[1]

    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32} and {p.dtype for p in frozen.values()} == {dtype or torch.float32}
    assert all(("memory_layers" in name) or name.startswith("language_memory") or (".lora_" in name and what == "memory+lora") for name in trained)
    assert any(".lora_" in name for name in trained) == (what == "memory+lora")
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
    first = loss().item()
    for _ in range(30):
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss().item() < 0.95 * first
    assert all(p.requires_grad or torch.equal(p, frozen[name]) for name, p in model.named_parameters())


def command(output: Path, sd: Path, cache: Path, what: str, steps: int) -> list:
    argv = ["train_story_ldm.py", "--output", output, "--preset", "tiny", "--limit", 6, "--batch", 2, "--stories", 2 * steps, "--warmup", 2]
    return [*argv, "--log-every", 1, "--init-from", sd, "--train", what, "--cache", cache, "--store", "float32", "--learning-rate", 0.01]


def test_stopped_and_run_again(trainer, folders, tmp_path):
    """The design's invariant 5 with frozen weights, which no checkpoint holds; another base under the same name is refused."""
    sd = shutil.copytree(folders["epsilon"], tmp_path / "base")
    more = ["--checkpoint-every", 2, "--sample-every", 0]
    trainer(*command(tmp_path / "whole", sd, tmp_path, "memory", 8), *more)
    argv = [*command(tmp_path / "run", sd, tmp_path, "memory", 8), *more]
    trainer.kill_at(tmp_path / "run" / "checkpoints" / "step-00000004", *argv)
    log = trainer(*argv)
    assert "resuming from" in log and "step 1 |" not in log
    for name in ("checkpoints/step-00000008/model.safetensors", f"adapter/{ADAPTER}"):
        expected, found = (load_file(tmp_path / run / name) for run in ("whole", "run"))
        assert list(expected) == list(found) and [n for n, value in expected.items() if not torch.equal(found[n], value)] == []
        assert all(n.startswith(("unet.memory_layers", "memory_layers", "language_memory")) for n in found)
    assert not (tmp_path / "run" / "pipeline").exists()
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "| resolution | 16 |" in card and "--train memory" in card and "| prediction | epsilon |" in card and "| trained |" in card
    pipe, plain = open_story(sd, tmp_path / "run" / "adapter"), draw_plain(open_plain(sd))
    assert all(not np.array_equal(*pair) for pair in zip(draw(pipe)[1:], plain[1:], strict=True))

    weights = load_file(sd / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({name: value * 1.01 for name, value in weights.items()}, sd / "unet" / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    trainer.start(*argv)
    assert trainer.wait() != [0] and "its frozen weights are not those that" in trainer.log


def test_two_processes_are_one_with_the_whole_batch(trainer, folders, tmp_path):
    """Invariant 6, where most weights are frozen and have no gradient."""
    runs = []
    for processes in (1, 2):
        run = tmp_path / str(processes)
        trainer(*command(run, folders["epsilon"], tmp_path, "memory+lora", 4), "--sample-every", 0, processes=processes)
        runs.append({f"{file.name}/{name}": value for file in run.glob("adapter/*.safetensors") for name, value in load_file(file).items()})
    assert_same_training(*runs, limit=2e-5)


def test_a_small_adapter(trainer, folders, tmp_path):
    """Memory in chosen blocks alone; others than a finished memory has are refused."""
    sd = folders["epsilon"]
    small = ["--memory-blocks", "down.0", "up.1", "--no-language-memory", "--sample-every", 0]
    trainer(*command(tmp_path / "run", sd, tmp_path, "memory", 3), *small)
    weights = load_file(tmp_path / "run" / "adapter" / ADAPTER)
    assert {name.split(".")[1] for name in weights} == {"down_0", "up_1"} and all(name.startswith("memory_layers") for name in weights)
    assert not np.array_equal(draw(open_story(sd, tmp_path / "run" / "adapter"))[1:], draw_plain(open_plain(sd))[1:])
    trainer(*command(tmp_path / "whole", sd, tmp_path, "all", 1), *small)
    for more, message in (
        (["--memory-blocks", "mid"], "--memory-blocks is mid; the memory layers of .* are in down.0, up.1"),
        (["--memory", "sentence", "--memory-blocks", "down.9"], "memory_blocks is down.9; this UNet has the blocks down.0, down.1, mid"),
    ):
        trainer.start(*command(tmp_path / "other", tmp_path / "whole" / "pipeline", tmp_path, "all", 1), *more)
        assert trainer.wait() == [2] and re.search(message, trainer.log), trainer.log[-2000:]


def test_the_tutorial_says_how_large_adapters_are():
    """In fp16, of Stable Diffusion 1.5's shape."""

    def megabytes(model: torch.nn.Module) -> float:
        return 2 * sum(p.numel() for p in model.parameters()) / 1e6

    preset = PRESETS["sd15"]()
    with torch.device("meta"):
        language = megabytes(LanguageMemory(**preset["language_memory"]))
        six = megabytes(StoryUNet2DConditionModel(**preset["unet"]).memory_layers)
        two = megabytes(StoryUNet2DConditionModel(**preset["unet"] | {"memory_blocks": ["down.0", "down.1"]}).memory_layers)
    page = " ".join((ROOT / "docs" / "tutorials" / "stable_diffusion.md").read_text().split())
    assert f"has {six + language:.0f} MB in fp16, of which the language memory is {language:.0f}; with" in page
    assert f"`--memory-blocks down.0 down.1 --no-language-memory` it has {two:.0f}." in page


@pytest.mark.parametrize("what", ["memory+lora", "all"])
def test_what_training_leaves(what, trainer, folders, tmp_path):
    """LoRA and adapter together, drawn with on the way; and a whole pipeline that keeps its Stable Diffusion's noise schedule."""
    sd = folders["v_prediction"]
    trainer(*command(tmp_path / "run", sd, tmp_path, what, 3), "--sample-every", 2, "--sample-stories", 1)
    assert [file.name for file in (tmp_path / "run" / "samples").iterdir()] == ["step-00000002.png"]
    if what == "all":
        pipe = StoryLDMPipeline.from_pretrained(tmp_path / "run" / "pipeline")
        config = pipe.scheduler.config
        assert (config.beta_schedule, config.beta_end, config.prediction_type) == ("scaled_linear", 0.012, "v_prediction")
    else:
        folder = tmp_path / "run" / "adapter"
        assert sorted(file.name for file in folder.iterdir()) == ["README.md", ADAPTER, "pytorch_lora_weights.safetensors"]
        assert "pipe.load_lora_weights(folder)" in (folder / "README.md").read_text()
        pipe = open_story(sd, folder)
        before = draw(pipe)
        pipe.load_lora_weights(folder)
        assert not np.array_equal(draw(pipe), before)
    pipe.set_progress_bar_config(disable=True)
    assert [frame.size for frame in pipe(STORY, num_inference_steps=2).frames[0]] == [(16, 16)] * 4


def changed(folder: Path, sd: Path, file: str, **fields) -> Path:
    """A copy of a Stable Diffusion with other fields in one of its JSON files."""
    shutil.copytree(sd, folder)
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **fields}))
    return folder


BAD_FOLDERS = [
    ("model_index.json", {"unet": ["story_ldm.systems.story_ldm.unet", "StoryUNet2DConditionModel"]}, "its unet is StoryUNet2D.*it is UNet2D"),
    ("model_index.json", {"text_encoder": ["transformers", "T5EncoderModel"]}, "its text_encoder is T5EncoderModel.*it is CLIPTextModel"),
    ("model_index.json", {"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}, "its text_encoder_2 is CLIP.*it is None"),
    ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "is not a Stable Diffusion XL: its text_encoder_2 is None; in XL it is CLIP"),
    ("unet/config.json", {"in_channels": 9}, "in_channels of the UNet .* is 9; .* it is 4"),
    ("unet/config.json", {"class_embed_type": "projection"}, "class_embed_type of the UNet .* is 'projection'; .* it is None"),
]


@pytest.mark.parametrize("file, fields, message", BAD_FOLDERS, ids=[f"{next(iter(fields))}" for _, fields, _ in BAD_FOLDERS])
def test_what_is_no_stable_diffusion_is_refused(file, fields, message, folders, tmp_path):
    with pytest.raises(ValueError, match=message):
        StoryLDMPipeline.from_stable_diffusion(changed(tmp_path / "bad", folders["epsilon"], file, **fields))


def test_other_refusals(folders, tmp_path):
    """One error that says which field, what it is, and what would be right; the UNet stays as it is."""
    sd = folders["epsilon"]
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=r"is not a Stable Diffusion in diffusers format: it has no model_index\.json"):
            StoryLDMPipeline.from_stable_diffusion(folder)
    pipe = open_story(sd, write_adapter(tmp_path / "good", sd))
    before = draw(pipe)
    wide = write_adapter(tmp_path / "wide", write_sd(tmp_path / "wide-sd", "epsilon", block_out_channels=(8, 24)))
    weights = load_file(tmp_path / "good" / ADAPTER)
    (tmp_path / "text.safetensors").write_text("no tensors here")
    save_file(weights, tmp_path / "bare.safetensors")
    lines = [
        (wide, r"block_out_channels of the UNet is \[8, 16\], and .* is for \[8, 24\]: take a Stable Diffusion with block_out_channels \[8, 24\]"),
        (tmp_path / "nowhere", f"memory_adapter is .*nowhere'; it must be a folder with {ADAPTER}"),
        (tmp_path / "text.safetensors", "is not a memory adapter: it is not a complete safetensors file"),
        (tmp_path / "bare.safetensors", "is not a memory adapter: its metadata have no config"),
    ]
    for adapter, message in lines:
        with pytest.raises(ValueError, match=message):
            pipe.load_memory_adapter(adapter)
    np.testing.assert_array_equal(draw(pipe), before)
    with pytest.raises(ValueError, match="memory of the UNet is 'none'"):
        open_story(sd).save_memory_adapter(tmp_path / "empty")
    with pytest.raises(ValueError, match="--train memory requires --init-from and a memory form; --init-from is None"):
        train.main(train.Settings(output=tmp_path / "run", train="memory"))
    for blocks, memory in (((), "spatial"), (("mid",), "none")):
        with pytest.raises(ValueError, match=rf"--memory-blocks is .* with --memory {memory}; it requires at least one block and a memory form"):
            train.main(train.Settings(output=tmp_path / "run", memory=memory, memory_blocks=blocks))
    sample = changed(tmp_path / "sample", sd, "scheduler/scheduler_config.json", prediction_type="sample")
    with pytest.raises(ValueError, match=r"prediction_type of the scheduler .* is 'sample'; it must be epsilon or v_prediction"):
        open_start(sample)


def test_an_adapter_on_a_plain_story_unet(folders, tmp_path):
    """The function below the pipeline: dtype and mode are the UNet's, and its settings are saved with it."""
    adapter = write_adapter(tmp_path, folders["epsilon"], memory="sentence")
    unet = StoryUNet2DConditionModel.from_unet(UNet2DConditionModel.from_pretrained(folders["epsilon"] / "unet"), "none").to(torch.bfloat16)
    language = load_memory_adapter(adapter, unet)
    assert {p.dtype for model in (unet, language) for p in model.parameters()} == {torch.bfloat16} and not unet.memory_layers.training
    assert unet.config.memory == "sentence" and list(unet.memory_sources) == unet.config.memory_blocks
