"""The design's invariant 5 the hard way: every training script is killed at twenty random moments and has the weights of one that was not."""

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

    def same(run: Path) -> None:
        found = weights(run)
        assert list(expected) == list(found) and len(found) > 10
        assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []
        assert not list(run.rglob("*.partial")), "what a killed run left half-written is gone"

    started = time.monotonic()
    trainer(*command(tmp_path / "whole"))
    usual, moments = time.monotonic() - started, random.Random(kind)
    expected = weights(tmp_path / "whole")
    killed = resumed = runs = 0
    while killed < KILLS:  # a run that got to its end between two kills is compared, and the next one begins
        run = tmp_path / f"run-{runs}"
        (process,) = trainer.start(*command(run))
        time.sleep(moments.uniform(0, usual))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        (code,) = trainer.wait()
        assert code in (0, -signal.SIGKILL), trainer.log[-3000:]
        killed += code != 0
        resumed += "going on from" in trainer.log
        if code == 0:
            same(run)
            runs += 1
    trainer(*command(tmp_path / f"run-{runs}"))
    same(tmp_path / f"run-{runs}")
    assert resumed > KILLS // 4, "most kills fell before the first checkpoint"
    print(f"{kind}: {killed} kills, {resumed} resumptions, {runs + 1} runs of the same weights")
