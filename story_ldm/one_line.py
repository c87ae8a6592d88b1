"""Errors as one line and exit code 2, for commands and scripts. Imports the standard library only.

with one_line_errors("story-ldm"): ...
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from story_ldm.files import of_this_package

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
