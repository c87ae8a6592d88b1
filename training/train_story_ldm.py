"""Trains Story-LDM: the UNet with memory attention, jointly with its text encoder and language memory.

    accelerate launch training/train_autoencoder.py
    accelerate launch training/train_language_memory.py
    accelerate launch training/train_story_ldm.py                              # toon-64 on the built-in world
    accelerate launch training/train_story_ldm.py --reader runs/reader/reader --init-from checkpoints/toon-story-ldm --split train_wide \\
        --text-form free referential --lengths 3 4 5 6 7 8 --output runs/storybook                              # free English, by a reader
    accelerate launch training/train_story_ldm.py --memory none --no-language-memory --output runs/plain    # a plain LDM
    accelerate launch training/train_story_ldm.py --memory sentence --no-language-memory --output runs/paper  # the paper's form
    accelerate launch training/train_story_ldm.py --init-from STABLE_DIFFUSION --preset sd15 --train memory --half-frozen --learning-rate 1e-4 \\
        --gradient-checkpointing --batch 8 --device-batch 1 --output runs/adapter                               # memory for a Stable Diffusion

All M frames of a story run in one forward pass under teacher forcing: the clean latents of all frames but the last, which no other frame reads, are
written into memory once, and every noisy frame reads the frames before it. The same command resumes a run. The result is `<output>/pipeline`,
which `StoryLDMPipeline.from_pretrained` opens. With frozen weights (`--train memory`, `--train memory+lora`) it is `<output>/adapter`: a memory
adapter for `StoryLDMPipeline.from_stable_diffusion` or `pipe.load_memory_adapter`, and a LoRA for `pipe.load_lora_weights`.

This file has over 350 lines because all forms of the system are trained by it: a seventh is settings with their help, a sixth opens what they name.
"""

from __future__ import annotations

import copy
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor, nn
from transformers import CLIPTokenizer

from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.stories import WORLDS, fit_stories, story_lengths
from story_ldm.encoders.autoencoder import open_autoencoder
from story_ldm.encoders.facts import text_loss
from story_ldm.encoders.latents import downscale_factor, enlargement
from story_ldm.encoders.limits import encoder_limit
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.encoders.xl_text import XLTextEncoder, XLTokenizers
from story_ldm.pipelines.story_ldm import StoryLDMPipeline
from story_ldm.reports.cards import set_section, write_model_card, write_training_section
from story_ldm.systems.story_ldm.building import (
    Train,
    averaged_weights,
    build_language_memory,
    build_reader,
    build_text,
    build_unet,
    empty_sentence,
    freeze,
    load_facts,
    open_start,
    read_sentences,
    text_of,
)
from story_ldm.systems.story_ldm.diffusion import StoryDenoiser, diffusion_loss, noise_scheduler
from story_ldm.systems.story_ldm.presets import PRESETS, preset_at
from story_ldm.systems.story_ldm.stable_diffusion import StableDiffusion
from story_ldm.training.caches import bucket_latents, cached_latents, cached_states
from story_ldm.training.checkpoints import checkpoint_trained_weights, digest, load_checkpoint, save_checkpoint
from story_ldm.training.diffusion_settings import MAY_CHANGE, NewModelSettings, check_stories, load_forms, prepare_unet
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import any_process, run_script
from story_ldm.training.run import default_precision, finish_run, one_of, run_record, start_run
from story_ldm.training.samples import report_samples, sample_file, sample_stories
from story_ldm.training.sharding import MovingAverage, check_sharding, configure_sharding, full_tensors, unsynced
from story_ldm.training.steps import BucketBatches, StepBatches, local_part, padded_frames, step_generator, warmup_stable_decay, whole_steps
from story_ldm.training.story_batches import draw_batch
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes


@dataclass
class Settings(NewModelSettings):
    output: Path = Path("runs/story-ldm")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline` or `adapter`."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the model (story_ldm/systems/story_ldm/presets.py)."""
    buckets: tuple[str, ...] = ()
    """Sizes HEIGHTxWIDTH in pixels of stories whose pictures are not all square: --buckets 64x64 48x80 80x48. Each story gets the one that is
    nearest in shape to its first picture, and a step takes stories of one size. Without any, all frames are squares of --resolution, which stays
    the size that is drawn by default."""
    text: Path = Path("runs/language")
    """Folder with tokenizer, text encoder, language memory and fact head, as train_language_memory.py writes it."""
    reader: Path | None = None
    """Folder of a reader, as train_reader.py writes it, to read the sentences in the place of text encoder and language memory."""
    freeze_text_encoder: bool = False
    """Do not train the text encoder, or the reader."""
    init_from: Path | None = None
    """A finished pipeline to start from; memory layers it lacks are new, a language memory it lacks is read from --text. Or a Stable
    Diffusion (1.x, 2.x, XL), a diffusers folder or one .safetensors file; the preset then sets only the memory's heads and blocks and the language
    memory's layers, and a language memory is read from --text if it was trained for the same text encoder."""
    train: Train = "all"
    """Weights to train. memory: only memory layers and language memory; memory+lora: also a LoRA of the UNet's attention."""
    lora_rank: int = 16
    """Rank of the LoRA of --train memory+lora."""
    half_frozen: bool = False
    """Keep frozen weights in the half precision of autocast (fp16 or bf16)."""
    memory: Literal["spatial", "sentence", "none"] = "spatial"
    """Form of the visual memory: spatial, sentence (the paper's) or none (a plain latent diffusion model)."""
    memory_blocks: tuple[str, ...] | None = None
    """UNet blocks with a memory layer, of down.0, down.1, …, mid, up.0, …; defaults to those of the preset."""
    language_memory: bool = True
    """Read each sentence together with those before it."""
    noise_draws: int = 2
    """Noise draws per story that share one write pass."""
    text_learning_rate: float = 2e-4
    """Peak learning rate of the text encoder and the language memory."""
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    """Prediction target; a Stable Diffusion keeps its own."""
    min_snr_gamma: float = 5.0
    """γ of the Min-SNR loss weights."""
    text_dropout: float = 0.1
    """Share of stories trained without text and memory, for guidance."""
    memory_dropout: float = 0.1
    """Share of stories trained with text and without visual memory."""
    language_dropout: float = 0.25
    """Share of stories whose sentences are encoded without language memory; visual memory has to resolve their references."""
    memory_noise: int = 150
    """Highest noise level added to the remembered latents of half of the stories, which makes sampling robust to its own errors."""
    text_loss: float = 0.1
    """Weight of the loss of reading facts off pooled sentences; 0 switches it off."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the text encoder reads: error, cut them, or skip their stories."""
    cache: Path = Path("runs/cache")
    """Folder of cached latents and of the sentence states of a frozen text encoder."""


def main(s: Settings) -> None:
    check(s)
    total = whole_steps(s.stories, s.batch)
    precision = default_precision() if s.precision == "auto" else s.precision
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    if s.half_frozen and (half is None or s.train == "all"):
        raise ValueError(f"--half-frozen with --precision {precision} and --train {s.train}; it requires fp16 or bf16, and --train memory")
    check_sharding(s.optimizer, s.train, precision)
    sd = open_start(s.init_from)
    preset = preset_at(s.preset, s.resolution if sd is None else None)
    vae = sd.vae if sd is not None else open_autoencoder(s.vae if s.init_from is None else s.init_from / "vae")
    prediction, native = s.prediction, preset["resolution"] * enlargement(vae)
    if sd is not None:
        prediction, native = sd.scheduler.config.prediction_type, sd.unet.config.sample_size * downscale_factor(sd.vae)
        if s.resolution and s.resolution % downscale_factor(sd.vae):
            raise ValueError(f"--resolution is {s.resolution}; it must be divisible by {downscale_factor(sd.vae)}, the pixels per latent cell")
    resolution = s.resolution or native
    resolved = {"prediction": prediction, "resolution": resolution}
    record = run_record(s, **resolved)
    accelerator = start_run(s, "story-ldm", MAY_CHANGE, may_shard=True, **resolved)
    configure_sharding(accelerator, precision, s.batch // accelerator.num_processes, s.max_grad_norm)
    with accelerator.main_process_first():
        data, *others = load_forms(s, bucket_sizes(s.buckets) or resolution)
    model, tokenizer = build(s, preset, sd, vae, resolution)
    multiple = downscale_factor(vae) * 2**model.unet.num_upsamplers
    for size in bucket_sizes(s.buckets):
        if any(side % multiple for side in size):
            raise ValueError(f"--buckets has {size[0]}x{size[1]}; both sides must be divisible by {multiple}, as of frames that are drawn")
    with accelerator.main_process_first():
        data, *others = fit_stories([data, *others], encoder_limit(model.text_encoder, tokenizer), s.long_sentences)
        if s.sample_every:
            # raises an error now, rather than at the first sample, if a sentence is too long
            sample_stories(s.dataset, s.text_form[0], s.sample_stories, tokenizer, s.long_sentences)
    if s.train != "all" and max(story_lengths(data)) < 2:
        raise ValueError(f"--train is {s.train}, but every story of {s.dataset} has 1 frame, which reads no memory; it needs stories of at least 2")
    lengths = torch.tensor(story_lengths(data))
    if s.train != "all":
        freeze(model, s.lora_rank if s.train == "memory+lora" else None, half if s.half_frozen else None)
    encoding = (s.cache, accelerator, data, (s.dataset, resolution, *s.buckets), vae, isinstance(model.text_encoder, XLTextEncoder))
    latents, buckets = bucket_latents(*encoding) if s.buckets else (cached_latents(*encoding), None)
    sentences, states = read_sentences([data, *others], s.text_form, tokenizer, model.reader, facts=s.text_loss > 0), None
    if model.reader is not None and (sentences.facts is None or not s.text_loss):
        model.reader.freeze_heads()  # nothing trains them, and DDP expects a gradient of whatever requires one
    if model.reader is None and (s.freeze_text_encoder or s.train != "all"):
        states = cached_states(s.cache, accelerator, sentences.ids[0], model.text_encoder)
    facts = None
    if sd is None and s.text_loss and s.language_memory and model.reader is None:
        model.fact_head, facts = load_facts(s.text, data)
    scheduler = noise_scheduler(prediction) if sd is None else DDPMScheduler.from_config(sd.scheduler.config)

    text_parameters = [p for n, p in model.named_parameters() if not n.startswith("unet.") and p.requires_grad]
    groups: list[dict[str, Any]] = (
        muon_groups(model.unet) if s.optimizer == "muon" else [{"params": [p for p in model.unet.parameters() if p.requires_grad]}]
    )
    groups.append({"params": text_parameters, "lr": s.text_learning_rate})
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    unsharded = copy.deepcopy(model) if accelerator.is_fsdp2 and accelerator.is_main_process else None  # receives the full weights to draw samples
    model, optimizer = accelerator.prepare(model, optimizer)
    ema = MovingAverage(averaged_weights(model, s.train), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=not accelerator.is_fsdp2)
    accelerator.register_for_checkpointing(schedule, ema)
    base = None
    if s.train != "all":
        checkpoint_trained_weights(accelerator, model)
        base = digest(s.train, (p for p in model.parameters() if not p.requires_grad))
    progress = load_checkpoint(accelerator, s.output)
    if progress.get("base", base) != base:
        frozen = f"--init-from is {s.init_from}; its frozen weights are not those that {s.output} was started with"
        raise SystemExit(f"{frozen}; restore them or choose another --output")
    ema.to(accelerator.device)
    step, curve = progress["step"], progress.get("curve", [])
    parameters = parameter_counts(**dict(accelerator.unwrap_model(model).named_children()))
    if s.train != "all":
        parameters["trained"] = sum(p.numel() for p in averaged_weights(model, s.train))
    accelerator.print(sizes(parameters))

    draws = {name: getattr(s, name) for name in ("noise_draws", "memory_noise", "text_dropout", "memory_dropout", "language_dropout")}
    typical = int((lengths - lengths.float().mean()).abs().argmin())  # a story of about the mean length
    index, weight = padded_frames(lengths, [typical])
    with accelerator.autocast(), torch.no_grad():
        one = draw_batch(accelerator, scheduler, s.seed, 0, latents[index], *sentences.of(torch.zeros(1).long(), index), weight, **draws)
        flops = forward_flops(accelerator.unwrap_model(model), one)
    accelerator.print(f"forward {flops / 1e9:.1f} GFLOPs per story of {lengths[typical]} frames with {s.noise_draws} noise draws each")
    if s.compile:
        accelerator.unwrap_model(model).unet.compile()

    if s.sample_every and step and step % s.sample_every == 0 and any_process(accelerator, not sample_file(s.output, step).exists()):
        sample(s, accelerator, model, unsharded, ema, vae, tokenizer, scheduler, step)  # the run was killed after its checkpoint

    batches = iter(StepBatches(len(data), s.batch, s.seed, step))  # full batches: all processes pad to the same length
    if buckets is not None:
        batches = iter(BucketBatches(buckets, s.batch, s.seed, step))
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=len(latents) / len(data), flops=flops * (3 if s.train == "all" else 2))
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        form = torch.randint(len(s.text_form), (s.batch,), generator=step_generator(s.seed, step, 1))
        index, weight, form = (x[local_part(accelerator, s.batch)] for x in (*padded_frames(lengths, next(batches)), form))
        read = sentences.of(form, index)
        stories = draw_batch(accelerator, scheduler, s.seed, step, latents[index], *read, weight, states and states(index), **draws)
        passes = torch.arange(len(index)).split(s.device_batch or len(index))
        sums = {name: torch.zeros((), device=accelerator.device) for name in ("loss", "error", "text")}
        for part in passes:
            with nullcontext() if part is passes[-1] else unsynced(accelerator, model):
                batch = stories.part(part)
                with accelerator.autocast():
                    prediction, logits = model(batch)
                loss, error = diffusion_loss(scheduler, prediction, batch, s.min_snr_gamma)
                text = loss.new_zeros(())
                if facts is not None:
                    text = text_loss(logits, facts[index[part]].to(logits.device), batch.weight, batch.use_language)
                elif s.text_loss and (told := sentences.facts_of(form[part], index[part], text.device)):
                    text, _ = reading_loss(logits, told, batch.weight)
                accelerator.backward((loss + s.text_loss * text) * (len(part) / len(index)))
                for name, value in {"loss": loss, "error": error, "text": text}.items():
                    sums[name] += value.detach() * (len(part) / len(index))
        accelerator.clip_grad_norm_(model.parameters(), s.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        ema.step(averaged_weights(model, s.train))
        step += 1
        seen = step * s.batch
        values = watch.tick(step, seen, s.batch, schedule.get_last_lr()[0], **sums)
        if values:
            curve.append([seen, round(values["loss"], 5)])
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, model, unsharded, ema, vae, tokenizer, scheduler, step)
    save_checkpoint(accelerator, s.output, step, s.keep, curve=curve, base=base)
    watch.leave_if_asked()
    product = s.output / ("pipeline" if s.train == "all" else "adapter")
    weights = full_tensors(ema.shadow_params)
    if accelerator.is_main_process:
        pipe = finished_pipeline(unsharded or accelerator.unwrap_model(model), s.train, weights, vae, tokenizer, scheduler)
        seen = step * s.batch
        if s.train == "all":
            pipe.to(dtype=getattr(torch, s.store)).save_pretrained(product, safe_serialization=True)
            write_model_card(product, record, parameters, curve, seen, sorted(s.output.glob("samples/*.png")))
        else:
            sizes_of = {"resolution": resolution, **({"buckets": s.buckets} if s.buckets else {})}
            save_adapter(pipe, product, getattr(torch, s.store), s.train == "memory+lora", **sizes_of, trained_on=s.dataset)
            write_training_section(product, record, parameters, curve, seen=seen)
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, product)


def check(s: Settings) -> None:
    """Raises ValueError for settings that exclude each other or are out of range."""
    if s.train != "all" and (s.init_from is None or s.memory == "none"):
        raise ValueError(f"--train {s.train} requires --init-from and a memory form; --init-from is {s.init_from}, --memory {s.memory}")
    if "text_2" in PRESETS[s.preset]() and s.init_from is None:
        raise ValueError(f"--preset is {s.preset}, which has two text encoders; new ones are not trained: give a Stable Diffusion XL, --init-from")
    if s.memory_blocks is not None and (not s.memory_blocks or s.memory == "none"):
        raise ValueError(f"--memory-blocks is {s.memory_blocks} with --memory {s.memory}; it requires at least one block and a memory form")
    check_stories(s)
    if s.reader is not None and s.train != "all":
        raise ValueError(f"--reader is {s.reader} with --train {s.train}; a reader's slots are read by a UNet that is trained with it: --train all")
    if len(s.text_form) > 1 and s.reader is None and (s.freeze_text_encoder or s.train != "all"):
        raise ValueError(f"--text-form is {s.text_form}; it must be one form, or several with a text encoder that is trained, or a reader")
    if bucket_sizes(s.buckets) and s.dataset in WORLDS:
        raise ValueError(f"--buckets is {' '.join(s.buckets)} with --dataset {s.dataset}; the built-in world is square: set --resolution")
    if s.device_batch is not None and s.device_batch < 1:
        raise ValueError(f"--device-batch is {s.device_batch}; it must be at least 1")


def bucket_sizes(buckets: tuple[str, ...]) -> list[tuple[int, int]]:
    """(height, width) of each bucket. Raises ValueError for what is none."""
    for bucket in buckets:
        if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", bucket):
            raise ValueError(f"--buckets has {bucket!r}; it must be HEIGHTxWIDTH in pixels, such as 48x80")
    return [(int(height), int(width)) for height, width in (bucket.split("x") for bucket in buckets)]


def build(
    s: Settings, preset: dict, sd: StableDiffusion | None, vae: AutoencoderKL, resolution: int
) -> tuple[StoryDenoiser, CLIPTokenizer | XLTokenizers | None]:
    """The model to train and the tokenizer (None for a reader), from --text and --reader, or from the pipeline or Stable Diffusion of --init-from.
    Freezes the autoencoder, and takes the Stable Diffusion's UNet out of it."""
    if sd is not None:
        (tokenizer, text_encoder), reader = text_of(sd), None
        if s.reader is not None:
            raise ValueError(
                f"--reader is {s.reader}, but --init-from is a Stable Diffusion, which is read by its own text encoder: leave --reader out"
            )
    else:
        reader = build_reader(s.reader, s.init_from)
        if reader is not None and s.train != "all":
            raise ValueError(f"--init-from is {s.init_from}, which has a reader; it is trained by --train all, not {s.train}")
        tokenizer, text_encoder = (None, None) if reader is not None else build_text(s.init_from or s.text)
    vae.requires_grad_(False).eval()
    for part in (text_encoder, reader):
        if part is not None:
            part.requires_grad_(not s.freeze_text_encoder)
    if isinstance(text_encoder, XLTextEncoder):
        text_encoder.freeze_unread()
    language = None
    if s.language_memory and text_encoder is not None:
        folders = (s.text,) if sd is not None or s.init_from is None else (s.init_from, s.text)
        language = build_language_memory(text_encoder, preset["language_memory"], folders, same_encoder=sd is not None)
    cells = resolution // downscale_factor(vae) if sd is not None or s.resolution is not None else None
    unet = build_unet(preset["unet"], s.memory, s.memory_blocks, s.init_from, sd, cells)
    if sd is not None:
        sd.unet = None  # the model has a copy
    prepare_unet(unet, s)
    if reader is not None:
        if reader.config.width != unet.config.cross_attention_dim:
            raise ValueError(f"the reader's width is {reader.config.width}; this UNet's cross-attention reads {unet.config.cross_attention_dim}")
    ids, mask = empty_sentence(tokenizer, reader)
    return StoryDenoiser(unet, text_encoder, language, None, ids, mask, reader, downscale_factor(vae)), tokenizer


def sample(
    s: Settings,
    accelerator: Accelerator,
    model: nn.Module,
    unsharded: StoryDenoiser | None,
    ema: MovingAverage,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer | XLTokenizers | None,
    scheduler: DDPMScheduler,
    step: int,
) -> None:
    """Draws validation stories with the averaged weights, saves them as samples/step-N.png, and logs the rates of a frame evaluator on them.

    unsharded: under FSDP2, a copy of the model in the main process, to which the weights are copied; else the weights of `model` are swapped."""
    weights = full_tensors(ema.shadow_params)
    if accelerator.is_main_process:
        stories = sample_stories(s.dataset, s.text_form[0], s.sample_stories, tokenizer, s.long_sentences)
        if unsharded is None:
            ema.store(averaged_weights(model, s.train))
        parts = (unsharded or accelerator.unwrap_model(model)).to(accelerator.device).eval()
        pipe = finished_pipeline(parts, s.train, weights, vae.to(accelerator.device), tokenizer, scheduler)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        with accelerator.autocast() if s.half_frozen else nullcontext():
            drawn = pipe(stories["sentences"][:], generator=generators).frames
        report_samples(accelerator, s.output, step, stories, drawn, s.evaluator)
        if unsharded is None:
            ema.restore(averaged_weights(model, s.train))
            model.train()
    accelerator.wait_for_everyone()


def finished_pipeline(
    parts: StoryDenoiser,
    train: Train,
    weights: list[Tensor],
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer | XLTokenizers | None,
    scheduler: DDPMScheduler,
) -> StoryLDMPipeline:
    """A pipeline with the averaged weights. It shares the modules of `parts`, whose own weights are overwritten."""
    for parameter, weight in zip(averaged_weights(parts, train), weights, strict=True):
        parameter.data.copy_(weight)
    encoder, second = parts.text_encoder, dict[str, Any]()
    if isinstance(encoder, XLTextEncoder) and isinstance(tokenizer, XLTokenizers):
        second = {"text_encoder_2": encoder.second, "tokenizer_2": tokenizer.second, "force_zeros_for_empty_prompt": encoder.zero_empty}
        encoder, tokenizer = encoder.first, tokenizer.first
    return StoryLDMPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=parts.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(scheduler.config, algorithm_type="dpmsolver++"),
        language_memory=parts.language_memory,
        reader=parts.reader,
        **second,
    )


def save_adapter(pipe: StoryLDMPipeline, folder: Path, dtype: torch.dtype, with_lora: bool, **facts: Any) -> None:
    """Saves the memory adapter, with `facts` in its metadata, and the LoRA if one was trained."""
    pipe.save_memory_adapter(folder, dtype, **facts)
    if with_lora:
        from peft import get_peft_model_state_dict

        pipe.save_lora_weights(folder, unet_lora_layers={n: w.to(dtype) for n, w in get_peft_model_state_dict(pipe.unet).items()})
        set_section(folder, "LoRA", "Trained together with the LoRA in this folder: load it after the adapter, by `pipe.load_lora_weights(folder)`.")


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
