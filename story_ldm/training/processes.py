"""Agreement between the processes of a run, and a clean exit when one of them is lost.

`run_script(main, tyro.cli(Settings))` is the last line of every training script.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator

from story_ldm.one_line import one_line_errors

RESUME_EXIT_CODE = 75  # interrupted, and the same command resumes the run: EX_TEMPFAIL of sysexits.h
Settings = TypeVar("Settings")


def run_script(main: Callable[[Settings], None], settings: Settings) -> None:
    """Calls main(settings). If another process becomes unreachable, prints one line instead of gloo's traceback and exits with RESUME_EXIT_CODE.
    Wrong settings, and files that cannot be read or written, end it by one line and exit code 2."""
    try:
        main(settings)
    except (Exception, SystemExit) as error:
        if not (dist.is_initialized() and (isinstance(error, dist.DistError) or "gloo" in str(error).lower())):
            with one_line_errors(Path(sys.argv[0]).name):
                raise
        cause = f"another process is unreachable ({str(error).splitlines()[0][:200]})"
        print(f"{cause}; run the same command on all machines to resume from the last checkpoint", file=sys.stderr, flush=True)
        os._exit(RESUME_EXIT_CODE)  # a normal exit would wait for the lost processes to leave the process group


def any_process(accelerator: Accelerator, condition: bool) -> bool:
    """Whether `condition` is true in at least one process; must be called in all of them."""
    return bool(accelerator.reduce(torch.tensor(float(condition), device=accelerator.device), "max"))
