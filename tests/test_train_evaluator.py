"""Training of the frame evaluator: invariants 5 and 6 of the design."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import assert_same_training, weights

STEPS, BATCH = 12, 4


def command(output: Path, *more) -> list:
    """Arguments of a run of 12 steps over 150 frames of the built-in world, most of them of pairs that are held out from all generators."""
    argv = ["train_evaluator.py", "--output", output, "--limit", 6, "--batch", BATCH, "--stories", -(-STEPS * BATCH // 5), "--warmup", 2]
    argv += ["--learning-rate", 3e-4]
    return [*argv, "--log-every", 1, "--workers", 0, "--num-proc", 1, *more]


@pytest.fixture(scope="module")
def finished(trainer, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("evaluator") / "run"
    log = trainer(*command(run))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} frames | loss" in log and "test_compositional | characters" in log
    return run


def test_stopped_and_run_again(trainer, finished, tmp_path):
    """Invariant 5: a run that is killed and resumed ends with the weights of an uninterrupted one."""
    argv = command(tmp_path / "run", "--checkpoint-every", 2)
    trainer.kill_at(tmp_path / "run" / "checkpoints" / "step-00000004", *argv)
    assert "resuming from" in trainer(*argv)
    expected, actual = ({name: value for name, value in weights(run).items() if "checkpoints" in name} for run in (finished, tmp_path / "run"))
    assert len(actual) > 20 and [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []


def test_two_processes_are_one_with_the_whole_batch(trainer, finished, tmp_path):
    """Invariant 6, in fp32 after 12 steps, which move the weights by 3e-3 (with batch statistics per process, they would differ by 1e-3).

    Excluded are the finished evaluator, because rounding may decide which weights are the best, and a bias before a batch norm together with
    that norm's mean, because the bias's gradient is only rounding."""
    trainer(*command(tmp_path / "run"), processes=2)
    runs = [weights(run) for run in (finished, tmp_path / "run")]
    excluded = ("trunk.0.bias", "trunk.1.running_mean")
    runs = [{name: value for name, value in run.items() if "checkpoints" in name and not name.endswith(excluded)} for run in runs]
    assert_same_training(*runs, limit=4e-4)
