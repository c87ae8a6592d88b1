"""Consistency without training: every frame begins with the same noise, and its predicted clean latent moves to matching tokens of earlier frames.

    pipe(sentences, memory="reference")
    pipe(sentences, memory=Reference(strength=0.5, match_block="up.1"))

*Match* (correspondences of diffusion features, Tang et al., NeurIPS 2023; as used for consistency by ConsiStory, SIGGRAPH 2024): each token of the
frame that is drawn is matched with the tokens of earlier finished frames by the cosine of the features of one block of the UNet, and in the middle
steps

    ẑ_0 ← ẑ_0 + strength (Σ_k w_k z_0^k - ẑ_0),    w = softmax(sharpness · cos - earliest · rank of the frame)

where z_0^k are the clean latents at the tokens k. The features of a finished frame are those of its latent, noised anew: they follow from the latent,
its sentence and the noise, so a story goes on from given frames exactly as from drawn ones. It fits every UNet2DConditionModel and every scheduler
with `alphas_cumprod`. As an option, self-attention also reads the tokens of earlier frames (`attention_blocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.systems.story_ldm.shared_attention import Context, attention_layers, block_of, shared_attention

CLEAN, SENTENCE = ("latent", -1), ("sentence", -1)


@dataclass(frozen=True)
class Reference:
    """Settings of `memory="reference"`. Blocks are called "down.0" …, "mid", "up.0" …

    same_noise: begin every frame with the noise of the first; noise that `latents` or `seeds` state is used as it is.
    strength: how far the predicted clean latent moves, from 0 (it stays) to 1. start, end: between which shares of the steps.
    match_block: whose features are matched; the finer its grid, the smaller the pieces. sharpness, earliest: see above; `earliest` prefers the first
    of several frames that match. match_level: the timestep at which finished frames give features, None for that of the current step.
    attention_blocks: blocks whose self-attention also reads earlier frames, in the rows with text; attention_level: as match_level.
    max_frames: how many finished frames are kept; beyond that the one whose sentence is most like an earlier one's is forgotten.
    """

    same_noise: bool = True
    strength: float = 0.8
    start: float = 0.125
    end: float = 0.75
    match_block: str = "up.0"
    sharpness: float = 100.0
    earliest: float = 5.0
    match_level: int | None = None
    attention_blocks: tuple[str, ...] = ()
    attention_level: int | None = 50
    max_frames: int = 16

    def steps(self, count: int) -> range:
        """The steps, of `count`, in which earlier frames are read."""
        inside = [i for i in range(count) if self.start <= i / count < self.end]
        return range(inside[0], inside[-1] + 1) if inside else range(0)


@dataclass(eq=False)
class ReferenceMemory:
    """What finished frames leave behind: for each kind of thing a tensor (B, K, …) of K frames, by its name and, if it has one, its step."""

    entries: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.entries[SENTENCE].shape[1] if self.entries else 0

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.entries.values())

    def append(self, frame: dict[tuple[str, int], Tensor], max_frames: int) -> None:
        """Append one frame (B, …) of each story; forgets one if there would be more than `max_frames`."""
        self.entries = {name: torch.cat([self.entries[name], x[:, None]], 1) if self.entries else x[:, None] for name, x in frame.items()}
        if len(self) > max_frames:
            self.entries = self._chosen(kept_frames(self.entries[SENTENCE])).entries

    def rows(self, index: Tensor) -> ReferenceMemory:
        """The memory of the stories in index (B',). Not a copy, if these are all in order."""
        if self.entries and torch.equal(index.cpu(), torch.arange(len(self.entries[SENTENCE]))):
            return self
        return ReferenceMemory({name: x.index_select(0, index) for name, x in self.entries.items()})

    def recall(self, sentences: Tensor, max_memory_frames: int | None) -> ReferenceMemory:
        """The frames whose sentences are most similar to these (B, D), in their order; None: all."""
        if max_memory_frames is None or len(self) <= max_memory_frames:
            return self
        similarity = F.cosine_similarity(self.entries[SENTENCE].float(), sentences.float()[:, None], dim=-1)
        return self._chosen(similarity.topk(max_memory_frames, dim=1).indices.sort(dim=1).values)

    def _chosen(self, index: Tensor) -> ReferenceMemory:
        rows = torch.arange(len(index), device=index.device)[:, None]
        return ReferenceMemory({name: x[rows, index] for name, x in self.entries.items()})


def kept_frames(sentences: Tensor) -> Tensor:
    """(B, K-1): all frames but the one whose sentence (B, K, D) is most similar to one before it. It depends on nothing later."""
    x = F.normalize(sentences.float(), dim=-1)
    count = sentences.shape[1]
    later = torch.ones(count, count, dtype=torch.bool, device=sentences.device).triu()
    nearest = (x @ x.transpose(1, 2)).masked_fill(later, -2).amax(2)  # (B, K): to the nearest one before; the first frame has none
    every = torch.arange(count, device=sentences.device).expand(len(sentences), -1)
    return every[every != nearest.argmax(1, keepdim=True)].view(-1, count - 1)


def signal(alphas_cumprod: Tensor, timestep: Tensor | float) -> Tensor:
    """ᾱ at a timestep, also between two of those that were trained: σ = √((1-ᾱ)/ᾱ) is interpolated, as the schedulers do."""
    alphas = alphas_cumprod.double().clamp(min=1e-8)
    at = min(max(float(timestep), 0.0), len(alphas) - 1.0)
    sigmas = ((1 - alphas) / alphas).sqrt()
    low, share = int(at), at - int(at)
    sigma = sigmas[low] * (1 - share) + sigmas[min(low + 1, len(sigmas) - 1)] * share
    return (1 / (1 + sigma**2)).float()


def predicted_clean(kind: str, prediction: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
    """ẑ_0 of a prediction of the kind "epsilon", "v_prediction" or "sample" at x = √ᾱ z_0 + √(1-ᾱ) ε."""
    if kind == "epsilon":
        return (x - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
    return alpha.sqrt() * x - (1 - alpha).sqrt() * prediction if kind == "v_prediction" else prediction


def moved_prediction(kind: str, prediction: Tensor, change: Tensor, alpha: Tensor) -> Tensor:
    """The prediction whose ẑ_0 differs by `change`; where that is 0, the same to the bit."""
    if kind == "sample":
        return prediction + change
    return prediction - change * ((alpha.sqrt() if kind == "epsilon" else 1) / (1 - alpha).sqrt())


def tokens(x: Tensor) -> Tensor:
    """(…, C, h, w) → (…, h*w, C)"""
    return x.flatten(-2).transpose(-1, -2)


def to_patches(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """Latents (B, c, h, w) → (B, c*r*r, *grid): the r × r piece of the picture at each token of a grid. What is missing at the edge is repeated."""
    r = -(-x.shape[-1] // grid[1])
    missing = [r * tokens - side for tokens, side in zip(grid, x.shape[-2:], strict=True)]
    return F.pixel_unshuffle(F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate"), r)


def from_patches(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The reverse of `to_patches`: (B, c*r*r, *grid) → (B, c, *size)."""
    r = -(-size[1] // x.shape[-1])
    return F.pixel_shuffle(x, r)[..., : size[0], : size[1]]


def matched(features: Tensor, remembered: Tensor, values: Tensor, sharpness: float, earliest: float) -> Tensor:
    """Features (B, N, C) of a frame and (B, K, N, C) of earlier ones, and values (B, K, N, D) of theirs → values (B, N, D) of the matched tokens."""
    frames, count = remembered.shape[1:3]
    query = F.normalize(features.float() - features.float().mean(1, keepdim=True), dim=-1)
    key = remembered.float().flatten(1, 2)
    key = F.normalize(key - key.mean(1, keepdim=True), dim=-1).transpose(1, 2)
    rank = earliest * torch.arange(frames, device=features.device).repeat_interleave(count)
    values = values.float().flatten(1, 2)
    parts = [(sharpness * part @ key - rank).softmax(-1) @ values for part in query.split(1024, dim=1)]  # bounds the memory of large pictures
    return torch.cat(parts, 1)


class ReferenceReader:
    """What one call of a pipeline with `memory="reference"` keeps and does; the pipeline calls `installed`, and `choose`, `before_step`, `after_step`
    and `write` for each frame."""

    def __init__(self, settings: Reference, unet: nn.Module, scheduler: Any):
        self.s, self.unet, self.scheduler = settings, unet, scheduler
        self.memory = ReferenceMemory()
        self.now = ReferenceMemory()  # what the frame that is drawn may read
        self.enabled = torch.ones(0, dtype=torch.bool)
        self.layers = attention_layers(unet, settings.attention_blocks)
        self.step, self.kinds, self.stories = -1, 1, 0
        self.features: Tensor | None = None
        self.writes: dict[tuple[str, int], Tensor] | None = None  # filled during the write pass
        self.schedule: list[Tensor] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """With the hook on the matched block and the attention processors, which are taken away afterwards."""
        with ExitStack() as stack:
            if self.s.strength:
                stack.callback(block_of(self.unet, self.s.match_block).register_forward_hook(self._saw).remove)
            stack.enter_context(shared_attention(self.layers, self._context))
            yield

    def choose(self, index: Tensor, sentences: Tensor, max_memory_frames: int | None, enabled: list[bool]) -> None:
        """The stories, by their rows in memory, whose next frame is drawn; their sentences (B, D); which of them may read."""
        self.stories, self.enabled = len(index), torch.tensor(enabled, device=sentences.device)
        self.now = self.memory.rows(index).recall(sentences, max_memory_frames) if len(self.memory) and any(enabled) else ReferenceMemory()

    def keep(self, index: Tensor) -> None:
        """Drops the memory of all stories but these."""
        self.memory = self.memory.rows(index)

    def before_step(self, index: int, kinds: int) -> None:
        self.step, self.kinds = index, kinds

    def after_step(self, timestep: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        """The prediction after the match. x (B, c, h, w): what the UNet read."""
        if not self._reads() or not self.s.strength:
            return prediction
        assert self.features is not None
        alpha = signal(self.scheduler.alphas_cumprod, timestep).to(x.device)
        kind = self.scheduler.config.prediction_type
        clean = predicted_clean(kind, prediction.float(), x.float(), alpha)
        features = self.features[-self.stories :]
        grid, size = (features.shape[-2], features.shape[-1]), (x.shape[-2], x.shape[-1])
        remembered = self.now.entries["features", self._at(self.s.match_level, self.step)]
        values = to_patches(self.now.entries[CLEAN].float().flatten(0, 1), grid)
        values = tokens(values).unflatten(0, (self.stories, -1))  # (B, K, N, c*r*r)
        target = matched(tokens(features), tokens(remembered), values, self.s.sharpness, self.s.earliest)
        target = from_patches(target.transpose(1, 2).unflatten(2, grid), size)
        change = self.s.strength * (target - clean) * self.enabled.view(-1, 1, 1, 1)
        return moved_prediction(kind, prediction, change, alpha).to(prediction.dtype)

    def write(self, clean: Tensor, noise: Tensor, condition: Conditioning, sentences: Tensor, run: Callable[..., Any]) -> None:
        """The write pass of one finished frame of each story: latents (B, c, h, w), the noise that it began with, its conditioning and pooled
        sentence. run(x, timestep, condition) calls the UNet."""
        steps = self.s.steps(len(self.scheduler.timesteps))
        levels: dict[int, Any] = {}
        if self.s.strength:
            levels |= {self._at(self.s.match_level, i): self._level(self.s.match_level, i) for i in steps}
        if self.layers:
            levels |= {self._at(self.s.attention_level, i): self._level(self.s.attention_level, i) for i in steps}
        self.writes = {CLEAN: clean, SENTENCE: sentences}
        for self.step, timestep in levels.items():
            alpha = signal(self.scheduler.alphas_cumprod, timestep).to(clean.device)
            run((alpha.sqrt() * clean + (1 - alpha).sqrt() * noise).to(clean.dtype), timestep, condition)
        self.memory.append(self.writes, self.s.max_frames)
        self.writes = None

    @staticmethod
    def _at(level: int | None, step: int) -> int:
        """The number under which what is read in a step lies: below 0 for fixed levels."""
        return step if level is None else -1 - level

    def _level(self, level: int | None, step: int) -> Any:
        return self.scheduler.timesteps[step] if level is None else torch.tensor(level)

    def _reads(self) -> bool:
        return len(self.now) > 0 and self.step in self.s.steps(len(self.scheduler.timesteps))

    def _saw(self, module: nn.Module, args: Any, output: Any) -> None:
        features = output[0] if isinstance(output, tuple) else output
        if self.writes is None:
            self.features = features
        elif self.step >= 0 if self.s.match_level is None else self.step == -1 - self.s.match_level:
            self.writes["features", self.step] = features

    def _context(self, layer: str, x: Tensor) -> Context:
        """What self-attention reads besides its own tokens x (rows, N, C): rows, and for each the tokens of earlier frames."""
        if self.writes is not None:
            if self.step >= 0 if self.s.attention_level is None else self.step == -1 - self.s.attention_level:
                self.writes[layer, self.step] = x
            return None
        if not self._reads():
            return None
        rows = self.enabled.nonzero()[:, 0]
        earlier = self.now.entries[layer, self._at(self.s.attention_level, self.step)]  # (B, K, N, C)
        return (self.kinds - 1) * self.stories + rows, earlier[rows].flatten(1, 2)
