"""Training of Story-LDM with gradients, optimizer states and (FSDP2) weights sharded over the processes, for models too large for one GPU.

    accelerate launch --config_file training/accelerate_configs/fsdp2.yaml training/train_story_ldm.py
    accelerate launch --config_file training/accelerate_configs/zero2.yaml training/train_story_ldm.py      # ZeRO-2; requires deepspeed

Weights, gradients and optimizer states are float32 under autocast, as without sharding, so a step computes the same. Finished models are saved
unsharded.
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
    """The kind of sharding that the launcher set in the environment; None without sharding."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        return "DeepSpeed"
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        return "FSDP1" if os.environ.get("FSDP_VERSION", "1") == "1" else "FSDP2"
    return None


def check_sharding(optimizer: str, train: str, precision: str) -> None:
    """Raises ValueError for settings that the launcher's kind of sharding does not support."""
    kind = sharding()
    if kind == "FSDP1":
        raise ValueError("fsdp_version is 1 in the launcher's configuration; it must be 2")
    if kind and optimizer != "adamw":
        raise ValueError(f"--optimizer is {optimizer} under {kind}; it must be adamw: the others need unsharded weights")
    if kind and train != "all":
        raise ValueError(f"--train is {train} under {kind}; it must be all: memory layers alone fit on every GPU")
    if kind == "DeepSpeed" and precision == "fp16":
        raise ValueError("--precision is fp16 under DeepSpeed; it must be bf16 or no: the loss scaler is accelerate's, not DeepSpeed's")


def configure_sharding(accelerator: Accelerator, precision: str, share: int, max_grad_norm: float) -> None:
    """Sets what the launcher's configuration cannot know; call it before `accelerator.prepare`. share: stories per step of each process."""
    if sharding() == "FSDP2":
        accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy()
    elif sharding() == "DeepSpeed":
        # an empty list of safe modules, because gradients must be summed in float32
        autocast = {"enabled": precision == "bf16", "dtype": "bfloat16", "lower_precision_safe_modules": []}
        config = {"train_micro_batch_size_per_gpu": share, "gradient_clipping": max_grad_norm, "torch_autocast": autocast}
        accelerator.state.deepspeed_plugin.deepspeed_config.update(config)


@contextmanager
def unsynced(accelerator: Accelerator, model: nn.Module) -> Iterator[None]:
    """Context of a pass that is not the last of its step: gradients accumulate in the process, without synchronisation or optimizer step."""
    if sharding() == "DeepSpeed":  # its no_sync does not support ZeRO-2, and its backward makes the optimizer step when gradients sync
        accelerator.gradient_state._set_sync_gradients(False)
        try:
            yield
        finally:
            accelerator.gradient_state._set_sync_gradients(True)
    else:
        with accelerator.no_sync(model):
            yield


def full_tensors(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The tensors, unsharded, in every process; must be called in all of them."""
    return [tensor.full_tensor() if isinstance(tensor, DTensor) else tensor for tensor in tensors]


class MovingAverage(EMAModel):
    """diffusers' moving average of (sharded) weights; checkpoints store it unsharded."""

    shadow_params: list[Tensor]

    def state_dict(self) -> dict:
        return {**super().state_dict(), "shadow_params": full_tensors(self.shadow_params)}

    def load_state_dict(self, state_dict: dict) -> None:
        averages = self.shadow_params
        super().load_state_dict(state_dict)
        for average, saved in zip(averages, self.shadow_params, strict=True):
            saved = saved.to(average.device)
            average.copy_(distribute_tensor(saved, average.device_mesh, average.placements) if isinstance(average, DTensor) else saved)
        self.shadow_params = averages


def all_finite(model: nn.Module) -> bool:
    """Whether all weights, or this process's shards of them, are finite."""
    return all(bool(torch.isfinite(p.to_local() if isinstance(p, DTensor) else p).all()) for p in model.parameters())
