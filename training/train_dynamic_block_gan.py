"""Trains the dynamic-block GAN, or one of the ablations of its paper's Table 2: Li and Lukasiewicz 2022, story_ldm/systems/dynamic_block_gan/.

    accelerate launch training/train_dynamic_block_gan.py                                          # toon-64 on the built-in world
    accelerate launch training/train_dynamic_block_gan.py --system sa-only --output runs/sa-only   # or wsa-only, no-attention, no-block-in-g, …-d
    python -m story_ldm.systems.dynamic_block_gan.choices runs/dynamic-block-gan/choices.json     # the selector's choices, as a plot

Each step moves the discriminator once and the generator once, on all frames of `batch` stories. Wrong pairs are real frames with the sentences of
another story of the batch. Words and sentences are read by a frozen encoder. Of the averaged weights those are shipped that are best on validation
stories, by the product of FID and FSD on the frame evaluator's features: their units differ, and a product does not depend on units.

Run the same command again and it goes on where it stopped. The product is `<output>/pipeline`, which `DynamicBlockGANPipeline.from_pretrained`
opens; `choices.json` tells what the blocks chose, `scores.json` FID and FSD over training, `discriminator.json` how well pairs are told apart.
The paper has Adam with a rate of 2e-4 and no more of this: betas, EMA, batch and losses are those of train_story_gan.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from diffusers.training_utils import EMAModel
from story_ldm.pipelines.dynamic_block_gan import DynamicBlockGANPipeline
from torch import Tensor

from story_ldm.data.stories import decode_frames, held_out_split, load_stories, one_length, tested_split, to_float
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.encoders.sentence_vectors import load_sentence_encoder, read_words, tokens_of
from story_ldm.files import write_text
from story_ldm.reports.cards import set_section, write_model_card
from story_ldm.systems.dynamic_block_gan.choices import choices_of, columns_of
from story_ldm.systems.dynamic_block_gan.networks import SYSTEMS, DynamicBlockDiscriminator, DynamicBlockGAN, gumbel_noise
from story_ldm.systems.dynamic_block_gan.presets import PRESETS, PUBLISHED
from story_ldm.systems.gan_presets import at_resolution, fill_in
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint, stop_training
from story_ldm.training.gan_loop import (
    MAY_CHANGE,
    Best,
    GANSettings,
    adversarial_step,
    averaged_copy,
    find_trouble,
    load_few,
    next_rows,
    sample,
    told_apart,
    validate,
    write_table,
)
from story_ldm.training.processes import run_script
from story_ldm.training.run import finish_run, start_run
from story_ldm.training.steps import StepBatches, halved, local_rows, step_generator
from story_ldm.training.watch import Watch, parameter_counts


@dataclass
class Settings(GANSettings):
    output: Path = Path("runs/dynamic-block-gan")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: str = "toon-64"
    system: Literal["dynamic-block", "no-attention", "sa-only", "wsa-only", "no-block-in-g", "no-block-in-d"] = "dynamic-block"
    """The whole model or an ablation."""
    temperature: float = 1.0
    """τ of the Gumbel-softmax."""
    stories: int = 42_000
    """How many stories to see in all."""
    batch: int | None = None
    """Stories a step, over all processes; by default the preset's."""
    choice_stories: int = 16
    """Validation stories on which the blocks' choices are counted at each log line."""


COLUMNS = ("frame_loss", "frame_accuracy", "frame_generator")  # of the card's curve; the discriminator judges frames


def main(s: Settings) -> None:
    if s.preset not in PRESETS:
        raise SystemExit(f"preset is {s.preset!r}; it must be one of {', '.join(PRESETS)}")
    preset = at_resolution(PRESETS[s.preset](), s.resolution)
    fill_in(s)
    if s.batch < 2:
        raise SystemExit(f"batch is {s.batch}; it must be at least 2, or there is no wrong pair")
    text_encoder, tokenizer = load_sentence_encoder(s.text)
    evaluator = FrameEvaluator.from_pretrained(s.evaluator, dtype=torch.float32).eval() if s.validate_every else None
    accelerator = start_run(s, "dynamic-block-gan", (*MAY_CHANGE, "choice_stories"))
    judged_split = s.judged_split or tested_split(s.dataset)
    text_encoder.to(accelerator.device)
    with accelerator.main_process_first():
        shape = {"fit": s.fit, "window": s.length, "num_proc": s.num_proc}
        data = load_stories(s.dataset, "train", preset["resolution"], s.text_form, limit=s.limit, flip=s.flip, **shape)
        held_out = load_few(s, held_out_split(s.dataset), s.validate_stories, preset["resolution"])
        judged = load_few(s, judged_split, s.judged_stories, preset["resolution"])
    pictures, ids, mask = read_stories(data, text_encoder, tokenizer, s.workers)
    validation, judged = (read_stories(few, text_encoder, tokenizer, s.workers) for few in (held_out, judged))

    width = read_texts(text_encoder, ids[:1], mask[:1])[0].shape[-1]
    attention, common = SYSTEMS[s.system], {"sentence_width": width, "temperature": s.temperature, "norm": s.norm}
    gan = DynamicBlockGAN(**{**preset["generator"], **common, "attention": attention[0]}).to(memory_format=torch.channels_last)
    common["norm"] = s.discriminator_norm
    judge = DynamicBlockDiscriminator(**{**preset["discriminator"], **common, "attention": attention[1]}).to(memory_format=torch.channels_last)
    networks = {"generator": gan, "discriminator": judge}
    parameters = parameter_counts(**networks)
    published = dict(zip(networks, PUBLISHED.get(s.preset, ())))
    beside = {name: f" (published {published[name]} M)" if name in published else "" for name in networks}
    accelerator.print(" | ".join(f"{name} {count / 1e6:.2f} M{beside[name]}" for name, count in parameters.items()))
    selectors = {name: network.levels.sizes(network.blocks) for name, network in networks.items() if network.config.attention == "both"}

    ema, best = EMAModel(gan.parameters(), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=True), Best()
    rates = {"generator": s.learning_rate, "discriminator": s.discriminator_learning_rate}
    optimizers = {name: torch.optim.Adam(network.parameters(), betas=(0.5, 0.999), fused=True) for name, network in networks.items()}
    generator, optimizers["generator"] = accelerator.prepare(gan, optimizers["generator"])
    discriminator, optimizers["discriminator"] = accelerator.prepare(judge, optimizers["discriminator"])
    accelerator.register_for_checkpointing(ema, best)
    progress = load_checkpoint(accelerator, s.output)
    ema.to(accelerator.device)
    step, since = progress["step"], progress.get("since", {})
    facts = {"since": since, **{name: progress.get(name, []) for name in ("curve", "choices", "scores")}}
    rows = iter(StepBatches(len(data), s.batch, s.seed, step, accelerator.process_index, accelerator.num_processes))
    total, frames = s.stories // s.batch, ids.shape[1]
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=frames)

    def parts() -> Iterator[tuple[Tensor, ...]]:
        """Batches of what the generator draws, on which a copy's batch norms get their statistics."""
        few = StepBatches(len(data), s.batch, s.seed, 0, accelerator.process_index, accelerator.num_processes)
        for n, own in zip(range(10), few):
            story_noise = gan.draw_noise(s.batch, step_generator(s.seed, n, stream=2))
            yield *read_texts(text_encoder, ids[own], mask[own]), local_rows(accelerator, story_noise)

    def pipeline_of(weights: list[Tensor]) -> DynamicBlockGANPipeline:
        copy = averaged_copy(accelerator, generator, weights, parts())
        return DynamicBlockGANPipeline(dynamic_block_gan=copy, text_encoder=text_encoder, tokenizer=tokenizer)

    def look() -> None:
        """Are the present averaged weights the best so far?"""
        found = validate(accelerator, best, step, ema.shadow_params, pipeline_of, evaluator, held_out["sentences"][:], validation[0])
        facts["scores"].append([step * s.batch, *found])

    while step < total and not watch.time_is_up(s.max_minutes):
        factor = halved(step, total, s.halvings)
        for name, optimizer in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * factor
        mine = torch.tensor(next(rows))
        other = next_rows(accelerator, mine.to(accelerator.device)).cpu()
        text, wrong = (read_texts(text_encoder, ids[n], mask[n]) for n in (mine, other))
        noise = step_generator(s.seed, step)
        story_noise = gan.draw_noise(s.batch, noise)
        gumbels = [gumbel_noise((s.batch, frames, len(network.blocks), 2), noise) for network in (gan, judge)]
        story_noise, for_generator, for_judge = (local_rows(accelerator, x) for x in (story_noise, *gumbels))
        fake = generator(*text, story_noise, for_generator)
        real, pair = to_float(pictures[mine].to(accelerator.device)), (optimizers["generator"], optimizers["discriminator"])
        found = adversarial_step(accelerator, discriminator, *pair, real, fake, (*text, for_judge), (*wrong, for_judge))
        ema.step(generator.parameters())
        step += 1
        means = watch.tick(step, step * s.batch, s.batch, s.learning_rate * factor, **{f"frame_{name}": x for name, x in found.items()})
        if means:
            facts["curve"].append([step * s.batch, *(round(means[name], 4) for name in COLUMNS)])
            averaged = averaged_copy(accelerator, generator, ema.shadow_params, parts()) if selectors else None
            if averaged and accelerator.is_main_process:
                made = count_choices(s, averaged, judge, text_encoder, validation)
                facts["choices"].append([step * s.batch, *(round(value, 4) for name in selectors for value in made[name])])
                write_table(s.output / "choices.json", columns_of(selectors), facts["choices"])
            trouble = find_trouble(means, ["frame"], since, step, s.log_every, s.patience)
            if trouble:
                stop_training(accelerator, s.output, step, *trouble)
        if s.validate_every and step % s.validate_every == 0:
            look()
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, protect=min(since.values(), default=None), **facts)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, pipeline_of(ema.shadow_params), preset["resolution"], step)
    save_checkpoint(accelerator, s.output, step, s.keep, protect=min(since.values(), default=None), **facts)
    watch.leave_if_asked()
    if s.validate_every and step % s.validate_every:
        look()  # after the checkpoint, for in a run that goes on it has no part
    pipe = pipeline_of(best.weights or ema.shadow_params)
    if accelerator.is_main_process:
        write_table(s.output / "scores.json", ["stories seen", "fid_evaluator", "fsd_evaluator"], facts["scores"])
        pipe.to(dtype=getattr(torch, s.store)).save_pretrained(s.output / "pipeline", safe_serialization=True)
        sheets = sorted(s.output.glob("samples/*.png"))
        how = {"system": f"Dynamic-block GAN ({s.system})", "script": "train_dynamic_block_gan.py", "columns": ("stories seen", *COLUMNS)}
        write_model_card(s.output / "pipeline", s, parameters, facts["curve"], step * s.batch, sheets, **how)
        lines = [f"{stories} stories seen: FID {fid:.4f}, FSD {fsd:.4f}" for stories, fid, fsd in facts["scores"]]
        lines += [f"Shipped are the averaged weights of step {best.step or step}."]
        set_section(s.output / "pipeline", f"On {len(held_out)} validation stories", "\n\n".join(lines))
        told = judge_pairs(judge, text_encoder, judged)
        write_text(s.output / "discriminator.json", json.dumps({"step": step, "split": judged_split, **told}, indent=1))
        lines = ["discriminator | " + " | ".join(f"{name} {value:.4g}" for name, value in told.items())]
        set_section(s.output / "pipeline", f"Right and wrong pairs of the {judged_split} split", "\n\n".join(lines))
        print("\n".join(lines))
        print(f"{step} of {total} steps done; {s.output / 'pipeline'} written")
    finish_run(accelerator, s, s.output / "pipeline")


def read_stories(data, text_encoder, tokenizer, workers: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, M, 3, H, W) uint8, token numbers and mask (N, M, L) of stories that all have one length."""
    texts = data["sentences"][:]
    length = one_length(data)
    ids, mask = tokens_of(text_encoder, tokenizer, [sentence for story in texts for sentence in story])
    return tuple(x.unflatten(0, (-1, length)) for x in (decode_frames(data, workers), ids.int(), mask.bool()))


def read_texts(text_encoder, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask (B, M, L) → sentences (B, M, D), words (B, M, L, D) and mask (B, M, L) as long as the longest sentence here."""
    longest = int(mask.sum(-1).max())
    mask = mask[..., :longest]
    words, sentences = read_words(text_encoder, ids[..., :longest].flatten(0, 1).long(), mask.flatten(0, 1).long())
    return sentences.unflatten(0, mask.shape[:2]), words.unflatten(0, mask.shape[:2]), mask.to(words.device)


@torch.no_grad()
def count_choices(s: Settings, gan: DynamicBlockGAN, judge: DynamicBlockDiscriminator, text_encoder, validation: tuple) -> dict[str, list[float]]:
    """What the blocks of both networks choose for the first validation stories: the (averaged) generator's in drawing, the discriminator's on real
    frames."""
    pictures, ids, mask = (x[: s.choice_stories] for x in validation)
    sentences, words, mask = read_texts(text_encoder, ids, mask)
    judge.eval()  # or spectral norms would iterate once more
    entries = gan.entries(sentences, gan.draw_noise(len(ids), step_generator(s.seed, 0, stream=1)).to(gan.device))
    _, drawing = gan.draw(entries.flatten(0, 1), words.flatten(0, 1), mask.flatten(0, 1))
    _, judging = judge.read(judge.encode(to_float(pictures.to(judge.device))), (sentences, words, mask, None))
    judge.train()
    return {"generator": choices_of(drawing), "discriminator": choices_of(judging)}


@torch.no_grad()
def judge_pairs(judge: DynamicBlockDiscriminator, text_encoder, judged: tuple) -> dict[str, float]:
    """How well the discriminator, with hard choices, tells real frames with their own sentences from those with a neighbouring story's."""
    pictures, ids, mask = judged
    judge, others, logits = judge.eval(), torch.arange(len(ids)).roll(1), []
    for part in torch.arange(len(ids)).split(50):
        real = to_float(pictures[part].to(judge.device))
        own, wrong = ((*read_texts(text_encoder, ids[n], mask[n]), None) for n in (part, others[part]))
        logits.append(torch.stack(judge(real, own, wrong)).cpu())
    return told_apart(*torch.cat(logits, 1))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
