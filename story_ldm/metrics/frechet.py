"""Fréchet distances between generated and true frames (FID, Heusel et al. 2017) and whole stories (FSD, Song et al. 2020).

    features = frame_features(evaluator, frames)                       # (F, C), frames uint8 (F, 3, H, W)
    frechet_distance(features, others)                                 # fid_evaluator
    frechet_distance(story_features(features, story), …)               # fsd_evaluator

A distance says in its name which network saw the frames. Inception-v3 and R(2+1)D-18 are opened from TorchScript files that the user gives:

- `inception-2015-12-05.pt`, the Inception-v3 of the original FID as NVIDIA's StyleGAN2-ADA publishes it;
- R(2+1)D-18, where torchvision is at hand:
  `m = torchvision.models.video.r2plus1d_18(weights="DEFAULT").eval(); m.fc = torch.nn.Identity(); torch.jit.script(m).save("r2plus1d.pt")`
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.metrics.bootstrap import bootstrap_weights

KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class _Features(nn.Identity):
    """Tells torchmetrics that features come as they are."""

    def __init__(self, count: int):
        super().__init__()
        self.num_features = count


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """‖μ - μ'‖² + Tr(Σ + Σ' - 2 (Σ Σ')^½) of features (N, C) and (N', C), by torchmetrics, in double precision."""
    metric = FrechetInceptionDistance(_Features(real.shape[1]), sync_on_compute=False)  # whoever asks has all of the features
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    return float(metric.compute())


def quick_distance(real: Tensor, generated: Tensor) -> float:
    """The same, for the many of a bootstrap, in a third of the time: the trace of (Σ Σ')^½ is that of (Σ^½ Σ' Σ^½)^½, which is symmetric."""
    means, (a, b) = [x.double().mean(0) for x in (real, generated)], [torch.cov(x.double().T) for x in (real, generated)]
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp(min=0).sqrt()  # root @ root.T = a
    shared = torch.linalg.eigvalsh(root.T @ b @ root).clamp(min=0).sqrt().sum()
    return float((means[0] - means[1]).square().sum() + a.trace() + b.trace() - 2 * shared)


def distance(real: Tensor, generated: Tensor, story: Tensor | None = None, resamples: int = 0, seed: int = 0) -> dict:
    """The distance, how many there are on each side, and as the floor that of the even from the odd half of the real ones.

    With `resamples` also a 95 % interval: the same stories of both sides are drawn with replacement, story (N,) being the number of each row's.
    A resample holds stories twice, which enlarges the distance, so the interval is moved by what resamples have too much in the mean."""
    value, interval = frechet_distance(real, generated), {}
    if resamples and story is not None:
        weights = torch.from_numpy(bootstrap_weights(int(story.max()) + 1, resamples, seed))
        rows = [torch.arange(len(story)).repeat_interleave(often[story]) for often in weights]
        found = np.array([quick_distance(real[chosen], generated[chosen]) for chosen in rows])
        low, high = np.percentile(found, [2.5, 97.5]) - found.mean() + value
        interval = {"low": max(0.0, float(low)), "high": float(high)}
    return {
        "value": value,
        **interval,
        "floor": frechet_distance(real[::2], real[1::2]) if len(real) > 3 else float("nan"),
        "real": len(real),
        "generated": len(generated),
    }


def story_features(features: Tensor, story: Tensor) -> Tensor:
    """Features of frames (F, C) and the number of each frame's story (F,) → (N, 2 C): what its frames show in the mean, and by how much each
    differs from the one before, so that the order counts. A story of one frame changes by zero."""
    parts = features.split(torch.bincount(story).tolist())
    change = [x.diff(dim=0).abs().mean(0) if len(x) > 1 else torch.zeros_like(x[0]) for x in parts]
    return torch.stack([torch.cat([x.mean(0), c]) for x, c in zip(parts, change, strict=True)])


def open_network(file: Path) -> nn.Module:
    """A TorchScript file. Raises ValueError where it is something else."""
    try:
        return torch.jit.load(str(file), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{file} is no TorchScript file; story_ldm/metrics/frechet.py tells which ones fit: {error}") from error


@torch.no_grad()
def frame_features(network: nn.Module, frames: Tensor, batch: int = 250, device: str = "cpu") -> Tensor:
    """uint8 frames (F, 3, H, W) → (F, C), by an evaluator (pixels in [-1, 1]) or by the scripted Inception-v3 (0 … 255, resized inside)."""
    network.to(device)
    if isinstance(network, FrameEvaluator):
        return torch.cat([network.features(part.to(device).float() / 127.5 - 1).cpu() for part in frames.split(batch)])
    return torch.cat([network(part.to(device), return_features=True).float().cpu() for part in frames.split(batch)])


@torch.no_grad()
def video_features(network: nn.Module, frames: Tensor, story: Tensor, device: str = "cpu") -> Tensor:
    """uint8 frames (F, 3, H, W) of N stories → (N, C) by the scripted R(2+1)D-18: 112 × 112 pixels, colours normalised as for Kinetics."""
    network.to(device)
    mean, std = (torch.tensor(x, device=device)[:, None, None] for x in (KINETICS_MEAN, KINETICS_STD))
    rows = []
    for part in frames.split(torch.bincount(story).tolist()):
        clip = F.interpolate(part.to(device).float() / 255, (112, 112), mode="bilinear", antialias=True)
        rows.append(network(((clip - mean) / std).transpose(0, 1)[None])[0].float().cpu())  # (1, 3, M, 112, 112)
    return torch.stack(rows)
