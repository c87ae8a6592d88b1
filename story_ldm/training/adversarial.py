"""One adversarial step of a GAN, its wrong pairs, accuracy of a discriminator on pairs, and detection of a collapsed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from story_ldm.systems.gans import discriminator_loss, generator_loss
from story_ldm.training.steps import local_rows

CHANCE, NO_LOSS = 0.51, 1e-3  # accuracy on two kinds of pairs (a constant answer: 0.5); loss of a discriminator that has won


class Players(NamedTuple):
    """The two networks of a step and their optimizers, as `accelerator.prepare` returns them."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: AcceleratedOptimizer
    discriminator_optimizer: AcceleratedOptimizer


def adversarial_step(
    accelerator: Accelerator,
    players: Players,
    real: Tensor,
    fake: Tensor,
    condition: Any,
    wrong: Any,
    weight: float = 1.0,
    extra_loss: Tensor | float = 0.0,
) -> dict[str, Tensor]:
    """One step of the discriminator, then one of the generator, on the same drawn frames. condition, wrong: as the discriminator takes them.
    The generator minimises weight · L_G + extra_loss. Returns both losses and the shares of pairs that were classified correctly."""
    loss, shares = discriminator_loss(*players.discriminator(real, condition, wrong, fake.detach()))
    accelerator.backward(loss)
    players.discriminator_optimizer.step()
    players.discriminator_optimizer.zero_grad()

    bare = accelerator.unwrap_model(players.discriminator).requires_grad_(False)  # no gradients for the discriminator, and no synchronisation by DDP
    (logits,) = bare(fake, condition)
    adversarial_loss = generator_loss(logits)
    accelerator.backward(weight * adversarial_loss + extra_loss)
    players.generator_optimizer.step()
    players.generator_optimizer.zero_grad()
    bare.requires_grad_(True)
    return {"loss": loss, **shares, "generator": adversarial_loss}


def next_rows(accelerator: Accelerator, x: Tensor) -> Tensor:
    """For each row of this process, the previous row in the batch of all processes; for the first, the last."""
    batch = x if accelerator.num_processes == 1 else accelerator.gather(x.contiguous())
    return local_rows(accelerator, batch.roll(1, 0))


@torch.no_grad()
def judge_pairs(discriminator: nn.Module, stories: int, logits: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> dict[str, float]:
    """`pair_accuracy` of a discriminator in eval mode on the real frames of the first `stories` stories. logits: (numbers of stories, numbers of the
    stories with the wrong conditions) → logits under the own and under the wrong condition."""
    discriminator.eval()
    rows = torch.arange(stories)
    parts = zip(rows.split(50), rows.roll(1).split(50), strict=True)
    return pair_accuracy(*torch.cat([torch.stack(logits(own, other)).cpu() for own, other in parts], 1))


def pair_accuracy(right: Tensor, wrong: Tensor) -> dict[str, float]:
    """Logits (N,) of real frames under their own condition and under a wrong one → the share classified correctly, and the share of frames whose
    own condition has the larger logit; chance is 0.5 in both."""
    shares = {"accuracy": torch.cat([right > 0, wrong < 0]), "right_over_wrong": right > wrong}
    return {name: share.float().mean().item() for name, share in shares.items()} | {"pairs": len(right)}


def find_trouble(means: dict[str, float], kinds: list[str], since: dict[str, int], step: int, every: int, patience: int) -> tuple[str, int] | None:
    """Whether a discriminator has been collapsed for `patience` steps (0: never): a description, and the step before which it was not; else None.
    means: averages of the last `every` steps. since: the step from which each sign is present, updated here.

    Right pairs are compared with wrong ones and with fake ones separately: a discriminator that ignores text accepts all real frames, and has 0.5 of
    the former and perhaps 1 of the latter."""
    for kind in kinds:
        right, loss = means[f"{kind}_right"], means[f"{kind}_loss"]
        wrong, fake = (0.5 * (right + means[f"{kind}_{other}"]) for other in ("wrong", "fake"))
        signs = {
            "wrong": (wrong < CHANCE, f"does not distinguish wrong pairs from right ones (accuracy {wrong:.4g}"),
            "fake": (fake < CHANCE, f"does not distinguish fake frames from real ones (accuracy {fake:.4g}"),
            "won": (loss < NO_LOSS, f"makes no errors, and the generator learns nothing from it (loss {loss:.4g}"),
        }
        for sign, (present, description) in signs.items():
            if not present:
                since.pop(f"{kind}_{sign}", None)
                continue
            start = since.setdefault(f"{kind}_{sign}", step - every)
            if patience and step - start >= patience:
                return f"the {kind} discriminator {description}, since step {start})", start
    return None
