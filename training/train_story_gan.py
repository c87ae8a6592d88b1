"""Trains StoryGAN, or one of its reductions: Algorithm 1 of Li et al. 2019.

    accelerate launch training/train_story_gan.py                                          # toon-64 on the built-in world
    accelerate launch training/train_story_gan.py --system svfn --output runs/svfn         # or svc, image-gan: see systems/story_gan/networks.py

Each iteration makes k_I image steps (one frame of each of `image_batch` stories, which the image discriminator judges) and k_S story steps (all
frames of `batch` stories, which the story discriminator judges). In an image step the context encoder still runs through the whole story, and a frame
is drawn at its place as in inference (the public code runs it on that sentence alone). Wrong pairs are real frames with the condition of another
story of the batch.

Sentences are encoded once, by a frozen encoder. Run the same command again to resume. The product is `<output>/pipeline`, for
`StoryGANPipeline.from_pretrained`; `scores.json` has FID and FSD over the training, `discriminators.json` the accuracy of both discriminators on
right and wrong pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor

from story_ldm.data.frames import to_float
from story_ldm.encoders.sentence_vectors import story_vectors
from story_ldm.pipelines.story_gan import StoryGANPipeline
from story_ldm.systems.story_gan.networks import ImageDiscriminator, StoryDiscriminator, StoryGAN, kl_divergence
from story_ldm.systems.story_gan.presets import PRESETS, PUBLISHED
from story_ldm.training.adversarial import Players, adversarial_step, judge_pairs, next_rows
from story_ldm.training.gan_loop import GANSystem, StepKind, report_pairs, start_gan, train_gan
from story_ldm.training.gan_settings import GANSettings, resolve
from story_ldm.training.processes import run_script
from story_ldm.training.run import finish_run, one_of
from story_ldm.training.steps import StepBatches, local_rows, step_generator, whole_steps
from story_ldm.training.watch import parameter_counts, sizes


@dataclass
class Settings(GANSettings):
    output: Path = Path("runs/story-gan")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the networks, and defaults of the training."""
    system: Literal["story-gan", "svfn", "svc", "image-gan"] = "story-gan"
    """The whole model or a reduction of it; image-gan makes no story steps."""
    stories: int = 60_000
    """Number of stories in the story steps in all; image-gan makes as many iterations as the others."""
    batch: int | None = None
    """Stories in a story step, over all processes; by default the preset's."""
    image_batch: int | None = None
    """Frames in an image step, each of another story, over all processes; by default the preset's."""
    k_image: int = 1
    """Image steps in an iteration: k_I of the algorithm."""
    k_story: int = 1
    """Story steps in an iteration: k_S of the algorithm."""
    alpha: float = 1.0
    """Weight of the image discriminator in the generator's loss."""
    beta: float = 1.0
    """Weight of the story discriminator in the generator's loss."""
    kl: float | None = None
    """Weight of L_KL, a sum over the numbers of h_0: 1 in the equation; the public code takes the mean over 124 of them. By default 1 / the width of
    h_0, which makes it the mean."""


def main(s: Settings) -> None:
    preset, training = resolve(s, PRESETS, "image_batch")
    if min(s.k_image, s.k_story) < 1:
        raise SystemExit(f"--k-image is {s.k_image} and --k-story {s.k_story}; both must be at least 1")
    whole_steps(s.stories, training["batch"] * s.k_story)
    run = start_gan(s, "story-gan", preset["resolution"], training)
    accelerator, train = run.accelerator, run.train
    sentences, judged_sentences = (story_vectors(run.text_encoder, run.tokenizer, x.sentences)[0] for x in (train, run.judged))  # (N, M, D)
    _, length, width = sentences.shape
    if judged_sentences.shape[1] != length:
        lengths = f"{judged_sentences.shape[1]} frames, those of the train split {length}"
        raise SystemExit(f"stories of the {run.judged_split} split have {lengths}; the story discriminator has one length: set --window")

    generator, judges = build(preset, s.system, width, length, training["norm"], training["discriminator_norm"])
    parameters = parameter_counts(story_gan=generator, **{f"{kind}_discriminator": judge for kind, judge in judges.items()})
    published = " | published: {} M in the generator, {} M in the discriminators".format(*PUBLISHED[s.preset]) if s.preset in PUBLISHED else ""
    accelerator.print(sizes(parameters) + published)
    kinds = {"image": StepKind(discriminator=judges["image"], batch=training["image_batch"], seed=2 * s.seed, repeats=s.k_image)}
    if "story" in judges:
        kinds["story"] = StepKind(discriminator=judges["story"], batch=training["batch"], seed=2 * s.seed + 1, repeats=s.k_story)
    loss_weights, kl_weight = {"image": s.alpha, "story": s.beta}, 1 / generator.config.width if s.kl is None else s.kl

    def step(kind: str, number: int, rows: Tensor, players: Players) -> dict[str, Tensor]:
        """An image step, on one frame of each story, or a story step, on all frames."""
        source = step_generator(s.seed, number, stream=("image", "story").index(kind))
        noise = [local_rows(accelerator, x) for x in generator.draw_noise(kinds[kind].batch, length, source)]
        text, real, positions = sentences[rows].to(accelerator.device), train.frames[rows], None
        if kind == "image":
            positions = local_rows(accelerator, torch.randint(length, (kinds[kind].batch,), generator=source))  # (B,)
            real = train.frames[rows, positions.cpu()]
        fake, code, mean, log_variance = players.generator(text, *noise, positions=positions)
        condition = text if positions is None else image_condition(text, code.detach(), positions)
        kl, wrong = kl_divergence(mean, log_variance).mean(), next_rows(accelerator, condition)
        pair = to_float(real.to(accelerator.device)), fake
        return adversarial_step(accelerator, players, *pair, condition, wrong, loss_weights[kind], kl_weight * kl) | {"kl": kl}

    def statistics_inputs() -> Iterator[tuple]:
        rows = StepBatches(len(sentences), training["batch"], s.seed, 0, accelerator.process_index, accelerator.num_processes)
        for n, own in zip(range(20), rows):
            noise = generator.draw_noise(training["batch"], length, step_generator(s.seed, n, stream=2))
            yield sentences[own].to(accelerator.device), *(local_rows(accelerator, x) for x in noise)

    system = GANSystem(
        title=f"StoryGAN ({s.system})",
        script="train_story_gan.py",
        generator=generator,
        kinds=kinds,
        step=step,
        stories_per_iteration=training["batch"] * s.k_story,
        pipeline=lambda gan: StoryGANPipeline(story_gan=gan, text_encoder=run.text_encoder, tokenizer=run.tokenizer),
        statistics_inputs=statistics_inputs,
        curve=tuple(f"{kind}_{name}" for kind in kinds for name in ("accuracy", "generator")),
        parameters=parameters,
    )
    steps = train_gan(run, system)
    if accelerator.is_main_process:
        accuracies = judge_both(generator, judges, run.judged.frames, judged_sentences, s.seed)
        report_pairs(run, steps, "discriminators.json", accuracies, {f"{kind} discriminator": x for kind, x in accuracies.items()})
    finish_run(accelerator, s, s.output / "pipeline")


def build(
    preset: dict, system: str, sentence_width: int, length: int, norm: str, discriminator_norm: str
) -> tuple[StoryGAN, dict[str, ImageDiscriminator | StoryDiscriminator]]:
    """The preset's networks, for sentences of this width and stories of this length."""
    generator = StoryGAN(**{**preset["story_gan"], "sentence_width": sentence_width, "norm": norm, "system": system})
    common = {"sentence_width": sentence_width, "norm": discriminator_norm}
    judges = {"image": ImageDiscriminator(**{**preset["image_discriminator"], **common, "width": generator.config.width})}
    if system != "image-gan":
        judges["story"] = StoryDiscriminator(**{**preset["story_discriminator"], **common, "story_length": length})
    networks = [network.to(memory_format=torch.channels_last) for network in (generator, *judges.values())]
    return networks[0], dict(zip(judges, networks[1:], strict=True))


def image_condition(sentences: Tensor, code: Tensor, positions: Tensor) -> Tensor:
    """[s_t; h_0] at one position of each story: (B, M, D), (B, H), (B,) → (B, D + H)."""
    return torch.cat([sentences[torch.arange(len(sentences), device=sentences.device), positions], code], 1)


@torch.no_grad()
def judge_both(generator: StoryGAN, judges: dict, frames: Tensor, sentences: Tensor, seed: int) -> dict[str, dict[str, float]]:
    """`judge_pairs` of each discriminator, with the condition of a neighbouring story as the wrong one."""
    story_noise, _, _ = generator.draw_noise(len(sentences), sentences.shape[1], step_generator(seed, 0, stream=3))
    code = generator.eval().encode_story(sentences.to(generator.device), story_noise.to(generator.device))[0].cpu()
    conditions = {"image": torch.cat([sentences, code[:, None].expand(-1, sentences.shape[1], -1)], -1), "story": sentences}

    def logits(kind: str, own: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        inputs = [to_float(frames[own]), conditions[kind][own], conditions[kind][other]]
        inputs = [x.flatten(0, 1) for x in inputs] if kind == "image" else inputs
        return judges[kind](*(x.to(generator.device) for x in inputs))

    return {kind: judge_pairs(judge, len(frames), partial(logits, kind)) for kind, judge in judges.items()}


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
