"""How well frames show what their sentences say, by matched encoders of both (`story_ldm.encoders.damsm`).

    sentence, image = embed_sentences(text_encoder, tokenizer, texts), embed_frames(image_encoder, frames)      # (F, D) each
    100 * sentence_frame_cosines(sentence, image).mean()                # the cosine that the dynamic-block GAN's tables report
    r_precision(sentence, image, texts).double().mean()                 # share of frames that find their own sentence among 100

Of generated frames and of real ones: what the real frames of a split reach is the most that can be expected.
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor


def sentence_frame_cosines(sentence: Tensor, image: Tensor) -> Tensor:
    """sentence, image (F, D) → (F,)"""
    return F.cosine_similarity(sentence.float(), image.float(), dim=-1)


def r_precision(sentence: Tensor, image: Tensor, texts: list[str], candidates: int = 100, seed: int = 0) -> Tensor:
    """Whether each frame is nearer (by the cosine) to its own sentence than to any other candidate: sentence, image (F, D) → (F,) bool.

    The candidates are its own and `candidates - 1` others, drawn without replacement from the distinct texts of the split that are not its own;
    all of them where there are fewer. The draws belong to (seed, number of the frame) and to the texts, never to what is measured, so that
    all systems face the same candidates. (AttnGAN draws 99 captions at random.) A tie, to 1e-6, is not nearer.

    Raises ValueError where all texts are the same: there is nothing to be nearer than.
    """
    assert len(sentence) == len(image) == len(texts), f"{len(sentence)} sentences, {len(image)} images, {len(texts)} texts"
    if len(set(texts)) < 2:
        raise ValueError(f"all {len(texts)} texts are the same; R-precision needs others that a frame could be of")
    number: dict[str, int] = {}
    own = [number.setdefault(text, len(number)) for text in texts]  # of each frame's text
    first = {n: frame for frame, n in reversed(list(enumerate(own)))}  # a frame of each text
    others = torch.tensor([_others(n, len(number), candidates - 1, seed, frame) for frame, n in enumerate(own)], dtype=torch.long)  # (F, C)
    sentence, image = F.normalize(sentence.float(), dim=-1), F.normalize(image.float(), dim=-1)
    distinct = sentence[[first[n] for n in range(len(first))]]
    nearest = torch.cat([(part @ distinct.T).gather(1, which).amax(1) for part, which in zip(image.split(1024), others.split(1024))])
    return (sentence * image).sum(-1) > nearest + 1e-6


def _others(own: int, texts: int, count: int, seed: int, frame: int) -> list[int]:
    """`count` different numbers below `texts` without `own`, or all of them. Of `random()` alone, whose sequence Python guarantees."""
    if texts - 1 <= count:
        return [n for n in range(texts) if n != own]
    draw, chosen = random.Random(seed * 1_000_003 + frame).random, {own: None}
    while len(chosen) <= count:
        chosen.setdefault(int(draw() * texts))
    return list(chosen)[1:]
