"""One process at a time for a folder. Imports the standard library only.

with locked(folder): ...         # another process gets an error that names this one
hold(folder)                     # until this process ends
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from story_ldm.files import regular_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD: dict[tuple[int, Path], IO[str]] = {}  # by process, because a fork copies the table, but not the locks


class FolderInUseError(ValueError):
    """Another process writes to the folder; the message names it."""


def hold(folder: Path) -> None:
    """Holds a folder, which is made if it is missing, until this process ends, however it ends. A process may hold it twice.

    Raises FolderInUseError if another process holds it. File systems without locks, and Windows, are not guarded."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").resolve()
    if fcntl is None or (os.getpid(), file) in _HELD:
        return
    stream = regular_file(file).open("a+")
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which children of a killed process would go on holding
    except OSError as error:
        stream.seek(0)
        holder = stream.read().strip() or "another process"
        stream.close()
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise FolderInUseError(f"{folder} is in use by {holder}; wait for it, end it, or choose another folder") from None
        return
    if not file.exists() or not os.path.samestat(os.fstat(stream.fileno()), file.stat()):  # its last holder has just removed it
        stream.close()
        return hold(folder)
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M')}")
    stream.flush()
    _HELD[os.getpid(), file] = stream


def release(folder: Path) -> None:
    """Releases a folder that this process holds."""
    if stream := _HELD.pop((os.getpid(), (folder / ".lock").resolve()), None):
        Path(stream.name).unlink(missing_ok=True)
        stream.close()
        with suppress(OSError):
            folder.rmdir()  # if nothing was written


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder during the block, as `hold` does."""
    hold(folder)
    try:
        yield
    finally:
        release(folder)
