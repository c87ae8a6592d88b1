"""Keys and values of a cross-attention whose context does not change: computed at the first diffusion step of a frame, and kept for the others.

with context_cache(unet):
    for t in scheduler.timesteps:
        unet(x, t, encoder_hidden_states=context)     # the same bits as without
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.models.attention_processor import Attention
from torch import nn


def _kept(project: Callable[..., Any]) -> Callable[..., Any]:
    results: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not results:
            results.append(project(*args, **kwargs))
        return results[0]

    return call


@contextmanager
def context_cache(unet: nn.Module) -> Iterator[None]:
    """In this block all calls of the UNet must have the same context. The projections are called as they are, with LoRAs and under any attention
    processor. A compiled UNet keeps none: its graphs would be made anew for every frame."""
    attentions = [part for part in unet.modules() if isinstance(part, Attention) and part.is_cross_attention]
    if getattr(unet, "_compiled_call_impl", None) is not None:
        attentions = []
    layers = [getattr(part, name) for part in attentions for name in ("to_k", "to_v", "to_kv") if getattr(part, name, None) is not None]
    before = [vars(layer).get("forward") for layer in layers]  # offloading has put its own there
    for layer in layers:
        layer.forward = _kept(layer.forward)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward
