"""Units of story_ldm.training: batches, checkpoints, schedules, log lines, signals, start and end of a run, caches.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState, GradientState, PartialState
from conftest import ROOT, WIDTH, tiny_language_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.checkpoint.api import CheckpointException

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.training import checkpoints
from story_ldm.training import run as run_module
from story_ldm.training.caches import _cached
from story_ldm.training.checkpoints import checkpoint_steps, digest, load_checkpoint, plain_data_only, save_checkpoint, save_component, stop_training
from story_ldm.training.run import RunSettings, claim_run, default_precision, finish_run, start_run
from story_ldm.training.sharding import MovingAverage
from story_ldm.training.steps import StepBatches, local_rows, padded_frames, step_generator, warmup_cosine, warmup_stable_decay
from story_ldm.training.watch import Watch, forward_flops, peak_flops


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    yield Accelerator(mixed_precision="no")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.fixture(autouse=True)
def signals_as_before():
    """Restores the signal handlers that a Watch replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(1, 40), share=st.integers(1, 5), world=st.integers(1, 4), seed=st.integers(0, 9), start=st.integers(0, 25))
def test_step_batches(rows, share, world, seed, start):
    """Any start step replays the same batches; shares of the processes add up to the full batch; an epoch has every row once."""
    batch, steps = share * world, 12
    batches = list(islice(StepBatches(rows, batch, seed), start + steps))
    assert list(islice(StepBatches(rows, batch, seed, start), steps)) == batches[start:]
    shares = [islice(StepBatches(rows, batch, seed, start, rank, world), steps) for rank in range(world)]
    assert [[row for part in step for row in part] for step in zip(*shares, strict=True)] == batches[start:]
    order = [row for step in batches for row in step]
    for epoch in range(len(order) // rows):
        assert sorted(order[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data())
def test_padded_frames(lengths, data):
    """The frames of each story, then its last one again; all real frames weigh the same, with a mean of 1."""
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    index, weight = padded_frames(torch.tensor(lengths), rows)
    longest = max(lengths[n] for n in rows)
    assert index.shape == weight.shape == (len(rows), max(longest, 2) if max(lengths) > 1 else 1)
    for n, own, weights in zip(rows, index.tolist(), weight, strict=True):
        frames = range(sum(lengths[:n]), sum(lengths[: n + 1]))
        assert own == [*frames, *[frames[-1]] * (len(own) - len(frames))]
        assert weights.tolist() == [weight.max().item()] * len(frames) + [0] * (len(own) - len(frames))
    assert weight.mean().item() == pytest.approx(1)
    if len({lengths[n] for n in rows}) == 1 < longest:
        assert torch.equal(weight, torch.ones_like(weight)), "exactly: stories of one length are trained as if nothing was padded"


def test_epochs_and_seeds_have_their_own_order():
    orders = {tuple(StepBatches(50, 1, seed).permutation(epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    with pytest.raises(AssertionError, match="batch is 6; it must be divisible by the 4 processes"):
        StepBatches(10, 6, 0, world=4)


def test_draws_of_a_step():
    first = {torch.rand(1, generator=step_generator(seed, step, stream)).item() for seed in (0, 1) for step in (0, 1) for stream in (0, 1)}
    assert len(first) == 8
    assert torch.equal(torch.rand(4, generator=step_generator(3, 14)), torch.rand(4, generator=step_generator(3, 14)))
    batch = torch.arange(12).view(6, 2)
    shares = [local_rows(SimpleNamespace(num_processes=3, process_index=rank, device="cpu"), batch) for rank in range(3)]
    assert torch.equal(torch.cat(shares), batch) and all(len(share) == 2 for share in shares)


def test_schedules():
    cosine = [warmup_cosine(step, 10, 100, floor=0.1) for step in range(120)]
    assert cosine[0] == 0.1 and cosine[9] == cosine[10] == 1 and cosine[55] == pytest.approx(0.55)
    assert cosine[100] == cosine[119] == pytest.approx(0.1)
    assert cosine[:10] == sorted(cosine[:10]) and cosine[10:] == sorted(cosine[10:], reverse=True)
    stable = [warmup_stable_decay(step, 10, 100, 0.2) for step in range(120)]
    assert stable[0] == 0.1 and stable[9:81] == [1.0] * 72 and stable[90] == pytest.approx(0.5) and stable[99] == 0.05
    assert stable[100:] == [0.0] * 20
    # extreme settings: no warm-up, no decay, a run of one step
    assert warmup_cosine(0, 0, 10) == 1 and warmup_stable_decay(0, 0, 10, 0.2) == 1
    assert warmup_stable_decay(9, 1, 10, 0.0) == 1 and 0 < warmup_stable_decay(0, 300, 1, 0.2) <= 1 and 0 < warmup_cosine(0, 100, 1) <= 1


def make_training(accelerator):
    """A model, its optimizer and its schedule, prepared and registered as in the scripts."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    return model, optimizer, schedule


def one_step(accelerator, model, optimizer, schedule):
    accelerator.backward(model(torch.ones(1, 3)).square().sum())
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


def test_checkpoints_replay_and_are_pruned(accelerator, tmp_path):
    assert load_checkpoint(accelerator, tmp_path) == {"step": 0}
    training = make_training(accelerator)
    for step in range(1, 5):
        one_step(accelerator, *training)
        save_checkpoint(accelerator, tmp_path, step, keep=2, curve=[[step, 0.5]])
    assert checkpoint_steps(tmp_path) == [3, 4]
    newest = tmp_path / "checkpoints" / "step-00000004"
    assert (newest / "model.safetensors").exists() and not list(newest.parent.glob(".*"))
    one_step(accelerator, *training)
    expected = training[0].weight.detach().clone()
    assert load_checkpoint(accelerator, tmp_path) == {"step": 4, "curve": [[4, 0.5]]}
    assert training[2].last_epoch == 4
    one_step(accelerator, *training)
    assert torch.equal(training[0].weight, expected)


def test_interrupted_checkpoints_are_ignored(accelerator, tmp_path, monkeypatch):
    """Wherever saving is interrupted, the newest complete checkpoint is the one that is loaded."""
    training = make_training(accelerator)
    one_step(accelerator, *training)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    weight = training[0].weight.detach().clone()
    one_step(accelerator, *training)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    for where, name in ((accelerator, "save_state"), (checkpoints.os, "replace"), (checkpoints.json, "dumps")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, stop)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(accelerator, tmp_path, 2, keep=1)
        assert checkpoint_steps(tmp_path) == [1], name
    (tmp_path / "checkpoints" / "step-final").mkdir()  # a folder of the user's
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1} and torch.equal(training[0].weight, weight)
    save_checkpoint(accelerator, tmp_path, 2, keep=1)
    assert checkpoint_steps(tmp_path) == [2] and not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("damage", ["a byte", "the end", "a file", "checksums.json"])
def test_a_damaged_checkpoint_is_skipped(accelerator, tmp_path, capsys, damage):
    training = make_training(accelerator)
    for step in (1, 2):
        one_step(accelerator, *training)
        save_checkpoint(accelerator, tmp_path, step, keep=2)
    newest = tmp_path / "checkpoints" / "step-00000002"
    file = newest / ("checksums.json" if damage == "checksums.json" else "model.safetensors")
    content = file.read_bytes()
    if damage in ("a file", "checksums.json"):
        file.unlink()
    else:
        file.write_bytes(content[:-8] if damage == "the end" else content[:-1] + bytes([content[-1] ^ 1]))
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1} and training[2].last_epoch == 1
    assert f"step-00000002 is damaged ({file.name}); skipped" in capsys.readouterr().out
    (tmp_path / "checkpoints" / "step-00000001" / "progress.json").write_text("{")
    with pytest.raises(SystemExit, match=r"all checkpoints in .* are damaged"):
        load_checkpoint(accelerator, tmp_path)


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(accelerator, tmp_path):
    training = make_training(accelerator)
    one_step(accelerator, *training)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    one_step(accelerator, *training)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 700):  # bytes per file: the first write fails, or a later one
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(SystemExit, match=r"stopped at step 2: the checkpoint could not be written.*checkpoint is .*step-00000001$"):
                save_checkpoint(accelerator, tmp_path, 2, keep=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1}


def test_weights_that_are_not_finite_are_not_saved(accelerator, tmp_path):
    model, *_ = make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 3, keep=1)
    with torch.no_grad():
        model.weight[1, 2] = float("nan")
    with pytest.raises(SystemExit, match=r"stopped at step 4: a weight of Linear is NaN or infinite; the last good checkpoint is .*step-00000003"):
        save_checkpoint(accelerator, tmp_path, 4, keep=1)
    assert checkpoint_steps(tmp_path) == [3]


def test_stop_training_names_the_last_good_checkpoint(tmp_path):
    for step in (100, 200):
        (tmp_path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    main, other = SimpleNamespace(is_main_process=True), SimpleNamespace(is_main_process=False)
    for good_until, last in ((None, 200), (150, 100)):
        with pytest.raises(SystemExit, match=rf"stopped at step 250: it went wrong; the last good checkpoint is .*step-00000{last}"):
            stop_training(main, tmp_path, 250, "it went wrong", good_until)
    with pytest.raises(SystemExit) as stopped:
        stop_training(other, tmp_path, 250, "it went wrong", 50)
    assert stopped.value.code == 1, "without a message"


@dataclass
class Settings:
    output: Path
    batch: int = 8
    lengths: tuple[int, ...] = (5, 12)
    max_minutes: float | None = None


def test_claim_run(accelerator, tmp_path):
    run = tmp_path / "runs" / "a"
    claim_run(accelerator, run, asdict(Settings(run)), ("lengths",))
    (run / "checkpoints" / "step-00000001").mkdir(parents=True)
    claim_run(accelerator, run, asdict(Settings(run, max_minutes=3, lengths=(5,))), ("lengths",))
    claim_run(accelerator, run, asdict(Settings(run)), ("lengths",))
    with pytest.raises(SystemExit, match=r"other settings.*--output") as stopped:
        claim_run(accelerator, run, asdict(Settings(run, batch=4, lengths=(5,), max_minutes=3)))
    assert "  batch: 8 → 4\n  lengths: [5, 12] → [5]" in str(stopped.value) and "max_minutes" not in str(stopped.value)
    assert json.loads((run / "settings.json").read_text())["batch"] == 8, "the refused settings are not stored"
    stored = json.loads((run / "settings.json").read_text())
    del stored["lengths"]  # a setting that did not exist when the run was started
    (run / "settings.json").write_text(json.dumps(stored))
    claim_run(accelerator, run, asdict(Settings(run, lengths=(7,))))


def test_a_digest_changes_with_every_bit():
    """Or cached latents of one autoencoder would be taken for those of another."""
    one, two = torch.ones(3, 2), torch.tensor([1, 2])
    nearly = one.clone()
    nearly[2, 1] = torch.nextafter(one[2, 1], torch.tensor(2.0))
    variants = [("facts", [one, two]), ("fact", [one, two]), ("facts", [nearly, two]), ("facts", [one, two + 1]), ("facts", [one])]
    assert len({digest(facts, tensors) for facts, tensors in variants}) == len(variants)
    assert digest("facts", iter([one.clone(), two])) == digest("facts", [one.T.contiguous().T, two])


def test_save_component(tmp_path):
    memory, folder = tiny_language_memory(), tmp_path / "new" / "language_memory"
    for _ in range(2):
        save_component(memory, folder)
        assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"} and len(list(folder.parent.iterdir())) == 1
    assert torch.equal(LanguageMemory.from_pretrained(folder).to_out.weight, memory.to_out.weight)
    before = memory.to_out.weight.detach().clone()
    save_component(memory, folder, torch.float16)
    assert LanguageMemory.from_pretrained(folder, torch_dtype=torch.float16).config.width == WIDTH
    assert torch.equal(memory.to_out.weight, before), "saving in half precision must not round the model itself"


def test_watch(accelerator, tmp_path, capsys):
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    assert watch.tick(1, 4, 4, 0.1, loss=torch.tensor(2.0)) is None
    values = watch.tick(2, 8, 4, 0.1, loss=torch.tensor(4.0))
    assert values["loss"] == 3 and values["lr"] == 0.1 and values["stories_per_s"] > 0
    line = capsys.readouterr().err
    assert line.startswith("step 2 | 8/40 stories | loss 3.0000 | lr 1.00e-01 | ") and "stories/s | memory " in line and "GiB | ETA " in line
    watch.tick(3, 12, 4, 0.1, loss=torch.tensor(1.0))
    assert watch.tick(4, 16, 4, 0.1, loss=torch.tensor(1.0))["loss"] == 1, "each line averages the steps since the last one"


def test_eta_is_of_what_is_left(accelerator, tmp_path, capsys, monkeypatch):
    """Ten stories in five seconds: 100 more, of 1,300, take 50 seconds, which are a minute; the speed is that since the last line."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = Watch(accelerator, total=1300, every=1, run=tmp_path)
    for seconds, speed, eta in ((5, 2.0, "1 min"), (1, 10.0, "0 min")):
        now[0] += seconds
        assert watch.tick(1, 1200, 10, 0.1, loss=torch.tensor(2.0))["stories_per_s"] == pytest.approx(speed)
        assert f"ETA {eta}" in capsys.readouterr().err


def test_watch_reports_floating_point_operations(accelerator, tmp_path, capsys, monkeypatch):
    linear = torch.nn.Linear(8, 4, bias=False)
    assert forward_flops(linear, torch.ones(3, 8)) == 2 * 3 * 8 * 4, "one multiplication and one addition each"
    watch = Watch(accelerator, total=40, every=1, run=tmp_path, flops=5e12)
    values = watch.tick(1, 4, 4, 0.1, loss=torch.tensor(2.0))
    assert values["tflop_per_s"] == pytest.approx(5 * values["stories_per_s"]) and "of peak" not in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100 PCIe")
    assert peak_flops() == 756e12
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA Unheard-of")
    assert peak_flops() == 0


def test_hub(accelerator, tmp_path, monkeypatch, capsys):
    """A repository that is not writable stops the run before any work; if the upload fails, the finished model stays in its folder."""
    s = RunSettings(output=tmp_path / "run", push_to_hub="me/model", precision="no")
    calls = []

    def refuse(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr(run_module, "create_repo", refuse)
    with pytest.raises(SystemExit, match=r"--push-to-hub is me/model, which is not writable .offline.; log in by `hf auth login`"):
        start_run(s, "test")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(run_module, "create_repo", lambda name, exist_ok: calls.append(name))
    start_run(s, "test")
    monkeypatch.setattr(run_module, "upload_folder", refuse)
    with pytest.raises(SystemExit, match=r"model is finished, but its upload to the hub failed .offline.; retry by `hf upload me/model .*model`"):
        finish_run(accelerator, s, tmp_path / "model")
    monkeypatch.setattr(run_module, "upload_folder", lambda **options: calls.append(options) or "https://hub/me/model")
    finish_run(accelerator, s, tmp_path / "model")
    assert calls[0] == "me/model" and calls[1]["folder_path"] == tmp_path / "model"
    assert "model uploaded to https://hub/me/model" in capsys.readouterr().out


@pytest.mark.parametrize("file", [ROOT / "accelerate_config.yaml", *sorted((ROOT / "training" / "accelerate_configs").glob("*.yaml"))])
def test_accelerate_configurations(file):
    """The launcher can read each of them, and each sets half precision."""
    config = load_config_from_file(str(file))
    assert config.mixed_precision in ("fp16", "bf16") and config.num_processes >= 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_ends_the_loop_with_exit_code_75(accelerator, tmp_path, capsys, name):
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    assert not watch.time_is_up(None) and not watch.time_is_up(9) and watch.time_is_up(0)
    watch.leave_if_asked()
    os.kill(os.getpid(), signal.Signals[name])
    assert watch.time_is_up(None)
    with pytest.raises(SystemExit) as stopped:
        watch.leave_if_asked()
    assert stopped.value.code == 75 and capsys.readouterr().out.startswith(f"{name}: checkpoint written; run the same command to resume")


def test_signals_end_forked_workers(accelerator, tmp_path):
    """datasets' pool ends its workers by SIGTERM and waits for them, which would hang if they inherited the handler."""
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    for _ in range(20):  # terminated immediately, while the worker is starting
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        worker.terminate()
        worker.join(20)
        worker.kill()
        assert worker.exitcode == -signal.SIGTERM and not watch.time_is_up(None)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(signal.getsignal, (signal.SIGTERM,)) == signal.SIG_DFL, "a Python handler may never run in a worker that waits for a lock"
    os.kill(os.getpid(), signal.SIGTERM)
    assert watch.time_is_up(None), "the run itself still receives signals"


def test_watch_stops_a_failing_run(accelerator, tmp_path, capsys):
    watch = Watch(accelerator, total=400, every=2, run=tmp_path, frames=5)
    watch.tick(1, 4, 4, 0.1, loss=torch.tensor(1.0))
    with pytest.raises(SystemExit, match="stopped at step 2: loss is nan; the run has no good checkpoint"):
        watch.tick(2, 8, 4, 0.1, loss=torch.tensor(float("nan")))

    accelerator.scaler = scaler = torch.amp.GradScaler("cpu")
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.AdamW([weight], fused=True)  # fused, as in the scripts: it handles the scaler's skipped steps itself

    def step_with(gradient: float) -> None:
        optimizer.zero_grad()
        scaler.scale(weight * gradient).backward()
        scaler.step(optimizer)
        scaler.update()

    watch = Watch(accelerator, total=400, every=2, run=tmp_path, frames=5)
    for step in range(1, 54):
        overflows = step in (1, 3) or step > 4
        step_with(math.inf if overflows else 1.0)
        values = watch.tick(step, step, 1, 0.1, loss=torch.tensor(math.inf if overflows else 2.0))
        if step in (2, 4):
            assert values["loss"] == 2 and values["overflows"] == step // 2 and values["frames_per_s"] == 5 * values["stories_per_s"]
    assert "GiB | overflows 2 | ETA" in capsys.readouterr().err
    step_with(math.inf)
    with pytest.raises(SystemExit, match="stopped at step 54: 50 steps in a row overflowed"):
        watch.tick(54, 54, 1, 0.1, loss=torch.tensor(1.0))


def test_an_existing_checkpoint_is_not_rewritten(accelerator, tmp_path):
    """Unless it is damaged; and the checkpoint that `protect` names is not pruned."""
    training = make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    file = tmp_path / "checkpoints" / "step-00000001" / "model.safetensors"
    before = file.stat()
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    file.write_bytes(file.read_bytes()[:-1])
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    assert file.stat().st_size == before.st_size, "a damaged one is rewritten"
    for step in (2, 3, 4):
        one_step(accelerator, *training)
        save_checkpoint(accelerator, tmp_path, step, keep=1, protect=2)
    assert checkpoint_steps(tmp_path) == [2, 4]


def test_a_run_without_a_checkpoint_accepts_other_settings(accelerator, tmp_path):
    claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=1)))
    claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=2)))
    assert json.loads((tmp_path / "settings.json").read_text())["seed"] == 2
    make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    with pytest.raises(SystemExit, match="seed: 2 → 3"):
        claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=3)))


def test_a_run_of_an_earlier_version_goes_on(accelerator, tmp_path):
    """Its setting `length` is `window` now, and must not change either."""
    make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    (tmp_path / "settings.json").write_text('{"length": 4}')
    with pytest.raises(SystemExit, match="window: 4 → 5"):
        claim_run(accelerator, tmp_path, {"window": 5})
    claim_run(accelerator, tmp_path, {"window": 4})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"window": 4}


def test_invalid_settings_of_a_run(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ValueError, match="--log-with is trackio, which is not installed"):
        monkeypatch.setattr(run_module, "find_spec", lambda name: None)
        start_run(RunSettings(output=tmp_path, precision="no", log_with="trackio"), "test")
    monkeypatch.setattr(Accelerator, "num_processes", 3)
    s = RunSettings(output=tmp_path / "run", precision="no")
    with pytest.raises(ValueError, match=r"^--batch is 8; it must be divisible by the 3 processes$"):
        start_run(s, "test", batch=8)
    with pytest.raises(ValueError, match=r"^--image-batch is 7; it must be divisible by the 3 processes$"):
        start_run(s, "test", batch=9, image_batch=7)
    assert not s.output.exists()


def test_precision_and_threads(monkeypatch, tmp_path):
    """The launcher's defaults, precision "no" and one thread, count as not set."""
    default = "fp16" if torch.cuda.is_available() else "bf16" if torch.cpu._is_avx512_bf16_supported() else "no"
    for launched, precision in ((None, default), ("no", default), ("bf16", "bf16")):
        monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
        if launched:
            monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
        assert default_precision() == precision
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    threads = torch.get_num_threads()
    try:
        for launched in (False, True):
            for state in (AcceleratorState, GradientState, PartialState):
                state._reset_state()
            torch.set_num_threads(1)
            monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
            monkeypatch.setenv("OMP_NUM_THREADS", "1")
            if not launched:
                monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
            assert start_run(RunSettings(output=tmp_path, precision="no"), "test").mixed_precision == "no"
            assert torch.get_num_threads() == (len(os.sched_getaffinity(0)) if launched else 1)
    finally:
        torch.set_num_threads(threads)


def test_a_lost_process_is_reported_in_one_line():
    """Of two processes, one is killed: the other prints one line and exits with code 75."""
    code = """
import os, torch, torch.distributed as dist
from story_ldm.training.processes import run_script
def main(rank):
    dist.init_process_group("gloo", rank=rank, world_size=2)
    if rank == 1: os._exit(9)
    while True: dist.all_reduce(torch.ones(3))
run_script(main, int(os.environ["RANK"]))
"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        env = {**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    started = [subprocess.Popen([sys.executable, "-c", code], env={**env, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
    log = started[0].communicate(timeout=100)[1]
    assert [process.wait(100) for process in started] == [75, 9], log
    assert "another process is unreachable" in log and "run the same command on all machines to resume" in log and "Traceback" not in log


def test_the_cache_of_a_killed_run_is_rebuilt(tmp_path):
    """No partial file is left, and a finished cache is not computed again."""
    values, file, accelerator = torch.randn(10, 2, 3).half(), tmp_path / "cache" / "latents.npy", Accelerator(cpu=True)

    offsets = range(len(values) + 1)

    def killed(rows: range):
        yield 1 - values[:4].float()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _cached(accelerator, file, offsets, killed)
    assert not file.exists()
    made = _cached(accelerator, file, offsets, lambda rows: values[rows.start : rows.stop].split(4))
    assert torch.equal(made, values) and sorted(os.listdir(file.parent)) == [file.name, "latents.sha256"]
    assert torch.equal(_cached(accelerator, file, offsets, killed), values)


def test_a_cache_that_two_runs_make_at_once(tmp_path):
    """The other run begins later and ends first; values of bfloat16 are those that .half() makes."""
    values, file, accelerator = torch.randn(10, 2, 3).bfloat16(), tmp_path / "latents.npy", Accelerator(cpu=True)
    offsets = range(len(values) + 1)
    parts = lambda rows: values[rows.start : rows.stop].split(4)  # noqa: E731

    def slow(rows: range):
        first, *rest = parts(rows)
        yield first
        assert torch.equal(_cached(accelerator, file, offsets, parts), values.half())
        yield from rest

    for _ in range(2):
        assert torch.equal(_cached(accelerator, file, offsets, slow), values.half())
    assert sorted(os.listdir(tmp_path)) == [file.name, "latents.sha256"] and np.load(file).dtype == np.float16


def test_a_cache_that_is_incomplete_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="4 rows"):
        _cached(Accelerator(cpu=True), tmp_path / "latents.npy", range(11), lambda rows: iter([torch.zeros(6, 2)]))
    assert not (tmp_path / "latents.npy").exists()


class Planted:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def plant(checkpoint: Path, name: str, marker: Path) -> None:
    """Replaces a file of a checkpoint by a pickle with code in it, and hides it from the checksums."""
    torch.save({"shadow_params": Planted(marker)}, checkpoint / name)
    (checkpoint / "checksums.json").write_text(json.dumps(checkpoints.checksums(checkpoint)))


@pytest.mark.parametrize("name", ["custom_checkpoint_0.pkl", "optimizer.bin", "scheduler.bin", "random_states_0.pkl", "model.safetensors"])
def test_resuming_executes_nothing(name, accelerator, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # which users set for other programs
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    accelerator.prepare(model, optimizer, schedule)
    average = MovingAverage(model.parameters())
    accelerator.register_for_checkpointing(average)
    save_checkpoint(accelerator, tmp_path, 1, keep=2)
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1}
    checkpoint = tmp_path / "checkpoints" / "step-00000001"
    if name == "model.safetensors":
        (checkpoint / name).unlink()
    plant(checkpoint, name.replace("model.safetensors", "pytorch_model.bin"), tmp_path / "executed")
    if name == "random_states_0.pkl":  # accelerate goes on without them
        load_checkpoint(accelerator, tmp_path)
    else:
        with pytest.raises(SystemExit, match=r"step-00000001 is refused: it must contain tensors, numbers and text only"):
            load_checkpoint(accelerator, tmp_path)
    assert not (tmp_path / "executed").exists() and os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


def test_a_sharded_checkpoint_executes_nothing(tmp_path):
    """torch reads its index by `pickle.load`, and what is not a tensor by `weights_only=False`."""
    state = {"weight": torch.ones(3, dtype=torch.bfloat16), "lr": 0.5, "betas": (0.9, 0.99)}
    dcp.save(state, checkpoint_id=tmp_path / "dcp", no_dist=True)
    with plain_data_only(tmp_path):
        loaded = {"weight": torch.zeros(3, dtype=torch.bfloat16), "lr": 0.0, "betas": None}
        dcp.load(loaded, checkpoint_id=tmp_path / "dcp", no_dist=True)
    assert loaded["lr"] == 0.5 and loaded["betas"] == (0.9, 0.99) and torch.equal(loaded["weight"], state["weight"])
    dcp.save({"lr": Planted(tmp_path / "executed")}, checkpoint_id=tmp_path / "planted", no_dist=True)
    with plain_data_only(tmp_path / "planted"), pytest.raises((pickle.UnpicklingError, CheckpointException)):
        dcp.load({"lr": 0.0}, checkpoint_id=tmp_path / "planted", no_dist=True)
    (tmp_path / "dcp" / ".metadata").write_bytes(pickle.dumps(Planted(tmp_path / "executed")))
    with pytest.raises(pickle.UnpicklingError, match=r"its index asks for posix\.mkdir"), plain_data_only(tmp_path):
        raise AssertionError("the block is not entered")
    assert not (tmp_path / "executed").exists()
