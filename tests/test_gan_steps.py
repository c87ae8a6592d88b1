"""One step of a GAN against gradients taken by hand, its wrong pairs, and which weights are the best."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from conftest import script
from torch import Tensor, nn

from story_ldm.systems.gans import Discriminator, discriminator_loss, generator_loss
from story_ldm.training.adversarial import Players, adversarial_step, next_rows, pair_accuracy
from story_ldm.training.gan_loop import Best


class Judge(Discriminator):
    def __init__(self):
        super().__init__()
        self.features, self.logit = nn.Linear(4, 5), nn.Linear(5 + 3, 1)

    def encode(self, frames: Tensor) -> Tensor:
        return self.features(frames).tanh()

    def judge(self, features: Tensor, condition: Tensor) -> Tensor:
        return self.logit(torch.cat([features, condition], 1)).flatten()


def test_an_adversarial_step_is_gradient_descent_on_both_losses():
    """The discriminator's loss moves the discriminator alone, then the generator's weighted loss and what is added to it the generator alone."""
    torch.manual_seed(0)
    generator, judge = nn.Linear(2, 4), Judge()
    real, noise, condition, wrong = torch.randn(6, 4), torch.randn(6, 2), torch.randn(6, 3), torch.randn(6, 3)
    before = {name: p.detach().clone() for name, p in (*generator.named_parameters("generator"), *judge.named_parameters("judge"))}
    optimizers = torch.optim.SGD(generator.parameters(), lr=0.5), torch.optim.SGD(judge.parameters(), lr=0.25)

    fake = generator(noise)
    loss, _ = discriminator_loss(*judge(real, condition, wrong, fake.detach()))
    judges = dict(zip((f"judge.{name}" for name, _ in judge.named_parameters()), torch.autograd.grad(loss, list(judge.parameters())), strict=True))
    values = adversarial_step(Accelerator(cpu=True), Players(generator, judge, *optimizers), real, fake, condition, wrong, 3.0, fake.square().sum())
    after = dict(judge.named_parameters("judge"))
    for name, gradient in judges.items():
        torch.testing.assert_close(after[name], before[name] - 0.25 * gradient, msg=name)

    with torch.no_grad():  # the discriminator has moved, the generator not yet
        moved = {name: p.clone() for name, p in generator.named_parameters()}
        for name, p in generator.named_parameters():
            p.copy_(before[f"generator.{name}"])
    fake = generator(noise)
    wish = 3.0 * generator_loss(judge(fake, condition)[0]) + fake.square().sum()
    for (name, p), gradient in zip(generator.named_parameters(), torch.autograd.grad(wish, list(generator.parameters())), strict=True):
        torch.testing.assert_close(moved[name], p - 0.5 * gradient, msg=name)
    assert all(p.requires_grad and (p.grad is None or not p.grad.any()) for p in (*generator.parameters(), *judge.parameters()))
    torch.testing.assert_close(values["loss"], loss)


def test_wrong_pairs_are_of_another_row():
    accelerator = Accelerator(cpu=True)
    for count in (2, 5):
        rows = next_rows(accelerator, torch.arange(count))
        assert sorted(rows.tolist()) == list(range(count)) and (rows != torch.arange(count)).all()


def test_a_judge_that_is_blind_to_conditions_is_not_right_over_wrong():
    logits = torch.tensor([2.0, -1.0, 0.5])
    assert pair_accuracy(logits, logits)["right_over_wrong"] == 0
    shares = pair_accuracy(torch.tensor([2.0, -1.0, 0.5, -3.0]), torch.tensor([1.0, -2.0, 0.7, -4.0]))
    assert shares == {"accuracy": 4 / 8, "right_over_wrong": 3 / 4, "pairs": 4}


def test_the_best_weights_are_those_of_the_smallest_product():
    """FID and FSD have no common unit: a hundredth of one is worth the hundredfold of the other."""
    distances = {1: [10.0, 0.1], 2: [2.0, 1.0], 3: [100.0, 0.009]}
    best = Best()
    for step, pair in distances.items():
        best.consider(step, *pair, [torch.full((2,), float(step))])
    assert best.step == 3 and best.weights[0].tolist() == [3.0, 3.0]


def test_an_image_condition_is_the_sentence_of_its_position():
    sentences, code, positions = torch.arange(24.0).view(3, 4, 2), torch.full((3, 5), -1.0), torch.tensor([2, 0, 3])
    condition = script("training/train_story_gan.py").image_condition(sentences, code, positions)
    assert condition.tolist() == [[*sentences[n, m].tolist(), *[-1.0] * 5] for n, m in enumerate(positions)]
