"""What the reader is made of: a transformer block with rotary positions, and fixed codes of words.

x, weights = ReaderBlock(width=192, heads=4, rotary=True)(x, bias)      # (N, L, D), (N, 1, 1, L) → (N, L, D), (N, heads, L, L)
word_codes(numbers)                                            # (…,) → (…, CODE)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CODE = 128  # signs of a word's code
SIGNS = torch.tensor([pow(5, 13 * n + 7, 2**61 - 1) for n in range(CODE)])  # multipliers


def word_codes(words: Tensor) -> Tensor:
    """Fixed codes (…, CODE) of unit length of words by their numbers (…), nearly orthogonal for different words; zero for padding."""
    mixed = words.long()[..., None] * SIGNS.to(words.device)
    mixed = (mixed ^ (mixed >> 31)) * SIGNS.to(words.device)
    signs = ((mixed >> 40) & 1) * 2 - 1
    return signs * (words != 0)[..., None] * CODE**-0.5


def rotate(x: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) of queries or keys (N, heads, L, d)."""
    length, width = x.shape[-2:]
    frequencies = 100.0 ** (-torch.arange(0, width, 2, device=x.device) / width)
    angles = torch.arange(length, device=x.device)[:, None] * frequencies
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class ReaderBlock(nn.Module):
    """A pre-norm transformer block whose tokens attend to each other and, where given, to further keys and values."""

    def __init__(self, width: int, heads: int, rotary: bool):
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_kv, self.to_out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def keys_values(self, x: Tensor) -> Tensor:
        """(N, L, D) → (2, N, heads, L, d)"""
        return self.to_kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, bias: Tensor, more: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (N, L, D); bias, added to the logits, (N, heads or 1, L or 1, L + K); more (2, N, heads, K, d) → x and weights (N, heads, L, L + K)."""
        y = self.norm_attention(x)
        q = self.to_q(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = own = self.keys_values(y)
        if self.rotary:
            q, k = rotate(q), rotate(k)
        if more is not None:
            k, v = torch.cat([own, more.to(own.dtype)], 3)
        # written out: at these sizes it is faster on a CPU than fused attention
        weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, -1)
        x = x + self.to_out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x)), weights
