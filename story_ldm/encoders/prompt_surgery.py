"""Prompt surgery: one long prompt for the whole story, of which each frame strengthens its own sentence (1Prompt1Story, Liu et al., ICLR 2025).

    pipe(sentences, memory="prompt-surgery")
    pipe(sentences, memory=PromptSurgery(identity="a watercolour of Rosa, a small brown rabbit in a red coat"))

A frame's prompt is the identity, the frame's sentence, and those that follow it, in a circle, as far as the text encoder's length allows. In its
states the singular values of a group of tokens (a sentence's words with all end tokens) are re-weighted, s ← β s exp(-α s): the frame's own
sentence with α = -0.01, β = 1, and then each other one with α = 0.01, β = 0.05. Cross-attention also reads the words of the identity, encoded
alone, in rows with text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from story_ldm.encoders.conditioning import Conditioning

Encode = Callable[[list[str]], Conditioning]


@dataclass(frozen=True)
class PromptSurgery:
    """Settings of `memory="prompt-surgery"`, by their published values. It needs a CLIP text encoder.

    Not causal: a frame reads the sentences after it, too. identity: what all frames have in common, by default the story's first sentence.
    same_noise: see `Reference`. alpha, beta: of the frame's own sentence. other_alpha, other_beta: of the others. window: sentences in a prompt, at
    most.
    """

    identity: str | None = None
    same_noise: bool = True
    alpha: float = -0.01
    beta: float = 1.0
    other_alpha: float = 0.01
    other_beta: float = 0.05
    window: int = 10


def reweighted(states: Tensor, alpha: float, beta: float) -> Tensor:
    """States (T, D) with singular values s replaced by β s exp(-α s)."""
    u, s, v = torch.linalg.svd(states.float(), full_matrices=False)
    return (u * (beta * s * (-alpha * s).exp()) @ v).to(states.dtype)


def prompt_of_frame(story: list[str], m: int, identity: str | None, length: Callable[[str], int], limit: int, window: int) -> tuple[list[str], int]:
    """The pieces of frame m's prompt, identity first, and which of them is the frame's own sentence.

    length: words of a text in tokens. If identity and sentence do not both fit into `limit` tokens, the sentence stands alone."""
    order = [*story[m:], *story[:m]]
    if identity is None:  # the first sentence, which is not said twice
        identity, order = story[0], [story[m], *(sentence for k, sentence in enumerate(order) if k and (m + k) % len(story))]
    if identity == story[m]:
        order = order[1:]
    pieces, own = ([identity], 0 if identity == story[m] else 1)
    for sentence in order[: window if own else window - 1]:
        if sum(map(length, [*pieces, sentence])) > limit:
            break
        pieces.append(sentence)
    return (pieces, own) if own < len(pieces) else ([story[m]], 0)


def operated(story: list[str], s: PromptSurgery, encode: Encode, length: Callable[[str], int], limit: int) -> Conditioning:
    """The conditioning (M, 2L, …) of a story's frames: L states of the long prompt, then L of the identity, of which only words may be read.

    encode: texts → conditioning (S, L, …). limit: tokens of words that a text may have."""
    prompts = [prompt_of_frame(story, m, s.identity, length, limit, s.window) for m in range(len(story))]
    condition = encode([" ".join(pieces) for pieces, _ in prompts])
    identity = story[0] if s.identity is None else s.identity
    common, words = encode([identity]), length(identity)
    states = condition.states.clone()
    for x, (pieces, own) in zip(states, prompts, strict=True):
        ends = [1]  # the start token comes first
        for piece in pieces:
            ends.append(ends[-1] + length(piece))
        padding = list(range(ends[-1], len(x)))
        groups = [[*range(ends[k], ends[k + 1]), *padding] for k in range(len(pieces))]
        x[groups[own]] = reweighted(x[groups[own]], s.alpha, s.beta)
        for k in range(1, len(pieces)):  # the identity stays
            if k != own:
                x[groups[k]] = reweighted(x[groups[k]], s.other_alpha, s.other_beta)
    frames, count = states.shape[:2]
    mask = torch.ones(frames, 2 * count, dtype=torch.long, device=states.device)
    mask[:, count] = 0  # the start token
    mask[:, count + 1 + words :] = 0
    return replace(condition, states=torch.cat([states, common.states.expand(frames, -1, -1)], 1), mask=mask)
