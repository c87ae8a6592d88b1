"""Checks of the inputs that all pipelines share, made before any frame is drawn. Each raises ValueError with the value and what is required."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from story_ldm.data.frames import frames_tensor


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


def check_drawn(values: Tensor) -> None:
    """Raises ValueError for NaN and infinity, which would be a black picture."""
    if not values.isfinite().all():
        raise ValueError("what was drawn has values that are infinite or not a number: a weight is, or half precision overflows (draw in float32)")


def check_output_type(output_type: str, choices: tuple[str, ...]) -> None:
    if output_type not in choices:
        raise ValueError(f"output_type is {output_type!r}; it must be one of {', '.join(choices)}")


def check_frames(frames: Any, stories: list[list[str]], single: bool, size: tuple[int, int]) -> list[Tensor]:
    """The first K frames of each story as a tensor (K, 3, H, W); K may be 0."""
    if frames is None:
        return [torch.zeros(0)] * len(stories)
    frames = [frames] if single else frames
    if not isinstance(frames, (list, tuple)) or len(frames) != len(stories):
        raise ValueError(f"frames must be a list with one entry for each of the {len(stories)} stories")
    for n, (pictures, story) in enumerate(zip(frames, stories, strict=True)):
        if not isinstance(pictures, (list, tuple)) or not all(isinstance(picture, Image.Image) for picture in pictures):
            raise ValueError(f"frames of story {n} must be a list of PIL images, not {pictures!r}")
        if len(pictures) > len(story):
            raise ValueError(f"frames of story {n} has {len(pictures)} images; it may have at most {len(story)}, one per sentence")
        if any(picture.size != size for picture in pictures):
            raise ValueError(f"frames of story {n} have the sizes {[p.size for p in pictures]}; they must have the size {size}")
    return [frames_tensor(pictures) if pictures else torch.zeros(0) for pictures in frames]
