"""Story-LDM trained with gradients, the optimizer's averages and (FSDP2) the weights spread over the processes, where one GPU cannot hold them all.

    accelerate launch --config_file training/accelerate_configs/fsdp2.yaml training/train_story_ldm.py
    accelerate launch --config_file training/accelerate_configs/zero2.yaml training/train_story_ldm.py      # DeepSpeed's ZeRO-2; wants deepspeed

Weights, gradients and averages are float32 under autocast, as without sharding, so that a step is the same step. Products are written whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor


def sharding() -> Literal["FSDP1", "FSDP2", "DeepSpeed"] | None:
    """What the launcher asks for."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        return "DeepSpeed"
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        return "FSDP" + os.environ.get("FSDP_VERSION", "1")
    return None


def check_sharding(optimizer: str, train: str, precision: str) -> None:
    """Raises ValueError for settings that cannot be sharded as the launcher asks."""
    kind = sharding()
    if kind == "FSDP1":
        raise ValueError("fsdp_version is 1; it must be 2")
    if kind and optimizer != "adamw":
        raise ValueError(f"optimizer is {optimizer!r} under {kind}; it must be adamw: the others need whole weights")
    if kind and train != "all":
        raise ValueError(f"train is {train!r} under {kind}; it must be all: a memory alone is small enough for every GPU")
    if kind == "DeepSpeed" and precision == "fp16":
        raise ValueError("precision is 'fp16' under DeepSpeed; it must be bf16 or no: the loss scaler is not DeepSpeed's")


def configure_sharding(accelerator: Accelerator, precision: str, share: int, max_grad_norm: float) -> None:
    """Before `accelerator.prepare`: what the launcher's configuration cannot know. share: stories of a step in each process."""
    if sharding() == "FSDP2":
        accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy()
    elif sharding() == "DeepSpeed":
        # no modules: gradients are summed in float32
        autocast = {"enabled": precision == "bf16", "dtype": "bfloat16", "lower_precision_safe_modules": []}
        told = {"train_micro_batch_size_per_gpu": share, "gradient_clipping": max_grad_norm, "torch_autocast": autocast}
        accelerator.state.deepspeed_plugin.deepspeed_config.update(told)


@contextmanager
def unsynced(accelerator: Accelerator, model: nn.Module) -> Iterator[None]:
    """A pass that is not the last of its step: gradients add up and stay in the process, and no step is made."""
    if sharding() == "DeepSpeed":  # its no_sync refuses ZeRO-2; its backward makes the step where gradients sync
        accelerator.gradient_state._set_sync_gradients(False)
        try:
            yield
        finally:
            accelerator.gradient_state._set_sync_gradients(True)
    else:
        with accelerator.no_sync(model):
            yield


def whole(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Each tensor whole, in every process; called in all."""
    return [tensor.full_tensor() if isinstance(tensor, DTensor) else tensor for tensor in tensors]


class MovingAverage(EMAModel):
    """diffusers' moving average of (sharded) weights, which checkpoints hold whole."""

    def state_dict(self) -> dict:
        return {**super().state_dict(), "shadow_params": whole(self.shadow_params)}

    def load_state_dict(self, state_dict: dict) -> None:
        own = self.shadow_params
        super().load_state_dict(state_dict)
        for mine, saved in zip(own, self.shadow_params, strict=True):
            saved = saved.to(mine.device)
            mine.copy_(distribute_tensor(saved, mine.device_mesh, mine.placements) if isinstance(mine, DTensor) else saved)
        self.shadow_params = own


def all_finite(model: nn.Module) -> bool:
    """Whether this process's part of all weights is."""
    return all(bool(torch.isfinite(p.to_local() if isinstance(p, DTensor) else p).all()) for p in model.parameters())
