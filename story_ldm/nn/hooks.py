"""Models with more entries than `forward`: each reaches the hooks that offloading puts around `forward`.

    class Model(nn.Module):
        @entry
        def write(self, x): ...

        @with_entries
        def forward(self, x): ...

accelerate (model and sequential offload) and diffusers (group offload, casting by layers) replace a module's `forward` to move its weights to where
they are used, and to take them away again. `model.write(x)` therefore passes through the `forward` of a model that has such hooks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

Method = TypeVar("Method", bound=Callable[..., Any])


def entry(method: Method) -> Method:
    """Makes a method reach the hooks. The model's own `forward` must be one `with_entries`."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        if not (hasattr(self, "_hf_hook") or hasattr(self, "_diffusers_hook")):  # those of accelerate, of diffusers
            return method(self, *args, **kwargs)
        return self.forward(*args, entered_by=method, **kwargs)

    return call  # type: ignore[return-value]


def with_entries(forward: Method) -> Method:
    """`forward`, or the entry that was called."""

    @functools.wraps(forward)
    def call(self, *args, entered_by: Callable[..., Any] | None = None, **kwargs):
        return (entered_by or forward)(self, *args, **kwargs)

    return call  # type: ignore[return-value]


class _Offloadable(nn.RNNBase):
    """Recurrent layers keep a second list of their weights, which offloading by layers does not renew."""

    def forward(self, *args, **kwargs):
        self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]
        return super().forward(*args, **kwargs)


class GRU(_Offloadable, nn.GRU):
    """torch's, which can also be offloaded by layers."""


class LSTM(_Offloadable, nn.LSTM):
    """torch's, which can also be offloaded by layers."""
