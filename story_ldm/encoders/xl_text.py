"""The text of a Stable Diffusion XL: both of its encoders as one, and the conditions that its UNet reads beside their states.

    encoder, tokenizers = XLTextEncoder(text_encoder, text_encoder_2), XLTokenizers(tokenizer, tokenizer_2)
    ids, mask = tokenize_stories(tokenizers, stories)                            # (B, M, L, 2), (B, M, L)
    condition = with_size(encode_stories(encoder, None, ids, mask), 1024, 1024)  # added: text_embeds (B, M, P), time_ids (B, M, 6)

Both stand where one CLIP text encoder and its tokenizer stand. States are the last but one layers of both, side by side (Podell et al. 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from story_ldm.encoders.conditioning import Conditioning

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


class XLTokenizers(NamedTuple):
    """The tokenizers of both encoders, which pad differently."""

    first: CLIPTokenizer
    second: CLIPTokenizer


@dataclass(frozen=True)
class XLText:
    """States (S, L, D) of both encoders, and the projected sentence (S, P) of the second."""

    last_hidden_state: Tensor
    text_embeds: Tensor


class XLTextEncoder(nn.Module):
    """Both text encoders. zero_empty: the empty sentence of guidance is all zeros, as XL's was in training, not what the encoders make of ""."""

    def __init__(self, first: CLIPTextModel, second: CLIPTextModelWithProjection, zero_empty: bool = True):
        super().__init__()
        self.first, self.second, self.zero_empty = first, second, zero_empty
        width = first.config.hidden_size + second.config.hidden_size
        heads = math.gcd(width, first.config.num_attention_heads + second.config.num_attention_heads)
        self.config = SimpleNamespace(hidden_size=width, num_attention_heads=heads)

    def forward(self, ids: Tensor, clip_skip: int | None = None) -> XLText:
        """ids (S, L, 2): of each tokenizer. clip_skip: further layers to leave out."""
        layer = -2 - (clip_skip or 0)
        first = self.first(ids[..., 0], output_hidden_states=True)
        second = self.second(ids[..., 1], output_hidden_states=True)
        return XLText(torch.cat([first.hidden_states[layer], second.hidden_states[layer]], -1), second.text_embeds)

    def freeze_unread(self) -> None:
        """The first encoder's last layer and norm, which are not read, need no gradient: DDP expects one of whatever requires it."""
        body = getattr(self.first, "text_model", self.first)  # transformers has had it both ways
        for part in (body.encoder.layers[-1], body.final_layer_norm):
            part.requires_grad_(False)

    def pack(self, text: XLText) -> Tensor:
        """Both as one row a sentence (S, L * D + P), to be cached."""
        return torch.cat([text.last_hidden_state.flatten(1), text.text_embeds], -1)

    def unpack(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of `pack` (…, L * D + P) → states (…, L, D), text_embeds (…, P)."""
        embeds = self.second.config.projection_dim
        states, text_embeds = packed.split([packed.shape[-1] - embeds, embeds], -1)
        return states.unflatten(-1, (-1, self.config.hidden_size)), text_embeds


def with_size(condition: Conditioning, height: int, width: int) -> Conditioning:
    """The conditioning with XL's size conditions: pictures of height × width pixels that were not cut. Others than XL's stay as they are."""
    if "text_embeds" not in condition.added:
        return condition
    embeds = condition.added["text_embeds"]
    sizes = embeds.new_tensor([height, width, 0, 0, height, width]).expand(*embeds.shape[:-1], 6)
    return replace(condition, added={**condition.added, "time_ids": sizes})


def pooled_of(condition: Conditioning, needs_pooled: bool) -> Tensor | None:
    """What `encode_prompt` returns as pooled embeddings: text_embeds (…, P), and after them the pooled sentence (…, D) if memory reads it."""
    if "text_embeds" not in condition.added:
        return condition.pooled
    pooled = [condition.pooled] if needs_pooled and condition.pooled is not None else []
    return torch.cat([condition.added["text_embeds"], *pooled], -1)


def from_pooled(states: Tensor, pooled: Tensor, embeds: int) -> Conditioning:
    """The conditioning of states (…, L, D) and of pooled embeddings as `pooled_of` makes them. embeds: P."""
    rest = pooled[..., embeds:]
    return Conditioning(states, rest if rest.shape[-1] else None, added={"text_embeds": pooled[..., :embeds]})
