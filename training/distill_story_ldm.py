"""Distills a trained Story-LDM: a student that draws a frame in 1 to 8 steps without guidance, as its teacher does in many with it.

    accelerate launch training/distill_story_ldm.py --teacher runs/story-ldm/pipeline --output runs/story-ldm-4      # 4 steps
    accelerate launch training/distill_story_ldm.py --teacher runs/story-ldm-4/pipeline --steps 2 --output runs/story-ldm-2

Progressive distillation with guidance (Salimans and Ho 2022; Meng et al. 2023; story_ldm/systems/story_ldm/distillation.py): from noisy latents at
one of the student's noise levels the teacher takes several guided steps, and the student learns the one step that leads there. Memory is written and
read as in training; what reads the sentences stays the teacher's. A student can be distilled again, to fewer steps. The same command resumes a run.
The result is `<output>/pipeline`, with a DDIM scheduler, and with its steps and no guidance as the defaults of its calls; at other numbers of steps
it draws worse.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from accelerate import Accelerator
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.stories import fit_stories, story_lengths
from story_ldm.encoders.latents import downscale_factor
from story_ldm.encoders.limits import encoder_limit
from story_ldm.pipelines.story_ldm import StoryLDMPipeline
from story_ldm.reports.cards import write_model_card
from story_ldm.systems.story_ldm.building import empty_sentence, read_sentences
from story_ldm.systems.story_ldm.diffusion import StoryBatch, StoryDenoiser, add_noise
from story_ldm.systems.story_ldm.distillation import grid, solve, step_error, step_target
from story_ldm.training.caches import cached_latents
from story_ldm.training.checkpoints import digest, load_checkpoint, save_checkpoint
from story_ldm.training.diffusion_settings import MAY_CHANGE, DiffusionSettings, check_stories, load_forms, prepare_unet
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import any_process, run_script
from story_ldm.training.run import finish_run, run_record, start_run
from story_ldm.training.samples import report_samples, sample_file, sample_stories
from story_ldm.training.sharding import MovingAverage, unsynced
from story_ldm.training.steps import StepBatches, local_part, padded_frames, step_generator, warmup_stable_decay, whole_steps
from story_ldm.training.story_batches import draw_batch
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes

LEAST_SIGNAL = 1e-3  # ᾱ of the highest noise level for a teacher that predicts noise; Stable Diffusion's is 0.005


@dataclass
class Settings(DiffusionSettings):
    teacher: Path = Path("runs/story-ldm/pipeline")
    """Folder of the pipeline to distill: one of train_story_ldm.py --train all, or of this script. Give also the --dataset, --split, --text-form
    and --lengths that it was trained on."""
    output: Path = Path("runs/distilled")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    steps: int = 4
    """Steps of the student: 1, 2, 4, 5, 8 or another divisor of the noise levels, of which there are 1,000."""
    teacher_steps: int = 16
    """Steps of the teacher over all noise levels: each of the student's steps is as many of them as make these up."""
    guidance: float | None = None
    """Scale of the teacher's guidance, for text and memory; by default that of its calls: 2.0, of a student 1.0, which is none."""
    stories: int = 20_000
    """Number of stories to train on, counted with repetition."""
    learning_rate: float = 1e-4
    """Peak learning rate of the UNet."""
    warmup: int = 100
    """Steps of linear warm-up."""
    decay: float = 0.5
    """Share of the run, at its end, over which the learning rate falls linearly to zero."""
    memory_dropout: float = 0.1
    """Share of stories drawn without visual memory, which the student then can, too."""
    memory_noise: int = 150
    """Highest noise level added to the remembered latents of half of the stories, as in train_story_ldm.py."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the teacher reads: error, cut them, or skip their stories."""
    cache: Path = Path("runs/cache")
    """Folder of cached latents."""


def main(s: Settings) -> None:
    check_stories(s)
    if s.device_batch is not None and s.device_batch < 1:
        raise ValueError(f"--device-batch is {s.device_batch}; it must be at least 1")
    total = whole_steps(s.stories, s.batch)
    pipe = open_teacher(s.teacher)
    guidance = pipe.call_defaults()[1] if s.guidance is None else s.guidance
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    levels, each = grid(scheduler, s.steps), -(-s.teacher_steps // s.steps)
    if each < (2 if guidance == 1 else 1):
        least = s.steps + 1 if guidance == 1 else 1
        raise ValueError(f"--teacher-steps is {s.teacher_steps} with --steps {s.steps} and guidance {guidance:g}; it must be at least {least}")
    cell = downscale_factor(pipe.vae)
    record = run_record(s, guidance=guidance)
    accelerator = start_run(s, "distilled", MAY_CHANGE, guidance=guidance)
    with accelerator.main_process_first():
        limit = encoder_limit(pipe.text_encoder, pipe.tokenizer)
        data, *others = fit_stories(load_forms(s, pipe.unet.config.sample_size * cell), limit, s.long_sentences)
        if s.sample_every:
            sample_stories(s.dataset, s.text_form[0], s.sample_stories, pipe.tokenizer, s.long_sentences)
    lengths = torch.tensor(story_lengths(data))
    latents = cached_latents(s.cache, accelerator, data, (s.dataset, pipe.unet.config.sample_size * cell), pipe.vae)
    sentences = read_sentences([data, *others], s.text_form, pipe.tokenizer, pipe.reader, facts=False)
    teacher = denoiser(pipe, s).to(accelerator.device)
    model: Any = copy.deepcopy(teacher)
    teacher.unet.requires_grad_(False)

    trained = [p for p in model.parameters() if p.requires_grad]
    groups = muon_groups(model.unet) if s.optimizer == "muon" else [{"params": trained}]
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    model, optimizer = accelerator.prepare(model, optimizer)
    ema = MovingAverage(trained, decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=True)
    accelerator.register_for_checkpointing(schedule, ema)
    base = digest("teacher", [*teacher.parameters(), *pipe.vae.parameters()])
    progress = load_checkpoint(accelerator, s.output)
    if progress.get("base", base) != base:
        raise SystemExit(
            f"--teacher is {s.teacher}; its weights are not those that {s.output} was started with: restore them or choose another --output"
        )
    ema.to(accelerator.device)
    step, curve = progress["step"], progress.get("curve", [])
    parameters = parameter_counts(**dict(accelerator.unwrap_model(model).named_children()))
    accelerator.print(sizes(parameters))

    def batch_of(step: int, rows: list[int], form: Tensor, local: slice) -> tuple[StoryBatch, Tensor]:
        """Those of one process of the stories `rows` of a full batch, noisy at the student's levels; and the levels (B, M) of its next steps."""
        index, weight = (x[local] for x in padded_frames(lengths, rows))
        draws: dict[str, Any] = {"noise_draws": 1, "text_dropout": 0.0, "language_dropout": 0.0}
        draws |= {"memory_dropout": s.memory_dropout, "memory_noise": s.memory_noise}
        batch = draw_batch(accelerator, scheduler, s.seed, step, latents[index], *sentences.of(form[local], index), weight, **draws)
        place = batch.levels * s.steps // scheduler.config.num_train_timesteps  # drawn evenly over all noise levels
        start, end = (levels.to(place.device)[place + more] for more in (0, 1))
        return replace(batch, levels=start, noisy=add_noise(scheduler, batch.latents, batch.noise, start)), end

    typical = int((lengths - lengths.float().mean()).abs().argmin())  # a story of about the mean length
    with accelerator.autocast(), torch.no_grad():
        flops = forward_flops(accelerator.unwrap_model(model), batch_of(0, [typical], torch.zeros(1).long(), slice(1))[0])
    rows = 1 if guidance == 1 else 2
    accelerator.print(f"{each} steps of the teacher with {rows} rows for each of the student's {s.steps}; guidance {guidance:g}")
    if s.compile:
        accelerator.unwrap_model(model).unet.compile()
        teacher.unet.compile()
    if s.sample_every and step and step % s.sample_every == 0 and any_process(accelerator, not sample_file(s.output, step).exists()):
        sample(s, accelerator, pipe, model, trained, ema, step)  # the run was killed after its checkpoint

    batches = iter(StepBatches(len(data), s.batch, s.seed, step))  # full batches: all processes pad to the same length
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=len(latents) / len(data), flops=flops * (3 + each * rows))
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        form = torch.randint(len(s.text_form), (s.batch,), generator=step_generator(s.seed, step, 1))
        stories, ends = batch_of(step, next(batches), form, local_part(accelerator, s.batch))
        passes = torch.arange(len(ends)).split(s.device_batch or len(ends))
        sums = {"loss": torch.zeros((), device=accelerator.device)}
        for part in passes:
            batch, end = stories.part(part), ends[part]
            with nullcontext() if part is passes[-1] else unsynced(accelerator, model):
                with accelerator.autocast():
                    with torch.no_grad():
                        ended = solve(guided(teacher, batch, guidance), scheduler, batch.noisy, batch.levels, end, each)
                    prediction, _ = model(batch)
                goal = step_target(scheduler, batch.noisy, ended, batch.levels, end)
                loss = (step_error(scheduler, prediction.float(), goal, batch.levels) * batch.weight).mean()
                accelerator.backward(loss * (len(part) / len(ends)))
                sums["loss"] += loss.detach() * (len(part) / len(ends))
        accelerator.clip_grad_norm_(model.parameters(), s.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        ema.step(trained)
        step += 1
        values = watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], **sums)
        if values:
            curve.append([step * s.batch, round(values["loss"], 5)])
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, pipe, model, trained, ema, step)
    save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
    watch.leave_if_asked()
    product = s.output / "pipeline"
    if accelerator.is_main_process:
        ema.copy_to(trained)
        student(pipe, accelerator.unwrap_model(model), s.steps).to(dtype=getattr(torch, s.store)).save_pretrained(product, safe_serialization=True)
        samples = sorted(s.output.glob("samples/*.png"))
        names = {"system": f"Story-LDM in {s.steps} steps", "script": "distill_story_ldm.py"}
        write_model_card(product, record, parameters, curve, step * s.batch, samples, **names)
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, product)


def open_teacher(folder: Path) -> StoryLDMPipeline:
    """The pipeline in a folder, in float32. Raises ValueError for one that cannot be distilled."""
    pipe = StoryLDMPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    kind = pipe.scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction") or pipe.text_encoder_2 is not None or pipe.unet.config.time_cond_proj_dim is not None:
        raise ValueError(f"--teacher is {folder}; it must predict noise or velocity, and be no Stable Diffusion XL and no LCM")
    if kind == "epsilon" and float(pipe.scheduler.alphas_cumprod[-1]) < LEAST_SIGNAL:
        raise ValueError(
            f"--teacher is {folder}, which predicts noise; at its highest noise level no picture follows from that: it must predict velocity"
        )
    return pipe


def denoiser(pipe: StoryLDMPipeline, s: Settings) -> StoryDenoiser:
    """The teacher's parts as one module, of which the UNet alone is trained."""
    ids, mask = empty_sentence(pipe.tokenizer, pipe.reader)
    for part in (pipe.vae, pipe.text_encoder, pipe.language_memory, pipe.reader):
        if part is not None:
            part.requires_grad_(False).eval()
    prepare_unet(pipe.unet, s)
    return StoryDenoiser(pipe.unet, pipe.text_encoder, pipe.language_memory, None, ids, mask, pipe.reader, downscale_factor(pipe.vae))


def guided(teacher: StoryDenoiser, batch: StoryBatch, guidance: float) -> Callable[[Tensor, Tensor], Tensor]:
    """(noisy latents, levels) → the teacher's prediction with guidance: e(∅) + g (e(S, memory) - e(∅)). Text and memory are read once."""
    condition, empty, _ = teacher.read(batch)
    memory, positions = teacher.write(batch, condition)
    nothing = condition.where(torch.zeros_like(batch.use_text), empty)

    def predict(noisy: Tensor, levels: Tensor) -> Tensor:
        told = teacher.unet(noisy, levels, condition, memory, positions).sample.float()
        if guidance == 1:
            return told
        untold = teacher.unet(noisy, levels, nothing, None, positions).sample.float()
        return untold + guidance * (told - untold)

    return predict


def student(teacher: StoryLDMPipeline, parts: StoryDenoiser, steps: int) -> StoryLDMPipeline:
    """A pipeline of the student's UNet and the teacher's other parts."""
    even = {"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True}
    scheduler = DDIMScheduler.from_config(teacher.scheduler.config, **even)
    return StoryLDMPipeline(**{**teacher.components, "unet": parts.unet, "scheduler": scheduler}, default_steps=steps, default_guidance=1.0)


def sample(
    s: Settings, accelerator: Accelerator, pipe: StoryLDMPipeline, model: nn.Module, trained: list[nn.Parameter], ema: MovingAverage, step: int
) -> None:
    """Draws validation stories with the averaged weights, and reports them; the weights of `model` are swapped meanwhile."""
    if accelerator.is_main_process:
        stories = sample_stories(s.dataset, s.text_form[0], s.sample_stories, pipe.tokenizer, s.long_sentences)
        ema.store(trained)
        ema.copy_to(trained)
        drawing = student(pipe, accelerator.unwrap_model(model).eval(), s.steps).to(accelerator.device)
        drawing.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        report_samples(accelerator, s.output, step, stories, drawing(stories["sentences"][:], generator=generators).frames, s.evaluator)
        ema.restore(trained)
        model.train()
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
