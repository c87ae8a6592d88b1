"""The training of StoryGAN and its reductions as it is run: products, the design's invariants 5 and 6, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import STORY, assert_same_training, script, weights
from safetensors.torch import load_file

from pipelines import StoryGANPipeline
from story_ldm import load_stories
from story_ldm.train_utils import halved

STEPS, BATCH = 12, 4


def command(output: Path, damsm: Path, *more) -> list:
    """The arguments of one run of 12 iterations over 6 stories of the built-in world."""
    argv = ["train_story_gan.py", "--output", output, "--preset", "tiny", "--text", damsm, "--limit", 6, "--batch", BATCH, "--image-batch", 6]
    argv += ["--stories", STEPS * BATCH, "--sample-every", 6, "--sample-stories", 1, "--store", "float32"]
    return [*argv, "--log-every", 1, "--workers", 0, "--num-proc", 1, *more]


@pytest.fixture(scope="module")
def finished(trainer, damsm, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("story-gan") / "run"
    log = trainer(*command(run, damsm, "--k-image", 2))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories" in log and "| image_accuracy 0." in log and "| story_accuracy 0." in log
    assert "story discriminator | accuracy" in log
    return run


def test_a_finished_run_is_a_pipeline(trainer, finished, tmp_path):
    pipe = StoryGANPipeline.from_pretrained(finished / "pipeline")
    assert [frame.size for frame in pipe(STORY).frames[0]] == [(16, 16)] * 4
    trained = load_file(finished / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    averaged = pipe.story_gan.state_dict()
    assert set(averaged) == set(trained) and not torch.equal(averaged["filter.net.0.weight"], trained["filter.net.0.weight"])
    assert len(list((finished / "checkpoints" / f"step-{STEPS:08d}").glob("model*.safetensors"))) == 3
    assert sorted(file.name for file in (finished / "samples").iterdir()) == ["step-00000006.png", "step-00000012.png"]
    told = json.loads((finished / "discriminators.json").read_text())
    assert told["step"] == STEPS and told["image"]["pairs"] == 30 and told["story"]["pairs"] == 6
    assert all(0 <= told[kind][name] <= 1 for kind in ("image", "story") for name in ("accuracy", "right_over_wrong"))
    card = (finished / "pipeline" / "README.md").read_text()
    assert "StoryGANPipeline.from_pretrained" in card and "# StoryGAN (story-gan) tiny" in card and "| image_accuracy |" in card
    out = tmp_path / "generated"
    trainer("../evaluation/generate_stories.py", "--model", finished / "pipeline", "--out", out, "--stories", 3, "--batch", 2)
    stories = load_stories(out, "test", None)
    assert len(stories) == 3 and {frame.size for row in stories for frame in row["frames"]} == {(16, 16)}
    facts = json.loads((out / "generation.json").read_text())
    assert facts["pipeline"] == "StoryGANPipeline" and set(facts["parameters"]) == {"story_gan", "text_encoder"}


def test_stopped_and_run_again(trainer, damsm, finished, tmp_path):
    """Invariant 5: killed in the midst of it and run on to the end, it has the weights of one that was not."""
    run = tmp_path / "run"
    argv = command(run, damsm, "--k-image", 2, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000004", *argv)
    assert not (run / "pipeline").exists()
    log = trainer(*argv)
    assert "going on from" in log and "step 1 |" not in log
    expected, found = weights(finished), weights(run)
    assert list(expected) == list(found) and len(found) > 50
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []


def test_two_processes_are_one_with_the_whole_batch(trainer, damsm, finished, tmp_path):
    """Invariant 6, compared in fp32 after 12 iterations; wrong pairs come from both processes."""
    trainer(*command(tmp_path / "run", damsm, "--k-image", 2), processes=2)
    assert_same_training(weights(finished), weights(tmp_path / "run"))


def test_two_processes_with_batch_norm(trainer, damsm, tmp_path):
    for processes in (1, 2):
        trainer(*command(tmp_path / str(processes), damsm, "--norm", "batch"), processes=processes)
    assert_same_training(weights(tmp_path / "1"), weights(tmp_path / "2"))
    assert any("running_mean" in name for name in weights(tmp_path / "1"))


def test_image_gan_has_no_story_discriminator(trainer, damsm, tmp_path):
    log = trainer(*command(tmp_path / "run", damsm, "--system", "image-gan", "--max-minutes", 0.5))
    assert "image_accuracy" in log and "story_accuracy" not in log
    assert StoryGANPipeline.from_pretrained(tmp_path / "run" / "pipeline").story_gan.config.system == "image-gan"


def test_a_broken_training_stops(trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, "--learning-rate", 1e30))
    assert trainer.wait() != [0]
    assert "stopped at step" in trainer.log and "there is no checkpoint from before" in trainer.log
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "pipeline").exists()


def test_what_is_trouble():
    module = script("training/train_story_gan.py")
    fine = {"image_loss": 1.0, "image_accuracy": 0.8, "story_loss": 0.5, "story_accuracy": 0.9}
    since: dict[str, int] = {}
    look = lambda step, patience=100, **means: module.find_trouble({**fine, **means}, ["image", "story"], since, step, 50, patience)  # noqa: E731
    assert look(50) is None and since == {}
    assert look(100, story_accuracy=0.5) is None and since == {"story_lost": 50}
    assert look(150) is None and since == {}, "it came to itself"
    assert look(200, image_loss=1e-5) is None and since == {"image_won": 150}
    assert look(250, patience=0, image_loss=1e-5) is None
    what, good_until = look(250, image_loss=1e-5)
    assert "the image discriminator is sure of everything" in what and good_until == 150
    assert [halved(step, 9, 2) for step in range(9)] == [1.0] * 3 + [0.5] * 3 + [0.25] * 3
