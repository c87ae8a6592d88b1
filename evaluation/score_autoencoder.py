"""What an autoencoder keeps of true frames: PSNR, and the labels that the frame evaluator reads off reconstructions and off the frames themselves.

    python evaluation/score_autoencoder.py --vae checkpoints/toon-story-ldm/vae
    python evaluation/score_autoencoder.py --vae runs/decoder-128/vae --stories 200 --sheet sheet.png      # pairs to look at: true, reconstructed
    python evaluation/score_autoencoder.py --vae runs/vae/vae --dataset toonstories-2 --evaluator runs/toon2-evaluator/evaluator

Frames have the size that the autoencoder draws; the evaluator reads them reduced to its own by area averaging.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from PIL import Image
from torch import Tensor

from story_ldm.data.frames import frames_tensor
from story_ldm.data.pictures import save_picture
from story_ldm.data.stories import load_stories
from story_ldm.encoders.autoencoder import open_autoencoder
from story_ldm.encoders.evaluator import FrameEvaluator, check_labels, frame_labels, reading_accuracy
from story_ldm.encoders.latents import decode_latents, encode_frames, enlargement
from story_ldm.files import markdown_table, model_folder
from story_ldm.model_folders import open_local
from story_ldm.one_line import one_line_errors


@dataclass
class Settings:
    vae: Path
    """Folder of the autoencoder, as train_autoencoder.py writes it."""
    dataset: str = "toonstories"
    """Name or folder of the stories, as load_stories takes it."""
    split: str = "validation"
    """Split of the stories; it must not be the one that the autoencoder was trained on."""
    stories: int = 100
    """Number of stories, from the start of the split."""
    resolution: int | None = None
    """Side of the frames in pixels; defaults to what the autoencoder was trained for."""
    evaluator: Path = Path("toon-evaluator")
    """Folder of the frame evaluator (train_evaluator.py), or the name of a shipped one."""
    noise: float = 0.0
    """Standard deviation of noise added to the (normalised) latents: how forgiving the decoder is."""
    sheet: Path | None = None
    """Picture of the first frames to write: rows of true ones, each above a row of reconstructions."""


@torch.no_grad()
def main(s: Settings) -> None:
    vae = open_autoencoder(s.vae, dtype=torch.float32).eval().to(memory_format=torch.channels_last)
    evaluator = open_local(FrameEvaluator, model_folder(s.evaluator), dtype=torch.float32).eval()
    stories = load_stories(s.dataset, s.split, s.resolution or vae.config.sample_size * enlargement(vae), limit=s.stories)
    labelled = "characters" in stories.features
    if labelled:
        check_labels(evaluator, stories.features)
    true = torch.cat([frames_tensor(row["frames"]) for row in stories])
    drawn, seconds = reconstructed(vae, true, s.noise)

    errors = (drawn - true).square().mean((1, 2, 3))
    print(f"{len(true)} frames of {true.shape[-1]} px | {1000 * seconds / len(true):.1f} ms to decode a frame")
    print(f"PSNR {psnr(errors.mean()):.2f} dB | mean of frames {psnr(errors).mean():.2f} dB | worst frame {psnr(errors.max()):.2f} dB\n")
    labels = frame_labels(stories, len(evaluator.config.characters)) if labelled else {}
    before, after = ({}, {}) if not labelled else (reading_accuracy(evaluator.read(frames), labels) for frames in (true, drawn))
    cells = [[name, *(f"{100 * x:.2f}" for x in (before[name], after[name])), f"{100 * (after[name] - before[name]):+.2f}"] for name in before]
    print(markdown_table(("label", "true frames", "reconstructions", "difference"), cells))
    if s.sheet:
        write_sheet(true[:24], drawn[:24], s.sheet)


def reconstructed(vae, frames: Tensor, noise: float) -> tuple[Tensor, float]:
    """The frames (F, 3, H, W) after encoding and decoding, and the seconds that decoding took."""
    generator, drawn, seconds = torch.Generator().manual_seed(0), [], 0.0
    for part in frames.split(20):
        latents = encode_frames(vae, part)
        latents = latents + noise * torch.randn(latents.shape, generator=generator)
        start = time.perf_counter()
        drawn.append(decode_latents(vae, latents))
        seconds += time.perf_counter() - start
    return torch.cat(drawn), seconds


def psnr(squared_error: Tensor) -> Tensor:
    """Decibels, for values in [-1, 1]."""
    return -10 * torch.log10(squared_error / 4)


def write_sheet(true: Tensor, drawn: Tensor, file: Path, columns: int = 6) -> None:
    """Rows of `columns` true frames, each above a row of their reconstructions."""
    rows = [row for pair in zip(true.split(columns), drawn.split(columns)) for row in pair]
    rows = [F.pad(torch.cat(list(row), 2), (0, columns * row.shape[-1] - len(row) * row.shape[-1])) for row in rows]  # (3, H, columns · W)
    pixels = ((torch.cat(rows, 1) + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
    save_picture(Image.fromarray(pixels.numpy()), file)


if __name__ == "__main__":
    with one_line_errors("score_autoencoder.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
