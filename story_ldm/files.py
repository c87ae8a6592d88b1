"""Atomic writing of files and folders, Markdown tables, digests, and the shipped models. Imports the standard library only.

with written_beside(folder) as partial: ...     # `folder` appears complete, or not at all
write_text(file, text)
model_folder("toon-damsm")                      # of a shipped model, or of a folder that exists
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


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


def markdown_table(head: Iterable, rows: Iterable[Iterable], align: Sequence[str] = ()) -> str:
    """A table in Markdown. Cells are converted by `str`. align: "---" (left) or "---:" (right) for each column; by default all are left."""
    head = list(head)
    titles, *lines = (f"| {' | '.join(map(str, cells))} |" for cells in [head, *rows])
    rule = f"| {' | '.join(align)} |" if align else "|---" * len(head) + "|"
    return "\n".join([titles.replace("|  ", "| "), rule, *lines])  # an empty title is written as one space


def file_digest(file: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def shipped_models() -> dict[str, Path]:
    """Name → folder of the small trained models that come with the package, in a checkout or an installation."""
    package = Path(__file__).parent
    folders = (package / "checkpoints", package.parent / "checkpoints")  # in an installed wheel; in a checkout
    return {model.name: model for folder in folders for model in sorted(folder.glob("toon-*"))}


def model_folder(model: str | Path) -> Path:
    """The folder itself if it exists, else that of the shipped model with this name: `toon-damsm`, or `checkpoints/toon-damsm` as in a checkout."""
    model = Path(model)
    return model if model.exists() else shipped_models().get(model.as_posix().removeprefix("checkpoints/"), model)
