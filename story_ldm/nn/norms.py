"""Normalisation of the GANs: `norm_layer("group", 8)` or `norm_layer("batch", 8)` makes the layer for so many channels, of vectors and of maps.
Discriminators can have "spectral" instead: no such layers, but weights divided by their largest singular value (`normalise_weights`).

"batch" is what the StoryGAN paper has. Its statistics are those of the whole batch over all processes (`BatchNorm`), and averaged weights get
statistics of their own (`settle_statistics`), so that what must hold for all systems holds for it, too. With "group" it does so by itself: a story is
read and drawn the same whatever else is in its batch, in training and after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def norm_layer(kind: str, groups: int) -> Callable[[int], nn.Module]:
    """The maker of normalisation layers; it takes the number of channels."""
    assert kind in ("group", "batch", "spectral"), f"norm is {kind!r}; it must be group, batch or, in a discriminator, spectral"
    return {"group": lambda channels: nn.GroupNorm(groups, channels), "batch": BatchNorm, "spectral": lambda channels: nn.Identity()}[kind]


class AllReduce(torch.autograd.Function):
    """Sum over processes; since each process's loss depends on all summands, the gradient is summed, too."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of (N, C) or (N, C, H, W) with the statistics of all processes, which hold equal shares of the batch.

    torch's own SyncBatchNorm does the same on GPUs and refuses CPU tensors."""

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim in (2, 4), f"{x.ndim} dimensions; BatchNorm takes vectors (N, C) and maps (N, C, H, W)"

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        self._check_input_dim(x)
        y = x.float()
        dims = [0, *range(2, x.ndim)]
        count = x.numel() // x.shape[1] * dist.get_world_size()
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean = AllReduce.apply(y.sum(dims)) / count
        y = y - mean.view(shape)  # before it is squared: the difference of two large means would lose the digits
        variance = AllReduce.apply(y.square().sum(dims)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, torch.as_tensor(share, device=mean.device))
            self.running_var.lerp_(variance * count / (count - 1), torch.as_tensor(share, device=mean.device))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (y * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


@torch.no_grad()
def settle_statistics(model: nn.Module, inputs: Iterable[tuple]) -> None:
    """Gives a model's BatchNorms the statistics of its present weights, averaged over `inputs` (BigGAN's standing statistics); in all processes.

    The running statistics of training belong to the raw weights of its last steps, not to their average. Nothing is drawn where there are none."""
    layers = [layer for layer in model.modules() if isinstance(layer, BatchNorm)]
    if not layers:
        return
    momentum = layers[0].momentum
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all forwards
    model.train()
    for given in inputs:
        model(*given)
    model.eval()
    for layer in layers:
        layer.momentum = momentum


def normalise_weights(model: nn.Module) -> None:
    """Spectral normalisation (Miyato et al. 2018) of every linear layer and convolution; one power iteration a forward in training."""
    for layer in list(model.modules()):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            spectral_norm(layer)


@contextmanager
def normalised_once(model: nn.Module) -> Iterator[None]:
    """Within it each normalised weight is computed once, and not in half precision: fp16's autocast makes two types of one product in it."""
    with parametrize.cached():
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            for layer in model.modules():
                if parametrize.is_parametrized(layer):
                    layer.weight  # noqa: B018
        yield
