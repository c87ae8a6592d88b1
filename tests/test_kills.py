"""Invariant 5 of the design: a script killed at twenty random moments ends with the weights of an uninterrupted run, for all seven scripts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
import test_damsm
import test_train_dynamic_block_gan
import test_train_evaluator
import test_train_story_gan
import test_training
import torch
from conftest import weights
from test_training import finished  # noqa: F401 (a fixture)

KILLS = 20
SCRIPTS = ("autoencoder", "language", "story", "damsm", "evaluator", "story-gan", "dynamic-block-gan")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCRIPTS)
def test_twenty_kills(kind, trainer, finished, damsm, tmp_path):  # noqa: F811
    def command(run: Path) -> list:
        more = ("--checkpoint-every", 1)
        if kind in test_training.SCRIPTS:
            return test_training.command(kind, run, finished, *more)
        if kind in ("damsm", "evaluator"):
            return {"damsm": test_damsm, "evaluator": test_train_evaluator}[kind].command(run, *more)
        return {"story-gan": test_train_story_gan, "dynamic-block-gan": test_train_dynamic_block_gan}[kind].command(run, damsm, *more)

    def assert_same(run: Path) -> None:
        actual = weights(run)
        assert list(expected) == list(actual) and len(actual) > 10
        assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []
        assert not list(run.rglob("*.partial")), "partial files of killed runs are deleted"

    started = time.monotonic()
    trainer(*command(tmp_path / "uninterrupted"))
    duration, moments = time.monotonic() - started, random.Random(kind)
    expected = weights(tmp_path / "uninterrupted")
    killed = resumed = runs = 0
    while killed < KILLS:  # a run that finishes between two kills is compared, and a new one is started
        run = tmp_path / f"run-{runs}"
        (process,) = trainer.start(*command(run))
        time.sleep(moments.uniform(0, duration))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        (code,) = trainer.wait()
        assert code in (0, -signal.SIGKILL), trainer.log[-3000:]
        killed += code != 0
        resumed += "resuming from" in trainer.log
        if code == 0:
            assert_same(run)
            runs += 1
    trainer(*command(tmp_path / f"run-{runs}"))
    assert_same(tmp_path / f"run-{runs}")
    assert resumed > KILLS // 4, "most kills were before the first checkpoint"
    print(f"{kind}: {killed} kills, {resumed} times resumed, {runs + 1} runs with the same weights")
