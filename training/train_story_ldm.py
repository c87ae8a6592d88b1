"""Trains Story-LDM: the UNet with memory attention, jointly with its text encoder and language memory.

    accelerate launch training/train_autoencoder.py
    accelerate launch training/train_language_memory.py
    accelerate launch training/train_story_ldm.py                              # toon-64 on the built-in world
    accelerate launch training/train_story_ldm.py --memory none --no-language-memory --output runs/plain    # the plain LDM
    accelerate launch training/train_story_ldm.py --memory sentence --no-language-memory --output runs/paper  # the paper's form

All M frames of a story run in one forward under teacher forcing: the clean latents are written into memory once, and every noisy frame reads the
frames before it. Run the same command again and it goes on where it stopped. The product is `<output>/pipeline`, which
`StoryLDMPipeline.from_pretrained` opens.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.story_ldm import StoryLDMPipeline
from story_ldm.data import load_stories
from story_ldm.data.stories import frames_tensor
from story_ldm.diffusion import StoryBatch, StoryDenoiser, add_noise, min_snr_weights, noise_scheduler, stratified_timesteps, target
from story_ldm.latents import encode_frames
from story_ldm.model_card import write_model_card
from story_ldm.muon import muon_groups, new_optimizer
from story_ldm.presets import PRESETS
from story_ldm.strips import story_sheet
from story_ldm.text import LanguageMemory, story_facts, text_loss, tokenize_stories
from story_ldm.train_utils import (
    StepBatches,
    Watch,
    claim_run,
    default_precision,
    load_checkpoint,
    local_rows,
    save_checkpoint,
    step_generator,
    warmup_stable_decay,
)
from story_ldm.unet import StoryUNet2DConditionModel


@dataclass
class Settings:
    output: Path = Path("runs/story-ldm")
    """Folder of the run: settings, checkpoints, samples, and the finished `pipeline`."""
    preset: str = "toon-64"
    dataset: str = "toonstories"
    text_form: str = "referential"
    vae: Path = Path("runs/autoencoder/vae")
    text: Path = Path("runs/language")
    """Folder with tokenizer, text_encoder, language_memory and fact head."""
    freeze_text_encoder: bool = False
    """Keep a pretrained text encoder as it is."""
    init_from: Path | None = None
    """A finished pipeline to start from; memory layers that it lacks start fresh, a language memory that it lacks comes from `--text`."""
    memory: str = "spatial"
    """spatial, sentence (the paper's) or none."""
    language_memory: bool = True
    stories: int = 120_000
    """How many stories to see in all."""
    batch: int = 8
    """Stories a step, over all processes."""
    noise_draws: int = 2
    """Noise draws of each story that share one write pass."""
    accumulation: int = 1
    """Steps over which gradients are gathered; the batch is that of each."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: orthogonal steps for the UNet's matrices and kernels, AdamW for the rest."""
    learning_rate: float = 4e-4
    text_learning_rate: float = 2e-4
    warmup: int = 300
    decay: float = 0.2
    """Share of the run, at its end, over which the learning rate falls to zero."""
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    prediction: str = "v_prediction"
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
    store: Literal["float16", "bfloat16", "float32"] = "float16"
    """Precision of the finished pipeline's weights; checkpoints keep all of it."""
    seed: int = 0
    max_minutes: float | None = None
    """Stop (with a checkpoint) after this many minutes."""
    checkpoint_every: int = 1000
    keep: int = 2
    sample_every: int = 2000
    """Draw validation stories every so many steps; 0 is never."""
    sample_stories: int = 6
    log_every: int = 50
    log_with: str | None = None
    """tensorboard or wandb."""
    cache: Path = Path("runs/cache")
    """Latents are encoded once and kept here."""
    num_proc: int = 2
    limit: int | None = None


MAY_CHANGE = (
    "max_minutes",
    "checkpoint_every",
    "keep",
    "sample_every",
    "sample_stories",
    "log_every",
    "log_with",
    "num_proc",
    "cache",
    "stories",
    "store",
)


def cached_latents(s: Settings, accelerator: Accelerator, data, vae: AutoencoderKL, resolution: int) -> torch.Tensor:
    """(N, M, c, h, w) fp16 latents of the whole split, encoded once by the main process."""
    config = [(key, value) for key, value in vae.config.items() if not key.startswith("_")]
    facts = (s.dataset, resolution, len(data), data._fingerprint, accelerator.mixed_precision, config)
    digest = hashlib.sha256(str(facts).encode())
    for weight in vae.state_dict().values():
        digest.update(weight.contiguous().numpy().tobytes())
    file = s.cache / f"latents-{digest.hexdigest()[:16]}.safetensors"
    with accelerator.main_process_first():
        if not file.exists():
            vae.to(accelerator.device)
            parts = []
            for start in tqdm(range(0, len(data), 16), desc="encoding latents"):
                frames = torch.stack([frames_tensor(f) for f in data[start : start + 16]["frames"]])
                with accelerator.autocast():
                    parts.append(encode_frames(vae, frames.to(accelerator.device)).half().cpu())
            vae.cpu()
            s.cache.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(".partial")
            save_file({"latents": torch.cat(parts)}, beside)
            beside.rename(file)
    return load_file(file)["latents"]


def load_facts(s: Settings, data) -> tuple[nn.Linear, torch.Tensor] | tuple[None, None]:
    """The head that reads statements off pooled sentences, and the statements (N, M, F) of every sentence."""
    file = s.text / "fact_head.safetensors"
    if not (s.text_loss and s.language_memory and file.exists()):
        return None, None
    weights = load_file(file)
    with safe_open(file, "pt") as f:
        names = f.metadata()["facts"].split("\n")
    head = nn.Linear(weights["weight"].shape[1], len(names))
    head.load_state_dict(weights)
    number = {name: i for i, name in enumerate(names)}
    rows = data.remove_columns("frames")
    table = torch.zeros(len(rows), len(rows[0]["sentences"]), len(names), dtype=torch.bool)
    for n, row in enumerate(rows):
        for m, facts in enumerate(story_facts(row, data.features)):
            table[n, m, [number[x] for x in facts if x in number]] = True
    return head, table


def build(s: Settings, preset: dict) -> tuple[StoryDenoiser, AutoencoderKL, CLIPTokenizer]:
    """The model that is trained, the autoencoder, and the tokenizer: new, from `--vae` and `--text`, or from a finished pipeline."""
    start = s.init_from
    vae = AutoencoderKL.from_pretrained(s.vae if start is None else start / "vae").requires_grad_(False).eval()
    text = s.text if start is None else start
    tokenizer = CLIPTokenizer.from_pretrained(text / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(text / "text_encoder", dtype=torch.float32)
    text_encoder.requires_grad_(not s.freeze_text_encoder)
    language = None
    if s.language_memory:
        trained = [folder / "language_memory" for folder in (text, s.text) if (folder / "language_memory").exists()]
        language = LanguageMemory.from_pretrained(trained[0]) if trained else LanguageMemory(**preset["language_memory"])
    memory = {"memory": s.memory, "memory_heads": preset["unet"]["memory_heads"]}
    if start is None:
        unet = StoryUNet2DConditionModel(**{**preset["unet"], **memory})
    else:
        unet = StoryUNet2DConditionModel.from_pretrained(start / "unet")
        if unet.config.memory != s.memory:
            unet = StoryUNet2DConditionModel.from_unet(unet, **memory)
    if s.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())  # the backward of fused attention is slow on a CPU
    ids, mask = tokenize_stories(tokenizer, [[""]])
    model = StoryDenoiser(unet.to(memory_format=torch.channels_last), text_encoder, language, None, ids[0, 0], mask[0, 0])
    return model, vae, tokenizer


def main(s: Settings) -> None:
    accelerator = Accelerator(mixed_precision=default_precision(), log_with=s.log_with, project_dir=s.output)
    set_seed(s.seed)
    claim_run(accelerator, s.output, s, MAY_CHANGE)
    if s.log_with:
        accelerator.init_trackers("story-ldm", {k: str(v) for k, v in vars(s).items()})
    preset = PRESETS[s.preset]()
    with accelerator.main_process_first():
        data = load_stories(s.dataset, "train", preset["resolution"], s.text_form, limit=s.limit, num_proc=s.num_proc)
    model, vae, tokenizer = build(s, preset)
    latents = cached_latents(s, accelerator, data, vae, preset["resolution"])
    ids, mask = tokenize_stories(tokenizer, data["sentences"][:])
    ids, mask = ids.short(), mask.bool()
    model.fact_head, facts = load_facts(s, data)
    scheduler = noise_scheduler(s.prediction)

    text_parameters = [p for n, p in model.named_parameters() if not n.startswith("unet.") and p.requires_grad]
    groups = muon_groups(model.unet) if s.optimizer == "muon" else [{"params": list(model.unet.parameters())}]
    groups.append({"params": text_parameters, "lr": s.text_learning_rate})
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay)
    total = s.stories // (s.batch * s.accumulation)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    ema = EMAModel(model.parameters(), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=True)
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule, ema)
    progress = load_checkpoint(accelerator, s.output)
    ema.to(accelerator.device)
    step, curve = progress["step"], progress.get("curve", [])
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in accelerator.unwrap_model(model).named_children()}
    accelerator.print(" | ".join(f"{name} {count / 1e6:.2f} M" for name, count in parameters.items()))

    batches = iter(StepBatches(len(data), s.batch, s.seed, step * s.accumulation, accelerator.process_index, accelerator.num_processes))
    watch = Watch(accelerator, s.stories, s.log_every)
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        for part in range(s.accumulation):
            rows = next(batches)
            with accelerator.no_sync(model) if part + 1 < s.accumulation else torch.enable_grad():
                batch, noise = draw_batch(s, accelerator, scheduler, step * s.accumulation + part, latents[rows], ids[rows], mask[rows])
                prediction, logits = model(batch)
                clean = batch.latents.repeat(s.noise_draws, 1, 1, 1, 1)
                error = (prediction.float() - target(scheduler, clean, noise, batch.levels)).square().mean((2, 3, 4))  # (draws * B, M)
                loss = (error * min_snr_weights(scheduler, batch.levels, s.min_snr_gamma)).mean()
                known = loss.new_zeros(())
                if logits is not None:
                    known = text_loss(logits, facts[rows].to(logits.device), batch.use_language)
                accelerator.backward((loss + s.text_loss * known) / s.accumulation)
        accelerator.clip_grad_norm_(model.parameters(), s.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        ema.step(model.parameters())
        step += 1
        seen = step * s.batch * s.accumulation
        values = watch.tick(step, seen, s.batch * s.accumulation, schedule.get_last_lr()[0], loss=loss, error=error.mean(), text=known)
        if values:
            curve.append([seen, round(values["loss"], 5)])
            accelerator.log(values, step=step)
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep, curve=curve)
        if s.sample_every and step % s.sample_every == 0:
            sample(s, accelerator, model, ema, vae, tokenizer, scheduler, preset, step)
    save_checkpoint(accelerator, s.output, step, s.keep, curve=curve)
    if accelerator.is_main_process:
        pipe = finished_pipeline(accelerator, model, ema, vae, tokenizer, scheduler)
        pipe.to(dtype=getattr(torch, s.store)).save_pretrained(s.output / "pipeline", safe_serialization=True)
        write_model_card(s.output / "pipeline", s, parameters, curve, step * s.batch * s.accumulation, sorted(s.output.glob("samples/*.png")))
        print(f"{step} of {total} steps done; {s.output / 'pipeline'} written")
    accelerator.end_training()


def draw_batch(s: Settings, accelerator, scheduler, step: int, latents, ids, mask) -> tuple[StoryBatch, torch.Tensor]:
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
    batch = StoryBatch(
        latents=clean,
        ids=ids.to(device).long(),
        mask=mask.to(device).long(),
        noisy=add_noise(scheduler, clean.repeat(s.noise_draws, 1, 1, 1, 1), noise, levels),
        levels=levels,
        memory_latents=remembered,
        memory_levels=memory_levels,
        use_text=coin(s.text_dropout),
        use_memory=coin(s.memory_dropout),
        use_language=coin(s.language_dropout),
    )
    return batch, noise


def finished_pipeline(accelerator, model, ema, vae, tokenizer, scheduler) -> StoryLDMPipeline:
    """The pipeline of the averaged weights (which stay in the model: call when training is over, or restore)."""
    parts = accelerator.unwrap_model(model)
    ema.copy_to(parts.parameters())
    return StoryLDMPipeline(
        vae=vae,
        text_encoder=parts.text_encoder,
        tokenizer=tokenizer,
        unet=parts.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(scheduler.config, algorithm_type="dpmsolver++"),
        language_memory=parts.language_memory,
    )


def sample(s: Settings, accelerator, model, ema, vae, tokenizer, scheduler, preset, step: int) -> None:
    """A sheet of validation stories, drawn by the averaged weights."""
    if accelerator.is_main_process:
        stories = load_stories(s.dataset, "validation", preset["resolution"], s.text_form, limit=s.sample_stories)
        ema.store(model.parameters())
        model.eval()
        pipe = finished_pipeline(accelerator, model, ema, vae.to(accelerator.device), tokenizer, scheduler)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        drawn = pipe(stories["sentences"][:], generator=generators).frames
        sheet = story_sheet(drawn, stories["sentences"][:])
        (s.output / "samples").mkdir(exist_ok=True)
        sheet.save(s.output / "samples" / f"step-{step:08d}.png")
        ema.restore(model.parameters())
        model.train()
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
