"""The training of StoryGAN and its reductions as it is run: products, the design's invariants 5 and 6, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest
import torch
from accelerate import Accelerator
from conftest import ROOT, STORY, assert_same_training, weights
from safetensors.torch import load_file
from story_ldm.pipelines import StoryGANPipeline
from story_ldm.pipelines.output import StoryPipelineOutput

from story_ldm import load_stories
from story_ldm.training.gan_loop import GANSettings, find_trouble, sample
from story_ldm.training.steps import halved

STEPS, BATCH = 12, 4


def command(output: Path, damsm: Path, *more) -> list:
    """The arguments of one run of 12 iterations over 6 stories of the built-in world."""
    argv = ["train_story_gan.py", "--output", output, "--preset", "tiny", "--text", damsm, "--limit", 6, "--batch", BATCH, "--image-batch", 6]
    argv += ["--stories", STEPS * BATCH, "--sample-every", 6, "--sample-stories", 1, "--store", "float32", "--validate-every", 5]
    argv += ["--evaluator", ROOT / "checkpoints" / "toon-evaluator", "--norm", "group", "--discriminator-norm", "spectral"]
    return [*argv, "--log-every", 1, "--workers", 0, "--num-proc", 1, *more]


@pytest.fixture(scope="module")
def finished(trainer, damsm, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("story-gan") / "run"
    log = trainer(*command(run, damsm, "--k-image", 2))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories" in log and "| image_accuracy 0." in log and "| story_accuracy 0." in log
    assert "story discriminator | accuracy" in log and all(f"| image_{share} " in log for share in ("right", "wrong", "fake"))
    assert "step 5 | validation | FID" in log and "step 12 | validation | FID" in log
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
    scores = json.loads((finished / "scores.json").read_text())["rows"]
    assert [row[0] for row in scores] == [5 * BATCH, 10 * BATCH, STEPS * BATCH]
    best = min((5, 10, 12), key=lambda step: {row[0]: row[1] * row[2] for row in scores}[step * BATCH])
    assert told["split"] == "test" and told["step"] == STEPS and told["image"]["pairs"] == 30 and told["story"]["pairs"] == 6
    assert all(0 <= told[kind][name] <= 1 for kind in ("image", "story") for name in ("accuracy", "right_over_wrong"))
    card = (finished / "pipeline" / "README.md").read_text()
    assert f"averaged weights of step {best}" in card and "pairs of the test split" in card
    assert "StoryGANPipeline.from_pretrained" in card and "# StoryGAN (story-gan) tiny" in card and "| image_accuracy |" in card
    out = tmp_path / "generated"
    trainer("../evaluation/generate_stories.py", "--model", finished / "pipeline", "--out", out, "--stories", 3, "--batch", 2)
    stories = load_stories(out, "test", None)
    assert len(stories) == 3 and {frame.size for row in stories for frame in row["frames"]} == {(16, 16)}
    facts = json.loads((out / "generation.json").read_text())
    assert facts["pipeline"] == "StoryGANPipeline" and set(facts["parameters"]) == {"story_gan", "text_encoder"}


def test_stopped_and_run_again(trainer, damsm, finished, tmp_path):
    """Invariant 5: killed in the midst of it and run on to the end, it has the weights and the scores of one that was not."""
    run = tmp_path / "run"
    argv = command(run, damsm, "--k-image", 2, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000006", *argv)
    assert not (run / "pipeline").exists()
    log = trainer(*argv)
    assert "going on from" in log and "step 1 |" not in log and "step 5 |" not in log
    expected, found = weights(finished), weights(run)
    assert list(expected) == list(found) and len(found) > 50
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []
    assert all((finished / name).read_text() == (run / name).read_text() for name in ("scores.json", "discriminators.json"))


def test_two_processes_are_one_with_the_whole_batch(trainer, damsm, finished, tmp_path):
    """Invariant 6, compared in fp32 after 12 iterations; wrong pairs come from both processes."""
    trainer(*command(tmp_path / "run", damsm, "--k-image", 2), processes=2)
    # which of the averages was best may hang on the last bit of a score
    assert_same_training(*({name: value for name, value in weights(run).items() if "checkpoints" in name} for run in (finished, tmp_path / "run")))


def test_two_processes_with_batch_norm(trainer, damsm, tmp_path):
    norms = ["--norm", "batch", "--discriminator-norm", "batch"]
    for processes in (1, 2):
        trainer(*command(tmp_path / str(processes), damsm, *norms, "--validate-every", 0), processes=processes)
    assert_same_training(weights(tmp_path / "1"), weights(tmp_path / "2"))
    assert any("running_mean" in name for name in weights(tmp_path / "1"))


def test_image_gan_has_no_story_discriminator(trainer, damsm, tmp_path):
    """And it makes as many iterations as the others do."""
    log = trainer(*command(tmp_path / "run", damsm, "--system", "image-gan", "--max-minutes", 0.5, "--k-story", 2))
    assert "image_accuracy" in log and "story_accuracy" not in log
    assert f"{STEPS // 2} of {STEPS // 2} steps done" in log
    assert StoryGANPipeline.from_pretrained(tmp_path / "run" / "pipeline").story_gan.config.system == "image-gan"


def test_the_kl_term_is_a_mean_by_default(trainer, damsm, tmp_path):
    found = []
    for more in ([], ["--kl", 1 / 16], ["--kl", 1 / 128]):  # h_0 has 16 numbers here
        run = tmp_path / str(len(found))
        trainer(*command(run, damsm, "--stories", 2 * BATCH, "--resolution", 32, "--validate-every", 0, "--sample-every", 0, *more))
        found.append(weights(run)["pipeline/story_gan/diffusion_pytorch_model.safetensors/story_encoder.mean.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_broken_training_stops(trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, "--learning-rate", 1e30))
    assert trainer.wait() != [0]
    assert "stopped at step" in trainer.log and "there is no checkpoint from before" in trainer.log
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "pipeline").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "large"], "preset is 'large'; it must be one of toon-64, paper-64, pororo, tiny"),
        (["--image-batch", 1], "batch is 4 and image_batch 1; both must be at least 2"),
        (["--resolution", 48], "resolution is 48; a GAN draws powers of two from 16 on"),
        (["--text", "/nowhere"], "/nowhere is not a folder"),
        (["--evaluator", "/nowhere"], "/nowhere"),
    ],
)
def test_settings_are_looked_at_before_the_folder_is_claimed(more, message, trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, *more))
    assert trainer.wait() != [0] and message in trainer.log
    assert not (tmp_path / "run").exists()


def test_a_collapsed_discriminator_stops_the_training(trainer, damsm, tmp_path):
    """One that says the same of everything from its second step on; the last good checkpoint is there still, though newer ones were written since."""
    more = ["--discriminator-norm", "group", "--discriminator-learning-rate", 1, "--checkpoint-every", 1, "--keep", 1, "--patience", 4]
    trainer.start(*command(tmp_path / "run", damsm, "--stories", 200, "--sample-every", 0, "--validate-every", 0, *more))
    assert trainer.wait() != [0] and "tells nothing of" in trainer.log
    named = Path(trainer.log.split("the last good checkpoint is ")[1].split()[0])
    assert named.is_dir() and [folder.name for folder in sorted(named.parent.iterdir())] == [named.name, "step-00000004"]


def test_judged_stories_are_of_the_length_of_training(trainer, damsm, tmp_path):
    """Said before anything is trained. The split is the one that is asked for."""
    data = tmp_path / "data"
    data.mkdir()
    for split, length in (("train", 4), ("validation", 4), ("test", 3)):
        load_stories("toonstories", split, 16, limit=6, length=length).to_parquet(data / f"{split}-00000.parquet")
    argv = command(tmp_path / "run", damsm, "--dataset", data, "--stories", BATCH, "--max-minutes", 1)
    trainer.start(*argv)
    assert trainer.wait() != [0] and "stories of the test split have 3 frames, those of the train split 4" in trainer.log
    assert not (tmp_path / "run" / "checkpoints").exists()
    trainer(*argv, "--judged-split", "validation")
    told = json.loads((tmp_path / "run" / "discriminators.json").read_text())
    assert told["split"] == "validation" and told["story"]["pairs"] == 6


def test_samples_have_the_length_of_training(tmp_path):
    drawn = []

    def pipe(sentences, generator):
        drawn.extend(sentences)
        return StoryPipelineOutput(frames=[[PIL.Image.new("RGB", (16, 16))] * len(story) for story in sentences])

    sample(GANSettings(output=tmp_path, length=2, sample_stories=3), Accelerator(cpu=True), pipe, 16, 1)
    assert [len(story) for story in drawn] == [2] * 3


FINE = {"loss": 1.0, "right": 0.9, "wrong": 0.8, "fake": 0.9}


def test_what_is_trouble():
    fine = {f"{kind}_{name}": value for kind in ("image", "story") for name, value in FINE.items()}
    since: dict[str, int] = {}
    look = lambda step, patience=100, **means: find_trouble({**fine, **means}, ["image", "story"], since, step, 50, patience)  # noqa: E731
    assert look(50) is None and since == {}
    assert look(100, story_fake=0.05) is None and since == {"story_fake": 50}
    assert look(150) is None and since == {}, "it came to itself"
    assert look(200, image_loss=1e-5) is None and since == {"image_won": 150}
    assert look(250, patience=0, image_loss=1e-5) is None
    what, good_until = look(250, image_loss=1e-5)
    assert "the image discriminator is sure of everything" in what and good_until == 150
    assert [halved(step, 9, 2) for step in range(9)] == [1.0] * 3 + [0.5] * 3 + [0.25] * 3


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        ({"right": 1.0, "wrong": 0.0, "fake": 1.0}, ["wrong"]),  # blind to text: three quarters are judged correctly
        ({"right": 1.0, "wrong": 1.0, "fake": 0.0}, ["fake"]),
        ({"right": 0.0, "wrong": 1.0, "fake": 1.0}, ["wrong", "fake"]),
        ({"right": 0.5, "wrong": 0.5, "fake": 0.5}, ["wrong", "fake"]),
        ({"right": 0.7, "wrong": 0.4, "fake": 0.6}, []),
    ],
)
def test_a_judge_that_is_blind_to_one_kind(shares, ends):
    since: dict[str, int] = {}
    means = {f"frame_{name}": value for name, value in (FINE | shares).items()}
    assert find_trouble(means, ["frame"], since, 50, 50, 100) is None and list(since) == [f"frame_{end}" for end in ends]
    found = find_trouble(means, ["frame"], since, 100, 50, 100)
    assert bool(found) == bool(ends) and (not ends or ("tells nothing of" in found[0] and found[1] == 0))
