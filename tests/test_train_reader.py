"""Training with a reader: train_reader.py on text alone, train_story_ldm.py with a reader in the place of the text encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import assert_same_training, script, weights
from test_reader import STORY, WORDS, tiny_reader

from story_ldm.data.toonstories.told import LABELS
from story_ldm.encoders.reader import UNKNOWN, WORD, Reader
from story_ldm.pipelines import StoryLDMPipeline

STEPS, BATCH = 6, 4


def command(output: Path, *more) -> list:
    argv = ["train_reader.py", "--output", output, "--stories", STEPS * BATCH, "--batch", BATCH, "--vocabulary", 40, "--lengths", 2, 3]
    return [*argv, "--width", 16, "--layers", 1, "--token-layers", 1, "--precision", "no", "--workers", 0, "--log-every", 1, *more]


@pytest.fixture(scope="module")
def finished(trainer, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("reader") / "run"
    log = trainer(*command(run))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories" in log and "referential | characters" in log
    return run


def test_a_finished_run_is_a_reader(finished):
    reader = Reader.from_pretrained(finished / "reader")
    assert reader.config.labels == LABELS and "the" in reader.config.words
    assert reader.understand([STORY])
    assert "train_reader.py" in (finished / "reader" / "README.md").read_text()


def test_stopped_and_run_again(trainer, finished, tmp_path):
    """Invariant 5."""
    run = tmp_path / "run"
    argv = command(run, "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000002", *argv)
    assert "resuming from" in trainer(*argv, "--workers", 1)
    expected, actual = weights(finished), weights(run)
    assert list(expected) == list(actual) and len(actual) > 20
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []


def test_two_processes_are_one(trainer, finished, tmp_path):
    """Invariant 6."""
    trainer(*command(tmp_path / "run"), processes=2)
    assert_same_training(weights(finished), weights(tmp_path / "run"))


def test_dropped_words():
    module = script("training/train_reader.py")
    tokens, _ = tiny_reader().tokenize([["the bear waves Zix"]])
    draws = torch.tensor([[0.0, 0.9, 0.9, 0.9], [0.0, 0.9, 0.0, 0.0]]).view(2, 1, 1, 4)
    dropped = module.drop_words(tokens, draws, 0.5)
    assert dropped[0, 0, :, 0].tolist() == [UNKNOWN, *tokens[0, 0, 1:, 0].tolist()]
    assert not dropped[0, 0, 2, 1:WORD].any()  # "waves" has lost its n-grams; "the" its row alone, and "Zix", which has no row, nothing
    assert torch.equal(dropped[0, 0, [0, 1, 3], 1:], tokens[0, 0, [0, 1, 3], 1:])


def story_command(output: Path, reader: Path, vae: Path, *more) -> list:
    argv = ["train_story_ldm.py", "--output", output, "--preset", "tiny", "--reader", reader, "--vae", vae, "--cache", output.parent / "cache"]
    argv += ["--stories", STEPS * BATCH, "--batch", BATCH, "--limit", 6, "--lengths", 2, 3, "--split", "train_wide", "--text-form", "free", "full"]
    return [*argv, "--precision", "no", "--sample-every", 4, "--sample-stories", 2, "--log-every", 1, "--num-proc", 1, "--store", "float32", *more]


@pytest.fixture(scope="module")
def story_run(trainer, tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("story-reader")
    torch.manual_seed(0)
    Reader(words=WORDS, labels=LABELS, width=8, heads=2, token_layers=1, layers=1).save_pretrained(folder / "reader")
    trainer("train_autoencoder.py", "--output", folder / "vae-run", "--preset", "tiny", "--stories", 8, "--batch", 4, "--limit", 6, "--num-proc", 1)
    log = trainer(*story_command(folder / "run", folder / "reader", folder / "vae-run" / "vae"))
    assert f"step {STEPS} |" in log and "| text " in log
    return folder / "run", folder / "reader", folder / "vae-run" / "vae"


def test_story_ldm_with_a_reader(story_run):
    """The reader is trained with the UNet, on stories of mixed lengths in several forms, and stands in the finished pipeline."""
    run, reader, _ = story_run
    pipe = StoryLDMPipeline.from_pretrained(run / "pipeline")
    assert pipe.text_encoder is None and pipe.tokenizer is None and pipe.language_memory is None
    assert len(pipe(STORY, num_inference_steps=2).frames[0]) == 3 and pipe.understand(STORY)
    before, after = Reader.from_pretrained(reader).state_dict(), pipe.reader.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {"word.weight", "blocks.0.to_q.weight", "character_head.weight", "which"} <= changed


def test_story_ldm_with_a_reader_stopped_and_run_again(trainer, story_run, tmp_path):
    run = tmp_path / "run"
    argv = story_command(run, *story_run[1:], "--checkpoint-every", 2)
    trainer.kill_at(run / "checkpoints" / "step-00000002", *argv)
    assert "resuming from" in trainer(*argv)
    expected, actual = weights(story_run[0]), weights(run)
    assert list(expected) == list(actual)
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []


def test_story_ldm_with_a_reader_in_two_processes(trainer, story_run, tmp_path):
    trainer(*story_command(tmp_path / "run", *story_run[1:]), processes=2)
    assert_same_training(weights(story_run[0]), weights(tmp_path / "run"))


def test_a_reader_of_another_width_is_refused(trainer, story_run, tmp_path):
    wide = tmp_path / "wide"
    Reader(words=WORDS, width=16, heads=2).save_pretrained(wide)
    with pytest.raises(AssertionError, match="the reader's width is 16; this UNet's cross-attention reads 8"):
        trainer(*story_command(tmp_path / "run", wide, story_run[2]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"free": 2.0}, "--free is 2.0"),
        ({"word_dropout": -1.0}, "--word-dropout is -1.0"),
        ({"lengths": (0, 3)}, r"--lengths is \(0, 3\)"),
        ({"lengths": ()}, r"--lengths is \(\)"),
        ({"split": "test"}, "--split is 'test'"),
    ],
)
def test_settings_out_of_range(wrong, message):
    module = script("training/train_reader.py")
    with pytest.raises(ValueError, match=message):
        module.check(module.Settings(**wrong))


def test_settings_that_exclude_a_reader_or_several_forms():
    module = script("training/train_story_ldm.py")
    folder, forms = Path("somewhere"), ("free", "full")
    for wrong, message in (
        ({"reader": folder, "init_from": folder, "train": "memory"}, "--reader is somewhere with --train memory"),
        ({"text_form": forms, "init_from": folder, "train": "memory"}, "--text-form is"),
        ({"text_form": forms, "freeze_text_encoder": True}, "--text-form is"),
        ({"text_form": forms, "reader": folder, "flip": True}, "--text-form is .* with --flip just one"),
    ):
        with pytest.raises(ValueError, match=message):
            module.check(module.Settings(**wrong))
