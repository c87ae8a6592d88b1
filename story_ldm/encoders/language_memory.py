"""Language memory: a sentence-causal transformer over the tokens of a story, on top of separately encoded sentences.

states = LanguageMemory(width=192)(states, mask)        # (B, M, L, D) → (B, M, L, D); called by encode_stories
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from story_ldm.nn.layers import zero_init

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

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        # (B, N, 3 * D) → three of (B, heads, N, d)
        q, k, v = self.to_qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.to_out(read.transpose(1, 2).flatten(2))
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
        distance = index[:, None] - index[None, :]
        bias = self.distance_bias(distance.clamp(0, FAR)).permute(2, 0, 1)[None]  # (1, heads, M*L, M*L)
        hidden = (distance < 0)[None] | ~mask.flatten(1).bool()[:, None, :]  # (B, M*L, M*L)
        bias = bias.masked_fill(hidden[:, None], float("-inf"))  # (B, heads, M*L, M*L)
        x = states.flatten(1, 2)
        for block in self.blocks:
            x = block(x, bias)
        return states + self.to_out(self.norm(x)).unflatten(1, (sentences, length))
