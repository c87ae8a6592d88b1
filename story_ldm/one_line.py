"""Errors as one line and exit code 2, for commands and scripts. Imports the standard library only.

with one_line_errors("story-ldm"): ...
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Ends the program by one line on stderr and exit code 2 for wrong input (a ValueError of this package, a SystemExit with a text) and for files
    that cannot be read or written (OSError: a full disk, a read-only folder, no network). Other errors are faults of the program, and keep their
    traceback."""
    try:
        yield
    except (ValueError, OSError, SystemExit) as error:
        if (isinstance(error, SystemExit) and not isinstance(error.code, str)) or (isinstance(error, ValueError) and not _of_this_package(error)):
            raise
        end = SystemExit(f"{program}: {_one_line(str(error))}")
        print(end, file=sys.stderr)
        end.code = 2
        raise end from None


def _one_line(text: str) -> str:
    """The lines of a text as one: those of a list, which an earlier line announces by a colon, are separated by semicolons."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(line if n == len(lines) - 1 else f"{line} " if line.endswith((":", ";")) else f"{line}; " for n, line in enumerate(lines))


def _of_this_package(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module == "__main__" or module.split(".")[0] == "story_ldm"
