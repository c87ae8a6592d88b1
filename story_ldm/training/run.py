"""What the training scripts share: a few plain functions, no trainer.

Everything random in a step is a pure function of (seed, step): which stories are read (`StepBatches`) and every noise draw
(`step_generator`). A run that goes on from step s therefore repeats nothing and skips nothing, and N processes with 1/N of the batch each
see the draws of one process with the whole batch (`local_rows`). Checkpoints are written beside and renamed (`save_checkpoint`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from huggingface_hub import create_repo, upload_folder
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from story_ldm.files import write_text
from story_ldm.training.checkpoints import checkpoint_steps
from story_ldm.training.processes import any_process
from story_ldm.training.sharding import sharding

Precision = Literal["auto", "no", "bf16", "fp16"]
TextForm = Literal["referential", "full"]


def one_of(table: Collection[str]) -> Any:
    """Annotation of a setting whose choices are the keys of a table: `preset: Annotated[str, one_of(PRESETS)]`."""
    return tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(tuple(table)))


@dataclass(kw_only=True)
class RunSettings:
    """Settings of every training script."""

    output: Path
    """Folder of the run: settings, checkpoints, and the finished model."""
    precision: Precision = "auto"
    """Mixed precision. auto: the launcher's, else fp16 on a GPU and bf16 on a CPU; no: float32."""
    seed: int = 0
    """Seed of the order of the stories, of all noise and of new weights."""
    max_minutes: float | None = None
    """Stop after this many minutes, with a checkpoint and a finished model; the same command resumes the run."""
    timeout: float = 30
    """Minutes to wait for the other processes before giving up."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    keep: int = 2
    """Number of recent checkpoints to keep."""
    log_every: int = 50
    """Steps between log lines."""
    log_with: Literal["tensorboard", "wandb", "trackio"] | None = None
    """Tracker that also gets the logged values."""
    push_to_hub: str | None = None
    """OWNER/NAME on the Hugging Face hub to upload the finished model to; requires a login (`hf auth login`)."""
    num_proc: int = 2
    """Processes that prepare the dataset."""
    limit: int | None = None
    """Use only the first stories of each split."""


@dataclass(kw_only=True)
class StorySettings(RunSettings):
    """Settings of the scripts that train on whole stories."""

    dataset: str = "toonstories"
    """Name, folder or hub name of the stories, as load_stories takes it."""
    fit: Literal["crop", "pad"] = "crop"
    """How pictures that are not square are fitted: cropped to the centre, or padded with black."""
    flip: bool = False
    """Add a mirrored copy of each story whose sentences name no side."""
    length: int | None = None
    """Cut stories into windows of this many frames; required if their lengths differ."""


MAY_ALWAYS_CHANGE = ("max_minutes", "timeout", "keep", "log_every", "log_with", "push_to_hub", "num_proc", "workers")  # when a run goes on


def default_precision() -> str:
    """The launcher's mixed precision; where it has none ("no" is also its default), fp16 on a GPU and bfloat16 on a CPU."""
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    return launched if launched != "no" else ("fp16" if torch.cuda.is_available() else "bf16")


def run_record(s: RunSettings, **resolved) -> dict[str, Any]:
    """The settings as a run's settings.json and its card state them: those given, `resolved` and the precision in place of what was left open."""
    return {**asdict(s), "precision": default_precision() if s.precision == "auto" else s.precision, **resolved}


def start_run(s: RunSettings, project: str, may_change: tuple[str, ...] = (), may_shard: bool = False, **resolved) -> Accelerator:
    """Seeds, precision, processes and trackers of a run whose folder is claimed (`claim_run`). project: its name for the trackers.
    may_change: settings that may differ when the run is resumed. resolved: see `run_record`.

    A CPU process of the launcher takes its share of the cores: the launcher gives it one thread where nobody asked."""
    if sharding() and not may_shard:
        raise ValueError(f"the launcher asks for {sharding()}; this script wants distributed_type MULTI_GPU: its networks fit every GPU")
    record = run_record(s, **resolved)
    precision = record["precision"]
    if s.log_with and find_spec(s.log_with) is None:
        raise ValueError(f'log_with is {s.log_with!r}, which is not installed: pip install -e ".[trackers]"')
    wait = InitProcessGroupKwargs(timeout=timedelta(minutes=s.timeout))
    if sharding() == "DeepSpeed":
        precision = "no"  # it would keep half weights; story_ldm.training.sharding tells it to autocast
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[wait], log_with=s.log_with, project_dir=s.output)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1" and accelerator.device.type == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    for name in ("batch", "image_batch"):
        if record.get(name, 0) % accelerator.num_processes:
            raise ValueError(f"{name} is {record[name]}; it must be divisible by the {accelerator.num_processes} processes that share it")
    set_seed(s.seed)
    trouble = None
    if s.push_to_hub and accelerator.is_main_process:
        try:
            create_repo(s.push_to_hub, exist_ok=True)
        except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
            trouble = error
    if any_process(accelerator, trouble is not None):
        raise SystemExit(f"push_to_hub is {s.push_to_hub!r}, which cannot be written ({trouble}); `hf auth login` first" if trouble else 1)
    claim_run(accelerator, s.output, record, may_change)
    if s.log_with:
        accelerator.init_trackers(project, {name: str(value) for name, value in record.items()})
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


def claim_run(accelerator: Accelerator, run: Path, record: dict[str, Any], may_change: tuple[str, ...] = ()) -> None:
    """Writes the settings into the run's folder or, where it has a checkpoint, compares them with those it was started with. Raises SystemExit
    that lists the differences."""
    file, now = run / "settings.json", json.loads(json.dumps(record, default=str))
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
