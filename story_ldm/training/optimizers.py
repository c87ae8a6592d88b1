"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum whose matrix is made orthogonal before it is applied.

torch's own Muon takes matrices alone; here a convolution's kernel is the matrix (out, in · h · w), and what is no matrix goes on with AdamW in
the same optimizer, so that one gradient scaler and one checkpoint serve both. In matrices it equals `torch.optim.Muon`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec

import torch
from torch import Tensor, nn


def orthogonalized(matrices: Tensor, steps: int = 5) -> Tensor:
    """(N, rows, columns) → about the nearest matrices of singular values near 1 (0.7 to 1.2): the quintic Newton-Schulz iteration, in bfloat16."""
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with `muon=True`: these take orthogonal steps, scaled to the size of AdamW's (0.2 √max(rows, columns), Liu et al.
    2025), so that both go by the same learning rate. `momentum` is Nesterov's."""

    def __init__(self, groups: Iterable[dict], lr: float, momentum: float = 0.95, **adamw):
        super().__init__(groups, lr=lr, **adamw)
        for group in self.param_groups:
            group.setdefault("muon", False)
            group.setdefault("momentum", momentum)
            assert not group["muon"] or all(p.ndim >= 2 for p in group["params"]), "Muon takes matrices and kernels alone"

    @torch.no_grad()
    def step(self, closure=None):
        """One step of both; gradients of the Muon groups are used up."""
        for group in self.param_groups:
            if group["muon"]:
                self._orthogonal_step(group)
        return super().step(closure)

    def _orthogonal_step(self, group: dict) -> None:
        same_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state["step"], state["momentum_buffer"] = torch.zeros(()), torch.zeros_like(parameter)  # torch's Adam looks for "step" on loading
            average = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(average, group["momentum"]).flatten(1)
            same_shape[tuple(update.shape)].append((parameter, update))
            parameter.grad = None  # AdamW passes it by
        for shape, members in same_shape.items():
            directions = orthogonalized(torch.stack([update for _, update in members]))
            for (parameter, _), direction in zip(members, directions):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view(parameter.shape).to(parameter.dtype), alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)


def muon_groups(
    model: nn.Module, first_and_last: tuple[str, ...] = ("conv_in", "conv_out", "time_embedding", "class_embedding", "quant_conv")
) -> list[dict]:
    """Groups of a model's parameters that are trained: matrices and kernels for Muon, but for those of its first and last layers (a part of
    whose name is in `first_and_last`), and the rest."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    matrices = [p for n, p in trained.items() if p.ndim >= 2 and not any(part.removeprefix("post_") in first_and_last for part in n.split("."))]
    chosen = set(matrices)
    return [{"params": matrices, "muon": True}, {"params": [p for p in trained.values() if p not in chosen]}]


def new_optimizer(name: str, groups: list[dict], **settings) -> torch.optim.Optimizer:
    """ "adamw" (fused), "adamw8bit" or "muon" over groups of parameters, of which `muon_groups` makes some.

    Raises SystemExit where bitsandbytes is missing."""
    if name == "muon":
        return Muon(groups, foreach=True, **settings)
    if name == "adamw8bit":
        if find_spec("bitsandbytes") is None:
            raise SystemExit('optimizer is "adamw8bit", which wants bitsandbytes: pip install -e ".[bitsandbytes]"')
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(groups, **settings)
    return torch.optim.AdamW(groups, fused=True, **settings)
