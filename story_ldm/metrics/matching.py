"""Agreement of frames with their sentences, by encoders of both into one space (`story_ldm.encoders.damsm`).

    sentence, image = embed_sentences(text_encoder, tokenizer, texts), embed_frames(image_encoder, frames)      # (F, D) each
    100 * sentence_frame_cosines(sentence, image).mean()                # the cosine in the dynamic-block GAN's tables
    r_precision(sentence, image, texts).double().mean()                 # share of frames that retrieve their own sentence among 100

Compute both for the real frames as well: their values are the upper limit that can be expected of generated frames.
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor


def sentence_frame_cosines(sentence: Tensor, image: Tensor) -> Tensor:
    """Embeddings of sentences and frames (F, D) → cosine of each pair (F,)."""
    return F.cosine_similarity(sentence.float(), image.float(), dim=-1)


def r_precision(sentence: Tensor, image: Tensor, texts: list[str], candidates: int = 100, seed: int = 0) -> Tensor:
    """Whether each frame has a larger cosine with its own sentence than with any other candidate: embeddings (F, D) → (F,) bool.

    The other candidates are `candidates - 1` of the distinct texts that differ from its own, drawn without replacement, or all of them if there are
    fewer. The draws depend on the seed, the number of the frame and the texts, so all systems are compared on the same candidates. (AttnGAN draws 99
    captions at random.) A tie, to within 1e-6, counts as wrong.

    Raises ValueError if all texts are equal.
    """
    assert len(sentence) == len(image) == len(texts), f"{len(sentence)} sentences, {len(image)} images, {len(texts)} texts"
    if len(set(texts)) < 2:
        raise ValueError(f"all {len(texts)} texts are the same; R-precision needs at least 2 different ones")
    number: dict[str, int] = {}
    own = [number.setdefault(text, len(number)) for text in texts]  # number of each frame's text
    first = {n: frame for frame, n in reversed(list(enumerate(own)))}  # the first frame of each text
    others = torch.tensor([_others(n, len(number), candidates - 1, seed, frame) for frame, n in enumerate(own)], dtype=torch.long)  # (F, C)
    sentence, image = F.normalize(sentence.float(), dim=-1), F.normalize(image.float(), dim=-1)
    distinct = sentence[[first[n] for n in range(len(first))]]
    nearest = torch.cat([(part @ distinct.T).gather(1, which).amax(1) for part, which in zip(image.split(1024), others.split(1024))])
    return (sentence * image).sum(-1) > nearest + 1e-6


def _others(own: int, texts: int, count: int, seed: int, frame: int) -> list[int]:
    """`count` different numbers below `texts` other than `own`, or all of them. Uses `random()` only, whose sequence Python guarantees."""
    if texts - 1 <= count:
        return [n for n in range(texts) if n != own]
    draw, chosen = random.Random(seed * 1_000_003 + frame).random, {own: None}
    while len(chosen) <= count:
        chosen.setdefault(int(draw() * texts))
    return list(chosen)[1:]
