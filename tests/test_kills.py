"""The design's invariant 5 the hard way: every training script is killed at twenty random moments and has the weights of one that was not."""

from __future__ import annotations

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

    started = time.monotonic()
    trainer(*command(tmp_path / "whole"))
    usual, moments = time.monotonic() - started, random.Random(kind)
    killed = 0
    for _ in range(KILLS):
        (process,) = trainer.start(*command(tmp_path / "killed"))
        time.sleep(moments.uniform(0, usual))
        os.killpg(process, signal.SIGKILL)
        (code,) = trainer.wait()
        assert code in (0, -signal.SIGKILL), trainer.log[-3000:]
        killed += code != 0
    log = trainer(*command(tmp_path / "killed"))
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert killed > KILLS // 2 and "going on from" in log
    assert list(expected) == list(found) and len(found) > 10
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []
    assert not list((tmp_path / "killed").rglob("*.partial")), "what a killed run left half-written is gone"
