"""Training runs of the dynamic-block GAN and its ablations: products, choices, the design's invariants 5 and 6."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT, STORY, TINY_DYNAMIC_BLOCK, assert_same_training, script, weights
from safetensors.torch import load_file

from story_ldm import load_stories
from story_ldm.data.frames import decode_frames
from story_ldm.pipelines import DynamicBlockGANPipeline
from story_ldm.systems.dynamic_block_gan.networks import SYSTEMS, DynamicBlockDiscriminator
from story_ldm.training.gan_loop import Best

STEPS, BATCH = 12, 4


def command(output: Path, damsm: Path, *more) -> list:
    """The arguments of one run of 12 steps over 6 stories of the built-in world."""
    argv = ["train_dynamic_block_gan.py", "--output", output, "--preset", "tiny", "--text", damsm, "--limit", 6, "--batch", BATCH]
    argv += ["--stories", STEPS * BATCH, "--sample-every", 6, "--sample-stories", 1, "--store", "float32", "--validate-every", 5]
    argv += ["--evaluator", ROOT / "checkpoints" / "toon-evaluator", "--norm", "batch", "--discriminator-norm", "spectral"]
    return [*argv, "--log-every", 1, "--workers", 0, "--num-proc", 1, *more]


def table(file: Path) -> dict:
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def finished(trainer, damsm, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("dynamic-block-gan") / "run"
    log = trainer(*command(run, damsm))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories" in log and "| frame_accuracy 0." in log
    assert "step 5 | validation | FID" in log and "step 12 | validation | FID" in log
    return run


def test_a_finished_run_is_a_pipeline(trainer, finished, tmp_path):
    pipe = DynamicBlockGANPipeline.from_pretrained(finished / "pipeline")
    assert [frame.size for frame in pipe(STORY).frames[0]] == [(16, 16)] * 4
    assert len(list((finished / "checkpoints" / f"step-{STEPS:08d}").glob("model*.safetensors"))) == 2
    assert sorted(file.name for file in (finished / "samples").iterdir()) == ["step-00000006.png", "step-00000012.png"]
    choices = table(finished / "choices.json")
    assert [row[0] for row in choices["rows"]] == [BATCH * (n + 1) for n in range(STEPS)] and {len(row) for row in choices["rows"]} == {9}
    assert choices["columns"][1::2] == ["SA generator 4", "SA generator 8", "SA discriminator 8", "SA discriminator 4"]
    assert all(0 <= value <= 1 for row in choices["rows"] for value in row[1:])
    scores = table(finished / "scores.json")
    assert [row[0] for row in scores["rows"]] == [5 * BATCH, 10 * BATCH, STEPS * BATCH]
    best = 5 * (1 + min(range(3), key=lambda n: scores["rows"][n][1] * scores["rows"][n][2]))
    card = (finished / "pipeline" / "README.md").read_text()
    assert f"averaged weights of step {min(best, STEPS)}" in card and "| frame_accuracy |" in card
    assert "# Dynamic-block GAN (dynamic-block) tiny" in card
    result = table(finished / "discriminator.json")
    assert (result["split"], result["step"], result["pairs"]) == ("test", STEPS, 30)
    assert all(0 <= result[name] <= 1 for name in ("accuracy", "right_over_wrong"))
    settings = table(finished / "settings.json")
    assert (settings["learning_rate"], settings["batch"], settings["norm"]) == (2e-4, BATCH, "batch"), "values that were left open are recorded"
    assert "| learning_rate | 0.0002 |" in card
    out = tmp_path / "generated"
    trainer("../evaluation/generate_stories.py", "--model", finished / "pipeline", "--out", out, "--stories", 3, "--batch", 2)
    stories = load_stories(out, "test", None)
    assert len(stories) == 3 and {frame.size for row in stories for frame in row["frames"]} == {(16, 16)}
    facts = table(out / "generation.json")
    assert facts["pipeline"] == "DynamicBlockGANPipeline" and set(facts["parameters"]) == {"dynamic_block_gan", "text_encoder"}


def test_stopped_and_run_again(trainer, damsm, finished, tmp_path):
    """Invariant 5: killed in the midst of it and run on to the end, it has the weights, the scores and the choices of one that was not."""
    run = tmp_path / "run"
    argv = command(run, damsm, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000006", *argv)
    assert not (run / "pipeline").exists()
    log = trainer(*argv)
    assert "resuming from" in log and "step 1 |" not in log and "step 5 |" not in log
    expected, actual = weights(finished), weights(run)
    assert list(expected) == list(actual) and len(actual) > 50
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []
    assert all(table(finished / name) == table(run / name) for name in ("scores.json", "choices.json", "discriminator.json"))


def test_two_processes_are_one_with_the_whole_batch(trainer, damsm, finished, tmp_path):
    """Invariant 6, compared in fp32 after 12 steps; wrong pairs come from both processes."""
    trainer(*command(tmp_path / "run", damsm), processes=2)
    # which of the averages was best may hang on the last bit of a score
    assert_same_training(*({name: value for name, value in weights(run).items() if "checkpoints" in name} for run in (finished, tmp_path / "run")))


@pytest.mark.parametrize("system", ["no-attention", "sa-only", "no-block-in-g"])
def test_ablations_are_trained(system, trainer, damsm, tmp_path):
    """In two processes, where a parameter without gradient would stop it."""
    run = tmp_path / "run"
    trainer(*command(run, damsm, "--system", system, "--stories", 2 * BATCH, "--validate-every", 0, "--sample-every", 0), processes=2)
    assert DynamicBlockGANPipeline.from_pretrained(run / "pipeline").dynamic_block_gan.config.attention == SYSTEMS[system][0]
    assert (run / "choices.json").exists() == (system == "no-block-in-g") and table(run / "scores.json")["rows"] == []
    if system == "no-block-in-g":
        assert table(run / "choices.json")["columns"][1::2] == ["SA discriminator 8", "SA discriminator 4"]


def test_choices_are_those_of_the_averaged_weights(trainer, damsm, tmp_path):
    """Those that the finished pipeline makes, not those of the weights as they are trained."""
    run = tmp_path / "run"
    trainer(*command(run, damsm, "--validate-every", 0, "--sample-every", 0, "--checkpoint-every", STEPS))
    choices, pipe = table(run / "choices.json"), DynamicBlockGANPipeline.from_pretrained(run / "pipeline")
    module = script("training/train_dynamic_block_gan.py")
    data = load_stories("toonstories", "validation", 16, limit=6)
    frames = decode_frames(data, 0).unflatten(0, (6, -1))
    texts = module.read_texts(pipe.text_encoder, *module.read_tokens(pipe.text_encoder, pipe.tokenizer, data["sentences"][:]))
    judge = DynamicBlockDiscriminator(**TINY_DYNAMIC_BLOCK["discriminator"], sentence_width=6)
    expected = module.count_choices(pipe.dynamic_block_gan, judge, frames, texts, seed=0)["generator"]
    assert choices["rows"][-1][1:5] == pytest.approx(expected, abs=2e-4)
    trained = load_file(run / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    pipe.dynamic_block_gan.load_state_dict(trained)
    other = module.count_choices(pipe.dynamic_block_gan, judge, frames, texts, seed=0)["generator"]
    assert choices["rows"][-1][1:5] != pytest.approx(other, abs=2e-4), "the weights as they are trained choose otherwise"


def test_the_best_weights_are_kept():
    best = Best()
    for step, score in ((1, 5.0), (2, 3.0), (3, float("nan")), (4, 3.0), (5, 4.0)):
        best.consider(step, score, 1.0, [torch.full((2,), float(step))])
    again = Best()
    again.load_state_dict(best.state_dict())
    assert again.step == 2 and again.score == 3.0 and again.weights[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "large"], "invalid choice 'large' for argument '--preset'"),
        (["--batch", 1], "--batch is 1; it must be at least 2"),
        (["--temperature", 0], "--temperature is 0.0; it must be above 0"),
        (["--learning-rate", 1e30], "stopped at step"),
    ],
)
def test_a_training_that_cannot_be_run_says_why(more, message, trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, *more))
    assert trainer.wait() != [0] and message in trainer.log
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "pipeline").exists()
