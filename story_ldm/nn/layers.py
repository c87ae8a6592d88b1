"""`zero_init(module)`: zero-initialised layers, for the output projections of memory attention and language memory."""

from __future__ import annotations

from torch import nn


def zero_init(module: nn.Module) -> nn.Module:
    """Set all parameters to zero and return the module: a new residual branch then leaves its network unchanged."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
