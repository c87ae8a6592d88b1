"""Which stories a step reads, checkpoints that are whole or not there, and schedules."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
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

import pytest
import torch
from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState, GradientState, PartialState
from conftest import ROOT, WIDTH, tiny_language_memory
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.training import checkpoints
from story_ldm.training import run as run_module
from story_ldm.training.caches import _cached
from story_ldm.training.checkpoints import checkpoint_steps, load_checkpoint, save_checkpoint, save_component, stop_training
from story_ldm.training.run import RunSettings, claim_run, default_precision, finish_run, start_run
from story_ldm.training.steps import StepBatches, local_rows, step_generator, warmup_cosine, warmup_stable_decay
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
    """A Watch takes SIGTERM for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(1, 40), share=st.integers(1, 5), world=st.integers(1, 4), seed=st.integers(0, 9), start=st.integers(0, 25))
def test_step_batches(rows, share, world, seed, start):
    """Started anywhere it replays exactly; the processes' parts make up the batch of one; an epoch reads every row once."""
    batch, steps = share * world, 12
    whole = list(islice(StepBatches(rows, batch, seed), start + steps))
    assert list(islice(StepBatches(rows, batch, seed, start), steps)) == whole[start:]
    parts = [islice(StepBatches(rows, batch, seed, start, rank, world), steps) for rank in range(world)]
    assert [[row for part in step for row in part] for step in zip(*parts, strict=True)] == whole[start:]
    order = [row for step in whole for row in step]
    for epoch in range(len(order) // rows):
        assert sorted(order[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_epochs_and_seeds_have_their_own_order():
    orders = {tuple(StepBatches(50, 1, seed).permutation(epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    with pytest.raises(AssertionError, match="batch of 6 rows cannot be shared by 4"):
        StepBatches(10, 6, 0, world=4)


def test_draws_of_a_step():
    first = {torch.rand(1, generator=step_generator(seed, step, stream)).item() for seed in (0, 1) for step in (0, 1) for stream in (0, 1)}
    assert len(first) == 8
    assert torch.equal(torch.rand(4, generator=step_generator(3, 14)), torch.rand(4, generator=step_generator(3, 14)))
    whole = torch.arange(12).view(6, 2)
    parts = [local_rows(SimpleNamespace(num_processes=3, process_index=rank, device="cpu"), whole) for rank in range(3)]
    assert torch.equal(torch.cat(parts), whole) and all(len(part) == 2 for part in parts)


def test_schedules():
    cosine = [warmup_cosine(step, 10, 100, floor=0.1) for step in range(120)]
    assert cosine[0] == 0.1 and cosine[9] == cosine[10] == 1 and cosine[55] == pytest.approx(0.55)
    assert cosine[100] == cosine[119] == pytest.approx(0.1)
    assert cosine[:10] == sorted(cosine[:10]) and cosine[10:] == sorted(cosine[10:], reverse=True)
    stable = [warmup_stable_decay(step, 10, 100, 0.2) for step in range(120)]
    assert stable[0] == 0.1 and stable[9:81] == [1.0] * 72 and stable[90] == pytest.approx(0.5) and stable[99] == 0.05
    assert stable[100:] == [0.0] * 20
    # settings at their ends: no warm-up, no decay, a run of one step
    assert warmup_cosine(0, 0, 10) == 1 and warmup_stable_decay(0, 0, 10, 0.2) == 1
    assert warmup_stable_decay(9, 1, 10, 0.0) == 1 and 0 < warmup_stable_decay(0, 300, 1, 0.2) <= 1 and 0 < warmup_cosine(0, 100, 1) <= 1


def make_training(accelerator):
    """A model, its optimizer and schedule, registered as the scripts do, with one step done."""
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


def test_a_checkpoint_that_was_not_finished_is_not_there(accelerator, tmp_path, monkeypatch):
    """Whatever is interrupted, the newest whole checkpoint stays the one to go on from."""
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
    (tmp_path / "checkpoints" / "step-final").mkdir()  # somebody's own folder
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1} and torch.equal(training[0].weight, weight)
    save_checkpoint(accelerator, tmp_path, 2, keep=1)
    assert checkpoint_steps(tmp_path) == [2] and not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("harm", ["a byte", "the end", "a file", "checksums.json"])
def test_a_damaged_checkpoint_is_passed_over(accelerator, tmp_path, capsys, harm):
    training = make_training(accelerator)
    for step in (1, 2):
        one_step(accelerator, *training)
        save_checkpoint(accelerator, tmp_path, step, keep=2)
    newest = tmp_path / "checkpoints" / "step-00000002"
    file = newest / ("checksums.json" if harm == "checksums.json" else "model.safetensors")
    whole = file.read_bytes()
    if harm in ("a file", "checksums.json"):
        file.unlink()
    else:
        file.write_bytes(whole[:-8] if harm == "the end" else whole[:-1] + bytes([whole[-1] ^ 1]))
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1} and training[2].last_epoch == 1
    assert f"step-00000002 is damaged ({file.name})" in capsys.readouterr().out
    (tmp_path / "checkpoints" / "step-00000001" / "progress.json").write_text("{")
    with pytest.raises(SystemExit, match=r"all checkpoints in .* are damaged"):
        load_checkpoint(accelerator, tmp_path)


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(accelerator, tmp_path):
    training = make_training(accelerator)
    one_step(accelerator, *training)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    one_step(accelerator, *training)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 700):  # of bytes a file: the first write fails, or a later one
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(SystemExit, match=r"stopped at step 2: its checkpoint could not be written.*checkpoint is .*step-00000001$"):
                save_checkpoint(accelerator, tmp_path, 2, keep=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1}


def test_weights_that_are_not_finite_are_not_kept(accelerator, tmp_path):
    model, *_ = make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 3, keep=1)
    with torch.no_grad():
        model.weight[1, 2] = float("nan")
    with pytest.raises(SystemExit, match=r"stopped at step 4: a weight of Linear is not finite; the last good checkpoint is .*step-00000003"):
        save_checkpoint(accelerator, tmp_path, 4, keep=1)
    assert checkpoint_steps(tmp_path) == [3]


def test_where_to_go_on_after_trouble(tmp_path):
    for step in (100, 200):
        (tmp_path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    main, other = SimpleNamespace(is_main_process=True), SimpleNamespace(is_main_process=False)
    for good_until, last in ((None, 200), (150, 100)):
        with pytest.raises(SystemExit, match=rf"stopped at step 250: it went wrong; the last good checkpoint is .*step-00000{last}"):
            stop_training(main, tmp_path, 250, "it went wrong", good_until)
    with pytest.raises(SystemExit) as quiet:
        stop_training(other, tmp_path, 250, "it went wrong", 50)
    assert quiet.value.code == 1


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
    assert json.loads((run / "settings.json").read_text())["batch"] == 8, "the refused settings are not kept"
    older = json.loads((run / "settings.json").read_text())
    del older["lengths"]  # a setting that is newer than the run
    (run / "settings.json").write_text(json.dumps(older))
    claim_run(accelerator, run, asdict(Settings(run, lengths=(7,))))


def test_save_component(tmp_path):
    memory, folder = tiny_language_memory(), tmp_path / "new" / "language_memory"
    for _ in range(2):
        save_component(memory, folder)
        assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"} and len(list(folder.parent.iterdir())) == 1
    assert torch.equal(LanguageMemory.from_pretrained(folder).to_out.weight, memory.to_out.weight)
    before = memory.to_out.weight.detach().clone()
    save_component(memory, folder, torch.float16)
    assert LanguageMemory.from_pretrained(folder, torch_dtype=torch.float16).config.width == WIDTH
    assert torch.equal(memory.to_out.weight, before), "storing it in half precision does not round the model itself"


def test_watch(accelerator, tmp_path, capsys):
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    assert watch.tick(1, 4, 4, 0.1, loss=torch.tensor(2.0)) is None
    values = watch.tick(2, 8, 4, 0.1, loss=torch.tensor(4.0))
    assert values["loss"] == 3 and values["lr"] == 0.1 and values["stories_per_s"] > 0
    line = capsys.readouterr().err
    assert line.startswith("step 2 | 8/40 stories | loss 3.0000 | lr 1.00e-01 | ") and "stories/s | memory " in line and "GiB | ETA " in line
    watch.tick(3, 12, 4, 0.1, loss=torch.tensor(1.0))
    assert watch.tick(4, 16, 4, 0.1, loss=torch.tensor(1.0))["loss"] == 1, "the average starts anew after each line"


def test_watch_tells_floating_point_operations(accelerator, tmp_path, capsys, monkeypatch):
    linear = torch.nn.Linear(8, 4, bias=False)
    assert forward_flops(linear, torch.ones(3, 8)) == 2 * 3 * 8 * 4, "a multiplication and an addition each"
    watch = Watch(accelerator, total=40, every=1, run=tmp_path, flops=5e12)
    values = watch.tick(1, 4, 4, 0.1, loss=torch.tensor(2.0))
    assert values["tflop_per_s"] == pytest.approx(5 * values["stories_per_s"]) and "of peak" not in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100 PCIe")
    assert peak_flops() == 756e12
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA Unheard-of")
    assert peak_flops() == 0


def test_hub(accelerator, tmp_path, monkeypatch, capsys):
    """A repository that cannot be written ends the run before any work; what the hub does not take in the end stays where it is."""
    s = RunSettings(output=tmp_path / "run", push_to_hub="me/model", precision="no")
    sent = []

    def refuse(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr(run_module, "create_repo", refuse)
    with pytest.raises(SystemExit, match=r"push_to_hub is 'me/model', which cannot be written .offline.; `hf auth login` first"):
        start_run(s, "test")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(run_module, "create_repo", lambda name, exist_ok: sent.append(name))
    start_run(s, "test")
    monkeypatch.setattr(run_module, "upload_folder", refuse)
    with pytest.raises(SystemExit, match=r"model is finished, but the hub did not take it .offline.; `hf upload me/model .*model` sends it"):
        finish_run(accelerator, s, tmp_path / "model")
    monkeypatch.setattr(run_module, "upload_folder", lambda **what: sent.append(what) or "https://hub/me/model")
    finish_run(accelerator, s, tmp_path / "model")
    assert sent[0] == "me/model" and sent[1]["folder_path"] == tmp_path / "model" and "model is at https://hub/me/model" in capsys.readouterr().out


@pytest.mark.parametrize("file", [ROOT / "accelerate_config.yaml", *sorted((ROOT / "training" / "accelerate_configs").glob("*.yaml"))])
def test_ready_configurations(file):
    """The launcher understands each, and each says how to use half precision."""
    config = load_config_from_file(str(file))
    assert config.mixed_precision in ("fp16", "bf16") and config.num_processes >= 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_ends_the_loop_and_says_again(accelerator, tmp_path, capsys, name):
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    assert not watch.time_is_up(None) and not watch.time_is_up(9) and watch.time_is_up(0)
    watch.leave_if_asked()
    os.kill(os.getpid(), signal.Signals[name])
    assert watch.time_is_up(None)
    with pytest.raises(SystemExit) as left:
        watch.leave_if_asked()
    assert left.value.code == 75 and capsys.readouterr().out.startswith(f"{name}: the checkpoint is written; run the same command again")


def test_a_worker_forked_later_dies_of_a_signal(accelerator, tmp_path):
    """A pool of datasets ends its workers by SIGTERM and waits for them."""
    watch = Watch(accelerator, total=40, every=2, run=tmp_path)
    for _ in range(20):  # at once, when it has hardly begun
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        worker.terminate()
        worker.join(20)
        worker.kill()
        assert worker.exitcode == -signal.SIGTERM and not watch.time_is_up(None)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(signal.getsignal, (signal.SIGTERM,)) == signal.SIG_DFL, "a handler in Python may come too late"
    os.kill(os.getpid(), signal.SIGTERM)
    assert watch.time_is_up(None), "the run itself hears them still"


def test_watch_stops_what_goes_nowhere(accelerator, tmp_path, capsys):
    watch = Watch(accelerator, total=400, every=2, run=tmp_path, frames=5)
    watch.tick(1, 4, 4, 0.1, loss=torch.tensor(1.0))
    with pytest.raises(SystemExit, match="stopped at step 2: loss is nan; there is no checkpoint from before"):
        watch.tick(2, 8, 4, 0.1, loss=torch.tensor(float("nan")))

    accelerator.scaler = scaler = torch.amp.GradScaler("cpu")
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.AdamW([weight], fused=True)  # as the scripts have it: one that the scaler's skipped steps do not pass by

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


def test_a_checkpoint_that_is_there_is_left_alone(accelerator, tmp_path):
    """A second save of a step does not take the first away before it is whole; and what a stop will name is not pruned."""
    training = make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    file = tmp_path / "checkpoints" / "step-00000001" / "model.safetensors"
    before = file.stat()
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    file.write_bytes(file.read_bytes()[:-1])
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    assert file.stat().st_size == before.st_size, "a damaged one is written anew"
    for step in (2, 3, 4):
        one_step(accelerator, *training)
        save_checkpoint(accelerator, tmp_path, step, keep=1, protect=2)
    assert checkpoint_steps(tmp_path) == [2, 4]


def test_a_run_without_a_checkpoint_may_begin_otherwise(accelerator, tmp_path):
    claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=1)))
    claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=2)))
    assert json.loads((tmp_path / "settings.json").read_text())["seed"] == 2
    make_training(accelerator)
    save_checkpoint(accelerator, tmp_path, 1, keep=1)
    with pytest.raises(SystemExit, match="seed: 2 → 3"):
        claim_run(accelerator, tmp_path, asdict(RunSettings(output=tmp_path, seed=3)))


def test_what_a_run_cannot_be_started_with(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ValueError, match="log_with is 'trackio', which is not installed"):
        monkeypatch.setattr(run_module, "find_spec", lambda name: None)
        start_run(RunSettings(output=tmp_path, precision="no", log_with="trackio"), "test")
    monkeypatch.setattr(Accelerator, "num_processes", 3)
    s = RunSettings(output=tmp_path / "run", precision="no")
    with pytest.raises(ValueError, match="batch is 8; it must be divisible by the 3 processes"):
        start_run(s, "test", batch=8)
    assert not s.output.exists()


def test_precision_and_threads(monkeypatch, tmp_path):
    """The launcher says "no" and one thread where nobody chose."""
    usual = "fp16" if torch.cuda.is_available() else "bf16"
    for told, precision in ((None, usual), ("no", usual), ("bf16", "bf16")):
        monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
        if told:
            monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", told)
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


def test_lost_processes_are_told_in_one_line():
    """Of a group of two, one is killed: the other ends with a line that says what to do, and with the code for "again"."""
    text = """
import os, torch, torch.distributed as dist
from story_ldm.training.processes import run_script
def main(rank):
    dist.init_process_group("gloo", rank=rank, world_size=2)
    if rank == 1: os._exit(9)
    while True: dist.all_reduce(torch.ones(3))
run_script(main, int(os.environ["RANK"]))
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        env = {**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    started = [subprocess.Popen([sys.executable, "-c", text], env={**env, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
    said = started[0].communicate(timeout=100)[1]
    assert [process.wait(100) for process in started] == [75, 9], said
    assert "another process cannot be reached any more" in said and "run the same command again on all machines" in said and "Traceback" not in said


def test_a_cache_that_a_killed_run_had_begun(tmp_path):
    """Is made anew, a part at a time; and no part of it is left, nor computed again."""
    values, file, accelerator = torch.randn(10, 2, 3).half(), tmp_path / "cache" / "latents.safetensors", Accelerator(cpu=True)

    def killed(rows: range):
        yield 1 - values[:4].float()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _cached(accelerator, file, len(values), killed)
    assert not file.exists()
    made = _cached(accelerator, file, len(values), lambda rows: values[rows.start : rows.stop].split(4))
    assert torch.equal(made, values) and os.listdir(file.parent) == [file.name]
    assert torch.equal(_cached(accelerator, file, len(values), killed), values)
