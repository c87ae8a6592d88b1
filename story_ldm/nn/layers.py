"""Layers that several networks share."""

from __future__ import annotations

from torch import nn


def zero_init(module: nn.Module) -> nn.Module:
    """Every weight becomes zero, so that a new branch starts as the identity of the network it is added to."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
