"""Unpacks zip and tar archives; refuses links, devices, members that would be written outside the folder, and archives that grow too large."""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from story_ldm.data.faults import StoryDataError, as_fault
from story_ldm.files import is_clutter, written_beside

RATIO = 50  # pictures hardly shrink when they are packed, tables to a tenth
BLOCK = 512  # bytes that an entry of a tar takes at least
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def unpacked(copy: Path, work: Path, most_gb: float | None = None) -> Path:
    """The copy itself if it is a folder or a single file; of an archive, the folder in `work` that it is unpacked to."""
    return extracted(copy, work, most_gb) if copy.name.lower().endswith(ARCHIVES) and copy.is_file() else copy


def extracted(archive: Path, work: Path, most_gb: float | None = None) -> Path:
    """The folder with an archive's files, unpacked into `work` once; if the archive has a single top-level folder, that folder.

    most_gb: the most gigabytes to unpack; by default `RATIO` times the archive's size, and at least 1. Raises StoryDataError, before anything is
    written, if that is exceeded, if a member is a link or a device or would be written outside the folder, or if the disk has too little space."""
    if most_gb is not None and most_gb <= 0:
        raise StoryDataError(f"--unpacked-gb is {most_gb:g}; it must be positive")
    with as_fault(str(archive)):
        status = archive.stat()
        folder = work / f"{archive.name}.{status.st_size}.{status.st_mtime_ns}"  # an archive that replaces another is unpacked anew
        work.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            most = most_gb * 1e9 if most_gb is not None else max(1e9, RATIO * status.st_size)
            _extract(archive, work, folder, most)
    members = [member for member in folder.iterdir() if not is_clutter(member.name)]  # macOS adds __MACOSX to a zip
    return members[0] if len(members) == 1 and members[0].is_dir() else folder


def _extract(archive: Path, work: Path, folder: Path, most: float) -> None:
    try:
        opened = zipfile.ZipFile(archive) if archive.name.lower().endswith(".zip") else tarfile.open(archive)
    except Exception as error:  # each compression library raises its own errors
        raise StoryDataError(f"{archive} cannot be opened: {error}") from None
    try:
        with opened as packed, written_beside(folder) as partial:
            _check_members(archive, packed, work, most)
            partial.mkdir()
            if isinstance(packed, tarfile.TarFile):  # Python before 3.10.12 and 3.11.4 has no filter; there the check above must do
                packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(partial)
    except (StoryDataError, MemoryError):
        raise
    except Exception as error:
        raise StoryDataError(f"{archive} cannot be unpacked: {error}") from None


def _check_members(archive: Path, packed: zipfile.ZipFile | tarfile.TarFile, work: Path, most: float) -> None:
    needed = 0
    for name, size, plain in _members(packed):
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise StoryDataError(f"{archive} is refused: its member {name!r} would be written outside its folder")
        if not plain:
            raise StoryDataError(f"{archive} is refused: its member {name!r} is a link or a device; only files and folders are unpacked")
        needed += size
        if needed > most:  # before the next member of a tar, which is behind all bytes of this one
            raise StoryDataError(f"{archive} is refused: its files have more than {most / 1e9:g} GB; if this is right, set --unpacked-gb")
    if needed > (free := shutil.disk_usage(work).free):
        raise StoryDataError(f"{archive} needs {needed:,} bytes of disk space; {work} has {free:,} free")


def _members(packed: zipfile.ZipFile | tarfile.TarFile) -> Iterator[tuple[str, int, bool]]:
    """Name, size with a block for its entry, and whether it is a file or folder, of each member."""
    if isinstance(packed, zipfile.ZipFile):
        for m in packed.infolist():
            yield m.filename, m.file_size + BLOCK, stat.S_IFMT(m.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
        return
    for member in packed:
        yield member.name, max(0, member.size) + BLOCK, member.isreg() or member.isdir()
    while packed.fileobj and (rest := packed.fileobj.read(1 << 20)):  # tarfile takes a broken header for the end; reading on verifies the checksum
        yield "", len(rest), True
