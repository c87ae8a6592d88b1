"""Trains Story-LDM: the UNet with memory attention, jointly with its text encoder and language memory.

    accelerate launch training/train_autoencoder.py
    accelerate launch training/train_language_memory.py
    accelerate launch training/train_story_ldm.py                              # toon-64 on the built-in world
    accelerate launch training/train_story_ldm.py --memory none --no-language-memory --output runs/plain    # the plain LDM
    accelerate launch training/train_story_ldm.py --memory sentence --no-language-memory --output runs/paper  # the paper's form
    accelerate launch training/train_story_ldm.py --init-from STABLE_DIFFUSION --preset sd15 --train memory --half-frozen --learning-rate 1e-4 \\
        --gradient-checkpointing --batch 8 --device-batch 1 --output runs/adapter                               # memory for a Stable Diffusion

All M frames of a story run in one forward under teacher forcing: the clean latents (but the last, which none reads) are written into memory once,
and every noisy frame reads the frames before it. Run the same command again and it goes on where it stopped. The product is `<output>/pipeline`,
which `StoryLDMPipeline.from_pretrained` opens. Where most weights are frozen (`--train memory`, `--train memory+lora`) it is `<output>/adapter`: a
memory adapter for `StoryLDMPipeline.from_stable_diffusion` or `pipe.load_memory_adapter`, and a LoRA for `pipe.load_lora_weights`.
"""

from __future__ import annotations

import copy
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from story_ldm.pipelines.story_ldm import StoryLDMPipeline

from story_ldm.data.stories import held_out_split, load_stories, one_length
from story_ldm.encoders.facts import text_loss
from story_ldm.encoders.latents import downscale_factor
from story_ldm.encoders.sentences import tokenize_stories
from story_ldm.metrics.quick import quick_rates
from story_ldm.reports.cards import set_section, training_section, write_model_card
from story_ldm.reports.strips import story_sheet
from story_ldm.systems.story_ldm.building import averaged, build, freeze, load_facts, stable_diffusion
from story_ldm.systems.story_ldm.diffusion import StoryBatch, StoryDenoiser, add_noise, diffusion_loss, noise_scheduler, stratified_timesteps
from story_ldm.systems.story_ldm.presets import preset_at
from story_ldm.training.caches import cached_latents, cached_states
from story_ldm.training.checkpoints import checkpoint_trained_weights, digest, load_checkpoint, save_checkpoint
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import run_script
from story_ldm.training.run import StorySettings, default_precision, finish_run, start_run
from story_ldm.training.sharding import MovingAverage, check_sharding, configure_sharding, sharding, unsynced, whole
from story_ldm.training.steps import StepBatches, local_rows, step_generator, warmup_stable_decay
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes

SHIPPED_EVALUATOR = Path(__file__).parents[1] / "checkpoints" / "toon-evaluator"


@dataclass
class Settings(StorySettings):
    output: Path = Path("runs/story-ldm")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: str = "toon-64"
    resolution: int | None = None
    """Pixels a frame and side; by default what the preset, or the Stable Diffusion, is made for."""
    text_form: str = "referential"
    vae: Path = Path("runs/autoencoder/vae")
    text: Path = Path("runs/language")
    """Folder with tokenizer, text_encoder, language_memory and fact head."""
    freeze_text_encoder: bool = False
    """Keep a pretrained text encoder as it is."""
    init_from: Path | None = None
    """A finished pipeline to start from; memory layers that it lacks start fresh, a language memory that it lacks comes from `--text`.
    Or a diffusers Stable Diffusion (1.x, 2.x); of the preset then count the memory's heads and blocks and the language memory's layers, and a
    language memory comes from `--text` where that was trained for its text encoder."""
    train: Literal["all", "memory", "memory+lora"] = "all"
    """What is trained. memory: memory layers and language memory alone; memory+lora: and low-rank additions to the UNet's attention."""
    lora_rank: int = 16
    half_frozen: bool = False
    """Keep frozen weights in the half precision of autocast (fp16 or bf16)."""
    memory: str = "spatial"
    """spatial, sentence (the paper's) or none."""
    memory_blocks: tuple[str, ...] | None = None
    """Which of the UNet's blocks have a memory layer, of down.0, down.1 … mid, up.0 …; by default those of the preset."""
    language_memory: bool = True
    stories: int = 120_000
    """How many stories to see in all."""
    batch: int = 8
    """Stories a step, over all processes and passes."""
    device_batch: int | None = None
    """The most stories that a process takes at a time; its share of the batch is then seen in several passes of the same step."""
    noise_draws: int = 2
    """Noise draws of each story that share one write pass."""
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    """adamw8bit: its averages in 8 bits, on a GPU, by bitsandbytes. muon: orthogonal steps for the
    UNet's matrices and kernels, AdamW for the rest."""
    learning_rate: float = 4e-4
    text_learning_rate: float = 2e-4
    warmup: int = 300
    decay: float = 0.2
    """Share of the run, at its end, over which the learning rate falls to zero."""
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    prediction: str = "v_prediction"
    """epsilon or v_prediction; a Stable Diffusion keeps its own."""
    min_snr_gamma: float = 5.0
    text_dropout: float = 0.1
    """Share of stories without text and memory (for guidance)."""
    memory_dropout: float = 0.1
    """Share of stories with text and without visual memory."""
    language_dropout: float = 0.25
    """Share of stories whose sentences are encoded alone, so that visual memory learns to resolve them."""
    memory_noise: int = 150
    """Memory's clean latents get noise of a level up to this, against the piling up of errors."""
    text_loss: float = 0.1
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    compile: bool = False
    """torch.compile the UNet; the first steps take minutes."""
    channels_last: bool = True
    """Memory format of the UNet's weights."""
    xformers: bool = False
    """Attention by xformers, on a GPU."""
    store: Literal["float16", "bfloat16", "float32"] = "float16"
    """Precision of the finished pipeline's weights; checkpoints keep all of it."""
    checkpoint_every: int = 1000
    sample_every: int = 2000
    """Draw validation stories every so many steps; 0 is never."""
    sample_stories: int = 16
    evaluator: Path | None = None
    """Reads the drawn validation stories, so that rates are logged; by default the shipped one, where it knows the dataset's characters."""
    cache: Path = Path("runs/cache")
    """Latents, and the sentence states of a frozen text encoder, are computed once and kept here."""


# when a run goes on: what is kept and shown, and how the same numbers are computed
MAY_CHANGE = ("checkpoint_every", "sample_every", "sample_stories", "evaluator", "cache", "stories", "store", "push_to_hub")
MAY_CHANGE += ("device_batch", "gradient_checkpointing", "compile", "channels_last", "xformers")


def main(s: Settings) -> None:
    if s.train != "all" and (s.init_from is None or s.memory == "none"):
        raise ValueError(f"train is {s.train!r} with init_from {s.init_from} and memory {s.memory!r}; it wants a model to start from, and memory")
    if s.memory_blocks is not None and (not s.memory_blocks or s.memory == "none"):
        raise ValueError(f"memory_blocks is {s.memory_blocks} with memory {s.memory!r}; it wants one block or more, and memory")
    precision = default_precision() if s.precision == "auto" else s.precision
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    if s.half_frozen and (half is None or s.train == "all"):
        raise ValueError(f"half_frozen is on with precision {precision!r} and train {s.train!r}; it wants fp16 or bf16, and memory")
    check_sharding(s.optimizer, s.train, precision)
    sd = stable_diffusion(s)
    preset = preset_at(s.preset, s.resolution if sd is None else None)
    native = preset["resolution"]
    if sd is not None:
        s.prediction, native = sd.scheduler.config.prediction_type, sd.unet.config.sample_size * downscale_factor(sd.vae)
        if s.resolution and s.resolution % downscale_factor(sd.vae):
            raise ValueError(f"resolution is {s.resolution}; it must be divisible by {downscale_factor(sd.vae)}, the pixels of a latent cell")
    s.resolution = s.resolution or native
    if s.device_batch is not None and s.device_batch < 1:
        raise ValueError(f"device_batch is {s.device_batch}; it must be at least 1")
    accelerator = start_run(s, "story-ldm", MAY_CHANGE, may_shard=True)
    configure_sharding(accelerator, precision, s.batch // accelerator.num_processes, s.max_grad_norm)
    s.channels_last = s.channels_last and not sharding()  # which cut contiguous weights
    with accelerator.main_process_first():
        shape = {"fit": s.fit, "flip": s.flip, "window": s.length}
        data = load_stories(s.dataset, "train", s.resolution, s.text_form, limit=s.limit, num_proc=s.num_proc, **shape)
        one_length(data)
    model, vae, tokenizer = build(s, preset, sd)
    if s.train != "all":
        freeze(s, model, half if s.half_frozen else None)
    latents = cached_latents(s.cache, accelerator, data, (s.dataset, s.resolution), vae)
    ids, mask = tokenize_stories(tokenizer, data["sentences"][:])
    ids, mask, states = ids.int(), mask.bool(), None
    if s.freeze_text_encoder or s.train != "all":
        states = cached_states(s.cache, accelerator, ids, model.text_encoder)
    model.fact_head, facts = load_facts(s, data) if sd is None else (None, None)
    scheduler = noise_scheduler(s.prediction) if sd is None else DDPMScheduler.from_config(sd.scheduler.config)

    text_parameters = [p for n, p in model.named_parameters() if not n.startswith("unet.") and p.requires_grad]
    groups = muon_groups(model.unet) if s.optimizer == "muon" else [{"params": [p for p in model.unet.parameters() if p.requires_grad]}]
    groups.append({"params": text_parameters, "lr": s.text_learning_rate})
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    total = s.stories // s.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    blank = copy.deepcopy(model) if accelerator.is_fsdp2 and accelerator.is_main_process else None  # takes the whole weights when it is drawn
    model, optimizer = accelerator.prepare(model, optimizer)
    ema = MovingAverage(averaged(s, model), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=not accelerator.is_fsdp2)
    accelerator.register_for_checkpointing(schedule, ema)
    base = None
    if s.train != "all":
        checkpoint_trained_weights(accelerator, model)
        base = digest(s.train, (p for p in model.parameters() if not p.requires_grad))
    progress = load_checkpoint(accelerator, s.output)
    if progress.get("base", base) != base:
        raise SystemExit(f"the frozen weights of {s.init_from} are not those that {s.output} was started with; give these or another --output")
    ema.to(accelerator.device)
    step, curve = progress["step"], progress.get("curve", [])
    parameters = parameter_counts(**dict(accelerator.unwrap_model(model).named_children()))
    if s.train != "all":
        parameters["of them trained"] = sum(p.numel() for p in averaged(s, model))
    accelerator.print(sizes(parameters))

    share = s.batch // accelerator.num_processes
    with accelerator.autocast(), torch.no_grad():
        one = draw_batch(s, accelerator, scheduler, 0, latents[:share], ids[:share], mask[:share]).part(torch.arange(1))
        flops = forward_flops(accelerator.unwrap_model(model), one)
    accelerator.print(f"forward {flops / 1e9:.1f} GFLOPs a story of {latents.shape[1]} frames, each with {s.noise_draws} noise draws")
    if s.compile:
        accelerator.unwrap_model(model).unet.compile()

    batches = iter(StepBatches(len(data), s.batch, s.seed, step, accelerator.process_index, accelerator.num_processes))
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=latents.shape[1], flops=flops * (3 if s.train == "all" else 2))
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        rows = next(batches)
        stories = draw_batch(s, accelerator, scheduler, step, latents[rows], ids[rows], mask[rows], states and states(rows))
        passes = torch.arange(len(rows)).split(s.device_batch or len(rows))
        sums = {"loss": 0.0, "error": 0.0, "text": 0.0}
        for part in passes:
            with nullcontext() if part is passes[-1] else unsynced(accelerator, model):
                batch = stories.part(part)
                with accelerator.autocast():
                    prediction, logits = model(batch)
                loss, error = diffusion_loss(scheduler, prediction, batch, s.min_snr_gamma)
                text = loss.new_zeros(()) if logits is None else text_loss(logits, facts[rows][part].to(logits.device), batch.use_language)
                accelerator.backward((loss + s.text_loss * text) * (len(part) / len(rows)))
                for name, value in {"loss": loss, "error": error, "text": text}.items():
                    sums[name] += value.detach() * (len(part) / len(rows))
        accelerator.clip_grad_norm_(model.parameters(), s.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        ema.step(averaged(s, model))
        step += 1
        seen = step * s.batch
        values = watch.tick(step, seen, s.batch, schedule.get_last_lr()[0], **sums)
        if values:
            curve.append([seen, round(values["loss"], 5)])
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, model, blank, ema, vae, tokenizer, scheduler, step)
    save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
    watch.leave_if_asked()
    product = s.output / ("pipeline" if s.train == "all" else "adapter")
    weights = whole(ema.shadow_params)
    if accelerator.is_main_process:
        pipe = finished_pipeline(s, blank or accelerator.unwrap_model(model), weights, vae, tokenizer, scheduler)
        seen = step * s.batch
        if s.train == "all":
            pipe.to(dtype=getattr(torch, s.store)).save_pretrained(product, safe_serialization=True)
            write_model_card(product, s, parameters, curve, seen, sorted(s.output.glob("samples/*.png")))
        else:
            save_adapter(s, pipe, product)
            set_section(product, "Training", training_section(s, parameters, curve, seen))
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, product)


def draw_batch(s: Settings, accelerator, scheduler, step: int, latents, ids, mask, states=None) -> StoryBatch:
    """This process's part of the batch with all its noise; every draw is a function of (seed, step) and made for the whole batch."""
    generator = step_generator(s.seed, step)
    stories, frames, *shape = latents.shape
    stories *= accelerator.num_processes
    steps = scheduler.config.num_train_timesteps

    def coin(p: float) -> torch.Tensor:
        return local_rows(accelerator, torch.rand(stories, generator=generator) >= p)

    device = accelerator.device
    clean = latents.to(device).float()
    noises, levels = [], []
    for _ in range(s.noise_draws):
        noises.append(local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator)))
        levels.append(local_rows(accelerator, stratified_timesteps(stories * frames, steps, generator).view(stories, frames)))
    noise, levels = torch.cat(noises), torch.cat(levels)
    memory_noise = local_rows(accelerator, torch.randn(stories, frames, *shape, generator=generator))
    memory_levels = local_rows(accelerator, torch.randint(0, s.memory_noise + 1, (stories, frames), generator=generator))
    memory_levels = memory_levels * ~coin(0.5)[:, None]  # half of the stories are remembered as they are
    remembered = torch.where((memory_levels > 0)[..., None, None, None], add_noise(scheduler, clean, memory_noise, memory_levels), clean)
    return StoryBatch(
        latents=clean,
        ids=ids.to(device).long(),
        mask=mask.to(device).long(),
        noisy=add_noise(scheduler, clean.repeat(s.noise_draws, 1, 1, 1, 1), noise, levels),
        noise=noise,
        levels=levels,
        memory_latents=remembered,
        memory_levels=memory_levels,
        use_text=coin(s.text_dropout),
        use_memory=coin(s.memory_dropout),
        use_language=coin(s.language_dropout),
        states=None if states is None else states.to(device).float(),
    )


def sample(s: Settings, accelerator, model, blank, ema, vae, tokenizer, scheduler, step: int) -> None:
    """Validation stories drawn by the averaged weights: a sheet to look at, and what an evaluator reads in them."""
    weights = whole(ema.shadow_params)
    if accelerator.is_main_process:
        stories = load_stories(s.dataset, held_out_split(s.dataset), text=s.text_form, limit=s.sample_stories, pictures=False)
        if blank is None:
            ema.store(averaged(s, model))
        parts = (blank or accelerator.unwrap_model(model)).to(accelerator.device).eval()
        pipe = finished_pipeline(s, parts, weights, vae.to(accelerator.device), tokenizer, scheduler)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        with accelerator.autocast() if s.half_frozen else nullcontext():
            drawn = pipe(stories["sentences"][:], generator=generators).frames
        rates = quick_rates(s.evaluator or SHIPPED_EVALUATOR, stories, drawn, accelerator.device)
        print(" | ".join([f"step {step}", *(f"{name} {100 * value:.1f} %" for name, value in rates.items())]), file=sys.stderr)
        accelerator.log({f"validation/{name}": value for name, value in rates.items()}, step=step)
        sheet = story_sheet(drawn[:6], stories["sentences"][:6])
        (s.output / "samples").mkdir(exist_ok=True)
        sheet.save(s.output / "samples" / f"step-{step:08d}.png")
        if blank is None:
            ema.restore(averaged(s, model))
            model.train()
    accelerator.wait_for_everyone()


def finished_pipeline(s, parts: StoryDenoiser, weights: list[torch.Tensor], vae, tokenizer, scheduler) -> StoryLDMPipeline:
    """The pipeline of the averaged weights (which stay in `parts`: call when training is over, or restore)."""
    for parameter, weight in zip(averaged(s, parts), weights, strict=True):
        parameter.data.copy_(weight)
    return StoryLDMPipeline(
        vae=vae,
        text_encoder=parts.text_encoder,
        tokenizer=tokenizer,
        unet=parts.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(scheduler.config, algorithm_type="dpmsolver++"),
        language_memory=parts.language_memory,
    )


def save_adapter(s, pipe: StoryLDMPipeline, folder: Path) -> None:
    """The memory adapter and, where one was trained, the LoRA."""
    dtype = getattr(torch, s.store)
    pipe.save_memory_adapter(folder, dtype, resolution=s.resolution, trained_on=s.dataset)
    if s.train == "memory+lora":
        from peft import get_peft_model_state_dict

        pipe.save_lora_weights(folder, unet_lora_layers={n: w.to(dtype) for n, w in get_peft_model_state_dict(pipe.unet).items()})
        set_section(folder, "LoRA", "It was trained together with the LoRA beside it: `pipe.load_lora_weights(folder)` after the adapter.")


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
