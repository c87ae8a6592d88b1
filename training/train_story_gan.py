"""Trains StoryGAN, or one of its reductions: Algorithm 1 of Li et al. 2019.

    accelerate launch training/train_story_gan.py                                          # toon-64 on the built-in world
    accelerate launch training/train_story_gan.py --system svfn --output runs/svfn         # or svc, image-gan: see systems/story_gan/networks.py

Each iteration makes k_I image steps (one frame of each of `image_batch` stories, which the image discriminator judges) and k_S story steps (all
frames of `batch` stories, which the story discriminator judges); each step moves its discriminator first and the generator then. In an image
step the context encoder runs through the whole story all the same, so that a frame is drawn at its place as it will be in the end (the public code
runs it on that sentence alone). Wrong pairs are real frames with the condition of another story of the batch. Of the averaged weights those are
shipped that are best on validation stories, by the product of FID and FSD on the frame evaluator's features: their units differ, and a product does
not depend on units.

Sentences are read once, by a frozen encoder. Run the same command again and it goes on where it stopped. The product is `<output>/pipeline`, which
`StoryGANPipeline.from_pretrained` opens; `scores.json` tells FID and FSD over training, `discriminators.json` how well both discriminators tell right
from wrong pairs.

In fp16 the optimizers share accelerate's one loss scale, which every optimizer's step updates. That is right here: each backward is followed by the
step of the one optimizer it is for, whose gradients are cleared at once, so no gradient outlives a change of the scale; an overflow skips that step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from diffusers.training_utils import EMAModel
from story_ldm.pipelines.story_gan import StoryGANPipeline
from torch import Tensor

from story_ldm.data.stories import decode_frames, held_out_split, load_stories, one_length, tested_split, to_float
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.encoders.sentence_vectors import load_sentence_encoder, sentence_vectors
from story_ldm.files import write_text
from story_ldm.reports.cards import set_section, write_model_card
from story_ldm.systems.gan_presets import at_resolution, fill_in
from story_ldm.systems.story_gan.networks import ImageDiscriminator, StoryDiscriminator, StoryGAN, kl_divergence
from story_ldm.systems.story_gan.presets import PRESETS, PUBLISHED
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
from story_ldm.training.watch import Watch, parameter_counts, sizes


@dataclass
class Settings(GANSettings):
    output: Path = Path("runs/story-gan")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: str = "toon-64"
    system: Literal["story-gan", "svfn", "svc", "image-gan"] = "story-gan"
    """The whole model or a reduction of it; image-gan makes no story steps."""
    stories: int = 60_000
    """How many stories to see in all: those of the story steps (image-gan makes as many iterations as the others do)."""
    batch: int | None = None
    """Stories of a story step, over all processes; by default the preset's."""
    image_batch: int | None = None
    """Frames of an image step, each of another story, over all processes; by default the preset's."""
    k_image: int = 1
    k_story: int = 1
    """Image steps and story steps an iteration, the algorithm's k_I and k_S."""
    alpha: float = 1.0
    beta: float = 1.0
    """Weights of the image and of the story discriminator in the generator's loss."""
    kl: float | None = None
    """Weight of L_KL, a sum over h_0's numbers: the equation has 1, the public code the mean over 124 of them. By default 1 / the width of h_0, which
    makes it the mean."""


def main(s: Settings) -> None:
    if s.preset not in PRESETS:
        raise SystemExit(f"preset is {s.preset!r}; it must be one of {', '.join(PRESETS)}")
    preset = at_resolution(PRESETS[s.preset](), s.resolution)
    fill_in(s)
    if min(s.batch, s.image_batch) < 2:
        raise SystemExit(f"batch is {s.batch} and image_batch {s.image_batch}; both must be at least 2, or there is no wrong pair")
    text_encoder, tokenizer = load_sentence_encoder(s.text)
    evaluator = FrameEvaluator.from_pretrained(s.evaluator, dtype=torch.float32).eval() if s.validate_every else None
    accelerator = start_run(s, "story-gan", MAY_CHANGE)
    text_encoder.to(accelerator.device)
    judged_split = s.judged_split or tested_split(s.dataset)
    with accelerator.main_process_first():
        shape = {"fit": s.fit, "window": s.length, "num_proc": s.num_proc}
        data = load_stories(s.dataset, "train", preset["resolution"], s.text_form, limit=s.limit, flip=s.flip, **shape)
        held_out = load_few(s, held_out_split(s.dataset), s.validate_stories, preset["resolution"]) if s.validate_every else None
        judged = load_few(s, judged_split, s.judged_stories, preset["resolution"])
    pictures, sentences = read_stories(data, text_encoder, tokenizer, s.workers)
    held_out_pictures = read_stories(held_out, text_encoder, tokenizer, s.workers)[0] if held_out else None
    judged = read_stories(judged, text_encoder, tokenizer, s.workers)
    if judged[1].shape[1] != sentences.shape[1]:
        lengths = f"{judged[1].shape[1]} frames, those of the train split {sentences.shape[1]}"
        raise ValueError(f"stories of the {judged_split} split have {lengths}; the story discriminator has one length: give --length")

    generator, judges = build(s, preset, sentences)
    networks = {"story_gan": generator} | {f"{kind}_discriminator": judge for kind, judge in judges.items()}
    parameters = parameter_counts(**networks)
    published = " | published: {} M in the generator, {} M in the discriminators".format(*PUBLISHED[s.preset]) if s.preset in PUBLISHED else ""
    accelerator.print(sizes(parameters) + published)
    ema, best = EMAModel(generator.parameters(), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=True), Best()
    rates = {"generator": s.learning_rate} | dict.fromkeys(judges, s.discriminator_learning_rate)
    optimizers = {"generator": torch.optim.Adam(generator.parameters(), betas=(0.5, 0.999), fused=True)}
    optimizers |= {kind: torch.optim.Adam(judge.parameters(), betas=(0.5, 0.999), fused=True) for kind, judge in judges.items()}
    generator, optimizers["generator"] = accelerator.prepare(generator, optimizers["generator"])
    for kind in judges:
        judges[kind], optimizers[kind] = accelerator.prepare(judges[kind], optimizers[kind])
    accelerator.register_for_checkpointing(ema, best)
    progress = load_checkpoint(accelerator, s.output)
    ema.to(accelerator.device)
    step, since = progress["step"], progress.get("since", {})
    facts = {"since": since, **{name: progress.get(name, []) for name in ("curve", "scores")}}

    often = {"image": s.k_image} | ({"story": s.k_story} if "story" in judges else {})
    batches, weights = {"image": s.image_batch, "story": s.batch}, {"image": s.alpha, "story": s.beta}
    here = accelerator.process_index, accelerator.num_processes
    streams = {k: iter(StepBatches(len(data), batches[k], 2 * s.seed + n, step * often[k], *here)) for n, k in enumerate(often)}
    columns = [f"{kind}_{name}" for kind in often for name in ("accuracy", "generator")]  # of the card's curve
    seen_a_step = s.batch * s.k_story
    total = s.stories // seen_a_step
    watch, gan = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=sentences.shape[1]), accelerator.unwrap_model(generator)
    kl = 1 / gan.config.width if s.kl is None else s.kl

    def pipeline_of(weights: list[Tensor]) -> StoryGANPipeline:
        return finished_pipeline(s, accelerator, generator, weights, text_encoder, tokenizer, sentences)

    def look() -> None:
        """Are the present averaged weights the best so far?"""
        found = validate(accelerator, best, step, ema.shadow_params, pipeline_of, evaluator, held_out["sentences"][:], held_out_pictures)
        facts["scores"].append([step * seen_a_step, *found])

    while step < total and not watch.time_is_up(s.max_minutes):
        factor, values = halved(step, total, s.halvings), {}
        for name, optimizer in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * factor
        for kind in often:
            for part in range(often[kind]):
                noise, positions = draw_randomness(accelerator, gan, s.seed, step * often[kind] + part, kind, batches[kind], sentences.shape[1])
                rows = torch.tensor(next(streams[kind]))
                real = pictures[rows] if positions is None else pictures[rows, positions.cpu()]
                real, text = to_float(real.to(accelerator.device)), sentences[rows].to(accelerator.device)
                pair = optimizers["generator"], optimizers[kind]
                found = gan_step(accelerator, generator, judges[kind], *pair, real, text, noise, positions, weights[kind], kl)
                values |= {f"{kind}_{name}": value for name, value in found.items()}
        ema.step(generator.parameters())
        step += 1
        means = watch.tick(step, step * seen_a_step, seen_a_step, s.learning_rate * factor, **values)
        if means:
            facts["curve"].append([step * seen_a_step, *(round(means[name], 4) for name in columns)])
            trouble = find_trouble(means, list(often), since, step, s.log_every, s.patience)
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
        how = {"system": f"StoryGAN ({s.system})", "script": "train_story_gan.py", "columns": ("stories seen", *columns)}
        write_model_card(s.output / "pipeline", s, parameters, facts["curve"], step * seen_a_step, sheets, **how)
        if held_out:
            lines = [f"{stories} stories seen: FID {fid:.4f}, FSD {fsd:.4f}" for stories, fid, fsd in facts["scores"]]
            lines += [f"Shipped are the averaged weights of step {best.step or step}."]
            set_section(s.output / "pipeline", f"On {len(held_out)} validation stories", "\n\n".join(lines))
        told = judge_pairs(s, accelerator, generator, judges, *judged)
        write_text(s.output / "discriminators.json", json.dumps({"step": step, "split": judged_split, **told}, indent=1))
        lines = [f"{kind} discriminator | " + " | ".join(f"{name} {value:.4g}" for name, value in result.items()) for kind, result in told.items()]
        set_section(s.output / "pipeline", f"Right and wrong pairs of the {judged_split} split", "\n\n".join(lines))
        print("\n".join(lines))
        print(f"{step} of {total} steps done; {s.output / 'pipeline'} written")
    finish_run(accelerator, s, s.output / "pipeline")


def read_stories(data, text_encoder, tokenizer, workers: int) -> tuple[Tensor, Tensor]:
    """Pictures (N, M, 3, H, W) uint8 and sentence vectors (N, M, D) of stories that all have one length."""
    texts = data["sentences"][:]
    length = one_length(data)
    vectors = sentence_vectors(text_encoder, tokenizer, [sentence for story in texts for sentence in story])
    return decode_frames(data, workers).unflatten(0, (-1, length)), vectors.unflatten(0, (-1, length))


def build(s: Settings, preset: dict, sentences: Tensor) -> tuple[StoryGAN, dict[str, ImageDiscriminator | StoryDiscriminator]]:
    """The preset's networks, as wide and as long as the sentences (N, M, D) need them."""
    _, length, width = sentences.shape
    common = {"sentence_width": width, "norm": s.norm}
    generator = StoryGAN(**{**preset["story_gan"], **common, "system": s.system})
    common["norm"] = s.discriminator_norm
    judges = {"image": ImageDiscriminator(**{**preset["image_discriminator"], **common, "width": generator.config.width})}
    if s.system != "image-gan":
        judges["story"] = StoryDiscriminator(**{**preset["story_discriminator"], **common, "story_length": length})
    networks = [network.to(memory_format=torch.channels_last) for network in (generator, *judges.values())]
    return networks[0], dict(zip(judges, networks[1:], strict=True))


def draw_randomness(accelerator, gan: StoryGAN, seed: int, step: int, kind: str, stories: int, frames: int) -> tuple[list[Tensor], Tensor | None]:
    """This process's part of a step's noise and, in image steps, of the positions whose frames are drawn; drawn for the whole batch."""
    source = step_generator(seed, step, stream=("image", "story").index(kind))
    noise = [local_rows(accelerator, x) for x in gan.draw_noise(stories, frames, source)]
    return noise, local_rows(accelerator, torch.randint(frames, (stories,), generator=source)) if kind == "image" else None


def gan_step(
    accelerator, generator, judge, generator_optimizer, judge_optimizer, real, sentences, noise, positions, weight: float, kl_weight: float
) -> dict[str, Tensor]:
    """One step of the discriminator and one of the generator, on the same drawn frames. positions (B,) in image steps, None in story steps."""
    fake, code, mean, log_variance = generator(sentences, *noise, positions=positions)
    condition = sentences if positions is None else image_condition(sentences, code.detach(), positions)
    kl = kl_divergence(mean, log_variance).mean()
    optimizers, wrong = (generator_optimizer, judge_optimizer), next_rows(accelerator, condition)
    found = adversarial_step(accelerator, judge, *optimizers, real, fake, condition, wrong, weight, kl_weight * kl)
    return found | {"kl": kl}


def image_condition(sentences: Tensor, code: Tensor, positions: Tensor) -> Tensor:
    """[s_t; h_0] at one position of each story: (B, M, D), (B, H), (B,) → (B, D + H)."""
    return torch.cat([sentences[torch.arange(len(sentences), device=sentences.device), positions], code], 1)


def finished_pipeline(s: Settings, accelerator, generator, weights: list[Tensor], text_encoder, tokenizer, sentences: Tensor) -> StoryGANPipeline:
    """The pipeline of a copy with averaged weights; called in all processes, for statistics of batch norms are those of all."""
    gan = accelerator.unwrap_model(generator)
    rows = StepBatches(len(sentences), s.batch, s.seed, 0, accelerator.process_index, accelerator.num_processes)
    noises = (gan.draw_noise(s.batch, sentences.shape[1], step_generator(s.seed, n, stream=2)) for n in range(20))
    parts = ((sentences[row].to(accelerator.device), *(local_rows(accelerator, x) for x in noise)) for row, noise in zip(rows, noises))
    copy = averaged_copy(accelerator, generator, weights, parts)
    return StoryGANPipeline(story_gan=copy, text_encoder=text_encoder, tokenizer=tokenizer)


@torch.no_grad()
def judge_pairs(s: Settings, accelerator, generator, judges: dict, pictures: Tensor, sentences: Tensor) -> dict[str, dict[str, float]]:
    """How well each discriminator tells real frames under their own condition from those under that of a neighbouring story."""
    trained = accelerator.unwrap_model(generator).eval()
    story_noise, _, _ = trained.draw_noise(*sentences.shape[:2], step_generator(s.seed, 0, stream=3))
    code = trained.encode_story(sentences.to(accelerator.device), story_noise.to(accelerator.device))[0].cpu()
    conditions = {"image": torch.cat([sentences, code[:, None].expand(-1, sentences.shape[1], -1)], -1), "story": sentences}
    results = {}
    for kind, judge in judges.items():
        judge, logits = accelerator.unwrap_model(judge).eval(), []
        for part in torch.arange(len(sentences)).split(50):
            batch = [to_float(pictures[part]), conditions[kind][part], conditions[kind].roll(1, 0)[part]]
            if kind == "image":
                batch = [x.flatten(0, 1) for x in batch]
            logits.append(torch.stack(judge(*(x.to(accelerator.device) for x in batch))).cpu())
        results[kind] = told_apart(*torch.cat(logits, 1))
    return results


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
