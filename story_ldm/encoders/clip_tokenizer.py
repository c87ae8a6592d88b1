"""CLIP's own tokenizer, which every Stable Diffusion of 1.x, 2.x and XL reads by, without a network.

    tokenizer = clip_tokenizer()            # OpenAI's CLIP: pads with the end token
    tokenizer = clip_tokenizer(pad="!")     # OpenCLIP, of 2.x and XL's second encoder: pads with token 0

clip_merges.txt.gz has the 48,894 merges of OpenAI's CLIP (https://github.com/openai/CLIP, MIT License, Copyright (c) 2021 OpenAI), from which the
vocabulary follows.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files

from transformers import CLIPTokenizer

BOS, EOS, LENGTH = "<|startoftext|>", "<|endoftext|>", 77


def byte_letters() -> list[str]:
    """The letters that stand for bytes, in the order of CLIP's vocabulary: printable bytes as they are, then the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]


@cache
def _merges() -> list[tuple[str, str]]:
    text = gzip.decompress((files("story_ldm.encoders") / "clip_merges.txt.gz").read_bytes()).decode()
    return [(first, second) for first, second in (line.split() for line in text.split("\n"))]


def clip_tokenizer(pad: str = EOS) -> CLIPTokenizer:
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in _merges()), BOS, EOS]
    vocabulary = {word: n for n, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=_merges(), pad_token=pad, model_max_length=LENGTH)
