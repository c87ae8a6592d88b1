"""What the GANs' training scripts share: settings, one adversarial step, when to stop, which weights are best, and the averaged copy of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from torch import Tensor, nn

from story_ldm.data.stories import held_out_split, load_stories
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.files import write_text
from story_ldm.metrics.frechet import frame_features, frechet_distance, story_features
from story_ldm.nn.norms import settle_statistics
from story_ldm.reports.strips import story_sheet
from story_ldm.systems.gans import discriminator_loss, generator_loss
from story_ldm.training.run import StorySettings
from story_ldm.training.steps import local_rows

LOST, WON = 0.51, 1e-3  # what it judges correctly of two kinds, if it tells nothing (0.5 is a constant answer); its loss, if it is sure of everything


@dataclass(kw_only=True)
class GANSettings(StorySettings):
    """What both GANs' scripts can be told, besides."""

    resolution: int | None = None
    """Side of the frames, a power of two; by default the preset's."""
    text_form: str = "referential"
    text: Path = Path("checkpoints/toon-damsm")
    """Folder of the frozen encoder of sentences and words: train_damsm.py's, or that of an encoder model of transformers."""
    learning_rate: float | None = None
    """Adam's, for the generator. This and the next three are by default the preset's (systems/gan_presets.py): the papers' 2e-4 for both sides and
    batch norms, and for toon-64, which sees few steps, what suits these."""
    discriminator_learning_rate: float | None = None
    norm: Literal["group", "batch"] | None = None
    """Of the generator; see story_ldm/nn/norms.py."""
    discriminator_norm: Literal["group", "batch", "spectral"] | None = None
    halvings: int = 2
    """How often the rates are halved, in equal parts of the run. StoryGAN's public code does it 5 times in 120 epochs; the dynamic-block GAN's paper
    tells of none."""
    ema_decay: float = 0.999
    patience: int = 500
    """Stop when a discriminator has told nothing of wrong pairs or of fake ones, or has been sure of everything, for so many steps; 0 is never."""
    store: Literal["float16", "bfloat16", "float32"] = "float16"
    """Precision of the finished pipeline's weights; checkpoints keep all of it."""
    sample_every: int = 500
    """Draw validation stories every so many steps; 0 is never."""
    sample_stories: int = 6
    validate_every: int = 500
    """Measure FID and FSD every so many steps, and at the end; 0 is never: then the last weights are shipped."""
    validate_stories: int = 200
    """So many stories of the validation split are drawn for it."""
    evaluator: Path = Path("checkpoints/toon-evaluator")
    """Folder of the frame evaluator whose features are compared."""
    judged_split: str | None = None
    """Split whose pairs the discriminators judge at the end; by default test where there is one, else the held-out one."""
    judged_stories: int = 500
    """So many of its stories."""
    workers: int = 2
    """Processes that decode the frames."""


# not what the choice of weights depends on
MAY_CHANGE = ("checkpoint_every", "sample_every", "sample_stories", "judged_split", "judged_stories", "patience", "stories", "store")


def load_few(s: GANSettings, split: str, count: int, resolution: int) -> Dataset:
    """The first stories of a split, in the shape of those of the training."""
    count = min(count, s.limit or count)
    stories = load_stories(s.dataset, split, resolution, s.text_form, limit=count, fit=s.fit, window=s.length, num_proc=s.num_proc)
    return stories.select(range(min(count, len(stories))))  # a cut story is several


def adversarial_step(
    accelerator: Accelerator,
    judge,
    generator_optimizer,
    judge_optimizer,
    real,
    fake,
    condition,
    wrong,
    weight: float = 1.0,
    more: Tensor | float = 0.0,
) -> dict[str, Tensor]:
    """One step of the discriminator and one of the generator, on the same drawn frames. more: what is added to the generator's weighted loss."""
    loss, shares = discriminator_loss(*judge(real, condition, wrong, fake.detach()))
    accelerator.backward(loss)
    judge_optimizer.step()
    judge_optimizer.zero_grad()

    bare = accelerator.unwrap_model(judge).requires_grad_(False)  # its gradients are not wanted here, nor what DDP does about them
    (logits,) = bare(fake, condition)
    wish = generator_loss(logits)
    accelerator.backward(weight * wish + more)
    generator_optimizer.step()
    generator_optimizer.zero_grad()
    bare.requires_grad_(True)
    return {"loss": loss, **shares, "generator": wish}


def next_rows(accelerator: Accelerator, x: Tensor) -> Tensor:
    """Each row's neighbour in the batch of all processes: the row before it, and the last one for the first."""
    whole = x if accelerator.num_processes == 1 else accelerator.gather(x.contiguous())
    return local_rows(accelerator, whole.roll(1, 0))


def told_apart(right: Tensor, wrong: Tensor) -> dict[str, float]:
    """Logits (N,) of real frames under their own condition and under another one: the share that is judged correctly, and the share of frames
    for which the own one has the larger logit; 0.5 is chance in both."""
    shares = {"accuracy": torch.cat([right > 0, wrong < 0]), "right_over_wrong": right > wrong}
    return {name: share.float().mean().item() for name, share in shares.items()} | {"pairs": len(right)}


def find_trouble(means: dict[str, float], kinds: list[str], since: dict[str, int], step: int, every: int, patience: int) -> tuple[str, int] | None:
    """What is wrong, and the step up to which it was not; None where nothing is. `since` keeps from when on a discriminator has been at an end.

    Right pairs are set against wrong ones and against fake ones: a judge that is blind to text takes all real frames for right, and has 0.5 of the
    former."""
    for kind in kinds:
        right, loss = means[f"{kind}_right"], means[f"{kind}_loss"]
        wrong, fake = (0.5 * (right + means[f"{kind}_{other}"]) for other in ("wrong", "fake"))
        ends = {
            "wrong": (wrong < LOST, f"tells nothing of wrong pairs (it judges {wrong:.4g} of right and wrong ones correctly"),
            "fake": (fake < LOST, f"tells nothing of fake frames (it judges {fake:.4g} of right and fake ones correctly"),
            "won": (loss < WON, f"is sure of everything, and the generator learns nothing from it (loss {loss:.4g}"),
        }
        for end, (reached, what) in ends.items():
            if not reached:
                since.pop(f"{kind}_{end}", None)
                continue
            start = since.setdefault(f"{kind}_{end}", step - every)
            if patience and step - start >= patience:
                return f"the {kind} discriminator {what}, since step {start})", start
    return None


@dataclass
class Best:
    """The averaged weights that were best on validation, and how good they were; a part of every checkpoint."""

    step: int | None = None
    score: float = float("inf")
    weights: list[Tensor] | None = None

    def consider(self, step: int, score: float, weights: list[Tensor]) -> None:
        if score < self.score:
            self.step, self.score, self.weights = step, score, [weight.detach().cpu().clone() for weight in weights]

    def state_dict(self) -> dict:
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)


def validate(
    accelerator: Accelerator,
    best: Best,
    step: int,
    weights: list[Tensor],
    pipeline_of: Callable,
    evaluator: FrameEvaluator,
    sentences: list[list[str]],
    real: Tensor,
) -> list[float]:
    """FID and FSD of the stories as the pipeline of these weights draws them; the weights are kept where they are the best so far, by the product."""
    fid, fsd = measure(accelerator, pipeline_of(weights), evaluator, sentences, real)
    best.consider(step, fid * fsd, weights)
    accelerator.print(f"step {step} | validation | FID {fid:.4f} | FSD {fsd:.4f} | best at step {best.step}")
    return [fid, fsd]


def measure(accelerator: Accelerator, pipe, evaluator: FrameEvaluator, sentences: list[list[str]], real: Tensor) -> list[float]:
    """FID and FSD of stories as the pipeline draws them and of the real ones (N, M, 3, H, W) uint8; drawn by one process, told to all."""
    found = [0.0, 0.0]
    if accelerator.is_main_process:
        generators = [torch.Generator().manual_seed(n) for n in range(len(sentences))]
        drawn = torch.cat(pipe(sentences, generator=generators, output_type="pt").frames)
        features = [frame_features(evaluator, x, device=accelerator.device) for x in (real.flatten(0, 1), (255 * drawn).round().byte())]
        story = torch.arange(len(sentences)).repeat_interleave(real.shape[1])
        found = [frechet_distance(*features), frechet_distance(*(story_features(x, story) for x in features))]
    return broadcast_object_list(found)


def write_table(file: Path, columns: list[str], rows: list[list[float]]) -> None:
    write_text(file, json.dumps({"columns": columns, "rows": rows}))


def averaged_copy(accelerator: Accelerator, generator, weights: Iterable[Tensor], inputs: Iterable[tuple] = ()) -> nn.Module:
    """A copy of the generator that has the averaged weights; called in all processes, for statistics of batch norms are those of all."""
    trained = accelerator.unwrap_model(generator)
    copy = type(trained).from_config(trained.config).to(accelerator.device, memory_format=torch.channels_last)
    copy.load_state_dict(trained.state_dict())
    for parameter, weight in zip(copy.parameters(), weights, strict=True):
        parameter.data.copy_(weight)
    settle_statistics(copy, inputs)
    return copy.eval()


def sample(s: GANSettings, accelerator: Accelerator, pipe, resolution: int, step: int) -> None:
    """A sheet of validation stories, drawn by the averaged weights."""
    if accelerator.is_main_process:
        told = {"limit": s.sample_stories, "window": s.length, "pictures": False}
        stories = load_stories(s.dataset, held_out_split(s.dataset), resolution, s.text_form, **told)["sentences"][: s.sample_stories]
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        sheet = story_sheet(pipe(stories, generator=generators).frames, stories)
        (s.output / "samples").mkdir(exist_ok=True)
        sheet.save(s.output / "samples" / f"step-{step:08d}.png")
    accelerator.wait_for_everyone()
