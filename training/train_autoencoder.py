"""Trains the autoencoder that encodes frames as latents (AutoencoderKL after a pixel unshuffle).

    accelerate launch training/train_autoencoder.py                        # toon-64 on the built-in world
    accelerate launch training/train_autoencoder.py --max-minutes 20       # the same command resumes the run

A small decoder that draws frames of 128 px from the latents of a trained 64-px autoencoder, so for every model of those latents:

    accelerate launch training/train_autoencoder.py --init-from checkpoints/toon-story-ldm/vae --freeze-encoder --decoder-widths 192 128 64 \
        --batch 8 --stories 28_800 --optimizer muon --learning-rate 2e-3 --warmup 40 --decay 0.4 --detail-weight 2 --output runs/decoder-128

The loss is the L1 and squared error of pixels, the L1 error of details (the frame minus its local mean: outlines, which are learned late from
the pixel errors alone), and a small KL divergence to N(0, I). At the end, the mean and the standard deviation of each latent channel are
measured and stored in the config, which gives latents unit scale wherever the autoencoder is used. The result is `<output>/vae`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
import tyro
from datasets import Dataset
from diffusers import AutoencoderKL
from torch import nn
from torch.utils.data import DataLoader

from story_ldm.data.frames import frames_tensor
from story_ldm.data.stories import load_stories, story_lengths
from story_ldm.encoders.autoencoder import StoryAutoencoder, new_autoencoder, open_autoencoder
from story_ldm.encoders.latents import downscale_factor, enlargement, fold, frames_to_raw, raw_to_frames
from story_ldm.reports.cards import write_training_section
from story_ldm.systems.story_ldm.presets import PRESETS, preset_at
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint, save_component
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import run_script
from story_ldm.training.run import StorySettings, finish_run, one_of, run_record, start_run
from story_ldm.training.steps import StepBatches, draw_positions, local_rows, step_generator, warmup_cosine, warmup_stable_decay, whole_steps
from story_ldm.training.watch import Watch, forward_flops, ignore_signals, parameter_counts, sizes


@dataclass
class Settings(StorySettings):
    output: Path = Path("runs/autoencoder")
    """Folder of the run: settings, checkpoints, and the finished `vae`."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the model (story_ldm/systems/story_ldm/presets.py)."""
    resolution: int | None = None
    """Side of the frames in pixels; defaults to that of the preset, or to the larger one that a new decoder draws."""
    init_from: Path | None = None
    """A trained autoencoder to start from."""
    freeze_encoder: bool = False
    """Train only the decoder: latents, and models of them, stay valid. Requires --init-from."""
    decoder_widths: tuple[int, ...] = ()
    """Channels of each level of a new, small decoder, coarse to fine (StoryAutoencoder). Each level has twice the side of the one before; with one
    level more than the encoder, frames have twice the side of what the encoder reads, which gets them averaged over 2 × 2 pixels."""
    decoder_blocks: tuple[int, ...] = (2, 3, 1)
    """Number of blocks of each level of the new decoder."""
    stories: int = 100_000
    """Number of stories to train on, counted with repetition."""
    batch: int = 24
    """Stories per step, over all processes."""
    frames_per_story: int = 2
    """Frames per story and step, drawn at random; the frames of one story resemble each other."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: orthogonal updates of matrices and kernels, AdamW for the other weights."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    warmup: int = 100
    """Steps of linear warm-up."""
    decay: float | None = None
    """Share of the run, at its end, over which a constant learning rate falls linearly to zero; by default it falls by half a cosine all along."""
    kl_weight: float = 1e-6
    """Weight of the KL divergence of the latents to N(0, I)."""
    detail_weight: float = 1.0
    """Weight of the L1 error of details: the frame minus its local mean."""
    workers: int = 1
    """Processes that load frames."""


class Reconstruction(nn.Module):
    """Encodes and decodes frames in one module, because DDP requires a single forward."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, frames: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """frames (B, 3, H, W), noise (B, c, h, w) → decoded frames, KL (B,)"""
        posterior = frames_to_raw(self.vae, frames)
        decoded = raw_to_frames(self.vae, posterior.mean + posterior.std * noise.to(posterior.mean))
        return decoded.float(), posterior.kl().float()


def main(s: Settings) -> None:
    if s.freeze_encoder and not s.init_from:
        raise SystemExit("--freeze-encoder requires --init-from: a frozen encoder must be a trained one")
    total = whole_steps(s.stories, s.batch)
    accelerator = start_run(s, "autoencoder", ("stories", "checkpoint_every"))
    preset = preset_at(s.preset, s.resolution)
    vae = open_autoencoder(s.init_from) if s.init_from else new_autoencoder(preset["vae"])
    if s.decoder_widths:
        vae = StoryAutoencoder.from_vae(vae, decoder_widths=s.decoder_widths, decoder_blocks=s.decoder_blocks)
    vae.to(memory_format=torch.channels_last)
    resolution = s.resolution or preset["resolution"] * enlargement(vae)
    with accelerator.main_process_first():
        shape: dict[str, Any] = {"fit": s.fit, "background": s.background, "flip": s.flip, "window": s.window}
        dataset = load_stories(s.dataset, "train", resolution, limit=s.limit, num_proc=s.num_proc, **shape)
    lengths = torch.tensor(story_lengths(dataset))

    if s.freeze_encoder:
        vae.requires_grad_(False)
        vae.decoder.requires_grad_(True)
        vae.post_quant_conv.requires_grad_(True)
    groups = muon_groups(vae) if s.optimizer == "muon" else [{"params": [p for p in vae.parameters() if p.requires_grad]}]
    optimizer = new_optimizer(s.optimizer, groups, lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    shape_of = warmup_cosine if s.decay is None else partial(warmup_stable_decay, decay=s.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: shape_of(step, s.warmup, total))
    latent_shape = (vae.config.latent_channels,) + (resolution * fold(vae) // downscale_factor(vae),) * 2
    model, parameters = Reconstruction(vae), parameter_counts(vae=vae)
    flops = forward_flops(model, frames_tensor(dataset[0]["frames"][:1]), torch.zeros(1, *latent_shape))
    accelerator.print(f"{sizes(parameters)} | forward {flops / 1e9:.2f} GFLOPs per frame")
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    step = load_checkpoint(accelerator, s.output)["step"]

    whole_batches = iter(StepBatches(len(dataset), s.batch, s.seed, step))
    batches = StepBatches(len(dataset), s.batch, s.seed, step, accelerator.process_index, accelerator.num_processes)
    loader = DataLoader(
        dataset, batch_sampler=batches, num_workers=s.workers, worker_init_fn=ignore_signals, collate_fn=lambda rows: [r["frames"] for r in rows]
    )
    frames_per_story = min(s.frames_per_story, int(lengths.max()))
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=frames_per_story)
    model.train()
    for rows in loader:
        if step >= total or watch.time_is_up(s.max_minutes):
            break
        # the choice of frames and the noise of latents are drawn for the full batch: results do not depend on the number of processes
        draw = step_generator(s.seed, step)
        chosen = local_rows(accelerator, draw_positions(lengths[next(whole_batches)], frames_per_story, draw))
        noise = local_rows(accelerator, torch.randn(s.batch * frames_per_story, *latent_shape, generator=draw))
        frames = torch.cat([frames_tensor([row[m] for m in positions]) for row, positions in zip(rows, chosen)]).to(accelerator.device)
        with accelerator.autocast():
            decoded, kl = model(frames, noise)  # frames (B · frames_per_story, 3, H, W)
        l1, mse, kl = F.l1_loss(decoded, frames), F.mse_loss(decoded, frames), kl.mean()
        loss = l1 + mse + s.detail_weight * details(decoded - frames).abs().mean() + s.kl_weight * kl
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, psnr=-10 * torch.log10(mse / 4), kl=kl)
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep)
    save_checkpoint(accelerator, s.output, step, s.keep)
    watch.leave_if_asked()
    if accelerator.is_main_process:
        vae.eval()
        if not s.freeze_encoder:
            normalise_latents(vae, dataset, accelerator.device)
        save_component(vae, s.output / "vae")
        write_training_section(s.output / "vae", run_record(s), parameters, seen=step * s.batch, script="train_autoencoder.py")
        print(f"{step} of {total} steps done; {s.output / 'vae'} written")
    finish_run(accelerator, s, s.output / "vae")


def details(frames: torch.Tensor) -> torch.Tensor:
    """Frames (B, 3, H, W) minus their mean over 5 × 5 pixels. It is linear: the details of an error are the error of the details."""
    window = frames.new_ones(3, 1, 5, 5)  # by convolutions, because avg_pool2d takes several times as long on a CPU
    counts = F.conv2d(torch.ones_like(frames[:1]), window, padding=2, groups=3)
    return frames - F.conv2d(frames, window, padding=2, groups=3) / counts


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, dataset: Dataset, device: torch.device, stories: int = 400) -> None:
    """Measures mean and standard deviation of each latent channel over the first `stories` stories and stores them in the config."""
    modes = []
    for n in range(min(stories, len(dataset))):
        modes.append(frames_to_raw(vae, frames_tensor(dataset[n]["frames"]).to(device)).mode())
    raw = torch.cat(modes).float()
    vae.register_to_config(latents_mean=raw.mean((0, 2, 3)).tolist(), latents_std=raw.std((0, 2, 3)).tolist(), scaling_factor=1.0)


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
