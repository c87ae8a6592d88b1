"""Trains AR-LDM: a plain latent diffusion UNet whose cross-attention reads the sentence and, by a history encoder, each earlier frame.

    accelerate launch training/train_autoencoder.py
    accelerate launch training/train_language_memory.py                       # tokenizer and text encoder
    accelerate launch training/train_history_encoder.py                       # the warm start of the history encoder
    accelerate launch training/train_ar_ldm.py --history runs/history         # toon-64 on the built-in world
    accelerate launch training/train_ar_ldm.py --init-from checkpoints/toon-story-ldm --history runs/history      # from a trained UNet
    accelerate launch training/train_ar_ldm.py --init-from STABLE_DIFFUSION --history BLIP --preset ar-ldm-sd15 --min-snr-gamma inf \\
        --learning-rate 1e-5 --text-learning-rate 1e-5 --weight-decay 1e-4 --noise-draws 1 --gradient-checkpointing   # as published

All M frames of a story run in one forward pass: the history encoder reads each true frame but the last with its sentence, and every noisy frame reads
the states of those before it. One training serves both tasks, visualization and continuation. The same command resumes a run. The result is
`<output>/pipeline`, which `ARLDMPipeline.from_pretrained` opens.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from accelerate import Accelerator
from datasets import Dataset
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor, nn

from story_ldm.data.frames import frames_tensor
from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.stories import fit_stories, story_lengths
from story_ldm.encoders.latents import downscale_factor, enlargement
from story_ldm.encoders.limits import token_limit
from story_ldm.pipelines.ar_ldm import ARLDMPipeline
from story_ldm.reports.cards import write_model_card
from story_ldm.systems.ar_ldm.building import OWN, Parts, build_embedding, is_ar_ldm, open_parts
from story_ldm.systems.ar_ldm.denoiser import ARDenoiser
from story_ldm.systems.ar_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.building import open_start, read_sentences
from story_ldm.systems.story_ldm.diffusion import diffusion_loss
from story_ldm.systems.story_ldm.presets import preset_at
from story_ldm.training.caches import cached_latents
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint
from story_ldm.training.diffusion_settings import MAY_CHANGE, NewModelSettings, check_stories, load_forms, prepare_unet
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import any_process, run_script
from story_ldm.training.run import default_precision, finish_run, one_of, run_record, start_run
from story_ldm.training.samples import report_samples, sample_file, sample_stories
from story_ldm.training.sharding import MovingAverage, check_sharding, configure_sharding, full_tensors, unsynced
from story_ldm.training.steps import StepBatches, local_part, padded_frames, step_generator, warmup_stable_decay, whole_steps
from story_ldm.training.story_batches import draw_history_batch
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes


@dataclass
class Settings(NewModelSettings):
    output: Path = Path("runs/ar-ldm")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the model (story_ldm/systems/ar_ldm/presets.py)."""
    longest: int | None = None
    """Frames of the longest story that is read whole, the rows of the time embedding; frames after it read so many before them, less one. By default
    that of the preset, or of the dataset if it has none so long; of an AR-LDM in --init-from its own."""
    text: Path = Path("runs/language")
    """Folder with tokenizer and text encoder, as train_language_memory.py writes it."""
    history: Path | None = None
    """Folder of a history encoder: a BLIP as it is published, or as train_history_encoder.py writes it. By default a new one, that of --preset."""
    init_from: Path | None = None
    """What to start from: a Stable Diffusion (1.x, 2.x), a diffusers folder or one .safetensors file; a StoryLDMPipeline, whose memory is left out;
    or an ARLDMPipeline."""
    freeze_text: bool = False
    """Do not train the text encoder."""
    freeze_history: bool = False
    """Do not train the history encoder; type and time embeddings are trained all the same."""
    noise_draws: int = 2
    """Noise draws per story that share one reading of its frames."""
    text_learning_rate: float = 2e-4
    """Peak learning rate of the text encoder, the history encoder and the embeddings."""
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    """Prediction target; a Stable Diffusion and an AR-LDM keep their own."""
    min_snr_gamma: float = 5.0
    """γ of the Min-SNR loss weights; inf gives the published loss, without weights."""
    text_dropout: float = 0.1
    """Share of frames, each by itself, trained without text and history, for guidance."""
    history_dropout: float = 0.0
    """Share of frames trained with text and without history, for guidance of both apart; the published model has none."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the encoders read: error, cut them, or skip their stories."""
    cache: Path = Path("runs/cache")
    """Folder of cached latents."""


def main(s: Settings) -> None:
    check(s)
    total = whole_steps(s.stories, s.batch)
    precision = default_precision() if s.precision == "auto" else s.precision
    check_sharding(s.optimizer, "all", precision)
    sd = open_start(s.init_from, OWN)
    preset = preset_at(s.preset, s.resolution if s.init_from is None else None, PRESETS)
    torch.manual_seed(s.seed)  # of new weights; start_run, which sets it too, is told what the parts say
    parts = open_parts(preset, s.init_from, sd, s.vae, s.text, s.history, s.prediction)
    cell = downscale_factor(parts.vae)
    native = (parts.unet.config.sample_size * cell) if s.init_from is not None else preset["resolution"] * enlargement(parts.vae)
    if s.resolution and s.resolution % cell:
        raise ValueError(f"--resolution is {s.resolution}; it must be divisible by {cell}, the pixels per latent cell")
    resolution = s.resolution or native
    resolved = {"prediction": parts.scheduler.config.prediction_type, "resolution": resolution}
    record = run_record(s, **resolved)
    accelerator = start_run(s, "ar-ldm", MAY_CHANGE, may_shard=True, **resolved)
    configure_sharding(accelerator, precision, s.batch // accelerator.num_processes, s.max_grad_norm)
    tokenizers = parts.tokenizer, parts.history_tokenizer
    with accelerator.main_process_first():
        data, *others = fit_stories(load_forms(s, resolution), token_limit(tokenizers), s.long_sentences)
        if s.sample_every:  # raises an error now, rather than at the first sample, if a sentence is too long
            sample_stories(s.dataset, s.text_form[0], s.sample_stories, tokenizers, s.long_sentences)
    lengths = torch.tensor(story_lengths(data))
    model = build(s, parts, longest_of(s, preset, parts, int(lengths.max())), resolution // cell)
    latents = cached_latents(s.cache, accelerator, data, (s.dataset, resolution), parts.vae)
    sentences, told = (read_sentences([data, *others], s.text_form, tokenizer, None) for tokenizer in tokenizers)

    trained = [p for n, p in model.named_parameters() if not n.startswith("unet.") and p.requires_grad]
    groups: list[dict[str, Any]] = muon_groups(model.unet) if s.optimizer == "muon" else [{"params": list(model.unet.parameters())}]
    groups.append({"params": trained, "lr": s.text_learning_rate})
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    unsharded = copy.deepcopy(model) if accelerator.is_fsdp2 and accelerator.is_main_process else None  # receives the full weights to draw samples
    model, optimizer = accelerator.prepare(model, optimizer)
    ema = MovingAverage(list(model.parameters()), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=not accelerator.is_fsdp2)
    accelerator.register_for_checkpointing(schedule, ema)
    progress = load_checkpoint(accelerator, s.output)
    ema.to(accelerator.device)
    step, curve = progress["step"], progress.get("curve", [])
    parameters = parameter_counts(**dict(accelerator.unwrap_model(model).named_children()))
    accelerator.print(sizes(parameters))

    draws = {name: getattr(s, name) for name in ("noise_draws", "text_dropout", "history_dropout")}

    def batch_of(step: int, rows: list[int], form: Tensor, local: slice) -> Any:
        """The stories `rows` of a full batch, in these forms; those of one process."""
        index, weight = padded_frames(lengths, rows)
        frames = earlier_frames(data, rows[local], index.shape[1] - 1)
        index, weight, form = index[local], weight[local], form[local]
        read = *sentences.of(form, index), weight, *told.of(form, index), frames
        return draw_history_batch(accelerator, parts.scheduler, s.seed, step, latents[index], *read, **draws)

    typical = int((lengths - lengths.float().mean()).abs().argmin())  # a story of about the mean length
    with accelerator.autocast(), torch.no_grad():
        flops = forward_flops(accelerator.unwrap_model(model), batch_of(0, [typical], torch.zeros(1).long(), slice(1)))
    accelerator.print(f"forward {flops / 1e9:.1f} GFLOPs per story of {lengths[typical]} frames with {s.noise_draws} noise draws each")
    if s.compile:
        accelerator.unwrap_model(model).unet.compile()

    if s.sample_every and step and step % s.sample_every == 0 and any_process(accelerator, not sample_file(s.output, step).exists()):
        sample(s, accelerator, model, unsharded, ema, parts, step)  # the run was killed after its checkpoint

    batches = iter(StepBatches(len(data), s.batch, s.seed, step))  # full batches: all processes pad to the same length
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=len(latents) / len(data), flops=flops * 3)
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        form = torch.randint(len(s.text_form), (s.batch,), generator=step_generator(s.seed, step, 1))
        stories = batch_of(step, next(batches), form, local_part(accelerator, s.batch))
        count = len(stories.latents)
        passes = torch.arange(count).split(s.device_batch or count)
        sums = {name: torch.zeros((), device=accelerator.device) for name in ("loss", "error")}
        for part in passes:
            with nullcontext() if part is passes[-1] else unsynced(accelerator, model):
                batch = stories.part(part)
                with accelerator.autocast():
                    prediction = model(batch)
                loss, error = diffusion_loss(parts.scheduler, prediction, batch, s.min_snr_gamma)
                accelerator.backward(loss * (len(part) / count))
                for name, value in {"loss": loss, "error": error}.items():
                    sums[name] += value.detach() * (len(part) / count)
        accelerator.clip_grad_norm_(model.parameters(), s.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        ema.step(list(model.parameters()))
        step += 1
        seen = step * s.batch
        values = watch.tick(step, seen, s.batch, schedule.get_last_lr()[0], **sums)
        if values:
            curve.append([seen, round(values["loss"], 5)])
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, curve=curve)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, model, unsharded, ema, parts, step)
    save_checkpoint(accelerator, s.output, step, s.keep, curve=curve)
    watch.leave_if_asked()
    product = s.output / "pipeline"
    weights = full_tensors(ema.shadow_params)
    if accelerator.is_main_process:
        pipe = finished_pipeline(unsharded or accelerator.unwrap_model(model), weights, parts)
        pipe.to(dtype=getattr(torch, s.store)).save_pretrained(product, safe_serialization=True)
        samples = sorted(s.output.glob("samples/*.png"))
        write_model_card(product, record, parameters, curve, step * s.batch, samples, system="AR-LDM", script="train_ar_ldm.py")
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, product)


def check(s: Settings) -> None:
    """Raises ValueError for settings that exclude each other or are out of range."""
    check_stories(s)
    for name, least in {"device_batch": 1, "noise_draws": 1, "longest": 2}.items():
        value = getattr(s, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} is {value}; it must be at least {least}")
    for name in ("text_dropout", "history_dropout"):
        if not 0 <= getattr(s, name) <= 1:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(s, name)}; it must be a share, from 0 to 1")


def longest_of(s: Settings, preset: dict[str, Any], parts: Parts, longest: int) -> int:
    """Rows of the time embedding. longest: frames of the dataset's longest story. Raises ValueError if some would not be trained, or none read."""
    if longest < 2:
        raise ValueError(f"--dataset is {s.dataset}, whose stories have 1 frame, which reads no history; it needs stories of at least 2")
    if s.longest is None:
        return parts.before.config.longest if parts.before is not None else min(preset["longest"], longest)
    if s.longest > longest:
        raise ValueError(
            f"--longest is {s.longest}; it must be at most {longest}, the frames of the longest story of {s.dataset}: others train no row"
        )
    return s.longest


def build(s: Settings, parts: Parts, longest: int, cells: int) -> ARDenoiser:
    """The model to train. cells: latent cells a side, for the finished UNet to draw by default."""
    embedding = build_embedding(parts, longest, same_encoder=s.history is None and is_ar_ldm(s.init_from))
    unet, blip = parts.unet, parts.history_encoder
    unet.register_to_config(sample_size=cells)
    parts.vae.requires_grad_(False).eval()
    unet.requires_grad_(True)
    parts.text_encoder.requires_grad_(not s.freeze_text)
    blip.requires_grad_(not s.freeze_history)
    for head in (blip.vision_proj, blip.text_proj, blip.itm_head):
        head.requires_grad_(False)  # nothing trains them, and DDP expects a gradient of whatever requires one
    prepare_unet(unet, s)
    return ARDenoiser(unet, parts.text_encoder, blip, embedding, parts.tokenizer, parts.history_tokenizer)


def earlier_frames(data: Dataset, rows: list[int], count: int) -> Tensor:
    """The first `count` frames of stories, (B, count, 3, H, W) in [-1, 1]; a shorter story's last one is repeated."""
    return torch.stack([frames_tensor(frames[min(m, len(frames) - 1)] for m in range(count)) for frames in data[rows]["frames"]])


def sample(
    s: Settings, accelerator: Accelerator, model: nn.Module, unsharded: ARDenoiser | None, ema: MovingAverage, parts: Parts, step: int
) -> None:
    """Draws validation stories with the averaged weights, and reports them. unsharded: see `main`; else the weights of `model` are swapped."""
    weights = full_tensors(ema.shadow_params)
    if accelerator.is_main_process:
        tokenizers = parts.tokenizer, parts.history_tokenizer
        stories = sample_stories(s.dataset, s.text_form[0], s.sample_stories, tokenizers, s.long_sentences)
        if unsharded is None:
            ema.store(list(model.parameters()))
        pipe = finished_pipeline((unsharded or accelerator.unwrap_model(model)).to(accelerator.device).eval(), weights, parts)
        pipe.vae.to(accelerator.device)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        drawn = pipe(stories["sentences"][:], generator=generators).frames
        report_samples(accelerator, s.output, step, stories, drawn, s.evaluator)
        if unsharded is None:
            ema.restore(list(model.parameters()))
            model.train()
    accelerator.wait_for_everyone()


def finished_pipeline(model: ARDenoiser, weights: list[Tensor], parts: Parts) -> ARLDMPipeline:
    """A pipeline with the averaged weights. It shares the modules of `model`, whose own weights are overwritten."""
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.data.copy_(weight)
    return ARLDMPipeline(
        vae=parts.vae,
        text_encoder=model.text_encoder,
        tokenizer=parts.tokenizer,
        history_encoder=model.history_encoder,
        history_tokenizer=parts.history_tokenizer,
        history_embedding=model.history_embedding,
        unet=model.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(parts.scheduler.config, algorithm_type="dpmsolver++"),
    )


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
