"""A project as one zip file, to be kept or given to others, and back. What comes from others is checked before anything is written.

content = to_zip(project)
project = from_zip(root, key, content)
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

from story_ldm.app.projects import FILE, LARGEST_FILE, MOST_PIXELS, Project, create
from story_ldm.app.storyboard import MOST_FRAMES, MOST_VERSIONS, State, checked, files_of
from story_ldm.data.pictures import UNREADABLE, open_picture

MOST_BYTES = 200_000_000  # of all files, unpacked


def to_zip(project: Project) -> bytes:
    """`story.json` with the pictures and latents of its drawings; without the history."""
    with project.lock:
        state, _, _ = project.read()
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("story.json", json.dumps(state, ensure_ascii=False, indent=1), zipfile.ZIP_DEFLATED)
            for name in sorted(files_of(state)):
                if (project.folder / name).is_file():
                    packed.write(project.folder / name, name)
    return file.getvalue()


def from_zip(root: Path, key: str, content: bytes) -> Project:
    """A new project from a zip of `to_zip`. Raises ValueError, with nothing written, for anything else."""
    state, files = unpacked(content)
    return create(root, key, state=state, files=files)


def unpacked(content: bytes) -> tuple[State, dict[str, bytes]]:
    """The story of a zip and its files, by their names in a project. Nothing is written."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
            if len(members) > 2 * MOST_FRAMES * (MOST_VERSIONS + 1):
                raise ValueError(f"it has {len(members):,} files")
            if (size := sum(member.file_size for member in members)) > MOST_BYTES:
                raise ValueError(f"its files have {size:,} bytes; they may have at most {MOST_BYTES:,}")
            for member in members:
                if member.filename != "story.json" and not re.fullmatch(FILE, member.filename):
                    raise ValueError(f"it has a file {member.filename!r}, which no exported story has")
            read = {member.filename: _read(packed, member) for member in members}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"this is not the zip of an exported story: {error}") from None
    try:
        state = checked(json.loads(read.pop("story.json")))
    except (KeyError, RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"this is not the zip of an exported story: its story.json cannot be read ({type(error).__name__})") from None
    needed = files_of(state)
    if missing := needed - read.keys():
        raise ValueError(f"the zip has no {min(missing)}, which its story needs")
    for name in needed:
        _check_file(name, read[name])
    return state, {name: read[name] for name in needed}


def _read(packed: zipfile.ZipFile, member: Any) -> bytes:
    with packed.open(member) as stream:
        content = stream.read(member.file_size + 1)  # not more than its entry says, which was counted
    if len(content) > member.file_size:
        raise ValueError(f"{member.filename} is longer than its entry says")
    return content


def _check_file(name: str, content: bytes) -> None:
    """Raises ValueError for a file that is not what its name says: a digest of its content, a picture, a latent."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    kind, digest = name.split(".")[0].split("/")
    if hashlib.sha256(content).hexdigest() != digest or len(content) > 3 * LARGEST_FILE:
        raise ValueError(f"{name} was changed: its content is not that of its name")
    try:
        if kind == "frames":
            picture = open_picture(content)
            if picture.format != "PNG" or picture.width * picture.height > MOST_PIXELS:
                raise ValueError("it is no PNG, or too large")
            picture.load()
        else:
            latent = load(content)["latent"]
            if latent.ndim != 3 or not latent.is_floating_point() or not latent.isfinite().all():
                raise ValueError("it is no latent (channels, height, width) of finite numbers")
    except (*UNREADABLE, SafetensorError, KeyError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from None
