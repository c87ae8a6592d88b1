"""Normalisation of the GANs.

    make_norm = norm_layer("group", groups=8)          # or "batch", or "spectral" (discriminators only)
    norm = make_norm(64)                               # for vectors (N, 64) and maps (N, 64, H, W)

"batch" is the StoryGAN paper's. Its statistics cover the whole batch over all processes (`BatchNorm`), and the averaged weights get statistics of
their own (`settle_statistics`). "group" needs neither: each story is processed independently of the rest of its batch, in training and generation.
"spectral" has no normalisation layers: it divides weights by their largest singular value (`normalise_weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def norm_layer(kind: str, groups: int) -> Callable[[int], nn.Module]:
    """A function from a number of channels to a normalisation layer of this kind; `groups` is used by "group" only."""
    assert kind in ("group", "batch", "spectral"), f"norm is {kind!r}; it must be group, batch or (discriminators only) spectral"
    makers: dict[str, Callable[[int], nn.Module]] = {
        "group": lambda channels: nn.GroupNorm(groups, channels),
        "batch": BatchNorm,
        "spectral": lambda channels: nn.Identity(),
    }
    return makers[kind]


class AllReduce(torch.autograd.Function):
    """Sum over processes. Every process's loss depends on all summands, so the gradient is summed as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of (N, C) or (N, C, H, W) with statistics over all processes, each of which has an equal share of the batch.

    torch's SyncBatchNorm does the same but does not accept CPU tensors."""

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim in (2, 4), f"the input has {x.ndim} dimensions; BatchNorm takes vectors (N, C) and maps (N, C, H, W)"

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        self._check_input_dim(x)
        y = x.float()
        dims = [0, *range(2, x.ndim)]
        count = x.numel() // x.shape[1] * dist.get_world_size()
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean = AllReduce.apply(y.sum(dims)) / count
        y = y - mean.view(shape)  # centred before squaring: E[y²] - E[y]² would cancel most digits
        variance = AllReduce.apply(y.square().sum(dims)) / count
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, torch.as_tensor(share, device=mean.device))
            self.running_var.lerp_(variance * count / (count - 1), torch.as_tensor(share, device=mean.device))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (y * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


@torch.no_grad()
def settle_statistics(model: nn.Module, inputs: Iterable[tuple]) -> None:
    """Recompute a model's BatchNorm statistics as the mean over `inputs`, tuples of arguments of its forward; to be called in all processes.

    These are BigGAN's standing statistics: the running statistics of training belong to the raw weights of the last steps, not to averaged weights.
    Leaves the model in evaluation mode; without BatchNorms it does nothing and consumes no inputs."""
    layers = [layer for layer in model.modules() if isinstance(layer, BatchNorm)]
    if not layers:
        return
    momentum = layers[0].momentum
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all forwards
    model.train()
    for arguments in inputs:
        model(*arguments)
    model.eval()
    for layer in layers:
        layer.momentum = momentum


def normalise_weights(model: nn.Module) -> None:
    """Add spectral normalisation (Miyato et al. 2018) to every linear layer and 2-D convolution; one power iteration per training forward."""
    for layer in list(model.modules()):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            spectral_norm(layer)


@contextmanager
def normalised_once(model: nn.Module) -> Iterator[None]:
    """A context in which each normalised weight is computed once and in float32: under fp16 autocast the computation would mix two dtypes."""
    with parametrize.cached():
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            for layer in model.modules():
                if parametrize.is_parametrized(layer):
                    layer.weight  # noqa: B018
        yield
