"""Choices of the dynamic blocks' selector over a training, which `training/train_dynamic_block_gan.py` writes to choices.json.

    python -m story_ldm.systems.dynamic_block_gan.choices runs/dynamic-block-gan/choices.json --out choices.png         # needs matplotlib

choices.json: `columns`, the first of which is "stories seen"; then for each block, by network and size, the share of validation frames for which
it chooses SA (w > ½, Eq. 3), and the mean of w, the weight of SA in training; the rest is WSA. `rows`: one for each log line. The generator is
measured with averaged weights when it draws, the discriminator with its present weights on real frames.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from story_ldm.files import json_object

PANELS = {"generator": "generator, averaged weights", "discriminator": "discriminator, real frames"}
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito's


def columns_of(sizes: dict[str, list[int]]) -> list[str]:
    """Names of the columns. sizes: of the maps that have a block, by network."""
    return ["stories seen", *(f"{value} {network} {size}" for network, maps in sizes.items() for size in maps for value in ("SA", "w"))]


def choices_of(ab: Tensor) -> list[float]:
    """ā b̄ (N, K) of N frames and K blocks → [share of SA, mean of w] of block 0, of block 1, …, 2 K numbers."""
    return torch.stack([(ab > 0).float().mean(0), ab.sigmoid().mean(0)], 1).flatten().tolist()


def plot(choices: Path, out: Path = Path("choices.png")) -> None:
    """Plots choices.json: one panel for each network, one colour for each size; solid: share of SA at inference, dashed: mean of w."""
    from matplotlib.figure import Figure

    table = json_object(choices)
    if not table.get("rows") or not table.get("columns"):
        raise SystemExit(f"{choices} has no rows yet; the training writes one at each log line")
    curves = {tuple(name.split()): values for name, values in zip(table["columns"], zip(*table["rows"], strict=True), strict=True)}
    stories = curves.pop(("stories", "seen"))
    networks = list(dict.fromkeys(network for _, network, _ in curves))
    figure = Figure(figsize=(5 * len(networks), 3.4), layout="constrained")
    for axes, network in zip(figure.subplots(1, len(networks), sharey=True, squeeze=False)[0], networks, strict=True):
        sizes = [size for value, owner, size in curves if (value, owner) == ("SA", network)]
        for n, size in enumerate(sizes):
            colour = COLOURS[n % len(COLOURS)]
            axes.plot(stories, curves["SA", network, size], color=colour, label=f"{size} × {size}")
            axes.plot(stories, curves["w", network, size], color=colour, linestyle="--")
        axes.set(title=PANELS.get(network, network), xlabel="stories seen", ylim=(-0.02, 1.02))
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(sizes))
    figure.axes[0].set_ylabel("share of SA (solid), mean w (dashed)")
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    import tyro

    tyro.cli(plot, config=(tyro.conf.PositionalRequiredArgs,))
