"""Checks of the inputs that all pipelines share, made before any frame is drawn. Each raises ValueError with the value and what is required."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def check_sentences(sentences: Sequence[str] | Sequence[Sequence[str]]) -> tuple[bool, list[list[str]]]:
    """Whether `sentences` is a single story, and the stories as lists."""
    if not isinstance(sentences, (list, tuple)) or not sentences:
        raise ValueError(f"sentences is {sentences!r}; it must be a list of sentences, or a list of such lists")
    single = not isinstance(sentences[0], (list, tuple))
    stories: list[Any] = [list(sentences)] if single else [list(story) if isinstance(story, (list, tuple)) else story for story in sentences]
    for n, story in enumerate(stories):
        if not isinstance(story, list) or not story:
            raise ValueError(f"story {n} is {story!r}; every story must be a list of at least one sentence")
        for m, sentence in enumerate(story):
            if not isinstance(sentence, str) or not sentence.strip():
                raise ValueError(f"sentence {m} of story {n} is {sentence!r}; it must be a string that is not empty")
    return single, stories


def check_generator(generator: torch.Generator | list[torch.Generator] | None, stories: list[list[str]]) -> None:
    if isinstance(generator, list) and len(generator) != len(stories):
        raise ValueError(f"generator is a list of {len(generator)}; give one, or a list of one for each of the {len(stories)} stories")


def check_output_type(output_type: str, choices: tuple[str, ...]) -> None:
    if output_type not in choices:
        raise ValueError(f"output_type is {output_type!r}; it must be one of {', '.join(choices)}")
