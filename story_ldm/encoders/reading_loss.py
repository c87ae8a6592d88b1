"""What a reader is trained on: the facts that its slots say, and the words that mean their characters.

loss, by_fact = reading_loss(reader(tokens, mask)[1], told.facts)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WEIGHTS = {
    "seen": 4.0,
    "kinds": 1.0,
    "garments": 0.7,
    "actions": 1.5,
    "props": 0.5,
    "prop_colors": 0.3,
    "faces": 0.7,
    "partners": 0.3,
    "places": 1.0,
    "times": 0.5,
    "weathers": 0.5,
    "mentions": 0.5,
}  # of the facts' losses


def reading_loss(logits: dict[str, Tensor], facts: dict[str, Tensor], weight: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the losses by fact, and each of them. facts: `data/toonstories/told.py`'s, (B, M, C) or (B, M). weight (B, M): of the frames
    (`padded_frames`). Each loss is a mean over all frames, whether their facts are known or not: N processes with 1/N of the batch
    each compute alike. "mentions" (B, M, C, L), if given: which mention of a character a word belongs to, from 1, or 0; its slot
    shall attend to all of them."""
    losses = {}
    for name in (name for name in logits if name in facts or name != "mentions"):
        if name == "mentions":
            number, loss = facts[name], torch.zeros(facts[name].shape[:-1], device=facts[name].device)
            for mention in range(1, int(number.max()) + 1):
                words = number == mention
                loss = loss - ((logits[name].float() * words).sum(-1) + 1e-4).log() * words.any(-1)
            loss = (loss / number.amax(-1).clamp(min=1)).sum(-1)
        elif name == "seen":
            known, target = facts[name] >= 0, facts[name].clamp(min=0).float()
            loss = (nn.functional.binary_cross_entropy_with_logits(logits[name][..., 0].float(), target, reduction="none") * known).mean(-1)
        else:
            loss = nn.functional.cross_entropy(logits[name].float().flatten(0, -2), facts[name].flatten(), reduction="none").view(facts[name].shape)
            loss = loss if loss.ndim == 2 else (loss * facts["weights"] if name == "actions" else loss).sum(-1)
        losses[name] = (loss if weight is None else loss * weight).mean()
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum(), losses
