"""Sharded training of Story-LDM with the configurations of training/accelerate_configs, but by two processes on a CPU.

ZeRO-2 is tested only if deepspeed is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from conftest import ROOT
from safetensors.torch import load_file
from test_training import NO_GRADIENT, STEPS, command, finished  # noqa: F401 (a fixture)

DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")


def launcher_environment(file: str) -> dict[str, str]:
    """Environment variables that the launcher sets for its processes with one of the configurations."""
    configuration = str(ROOT / "training" / "accelerate_configs" / file)
    arguments = _validate_launch_command(launch_command_parser().parse_args(["--config_file", configuration, "script.py"]))[0]
    arguments.deepspeed_fields_from_accelerate_config = "zero_stage"
    env = prepare_multi_gpu_env(arguments) if arguments.use_fsdp else prepare_deepspeed_cmd_env(arguments)[1]
    return {name: value for name, value in env.items() if name.startswith(("FSDP_", "ACCELERATE_"))}


def product(run: Path) -> dict[str, torch.Tensor]:
    """Weights of the finished pipeline."""
    return {f"{file.parent.name}/{name}": value for file in sorted(run.glob("pipeline/*/*.safetensors")) for name, value in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.parametrize("file", ["fsdp2.yaml", pytest.param("zero2.yaml", marks=DEEPSPEED)])
def test_a_sharded_run_equals_an_unsharded_one(file, trainer, finished, tmp_path):  # noqa: F811
    """Invariants 5 and 6: two processes with half of each weight, optimizer state and batch, killed and resumed, draw samples and save an
    unsharded pipeline with the weights of one process."""
    run, env = tmp_path / "run", launcher_environment(file)
    argv = command("story", run, finished, "--checkpoint-every", 2, "--device-batch", 1)
    trainer.kill_at(run / "checkpoints" / "step-00000004", *argv, processes=2, env=env)
    checkpoint = sorted((run / "checkpoints").glob("step-*"))[-1]
    parts = {"fsdp2.yaml": "*.distcp", "zero2.yaml": "*optim_states.pt"}
    assert len(list(checkpoint.rglob(parts[file]))) == {"fsdp2.yaml": 4, "zero2.yaml": 2}[file], "files of each process"
    log = trainer(*argv, processes=2, env=env)
    assert "resuming from" in log and "step 1 |" not in log
    assert len(list((run / "samples").iterdir())) == 2
    expected, actual = product(finished / "story"), product(run)
    assert list(expected) == list(actual) and len(actual) > 100
    for name, value in expected.items():
        if not name.endswith(NO_GRADIENT):
            torch.testing.assert_close(actual[name], value, atol=2e-4, rtol=2e-3, msg=lambda text, name=name: f"{name}: {text}")
    assert f"{STEPS} of {STEPS} steps done" in log


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("story", ["--optimizer", "muon"], "--optimizer is muon under FSDP2; it must be adamw"),
        ("language", [], "the launcher is configured for FSDP2; this script requires distributed_type MULTI_GPU"),
    ],
)
def test_settings_that_cannot_be_sharded(kind, more, message, trainer, finished, tmp_path):  # noqa: F811
    trainer.start(*command(kind, tmp_path / "run", finished, *more), processes=2, env=launcher_environment("fsdp2.yaml"))
    assert 0 not in trainer.wait() and message in trainer.log
    assert not (tmp_path / "run").exists()
