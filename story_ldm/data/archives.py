"""Unpacks zip and tar archives; refuses links, devices and members that would be written outside the folder."""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from story_ldm.data.faults import StoryDataError, as_fault
from story_ldm.files import written_beside

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def unpacked(copy: Path, work: Path) -> Path:
    """The copy itself if it is a folder or a single file; of an archive, the folder in `work` that it is unpacked to."""
    return extracted(copy, work) if copy.name.lower().endswith(ARCHIVES) and copy.is_file() else copy


def extracted(archive: Path, work: Path) -> Path:
    """The folder with an archive's files, unpacked into `work` once; if the archive has a single top-level folder, that folder.

    Raises StoryDataError, before anything is written, if a member is a link or a device or would be written outside the folder, or if the disk
    has too little space."""
    with as_fault(str(archive)):
        status = archive.stat()
        folder = work / f"{archive.name}.{status.st_size}.{status.st_mtime_ns}"  # an archive that replaces another is unpacked anew
        work.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            _extract(archive, work, folder)
    members = list(folder.iterdir())
    return members[0] if len(members) == 1 and members[0].is_dir() else folder


def _extract(archive: Path, work: Path, folder: Path) -> None:
    try:
        opened = zipfile.ZipFile(archive) if archive.name.lower().endswith(".zip") else tarfile.open(archive)
    except Exception as error:  # each compression library raises its own errors
        raise StoryDataError(f"{archive} cannot be opened: {error}") from None
    try:
        with opened as packed, written_beside(folder) as partial:
            _check_members(archive, packed, work)
            partial.mkdir()
            if isinstance(packed, tarfile.TarFile):  # Python before 3.10.12 and 3.11.4 has no filter; there the check above must do
                packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(partial)
    except (StoryDataError, MemoryError):
        raise
    except Exception as error:
        raise StoryDataError(f"{archive} cannot be unpacked: {error}") from None


def _check_members(archive: Path, packed: zipfile.ZipFile | tarfile.TarFile, work: Path) -> None:
    if isinstance(packed, zipfile.ZipFile):
        members = [(m.filename, m.file_size, stat.S_IFMT(m.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)) for m in packed.infolist()]
    else:
        members = [(m.name, m.size, m.isreg() or m.isdir()) for m in packed.getmembers()]
        while packed.fileobj and packed.fileobj.read(1 << 20):  # tarfile takes a broken header for the end; reading on verifies the checksum
            pass
    for name, _, plain in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
            raise StoryDataError(f"{archive} is refused: its member {name!r} would be written outside its folder")
        if not plain:
            raise StoryDataError(f"{archive} is refused: its member {name!r} is a link or a device; only files and folders are unpacked")
    needed, free = sum(size for _, size, _ in members), shutil.disk_usage(work).free
    if needed > free:
        raise StoryDataError(f"{archive} needs {needed:,} bytes of disk space; {work} has {free:,} free")
