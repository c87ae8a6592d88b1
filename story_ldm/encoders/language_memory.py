"""Language memory: a sentence-causal transformer over the tokens of a story, on top of separately encoded sentences.

states = LanguageMemory(width=192)(states, mask)        # (B, M, L, D) → (B, M, L, D); called by encode_stories
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from story_ldm.nn.layers import zero_init

WHOLE, PART = 4096, 128  # tokens: longer stories are read in parts of so many at a time, whose memory grows with the story, not with its square
FAR = 16  # sentences at this distance or more share one bias


class _Block(nn.Module):
    """A pre-norm transformer block with an additive bias on the attention logits (torch's own encoder layer drops such a bias, or returns NaN
    with it, on its fused path in evaluation)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, parts: Sequence[tuple[int, int]], bias_of: Callable[[int, int], Tensor]) -> Tensor:
        """x (B, N, D). parts: first token and end of each part of the queries. bias_of: these → bias (B, heads, end - first, end)."""
        # (B, N, 3 * D) → three of (B, heads, N, d)
        q, k, v = self.to_qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        read = [
            nn.functional.scaled_dot_product_attention(q[:, :, a:b], k[:, :, :b], v[:, :, :b], attn_mask=bias_of(a, b).to(q.dtype)) for a, b in parts
        ]
        x = x + self.to_out(torch.cat(read, 2).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


class LanguageMemory(ModelMixin, ConfigMixin):
    """A sentence-causal transformer over the tokens of a story, on top of separately encoded sentences.

    The distance between two sentences enters as a learned bias on each head's attention logits, which allows stories of any length. The output
    is a residual that starts at zero: a new language memory changes nothing.
    """

    @register_to_config
    def __init__(self, width: int, layers: int = 2, heads: int = 4):
        super().__init__()
        assert width % heads == 0, f"width is {width}; it must be divisible by the {heads} heads"
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.distance_bias = nn.Embedding(FAR + 1, heads)
        nn.init.zeros_(self.distance_bias.weight)
        self.to_out = zero_init(nn.Linear(width, width))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states (B, M, L, D) and mask (B, M, L), 1 for tokens and 0 for padding → states (B, M, L, D)."""
        _, sentences, length, _ = states.shape
        index = torch.arange(sentences, device=states.device).repeat_interleave(length)  # sentence of each token
        tokens = sentences * length
        step = tokens if tokens <= WHOLE else length * max(1, PART // length)  # whole sentences
        parts = [(start, min(start + step, tokens)) for start in range(0, tokens, step)]

        def bias_of(start: int, end: int) -> Tensor:
            distance = index[start:end, None] - index[None, :end]
            bias = self.distance_bias(distance.clamp(0, FAR)).permute(2, 0, 1)[None]  # (1, heads, end - start, end)
            hidden = (distance < 0)[None] | ~mask.flatten(1)[:, :end].bool()[:, None, :]
            return bias.masked_fill(hidden[:, None], float("-inf"))  # (B, heads, end - start, end)

        once = bias_of(*parts[0]) if len(parts) == 1 else None
        x = states.flatten(1, 2)
        for block in self.blocks:
            x = block(x, parts, bias_of if once is None else lambda start, end: once)
        return states + self.to_out(self.norm(x)).unflatten(1, (sentences, length))
