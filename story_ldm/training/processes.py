"""What the processes of a run agree on, and what they do when one is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator

AGAIN = 75  # exit code: stopped by a scheduler's signal, the same command goes on (EX_TEMPFAIL of sysexits.h)


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


def any_process(accelerator: Accelerator, mine: bool) -> bool:
    """Whether it is so in any process; called in all."""
    return bool(accelerator.reduce(torch.tensor(float(mine), device=accelerator.device), "max"))
