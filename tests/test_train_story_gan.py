"""Training runs of StoryGAN and its reductions: products, the design's invariants 5 and 6, and aborts."""

from __future__ import annotations

import json
import shutil
import typing
from pathlib import Path

import pytest
import torch
import tyro
from conftest import ROOT, STORY, assert_same_training, script, weights
from safetensors.torch import load_file

from story_ldm import load_stories
from story_ldm.data.toonstories import TEXT_FORMS
from story_ldm.pipelines import StoryGANPipeline
from story_ldm.systems.dynamic_block_gan.networks import SYSTEMS as ABLATIONS
from story_ldm.systems.story_gan.networks import SYSTEMS
from story_ldm.training.adversarial import find_trouble
from story_ldm.training.gan_loop import first_sentences
from story_ldm.training.gan_settings import MAY_CHANGE, GANSettings
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
    result = json.loads((finished / "discriminators.json").read_text())
    scores = json.loads((finished / "scores.json").read_text())["rows"]
    assert [row[0] for row in scores] == [5 * BATCH, 10 * BATCH, STEPS * BATCH]
    best = min((5, 10, 12), key=lambda step: {row[0]: row[1] * row[2] for row in scores}[step * BATCH])
    assert result["split"] == "test" and result["step"] == STEPS and result["image"]["pairs"] == 30 and result["story"]["pairs"] == 6
    assert all(0 <= result[kind][name] <= 1 for kind in ("image", "story") for name in ("accuracy", "right_over_wrong"))
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
    assert "resuming from" in log and "step 1 |" not in log and "step 5 |" not in log
    expected, actual = weights(finished), weights(run)
    assert list(expected) == list(actual) and len(actual) > 50
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []
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


def test_a_sample_missing_after_a_kill_is_drawn(trainer, damsm, finished, tmp_path):
    """A run killed after its last checkpoint and before its sample has both the sample and the card's picture after resuming."""
    run = shutil.copytree(finished, tmp_path / "run")
    sample, card = run / "samples" / f"step-{STEPS:08d}.png", run / "pipeline" / "samples.png"
    expected = sample.read_bytes()
    assert card.read_bytes() == expected
    settings = run / "settings.json"
    settings.write_text(settings.read_text().replace(str(finished), str(run)))
    sample.unlink(), shutil.rmtree(run / "pipeline")
    trainer(*command(run, damsm, "--k-image", 2))
    assert sample.read_bytes() == card.read_bytes() == expected


def test_image_gan_has_no_story_discriminator(trainer, damsm, tmp_path):
    """And it makes as many iterations as the others do."""
    log = trainer(*command(tmp_path / "run", damsm, "--system", "image-gan", "--max-minutes", 0.5, "--k-story", 2))
    assert "image_accuracy" in log and "story_accuracy" not in log
    assert f"{STEPS // 2} of {STEPS // 2} steps done" in log
    assert StoryGANPipeline.from_pretrained(tmp_path / "run" / "pipeline").story_gan.config.system == "image-gan"


def test_the_kl_term_is_a_mean_by_default(trainer, damsm, tmp_path):
    results = []
    for more in ([], ["--kl", 1 / 16], ["--kl", 1 / 128]):  # h_0 has 16 numbers here
        run = tmp_path / str(len(results))
        trainer(*command(run, damsm, "--stories", 2 * BATCH, "--resolution", 32, "--validate-every", 0, "--sample-every", 0, *more))
        results.append(weights(run)["pipeline/story_gan/diffusion_pytorch_model.safetensors/story_encoder.mean.weight"])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def test_a_broken_training_stops(trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, "--learning-rate", 1e30))
    assert trainer.wait() != [0]
    assert "stopped at step" in trainer.log and "the run has no good checkpoint" in trainer.log
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "pipeline").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "large"], "invalid choice 'large' for argument '--preset'"),
        (["--image-batch", 1], "--image-batch is 1; it must be at least 2"),
        (["--k-story", 0], "--k-image is 1 and --k-story 0; both must be at least 1"),
        (["--system", "cp-csv"], "invalid choice 'cp-csv' for argument '--system'"),
        (["--resolution", 48], "--resolution is 48; a GAN draws powers of two from 16 on"),
        (["--text", "/nowhere"], "/nowhere is not a folder"),
        (["--evaluator", "/nowhere"], "/nowhere"),
    ],
)
def test_settings_are_checked_before_the_folder_is_claimed(more, message, trainer, damsm, tmp_path):
    trainer.start(*command(tmp_path / "run", damsm, *more))
    assert trainer.wait() != [0] and message in trainer.log
    assert not (tmp_path / "run").exists()


def test_a_collapsed_discriminator_stops_the_training(trainer, damsm, tmp_path):
    """One that says the same of everything from its second step on; the last good checkpoint is there still, though newer ones were written since."""
    more = ["--discriminator-norm", "group", "--discriminator-learning-rate", 1, "--checkpoint-every", 1, "--keep", 1, "--patience", 4]
    trainer.start(*command(tmp_path / "run", damsm, "--stories", 200, "--sample-every", 0, "--validate-every", 0, *more))
    assert trainer.wait() != [0] and "does not distinguish" in trainer.log
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
    result = json.loads((tmp_path / "run" / "discriminators.json").read_text())
    assert result["split"] == "validation" and result["story"]["pairs"] == 6


def test_stories_of_several_lengths_need_a_window(trainer, damsm, tmp_path):
    load_stories("toonstories", "train", 16, limit=8, length=(4, 3, 2)).to_parquet(tmp_path / "data" / "train-0.parquet")
    argv = command(tmp_path / "run", damsm, "--dataset", tmp_path / "data", "--max-minutes", 1e-9)
    trainer.start(*argv)
    assert trainer.wait() != [0] and "stories have 2 to 4 frames, and this training needs one length: set --window 2" in trainer.log
    assert "2 of 6 stories have fewer than 3 frames and are dropped" in trainer(*argv, "--window", 3)


def test_samples_have_the_length_of_training():
    assert [len(story) for story in first_sentences("toonstories", 3, "referential", 2)] == [2] * 3


def test_the_scripts_share_one_loop():
    """No run of six lines, imports included, stands in both; lines are compared without indentation and blank lines."""
    runs = []
    for name in ("story", "dynamic_block"):
        lines = [line.strip() for line in (ROOT / f"training/train_{name}_gan.py").read_text().splitlines() if line.strip()]
        runs.append({tuple(lines[n : n + 6]) for n in range(len(lines) - 5)})
    assert runs[0] & runs[1] == set()


@pytest.mark.parametrize("name", ["story", "dynamic_block"])
def test_choices_are_choices_for_the_parser(name):
    module = script(f"training/train_{name}_gan.py")
    types = typing.get_type_hints(module.Settings, include_extras=True)
    choices = {"system": SYSTEMS if name == "story" else ABLATIONS, "text_form": TEXT_FORMS}
    assert all(set(typing.get_args(types[field])) == set(values) for field, values in choices.items())
    for preset in module.PRESETS:
        assert tyro.cli(module.Settings, args=["--preset", preset]).preset == preset
    with pytest.raises(SystemExit):
        tyro.cli(module.Settings, args=["--preset", "large"])
    assert issubclass(module.Settings, GANSettings) and set(MAY_CHANGE) <= set(types)


FINE = {"loss": 1.0, "right": 0.9, "wrong": 0.8, "fake": 0.9}


def test_signs_of_a_collapsed_discriminator():
    fine = {f"{kind}_{name}": value for kind in ("image", "story") for name, value in FINE.items()}
    since: dict[str, int] = {}
    check = lambda step, patience=100, **means: find_trouble({**fine, **means}, ["image", "story"], since, step, 50, patience)  # noqa: E731
    assert check(50) is None and since == {}
    assert check(100, story_fake=0.05) is None and since == {"story_fake": 50}
    assert check(150) is None and since == {}, "it recovered"
    assert check(200, image_loss=1e-5) is None and since == {"image_won": 150}
    assert check(250, patience=0, image_loss=1e-5) is None
    description, good_until = check(250, image_loss=1e-5)
    assert "the image discriminator makes no errors" in description and good_until == 150
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
    trouble = find_trouble(means, ["frame"], since, 100, 50, 100)
    assert bool(trouble) == bool(ends) and (not ends or ("does not distinguish" in trouble[0] and trouble[1] == 0))
