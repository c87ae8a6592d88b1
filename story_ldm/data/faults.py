"""The error for bad data: it says what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoryDataError(ValueError):
    """The data is missing, broken or refused; the message says what is wrong, where, and what would be right."""


@contextmanager
def as_fault(where: str) -> Iterator[None]:
    """Turns any error raised while reading data into a StoryDataError that names `where`. MemoryError, which is not a fault of the data, passes."""
    try:
        yield
    except (StoryDataError, MemoryError):
        raise
    except Exception as error:
        raise StoryDataError(f"{where} cannot be read ({type(error).__name__}: {error})") from error


def printable(text: str) -> str:
    """The text with lone surrogates, which JSON and pickles can hold but files cannot, escaped as \\udc80."""
    return text.encode("utf-8", "backslashreplace").decode()
