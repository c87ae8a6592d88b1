"""The first layers of a BERT (Devlin et al. 2019), which read vectors of word pieces.

    bert = BertLayers(**bert_sizes(config))       # config: of config.json, as published
    states = bert(vectors, mask)                  # the embeddings and the output of each layer, (N, L, D) each

Names of the weights and results are those of transformers' `BertModel`, to the bit. Its class is not used because it takes two seconds to import,
which is half the start of `story-ldm generate`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

SIZES = {  # what is read of a config, and what BERT has where it says nothing
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh"), "relu": F.relu}


def bert_sizes(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of `BertLayers` of a BERT's config. Raises ValueError for an activation that is not one of ACTIVATIONS."""
    sizes = {name: config.get(name, default) for name, default in SIZES.items()}
    if sizes["hidden_act"] not in ACTIVATIONS:
        raise ValueError(f"hidden_act of the encoder is {sizes['hidden_act']!r}; it must be one of {', '.join(ACTIVATIONS)}")
    return sizes


def dense_and_norm(inner: int, width: int, eps: float) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=eps)})


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, act: str, eps: float):
        super().__init__()
        assert width % heads == 0, f"hidden_size is {width}; it must be divisible by the {heads} heads"
        self.heads, self.act = heads, ACTIVATIONS[act]
        own = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict({"self": own, "output": dense_and_norm(width, width, eps)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = dense_and_norm(inner, width, eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (N, L, D) and mask (N, 1, L, L), None for all ones → (N, L, D)."""
        own: Any = self.attention["self"]
        q, k, v = (own[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value"))  # (N, heads, L, d)
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        x = self._add(self.attention["output"], read, x)
        return self._add(self.output, self.act(self.intermediate["dense"](x)), x)

    @staticmethod
    def _add(part: Any, inner: Tensor, x: Tensor) -> Tensor:
        return part["LayerNorm"](part["dense"](inner) + x)


class BertLayers(nn.Module):
    """Settings are those of a config of transformers. There is no dropout, and no table of pieces beyond one unused row, which saved readers have."""

    def __init__(
        self,
        hidden_size: int,
        num_hidden_layers: int,
        num_attention_heads: int,
        intermediate_size: int,
        hidden_act: str,
        max_position_embeddings: int,
        type_vocab_size: int,
        layer_norm_eps: float,
    ):
        super().__init__()
        tables = {"word": 1, "position": max_position_embeddings, "token_type": type_vocab_size}
        self.embeddings = nn.ModuleDict({f"{name}_embeddings": nn.Embedding(rows, hidden_size) for name, rows in tables.items()})
        self.embeddings["LayerNorm"] = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        sizes = (hidden_size, num_attention_heads, intermediate_size, hidden_act, layer_norm_eps)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertLayer(*sizes) for _ in range(num_hidden_layers))})

    def forward(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        """vectors (N, L, D) of pieces, and mask (N, L) of those that are read → the embeddings and each layer's output, (N, L, D) each."""
        tables: Any = self.embeddings
        x = vectors + tables["token_type_embeddings"].weight[0] + tables["position_embeddings"].weight[: vectors.shape[1]]
        states = [tables["LayerNorm"](x)]
        # without a mask where all is read, as transformers does: another kernel, with other last bits
        whole = None if bool(mask.all()) else mask[:, None, None].expand(-1, -1, mask.shape[1], -1)
        layers: Any = self.encoder["layer"]
        for layer in layers:
            states.append(layer(states[-1], whole))
        return states
