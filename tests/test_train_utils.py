"""Which stories a step reads, checkpoints that are whole or not there, and schedules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from conftest import WIDTH, tiny_language_memory
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm import train_utils
from story_ldm.text import LanguageMemory
from story_ldm.train_utils import (
    StepBatches,
    Watch,
    checkpoint_steps,
    claim_run,
    default_precision,
    load_checkpoint,
    local_rows,
    save_checkpoint,
    save_component,
    step_generator,
    warmup_cosine,
    warmup_stable_decay,
)


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    yield Accelerator(mixed_precision="no")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


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

    for where, name in ((accelerator, "save_state"), (train_utils.os, "replace"), (train_utils.json, "dumps")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, stop)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(accelerator, tmp_path, 2, keep=1)
        assert checkpoint_steps(tmp_path) == [1], name
    (tmp_path / "checkpoints" / "step-final").mkdir()  # somebody's own folder
    assert load_checkpoint(accelerator, tmp_path) == {"step": 1} and torch.equal(training[0].weight, weight)
    save_checkpoint(accelerator, tmp_path, 2, keep=1)
    assert checkpoint_steps(tmp_path) == [2] and not list((tmp_path / "checkpoints").glob(".*"))


@dataclass
class Settings:
    output: Path
    batch: int = 8
    lengths: tuple[int, ...] = (5, 12)
    max_minutes: float | None = None


def test_claim_run(accelerator, tmp_path):
    run = tmp_path / "runs" / "a"
    claim_run(accelerator, run, Settings(run), ("max_minutes",))
    claim_run(accelerator, run, Settings(run, max_minutes=3), ("max_minutes",))
    with pytest.raises(SystemExit, match=r"other settings.*--output") as stopped:
        claim_run(accelerator, run, Settings(run, batch=4, lengths=(5,)), ("max_minutes",))
    assert "  batch: 8 → 4\n  lengths: [5, 12] → [5]" in str(stopped.value) and "max_minutes" not in str(stopped.value)
    assert json.loads((run / "settings.json").read_text())["batch"] == 8, "the refused settings are not kept"
    older = json.loads((run / "settings.json").read_text())
    del older["lengths"]  # a setting that is newer than the run
    (run / "settings.json").write_text(json.dumps(older))
    claim_run(accelerator, run, Settings(run, lengths=(7,)), ("max_minutes",))


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


def test_watch(accelerator, capsys):
    watch = Watch(accelerator, total=40, every=2)
    assert watch.tick(1, 4, 4, 0.1, loss=torch.tensor(2.0)) is None
    values = watch.tick(2, 8, 4, 0.1, loss=torch.tensor(4.0))
    assert values["loss"] == 3 and values["lr"] == 0.1 and values["stories_per_s"] > 0
    line = capsys.readouterr().err
    assert line.startswith("step 2 | 8/40 stories | loss 3.0000 | lr 1.00e-01 | ") and "stories/s | ETA " in line
    watch.tick(3, 12, 4, 0.1, loss=torch.tensor(1.0))
    assert watch.tick(4, 16, 4, 0.1, loss=torch.tensor(1.0))["loss"] == 1, "the average starts anew after each line"


def test_default_precision(monkeypatch):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    assert default_precision() == ("fp16" if torch.cuda.is_available() else "bf16")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert default_precision() == "no"
