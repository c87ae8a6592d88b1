"""What the GANs' training scripts share: one adversarial step, when to stop, and the averaged copy that is shown and shipped."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from story_ldm.data import load_stories
from story_ldm.data.stories import held_out_split
from story_ldm.gans.norms import settle_statistics
from story_ldm.gans.story_gan import discriminator_loss, generator_loss
from story_ldm.strips import story_sheet
from story_ldm.train_utils import local_rows

LOST, WON = 0.51, 1e-3  # a discriminator's accuracy when it tells nothing (0.5 is a constant answer), its loss when it is sure of everything


def adversarial_step(
    accelerator: Accelerator,
    judge,
    generator_optimizer,
    judge_optimizer,
    real,
    fake,
    condition,
    wrong,
    weight: float = 1.0,
    more: Tensor | float = 0.0,
) -> dict[str, Tensor]:
    """One step of the discriminator and one of the generator, on the same drawn frames. more: what is added to the generator's weighted loss."""
    loss, accuracy = discriminator_loss(*judge(real, condition, wrong, fake.detach()))
    accelerator.backward(loss)
    judge_optimizer.step()
    judge_optimizer.zero_grad()

    bare = accelerator.unwrap_model(judge).requires_grad_(False)  # its gradients are not wanted here, nor what DDP does about them
    (logits,) = bare(fake, condition)
    wish = generator_loss(logits)
    accelerator.backward(weight * wish + more)
    generator_optimizer.step()
    generator_optimizer.zero_grad()
    bare.requires_grad_(True)
    return {"loss": loss, "accuracy": accuracy, "generator": wish}


def next_rows(accelerator: Accelerator, x: Tensor) -> Tensor:
    """Each row's neighbour in the batch of all processes."""
    whole = x if accelerator.num_processes == 1 else accelerator.gather(x.contiguous())
    return local_rows(accelerator, whole.roll(1, 0))


def told_apart(right: Tensor, wrong: Tensor) -> dict[str, float]:
    """Logits (N,) of real frames under their own condition and under another one: the share that is judged correctly, and the share of frames
    for which the own one has the larger logit; 0.5 is chance in both."""
    shares = {"accuracy": torch.cat([right > 0, wrong < 0]), "right_over_wrong": right > wrong}
    return {name: share.float().mean().item() for name, share in shares.items()} | {"pairs": len(right)}


def find_trouble(means: dict[str, float], kinds: list[str], since: dict[str, int], step: int, every: int, patience: int) -> tuple[str, int] | None:
    """What is wrong, and the step up to which it was not; None where nothing is. `since` keeps from when on a discriminator has been at an end."""
    ends = {
        "lost": ("tells nothing any more", "accuracy", lambda value: value < LOST),
        "won": ("is sure of everything, and the generator learns nothing from it", "loss", lambda value: value < WON),
    }
    for kind in kinds:
        for end, (what, name, reached) in ends.items():
            value = means[f"{kind}_{name}"]
            if not reached(value):
                since.pop(f"{kind}_{end}", None)
                continue
            start = since.setdefault(f"{kind}_{end}", step - every)
            if patience and step - start >= patience:
                return f"the {kind} discriminator {what} ({name} {value:.4g} since step {start})", start
    return None


def averaged_copy(accelerator: Accelerator, generator, weights: Iterable[Tensor], inputs: Iterable[tuple] = ()) -> nn.Module:
    """A copy of the generator that has the averaged weights; called in all processes, for statistics of batch norms are those of all."""
    trained = accelerator.unwrap_model(generator)
    copy = type(trained).from_config(trained.config).to(accelerator.device, memory_format=torch.channels_last)
    copy.load_state_dict(trained.state_dict())
    for parameter, weight in zip(copy.parameters(), weights, strict=True):
        parameter.data.copy_(weight)
    settle_statistics(copy, inputs)
    return copy.eval()


def sample(s, accelerator: Accelerator, pipe, resolution: int, step: int) -> None:
    """A sheet of validation stories, drawn by the averaged weights. s: settings with `output`, `dataset`, `text_form` and `sample_stories`."""
    if accelerator.is_main_process:
        stories = load_stories(s.dataset, held_out_split(s.dataset), resolution, s.text_form, limit=s.sample_stories, pictures=False)
        generators = [torch.Generator().manual_seed(n) for n in range(len(stories))]
        sheet = story_sheet(pipe(stories["sentences"][:], generator=generators).frames, stories["sentences"][:])
        (s.output / "samples").mkdir(exist_ok=True)
        sheet.save(s.output / "samples" / f"step-{step:08d}.png")
    accelerator.wait_for_everyone()
