"""Fréchet distances between real and generated frames (FID, Heusel et al. 2017) or stories (FSD, Song et al. 2020).

    features = frame_features(evaluator, frames)                       # (F, C), frames uint8 (F, 3, H, W)
    frechet_distance(features, others)                                 # fid_evaluator
    frechet_distance(story_features(features, story), …)               # fsd_evaluator

The name of a distance has the network that computed the features. Inception-v3 and R(2+1)D-18 are read from TorchScript files that the user provides:

- `inception-2015-12-05.pt`, the Inception-v3 of the original FID as NVIDIA's StyleGAN2-ADA publishes it;
- R(2+1)D-18, exported with torchvision by
  `m = torchvision.models.video.r2plus1d_18(weights="DEFAULT").eval(); m.fc = torch.nn.Identity(); torch.jit.script(m).save("r2plus1d.pt")`
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from story_ldm.data.frames import to_float
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.metrics.bootstrap import bootstrap_weights

KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """‖μ - μ'‖² + Tr(Σ + Σ' - 2 (Σ Σ')^½) of features (N, C) and (N', C), in double precision.

    Bit-identical to torchmetrics' FrechetInceptionDistance, which computed the published results: the order of the sums matters. Raises ValueError
    for fewer than 2 rows, which have no covariance."""
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 real and 2 generated rows, got {len(real)} and {len(generated)}")
    (mean, covariance), (other_mean, other_covariance) = _moments(real.double()), _moments(generated.double())
    shared = torch.linalg.eigvals(covariance @ other_covariance).sqrt().real.sum()  # trace of the matrix square root
    return float((mean - other_mean).square().sum() + (covariance.trace() + other_covariance.trace()) - 2 * shared)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) → mean (C,) and covariance (C, C)."""
    count, mean = len(features), features.sum(0) / len(features)
    return mean, (features.T @ features - count * (mean[:, None] @ mean[None])) / (count - 1)


def distance(real: Tensor, generated: Tensor, story: Tensor | None = None, resamples: int = 0, seed: int = 0) -> dict:
    """Fréchet distance of features (N, C) and (N', C), the numbers of rows, and the floor: the distance between even and odd rows of the real ones.

    story (N,): story number of each row. With it, `resamples` adds a 95 % bootstrap interval; each resample takes the same stories, drawn with
    replacement, from both sets. Duplicate stories enlarge the distance, so the interval is shifted by the mean excess of the resampled distances."""
    value, interval = frechet_distance(real, generated), {}
    if resamples and story is not None:
        weights = torch.from_numpy(bootstrap_weights(int(story.max()) + 1, resamples, seed))
        rows = [torch.arange(len(story)).repeat_interleave(counts[story]) for counts in weights]
        resampled = np.array([frechet_distance(real[chosen], generated[chosen]) for chosen in rows])
        low, high = np.percentile(resampled, [2.5, 97.5]) - resampled.mean() + value
        interval = {"low": max(0.0, float(low)), "high": float(high)}
    return {
        "value": value,
        **interval,
        "floor": frechet_distance(real[::2], real[1::2]) if len(real) > 3 else float("nan"),
        "real": len(real),
        "generated": len(generated),
    }


def story_features(features: Tensor, story: Tensor) -> Tensor:
    """Features of frames (F, C) and their story numbers (F,) → features of stories (N, 2 C): the mean over frames, and the mean absolute change
    from one frame to the next, which depends on their order. A story of one frame has zero change."""
    parts = features.split(torch.bincount(story).tolist())
    change = [x.diff(dim=0).abs().mean(0) if len(x) > 1 else torch.zeros_like(x[0]) for x in parts]
    return torch.stack([torch.cat([x.mean(0), c]) for x, c in zip(parts, change, strict=True)])


def open_network(file: Path) -> nn.Module:
    """Load a TorchScript file onto the CPU. Raises ValueError if it is not one."""
    try:
        return torch.jit.load(str(file), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{file} is not a TorchScript file; story_ldm/metrics/frechet.py lists the supported networks: {error}") from error


@torch.no_grad()
def frame_features(network: nn.Module, frames: Tensor, batch: int = 250, device: str = "cpu") -> Tensor:
    """uint8 frames (F, 3, H, W) → features (F, C) of an evaluator (pixels in [-1, 1]) or the scripted Inception-v3 (0 … 255, which it resizes)."""
    network.to(device)
    if isinstance(network, FrameEvaluator):
        return torch.cat([network.features(to_float(part.to(device))).cpu() for part in frames.split(batch)])
    return torch.cat([network(part.to(device), return_features=True).float().cpu() for part in frames.split(batch)])


@torch.no_grad()
def video_features(network: nn.Module, frames: Tensor, story: Tensor, device: str = "cpu") -> Tensor:
    """uint8 frames (F, 3, H, W) of N stories → features (N, C) of the scripted R(2+1)D-18: 112 × 112 pixels, colours normalised as for Kinetics."""
    network.to(device)
    mean, std = (torch.tensor(x, device=device)[:, None, None] for x in (KINETICS_MEAN, KINETICS_STD))
    rows = []
    for part in frames.split(torch.bincount(story).tolist()):
        clip = F.interpolate(part.to(device).float() / 255, (112, 112), mode="bilinear", antialias=True)
        rows.append(network(((clip - mean) / std).transpose(0, 1)[None])[0].float().cpu())  # (1, 3, M, 112, 112)
    return torch.stack(rows)
