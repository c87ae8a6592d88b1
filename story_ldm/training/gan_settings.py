"""Settings shared by the GANs' training scripts, and their resolution by the preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from story_ldm.data.long_sentences import LongSentences
from story_ldm.systems.gan_presets import at_resolution, training_values
from story_ldm.training.run import StorySettings, TextForm


@dataclass(kw_only=True)
class GANSettings(StorySettings):
    """Options of every GAN's training script, in addition to those of the run and its stories."""

    window: int | None = None
    """Cut stories into windows of this many frames, and drop shorter ones; required if their lengths differ."""
    preset: str
    """Sizes of the networks, and defaults of the training."""
    resolution: int | None = None
    """Width and height of the frames in pixels, a power of two of at least 16; by default the preset's."""
    stories: int
    """Total number of stories to train on; a story counts each time it is seen."""
    batch: int | None = None
    """Stories per step, over all processes; by default the preset's."""
    text_form: TextForm = "referential"
    """Form of the sentences: referential (she, there), full (all names), or free (as people write; built-in worlds only)."""
    text: Path = Path("toon-damsm")
    """Folder of the frozen text encoder: written by train_damsm.py, or an encoder model of transformers."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the text encoder reads: error, cut them, or skip their stories."""
    learning_rate: float | None = None
    """Adam's learning rate for the generator. By default this and the next three are the preset's (systems/gan_presets.py): the papers' learning
    rates of 2e-4 and batch norms, or, for toon-64, values for a short training."""
    discriminator_learning_rate: float | None = None
    """Adam's learning rate for the discriminators; by default the preset's."""
    norm: Literal["group", "batch"] | None = None
    """Normalisation in the generator; by default the preset's."""
    discriminator_norm: Literal["group", "batch", "spectral"] | None = None
    """Normalisation in the discriminators; by default the preset's."""
    halvings: int = 2
    """Number of times the learning rates are halved, at equal intervals. StoryGAN's public code: 5 times in 120 epochs; the dynamic-block
    GAN's paper does not mention it."""
    ema_decay: float = 0.999
    """Decay of the moving average of the generator's weights."""
    patience: int = 500
    """Abort if a discriminator has been at chance on wrong or on fake pairs, or has had zero loss, for this many steps; 0: never."""
    store: Literal["float16", "bfloat16", "float32"] = "float16"
    """Precision of the weights in the finished pipeline; checkpoints are in float32."""
    sample_every: int = 500
    """Number of steps between samples of validation stories, drawn into samples/; 0: never."""
    sample_stories: int = 6
    """Number of validation stories to draw for samples/."""
    validate_every: int = 500
    """Number of steps between measurements of FID and FSD; the pipeline gets the best weights. 0: never; it gets the last weights."""
    validate_stories: int = 200
    """Number of validation stories for FID and FSD."""
    evaluator: Path = Path("toon-evaluator")
    """Folder of the frame evaluator that computes the features for FID and FSD."""
    judged_split: str | None = None
    """Split whose right and wrong pairs the discriminators classify at the end; by default test where it exists, else the validation split."""
    judged_stories: int = 500
    """Number of stories of --judged-split."""
    workers: int = 2
    """Number of processes for decoding frames."""


# Settings that may differ when a run is resumed: the choice of weights must not depend on them.
MAY_CHANGE = ("checkpoint_every", "sample_every", "sample_stories", "judged_split", "judged_stories", "patience", "stories", "store")


def resolve(s: GANSettings, presets: Mapping[str, Callable[[], dict]], *names: str) -> tuple[dict, dict[str, Any]]:
    """The preset's networks at the resolution of the settings, and the training values: those set, or else the preset's. names: further training
    values of this script.

    Raises SystemExit for an unsupported resolution, or a batch that is too small for a wrong pair."""
    try:
        preset = at_resolution(presets[s.preset](), s.resolution)
    except ValueError as error:
        raise SystemExit(f"--{error}") from error
    common = ("learning_rate", "discriminator_learning_rate", "norm", "discriminator_norm", "batch")
    training = training_values(s.preset, {name: getattr(s, name) for name in (*common, *names)})
    for name in ("batch", *names):
        if training[name] < 2:
            raise SystemExit(f"--{name.replace('_', '-')} is {training[name]}; it must be at least 2, for wrong pairs within a batch")
    return preset, training
