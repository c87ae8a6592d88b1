"""Checks of the inputs that all pipelines share, made before any frame is drawn. Each raises ValueError with the value and what is required."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from story_ldm.data.frames import frames_tensor


def check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; it must be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is {value!r}; it has half of a character (a lone surrogate) at place {error.start}") from error


def check_sentences(sentences: Any) -> tuple[bool, list[list[str]]]:
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
            check_text(f"sentence {m} of story {n}", sentence)
    return single, stories


def check_count(name: str, value: Any, high: int | None = None) -> None:
    """A whole number from 1 to `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= (high or int(value)):
        raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 1" + (f" and at most {high:,}" if high else ""))


def check_drawn(values: Tensor) -> None:
    """Raises ValueError for NaN and infinity, which would be a black picture."""
    if not values.isfinite().all():
        raise ValueError("what was drawn has values that are infinite or not a number: a weight is, or half precision overflows (draw in float32)")


def check_number(name: str, value: Any, low: float = -1e6, high: float = 1e6) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:  # type: ignore[operator]
        raise ValueError(f"{name} is {value!r}; it must be a number from {low:,g} to {high:,g}")


def check_flags(**flags: Any) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}; it must be True or False")


def check_tensor(name: str, value: Any, shape: Sequence[int | None]) -> None:
    """A tensor of finite floating-point numbers; None in `shape`: any length."""
    wanted = f"({', '.join('any' if length is None else str(length) for length in shape)})"
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ValueError(f"{name} is {value!r}; it must be a tensor of floating-point numbers with the shape {wanted}")
    if value.ndim != len(shape) or any(length not in (None, found) for length, found in zip(shape, value.shape, strict=True)):
        raise ValueError(f"{name} have the shape {tuple(value.shape)}; these stories require {wanted}")
    if not value.isfinite().all():
        raise ValueError(f"{name} have numbers that are infinite or not a number")


def check_generator(generator: Any, stories: int) -> None:
    generators = generator if isinstance(generator, list) else [generator]
    if any(not isinstance(one, torch.Generator) for one in generators) and generator is not None:
        raise ValueError(f"generator is {generator!r}; it must be a torch.Generator, a list of one for each of the stories, or None")
    if isinstance(generator, list) and len(generator) != stories:
        raise ValueError(f"generator is a list of {len(generator)}; give one, or a list of one for each of the {stories} stories")


def check_output_type(output_type: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(output_type, str) or output_type not in choices:
        raise ValueError(f"output_type is {output_type!r}; it must be one of {', '.join(choices)}")


def check_frames(frames: Any, lengths: list[int], single: bool, size: tuple[int, int], latent_shape: tuple[int, ...]) -> list[list[Tensor] | Tensor]:
    """The first K frames of each story, K may be 0: pictures (3, H, W), or a tensor of latents (K, *latent_shape) if these are given."""
    if frames is None:
        return [[]] * len(lengths)
    frames = [frames] if single else frames
    if not isinstance(frames, (list, tuple)) or len(frames) != len(lengths):
        raise ValueError(f"frames must be a list with one entry for each of the {len(lengths)} stories")
    for n, (pictures, length) in enumerate(zip(frames, lengths, strict=True)):
        if isinstance(pictures, Tensor):
            check_tensor(f"frames of story {n}", pictures, (None, *latent_shape))
        elif not isinstance(pictures, (list, tuple)) or not all(isinstance(picture, Image.Image) for picture in pictures):
            raise ValueError(f"frames of story {n} must be a list of PIL images, or a tensor of latents, not {pictures!r}")
        elif any(picture.size != size for picture in pictures):
            raise ValueError(f"frames of story {n} have the sizes {[p.size for p in pictures]}; they must have the size {size}")
        if len(pictures) > length:
            raise ValueError(f"frames of story {n} has {len(pictures)} images; it may have at most {length}, one per sentence")
    return [given if isinstance(given, Tensor) else list(frames_tensor(given)) if given else [] for given in frames]
