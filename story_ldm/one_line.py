"""Errors as one line and exit code 2, for commands and scripts. Imports the standard library only.

with one_line_errors("story-ldm"): ...
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OS_ERROR = re.compile(r"\(os error \d+\)")  # how safetensors and tokenizers, written in Rust, end what the system says


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Ends the program by one line on stderr and exit code 2 for wrong input (a ValueError of this package, a SystemExit with a text) and for files
    that cannot be read or written (OSError, and errors of libraries in Rust that quote one: a full disk, a read-only folder, no network). Other
    errors are faults of the program, and keep their traceback."""
    try:
        yield
    except (Exception, SystemExit) as error:
        text = isinstance(error, SystemExit) and isinstance(error.code, str)
        if not (text or isinstance(error, OSError) or OS_ERROR.search(str(error)) or (isinstance(error, ValueError) and of_this_package(error))):
            raise
        end = SystemExit(f"{program}: {_one_line(str(error))}")
        print(end, file=sys.stderr)
        end.code = 2
        raise end from None


def _one_line(text: str) -> str:
    """The lines of a text as one: those of a list, which an earlier line announces by a colon, are separated by semicolons."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(line if n == len(lines) - 1 else f"{line} " if line.endswith((":", ";")) else f"{line}; " for n, line in enumerate(lines))


def of_this_package(error: BaseException) -> bool:
    """Whether an error was raised by a line of this package or its scripts, rather than by one of a library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module == "__main__" or module.split(".")[0] == "story_ldm"
