"""Projects of the storyboard on disk: a folder each, saved at every edit, with undo and redo. Without any page.

project = create(root, key, "A walk")             # a folder in `root` that belongs to the user with this key
project.edit("sentence", lambda state: edit_frame(state, frame_id, sentence="She sits down."))
project.undo(); project.redo()
listed(root, key); opened(root, key, project.id); remove(root, key, project.id)

    <root>/<user>/<project>/story.json            the story as it is, and the number of its step
                            history/<step>.json   the story at each step
                            frames/<digest>.png   latents/<digest>.safetensors

Files are written beside and renamed, `story.json` last: a server that is killed at any moment leaves the story before the edit, or after it. Users
and projects have names that are made here; what users type is never part of a path.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from PIL import Image

from story_ldm.app.storyboard import State, checked, files_of, new_state
from story_ldm.data.pictures import UNREADABLE, as_rgb, open_picture, png
from story_ldm.files import json_object, write_text, written_beside

MOST_STEPS, MOST_PROJECTS = 100, 500
ONE_STEP = 3.0  # seconds within which edits of one kind, as the letters of a sentence, are one step of undo
LARGEST_FILE, MOST_PIXELS, LONGEST_SIDE = 20_000_000, 40_000_000, 1024  # of an uploaded picture: bytes, pixels, and the side it is kept with
FILE = r"(?:frames/[0-9a-f]{64}\.png|latents/[0-9a-f]{64}\.safetensors)"


@dataclass(eq=False)
class Project:
    """One project; get it by `create` or `opened`, so that all threads have the same one, with its lock."""

    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    last_edit: tuple[str, float] = ("", 0.0)

    @property
    def id(self) -> str:
        return self.folder.name

    def read(self) -> tuple[State, int, int]:
        """The story, the number of its step, and that of the last change, which grows with each write."""
        with self.lock:
            content = json_object(self.folder / "story.json")
            numbers = (content.get("step"), content.get("change"))
            if not all(isinstance(n, int) and n >= 0 for n in numbers):
                raise ValueError(f"{self.folder / 'story.json'} has no numbers of its step and change")
            return checked(content), *numbers  # type: ignore[return-value]

    def edit(self, kind: str, change: Callable[[State], Any], amend: bool = False) -> Any:
        """Changes the story, as a step of its own unless the step before was of the same kind a moment ago. Returns what `change` returns.

        amend: or at any time, as the frames of one drawing. Raises ValueError, with nothing written, if `change` does, or if its result is no right
        story."""
        with self.lock:
            if not self.folder.is_dir():
                raise ValueError("this story was deleted")
            before, step, count = self.read()
            state = deepcopy(before)
            result = change(state)
            state = checked(state)
            if state == before:
                return result
            now = time.monotonic()
            same = kind == self.last_edit[0] and (amend or now - self.last_edit[1] < ONE_STEP)
            if not (same and step):
                self._forget_after(step)
                step += 1
            self.last_edit = (kind, now)
            self._write(state, step, count + 1)
            return result

    def undo(self) -> bool:
        return self._go(-1)

    def redo(self) -> bool:
        return self._go(1)

    def can(self) -> tuple[bool, bool]:
        """Whether there is a step to undo, and one to redo."""
        _, step, _ = self.read()
        return self._at(step - 1).is_file(), self._at(step + 1).is_file()

    def _go(self, by: int) -> bool:
        with self.lock:
            _, step, count = self.read()
            file = self._at(step + by)
            if not file.is_file():
                return False
            self.last_edit = ("", 0.0)
            self._write(checked(json_object(file)), step + by, count + 1, history=False)
            return True

    def _at(self, step: int) -> Path:
        return self.folder / "history" / f"{step:08}.json"

    def _write(self, state: State, step: int, count: int, history: bool = True) -> None:
        if history:
            write_text(self._at(step), json.dumps(state, ensure_ascii=False))
            self._at(step - MOST_STEPS).unlink(missing_ok=True)
        content = {**state, "step": step, "change": count, "time": int(time.time())}
        write_text(self.folder / "story.json", json.dumps(content, ensure_ascii=False, indent=1))

    def _forget_after(self, step: int) -> None:
        for file in (self.folder / "history").glob("*.json"):
            if file.stem > f"{step:08}":
                file.unlink(missing_ok=True)

    # --- files of drawings ---

    def keep(self, kind: str, content: bytes) -> str:
        """Stores a picture ("frames") or a latent ("latents"). Returns the digest that it is found by."""
        digest = hashlib.sha256(content).hexdigest()
        file = self.folder / file_name(kind, digest)
        with self.lock:
            if not file.exists():
                with written_beside(file) as partial:
                    partial.write_bytes(content)
        return digest

    def content(self, kind: str, digest: str) -> bytes:
        """Raises ValueError if the project has no such file."""
        if not isinstance(digest, str) or not re.fullmatch(FILE, file_name(kind, digest)):
            raise ValueError(f"{digest!r} is not the name of a picture")
        try:
            return (self.folder / file_name(kind, digest)).read_bytes()
        except OSError:
            raise ValueError("this picture is no longer there") from None

    def picture(self, digest: str) -> Image.Image:
        return as_rgb(open_picture(self.content("frames", digest)))

    def sweep(self) -> None:
        """Removes the files of drawings that no step has."""
        with self.lock:
            kept = files_of(self.read()[0])
            for file in (self.folder / "history").glob("*.json"):
                with suppress(ValueError):
                    kept |= files_of(checked(json_object(file)))
            for file in [*(self.folder / "frames").iterdir(), *(self.folder / "latents").iterdir()]:
                if f"{file.parent.name}/{file.name}" not in kept:
                    file.unlink(missing_ok=True)


_OPEN: WeakValueDictionary[Path, Project] = WeakValueDictionary()
_OPENING = threading.Lock()


def file_name(kind: str, digest: str) -> str:
    return f"{kind}/{digest}.{'png' if kind == 'frames' else 'safetensors'}"


def user_folder(root: Path, key: Any) -> Path:
    """The folder of a user. The key itself is stored nowhere."""
    if not isinstance(key, str) or not 16 <= len(key) <= 200:
        raise ValueError("the key must have 16 to 200 characters")
    return root / hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def create(root: Path, key: str, title: str = "", state: State | None = None, files: dict[str, bytes] | None = None) -> Project:
    """A new project. state, files: of an imported one. Raises ValueError if the user has too many."""
    state = new_state(title) if state is None else checked(state)
    folder = user_folder(root, key)
    if folder.is_dir() and len(list(folder.iterdir())) >= MOST_PROJECTS:
        raise ValueError(f"you have {MOST_PROJECTS} stories; delete one first")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / secrets.token_hex(16)
    with written_beside(target) as partial:
        for name in ("history", "frames", "latents"):
            (partial / name).mkdir(parents=True)
        for name, content in (files or {}).items():
            (partial / name).write_bytes(content)
        Project(partial)._write(state, 0, 0)
    return opened(root, key, target.name)


def opened(root: Path, key: str, project: Any) -> Project:
    """A project of this user. Raises ValueError for a name that is none."""
    if not isinstance(project, str) or not re.fullmatch(r"[0-9a-f]{32}", project):
        raise ValueError(f"{project!r} is not the name of a story")
    folder = user_folder(root, key) / project
    with _OPENING:
        found = _OPEN.get(folder)
        if found is None:
            if not (folder / "story.json").is_file():
                raise ValueError("there is no such story, or it is not yours")
            found = _OPEN[folder] = Project(folder)
    return found


def listed(root: Path, key: str) -> list[dict[str, Any]]:
    """The user's projects, the last one changed first: id, title, number of frames, time, and the first picture."""
    rows = []
    for folder in user_folder(root, key).glob("[0-9a-f]*"):
        with suppress(ValueError, OSError):
            content = json_object(folder / "story.json")
            state = checked(content)
            pictures = [frame["drawn"]["picture"] for frame in state["frames"] if frame["drawn"]]
            first = next((frame["sentence"] for frame in state["frames"] if frame["sentence"].strip()), "")
            row = {"id": folder.name, "title": state["title"] or first, "frames": len(state["frames"]), "picture": next(iter(pictures), None)}
            rows.append({**row, "time": content.get("time", 0)})
    return sorted(rows, key=lambda row: -row["time"])


def remove(root: Path, key: str, project: str) -> None:
    found = opened(root, key, project)
    with found.lock:
        gone = found.folder.with_name(f".{found.id}.removed")
        found.folder.rename(gone)
        _OPEN.pop(found.folder, None)
    shutil.rmtree(gone, ignore_errors=True)


def uploaded_picture(content: bytes) -> bytes:
    """A picture from a user as PNG, upright, in RGB, its longer side at most `LONGEST_SIDE`. Raises ValueError for what is no picture, or is too
    large."""
    if len(content) > LARGEST_FILE:
        raise ValueError(f"the picture has {len(content):,} bytes; it may have at most {LARGEST_FILE:,}")
    try:
        picture = open_picture(content)
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"it has {picture.width:,} × {picture.height:,} pixels; it may have at most {MOST_PIXELS:,}")
        picture = as_rgb(picture)
    except UNREADABLE as error:
        raise ValueError(f"this is not a picture that can be read: {error}") from None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return png(picture)
