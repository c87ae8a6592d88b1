"""The scripts that train AR-LDM and its history encoder, run as commands: invariants 5 and 6, what they save and take up, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT, STORY, script
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from test_ar_ldm import blip_config
from test_diffusers_conventions import stable_diffusion
from test_sharding import launcher_environment
from test_training import assert_same_rounded
from test_training import command as story_command
from transformers import BertTokenizer, BlipForConditionalGeneration, CLIPTextModel

from story_ldm import ARLDMPipeline, load_stories
from story_ldm.model_folders import open_local
from story_ldm.systems.ar_ldm.history import open_history
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

STEPS, BATCH = 6, 4
NO_GRADIENT = ("k_proj.bias", ".key.bias", ".qkv.bias")  # softmax cancels those of keys out, and Adam amplifies rounding errors


@pytest.fixture(scope="module")
def parts(trainer, tmp_path_factory) -> Path:
    """Autoencoder, text encoder and a warm-started history encoder."""
    folder = tmp_path_factory.mktemp("parts")
    few = ["--stories", 2 * BATCH]
    for kind in ("autoencoder", "language"):
        trainer(*story_command(kind, folder / kind, folder, *few))
    log = trainer(*history(folder, folder / "history"))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories | loss" in log and "validation | full " in log
    return folder


def history(parts: Path, output: Path, *more) -> list:
    argv = ["train_history_encoder.py", "--output", output, "--preset", "tiny", "--text", parts / "language", "--limit", 6, "--batch", BATCH]
    argv += ["--stories", STEPS * BATCH, "--warmup", 2, "--validate-stories", 4, "--workers", 0, "--num-proc", 1]
    return [*argv, "--log-every", 1, *more]


def command(parts: Path, output: Path, *more) -> list:
    """A run of 6 steps over 6 stories of 1, 3 and 5 frames, with a batch of 4 that does not divide 6; frame 4 reads a window of three."""
    argv = [
        "train_ar_ldm.py",
        "--output",
        output,
        "--preset",
        "tiny",
        "--limit",
        6,
        "--batch",
        BATCH,
        "--stories",
        STEPS * BATCH,
        "--lengths",
        5,
        1,
        3,
    ]
    argv += ["--vae", parts / "autoencoder" / "vae", "--text", parts / "language", "--history", parts / "history", "--cache", parts / "cache"]
    argv += ["--history-dropout", 0.1, "--warmup", 2, "--log-every", 1, "--sample-every", 3, "--sample-stories", 1, "--num-proc", 1]
    return [*argv, *more]


@pytest.fixture(scope="module")
def finished(trainer, parts, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("ar-ldm") / "run"
    log = trainer(*command(parts, run))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories | loss" in log and "GFLOPs per story of 3 frames with 2 noise draws each" in log
    assert "step 3 | all/characters " in log and all(f"{part} 0." in log for part in ("unet", "text_encoder", "history_encoder"))
    return run


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    files = [run / "checkpoints" / f"step-{step:08d}" / "model.safetensors", *sorted(run.glob("pipeline/*/*.safetensors"))]
    files += sorted(run.glob("history_encoder/*.safetensors"))
    return {f"{file.relative_to(run)}/{name}": value for file in files for name, value in load_file(file).items()}


def test_a_finished_run_is_a_pipeline(finished, trainer, tmp_path):
    """It loads, has only safetensors, the averaged weights and a card; its UNet is diffusers' own; the scripts take it by its folder."""
    folder = finished / "pipeline"
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl", ".ckpt", ".pth")]
    assert sorted(file.name for file in (finished / "samples").iterdir()) == ["step-00000003.png", "step-00000006.png"]
    card = (folder / "README.md").read_text()
    assert "# AR-LDM tiny" in card and "training/train_ar_ldm.py" in card and "ARLDMPipeline.from_pretrained" in card
    pipe = ARLDMPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.unet) is UNet2DConditionModel and pipe.history_embedding.config.longest == 4
    assert [frame.size for frame in pipe(STORY, num_inference_steps=1).frames[0]] == [(32, 32)] * 4
    trained = load_file(finished / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    assert not torch.equal(pipe.unet.conv_out.weight, trained["unet.conv_out.weight"]), "the finished model has the averaged weights"
    out = tmp_path / "generated"
    argv = ["../evaluation/generate_stories.py", "--model", folder, "--out", out, "--stories", 2, "--batch", 2, "--steps", 1]
    trainer(*argv)
    assert {frame.size for row in load_stories(out, "test", None) for frame in row["frames"]} == {(32, 32)}
    facts = json.loads((out / "generation.json").read_text())
    assert facts["pipeline"] == "ARLDMPipeline" and facts["steps"] == 1 and "memory_form" not in facts and facts["parameters"]["history_encoder"]
    trainer.start(*argv, "--memory-form", "reference")
    assert trainer.wait() == [2] and "--memory-form is a setting of Story-LDM; ARLDMPipeline does not have it" in trainer.log


@pytest.mark.parametrize("kind", ["ar-ldm", "history"])
def test_killed_and_in_two_processes(kind, trainer, parts, finished, tmp_path):
    """Invariants 5 and 6, with stories of several lengths: a killed run ends with the weights of an uninterrupted one, and two processes, in parts of
    one story, train as one."""
    of, expected = (command, weights(finished)) if kind == "ar-ldm" else (history, weights(parts / "history"))
    killed = of(parts, tmp_path / "killed", "--checkpoint-every", 2)
    trainer.kill_at(tmp_path / "killed" / "checkpoints" / "step-00000004", *killed)
    log = trainer(*killed)
    assert "resuming from" in log and "step 1 |" not in log
    actual = weights(tmp_path / "killed")
    assert list(expected) == list(actual) and len(actual) > 20
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []
    trainer(*of(parts, tmp_path / "two", *(["--device-batch", 1] if kind == "ar-ldm" else [])), processes=2)
    both = ({name: value for name, value in run.items() if not name.endswith(NO_GRADIENT)} for run in (expected, weights(tmp_path / "two")))
    assert_same_rounded(*both)


@pytest.mark.slow
def test_a_sharded_run_equals_an_unsharded_one(trainer, parts, finished, tmp_path):
    """FSDP2: two processes with half of each weight, optimizer state and batch draw samples and save an unsharded pipeline with the same weights."""
    log = trainer(*command(parts, tmp_path / "run", "--device-batch", 1), processes=2, env=launcher_environment("fsdp2.yaml"))
    assert f"{STEPS} of {STEPS} steps done" in log and len(list((tmp_path / "run" / "samples").iterdir())) == 2
    expected, actual = (
        {f"{file.parent.name}/{name}": value for file in sorted(run.glob("pipeline/*/*.safetensors")) for name, value in load_file(file).items()}
        for run in (finished, tmp_path / "run")
    )
    assert list(expected) == list(actual) and len(actual) > 100
    for name, value in expected.items():
        if not name.endswith(NO_GRADIENT):
            torch.testing.assert_close(actual[name], value, atol=2e-4, rtol=2e-3, msg=lambda text, name=name: f"{name}: {text}")


def test_starting_from_a_stable_diffusion_and_a_published_blip(trainer, parts, tokenizer, tmp_path):
    """Tiny ones of diffusers and transformers: two steps, with frozen encoders; then the AR-LDM is gone on from, with a longer time embedding."""
    stable_diffusion(tokenizer).save_pretrained(tmp_path / "sd")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.", *(f"##{x}" for x in "abcdefghijklmnopqrstuvwxyz")]
    BlipForConditionalGeneration(blip_config(len(words) + 2, max_position_embeddings=128)).save_pretrained(tmp_path / "blip")
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}, model_max_length=128).save_pretrained(tmp_path / "blip")
    few = ["--stories", 2 * BATCH, "--sample-every", 0, "--store", "float32", "--lengths", 3]
    start = ["--init-from", tmp_path / "sd", "--history", tmp_path / "blip", "--long-sentences", "cut", "--min-snr-gamma", "inf"]
    trainer(*command(parts, tmp_path / "frozen", *few, *start, "--freeze-text", "--freeze-history"))
    pipe = ARLDMPipeline.from_pretrained(tmp_path / "frozen" / "pipeline")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.scheduler.config.prediction_type == "epsilon" and pipe.history_embedding.config.longest == 3
    assert pipe.history_tokenizer.model_max_length == 32 and pipe.history_embedding.config.encoder_token == len(words) + 1
    for own, before in (
        (pipe.text_encoder, open_local(CLIPTextModel, tmp_path / "sd" / "text_encoder")),
        (pipe.history_encoder, open_history(tmp_path / "blip")[0]),
    ):
        trained = own.state_dict()
        same = {name: torch.equal(value, trained[name]) for name, value in before.state_dict().items()}
        assert all(same[name] for name in same if not name.startswith(("itm_head", "vision_proj", "text_proj")))
    assert not torch.equal(pipe.unet.conv_out.weight, stable_diffusion(tokenizer).unet.conv_out.weight)
    assert [frame.size for frame in pipe(["a bear.", "he waves."], num_inference_steps=1).frames[0]] == [(16, 16)] * 2

    again = [*few[:-1], 5, "--init-from", tmp_path / "frozen" / "pipeline", "--longest", 5, "--long-sentences", "cut", "--optimizer", "muon"]
    argv = command(parts, tmp_path / "longer", *again, "--gradient-checkpointing", "--learning-rate", 0, "--text-learning-rate", 0)
    at = argv.index("--history")
    trainer(*argv[:at], *argv[at + 2 :])
    longer = ARLDMPipeline.from_pretrained(tmp_path / "longer" / "pipeline")
    assert longer.history_embedding.config.longest == 5 and longer.scheduler.config.prediction_type == "epsilon"
    assert torch.equal(longer.history_embedding.times.weight[:3], pipe.history_embedding.times.weight)
    assert (
        torch.equal(longer.unet.conv_out.weight, pipe.unet.conv_out.weight)
        and longer.scheduler.config.beta_schedule == pipe.scheduler.config.beta_schedule
    )


def test_starting_from_a_story_ldm(trainer, parts, tmp_path):
    """Its UNet without memory, and its text encoder; a new history encoder."""
    trainer(*story_command("story", tmp_path / "story", parts, "--stories", BATCH, "--sample-every", 0, "--store", "float32"))
    argv = command(
        parts, tmp_path / "run", "--stories", BATCH, "--sample-every", 0, "--store", "float32", "--init-from", tmp_path / "story" / "pipeline"
    )
    at = argv.index("--history")
    trainer(*argv[:at], *argv[at + 2 :], "--learning-rate", 0, "--text-learning-rate", 0)
    pipe = ARLDMPipeline.from_pretrained(tmp_path / "run" / "pipeline")
    before = open_local(StoryUNet2DConditionModel, tmp_path / "story" / "pipeline" / "unet")
    assert any(name.startswith("memory_layers.") for name in before.state_dict())
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in pipe.unet.state_dict().items())


def test_a_warm_started_encoder_is_the_one_that_was_trained(parts):
    blip, tokenizer = open_history(parts / "history")
    trained = load_file(parts / "history" / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    assert all(torch.equal(value, trained[f"history_encoder.{name}"]) for name, value in blip.state_dict().items())
    accuracy = json.loads((parts / "history" / "accuracy.json").read_text())
    assert (
        accuracy["step"] == STEPS
        and set(accuracy["validation"]) == {"full", "referential"}
        and len(tokenizer) + 1 == blip.config.text_config.vocab_size
    )
    assert "train_history_encoder.py" in (parts / "history" / "README.md").read_text()


def test_pairs():
    """The other frame is never the own one; of the same story in about half of the cases; the draws are those of the full batch."""
    pairs = script("training/train_history_encoder.py").drawn_pairs
    lengths = torch.tensor([5, 1, 3, 2])
    story = torch.arange(4).repeat_interleave(lengths)
    seen = set()
    for seed in range(300):
        own, other = pairs(lengths, torch.tensor([2, 0, 1, 3]), 2, torch.Generator().manual_seed(seed))
        assert own.shape == other.shape == (4, 2) and (own != other).all() and (story[own] == torch.tensor([2, 0, 1, 3])[:, None]).all()
        seen |= {*zip(own.flatten().tolist(), other.flatten().tolist(), strict=True)}
    inside = {(a, b) for a, b in seen if story[a] == story[b]}
    assert inside == {(a, b) for a in range(11) for b in range(11) if a != b and story[a] == story[b]}
    assert {(int(story[a]), int(story[b])) for a, b in seen - inside} == {(0, 2), (1, 0), (3, 1), (2, 3)}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--longest", 9), "--longest is 9; it must be at most 5, the frames of the longest story of toonstories"),
        (("--lengths", 1), "whose stories have 1 frame, which reads no history"),
        (("--text-dropout", 2), "--text-dropout is 2.0; it must be a share, from 0 to 1"),
        (("--device-batch", 0), "--device-batch is 0; it must be at least 1"),
        (("--history", ROOT / "checkpoints" / "toon-story-ldm" / "text_encoder"), "a history encoder is one of BlipForImageTextRetrieval"),
        (("--history", ROOT / "nowhere"), "nowhere is not a folder; it must hold a history encoder"),
        (("--longest", 1), "--longest is 1; it must be at least 2"),
        (("--init-from", ROOT / "checkpoints" / "toon-story-ldm"), "cross_attention_dim of the UNet is 192"),
    ],
)
def test_invalid_options(more, message, trainer, parts, tmp_path):
    trainer.start(*command(parts, tmp_path / "run", *more))
    assert trainer.wait() in ([1], [2]) and message in trainer.log and "encoding latents" not in trainer.log


def test_a_changed_setting_is_refused(trainer, parts, finished):
    trainer.start(*command(parts, finished, "--text-dropout", 0.5))
    assert trainer.wait() != [0] and "text_dropout: 0.1 → 0.5" in trainer.log
