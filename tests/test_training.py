"""The three scripts that train Story-LDM, run as commands: invariants 5 and 6 of the design, and that each saves what the next one loads.

Over 350 lines: all tests share the finished runs of one fixture.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, STORY, script
from datasets import Dataset
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from story_ldm import load_stories
from story_ldm.data.toonstories import FEATURES, story_row
from story_ldm.encoders.autoencoder import StoryAutoencoder, open_autoencoder
from story_ldm.encoders.latents import downscale_factor, enlargement
from story_ldm.encoders.sentences import tokenize_stories
from story_ldm.pipelines import StoryLDMPipeline

SCRIPTS = {"autoencoder": "train_autoencoder.py", "language": "train_language_memory.py", "story": "train_story_ldm.py"}
PRODUCTS = {"autoencoder": "vae", "language": "fact_head.safetensors", "story": "pipeline"}
STEPS, BATCH = 12, 4
NO_GRADIENT = ("k_proj.bias", "to_qkv.bias")  # softmax cancels them out, and Adam amplifies the rounding errors of their gradients


def assert_same_rounded(expected: dict[str, torch.Tensor], actual: dict[str, torch.Tensor]) -> None:
    """Stricter than `assert_same_training`, which the GANs use: compares each number, not the mean over a tensor."""
    assert list(expected) == list(actual)
    for name, value in expected.items():
        if not name.endswith(NO_GRADIENT):
            torch.testing.assert_close(actual[name], value, atol=2e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture(scope="module")
def finished(trainer, tmp_path_factory) -> Path:
    """A folder with one complete run of each script."""
    folder = tmp_path_factory.mktemp("finished")
    for kind in SCRIPTS:
        log = trainer(*command(kind, folder / kind, folder))
        assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories | loss" in log and (folder / kind / PRODUCTS[kind]).exists()
    return folder


def command(kind: str, output: Path, finished: Path, *more) -> list:
    """Arguments of a run of 12 steps over 6 stories of the built-in world: eight epochs, with a batch of 4 that does not divide 6."""
    argv = [SCRIPTS[kind], "--output", output, "--preset", "tiny", "--limit", 6, "--batch", BATCH, "--stories", STEPS * BATCH]
    argv += ["--warmup", 2, "--log-every", 1]
    if kind == "language":
        argv += ["--lengths", 5, 3]
    if kind == "story":
        argv += ["--vae", finished / "autoencoder" / "vae", "--text", finished / "language", "--cache", finished / "cache"]
        argv += ["--sample-every", 5, "--sample-stories", 1]
    return [*argv, *more]


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    """Weights of the last checkpoint and of the finished model (the averaged weights, if the script has them)."""
    files = [run / "checkpoints" / f"step-{step:08d}" / "model.safetensors", *run.glob("*/diffusion_pytorch_model.safetensors")]
    files += [*run.glob("pipeline/*/*.safetensors"), *run.glob("*/model.safetensors"), *run.glob("*.safetensors")]
    return {f"{file.relative_to(run)}/{name}": value for file in files for name, value in load_file(file).items()}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_stopped_and_run_again(kind, trainer, finished, tmp_path):
    """Invariant 5: a run that is killed, stopped by --max-minutes and resumed ends with the weights of an uninterrupted one."""
    run = tmp_path / "run"
    argv = command(kind, run, finished, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000004", *argv)
    assert not (run / PRODUCTS[kind]).exists()
    limited = trainer(*argv, "--max-minutes", 1e-9)
    assert "resuming from" in limited and "stories/s" not in limited and (run / PRODUCTS[kind]).exists(), "a stopped run saves a finished model"
    log = trainer(*argv)
    assert "resuming from" in log and "step 1 |" not in log
    expected, actual = weights(finished / kind), weights(run)
    assert list(expected) == list(actual) and len(actual) > 20
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []


@pytest.mark.parametrize("kind", SCRIPTS)
def test_signals_of_a_scheduler(kind, trainer, finished, tmp_path):
    """On SIGTERM or SIGUSR1, a run writes a checkpoint of its current step and exits with code 75."""
    run = tmp_path / "run"
    argv = command(kind, run, finished, "--stories", 40_000, "--checkpoint-every", 3)
    last_step = 0
    for number in (signal.SIGTERM, signal.SIGUSR1):
        (process,) = trainer.start(*argv)
        deadline = time.monotonic() + 120
        while len(trainer.log.split("| ETA")) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process, number)
        assert trainer.wait() == [75], trainer.log[-3000:]
        assert f"{number.name}: checkpoint written; run the same command to resume" in trainer.log
        steps = [int(line.split()[1]) for line in trainer.log.splitlines() if line.startswith("step ")]
        assert (run / "checkpoints" / f"step-{steps[-1]:08d}").exists() and steps[0] == last_step + 1 and not (run / PRODUCTS[kind]).exists()
        last_step = steps[-1]


@pytest.mark.parametrize("kind", SCRIPTS)
def test_two_processes_are_one_with_the_whole_batch(kind, trainer, finished, tmp_path):
    """Invariant 6, in fp32 after 12 steps."""
    trainer(*command(kind, tmp_path / "run", finished), processes=2)
    assert_same_rounded(weights(finished / kind), weights(tmp_path / "run"))


@pytest.mark.parametrize(
    "more", [["--language-dropout", 1], ["--text-dropout", 1], ["--memory-dropout", 1], ["--device-batch", 1], ["--freeze-text-encoder"]]
)
def test_two_processes_with_settings_at_their_ends(more, trainer, finished, tmp_path):
    """A part of the model that no story of a process uses must have gradients in that process nevertheless."""
    options = ["--stories", 3 * BATCH, "--sample-every", 0, *more]
    trainer(*command("story", tmp_path / "two", finished, *options), processes=2)
    one_pass = options[:-2] if "--device-batch" in more else options  # a step of several passes equals a step of one
    trainer(*command("story", tmp_path / "one", finished, *one_pass))
    assert_same_rounded(weights(tmp_path / "one", 3), weights(tmp_path / "two", 3))


@pytest.mark.parametrize("kind", SCRIPTS)
def test_stories_of_several_lengths(kind, trainer, finished, tmp_path):
    """Invariants 5 and 6 with stories of 1, 3 and 5 frames in a batch: a run that was killed, and one of two processes in parts of one story."""
    mixed = ["--lengths", 5, 1, 3]
    if kind != "story":
        load_stories("toonstories", "train", 32, limit=6, length=(5, 1, 3)).to_parquet(tmp_path / "data" / "train-0.parquet")
        mixed = ["--dataset", tmp_path / "data"]
    one, two, killed = (command(kind, tmp_path / run, finished, *mixed, "--checkpoint-every", 4) for run in ("one", "two", "killed"))
    log = trainer(*one)
    assert "per story of 3 frames" in log or kind != "story"
    expected = weights(tmp_path / "one")
    trainer.kill_at(tmp_path / "killed" / "checkpoints" / "step-00000004", *killed)
    assert "resuming from" in trainer(*killed)
    assert [name for name, value in weights(tmp_path / "killed").items() if not torch.equal(expected[name], value)] == []
    trainer(*two, *(["--device-batch", 1] if kind == "story" else []), processes=2)
    assert_same_rounded(expected, weights(tmp_path / "two"))


def test_latents_and_sentences_are_computed_in_shares(trainer, finished, tmp_path):
    """Two processes compute them once and write the same cache files as one process, and no others."""
    few = ["--stories", BATCH, "--sample-every", 0, "--freeze-text-encoder"]
    caches = []
    for processes in (1, 2):
        log = trainer(*command("story", tmp_path / f"run-{processes}", finished, *few, "--cache", tmp_path / str(processes)), processes=processes)
        assert log.count("encoding latents") and log.count("encoding sentences")
        again = trainer(*command("story", tmp_path / f"again-{processes}", finished, *few, "--cache", tmp_path / str(processes)), processes=processes)
        assert "encoding" not in again
        caches.append({file.name: torch.from_numpy(np.load(file)) for file in sorted((tmp_path / str(processes)).glob("*.npy"))})
    assert list(caches[0]) == list(caches[1]) and len(caches[0]) == 2
    for name, value in caches[0].items():
        torch.testing.assert_close(caches[1][name], value, atol=2e-3, rtol=2e-3, msg=name)


def test_token_numbers_of_a_large_vocabulary_are_kept():
    """CLIP's start and end tokens are 49406 and 49407, which int16 cannot hold."""

    class Tokenizer:
        model_max_length = 3

        def __call__(self, sentences, **_):
            return SimpleNamespace(input_ids=[[49406, 7, 49407]] * len(sentences), attention_mask=[[1, 1, 1]] * len(sentences))

    module = script("training/train_language_memory.py")
    corpus, _ = module.read_corpus(module.Settings(limit=2), Tokenizer(), 5, "train")
    assert corpus.ids.unique().tolist() == [7, 49406, 49407]


def test_long_sentences_make_a_longer_encoder(trainer, tmp_path):
    """A new text encoder reads the longest sentence of its dataset, of all splits."""
    words = " ".join(["and waves"] * 40)
    for split in ("train", "validation"):
        rows = Dataset.from_list([story_row(0, split, n, 16, "referential") for n in range(6)], features=FEATURES)
        if split == "validation":
            rows = rows.map(lambda row: {"sentences": [f"{sentence} {words}" for sentence in row["sentences"]]})
        rows.to_parquet(tmp_path / "data" / f"{split}-0.parquet")
    argv = ["--preset", "tiny", "--dataset", tmp_path / "data", "--batch", 2, "--stories", 2, "--lengths", 5, "--output", tmp_path / "text"]
    trainer("train_language_memory.py", *argv)
    settings = json.loads((tmp_path / "text" / "text_encoder" / "config.json").read_text())
    assert settings["max_position_embeddings"] > 80


def test_sentences_that_a_finished_encoder_does_not_read(trainer, finished, tmp_path):
    """An error before work, or cut; the setting is one of the run."""
    stories = Dataset.from_list([story_row(0, "train", n, 32, "referential") for n in range(6)], features=FEATURES)
    stories.map(lambda row: {"sentences": [x + " waves" * 99 for x in row["sentences"]]}).to_parquet(tmp_path / "data" / "train-0.parquet")
    for more, says in (([], "sentences are too long"), (["--long-sentences", "cut"], ""), (["--long-sentences", "skip"], "'cut' → 'skip'")):
        trainer.start(*command("story", tmp_path / "run", finished, "--dataset", tmp_path / "data", "--stories", BATCH, *more))
        assert trainer.wait() == [2 * bool(says)] and (says or "are cut to 64 tokens") in trainer.log
        assert ("encoding latents" in trainer.log) == (not says)


def test_a_finished_run_is_a_pipeline(finished):
    """It loads, has only safetensors, the averaged weights and a model card; samples were drawn during training."""
    folder = finished / "story" / "pipeline"
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl", ".ckpt", ".pth")]
    assert sorted(file.name for file in (finished / "story" / "samples").iterdir()) == ["step-00000005.png", "step-00000010.png"]
    assert "--preset tiny" in (folder / "README.md").read_text()
    pipe = StoryLDMPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    frames = pipe(STORY, num_inference_steps=2).frames[0]
    assert [frame.size for frame in frames] == [(32, 32)] * 4
    assert len(pipe.vae.config.latents_mean) == 4 and min(pipe.vae.config.latents_std) > 0
    trained = load_file(finished / "story" / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    averaged = pipe.unet.state_dict()
    assert any(value.any() for name, value in averaged.items() if name.endswith("to_out.weight") and "memory" in name)
    assert not torch.equal(averaged["conv_out.weight"], trained["unet.conv_out.weight"]), "the finished model has the averaged weights"
    assert len(json.loads((finished / "story" / "checkpoints" / f"step-{STEPS:08d}" / "progress.json").read_text())["curve"]) == STEPS


@pytest.mark.parametrize("memory", ["none", "sentence"])
def test_other_forms_and_starting_from_a_pipeline(memory, trainer, finished, tmp_path):
    """The plain model; and the paper's, started from a pipeline with another form of memory."""
    argv = command("story", tmp_path / "run", finished, "--stories", 2 * BATCH, "--memory", memory, "--no-language-memory")
    if memory == "sentence":
        argv += ["--init-from", finished / "story" / "pipeline", "--prediction", "epsilon", "--gradient-checkpointing", "--optimizer", "muon"]
    trainer(*argv)
    pipe = StoryLDMPipeline.from_pretrained(tmp_path / "run" / "pipeline")
    assert pipe.language_memory is None and pipe.unet.config.memory == memory
    assert pipe.scheduler.config.prediction_type == ("epsilon" if memory == "sentence" else "v_prediction")


def test_freeze_encoder(trainer, finished, tmp_path):
    """With --freeze-encoder, only the decoder's weights change, and latents stay the same."""
    before = finished / "autoencoder" / "vae"
    argv = command("autoencoder", tmp_path / "run", finished, "--init-from", before, "--freeze-encoder", "--optimizer", "muon")
    trainer(*argv)
    old, new = AutoencoderKL.from_pretrained(before), AutoencoderKL.from_pretrained(tmp_path / "run" / "vae")
    assert old.config.latents_mean == new.config.latents_mean and old.config.latents_std == new.config.latents_std
    same = {name for name, value in old.state_dict().items() if torch.equal(value, new.state_dict()[name])}
    assert all((name in same) == name.startswith(("encoder.", "quant_conv.")) for name in old.state_dict())


def test_a_decoder_of_larger_frames(trainer, finished, tmp_path):
    """A new decoder on frozen latents: killed and resumed it ends with the weights of an uninterrupted run, encoder and latents stay the same, and a
    model trained on those latents draws its size, as does one that is trained with this autoencoder from its frames of twice the side."""
    before = finished / "autoencoder" / "vae"
    more = ["--init-from", before, "--freeze-encoder", "--decoder-widths", 16, 8, 8, "--decoder-blocks", 1, 0, 1]
    more += ["--decay", 0.5, "--optimizer", "muon"]
    trainer(*command("autoencoder", tmp_path / "whole", finished, *more))
    argv = command("autoencoder", tmp_path / "run", finished, *more, "--checkpoint-every", 2)
    trainer.kill_at(tmp_path / "run" / "checkpoints" / "step-00000004", *argv)
    assert "resuming from" in trainer(*argv)
    assert "lr 0.00e+00" in trainer.log and "lr 1.00e-03" in trainer.log, "constant, then linear to zero"
    expected, actual = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert list(expected) == list(actual) and [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []

    old, new = AutoencoderKL.from_pretrained(before), open_autoencoder(tmp_path / "run" / "vae")
    assert isinstance(new, StoryAutoencoder) and (enlargement(new), downscale_factor(new)) == (2, 16)
    assert old.config.latents_mean == new.config.latents_mean and old.config.latents_std == new.config.latents_std
    for name, value in old.state_dict().items():
        if name.startswith(("encoder.", "quant_conv.")):
            assert torch.equal(new.state_dict()[name], value)
    assert new.decoder.layers[0].conv2.weight.any(), "a block that has learned is not what it was at first"

    pipe = StoryLDMPipeline.from_pretrained(finished / "story" / "pipeline")
    pipe.register_modules(vae=new)
    pipe.set_progress_bar_config(disable=True)
    assert pipe(STORY[:1], num_inference_steps=1).frames[0][0].size == (64, 64)
    story = command("story", tmp_path / "story", finished, "--vae", tmp_path / "run" / "vae", "--stories", BATCH, "--sample-every", 0)
    trainer(*story)
    assert json.loads((tmp_path / "story" / "settings.json").read_text())["resolution"] == 64
    pipe = StoryLDMPipeline.from_pretrained(tmp_path / "story" / "pipeline")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.unet.config.sample_size == 4 and pipe(STORY[:1], num_inference_steps=1).frames[0][0].size == (64, 64)


def test_a_changed_setting_is_refused(trainer, finished):
    before = weights(finished / "story")
    trainer.start(*command("story", finished / "story", finished, "--learning-rate", 0.5))
    assert trainer.wait() != [0] and "learning_rate: 0.0004 → 0.5" in trainer.log
    assert all(torch.equal(value, before[name]) for name, value in weights(finished / "story").items())


@pytest.mark.slow
def test_the_command_of_the_readme(trainer, finished, tmp_path):
    """The commands of README by accelerate's launcher, with the default presets."""
    env = {**trainer.env, "HF_DATASETS_CACHE": str(tmp_path / "datasets")}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    common = ["--limit", "200", "--stories", "8", "--batch", "4"]  # with fewer stories, words of the validation split would be missing
    for name, more in (
        ("train_autoencoder.py", ["--output", "runs/autoencoder"]),
        ("train_language_memory.py", ["--output", "runs/language"]),
        ("train_story_ldm.py", ["--output", "runs/story-ldm"]),
    ):
        run = subprocess.run([*launch, str(ROOT / "training" / name), *common, *more], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-3000:]
    pipe = StoryLDMPipeline.from_pretrained(tmp_path / "runs" / "story-ldm" / "pipeline")
    assert pipe(STORY[:2], num_inference_steps=1).frames[0][0].size == (64, 64)


@pytest.mark.slow
def test_two_processes_of_the_launcher(trainer, finished, tmp_path):
    """As the fast test above, but started by torch's launcher."""
    argv = [str(x) for x in (*command("story", tmp_path / "run", finished), "--precision", "no")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(trainer.file)]
    run = subprocess.run([*launch, str(ROOT / "training" / argv[0]), *argv[1:]], cwd=tmp_path, env=trainer.env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert_same_rounded(weights(finished / "story"), weights(tmp_path / "run"))


def test_language_memory_for_a_finished_text_encoder(trainer, finished, tmp_path):
    """With --text-from, tokenizer and text encoder stay as they are, and the result works as --text."""
    argv = command("language", tmp_path / "language", finished, "--text-from", finished / "language", "--stories", 2 * BATCH)
    trainer(*argv)
    old, new = (load_file(folder / "text_encoder" / "model.safetensors") for folder in (finished / "language", tmp_path / "language"))
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    trainer(*command("story", tmp_path / "story", finished, "--text", tmp_path / "language", "--stories", BATCH, "--sample-every", 0))
    assert (tmp_path / "story" / "pipeline" / "model_index.json").exists()


def test_sentences_of_a_frozen_text_encoder_are_encoded_once(trainer, finished, tmp_path):
    few = ["--stories", 2 * BATCH, "--sample-every", 0, "--freeze-text-encoder", "--cache", tmp_path / "cache"]
    assert "encoding sentences" in trainer(*command("story", tmp_path / "one", finished, *few))
    assert "encoding" not in trainer(*command("story", tmp_path / "two", finished, *few))
    (file,) = (tmp_path / "cache").glob("states-*.npy")
    pipe, values = StoryLDMPipeline.from_pretrained(tmp_path / "one" / "pipeline"), torch.from_numpy(np.load(file)).float()
    stories = load_stories("toonstories", "train", limit=6, pictures=False)
    ids, _ = tokenize_stories(pipe.tokenizer, stories["sentences"][:])
    with torch.no_grad():
        sentences = ids.flatten(0, 1).unique(dim=0)
        torch.testing.assert_close(values, pipe.text_encoder(sentences).last_hidden_state, atol=2e-2, rtol=2e-3)  # both were saved in fp16


def test_log_of_a_run(trainer, finished, tmp_path):
    """It has the operations per story and per second, and rates of the validation samples."""
    log = trainer(*command("story", tmp_path / "run", finished, "--stories", 5 * BATCH))
    assert "GFLOPs per story of 5 frames with 2 noise draws each" in log and "TFLOP/s" in log
    assert "step 5 | all/characters " in log


@pytest.mark.slow
def test_compiled_training_is_the_same(trainer, finished, tmp_path):
    few = ["--stories", 3 * BATCH, "--sample-every", 0]
    trainer(*command("story", tmp_path / "plain", finished, *few))
    trainer(*command("story", tmp_path / "compiled", finished, *few, "--compile", "--no-channels-last", "--gradient-checkpointing"))
    assert_same_rounded(weights(tmp_path / "plain", 3), weights(tmp_path / "compiled", 3))  # with the same names, too


def test_invalid_options(trainer, finished, tmp_path):
    for more, message in (
        (("--device-batch", 0), "--device-batch is 0; it must be at least 1"),
        (("--lengths", 3, 5, "--dataset", tmp_path), f"--lengths is (3, 5) with --dataset {tmp_path}; only the built-in worlds' stories"),
        (("--optimizer", "adamw8bit"), "--optimizer is adamw8bit, which requires bitsandbytes"),
    ):
        trainer.start(*command("story", tmp_path / "run", finished, *more))
        assert trainer.wait() in ([1], [2]) and message in trainer.log
