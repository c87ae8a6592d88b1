"""Tests that need a GPU: `pytest -m gpu -n 0`. Trains the shipped model for a few steps in half precision, with each option, and draws with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import ROOT, STORY
from safetensors.torch import load_file

from story_ldm.pipelines import StoryLDMPipeline

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SHIPPED = ROOT / "checkpoints" / "toon-story-ldm"
STEPS, BATCH = 6, 4


def train(cache: Path, output: Path, *more) -> str:
    """Trains a few steps from the shipped weights on 16 stories; returns the log."""
    argv = ["--init-from", SHIPPED, "--text", cache / "none", "--cache", cache, "--output", output, "--limit", 16, "--batch", BATCH, "--warmup", 1]
    argv += ["--stories", STEPS * BATCH, "--log-every", 1, "--checkpoint-every", 2, "--sample-every", 0, "--learning-rate", 1e-5, *more]
    command = [sys.executable, str(ROOT / "training" / "train_story_ldm.py"), *map(str, argv)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def losses(log: str) -> list[float]:
    return [float(value) for value in re.findall(r"\| loss ([\d.]+)", log)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def float32_losses(cache, tmp_path_factory) -> list[float]:
    return losses(train(cache, tmp_path_factory.mktemp("float32"), "--precision", "no"))


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--precision", "bf16"),
        ("--gradient-checkpointing",),
        ("--device-batch", 1),
        ("--compile",),
        pytest.param(("--xformers",), marks=pytest.mark.skipif(not find_spec("xformers"), reason="xformers is not installed")),
        pytest.param(("--optimizer", "adamw8bit"), marks=pytest.mark.skipif(not find_spec("bitsandbytes"), reason="bitsandbytes is not installed")),
    ],
    ids=lambda more: " ".join(map(str, more)) or "fp16",
)
def test_losses_are_those_of_float32(more, cache, float32_losses, tmp_path):
    """In half precision, with each option; checkpoints have float32 weights."""
    log = train(cache, tmp_path / "run", *more)
    actual = losses(log)
    close = [abs(a - b) < 0.05 * b + 0.002 for a, b in zip(actual, float32_losses, strict=True)]
    assert all(close), (actual, float32_losses)
    saved = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    scaled = (tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}" / "scaler.pt").exists()
    assert scaled == ("bf16" not in more), "only fp16 has a loss scaler"
    assert "GFLOPs per story" in log and "TFLOP/s" in log


def test_resumes_with_its_loss_scaler(cache, tmp_path):
    half = train(cache, tmp_path / "run", "--stories", STEPS // 2 * BATCH)
    rest = train(cache, tmp_path / "run")
    uninterrupted = train(cache, tmp_path / "uninterrupted")
    assert "resuming from" in rest and len(losses(half) + losses(rest)) == STEPS
    assert all(abs(a - b) < 1e-3 for a, b in zip(losses(half) + losses(rest), losses(uninterrupted)))
    progress = json.loads((tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}" / "progress.json").read_text())
    assert progress["step"] == STEPS


def test_frames_are_those_of_the_cpu():
    pictures = []
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.float16)):
        pipe = StoryLDMPipeline.from_pretrained(SHIPPED, dtype=dtype).to(device)
        pipe.set_progress_bar_config(disable=True)
        out = pipe(STORY, generator=torch.Generator().manual_seed(0), num_inference_steps=8, output_type="np")
        pictures.append(torch.from_numpy(out.frames[0]).float())
    assert (pictures[0] - pictures[1]).abs().mean() < 0.02
