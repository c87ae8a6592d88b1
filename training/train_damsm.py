"""Trains a text and an image encoder to match sentences with their frames within a batch (DAMSM of AttnGAN, Xu et al. 2018).

    accelerate launch training/train_damsm.py                        # ToonStories, 64 px; the result is runs/damsm/damsm
    accelerate launch training/train_damsm.py --max-minutes 5        # the same command resumes the run
    accelerate launch training/train_damsm.py --dataset toonstories-2 --resolution 128 --pixel-shuffle 4 --limit 14000 --vocab-size 3000 \
        --output runs/toon2-damsm                                    # ToonStories 2

Each frame is matched with its sentence in a randomly chosen text form. A batch has two frames of each story: they share characters and background,
so telling these apart does not suffice. Frames are decoded once and kept as uint8 (1.2 GB for all 20,000 stories of 64 px). Light blur and noise make
the encoders robust to generated frames. The result, `<output>/damsm`, holds `text_encoder`, `image_encoder` (fp16 safetensors), `tokenizer`, and
`accuracy.json` with the sentence-frame cosine and the R-precision on validation stories. `story_ldm.encoders.damsm.load_damsm` opens it for
evaluation and, frozen, for the GANs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
import tyro
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor, nn
from transformers import CLIPTokenizer

from story_ldm.data.frames import decode_frames, to_float
from story_ldm.data.stories import held_out_split, load_stories, story_lengths
from story_ldm.encoders.damsm import DAMSMImageEncoder, DAMSMTextEncoder, damsm_loss, embed_frames, embed_sentences, load_damsm, tokenize
from story_ldm.encoders.sentences import train_tokenizer
from story_ldm.files import write_text
from story_ldm.metrics.matching import r_precision, sentence_frame_cosines
from story_ldm.model_folders import open_local
from story_ldm.reports.cards import write_training_section
from story_ldm.training.checkpoints import checkpoint_steps, load_checkpoint, save_checkpoint, save_component
from story_ldm.training.processes import run_script
from story_ldm.training.run import RunSettings, finish_run, run_record, start_run
from story_ldm.training.steps import StepBatches, draw_positions, local_rows, step_generator, warmup_cosine, whole_steps
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes


@dataclass
class Settings(RunSettings):
    output: Path = Path("runs/damsm")
    """Folder of the run: settings, checkpoints, and the finished `damsm`."""
    dataset: str = "toonstories"
    """Name, folder or hub name of the stories, as load_stories takes it; if it has one text form, that one is used for both."""
    resolution: int = 64
    """Side of the frames in pixels."""
    fit: Literal["crop", "pad"] = "crop"
    """How pictures that are not square are fitted: cropped to the centre, or padded with black."""
    background: str = "white"
    """Colour under transparent parts of pictures, by its CSS name or #rrggbb."""
    stories: int = 108_000
    """Number of stories to train on, counted with repetition."""
    batch: int = 32
    """Stories per step, over all processes."""
    frames: int = 2
    """Frames per story and step."""
    full: float = 0.5
    """Share of frames matched with the full form of their sentence; the others are matched with the referential form."""
    pixel_shuffle: int = 2
    """Side of the blocks of pixels that the image encoder reads at once; 4 at 128 pixels has as many regions as 2 at 64."""
    width: int = 128
    """D: width of words, sentences, regions and images."""
    embedding_width: int = 64
    """Width of the token embeddings."""
    dropout: float = 0.1
    """Share of embedding values dropped in training."""
    gammas: tuple[float, float, float] = (4.0, 5.0, 10.0)
    """γ1, γ2, γ3 of AttnGAN's Eqs. 9 to 11."""
    learning_rate: float = 2e-3
    """Peak learning rate."""
    warmup: int = 100
    """Steps of linear warm-up."""
    weight_decay: float = 1e-2
    """Decoupled weight decay."""
    noise: float = 0.08
    """Largest standard deviation of the noise added to frames in [-1, 1]."""
    vocab_size: int = 1000
    """Tokens of the tokenizer, not counting bytes."""
    max_length: int = 32
    """Nominal length limit stored in the tokenizer; the encoder itself reads sentences of any length."""
    log_every: int = 100
    """Steps between log lines."""
    validate_stories: int = 1000
    """Number of validation stories measured at the end."""
    workers: int = 2
    """Processes that decode frames."""


class Matcher(nn.Module):
    """Both encoders in one module, because DDP requires a single forward."""

    def __init__(self, text_encoder: DAMSMTextEncoder, image_encoder: DAMSMImageEncoder):
        super().__init__()
        self.text_encoder, self.image_encoder = text_encoder, image_encoder

    def forward(self, ids: Tensor, mask: Tensor, draws: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
        """ids, mask (B, L), dropout draws (B, L, E), frames (B, 3, H, W) → words (B, L, D), sentence (B, D), regions (B, N, D), image (B, D)"""
        return *self.text_encoder(ids, mask, draws), *self.image_encoder(frames)


def main(s: Settings) -> None:
    total = whole_steps(s.stories, s.batch)
    accelerator = start_run(s, "damsm", ("checkpoint_every", "validate_stories"))
    with accelerator.main_process_first():
        stories, forms = read_split(s, "train", s.limit)
        if not checkpoint_steps(s.output):
            tokenizer = train_tokenizer((sentence for form in forms for sentence in form), s.vocab_size, s.max_length)
            save_component(tokenizer, s.output / "tokenizer")
    tokenizer = open_local(CLIPTokenizer, s.output / "tokenizer")
    lengths = torch.tensor(story_lengths(stories))
    starts = lengths.cumsum(0) - lengths  # index of each story's first frame
    pictures = decode_frames(stories, s.workers)
    texts = [sentence for form in forms for sentence in form]  # frame f has sentences f and, in the full form, f + len(pictures)
    ids, mask = (x.int() for x in tokenize(tokenizer, texts))
    number: dict[str, int] = {}
    text_number = torch.tensor([number.setdefault(text, len(number)) for text in texts])  # equal for equal texts

    encoders = (
        DAMSMTextEncoder(len(tokenizer), s.width, s.embedding_width, s.dropout),
        DAMSMImageEncoder(s.width, sample_size=s.resolution, pixel_shuffle=s.pixel_shuffle),
    )
    model: nn.Module = Matcher(*encoders).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters, one = parameter_counts(text_encoder=encoders[0], image_encoder=encoders[1]), to_float(pictures[:1])
    accelerator.print(f"{sizes(parameters)} | forward {forward_flops(encoders[1], one) / 1e9:.2f} GFLOPs per frame")
    # eps above the rounding errors of gradients, which Adam's first steps would amplify to full steps (the mean gradient is 1e-3, clipped)
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.learning_rate, betas=(0.9, 0.99), eps=1e-6, weight_decay=s.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, s.warmup, total, floor=0.0))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    step = load_checkpoint(accelerator, s.output)["step"]

    batches = iter(StepBatches(len(stories), s.batch, s.seed, step))  # full batches: each process must know which sentences are equal
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output)
    model.train()
    while step < total and not watch.time_is_up(s.max_minutes):
        rows, generator = torch.tensor(next(batches)), step_generator(s.seed, step)
        frames = (starts[rows, None] + draw_positions(lengths[rows], s.frames, generator)).flatten()  # (B * frames,)
        text = frames + len(pictures) * (torch.rand(len(frames), generator=generator) < s.full)
        same = equal_pairs(text_number[text]) | equal_pairs(text_number[frames + len(pictures)])
        longest = int(mask[text].sum(1).max())
        draws = torch.rand(len(frames), ids.shape[1], s.embedding_width, generator=generator)[:, :longest]
        x = augment(pictures[frames], s.noise, generator)
        share = (local_rows(accelerator, part) for part in (ids[text, :longest].long(), mask[text, :longest].long(), draws, x))
        with accelerator.autocast():
            features = model(*share)
        words, sentence, regions, image = (gather_rows(accelerator, part) for part in features)
        loss, parts = damsm_loss(words, mask[text, :longest].to(words.device), sentence, regions, image, same.to(words.device), s.gammas)
        # each process computes the full loss, but the gradient of its own rows only, and DDP averages over processes
        accelerator.backward(loss * accelerator.num_processes)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, **parts)
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep)
    save_checkpoint(accelerator, s.output, step, s.keep)
    watch.leave_if_asked()
    if accelerator.is_main_process:
        product, trained = s.output / "damsm", accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        save_component(trained.text_encoder, product / "text_encoder", torch.float16)
        save_component(trained.image_encoder, product / "image_encoder", torch.float16)
        tokenizer.save_pretrained(product / "tokenizer")
        validate(s, product, step, accelerator.device)
        write_training_section(product, run_record(s), parameters, seen=step * s.batch, script="train_damsm.py")
        print(f"{step} of {total} steps done; {product} written")
    finish_run(accelerator, s, s.output / "damsm")


def read_split(s: Settings, split: str, limit: int | None) -> tuple[Dataset, list[list[str]]]:
    """Stories of a split with their frames, and all their sentences, in story order, in the referential and in the full form."""
    stories = load_stories(s.dataset, split, s.resolution, limit=limit, num_proc=s.num_proc, fit=s.fit, background=s.background)
    full = load_stories(s.dataset, split, text="full", limit=limit, pictures=False, num_proc=s.num_proc)
    if full["story_id"][:] != stories["story_id"][:]:
        raise SystemExit(f"--dataset is {s.dataset}; its text forms have different stories")
    return stories, [[sentence for sentences in form["sentences"] for sentence in sentences] for form in (stories, full)]


def equal_pairs(numbers: Tensor) -> Tensor:
    """(B,) → (B, B) bool: which pairs are equal."""
    return numbers[:, None] == numbers[None, :]


def augment(frames: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """uint8 frames (B, 3, H, W) → float in [-1, 1], a quarter of them blurred, plus one noise pattern with a random strength per frame."""
    x = to_float(frames)
    blur, strength = torch.rand(2, len(x), 1, 1, 1, generator=generator)
    x = torch.lerp(x, F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1), (4 * blur - 3).clamp(min=0))
    return (x + noise * (2 * strength - 1) * torch.randn(x.shape[1:], generator=generator)).clamp(-1, 1)


def gather_rows(accelerator: Accelerator, x: Tensor) -> Tensor:
    """Gathers (B / processes, …) of all processes to (B, …); gradients flow through this process's own rows only."""
    if accelerator.num_processes == 1:
        return x
    parts = list(accelerator.gather(x.detach()).chunk(accelerator.num_processes))
    parts[accelerator.process_index] = x
    return torch.cat(parts)


def validate(s: Settings, product: Path, step: int, device: torch.device) -> None:
    """Measures cosine and R-precision of the saved weights on validation stories in the full form; prints them and writes accuracy.json."""
    text_encoder, image_encoder, tokenizer = load_damsm(product)
    stories, (_, texts) = read_split(s, held_out_split(s.dataset), min(s.validate_stories, s.limit or s.validate_stories))
    sentence = embed_sentences(text_encoder.to(device), tokenizer, texts)
    image_encoder.to(device)
    image = torch.cat([embed_frames(image_encoder, to_float(part)) for part in decode_frames(stories, s.workers).split(1024)])
    values = {
        "stories": len(stories),
        "frames": len(texts),
        "distinct_sentences": len(set(texts)),
        "cosine_x100": 100 * sentence_frame_cosines(sentence, image).double().mean().item(),
        "r_precision": r_precision(sentence, image, texts).double().mean().item() if len(set(texts)) > 1 else None,
    }
    write_text(product / "accuracy.json", json.dumps({"step": step, "validation": values}, indent=1))
    print("validation | " + " | ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
