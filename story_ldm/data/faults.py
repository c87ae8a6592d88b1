"""Faults of data that others made: one error that says what, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoryDataError(ValueError):
    """Something is wrong with the data; the message says what, where, and what would be right."""


@contextmanager
def as_fault(where: str) -> Iterator[None]:
    """Whatever the data of others makes their readers raise, as a StoryDataError that names the place; only a want of memory is none of theirs."""
    try:
        yield
    except (StoryDataError, MemoryError):
        raise
    except Exception as error:
        raise StoryDataError(f"{where} cannot be read ({type(error).__name__}: {error})") from error


def printable(text: str) -> str:
    """The text with halves of characters, which JSON and pickles can hold and no file can, written as \\udc80."""
    return text.encode("utf-8", "backslashreplace").decode()
