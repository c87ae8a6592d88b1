"""Self-attention that also reads the tokens of other frames, in any UNet2DConditionModel; and StoryDiffusion's rule for which.

    with shared_attention(attention_layers(unet, ["up.0"]), context):    # context(layer, tokens) → (rows, more tokens), or None
        unet(x, t, condition)
    pipe(sentences, memory="consistent-attention")                       # the rule of StoryDiffusion

The processor that a layer has (SDPA, xformers, sliced) is called with the other frames' tokens joined to its own as keys and values; LoRAs lie in the
layers and are used as always. Afterwards every layer has the processor that it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

Context = tuple[Tensor, Tensor] | None  # rows (R,), tokens (R, L, C)


def block_of(unet: nn.Module, site: str) -> nn.Module:
    """The block "down.0" …, "mid" or "up.0" … of a UNet. Raises ValueError if it has none of this name."""
    known = {f"{way}.{i}": block for way in ("down", "up") for i, block in enumerate(getattr(unet, f"{way}_blocks"))}
    if getattr(unet, "mid_block", None) is not None:
        known["mid"] = unet.mid_block
    if site not in known:
        raise ValueError(f"there is no block {site!r}; this UNet has {', '.join(known)}")
    return known[site]


def attention_layers(unet: nn.Module, sites: Iterable[str]) -> dict[str, Attention]:
    """Name → self-attention layer of these blocks. Raises ValueError for a block that has none, and for fused projections."""
    found: dict[str, Attention] = {}
    for site in sites:
        layers = {f"{site}.{name}": part for name, part in block_of(unet, site).named_modules() if name.endswith("attn1")}
        if not layers:
            raise ValueError(f"the block {site} has no self-attention")
        found |= layers  # type: ignore[arg-type]
    if any(layer.fused_projections for layer in found.values()):
        raise ValueError("the UNet's projections are fused, which leaves no keys for other frames: call unfuse_qkv_projections()")
    return found


class SharedAttention:
    """An attention processor around another one."""

    def __init__(self, plain: Any, layer: str, context: Callable[[str, Tensor], Context]):
        self.plain, self.layer, self.context = plain, layer, context

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: None = None, attention_mask=None, temb=None, **kwargs
    ) -> Tensor:
        context = self.context(self.layer, hidden_states)
        if context is None:
            return self.plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **kwargs)
        rows, more = context
        keys = torch.cat([hidden_states[rows], more.to(hidden_states.dtype)], dim=1)
        read = self.plain(attn, hidden_states[rows], keys, attention_mask, temb, **kwargs)
        if len(rows) == len(hidden_states):
            return read
        alone = torch.ones(len(hidden_states), dtype=torch.bool, device=rows.device)
        alone[rows] = False
        result = torch.empty_like(hidden_states)
        result[alone] = self.plain(attn, hidden_states[alone], encoder_hidden_states, attention_mask, temb, **kwargs)
        result[rows] = read
        return result


@contextmanager
def shared_attention(layers: dict[str, Attention], context: Callable[[str, Tensor], Context]) -> Iterator[None]:
    before = {name: layer.processor for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.set_processor(SharedAttention(before[name], name, context))
    try:
        yield
    finally:
        for name, layer in layers.items():
            layer.set_processor(before[name])


@dataclass(frozen=True)
class ConsistentAttention:
    """Settings of `memory="consistent-attention"`, StoryDiffusion's consistent self-attention (Zhou et al., NeurIPS 2024), by its published rule.

    The first frames of a story, its anchors, are drawn together, and the self-attention of the up blocks reads a random half of the other anchors'
    tokens beside its own, in all guidance rows. Later frames are drawn one by one, and read the anchors' tokens of the same step and layer. Plain are
    the first of 50 steps and, at random, 30 % of the layers up to step 20 and 10 % after it; as shares of the steps, for other numbers of them.
    Here exactly half of each frame's tokens are read (there each with a chance of a half), and chance follows from `seed`, step and layer.

    Not causal among the anchors: each depends on the sentences of all. anchors: their number. share: of their tokens. start, later: shares of the
    steps. skipped, skipped_later: shares of the layers. same_noise: see `Reference`; StoryDiffusion's frames have noise of their own.
    """

    anchors: int = 4
    share: float = 0.5
    start: float = 0.02
    skipped: float = 0.3
    skipped_later: float = 0.1
    later: float = 0.4
    seed: int = 0
    same_noise: bool = False


class AnchorReader:
    """What one call of a pipeline with `memory="consistent-attention"` keeps and does."""

    def __init__(self, settings: ConsistentAttention, unet: nn.Module):
        self.s = settings
        blocks = [f"up.{i}" for i, block in enumerate(unet.up_blocks) if getattr(block, "has_cross_attention", False)]  # type: ignore[arg-type, union-attr]
        if not blocks:
            raise ValueError("memory='consistent-attention' needs self-attention in the UNet's up blocks, and this UNet has none there")
        self.layers = attention_layers(unet, blocks)
        self.banks: dict[int, dict[tuple[int, str], Tensor]] = {}  # story → (step, layer) → tokens (kinds, anchors * L, C)
        self.together: int | None = None  # the story whose anchors are drawn
        self.kept = True
        self.later: list[int] = []  # the stories of which a later frame is drawn
        self.step, self.steps, self.kinds = 0, 1, 1

    def installed(self) -> Any:
        return shared_attention(self.layers, self._context)

    @contextmanager
    def drawing_together(self, story: int, steps: int, kept: bool) -> Iterator[None]:
        """While the anchors of a story are drawn in one batch, in so many steps. kept: later frames will read them."""
        self.together, self.steps, self.kept = story, steps, kept
        yield
        self.together = None

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for bank in self.banks.values() for x in bank.values())

    def before_step(self, index: int, kinds: int) -> None:
        self.step, self.kinds = index, kinds

    def after_step(self, timestep: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        return prediction

    def _context(self, layer: str, x: Tensor) -> Context:
        share = self.step / self.steps
        chance = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(f"{self.s.seed}/{self.step}/{layer}".encode()).digest()[:7], "big"))
        plain = float(torch.rand((), generator=chance)) < (self.s.skipped if share < self.s.later else self.s.skipped_later)
        if share < self.s.start or plain:
            return None
        rows = torch.arange(len(x), device=x.device)
        if self.together is None:
            banks = [self.banks[story][self.step, layer][-self.kinds :] for story in self.later]
            return rows, torch.stack(banks, 1).flatten(0, 1)  # (kinds * stories, anchors * L, C)
        frames = x.unflatten(0, (self.kinds, -1))  # (kinds, anchors, N, C)
        chosen = torch.randperm(x.shape[1], generator=chance)[: max(1, round(self.s.share * x.shape[1]))].to(x.device)
        read = frames[:, :, chosen]  # (kinds, anchors, L, C)
        if self.kept:
            self.banks.setdefault(self.together, {})[self.step, layer] = read.flatten(1, 2)
        count = frames.shape[1]
        if count == 1:
            return None
        others = torch.tensor([[k for k in range(count) if k != own] for own in range(count)], device=x.device)
        return rows, read[:, others].flatten(2, 3).flatten(0, 1)  # (kinds * anchors, (anchors - 1) * L, C)
