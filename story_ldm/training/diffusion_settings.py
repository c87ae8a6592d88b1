"""Settings shared by the training scripts of the latent diffusion systems, the stories that they read, and their UNets set up for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from story_ldm.data.stories import WORLDS, load_stories
from story_ldm.training.run import StorySettings, TextForm
from story_ldm.training.sharding import sharding

# those that may differ when a run is resumed: they do not change the trained weights, or only how far training goes
MAY_CHANGE: tuple[str, ...] = ("checkpoint_every", "sample_every", "sample_stories", "evaluator", "cache", "stories", "store", "push_to_hub")
MAY_CHANGE += ("device_batch", "gradient_checkpointing", "compile", "channels_last", "xformers")


@dataclass
class DiffusionSettings(StorySettings):
    """Options of every latent diffusion system's training script, in addition to those of the run and its stories."""

    split: str = "train"
    """Split to train on; the built-in worlds also have train_wide, with the pairs that are held out for its benchmark, and more company."""
    text_form: tuple[TextForm, ...] = ("referential",)
    """Form of the sentences: referential (she, there), full (all names), or free (as people write; built-in worlds only). Of several, each story
    is read in one drawn anew in each step."""
    lengths: tuple[int, ...] | None = None
    """Numbers of frames of a built-in world's stories, which take turns: --lengths 3 4 5 6 7 8; by default each story has 5."""
    stories: int = 120_000
    """Number of stories to train on, counted with repetition."""
    batch: int = 8
    """Stories per step, over all processes and passes."""
    device_batch: int | None = None
    """Largest number of stories per forward pass of a process; a larger share of the batch is split into passes whose gradients add up."""
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    """adamw8bit: AdamW with 8-bit states (bitsandbytes, GPU only). muon: orthogonal updates of the UNet's matrices and kernels, AdamW for the
    other weights."""
    learning_rate: float = 4e-4
    """Peak learning rate of the UNet."""
    warmup: int = 300
    """Steps of linear warm-up."""
    decay: float = 0.2
    """Share of the run, at its end, over which the learning rate falls linearly to zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights, which is what the finished model has."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass instead of storing them."""
    compile: bool = False
    """torch.compile the UNet; the first steps take minutes."""
    channels_last: bool = True
    """Store the UNet's convolutions in the channels_last memory format."""
    xformers: bool = False
    """Use xformers attention (GPU only)."""
    store: Literal["float16", "bfloat16", "float32"] = "float16"
    """Precision of the finished weights; checkpoints keep full precision."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    sample_every: int = 2000
    """Steps between validation samples; 0 draws none."""
    sample_stories: int = 16
    """Number of validation stories to draw."""
    evaluator: Path | None = None
    """Frame evaluator that reads the drawn stories for the logged rates; defaults to the shipped one if it knows the dataset's characters."""


@dataclass
class NewModelSettings(DiffusionSettings):
    """For scripts that may start from new weights."""

    resolution: int | None = None
    """Side of the frames in pixels; defaults to that of the preset or of the Stable Diffusion."""
    vae: Path = Path("runs/autoencoder/vae")
    """Folder of the autoencoder, as train_autoencoder.py writes it."""


def prepare_unet(unet: UNet2DConditionModel, s: DiffusionSettings) -> None:
    """Sets the UNet up for training as the settings say."""
    if s.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if s.xformers:
        unet.enable_xformers_memory_efficient_attention()
    elif not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())  # because the backward pass of fused attention is slow on a CPU
    if s.channels_last and not sharding():  # sharding requires contiguous weights
        unet.to(memory_format=torch.channels_last)


def check_stories(s: DiffusionSettings) -> None:
    """Raises ValueError for --lengths of stories that have theirs, for no --text-form, and for several of them with --flip."""
    if s.lengths is not None and s.dataset not in WORLDS:
        raise ValueError(f"--lengths is {s.lengths} with --dataset {s.dataset}; only the built-in worlds' stories have any length: set --window")
    if not s.text_form or (len(s.text_form) > 1 and s.flip):
        raise ValueError(f"--text-form is {s.text_form}; it must be at least one form, and with --flip just one: mirrored copies depend on it")


def load_forms(s: DiffusionSettings, size: Any) -> list[Dataset]:
    """The stories to train on in each of --text-form, without pictures but in the first. size: as load_stories takes it."""
    shape: dict[str, Any] = {"fit": s.fit, "background": s.background, "flip": s.flip, "window": s.window}
    shape |= {"length": s.lengths, "limit": s.limit, "num_proc": s.num_proc}
    return [load_stories(s.dataset, s.split, size, form, **shape, pictures=n == 0) for n, form in enumerate(s.text_form)]
