"""Trains AR-LDM's history encoder to tell whether a sentence and a frame belong together (image-text matching, Li et al. 2022, Sec. 3.2).

    accelerate launch training/train_history_encoder.py                        # minutes on a CPU; then train_ar_ldm.py --history runs/history
    accelerate launch training/train_history_encoder.py --init-from BLIP --preset ar-ldm-sd15 --dataset data/pororo

BLIP comes pretrained on web pictures; a small one for the built-in world does not. Each sentence is shown with its own frame, and with another: of
the same story or of another one, by equal chances. A referential sentence may by chance fit the other frame, too; full ones hardly do. The results
are `<output>/history_encoder` and `<output>/history_tokenizer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import tyro
from datasets import Dataset
from torch import Tensor, nn
from transformers import BlipForImageTextRetrieval, CLIPTokenizer, PreTrainedTokenizerBase

from story_ldm.data.frames import decode_frames, to_float
from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.stories import fit_stories, held_out_split, load_stories, story_lengths
from story_ldm.encoders.limits import token_limit
from story_ldm.files import write_text
from story_ldm.model_folders import open_local
from story_ldm.reports.cards import write_training_section
from story_ldm.systems.ar_ldm.building import new_history
from story_ldm.systems.ar_ldm.history import encoder_token, match_history, open_history
from story_ldm.systems.ar_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.building import StorySentences, read_sentences
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint, save_component
from story_ldm.training.processes import run_script
from story_ldm.training.run import StorySettings, TextForm, finish_run, one_of, run_record, start_run
from story_ldm.training.steps import StepBatches, draw_positions, local_rows, step_generator, warmup_cosine, whole_steps
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes


@dataclass
class Settings(StorySettings):
    output: Path = Path("runs/history")
    """Folder of the run: settings, checkpoints, and the finished history encoder and tokenizer."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the model (story_ldm/systems/ar_ldm/presets.py)."""
    text: Path = Path("runs/language")
    """Folder with the tokenizer, as train_language_memory.py writes it, or of a pipeline."""
    init_from: Path | None = None
    """Folder of a BLIP to go on from, with its own tokenizer."""
    text_form: tuple[TextForm, ...] = ("full", "referential")
    """Form of the sentences: full (all names), referential (she, there), or free (as people write; built-in worlds only). Of several, each story is
    read in one drawn anew in each step."""
    stories: int = 60_000
    """Number of stories to train on, counted with repetition."""
    batch: int = 16
    """Stories per step, over all processes."""
    frames: int = 2
    """Frames per story and step."""
    learning_rate: float = 5e-4
    """Peak learning rate."""
    warmup: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the encoder reads: error, cut them, or skip their stories."""
    log_every: int = 100
    """Steps between log lines."""
    validate_stories: int = 500
    """Number of validation stories measured at the end."""
    workers: int = 2
    """Processes that decode frames."""


class Matching(nn.Module):
    """The history encoder with its matching head, whose forward DDP and autocast see."""

    def __init__(self, history_encoder: BlipForImageTextRetrieval, token: int):
        super().__init__()
        self.history_encoder, self.token = history_encoder, token

    def forward(self, ids: Tensor, mask: Tensor, frames: Tensor) -> Tensor:
        """ids, mask (N, S), frames (N, 3, H, W) in [-1, 1] → logits (N, 2): not of this frame, of this frame."""
        return match_history(self.history_encoder, self.token, ids.long(), mask.long(), frames)[1]


def main(s: Settings) -> None:
    total = whole_steps(s.stories, s.batch)
    if s.batch < 2 or s.frames < 1:
        raise ValueError(f"--batch is {s.batch} and --frames {s.frames}; a step needs at least 2 stories of at least 1 frame")
    if not s.text_form or (len(s.text_form) > 1 and s.flip):
        raise ValueError(f"--text-form is {s.text_form}; it must be at least one form, and with --flip just one: mirrored copies depend on it")
    preset = PRESETS[s.preset]()
    if s.init_from is None:
        tokenizer = open_local(CLIPTokenizer, s.text / "tokenizer")
    else:
        blip, tokenizer = open_history(s.init_from)
    accelerator = start_run(s, "history-encoder", ("stories", "checkpoint_every", "validate_stories"))
    if s.init_from is None:
        blip = new_history(tokenizer, preset)
    side = blip.config.vision_config.image_size
    with accelerator.main_process_first():
        data, sentences = read_split(s, "train", side, tokenizer, s.limit)
    lengths, pictures = torch.tensor(story_lengths(data)), decode_frames(data, s.workers)
    for head in (blip.vision_proj, blip.text_proj):
        head.requires_grad_(False)  # of another objective of BLIP; DDP expects a gradient of whatever requires one
    model: nn.Module = Matching(blip, encoder_token(blip, tokenizer))
    parameters = parameter_counts(history_encoder=blip)
    flops = forward_flops(model, sentences.ids[0, :1], sentences.mask[0, :1], to_float(pictures[:1]))
    accelerator.print(f"{sizes(parameters)} | forward {flops / 1e9:.2f} GFLOPs per frame")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=s.learning_rate, betas=(0.9, 0.98), eps=1e-6, weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, s.warmup, total, floor=0.0))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    step = load_checkpoint(accelerator, s.output)["step"]

    batches = iter(StepBatches(len(data), s.batch, s.seed, step))
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output)
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        generator = step_generator(s.seed, step)
        own, other = drawn_pairs(lengths, torch.tensor(next(batches)), s.frames, generator)  # (B, frames)
        form = torch.randint(len(s.text_form), (s.batch,), generator=generator)
        ids, mask = (local_rows(accelerator, x).flatten(0, 1) for x in sentences.of(form, own))
        shown = [local_rows(accelerator, to_float(pictures[x])).flatten(0, 1) for x in (own, other)]
        labels = torch.ones(2 * len(ids), dtype=torch.long, device=ids.device)
        labels[len(ids) :] = 0
        with accelerator.autocast():
            logits = model(ids.repeat(2, 1), mask.repeat(2, 1), torch.cat(shown))
        loss = F.cross_entropy(logits.float(), labels)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, right=(logits.argmax(1) == labels).float().mean())
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep)
    save_checkpoint(accelerator, s.output, step, s.keep)
    watch.leave_if_asked()
    if accelerator.is_main_process:
        matching = accelerator.unwrap_model(model).eval()
        save_component(matching.history_encoder, s.output / "history_encoder")
        save_component(tokenizer, s.output / "history_tokenizer")
        validate(s, matching, side, tokenizer, step, accelerator.device)
        write_training_section(s.output, run_record(s), parameters, seen=step * s.batch, script="train_history_encoder.py")
        print(f"{step} of {total} steps done; {s.output / 'history_encoder'} written")
    finish_run(accelerator, s, s.output)


def read_split(s: Settings, split: str, side: int, tokenizer: PreTrainedTokenizerBase, limit: int | None) -> tuple[Dataset, StorySentences]:
    """Stories with frames of `side` pixels, and their sentences in all forms."""
    shape: dict[str, Any] = {"fit": s.fit, "background": s.background, "flip": s.flip, "window": s.window, "limit": limit, "num_proc": s.num_proc}
    forms = [load_stories(s.dataset, split, side, form, **shape, pictures=n == 0) for n, form in enumerate(s.text_form)]
    forms = fit_stories(forms, token_limit(tokenizer), s.long_sentences)
    return forms[0], read_sentences(forms, s.text_form, tokenizer, None)  # type: ignore[arg-type]


def drawn_pairs(lengths: Tensor, rows: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` frames of each of B stories, and for each another frame, as numbers (B, count) in a list of the frames of all stories: of the same
    story in half of the cases, if it has another, else of the story before it in the batch."""
    starts, own = (lengths.cumsum(0) - lengths)[rows, None], lengths[rows, None]
    position = draw_positions(lengths[rows], count, generator)
    chance, same = torch.rand(2, *position.shape, generator=generator)
    distance = 1 + (chance * (own - 1)).long().minimum((own - 2).clamp(min=0))
    frames = starts + position
    return frames, torch.where((same < 0.5) & (own > 1), starts + (position + distance) % own, frames.roll(1, 0))


@torch.no_grad()
def validate(s: Settings, model: Matching, side: int, tokenizer: PreTrainedTokenizerBase, step: int, device: torch.device) -> None:
    """Measures on validation stories, in each form, how often the own frame of a sentence is told from another; prints and writes accuracy.json."""
    limit = min(s.validate_stories, s.limit or s.validate_stories)
    data, sentences = read_split(s, held_out_split(s.dataset), side, tokenizer, limit)
    lengths, pictures = torch.tensor(story_lengths(data)), to_float(decode_frames(data, s.workers))
    own, other = (x.flatten() for x in drawn_pairs(lengths, torch.arange(len(data)), int(lengths.max()), step_generator(s.seed, 0)))
    values = {}
    for n, form in enumerate(s.text_form):
        parts = [
            model(sentences.ids[n, a].to(device), sentences.mask[n, a].to(device), pictures[b].to(device)).softmax(1)[:, 1].cpu()
            for shown in (own, other)
            for a, b in zip(own.split(64), shown.split(64), strict=True)
        ]
        right, wrong = torch.cat(parts).chunk(2)
        values[form] = {
            "right": ((right > 0.5).float().mean() + (wrong <= 0.5).float().mean()).item() / 2,
            "ranked": (right > wrong).float().mean().item(),
        }
    write_text(s.output / "accuracy.json", json.dumps({"step": step, "pairs": len(own), "validation": values}, indent=1))
    print("validation | " + " | ".join(f"{form} {100 * value['right']:.1f} % right" for form, value in values.items()))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
