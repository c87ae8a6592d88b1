"""The design's invariant 5 the hard way: every training script is killed at twenty random moments and has the weights of one that was not."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import test_damsm
import test_dynamic_block_gan
import test_story_gan
import test_training
import torch
from safetensors.torch import load_file
from test_story_gan import damsm  # noqa: F401 (a fixture)
from test_training import finished  # noqa: F401 (a fixture)

KILLS = 20
EVALUATOR = ["--limit", 6, "--batch", 4, "--stories", 10, "--log-every", 1, "--workers", 0, "--num-proc", 1]
SCRIPTS = ("autoencoder", "language", "story", "damsm", "evaluator", "story-gan", "dynamic-block-gan")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All that the run holds, but for checkpoints that a killed run left where the other pruned them."""
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = [file for file in sorted(run.rglob("*.safetensors")) if "checkpoints" not in file.parts or last in file.parents]
    return {f"{file.relative_to(run)}/{name}": value for file in files for name, value in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCRIPTS)
def test_twenty_kills(kind, trainer, finished, damsm, tmp_path):  # noqa: F811
    def command(run: Path) -> list:
        more = ("--checkpoint-every", 1)
        if kind in test_training.SCRIPTS:
            return test_training.command(kind, run, finished, *more)
        if kind == "damsm":
            return test_damsm.command(run, *more)
        if kind == "evaluator":
            return ["train_evaluator.py", "--output", run, *EVALUATOR, *more]
        return {"story-gan": test_story_gan, "dynamic-block-gan": test_dynamic_block_gan}[kind].command(run, damsm, *more)

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
