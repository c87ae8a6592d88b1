"""What the GANs have in common: the form of a discriminator, the losses, how convolutions start."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from story_ldm.nn.norms import normalised_once


class Discriminator(ModelMixin, ConfigMixin):
    """What both have in common: frames become features once, which are judged under one or two conditions."""

    def forward(self, frames: Tensor, condition: Tensor, wrong: Tensor | None = None, fake: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits (B,) of frames under their condition; then, where given, of the same frames under a wrong one, and of fake frames under the right
        one. One call for all three, because DDP wants one forward for a backward."""
        with normalised_once(self):
            features = self.encode(frames)
            logits = [self.judge(features, condition)]
            if wrong is not None:
                logits.append(self.judge(features, wrong))
            if fake is not None:
                logits.append(self.judge(self.encode(fake), condition))
        return tuple(logits)


def start_convolutions(model: nn.Module, std: float = 0.02) -> None:
    """DCGAN's start, of convolutions alone. The public code starts linear layers at N(0, 0.02), too, and BN's weight at N(1, 0.02)."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)


def discriminator_loss(right: Tensor, wrong: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """-log D(right) - ½ (log(1 - D(fake)) + log(1 - D(wrong))) of logits (B,), mean over B; and the shares of right, wrong and fake that are judged
    correctly, with their `accuracy`, in which right pairs count half: 0.5 where everything is judged alike."""
    loss = F.softplus(-right).mean() + 0.5 * (F.softplus(fake).mean() + F.softplus(wrong).mean())
    shares = {"right": (right > 0).float().mean(), "wrong": (wrong < 0).float().mean(), "fake": (fake < 0).float().mean()}
    return loss, {"accuracy": 0.5 * shares["right"] + 0.25 * (shares["fake"] + shares["wrong"]), **shares}


def generator_loss(fake: Tensor) -> Tensor:
    """-log D(fake) of logits (B,), mean over B. The objective's log(1 - D(fake)) has the same fixed point and no gradient where D is sure; the
    public code has this form, too."""
    return F.softplus(-fake).mean()
