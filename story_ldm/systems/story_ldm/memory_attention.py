"""Memory attention of Make-A-Story (Rahman et al., CVPR 2023): each frame attends to earlier frames, weighted by their sentences.

    Q = W_Q f(S^m),   K = W_K f(S^{<m}),   V = W_V f̂(Z^{<m})            (the paper's memory module)
    M_attn = softmax(Q Kᵀ / √d) V                                        (Eqs. 4 and 11)

`MemoryAttention.write` computes the keys and values of clean earlier frames once (the write pass), `StoryMemory` stores them for all layers of
the UNet, and `MemoryAttention.forward` reads them at every diffusion step (the read pass). `StoryUNet2DConditionModel` calls both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

from story_ldm.nn.layers import zero_init


def grid_positions(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Fixed position embedding (height*width, channels) of a token grid: sin y, cos y, sin x, cos x, and zeros for the remaining channels % 4."""
    frequencies = 10000.0 ** -(torch.arange(channels // 4, device=device) / max(channels // 4, 1))
    y = torch.arange(height, device=device)[:, None, None] * frequencies
    x = torch.arange(width, device=device)[None, :, None] * frequencies
    parts = [part.expand(height, width, -1) for part in (y.sin(), y.cos(), x.sin(), x.cos())]
    parts.append(torch.zeros(height, width, channels % 4, device=device))
    return torch.cat(parts, dim=-1).flatten(0, 1)


def attend(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 4 without a fused kernel: query (B, Lq, H, d), key (B, Lk, H, d), value (B, Lk, H, e) → (B, Lq, H, e) and weights (B, H, Lq, Lk)."""
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    weights = logits.softmax(-1)
    return (weights.to(value.dtype) @ value).transpose(1, 2), weights


class MemoryEntry(NamedTuple):
    """Keys and values of K frames for one layer. In the sentence form `keys` is None, because the sentence keys are the keys."""

    sentence_keys: Tensor  # (B, K, inner)
    keys: Tensor | None  # (B, K, N, inner)
    values: Tensor  # (B, K, N, inner)

    def map(self, function: Callable[..., Tensor], *others: MemoryEntry) -> MemoryEntry:
        """`function` applied to each tensor, together with that of the others."""
        keys = None if self.keys is None else function(self.keys, *(other.keys for other in others))
        return MemoryEntry(function(self.sentence_keys, *(x.sentence_keys for x in others)), keys, function(self.values, *(x.values for x in others)))


@dataclass(eq=False)
class StoryMemory:
    """The visual memory of B stories: one entry per layer, and the positions of its frames, which all stories share."""

    entries: dict[str, MemoryEntry] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)
    enabled: Tensor | None = None  # (B,) bool; disabled rows read exact zeros
    kept: Tensor | None = None  # (B, K), set by `recall`: position of each entry of each story

    def __len__(self) -> int:
        return len(self.positions)

    def readable(self, positions: list[int]) -> list[int]:
        """For each query position, the number of entries strictly before it; these are the first ones."""
        return [bisect_left(self.positions, position) for position in positions]

    def append(self, other: StoryMemory) -> StoryMemory:
        """Append later frames in place; returns self."""
        assert self.kept is None and other.kept is None, "a recalled memory cannot be appended to: it is for reading only"
        assert not self or not other or other.positions[0] > self.positions[-1], f"positions must grow: {other.positions} after {self.positions}"
        if not self:
            self.entries = other.entries
        elif other:
            self.entries = {
                site: entry.map(lambda old, new: torch.cat([old, new], dim=1), other.entries[site]) for site, entry in self.entries.items()
            }
        self.positions = [*self.positions, *other.positions]
        return self

    def recall(self, relevance: Tensor, max_memory_frames: int) -> StoryMemory:
        """Keep the `max_memory_frames` entries of highest relevance (B, K) of each story, in order of position."""
        index = relevance.topk(max_memory_frames, dim=1).indices.sort(dim=1).values  # (B, k)
        rows = torch.arange(len(index), device=index.device)[:, None]
        positions = torch.tensor(self.positions, device=index.device)
        # Stories keep different frames. The j-th kept frame is at or before the j-th of the last k, so these positions are upper bounds for all.
        return replace(self._map(lambda x: x[rows, index]), positions=self.positions[-max_memory_frames:], kept=positions[index])

    def rows(self, index: Tensor) -> StoryMemory:
        """The memory of the stories in index (B',), which may drop, repeat or reorder them."""
        return self._map(lambda x: x.index_select(0, index), lambda x: x.index_select(0, index))

    def detach(self) -> StoryMemory:
        return self._map(Tensor.detach)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> StoryMemory:
        return self._map(lambda x: x.to(device=device, dtype=dtype), lambda x: x.to(device=device))

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for entry in self.entries.values() for x in entry if x is not None)

    def _map(self, function: Callable[[Tensor], Tensor], row_function: Callable[[Tensor], Tensor] = lambda x: x) -> StoryMemory:
        """A new memory with `function` applied to the tensors of the entries and `row_function` to the tensors of whole stories."""
        entries = {site: entry.map(function) for site, entry in self.entries.items()}
        enabled, kept = (None if x is None else row_function(x) for x in (self.enabled, self.kept))
        return StoryMemory(entries, [*self.positions], enabled, kept)


class MemoryAttention(nn.Module):
    """One memory layer. Its output has the shape of the features and is added to them: C_attn + M_attn.

    `form="sentence"` is the paper's: the weights of earlier frames depend on sentences only, and each token reads the tokens at its own location.
    `form="spatial"`: queries and keys also include the latent tokens with their positions, W_Q f(S^m) + W_QZ f̂(Z^m) and
    W_K f(S^k) + W_KZ f̂(Z^k); each token attends to all tokens of all earlier frames. One additional learned key per head, the sink, has the value
    zero, which allows a token to read nothing.
    """

    def __init__(self, channels: int, source_channels: int, sentence_dim: int, heads: int, form: str = "spatial"):
        super().__init__()
        assert form in ("sentence", "spatial"), f"form is {form!r}; it must be sentence or spatial"
        assert channels % heads == 0, f"channels is {channels}; it must be divisible by the {heads} heads"
        self.form, self.heads = form, heads
        self.norm_memory = nn.LayerNorm(source_channels)
        self.to_q = nn.Linear(sentence_dim, channels, bias=False)
        self.to_k = nn.Linear(sentence_dim, channels, bias=False)
        self.to_v = nn.Linear(source_channels, channels, bias=False)
        if form == "spatial":
            self.norm_query = nn.LayerNorm(channels)
            self.to_q_tokens = nn.Linear(channels, channels, bias=False)
            self.to_k_tokens = nn.Linear(source_channels, channels, bias=False)
            self.sink = nn.Parameter(torch.zeros(channels))
        self.to_out = zero_init(nn.Linear(channels, channels, bias=False))

    def write(self, features: Tensor, sentences: Tensor, size: tuple[int, int]) -> MemoryEntry:
        """Keys and values of clean frames: features (B, K, N, C_source) on a token grid of `size` (height, width), sentences (B, K, D)."""
        features = self.norm_memory(features)
        sentence_keys = self.to_k(sentences)
        keys = None
        if self.form == "spatial":
            keys = sentence_keys[:, :, None] + self.to_k_tokens(self._placed(features, size))
        return MemoryEntry(sentence_keys, keys, self.to_v(features))

    def relevance(self, sentences: Tensor, entry: MemoryEntry) -> Tensor:
        """Sentence logits (B, K), (W_Q f(S^m))·(W_K f(S^k)) / √d, mean over heads, for one sentence of each story (B, D)."""
        logits = torch.einsum("bc,bkc->bk", self.to_q(sentences), entry.sentence_keys).float()
        return logits / (self.heads * (self.to_q.out_features // self.heads) ** 0.5)

    def forward(
        self,
        features: Tensor,
        sentences: Tensor,
        entry: MemoryEntry,
        readable: list[int] | None,
        size: tuple[int, int],
        enabled: Tensor | None = None,
        return_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """M_attn (B, Q, N, C) of features (B, Q, N, C) with sentences (B, Q, D); query frame q reads the first `readable[q]` entries, or all.

        With `return_weights`, also the weights (B, heads, Q, K); in the spatial form they are summed over the tokens of a memory frame and averaged
        over those of the query frame. The output is exactly zero for a frame without readable entries and for stories not `enabled` (B,).
        """
        sink = 0
        key, value = entry.sentence_keys, entry.values
        query = self.to_q(sentences)[:, :, None]
        if self.form == "spatial":
            assert entry.keys is not None, "the entry was written by a layer of the sentence form"
            query = query + self.to_q_tokens(self._placed(self.norm_query(features), size))
            sink, tokens = 1, value.shape[2]
            # sink first, so that entries 0..n-1 are one slice: (B, 1 + K*N, C)
            key = torch.cat([self.sink.to(value.dtype).expand(len(value), 1, -1), entry.keys.flatten(1, 2)], dim=1)
            value = torch.cat([torch.zeros_like(value[:, 0, :1]), value.flatten(1, 2)], dim=1)
            value = value.unflatten(-1, (self.heads, -1))  # (B, 1 + K*N, H, d)
        else:
            tokens = 1
            # each frame is one key, and its N tokens are one long value: (B, K, N, C) → (B, K, H, N*d)
            value = value.unflatten(-1, (self.heads, -1)).transpose(2, 3).flatten(3)
        query, key = query.unflatten(-1, (self.heads, -1)), key.unflatten(-1, (self.heads, -1))
        explicit = return_weights or self.form == "sentence"  # one query per frame and long values do not suit fused kernels
        # on a CPU the backward of the fused kernel is slower for few keys
        explicit |= query.device.type == "cpu" and torch.is_grad_enabled() and key.shape[1] <= 1024

        reads, weights = [], []
        for frame in range(features.shape[1]):  # teacher forcing by slicing the keys, without a mask
            count = None if readable is None else readable[frame]
            span = slice(0, None if count is None else sink + count * tokens)
            frame_weights = None
            if count == 0:
                read = torch.zeros_like(value[:, :1]).expand(-1, query.shape[2], -1, -1)
            elif explicit:
                read, frame_weights = attend(query[:, frame], key[:, span], value[:, span])
            else:
                read = dispatch_attention_fn(query[:, frame], key[:, span], value[:, span])
            reads.append(read)
            if return_weights:
                weights.append(self._frame_weights(frame_weights, sink, count, entry.values))
        read = torch.stack(reads, dim=1)  # (B, Q, N, H, d); in the sentence form (B, Q, 1, H, N*d)
        if self.form == "sentence":
            read = read.squeeze(2).unflatten(-1, (entry.values.shape[2], -1)).transpose(2, 3)
        if enabled is not None:
            read = torch.where(enabled[:, None, None, None, None], read, torch.zeros_like(read))
            weights = [torch.where(enabled[:, None, None], x, torch.zeros_like(x)) for x in weights]
        # to_out has no bias, which keeps exact zeros
        return self.to_out(read.flatten(3)), torch.stack(weights, dim=2) if return_weights else None

    def _frame_weights(self, weights: Tensor | None, sink: int, count: int | None, values: Tensor) -> Tensor:
        """Attention weights (B, H, Lq, Lk) of one query frame → its weights on the frames in memory (B, H, K)."""
        count = values.shape[1] if count is None else count
        result = torch.zeros(len(values), self.heads, values.shape[1], device=values.device)
        if count:
            assert weights is not None
            result[..., :count] = weights[..., sink:].unflatten(-1, (count, -1)).sum(-1).mean(2)
        return result

    def _placed(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        assert features.shape[2] == size[0] * size[1], f"{features.shape[2]} tokens do not form a {size} grid"
        return features + grid_positions(*size, features.shape[-1], features.device).to(features.dtype)
