"""What the cross-attention of AR-LDM reads at frame m, strictly causal:

    φ_m = [ CLIP(c_m) + e_type(0) ;  { BLIP(c_k, x_k) + e_type(1) + e_time(k) : k < m } ]

    embedding = HistoryEmbedding(width=768, longest=5)
    context, mask = embedding(states, mask, history, history_mask)     # of frames with K slots each: (N, L + K*S, D), (N, L + K*S)

The mask goes to diffusers' `UNet2DConditionModel` as `encoder_attention_mask`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


def history_slots(frames: int, longest: int) -> tuple[Tensor, Tensor]:
    """The earlier frames that each of M frames reads: their numbers (M, K), and whether a slot is read (M, K) bool.

    Frame m reads all frames before it; from m = `longest` on, which the time embedding has no row for, the last `longest` - 1 of them, as if the
    story began with the first of these. K is the most that a frame reads; slot j of a frame has the time index j."""
    most = max(0, min(frames, longest) - 1)
    position = torch.arange(frames)[:, None]
    slots = (position - most).clamp(min=0) + torch.arange(most)
    return slots, slots < position


class HistoryEmbedding(ModelMixin, ConfigMixin):
    """Type and time embeddings of AR-LDM.

    width: of the cross-attention. longest: rows of the time embedding, the length of the longest story that is read whole (`history_slots`).
    encoder_token: number of the history encoder's own token, which replaces a sentence's first. std: of new embeddings; small, for the UNet of a
    plain LDM to start near that LDM."""

    @register_to_config
    def __init__(self, width: int, longest: int = 5, encoder_token: int | None = None, std: float = 0.02):
        super().__init__()
        self.kinds, self.times = nn.Embedding(2, width), nn.Embedding(longest, width)  # `type` is a method of every module
        for table in (self.kinds, self.times):
            nn.init.normal_(table.weight, std=std)

    def forward(self, states: Tensor, mask: Tensor, history: Tensor, history_mask: Tensor) -> tuple[Tensor, Tensor]:
        """φ of N frames and its mask: states (N, L, D) of their sentences with mask (N, L), and K slots: states (N, K, S, D) with mask (N, K, S).
        A mask is 1 for tokens that are read; slots that a frame does not read are 0 throughout."""
        kind = self.kinds(torch.arange(2, device=states.device))  # (2, D)
        time = self.times(torch.arange(history.shape[1], device=states.device))  # (K, D)
        slots = history + (kind[1] + time)[:, None]  # (N, K, S, D)
        return torch.cat([states + kind[0], slots.flatten(1, 2)], 1), torch.cat([mask, history_mask.flatten(1, 2)], 1)


def check_widths(unet: Any, text_encoder: Any, history_encoder: Any, embedding: Any = None) -> None:
    """Raises ValueError if what the cross-attention reads has not its width."""
    widths: dict[str, Any] = {
        "cross_attention_dim of the UNet": unet.config.cross_attention_dim,
        "hidden_size of the text encoder": text_encoder.config.hidden_size,
        "hidden_size of the history encoder's text": history_encoder.config.text_config.hidden_size,
    }
    if embedding is not None:
        widths["width of the history embedding"] = embedding.config.width
    if len({*widths.values()}) > 1:
        raise ValueError(f"{', '.join(f'{name} is {width}' for name, width in widths.items())}; these must be equal")
