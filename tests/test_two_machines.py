"""Training on two machines that lose their connection: two network namespaces joined by a veth pair, and accelerate's launcher.

    pytest -m slow tests/test_two_machines.py          # as root, with iproute2

The machines are namespaces of this one, so the test needs no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from story_ldm.training.checkpoints import checkpoint_steps

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2")]
TIMEOUT = 0.3  # minutes that a process waits for the others


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def machines():
    """Names of two namespaces, 10.77.0.1 and 10.77.0.2."""
    names = [f"story-ldm-{os.getpid()}-{n}" for n in (0, 1)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        for n, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.77.0.{n + 1}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def launched(machines: list[str], trainer, folder: Path, *argv) -> list[subprocess.Popen]:
    """Starts the launcher of each machine, which writes to log-0 or log-1."""
    processes = []
    for n, name in enumerate(machines):
        words = ["ip", "netns", "exec", name, sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "2"]
        words += ["--num_processes", "2", "--machine_rank", n, "--main_process_ip", "10.77.0.1", "--main_process_port", "29511"]
        words += ["--mixed_precision", "no", "--dynamo_backend", "no", "--rdzv_backend", "static", trainer.file, *argv, "--precision", "no"]
        env = trainer.env | {"GLOO_SOCKET_IFNAME": "cable", "HF_DATASETS_CACHE": str(folder / f"cache-{n}")}
        with open(folder / f"log-{n}", "a") as log:
            processes.append(subprocess.Popen(list(map(str, words)), env=env, cwd=folder, stdout=log, stderr=log))
    return processes


def wait_until(condition: Callable[[], bool], seconds: float, processes: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes), "a process ended or the time is up"
        time.sleep(0.05)


def test_a_lost_connection_ends_both_and_they_resume(machines, trainer, tmp_path):
    run = tmp_path / "run"
    argv = [ROOT / "training" / "train_language_memory.py", "--output", run, "--preset", "tiny", "--limit", 6, "--batch", 4, "--lengths", 5, 3]
    argv += ["--log-every", 1, "--checkpoint-every", 5, "--timeout", TIMEOUT]
    processes = launched(machines, trainer, tmp_path, *argv, "--stories", 400_000)
    try:
        wait_until(lambda: len(checkpoint_steps(run)) > 1, 120, processes)
        ip("-n", machines[1], "link", "set", "cable", "down")
        ends = [process.wait(60 * TIMEOUT + 60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(ends)
    for log in [(tmp_path / f"log-{n}").read_text() for n in (0, 1)]:
        assert "another process is unreachable" in log and "run the same command on all machines to resume" in log, log[-3000:]

    step = checkpoint_steps(run)[-1]
    ip("-n", machines[1], "link", "set", "cable", "up")
    for process in launched(machines, trainer, tmp_path, *argv, "--stories", 4 * (step + 20)):
        assert process.wait(180) == 0, (tmp_path / "log-0").read_text()[-3000:]
    assert checkpoint_steps(run)[-1] == step + 20 and (run / "language_memory").is_dir()
    assert f"resuming from {run / 'checkpoints' / f'step-{step:08d}'}" in (tmp_path / "log-0").read_text()
