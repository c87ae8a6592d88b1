"""Checkpoints of a run, with checksums.

    progress = load_checkpoint(accelerator, run)                        # the newest undamaged one; {"step": 0} in a new run
    save_checkpoint(accelerator, run, step, keep=2, curve=curve)        # <run>/checkpoints/step-00001000

Each is written to a temporary folder and renamed, so it is complete or absent. Loading executes nothing that the files contain: torch's pickles are
read as plain data (`plain_data_only`). The checksums show damage; whoever can write to the folder can rewrite them, so they are no proof of origin.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException

from story_ldm.files import file_digest, json_object, partial_path, written_beside
from story_ldm.training.processes import any_process
from story_ldm.training.sharding import all_finite

FORCE, PREVENT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
DCP = "torch.distributed.checkpoint"
DCP_NAMES = {f"{DCP}.filesystem._StorageInfo", "torch.Size", "torch.serialization._get_layout", "pathlib.PosixPath", "pathlib.WindowsPath"}
DCP_NAMES |= {f"{DCP}.metadata.{name}StorageMetadata" for name in ("Bytes", "Chunk", "Tensor")}
DCP_NAMES |= {f"{DCP}.metadata.{name}" for name in ("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "_MEM_FORMAT_ENCODING")}
DCP_NAMES |= {f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of a run's complete checkpoints, in ascending order."""
    matches = (re.fullmatch(r"step-(\d+)", p.name) for p in (run / "checkpoints").glob("step-*"))
    return sorted(int(match[1]) for match in matches if match)


def save_checkpoint(accelerator: Accelerator, run: Path, step: int, keep: int, protect: int | None = None, **facts: Any) -> None:
    """Saves the state of a run as `checkpoints/step-N`: all that is registered with accelerate, `facts` in progress.json, and checksums.json.

    Keeps the `keep` newest checkpoints and the newest one up to step `protect`; an undamaged checkpoint of this step is not rewritten.
    Raises SystemExit, and keeps the older checkpoints, if a weight is NaN or infinite or the files cannot be written."""
    for model in accelerator._models:
        if any_process(accelerator, not all_finite(model)):
            stop_training(accelerator, run, step, f"a weight of {type(accelerator.unwrap_model(model)).__name__} is NaN or infinite")
    final = run / "checkpoints" / f"step-{step:08d}"
    if any_process(accelerator, accelerator.is_main_process and final.exists() and not damaged_files(final)):
        return
    partial = partial_path(final)
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    accelerator.wait_for_everyone()
    write_error = None
    try:
        accelerator.save_state(str(partial), safe_serialization=True)
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:  # each library has its own error for a full disk
        write_error = error
    if not any_process(accelerator, write_error is not None) and accelerator.is_main_process:
        try:
            (partial / "progress.json").write_text(json.dumps({"step": step, **facts}))
            (partial / "checksums.json").write_text(json.dumps(checksums(partial), indent=1))
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
            steps = checkpoint_steps(run)
            protected = [n for n in steps if protect is not None and n <= protect][-1:]
            for old in set(steps[:-keep]).difference(protected):
                shutil.rmtree(run / "checkpoints" / f"step-{old:08d}")
        except OSError as error:
            write_error = error
    if any_process(accelerator, write_error is not None):
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        stop_training(accelerator, run, step, f"the checkpoint could not be written ({write_error or 'by another process'})")


def load_checkpoint(accelerator: Accelerator, run: Path) -> dict[str, Any]:
    """Loads the run's newest undamaged checkpoint and returns its progress.json; {"step": 0} if the run has no checkpoint. Reports damaged ones.

    Raises SystemExit if all checkpoints are damaged, or if the newest undamaged one contains anything but plain data."""
    steps = checkpoint_steps(run)
    for step in reversed(steps):
        folder = run / "checkpoints" / f"step-{step:08d}"
        damaged = damaged_files(folder) if accelerator.is_main_process else []
        if not any_process(accelerator, bool(damaged)):
            try:
                with plain_data_only(folder):
                    accelerator.load_state(str(folder))
            except pickle.UnpicklingError as error:
                what = f"{folder} is refused: it must contain tensors, numbers and text only, and nothing of it was executed"
                raise SystemExit(f"{what} ({str(error).splitlines()[0]}); delete it to resume from an earlier one") from None
            accelerator.print(f"resuming from {folder}")
            return json_object(folder / "progress.json")
        accelerator.print(f"{folder} is damaged ({', '.join(damaged)}); skipped")
    if steps:
        raise SystemExit(f"all checkpoints in {run / 'checkpoints'} are damaged; delete them to start again" if accelerator.is_main_process else 1)
    return {"step": 0}


@contextmanager
def plain_data_only(folder: Path) -> Iterator[None]:
    """In this block `torch.load` reads plain data only, even where a library calls it with `weights_only=False`, as accelerate, DeepSpeed and
    torch's sharded checkpoints do. Of the latter, the index that torch reads by `pickle.load` is checked first.

    Raises pickle.UnpicklingError for anything else."""
    for file in folder.rglob(".metadata"):
        with file.open("rb") as stream:
            _ShardIndex(stream).load()
    before = {name: os.environ.pop(name, None) for name in (FORCE, PREVENT)}
    os.environ[FORCE] = "1"
    try:
        yield
    finally:
        del os.environ[FORCE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


class _ShardIndex(pickle.Unpickler):
    """Reads the index of a sharded checkpoint, which has its own classes only."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in DCP_NAMES:
            raise pickle.UnpicklingError(f"its index asks for {module}.{name}")
        return super().find_class(module, name)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder and its subfolders, by relative path; checksums.json itself is left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "checksums.json")
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


def damaged_files(folder: Path) -> list[str]:
    """Relative paths of a checkpoint's files that are missing, differ from their checksum, or are pipes, sockets or devices, which are not opened."""
    try:
        expected = json_object(folder / "checksums.json")
    except (OSError, ValueError):
        return ["checksums.json"]
    actual = checksums(folder)
    odd = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.exists() and not path.is_file() and not path.is_dir()]
    return odd + [name for name, digest in expected.items() if actual.get(name) != digest and name not in odd]


def stop_training(accelerator: Accelerator, run: Path, step: int, what: str, good_until: int | None = None) -> NoReturn:
    """Raises SystemExit in all processes; the main one's message has the cause `what` and the newest checkpoint up to step `good_until`."""
    good = [n for n in checkpoint_steps(run) if n <= (step if good_until is None else good_until)]
    last = f"the last good checkpoint is {run / 'checkpoints' / f'step-{good[-1]:08d}'}" if good else "the run has no good checkpoint"
    raise SystemExit(f"stopped at step {step}: {what}; {last}" if accelerator.is_main_process else 1)


def checkpoint_trained_weights(accelerator: Accelerator, model: nn.Module) -> None:
    """Makes checkpoints of a (prepared) model save and load its trainable weights only. Frozen weights come from the model that was built."""
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
    """16 hexadecimal digits of the SHA-256 of the facts and of all bytes of the tensors."""
    result = hashlib.sha256(facts.encode())
    for tensor in tensors:
        result.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return result.hexdigest()[:16]


def save_component(model: Any, folder: Path, dtype: torch.dtype | None = None, **settings) -> None:
    """Saves a component by its `save_pretrained`, as `dtype` if given; the folder is written under a temporary name and renamed."""
    with written_beside(folder) as partial:
        (copy.deepcopy(model).to(dtype) if dtype else model).save_pretrained(partial, **settings)
