"""Zip and tar archives, unpacked without a member outside the folder, a link or a device."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from story_ldm.data.faults import StoryDataError, as_fault

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def unpacked(copy: Path, beside: Path) -> Path:
    """The folder of a copy: of an archive the one that it is unpacked into."""
    return extracted(copy, beside) if copy.name.lower().endswith(ARCHIVES) and copy.is_file() else copy


def extracted(archive: Path, beside: Path) -> Path:
    """The folder of an archive's files, unpacked once into `beside`; where everything lies in one folder, that one.

    Raises StoryDataError before anything is written if a member would lie outside, is a link or a device, or if there is no room for all."""
    with as_fault(str(archive)):
        now = archive.stat()  # an archive that has taken another's place is unpacked anew
        folder = beside / f"{archive.name}.{now.st_size}.{now.st_mtime_ns}"
        beside.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            _extract(archive, beside, folder)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _extract(archive: Path, beside: Path, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        opened = zipfile.ZipFile(archive) if archive.name.lower().endswith(".zip") else tarfile.open(archive)
    except Exception as error:  # each kind of compression fails in its own ways
        raise StoryDataError(f"{archive} cannot be opened: {error}") from None
    try:
        with opened as packed:
            _check_members(archive, packed, beside)
            partial.mkdir()
            if isinstance(packed, tarfile.TarFile):  # before Python 3.10.12 and 3.11.4 there is no filter, and only the check above
                packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(partial)
        os.replace(partial, folder)
    except (StoryDataError, MemoryError):
        raise
    except Exception as error:
        raise StoryDataError(f"{archive} cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_members(archive: Path, packed: zipfile.ZipFile | tarfile.TarFile, beside: Path) -> None:
    if isinstance(packed, zipfile.ZipFile):
        members = [(m.filename, m.file_size, stat.S_IFMT(m.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)) for m in packed.infolist()]
    else:
        members = [(m.name, m.size, m.isreg() or m.isdir()) for m in packed.getmembers()]
        while packed.fileobj.read(1 << 20):  # tarfile takes a broken header for the end; the checksum stands behind it
            pass
    for name, _, plain in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise StoryDataError(f"{archive} is refused: its member {name!r} would be written outside its folder")
        if not plain:
            raise StoryDataError(f"{archive} is refused: its member {name!r} is a link or a device; only files and folders are unpacked")
    needed, free = sum(size for _, size, _ in members), shutil.disk_usage(beside).free
    if needed > free:
        raise StoryDataError(f"{archive} would fill {needed:,} bytes; {free:,} are free in {beside}")
