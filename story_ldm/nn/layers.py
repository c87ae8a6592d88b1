"""`zero_init(module)`: zero-initialised layers, for the output projections of memory attention and language memory."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from story_ldm.nn.norms import BatchNorm


def zero_init(module: nn.Module) -> nn.Module:
    """Set all parameters to zero and return the module: a new residual branch then leaves its network unchanged."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResidualBlock(nn.Module):
    """Pre-activation residual block of two 3 × 3 convolutions: (B, C, H, W) → (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = BatchNorm(channels), BatchNorm(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(h)))
