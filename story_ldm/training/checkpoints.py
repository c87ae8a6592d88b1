"""Checkpoints of a run: written beside and renamed, with checksums; the newest undamaged one is loaded."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException

from story_ldm.files import file_digest
from story_ldm.training.processes import any_process
from story_ldm.training.sharding import all_finite


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the complete checkpoints of a run, oldest first."""
    found = (re.fullmatch(r"step-(\d+)", p.name) for p in (run / "checkpoints").glob("step-*"))
    return sorted(int(match[1]) for match in found if match)


def save_checkpoint(accelerator: Accelerator, run: Path, step: int, keep: int, protect: int | None = None, **facts) -> None:
    """The whole state of a run (what accelerate knows of, and `facts`) as `checkpoints/step-N`: written beside, then renamed; pruned to `keep`,
    but for the newest that is no later than step `protect`. `checksums.json` in it says what each file must be. One that is there is left alone.

    Raises SystemExit, and leaves the older checkpoints as they are, if a weight is not finite or the files cannot be written."""
    for model in accelerator._models:
        if any_process(accelerator, not all_finite(model)):
            stop_training(accelerator, run, step, f"a weight of {type(accelerator.unwrap_model(model)).__name__} is not finite")
    final = run / "checkpoints" / f"step-{step:08d}"
    if any_process(accelerator, accelerator.is_main_process and final.exists() and not damaged_files(final)):
        return
    beside = final.with_name(f".{final.name}.partial")
    if accelerator.is_main_process:
        shutil.rmtree(beside, ignore_errors=True)
    accelerator.wait_for_everyone()
    trouble = None
    try:
        accelerator.save_state(str(beside), safe_serialization=True)
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:  # the disk is full, say; all have errors of their own for it
        trouble = error
    if not any_process(accelerator, trouble is not None) and accelerator.is_main_process:
        try:
            (beside / "progress.json").write_text(json.dumps({"step": step, **facts}))
            (beside / "checksums.json").write_text(json.dumps(checksums(beside), indent=1))
            shutil.rmtree(final, ignore_errors=True)
            os.replace(beside, final)
            steps = checkpoint_steps(run)
            good = [n for n in steps if protect is not None and n <= protect][-1:]
            for old in set(steps[:-keep]).difference(good):
                shutil.rmtree(run / "checkpoints" / f"step-{old:08d}")
        except OSError as error:
            trouble = error
    if any_process(accelerator, trouble is not None):
        if accelerator.is_main_process:
            shutil.rmtree(beside, ignore_errors=True)
        stop_training(accelerator, run, step, f"its checkpoint could not be written ({trouble or 'by another process'})")


def load_checkpoint(accelerator: Accelerator, run: Path) -> dict:
    """Loads the newest undamaged checkpoint of the run; returns its progress, {"step": 0} where there is none. Names those that are damaged.

    Raises SystemExit where all are."""
    steps = checkpoint_steps(run)
    for step in reversed(steps):
        folder = run / "checkpoints" / f"step-{step:08d}"
        bad = damaged_files(folder) if accelerator.is_main_process else []
        if not any_process(accelerator, bool(bad)):
            accelerator.load_state(str(folder))
            accelerator.print(f"going on from {folder}")
            return json.loads((folder / "progress.json").read_text())
        accelerator.print(f"{folder} is damaged ({', '.join(bad)}); it is passed over")
    if steps:
        raise SystemExit(f"all checkpoints in {run / 'checkpoints'} are damaged; remove them to begin anew" if accelerator.is_main_process else 1)
    return {"step": 0}


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, by its path within."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "checksums.json")
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


def damaged_files(folder: Path) -> list[str]:
    """Files of a checkpoint that are missing or not as they were written."""
    try:
        promised = json.loads((folder / "checksums.json").read_text())
    except (OSError, ValueError):
        return ["checksums.json"]
    found = checksums(folder)
    return [name for name, digest in promised.items() if found.get(name) != digest]


def stop_training(accelerator: Accelerator, run: Path, step: int, what: str, good_until: int | None = None) -> None:
    """Ends all processes, with a message from the main one that says what happened and where the last good checkpoint (up to a step) lies."""
    good = [n for n in checkpoint_steps(run) if n <= (step if good_until is None else good_until)]
    where = f"the last good checkpoint is {run / 'checkpoints' / f'step-{good[-1]:08d}'}" if good else "there is no checkpoint from before"
    raise SystemExit(f"stopped at step {step}: {what}; {where}" if accelerator.is_main_process else 1)


def checkpoint_trained_weights(accelerator: Accelerator, model: nn.Module) -> None:
    """From now on checkpoints hold those weights of a (prepared) model that are trained, and the frozen ones stay as they are."""
    trained = {name: p.detach() for name, p in accelerator.unwrap_model(model).named_parameters() if p.requires_grad}

    def save(models: list, weights: list, folder: str) -> None:
        weights.clear()
        if accelerator.is_main_process:
            save_file({name: value.cpu().contiguous() for name, value in trained.items()}, Path(folder) / "model.safetensors")

    def load(models: list, folder: str) -> None:
        models.clear()
        saved = load_file(Path(folder) / "model.safetensors")
        assert saved.keys() == trained.keys(), f"{folder} holds other weights: {sorted(saved.keys() ^ trained.keys())}"
        for name, value in saved.items():
            trained[name].copy_(value)

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)


def digest(facts: str, tensors: Iterable[torch.Tensor]) -> str:
    """16 hexadecimal digits that change with the facts or with any bit of the tensors."""
    result = hashlib.sha256(facts.encode())
    for tensor in tensors:
        result.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return result.hexdigest()[:16]


def save_component(model: nn.Module, folder: Path, dtype: torch.dtype | None = None, **settings) -> None:
    """`save_pretrained` of a component, optionally stored in another precision, written beside and renamed."""
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    (copy.deepcopy(model).to(dtype) if dtype else model).save_pretrained(beside, **settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(beside, folder)
