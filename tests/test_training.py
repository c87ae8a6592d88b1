"""The training scripts, run as they are run: the design's invariants 5 and 6, and that each leaves what the next one reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, STORY, script
from datasets import Dataset
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from story_ldm.pipelines import StoryLDMPipeline

from story_ldm import load_stories
from story_ldm.data.toonstories import FEATURES, story_row
from story_ldm.encoders.sentences import tokenize_stories

SCRIPTS = {"autoencoder": "train_autoencoder.py", "language": "train_language_memory.py", "story": "train_story_ldm.py"}
PRODUCTS = {"autoencoder": "vae", "language": "fact_head.safetensors", "story": "pipeline"}
STEPS, BATCH = 12, 4
NO_GRADIENT = ("k_proj.bias", "to_qkv.bias")  # softmax does not see them; Adam makes steps of their rounding errors


def assert_same_rounded(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    """Closer than `assert_same_training` of the GANs asks for: each number, not the mean of a tensor."""
    assert list(expected) == list(found)
    for name, value in expected.items():
        if not name.endswith(NO_GRADIENT):
            torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture(scope="module")
def finished(trainer, tmp_path_factory) -> Path:
    """A folder with one whole run of each script."""
    folder = tmp_path_factory.mktemp("finished")
    for kind in SCRIPTS:
        log = trainer(*command(kind, folder / kind, folder))
        assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories | loss" in log and (folder / kind / PRODUCTS[kind]).exists()
    return folder


def command(kind: str, output: Path, finished: Path, *more) -> list:
    """The arguments of one run of 12 steps over 6 stories of the built-in world: two epochs and a half of batches that do not divide it."""
    argv = [SCRIPTS[kind], "--output", output, "--preset", "tiny", "--limit", 6, "--batch", BATCH, "--stories", STEPS * BATCH]
    argv += ["--warmup", 2, "--log-every", 1]
    if kind == "language":
        argv += ["--lengths", 5, 3]
    if kind == "story":
        argv += ["--vae", finished / "autoencoder" / "vae", "--text", finished / "language", "--cache", finished / "cache"]
        argv += ["--sample-every", 5, "--sample-stories", 1]
    return [*argv, *more]


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    """Of the last checkpoint, and of the product (averaged weights where there are any)."""
    files = [run / "checkpoints" / f"step-{step:08d}" / "model.safetensors", *run.glob("*/diffusion_pytorch_model.safetensors")]
    files += [*run.glob("pipeline/*/*.safetensors"), *run.glob("*/model.safetensors"), *run.glob("*.safetensors")]
    return {f"{file.relative_to(run)}/{name}": value for file in files for name, value in load_file(file).items()}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_stopped_and_run_again(kind, trainer, finished, tmp_path):
    """Invariant 5: killed in the midst of it, stopped by its own clock, and run on to the end, it has the weights of one that was not."""
    run = tmp_path / "run"
    argv = command(kind, run, finished, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000004", *argv)
    assert not (run / PRODUCTS[kind]).exists()
    clock = trainer(*argv, "--max-minutes", 1e-9)
    assert "going on from" in clock and "stories/s" not in clock and (run / PRODUCTS[kind]).exists(), "a stopped run leaves what it has"
    log = trainer(*argv)
    assert "going on from" in log and "step 1 |" not in log
    expected, found = weights(finished / kind), weights(run)
    assert list(expected) == list(found) and len(found) > 20
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_scheduler_takes_the_machine_away(kind, trainer, finished, tmp_path):
    """At SIGTERM or SIGUSR1 it writes a checkpoint of the step it is at and ends with the code that says "again"."""
    run = tmp_path / "run"
    argv = command(kind, run, finished, "--stories", 40_000, "--checkpoint-every", 3)
    told = 0
    for number in (signal.SIGTERM, signal.SIGUSR1):
        (process,) = trainer.start(*argv)
        deadline = time.monotonic() + 120
        while len(trainer.log.split("| ETA")) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process, number)
        assert trainer.wait() == [75], trainer.log[-3000:]
        assert f"{number.name}: the checkpoint is written; run the same command again" in trainer.log
        steps = [int(line.split()[1]) for line in trainer.log.splitlines() if line.startswith("step ")]
        assert (run / "checkpoints" / f"step-{steps[-1]:08d}").exists() and steps[0] == told + 1 and not (run / PRODUCTS[kind]).exists()
        told = steps[-1]


@pytest.mark.parametrize("kind", SCRIPTS)
def test_two_processes_are_one_with_the_whole_batch(kind, trainer, finished, tmp_path):
    """Invariant 6, compared in fp32 after 12 steps."""
    trainer(*command(kind, tmp_path / "run", finished), processes=2)
    assert_same_rounded(weights(finished / kind), weights(tmp_path / "run"))


@pytest.mark.parametrize(
    "more", [["--language-dropout", 1], ["--text-dropout", 1], ["--memory-dropout", 1], ["--device-batch", 1], ["--freeze-text-encoder"]]
)
def test_two_processes_with_settings_at_their_ends(more, trainer, finished, tmp_path):
    """Where a process has no story that uses a part of the model, no gradient of that part may be missing."""
    few = ["--stories", 3 * BATCH, "--sample-every", 0, *more]
    trainer(*command("story", tmp_path / "two", finished, *few), processes=2)
    whole = few[:-2] if "--device-batch" in more else few  # a step in several passes is a step in one
    trainer(*command("story", tmp_path / "one", finished, *whole))
    assert_same_rounded(weights(tmp_path / "one", 3), weights(tmp_path / "two", 3))


def test_latents_and_sentences_are_computed_in_shares(trainer, finished, tmp_path):
    """By two processes, once: the files of one process, and nothing beside them."""
    few = ["--stories", BATCH, "--sample-every", 0, "--freeze-text-encoder"]
    found = []
    for processes in (1, 2):
        log = trainer(*command("story", tmp_path / f"run-{processes}", finished, *few, "--cache", tmp_path / str(processes)), processes=processes)
        assert log.count("encoding latents") and log.count("encoding sentences")
        again = trainer(*command("story", tmp_path / f"again-{processes}", finished, *few, "--cache", tmp_path / str(processes)), processes=processes)
        assert "encoding" not in again
        found.append({file.name: load_file(file)["values"] for file in sorted((tmp_path / str(processes)).iterdir())})
    assert list(found[0]) == list(found[1]) and len(found[0]) == 2
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=2e-3, rtol=2e-3, msg=name)


def test_token_numbers_of_a_large_vocabulary_are_kept():
    """CLIP's begin and end are 49406 and 49407."""

    class Tokenizer:
        model_max_length = 3

        def __call__(self, sentences, **_):
            return SimpleNamespace(input_ids=[[49406, 7, 49407]] * len(sentences), attention_mask=[[1, 1, 1]] * len(sentences))

    module = script("training/train_language_memory.py")
    ids, *_ = module.read_corpus(module.Settings(limit=2), Tokenizer(), 5, "train")
    assert ids.unique().tolist() == [7, 49406, 49407]


def test_long_sentences_make_a_longer_encoder(trainer, tmp_path):
    """A new text encoder reads the longest sentence of its dataset, of whichever split."""
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


def test_a_finished_run_is_a_pipeline(finished):
    """Opened by the pipeline, and of safetensors throughout; samples were drawn on the way."""
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
    assert not torch.equal(averaged["conv_out.weight"], trained["unet.conv_out.weight"]), "what is shipped is the average"
    assert len(json.loads((finished / "story" / "checkpoints" / f"step-{STEPS:08d}" / "progress.json").read_text())["curve"]) == STEPS


@pytest.mark.parametrize("memory", ["none", "sentence"])
def test_other_forms_and_starting_from_a_pipeline(memory, trainer, finished, tmp_path):
    """The plain model and the paper's; a pipeline trained with another memory to start from."""
    argv = command("story", tmp_path / "run", finished, "--stories", 2 * BATCH, "--memory", memory, "--no-language-memory")
    if memory == "sentence":
        argv += ["--init-from", finished / "story" / "pipeline", "--prediction", "epsilon", "--gradient-checkpointing", "--optimizer", "muon"]
    trainer(*argv)
    pipe = StoryLDMPipeline.from_pretrained(tmp_path / "run" / "pipeline")
    assert pipe.language_memory is None and pipe.unet.config.memory == memory
    assert pipe.scheduler.config.prediction_type == ("epsilon" if memory == "sentence" else "v_prediction")


def test_the_decoder_alone(trainer, finished, tmp_path):
    """Trained further with its encoder frozen, an autoencoder makes the same latents and other frames."""
    before = finished / "autoencoder" / "vae"
    argv = command("autoencoder", tmp_path / "run", finished, "--init-from", before, "--freeze-encoder", "--optimizer", "muon")
    trainer(*argv)
    old, new = AutoencoderKL.from_pretrained(before), AutoencoderKL.from_pretrained(tmp_path / "run" / "vae")
    assert old.config.latents_mean == new.config.latents_mean and old.config.latents_std == new.config.latents_std
    same = {name for name, value in old.state_dict().items() if torch.equal(value, new.state_dict()[name])}
    assert all((name in same) == name.startswith(("encoder.", "quant_conv.")) for name in old.state_dict())


def test_a_changed_setting_is_refused(trainer, finished):
    before = weights(finished / "story")
    trainer.start(*command("story", finished / "story", finished, "--learning-rate", 0.5))
    assert trainer.wait() != [0] and "learning_rate: 0.0004 → 0.5" in trainer.log
    assert all(torch.equal(value, before[name]) for name, value in weights(finished / "story").items())


@pytest.mark.slow
def test_the_command_of_the_readme(trainer, finished, tmp_path):
    """The launcher itself, with a real preset, as README says."""
    env = {**trainer.env, "HF_DATASETS_CACHE": str(tmp_path / "datasets")}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    common = ["--limit", "200", "--stories", "8", "--batch", "4"]  # fewer stories lack words that the validation split has
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
    """As the fast test above, started by torch's own launcher."""
    argv = [str(x) for x in (*command("story", tmp_path / "run", finished), "--precision", "no")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(trainer.file)]
    run = subprocess.run([*launch, str(ROOT / "training" / argv[0]), *argv[1:]], cwd=tmp_path, env=trainer.env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert_same_rounded(weights(finished / "story"), weights(tmp_path / "run"))


def test_language_memory_for_a_finished_text_encoder(trainer, finished, tmp_path):
    """Its tokenizer and text encoder are taken over as they are, and what comes out fits `--text`."""
    argv = command("language", tmp_path / "language", finished, "--text-from", finished / "language", "--stories", 2 * BATCH)
    trainer(*argv)
    old, new = (load_file(folder / "text_encoder" / "model.safetensors") for folder in (finished / "language", tmp_path / "language"))
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    trainer(*command("story", tmp_path / "story", finished, "--text", tmp_path / "language", "--stories", BATCH, "--sample-every", 0))
    assert (tmp_path / "story" / "pipeline" / "model_index.json").exists()


def test_sentences_of_a_frozen_text_encoder_are_read_once(trainer, finished, tmp_path):
    few = ["--stories", 2 * BATCH, "--sample-every", 0, "--freeze-text-encoder", "--cache", tmp_path / "cache"]
    assert "encoding sentences" in trainer(*command("story", tmp_path / "one", finished, *few))
    assert "encoding" not in trainer(*command("story", tmp_path / "two", finished, *few))
    (file,) = (tmp_path / "cache").glob("states-*.safetensors")
    pipe, values = StoryLDMPipeline.from_pretrained(tmp_path / "one" / "pipeline"), load_file(file)["values"].float()
    stories = load_stories("toonstories", "train", limit=6, pictures=False)
    ids, _ = tokenize_stories(pipe.tokenizer, stories["sentences"][:])
    with torch.no_grad():
        sentences = ids.flatten(0, 1).unique(dim=0)
        torch.testing.assert_close(values, pipe.text_encoder(sentences).last_hidden_state, atol=2e-2, rtol=2e-3)  # both are stored in fp16


def test_what_a_run_tells(trainer, finished, tmp_path):
    """What it costs at the start, speed in operations, and rates of the stories it draws in between."""
    log = trainer(*command("story", tmp_path / "run", finished, "--stories", 5 * BATCH))
    assert "GFLOPs a story of 5 frames, each with 2 noise draws" in log and "TFLOP/s" in log
    assert "step 5 | all/characters " in log


@pytest.mark.slow
def test_compiled_it_learns_the_same(trainer, finished, tmp_path):
    few = ["--stories", 3 * BATCH, "--sample-every", 0]
    trainer(*command("story", tmp_path / "plain", finished, *few))
    trainer(*command("story", tmp_path / "compiled", finished, *few, "--compile", "--no-channels-last", "--gradient-checkpointing"))
    assert_same_rounded(weights(tmp_path / "plain", 3), weights(tmp_path / "compiled", 3))  # and of the same names


def test_switches_that_cannot_be(trainer, finished, tmp_path):
    for more, says in (
        (("--device-batch", 0), "device_batch is 0; it must be at least 1"),
        (("--optimizer", "adamw8bit"), 'optimizer is "adamw8bit", which wants bitsandbytes'),
    ):
        trainer.start(*command("story", tmp_path / "run", finished, *more))
        assert trainer.wait() == [1] and says in trainer.log
