"""Settings, start and end of a training run, as the scripts of training/ use them:

    accelerator = start_run(s, "story-ldm", may_change=("stories",))      # s: the script's settings, a subclass of RunSettings
    step = load_checkpoint(accelerator, s.output)["step"]                 # …, the loop
    finish_run(accelerator, s, s.output / "pipeline")

All randomness of a step is a pure function of (seed, step): the stories it reads (`StepBatches`) and every noise draw (`step_generator`).
A run resumed at step s therefore neither repeats nor skips anything, and N processes with 1/N of the batch each use the draws of one process
with the full batch (`local_rows`). Checkpoints are written to a temporary folder and renamed (`save_checkpoint`).
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

from story_ldm.data.stories import dataset_digests
from story_ldm.files import json_object, write_text
from story_ldm.locks import FolderInUseError, hold, release
from story_ldm.training.checkpoints import checkpoint_steps
from story_ldm.training.optimizers import cpu_has_bfloat16
from story_ldm.training.processes import any_process
from story_ldm.training.sharding import sharding

Precision = Literal["auto", "no", "bf16", "fp16"]
TextForm = Literal["referential", "full", "free"]


def one_of(table: Collection[str]) -> tyro.constructors.PrimitiveConstructorSpec[str]:
    """Annotation of a setting whose choices are the keys of a table: `preset: Annotated[str, one_of(PRESETS)]`."""
    names = tuple(table)
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join(names) + "}",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
        choices=names,
    )


@dataclass(kw_only=True)
class RunSettings:
    """Settings of every training script."""

    output: Path
    """Folder of the run: settings, checkpoints, and the finished model."""
    precision: Precision = "auto"
    """Mixed precision. auto: the launcher's, else fp16 on a GPU, bf16 on a CPU that has instructions for it (elsewhere it is many times slower
    than float32), else no. no: float32."""
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
    license: str | None = None
    """Licence in the model's card, by the hub's name (mit, cc-by-4.0, ...); by default the dataset's (mit for the built-in worlds). None where
    the dataset names none, or where the model holds weights of another (`--init-from`, `--text-from`, `--teacher`)."""
    num_proc: int = 2
    """Processes that prepare the dataset."""
    limit: int | None = None
    """Use only the first stories of each split."""


@dataclass(kw_only=True)
class StorySettings(RunSettings):
    """Settings of the scripts that train on whole stories."""

    dataset: str = "toonstories"
    """toonstories, toonstories-2, a folder, or hf://datasets/owner/name, as load_stories takes it."""
    fit: Literal["crop", "pad"] = "crop"
    """How pictures that are not square are fitted: cropped to the centre, or padded with black."""
    background: str = "white"
    """Colour under transparent parts of pictures, by its CSS name or #rrggbb."""
    flip: bool = False
    """Add a mirrored copy of each story whose sentences name no side."""
    window: int | None = None
    """Cut stories into windows of this many frames; shorter stories stay whole."""


MAY_ALWAYS_CHANGE = ("max_minutes", "timeout", "keep", "log_every", "log_with", "push_to_hub", "license", "num_proc", "workers")  # when a run goes on
RENAMED = {"length": "window"}  # settings of earlier versions


def default_precision() -> str:
    """The launcher's mixed precision; if it is "no", which is also the launcher's default, fp16 on a GPU and bf16 on a CPU where that is fast."""
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched != "no":
        return launched
    if torch.cuda.is_available():
        return "fp16"
    return "bf16" if cpu_has_bfloat16() else "no"


def run_record(s: RunSettings, **resolved: Any) -> dict[str, Any]:
    """The settings as stored in settings.json and in the model card, with the precision resolved and the values of `resolved` replaced."""
    return {**asdict(s), "precision": default_precision() if s.precision == "auto" else s.precision, **resolved}


def start_run(s: RunSettings, project: str, may_change: tuple[str, ...] = (), may_shard: bool = False, **resolved: Any) -> Accelerator:
    """Sets seeds, precision, processes and trackers, and claims the run's folder (`claim_run`). Returns the accelerator.

    project: name of the run for the trackers. may_change: settings that may differ when the run is resumed. may_shard: whether the script
    supports FSDP2 and ZeRO-2. resolved: see `run_record`. On a CPU, a launched process uses its share of the cores: the launcher sets one
    thread per process unless OMP_NUM_THREADS is set.

    Raises ValueError for settings that cannot run here, and SystemExit if --push-to-hub is not writable or `claim_run` refuses."""
    if sharding() and not may_shard:
        raise ValueError(f"the launcher is configured for {sharding()}; this script requires distributed_type MULTI_GPU: its networks fit every GPU")
    record = run_record(s, **resolved)
    precision = record["precision"]
    if s.log_with and find_spec(s.log_with) is None:
        raise ValueError(f'--log-with is {s.log_with}, which is not installed: pip install "story-ldm[trackers]"')
    process_group = InitProcessGroupKwargs(timeout=timedelta(minutes=s.timeout))
    if sharding() == "DeepSpeed":
        precision = "no"  # DeepSpeed would keep half-precision weights; configure_sharding sets its autocast instead
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[process_group], log_with=s.log_with, project_dir=s.output)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1" and accelerator.device.type == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    for name in ("batch", "image_batch"):
        if record.get(name, 0) % accelerator.num_processes:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} is {record[name]}; it must be divisible by the {accelerator.num_processes} processes")
    set_seed(s.seed)
    hub_error = None
    if s.push_to_hub and accelerator.is_main_process:
        try:
            create_repo(s.push_to_hub, exist_ok=True)
        except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
            hub_error = error
    if any_process(accelerator, hub_error is not None):
        raise SystemExit(f"--push-to-hub is {s.push_to_hub}, which is not writable ({hub_error}); log in by `hf auth login`" if hub_error else 1)
    claim_run(accelerator, s.output, record, may_change, dataset_digests(getattr(s, "dataset", "toonstories")))
    if s.log_with:
        accelerator.init_trackers(project, {name: str(value) for name, value in record.items()})
    return accelerator


def finish_run(accelerator: Accelerator, s: RunSettings, product: Path) -> None:
    """Uploads the finished model, the folder `product`, if --push-to-hub is set, and closes the trackers.

    Raises SystemExit if the upload fails; the folder stays."""
    if s.push_to_hub and accelerator.is_main_process:
        try:
            url = upload_folder(repo_id=s.push_to_hub, folder_path=product, ignore_patterns=["checkpoints/**", "settings.json", ".*"])
        except (HfHubHTTPError, OSError) as error:
            retry = f"retry by `hf upload {s.push_to_hub} {product}`"
            raise SystemExit(f"{product} is finished, but its upload to the hub failed ({error}); {retry}") from error
        print(f"{product} uploaded to {url}")
    for tracker in accelerator.trackers:
        tracker.finish()
    if accelerator.is_main_process:
        release(s.output)


def claim_run(
    accelerator: Accelerator, run: Path, record: dict[str, Any], may_change: tuple[str, ...] = (), data: dict[str, str] | None = None
) -> None:
    """Holds the run's folder, and writes the settings, and `data` (digests of the dataset's files), to its settings.json. If the run has a
    checkpoint, compares them with those it was started with first.

    Raises SystemExit if another process holds the folder, or, listing the differences, if a file of the dataset or a setting differs that is not in
    `may_change` or MAY_ALWAYS_CHANGE."""
    in_use = None
    if accelerator.is_main_process:
        try:
            hold(run)
        except FolderInUseError as error:
            in_use = error
    if any_process(accelerator, in_use is not None):
        raise SystemExit(f"--output: {in_use}" if in_use else 1)
    file, new = run / "settings.json", json.loads(json.dumps(record, default=str))
    if file.exists() and checkpoint_steps(run):
        old = {RENAMED.get(k, k): value for k, value in json_object(file).items()}
        # a setting that takes several values now took one in older versions
        same = [k for k in new if k in old and (old[k] == new[k] or [old[k]] == new[k])]
        before = old.pop("data", None) or data or {}
        if not isinstance(before, dict):
            raise ValueError(f"data of {file} is {before!r}; it must be the digests of the dataset's files, by name")
        files = [name for name in sorted({*before, *(data or {})}) if before.get(name) != (data or {}).get(name)]
        if files:
            lines = "\n".join(f"  {name}: {before.get(name, 'none')} → {(data or {}).get(name, 'none')}" for name in files)
            raise SystemExit(f"the dataset has changed since {run} was started; restore its files or choose another --output:\n{lines}")
        changed = [k for k in new if k not in (*may_change, *MAY_ALWAYS_CHANGE, *same) and k in old]
        if changed:
            lines = "\n".join(f"  {k}: {old[k]!r} → {new[k]!r}" for k in changed)
            raise SystemExit(f"--output is {run}, which holds a run with other settings; restore them or choose another --output:\n{lines}")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        run.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(new | ({"data": data} if data else {}), indent=1))
    accelerator.wait_for_everyone()
