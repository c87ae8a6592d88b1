"""Trains the dynamic-block GAN, or one of the ablations of its paper's Table 2: Li and Lukasiewicz 2022, story_ldm/systems/dynamic_block_gan/.

    accelerate launch training/train_dynamic_block_gan.py                                          # toon-64 on the built-in world
    accelerate launch training/train_dynamic_block_gan.py --system sa-only --output runs/sa-only   # or wsa-only, no-attention, no-block-in-g, …-d
    python -m story_ldm.systems.dynamic_block_gan.choices runs/dynamic-block-gan/choices.json     # plots the selector's choices

A step is on all frames of `batch` stories. Wrong pairs are real frames with the sentences of another story of the batch. A frozen encoder encodes
words and sentences.

Run the same command again to resume. The product is `<output>/pipeline`, for `DynamicBlockGANPipeline.from_pretrained`; `choices.json` has the
choices of the blocks, `scores.json` FID and FSD over the training, `discriminator.json` the accuracy of the discriminator on right and wrong pairs.
The paper gives Adam, a rate of 2e-4 and no more of the training: betas, EMA, batch and losses are those of train_story_gan.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from story_ldm.data.frames import to_float
from story_ldm.encoders.sentence_vectors import read_words, tokens_of
from story_ldm.pipelines.dynamic_block_gan import DynamicBlockGANPipeline
from story_ldm.systems.dynamic_block_gan.choices import choices_of, columns_of
from story_ldm.systems.dynamic_block_gan.networks import SYSTEMS, DynamicBlockDiscriminator, DynamicBlockGAN, gumbel_noise
from story_ldm.systems.dynamic_block_gan.presets import PRESETS, PUBLISHED
from story_ldm.training.adversarial import Players, adversarial_step, judge_pairs, next_rows
from story_ldm.training.gan_loop import GANSystem, StepKind, Table, report_pairs, start_gan, train_gan
from story_ldm.training.gan_settings import GANSettings, resolve
from story_ldm.training.processes import run_script
from story_ldm.training.run import finish_run, one_of
from story_ldm.training.steps import StepBatches, local_rows, step_generator, whole_steps
from story_ldm.training.watch import parameter_counts


@dataclass
class Settings(GANSettings):
    output: Path = Path("runs/dynamic-block-gan")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the networks, and defaults of the training."""
    system: Literal["dynamic-block", "no-attention", "sa-only", "wsa-only", "no-block-in-g", "no-block-in-d"] = "dynamic-block"
    """The whole model or an ablation."""
    temperature: float = 1.0
    """Temperature τ of the Gumbel-softmax."""
    stories: int = 42_000
    """Number of stories to train on in all; a story counts each time it is seen."""
    choice_stories: int = 16
    """Number of validation stories on which the choices of the blocks are counted at each log line."""


def main(s: Settings) -> None:
    if s.temperature <= 0:
        raise SystemExit(f"--temperature is {s.temperature}; it must be above 0")
    preset, training = resolve(s, PRESETS)
    whole_steps(s.stories, training["batch"])
    run = start_gan(s, "dynamic-block-gan", preset["resolution"], training, may_change=("choice_stories",), always_held_out=True)
    accelerator, encoder, train = run.accelerator, run.text_encoder, run.train
    ids, mask = read_tokens(encoder, run.tokenizer, train.sentences)
    length, width = ids.shape[1], read_texts(encoder, ids[:1], mask[:1])[0].shape[-1]

    common: dict[str, Any] = {"sentence_width": width, "temperature": s.temperature}
    blocks_in_generator, blocks_in_discriminator = SYSTEMS[s.system]
    generator = DynamicBlockGAN(**{**preset["generator"], **common, "norm": training["norm"], "attention": blocks_in_generator})
    common |= {"norm": training["discriminator_norm"], "attention": blocks_in_discriminator}
    discriminator = DynamicBlockDiscriminator(**{**preset["discriminator"], **common})
    networks = {"generator": generator, "discriminator": discriminator}
    for network in networks.values():
        network.to(memory_format=torch.channels_last)
    parameters, published = parameter_counts(**networks), dict(zip(networks, PUBLISHED.get(s.preset, ())))
    notes = {name: f" (published {published[name]} M)" if name in published else "" for name in networks}
    accelerator.print(" | ".join(f"{name} {count / 1e6:.2f} M{notes[name]}" for name, count in parameters.items()))

    def step(kind: str, number: int, rows: Tensor, players: Players) -> dict[str, Tensor]:
        """A step on all frames of the stories; Gumbel noise makes the choices soft."""
        other = next_rows(accelerator, rows.to(accelerator.device)).cpu()
        text, wrong = (read_texts(encoder, ids[n], mask[n]) for n in (rows, other))
        source = step_generator(s.seed, number)
        noise = [generator.draw_noise(training["batch"], source)]
        noise += [gumbel_noise((training["batch"], length, len(network.blocks), 2), source) for network in (generator, discriminator)]
        story_noise, gumbel, judge_gumbel = (local_rows(accelerator, x) for x in noise)
        fake = players.generator(*text, story_noise, gumbel)
        real = to_float(train.frames[rows].to(accelerator.device))
        return adversarial_step(accelerator, players, real, fake, (*text, judge_gumbel), (*wrong, judge_gumbel))

    def statistics_inputs() -> Iterator[tuple]:
        batches = StepBatches(len(ids), training["batch"], s.seed, 0, accelerator.process_index, accelerator.num_processes)
        for n, rows in zip(range(10), batches):
            story_noise = generator.draw_noise(training["batch"], step_generator(s.seed, n, stream=2))
            yield *read_texts(encoder, ids[rows], mask[rows]), local_rows(accelerator, story_noise)

    system = GANSystem(
        title=f"Dynamic-block GAN ({s.system})",
        script="train_dynamic_block_gan.py",
        generator=generator,
        kinds={"frame": StepKind(discriminator=discriminator, batch=training["batch"], seed=s.seed)},
        step=step,
        stories_per_iteration=training["batch"],
        pipeline=lambda gan: DynamicBlockGANPipeline(dynamic_block_gan=gan, text_encoder=encoder, tokenizer=run.tokenizer),
        statistics_inputs=statistics_inputs,
        curve=("frame_loss", "frame_accuracy", "frame_generator"),
        parameters=parameters,
    )
    selectors = {name: network.levels.sizes(network.blocks) for name, network in networks.items() if network.config.attention == "both"}
    if selectors and run.held_out:
        frames, sentences = run.held_out.frames[: s.choice_stories], run.held_out.sentences[: s.choice_stories]
        texts = read_texts(encoder, *read_tokens(encoder, run.tokenizer, sentences))

        def choices(averaged: DynamicBlockGAN) -> list[float]:
            counts = count_choices(averaged, discriminator, frames, texts, s.seed)
            return [value for name in selectors for value in counts[name]]

        system.table = Table(name="choices", columns=columns_of(selectors), row=choices)
    steps = train_gan(run, system)
    if accelerator.is_main_process:
        tokens = read_tokens(encoder, run.tokenizer, run.judged.sentences)

        def logits(own: Tensor, wrong: Tensor) -> tuple[Tensor, ...]:
            """Without Gumbel noise: with hard choices."""
            texts = ((*read_texts(encoder, *(x[rows] for x in tokens)), None) for rows in (own, wrong))
            return discriminator(to_float(run.judged.frames[own].to(discriminator.device)), *texts)

        accuracy = judge_pairs(discriminator, len(run.judged.frames), logits)
        report_pairs(run, steps, "discriminator.json", accuracy, {"discriminator": accuracy})
    finish_run(accelerator, s, s.output / "pipeline")


def read_tokens(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, stories: list[list[str]]) -> tuple[Tensor, Tensor]:
    """Token numbers and mask (N, M, L) of N stories that all have one length."""
    ids, mask = tokens_of(text_encoder, tokenizer, [sentence for story in stories for sentence in story])
    return ids.int().unflatten(0, (len(stories), -1)), mask.bool().unflatten(0, (len(stories), -1))


def read_texts(text_encoder: nn.Module, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask (B, M, L) → sentences (B, M, D), words (B, M, L, D) and mask (B, M, L), cut to the longest sentence among them."""
    longest = int(mask.sum(-1).max())
    mask = mask[..., :longest]
    words, sentences = read_words(text_encoder, ids[..., :longest].flatten(0, 1).long(), mask.flatten(0, 1).long())
    return sentences.unflatten(0, mask.shape[:2]), words.unflatten(0, mask.shape[:2]), mask.to(words.device)


@torch.no_grad()
def count_choices(
    generator: DynamicBlockGAN, discriminator: DynamicBlockDiscriminator, frames: Tensor, texts: tuple[Tensor, Tensor, Tensor], seed: int
) -> dict[str, list[float]]:
    """`choices_of` the blocks of both networks: the generator's when it draws these stories, the discriminator's when it judges their real frames
    (N, M, 3, H, W) uint8. texts: of `read_texts`."""
    sentences, words, mask = texts
    discriminator.eval()  # spectral norms iterate in training mode
    story_noise = generator.draw_noise(len(sentences), step_generator(seed, 0, stream=1)).to(generator.device)
    entries = generator.entries(sentences, story_noise)
    _, drawing = generator.draw(entries.flatten(0, 1), words.flatten(0, 1), mask.flatten(0, 1))
    _, judging = discriminator.read(discriminator.encode(to_float(frames.to(discriminator.device))), (*texts, None))
    discriminator.train()
    return {"generator": choices_of(drawing), "discriminator": choices_of(judging)}


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
