"""Consistency without training in StoryLDMPipeline: what `memory=` and `use_memory=` may be, their checks, and what begins a drawing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from story_ldm.data.long_sentences import with_vectors
from story_ldm.data.referring import refers
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.prompt_surgery import PromptSurgery, operated
from story_ldm.systems.story_ldm.reference import Reference, ReferenceReader
from story_ldm.systems.story_ldm.shared_attention import AnchorReader, ConsistentAttention, block_of

from .checks import check_count, check_number, check_text
from .reading import same_length

FORMS: dict[str, Any] = {"reference": Reference, "consistent-attention": ConsistentAttention, "prompt-surgery": PromptSurgery}
Form = Reference | ConsistentAttention | PromptSurgery
PREDICTIONS = ("epsilon", "v_prediction", "sample")


class Reader(Protocol):
    """What reads earlier frames while one is drawn: called before the UNet, and with its guided prediction."""

    def before_step(self, index: int, kinds: int) -> None: ...

    def after_step(self, timestep: Tensor, x: Tensor, prediction: Tensor) -> Tensor: ...


def form_of(memory: Any) -> Form | None:
    """The settings of a form without training; None for the memory that the UNet was trained with. Raises ValueError for what is neither."""
    if memory is None:
        return None
    if isinstance(memory, str) and memory in FORMS:
        return FORMS[memory]()
    if not isinstance(memory, Form):
        kinds = ", ".join(f"{kind.__name__}(…)" for kind in FORMS.values())
        raise ValueError(f"memory is {memory!r}; it must be one of {', '.join(FORMS)}, or settings: {kinds}; None is the memory that was trained")
    for setting in fields(memory):
        name, value = f"{setting.name} of memory", getattr(memory, setting.name)
        if setting.type in ("float", "bool"):
            check = {"strength": (0, 1), "start": (0, 1), "end": (0, 1), "share": (0, 1)}.get(setting.name, (-1e6, 1e6))
            if setting.type == "bool" and not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}; it must be True or False")
            if setting.type == "float":
                check_number(name, value, *check)
        elif setting.name in ("max_frames", "anchors", "window"):
            check_count(name, value)
        elif setting.name in ("match_level", "attention_level") and value is not None:
            check_number(name, value, 0)
        elif setting.name == "identity" and value is not None:
            check_text(name, value)
        elif setting.name == "attention_blocks" and not isinstance(value, (list, tuple)):
            raise ValueError(f"{name} is {value!r}; it must be a list of blocks, such as ['up.0', 'up.1']")
    if isinstance(memory, Reference) and memory.start >= memory.end:
        raise ValueError(f"start of memory is {memory.start}; it must be below its end, which is {memory.end}")
    return memory


def check_form(form: Form | None, pipe: Any, stories: list[list[str]], trained: dict[str, bool], by_frame: dict[str, bool], chunks: bool) -> None:
    """Raises ValueError if the form does not fit the pipeline's parts, or if an argument is given that it has no use for.

    trained: whether arguments are given that only trained memory has. by_frame: those for memory that is read frame by frame. chunks: whether long
    sentences are read in chunks."""
    if form is None:
        return
    for name, given in (trained if isinstance(form, Reference) else trained | by_frame).items():
        if given:
            raise ValueError(f"{name} is given; memory={form_name(form)!r} has no use for it: leave it out")
    if isinstance(form, Reference):
        if form.strength:
            block_of(pipe.unet, form.match_block)
        kind = pipe.scheduler.config.get("prediction_type")
        if not hasattr(pipe.scheduler, "alphas_cumprod") or kind not in PREDICTIONS:
            raise ValueError(
                f"memory='reference' needs a scheduler with alphas_cumprod that predicts one of {', '.join(PREDICTIONS)}; "
                f"this is {type(pipe.scheduler).__name__} of {kind!r}"
            )
        last = len(pipe.scheduler.alphas_cumprod) - 1
        for name in ("match_level", "attention_level"):
            if (level := getattr(form, name)) is not None:
                check_number(f"{name} of memory", level, 0, last)
    elif isinstance(form, PromptSurgery):
        if pipe.text_encoder is None:
            raise ValueError("memory='prompt-surgery' needs a CLIP text encoder; this pipeline has a reader")
        if not stories:
            raise ValueError("memory='prompt-surgery' needs sentences; prompt_embeds are given")
        if chunks:
            raise ValueError(
                "long_sentences is 'chunks'; memory='prompt-surgery' makes one prompt of a story's sentences, which is not read in chunks"
            )


def form_name(form: Form) -> str:
    return next(name for name, kind in FORMS.items() if isinstance(form, kind))


def reads_memory(use_memory: Any, stories: list[list[str]], lengths: list[int]) -> list[list[bool]]:
    """For each frame of each story whether it may read memory. Raises ValueError for anything but True, False, "referential", and flags."""
    if isinstance(use_memory, bool):
        return [[use_memory] * length for length in lengths]
    if isinstance(use_memory, str) and use_memory == "referential":
        if not stories:
            raise ValueError("use_memory is 'referential', which needs sentences, and prompt_embeds are given: give a flag for each sentence")
        return [refers(story) for story in stories]
    one = isinstance(use_memory, (list, tuple)) and len(lengths) == 1 and not any(isinstance(x, (list, tuple)) for x in use_memory)
    flags = [use_memory] if one else use_memory
    if not isinstance(flags, (list, tuple)) or [len(x) if isinstance(x, (list, tuple)) else None for x in flags] != lengths:
        shape = "one for each of a story's sentences, in a list for each story"
        raise ValueError(f"use_memory is {use_memory!r}; it must be True, False, 'referential', or flags, {shape}")
    for value in (value for story in flags for value in story):
        if not isinstance(value, bool):
            raise ValueError(f"use_memory has the flag {value!r}; flags are True or False")
    return [list(story) for story in flags]


def prompts_of(form: PromptSurgery, pipe: Any, stories: list[list[str]], negative: Conditioning, encode: Any) -> tuple[Conditioning, Conditioning]:
    """The conditioning (B, M, …) of stories by prompt surgery, and the negative one with as many states. encode: stories → (B, M, …)."""
    longest = max(map(len, stories))
    tokenizer = pipe.tokenizer

    def length(text: str) -> int:
        return len(tokenizer(with_vectors(tokenizer, [text])[0], add_special_tokens=False).input_ids)

    limit = tokenizer.model_max_length - 2  # start and end token
    parts = [operated(story, form, lambda texts: encode([[text] for text in texts])[:, 0], length, limit) for story in stories]
    parts = [part[torch.tensor([*range(len(story)), *[0] * (longest - len(story))])] for part, story in zip(parts, stories, strict=True)]
    condition = Conditioning.cat(parts).map(lambda x: x.unflatten(0, (len(stories), longest)))
    condition = replace(condition, pooled=None if negative.pooled is None else condition.pooled)
    return condition, same_length(condition, negative)[1]


def reader_of(form: Form | None, pipe: Any) -> ReferenceReader | AnchorReader | None:
    if isinstance(form, Reference):
        return ReferenceReader(form, pipe.unet, pipe.scheduler)
    return AnchorReader(form, pipe.unet) if isinstance(form, ConsistentAttention) else None


def installed(reader: ReferenceReader | AnchorReader | None) -> AbstractContextManager:
    return nullcontext() if reader is None else reader.installed()


def similarity_sentences(condition: Conditioning) -> Tensor:
    """Pooled sentences (B, M, D), of XL its text_embeds, or the mean of their states, by which earlier frames are recalled."""
    if "text_embeds" in condition.added:
        return condition.added["text_embeds"]
    return condition.states.mean(2) if condition.pooled is None else condition.pooled
