"""`Conditioning`: everything that a UNet reads of a story's sentences, as one value.

condition = encode_stories(text_encoder, language_memory, ids, mask)     # (B, M, …), computed once per story
unet(noisy_latents, t, condition, memory=memory)
condition[:, m]                                                          # (B, …), for frame m of each story
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Sentence states (…, L, D) and pooled sentences (…, D). The leading dimensions are (B, M) for whole stories, (B,) for one frame of each.

    mask (…, L): 1 for tokens that cross-attention may read; None means all tokens, including padding, as Stable Diffusion reads CLIP.
    added: further conditions by their diffusers names (XL's `text_embeds` and `time_ids`), each with the same leading dimensions.
    """

    states: Tensor
    pooled: Tensor | None = None
    mask: Tensor | None = None
    added: dict[str, Tensor] = field(default_factory=dict)

    def map(self, function: Callable[[Tensor], Tensor]) -> Conditioning:
        """Apply `function` to every tensor."""
        pooled, mask = (None if x is None else function(x) for x in (self.pooled, self.mask))
        return Conditioning(function(self.states), pooled, mask, {name: function(x) for name, x in self.added.items()})

    def __getitem__(self, index: Any) -> Conditioning:
        """Index the leading dimensions of every tensor, with any index that a tensor takes."""
        return self.map(lambda x: x[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        return self.map(lambda x: x.to(device, dtype if x.is_floating_point() else None))

    def repeat(self, times: int) -> Conditioning:
        """(B, …) → (times * B, …): the whole batch repeated, not each row."""
        return self.map(lambda x: x.repeat(times, *[1] * (x.ndim - 1)))

    def where(self, keep: Tensor, other: Conditioning) -> Conditioning:
        """Keep the rows where `keep` (B,) is true and put `other`, which has no leading dimensions, in the rest (the empty sentence of guidance)."""

        def select(value: Tensor, replacement: Tensor) -> Tensor:
            return torch.where(keep.view(-1, *[1] * (value.ndim - 1)), value, replacement.to(value.dtype))

        return self._zip([other], select)

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """Concatenate along the first dimension."""
        return parts[0]._zip(parts[1:], lambda *tensors: torch.cat(tensors))

    def _zip(self, others: Sequence[Conditioning], function: Callable[..., Tensor]) -> Conditioning:
        pooled = None if self.pooled is None else function(self.pooled, *(other.pooled for other in others))
        mask = None if self.mask is None else function(self.mask, *(other.mask for other in others))
        added = {name: function(x, *(other.added[name] for other in others)) for name, x in self.added.items()}
        return Conditioning(function(self.states, *(other.states for other in others)), pooled, mask, added)
