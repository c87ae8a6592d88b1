"""Memory attention of Make-A-Story (Rahman et al., CVPR 2023): each frame attends to earlier frames, weighted by their sentences.

    Q = W_Q f(S^m),   K = W_K f(S^{<m}),   V = W_V f̂(Z^{<m})            (the paper's memory module)
    M_attn = softmax(Q Kᵀ / √d) V                                        (Eqs. 4 and 11)

`MemoryAttention.write` takes what keys and values of clean earlier frames need (the write pass), `StoryMemory` stores it for all layers of the UNet,
`MemoryAttention.prepare` computes once a frame what does not depend on the diffusion step, keys and values among it, and `MemoryAttention.read`
reads that at every step (the read pass). `StoryUNet2DConditionModel` calls all three.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

from story_ldm.nn import hooks
from story_ldm.nn.layers import zero_init

FEW_KEYS = 1024  # beyond, attention without a fused kernel takes too much memory


def grid_positions(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Fixed position embedding (height*width, channels) of a token grid: sin y, cos y, sin x, cos x, and zeros for the remaining channels % 4."""
    frequencies = 10000.0 ** -(torch.arange(channels // 4, device=device) / max(channels // 4, 1))
    y = torch.arange(height, device=device)[:, None, None] * frequencies
    x = torch.arange(width, device=device)[None, :, None] * frequencies
    parts = [part.expand(height, width, -1) for part in (y.sin(), y.cos(), x.sin(), x.cos())]
    parts.append(torch.zeros(height, width, channels % 4, device=device))
    return torch.cat(parts, dim=-1).flatten(0, 1)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Eq. 4 without a fused kernel: query (B, H, Lq, d), key (B, H, Lk, d), value (B, H, Lk, e) → (B, H, Lq, e) and weights (B, H, Lq, Lk).

    mask (R, Lk), true where a query may not read; each of its rows is for Lq / R queries in turn, and none is true everywhere."""
    logits = query @ (key * key.shape[-1] ** -0.5).transpose(-1, -2)
    if mask is not None:
        logits = logits.unflatten(2, (len(mask), -1)).masked_fill(mask[:, None], -torch.inf).flatten(2, 3)
    weights = logits.softmax(-1)
    return weights.to(value.dtype) @ value, weights


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`attend` by the fused kernel that diffusers is set to."""
    return dispatch_attention_fn(*(x.transpose(1, 2) for x in (query, key, value))).transpose(1, 2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, C) → (B, H, L, d)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()


def places(like: Tensor, size: tuple[int, int]) -> Tensor:
    """Position embedding (h*w, C) for features (…, C)."""
    return grid_positions(*size, like.shape[-1], like.device).to(like.dtype)


def unreadable(readable: list[int], tokens: int, keys: Tensor, sink: int = 0) -> Tensor:
    """Mask (R, L) over keys (…, L, d), true where the frame may not read: all but the sink and the tokens of its first `readable` entries."""
    ends = torch.tensor([sink + count * tokens for count in readable], device=keys.device)
    return torch.arange(keys.shape[-2], device=keys.device) >= ends[:, None]


class MemoryEntry(NamedTuple):
    """What one layer remembers of K frames: what keys and values are computed from, which is smaller than they are where the layer is wide."""

    sentence_keys: Tensor  # (B, K, C)
    features: Tensor  # (B, K, N, C_source), normalised

    def map(self, function: Callable[..., Tensor], *others: MemoryEntry) -> MemoryEntry:
        """`function` applied to each tensor, together with that of the others."""
        return MemoryEntry(*map(function, self, *others))


class Prepared(NamedTuple):
    """What one layer reads at every diffusion step, for the R last of Q frames: the first ones read nothing.

    In the spatial form, `query` is the part of the queries that does not depend on the latents. In the sentence form nothing depends on them, and
    `output` and `weights` are the whole of it."""

    readable: list[int] | None = None  # number of entries that each of the R frames reads; None: all
    query: Tensor | None = None  # (B, R, N, C)
    key: Tensor | None = None  # (B, H, 1 + K*N, d), the sink first, so that entries 0..n-1 are one slice
    value: Tensor | None = None  # (B, H, 1 + K*N, d)
    enabled: Tensor | None = None  # (B,)
    output: Tensor | None = None  # (B, Q, N, C)
    weights: Tensor | None = None  # (B, H, Q, K)


@dataclass(eq=False)
class StoryMemory:
    """The visual memory of B stories: one entry per layer, and the positions of its frames, which all stories share."""

    entries: dict[str, MemoryEntry] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)
    enabled: Tensor | None = None  # (B,) bool; disabled rows read exact zeros
    kept: Tensor | None = None  # (B, K), set by `recall`: position of each entry of each story
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # of the token grid of each entry: height, width

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
            self.entries, self.sizes = other.entries, other.sizes
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
        return sum(x.nbytes for entry in self.entries.values() for x in entry)

    def _map(self, function: Callable[[Tensor], Tensor], row_function: Callable[[Tensor], Tensor] = lambda x: x) -> StoryMemory:
        """A new memory with `function` applied to the tensors of the entries and `row_function` to the tensors of whole stories."""
        entries = {site: entry.map(function) for site, entry in self.entries.items()}
        enabled, kept = (None if x is None else row_function(x) for x in (self.enabled, self.kept))
        return StoryMemory(entries, [*self.positions], enabled, kept, self.sizes)


@dataclass(eq=False)
class PreparedMemory:
    """What the UNet reads at every diffusion step of one frame of each story."""

    layers: dict[str, Prepared]
    rows: Tensor  # (R,), of the UNet's batch: those that read; no other computes any memory

    def after(self, others: int) -> PreparedMemory:
        """The same for a batch that begins with so many other rows."""
        return PreparedMemory(self.layers, self.rows + others)


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

    def write(self, features: Tensor, sentences: Tensor) -> MemoryEntry:
        """What to remember of clean frames: features (B, K, N, C_source), sentences (B, K, D)."""
        return MemoryEntry(self.to_k(sentences), self.norm_memory(features))

    def relevance(self, sentences: Tensor, entry: MemoryEntry) -> Tensor:
        """Sentence logits (B, K), (W_Q f(S^m))·(W_K f(S^k)) / √d, mean over heads, for one sentence of each story (B, D)."""
        query = self.to_q(sentences)
        logits = torch.einsum("bc,bkc->bk", query, entry.sentence_keys.to(query.dtype)).float()
        return logits / (self.heads * (self.to_q.out_features // self.heads) ** 0.5)

    @hooks.with_entries
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
        return self.read(features, self.prepare(sentences, entry, readable, size, enabled), return_weights)

    @hooks.entry
    def prepare(
        self, sentences: Tensor, entry: MemoryEntry, readable: list[int] | None, size: tuple[int, int], enabled: Tensor | None = None
    ) -> Prepared:
        """What does not depend on the diffusion step, for `read`. The arguments are those of `forward`; `readable` must not fall."""
        (stories, count, tokens), frames, skipped = entry.features.shape[:3], sentences.shape[1], 0
        if readable is not None:
            assert readable == sorted(readable), f"positions of frames must grow; these read {readable} entries"
            skipped = bisect_right(readable, 0)
            readable = None if readable[skipped:] == [count] * (frames - skipped) else readable[skipped:]
        query = self.to_q(sentences[:, skipped:])
        if skipped == frames:
            zeros = query.new_zeros(stories, self.heads, frames, count)
            return Prepared(output=query.new_zeros(stories, frames, tokens, self.to_q.out_features), weights=zeros)
        sentence_keys, features = entry.map(lambda x: x.to(query.dtype))
        values = self.to_v(features)
        if enabled is not None:  # output and gradients are then zero to the last bit
            values = torch.where(enabled[:, None, None, None], values, torch.zeros_like(values))
        if self.form == "sentence":
            # each frame is one key, and its N tokens are one long value: (B, K, N, C) → (B, H, K, N*d)
            value = values.unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(3)
            mask = None if readable is None else unreadable(readable, 1, sentence_keys)
            read, weights = attend(split_heads(query, self.heads), split_heads(sentence_keys, self.heads), value, mask)
            read = read.unflatten(3, (tokens, -1)).permute(0, 2, 3, 1, 4).flatten(3)  # (B, H, R, N*d) → (B, R, N, C)
            return Prepared(output=self._out(read, skipped), weights=self._padded(weights, skipped, enabled))
        keys = sentence_keys[:, :, None] + self.to_k_tokens(features + places(features, size))
        query = query[:, :, None] + self.to_q_tokens(places(query, size))
        sink = self.sink.to(query.dtype).expand(stories, 1, -1)
        key = split_heads(torch.cat([sink, keys.flatten(1, 2)], dim=1), self.heads)
        value = split_heads(torch.cat([torch.zeros_like(sink), values.flatten(1, 2)], dim=1), self.heads)
        return Prepared(readable, query, key, value, enabled)

    def read(self, features: Tensor | None, prepared: Prepared, return_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """M_attn (D*B, Q, N, C) of features (D*B, Q, N, C) and the weights, as of `forward`. Features are D noise draws, one after another, of the B
        stories that were prepared. The sentence form needs none, and its output (B, Q, N, C) is that of each draw."""
        p = prepared
        if p.output is not None:
            return p.output, p.weights if return_weights else None
        assert features is not None and p.query is not None and p.key is not None and p.value is not None
        skipped, tokens = features.shape[1] - p.query.shape[1], features.shape[2]
        query = self.to_q_tokens(self.norm_query(features[:, skipped:])).unflatten(0, (-1, len(p.key))) + p.query  # (D, B, R, N, C)
        draws, _, frames = query.shape[:3]
        query = query.unflatten(-1, (self.heads, -1)).permute(1, 4, 2, 0, 3, 5).flatten(3, 4)  # (B, H, R, D*N, d)
        grad, cpu, weights = torch.is_grad_enabled(), query.device.type == "cpu", None
        few = (grad or p.readable is not None) and p.key.shape[2] <= 1 + FEW_KEYS  # not asked of a frame that is drawn, for torch.compile
        # Teacher forcing is one product with a mask, or for each frame one with a slice of the keys, which computes half as much. If keys are few, a
        # GPU waits for its next kernel.
        if return_weights or (p.readable is not None and few and not cpu):
            mask = None if p.readable is None else unreadable(p.readable, tokens, p.key, sink=1)
            read, weights = attend(query.flatten(2, 3), p.key, p.value, mask)
        else:
            spans = [(query.flatten(2, 3), None)] if p.readable is None else [(query[:, :, m], 1 + n * tokens) for m, n in enumerate(p.readable)]
            # on a CPU the backward of the fused kernel is slower for few keys
            attention = (lambda *x: attend(*x)[0]) if few and cpu and grad else fused
            reads = [attention(q, p.key[:, :, :end], p.value[:, :, :end]) for q, end in spans]
            read = reads[0] if len(reads) == 1 else torch.cat(reads, dim=2)
        read = read.unflatten(2, (frames, draws, tokens)).permute(3, 0, 2, 4, 1, 5).flatten(0, 1).flatten(3)  # (B, H, R*D*N, d) → (D*B, R, N, C)
        output = self._out(read, skipped)
        if not return_weights:
            return output, None
        assert weights is not None
        by_frame = weights[..., 1:].unflatten(-1, (-1, tokens)).sum(-1).unflatten(2, (frames, draws, tokens)).mean(4)  # (B, H, R, D, K)
        return output, self._padded(by_frame.permute(3, 0, 1, 2, 4), skipped, p.enabled).flatten(0, 1)

    def _out(self, read: Tensor, skipped: int) -> Tensor:
        output = self.to_out(read)  # has no bias, which keeps exact zeros
        return nn.functional.pad(output, (0, 0, 0, 0, skipped, 0)) if skipped else output

    @staticmethod
    def _padded(weights: Tensor, skipped: int, enabled: Tensor | None) -> Tensor:
        """Weights (…, B, H, R, K) → (…, B, H, Q, K), with zeros for frames and stories that read nothing."""
        weights = nn.functional.pad(weights, (0, 0, skipped, 0))
        return weights if enabled is None else torch.where(enabled[:, None, None, None], weights, torch.zeros_like(weights))
