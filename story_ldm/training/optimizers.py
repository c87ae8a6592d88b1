"""Optimizers of the training scripts: AdamW, 8-bit AdamW, and Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    optimizer = new_optimizer("muon", muon_groups(model), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)

Muon orthogonalizes the momentum of a matrix before it is applied. `torch.optim.Muon` takes only matrices; `Muon` also takes convolution kernels,
as matrices (out, in · h · w), and optimizes all other parameters by AdamW in the same object, so one gradient scaler and one checkpoint serve
both. On matrices it equals `torch.optim.Muon`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; without them it is many times slower than float32."""
    return torch.cpu._is_avx512_bf16_supported()


def orthogonalized(matrices: Tensor, steps: int = 5) -> Tensor:
    """Approximates the nearest semi-orthogonal matrices of (N, rows, columns) by quintic Newton-Schulz iterations, in bfloat16 where that is fast.

    Singular values of the result are between about 0.7 and 1.2."""
    x = matrices.bfloat16() if matrices.is_cuda or cpu_has_bfloat16() else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """AdamW, except for groups with `muon=True`, whose steps are orthogonalized.

    These steps are scaled to the size of AdamW's (0.2 √max(rows, columns), Liu et al. 2025), to share its learning rate. `momentum` is Nesterov's.
    Raises AssertionError for a vector in a Muon group."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95, **adamw: Any):
        super().__init__(groups, lr=lr, **adamw)
        for group in self.param_groups:
            group.setdefault("muon", False)
            group.setdefault("momentum", momentum)
            assert not group["muon"] or all(p.ndim >= 2 for p in group["params"]), "Muon takes only matrices and kernels"

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Steps all groups; sets the gradients of the Muon groups to None."""
        for group in self.param_groups:
            if group["muon"]:
                self._orthogonal_step(group)
        return super().step(closure)

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        same_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state["step"], state["momentum_buffer"] = torch.zeros(()), torch.zeros_like(parameter)  # Adam's loading reads "step"
            average = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(average, group["momentum"]).flatten(1)
            same_shape[tuple(update.shape)].append((parameter, update))
            parameter.grad = None  # AdamW skips parameters without a gradient
        for shape, members in same_shape.items():
            directions = orthogonalized(torch.stack([update for _, update in members]))
            for (parameter, _), direction in zip(members, directions):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view(parameter.shape).to(parameter.dtype), alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)


def muon_groups(
    model: nn.Module, first_and_last: tuple[str, ...] = ("conv_in", "conv_out", "time_embedding", "class_embedding", "quant_conv")
) -> list[dict[str, Any]]:
    """Two groups of a model's trainable parameters: matrices and kernels for Muon, and the rest for AdamW.

    The rest includes the first and last layers, those with a part of their dotted name in `first_and_last`."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    matrices = [p for n, p in trained.items() if p.ndim >= 2 and not any(part.removeprefix("post_") in first_and_last for part in n.split("."))]
    with_muon = set(matrices)
    return [{"params": matrices, "muon": True}, {"params": [p for p in trained.values() if p not in with_muon]}]


def new_optimizer(name: str, groups: list[dict[str, Any]], **settings: Any) -> torch.optim.Optimizer:
    """A fused AdamW ("adamw"), an 8-bit AdamW ("adamw8bit") or a Muon ("muon", with groups from `muon_groups`) over groups of parameters.

    Raises SystemExit if "adamw8bit" is chosen and bitsandbytes is not installed."""
    if name == "muon":
        return Muon(groups, foreach=True, **settings)
    if name == "adamw8bit":
        if find_spec("bitsandbytes") is None:
            raise SystemExit('--optimizer is adamw8bit, which requires bitsandbytes: pip install "story-ldm[bitsandbytes]"')
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(groups, **settings)
    return torch.optim.AdamW(groups, fused=True, **settings)
