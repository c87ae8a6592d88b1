"""Atomic writing of files and folders, Markdown tables, digests, and the shipped models. Imports the standard library only.

with written_beside(folder) as partial: ...     # `folder` appears complete, or not at all
write_text(file, text)
model_folder("toon-damsm")                      # of a shipped model, or of a folder that exists
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HUB_NAME = r"[\w-][\w.-]*/[\w-][\w.-]*"  # owner/name on the Hugging Face hub


def partial_path(target: Path) -> Path:
    """The name under which a file or folder is written before it is renamed: `.NAME.partial` in the same folder."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """Write a file or folder atomically: yields a temporary path in the same folder, which replaces `target` when the block ends, and is removed if
    it raises."""
    partial = partial_path(target)
    _remove(partial)
    try:
        yield partial
        if partial.is_dir():  # os.replace cannot replace a folder that has files
            shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    with written_beside(file) as partial:
        partial.write_text(text, encoding="utf-8")


def is_clutter(name: str) -> bool:
    """Whether a file or folder is one that systems leave beside a user's: ._0.png, .DS_Store, __MACOSX, Thumbs.db, desktop.ini."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def nfc(text: str) -> str:
    """The text in Unicode's composed form: macOS stores names of files decomposed, so that é is two characters there."""
    return unicodedata.normalize("NFC", text)


def check_name(setting: str, name: str) -> None:
    """Raises ValueError for what is no plain name: empty, "..", with a separator of folders, or with characters that are not printed."""
    if not name.strip() or name.strip() in (".", "..") or not name.isprintable() or re.search(r"[/\\]", name):
        raise ValueError(f"{setting} is {name!r}; it must be a name without / and \\ that can be printed, not a path")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Key that sorts names by the numbers in them: 2.png before 10.png."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def plain_markdown(text: Any) -> str:
    """Text escaped for Markdown, on one line: names and sentences come from files of others."""
    text = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def code_span(text: str) -> str:
    """Text as code in Markdown, on one line, between more backticks than it has in a row."""
    text = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def markdown_table(head: Iterable, rows: Iterable[Iterable], align: Sequence[str] = (), *, formatted: bool = False) -> str:
    """A table in Markdown. Cells are plain text, or Markdown if they are `formatted`. align: "---" (left) or "---:" (right) for each column; by
    default all are left."""
    head = list(head)
    cell = str if formatted else plain_markdown
    titles, *lines = (f"| {' | '.join(map(cell, cells))} |" for cells in [head, *rows])
    rule = f"| {' | '.join(align)} |" if align else "|---" * len(head) + "|"
    return "\n".join([titles.replace("|  ", "| "), rule, *lines])  # an empty title is written as one space


def regular_file(file: Path) -> Path:
    """The file itself. Raises OSError for a pipe, a socket or a device, on which reading may never end. Whether the file exists is for the reader."""
    if file.exists() and not file.is_file() and not file.is_dir():
        raise OSError(f"{file} is a pipe, a socket or a device; it must be a file")
    return file


def file_digest(file: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with regular_file(file).open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def json_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ValueError, which names the file, if it is not JSON or holds another value."""
    try:
        value = json.loads(regular_file(file).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{file} contains a {type(value).__name__}; it must be an object with the settings")
    return value


def of_this_package(error: BaseException) -> bool:
    """Whether an error was raised by a line of this package or its scripts, rather than by one of a library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module == "__main__" or module.split(".")[0] == "story_ldm"


def check_shards(folder: Path) -> None:
    """Raises ValueError if a list of weight files, in the folder or below, names one in another folder or of another kind than safetensors, and
    OSError if a file is a pipe, a socket or a device, for which libraries would wait."""
    for file in folder.rglob("*"):
        regular_file(file)
    for index in folder.rglob("*.index*.json"):
        try:
            names = set(json_object(index)["weight_map"].values())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{index} is not a list of weight files ({type(error).__name__}: {error})") from None
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith((".safetensors", ".bin")):
                raise ValueError(f"{index} names the weight file {name!r}; it must lie beside this list")


def shipped_models() -> dict[str, Path]:
    """Name → folder of the small trained models that come with the package, in a checkout or an installation."""
    package = Path(__file__).parent
    folders = (package / "checkpoints", package.parent / "checkpoints")  # in an installed wheel; in a checkout
    return {model.name: model for folder in folders for model in sorted(folder.glob("[a-z]*")) if model.is_dir()}


def model_folder(model: str | Path) -> Path:
    """The folder itself if it exists, else that of the shipped model with this name: `toon-damsm`, or `checkpoints/toon-damsm` as in a checkout."""
    model = Path(model)
    return model if model.exists() else shipped_models().get(model.as_posix().removeprefix("checkpoints/"), model)
