"""Parts that the GANs share: the form of a discriminator, the losses, the initialisation of convolutions."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from story_ldm.nn.norms import normalised_once


class Discriminator(ModelMixin, ConfigMixin):
    """A discriminator encodes frames once (`encode`) and computes logits of these features under one or two conditions (`judge`)."""

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
    """DCGAN's initialisation, N(0, std²), of convolutions only. The public code also has N(0, 0.02) in linear layers, N(1, 0.02) in BN's weight."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)


def discriminator_loss(right: Tensor, wrong: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """-log D(right) - ½ (log(1 - D(fake)) + log(1 - D(wrong))) of logits (B,), mean over B; and the shares of right, wrong and fake pairs that are
    classified correctly, with `accuracy`, in which right pairs count half: 0.5 for a constant answer."""
    loss = F.softplus(-right).mean() + 0.5 * (F.softplus(fake).mean() + F.softplus(wrong).mean())
    shares = {"right": (right > 0).float().mean(), "wrong": (wrong < 0).float().mean(), "fake": (fake < 0).float().mean()}
    return loss, {"accuracy": 0.5 * shares["right"] + 0.25 * (shares["fake"] + shares["wrong"]), **shares}


def generator_loss(fake: Tensor) -> Tensor:
    """-log D(fake) of logits (B,), mean over B. The objective's log(1 - D(fake)) has the same fixed point, but its gradient vanishes where D is
    certain; the public code has this form, too."""
    return F.softplus(-fake).mean()
