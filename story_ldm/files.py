"""Files that are whole or not there, and what they hold in one line. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_text(file: Path, text: str) -> None:
    """Written beside and renamed."""
    beside = file.with_name(f".{file.name}.partial")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, file)


def file_digest(file: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
