"""What the training scripts share: a few plain functions, no trainer.

Everything random in a step is a pure function of (seed, step): which stories are read (`StepBatches`) and every noise draw
(`step_generator`). A run that goes on from step s therefore repeats nothing and skips nothing, and N processes with 1/N of the batch each
see the draws of one process with the whole batch (`local_rows`). Checkpoints are written beside and renamed (`save_checkpoint`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from huggingface_hub import create_repo, upload_folder
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException

from .files import file_digest, write_text
from .sharding import all_finite, sharding

Precision = Literal["auto", "no", "bf16", "fp16"]
AGAIN = 75  # exit code: stopped by a scheduler's signal, the same command goes on (EX_TEMPFAIL of sysexits.h)


@dataclass(kw_only=True)
class RunSettings:
    """What every training script can be told about its run."""

    output: Path
    """Folder of the run: settings, checkpoints, and what it makes."""
    precision: Precision = "auto"
    """auto: the fp16 or bf16 that the launcher was told, else fp16 on GPUs and bf16 on a CPU; no: float32."""
    seed: int = 0
    max_minutes: float | None = None
    """Stop (with a checkpoint and a product) after this many minutes."""
    timeout: float = 30
    """Minutes that a process waits for the others before it gives them up."""
    checkpoint_every: int = 500
    """Steps."""
    keep: int = 2
    """How many checkpoints."""
    log_every: int = 50
    """Steps."""
    log_with: Literal["tensorboard", "wandb", "trackio"] | None = None
    push_to_hub: str | None = None
    """OWNER/NAME on the Hugging Face hub that gets the finished model; wants a login (`hf auth login`)."""
    num_proc: int = 2
    """Processes that make or read the dataset."""
    limit: int | None = None
    """Only the first stories of each split."""


@dataclass(kw_only=True)
class StorySettings(RunSettings):
    """What the scripts that train on whole stories can be told about them, besides."""

    dataset: str = "toonstories"
    """Name or folder that load_stories takes."""
    fit: Literal["crop", "pad"] = "crop"
    """How pictures that are not square get a model's size: cut to their middle, or on black."""
    flip: bool = False
    """Add a mirrored copy of each story of which no sentence names a side."""
    length: int | None = None
    """Cut a folder's stories into stories of so many frames; needed where theirs differ."""


MAY_ALWAYS_CHANGE = ("max_minutes", "timeout", "keep", "log_every", "log_with", "push_to_hub", "num_proc", "workers")  # when a run goes on


def default_precision() -> str:
    """What the accelerate launcher was told; else fp16 on a GPU, bfloat16 on a CPU. The launcher says "no" where it was told nothing, too."""
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    return told if told != "no" else ("fp16" if torch.cuda.is_available() else "bf16")


def start_run(s: RunSettings, project: str, may_change: tuple[str, ...] = (), may_shard: bool = False) -> Accelerator:
    """Seeds, precision, processes and trackers of a run whose folder is claimed (`claim_run`). project: its name for the trackers.

    A CPU process of the launcher takes its share of the cores: the launcher gives it one thread where nobody asked."""
    if sharding() and not may_shard:
        raise ValueError(f"the launcher asks for {sharding()}; this script wants distributed_type MULTI_GPU: its networks fit every GPU")
    s.precision = precision = default_precision() if s.precision == "auto" else s.precision
    if s.log_with and find_spec(s.log_with) is None:
        raise ValueError(f'log_with is {s.log_with!r}, which is not installed: pip install -e ".[trackers]"')
    wait = InitProcessGroupKwargs(timeout=timedelta(minutes=s.timeout))
    if sharding() == "DeepSpeed":
        precision = "no"  # it would keep half weights; story_ldm.sharding tells it to autocast
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[wait], log_with=s.log_with, project_dir=s.output)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1" and accelerator.device.type == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    for name in ("batch", "image_batch"):
        if getattr(s, name, 0) % accelerator.num_processes:
            raise ValueError(f"{name} is {getattr(s, name)}; it must be divisible by the {accelerator.num_processes} processes that share it")
    set_seed(s.seed)
    trouble = None
    if s.push_to_hub and accelerator.is_main_process:
        try:
            create_repo(s.push_to_hub, exist_ok=True)
        except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
            trouble = error
    if any_process(accelerator, trouble is not None):
        raise SystemExit(f"push_to_hub is {s.push_to_hub!r}, which cannot be written ({trouble}); `hf auth login` first" if trouble else 1)
    claim_run(accelerator, s.output, s, may_change)
    if s.log_with:
        accelerator.init_trackers(project, {name: str(value) for name, value in vars(s).items()})
    return accelerator


def finish_run(accelerator: Accelerator, s: RunSettings, product: Path) -> None:
    """Sends the finished product (a folder) to the hub where `--push-to-hub` asks for it, and closes the trackers.

    Raises SystemExit where the hub does not take it; the product stays."""
    if s.push_to_hub and accelerator.is_main_process:
        try:
            where = upload_folder(repo_id=s.push_to_hub, folder_path=product, ignore_patterns=["checkpoints/**", "settings.json", ".*"])
        except (HfHubHTTPError, OSError) as error:
            again = f"`hf upload {s.push_to_hub} {product}` sends it"
            raise SystemExit(f"{product} is finished, but the hub did not take it ({error}); {again}") from error
        print(f"{product} is at {where}")
    for tracker in accelerator.trackers:
        tracker.finish()


def run_script(main: Callable[[Any], None], settings) -> None:
    """main(settings). Processes of other machines that cannot be reached any more end this one with one clear line, not with a page of gloo's."""
    try:
        main(settings)
    except (RuntimeError, OSError) as error:
        if not (dist.is_initialized() and (isinstance(error, dist.DistError) or "gloo" in str(error).lower())):
            raise
        text = f"another process cannot be reached any more ({str(error).splitlines()[0][:200]})"
        print(f"{text}; run the same command again on all machines to go on from the last checkpoint", file=sys.stderr, flush=True)
        os._exit(AGAIN)  # the group of processes cannot be taken down in order without the lost ones


class StepBatches:
    """Endless batches of row numbers: the permutations of epoch 0, 1, 2, … one after another, cut every `batch` rows; each process gets its
    share of each batch. Starts at any step without reading what lies before."""

    def __init__(self, rows: int, batch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1):
        assert batch % world == 0, f"the batch of {batch} rows cannot be shared by {world} processes"
        self.rows, self.batch, self.seed, self.start, self.rank, self.world = rows, batch, seed, start, rank, world

    def permutation(self, epoch: int) -> torch.Tensor:
        return torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))

    def __iter__(self) -> Iterator[list[int]]:
        position, share = self.start * self.batch, self.batch // self.world
        epoch, order = -1, None
        while True:
            batch = []
            for place in range(position, position + self.batch):
                if place // self.rows != epoch:
                    epoch = place // self.rows
                    order = self.permutation(epoch).tolist()
                batch.append(order[place % self.rows])
            yield batch[self.rank * share : (self.rank + 1) * share]
            position += self.batch


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 16 + stream)


def local_rows(accelerator: Accelerator, whole: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor drawn for the whole batch, on its device."""
    share = whole.shape[0] // accelerator.num_processes
    start = accelerator.process_index * share
    return whole[start : start + share].to(accelerator.device)


def warmup_cosine(step: int, warmup: int, total: int, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to `floor` at `total` steps."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def warmup_stable_decay(step: int, warmup: int, total: int, decay: float) -> float:
    """Factor on the learning rate: linear warm-up, level, then over the last `decay` of `total` steps linearly down to 0."""
    return min(1.0, (step + 1) / max(1, warmup), max(0.0, (total - step) / max(1.0, decay * total)))


def halved(step: int, total: int, halvings: int) -> float:
    """Factor on the learning rates: halved so many times, in equal parts of the run."""
    return 0.5 ** (step * (halvings + 1) // total)


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


def any_process(accelerator: Accelerator, mine: bool) -> bool:
    """Whether it is so in any process; called in all."""
    return bool(accelerator.reduce(torch.tensor(float(mine), device=accelerator.device), "max"))


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


def claim_run(accelerator: Accelerator, run: Path, settings, may_change: tuple[str, ...] = ()) -> None:
    """Writes the settings beside the run, or where it has a checkpoint compares them with those it was started with. Raises SystemExit that shows
    what differs."""
    file, now = run / "settings.json", json.loads(json.dumps(asdict(settings), default=str))
    if file.exists() and checkpoint_steps(run):
        then = json.loads(file.read_text())
        changed = [k for k in now if k not in (*may_change, *MAY_ALWAYS_CHANGE) and k in then and then[k] != now[k]]
        if changed:
            lines = "\n".join(f"  {k}: {then[k]!r} → {now[k]!r}" for k in changed)
            raise SystemExit(f"{run} holds a run with other settings; give the old ones or another --output:\n{lines}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        run.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(now, indent=1))
    accelerator.wait_for_everyone()


def save_component(model: nn.Module, folder: Path, dtype: torch.dtype | None = None, **settings) -> None:
    """`save_pretrained` of a component, optionally stored in another precision, written beside and renamed."""
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    (copy.deepcopy(model).to(dtype) if dtype else model).save_pretrained(beside, **settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(beside, folder)
