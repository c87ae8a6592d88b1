"""Trains the text encoder and the language memory on text alone: to predict the facts of sentence m from the sentences up to m.

    accelerate launch training/train_language_memory.py            # minutes on a CPU; then train_story_ldm.py --text runs/language

The targets are facts derived from the labels ("Rosa", "at beach", "Rosa garments red"), which the full form of the text states and the
referential form leaves to be inferred. Steps alternate between story lengths, to extend memory beyond the length of one training story.
The results are `<output>/{tokenizer,text_encoder,language_memory}` and the head that predicts the facts, for the text loss of train_story_ldm.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.stories import fit_stories, held_out_split, load_stories, story_lengths, tested_split
from story_ldm.data.toonstories import FROZEN_FORMS
from story_ldm.encoders.facts import fact_table, story_facts, text_loss
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.limits import token_limit
from story_ldm.encoders.sentences import encode_stories, new_text_encoder, tokenize_sentences, train_tokenizer
from story_ldm.files import written_beside
from story_ldm.model_folders import is_single_file, open_local
from story_ldm.reports.cards import write_training_section
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.stable_diffusion import open_stable_diffusion
from story_ldm.training.checkpoints import checkpoint_steps, load_checkpoint, save_checkpoint, save_component
from story_ldm.training.processes import run_script
from story_ldm.training.run import RunSettings, finish_run, one_of, run_record, start_run
from story_ldm.training.steps import StepBatches, local_part, padded_frames, warmup_cosine, whole_steps
from story_ldm.training.watch import Watch, forward_flops, parameter_counts, sizes


@dataclass
class Settings(RunSettings):
    output: Path = Path("runs/language")
    """Folder of the run: settings, checkpoints, and the finished tokenizer, text encoder, language memory and fact head."""
    preset: Annotated[str, one_of(PRESETS)] = "toon-64"
    """Sizes of the model (story_ldm/systems/story_ldm/presets.py)."""
    dataset: str = "toonstories"
    """Name, folder or hub name of the stories, as load_stories takes it."""
    window: int | None = None
    """Cut stories into windows of this many frames; shorter stories stay whole."""
    text_from: Path | None = None
    """A pipeline whose tokenizer and text encoder to use, frozen: a folder, or a Stable Diffusion in one .safetensors file. By default both are
    trained from scratch."""
    stories: int = 400_000
    """Number of stories to train on, counted with repetition."""
    long_sentences: LongSentences = "error"
    """What to do with sentences that are longer than the text encoder of --text-from reads: error, cut them, or skip their stories."""
    lengths: tuple[int, ...] = (5, 5, 5, 12)
    """Story lengths of the built-in world, one per step in turn."""
    batch: int = 48
    """Stories per step, over all processes."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps of linear warm-up."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    log_every: int = 100
    """Steps between log lines."""


class FactPredictor(nn.Module):
    """Predicts facts from sentences, in one module, because DDP requires a single forward."""

    def __init__(self, text_encoder: CLIPTextModel, language_memory: LanguageMemory, facts: int):
        super().__init__()
        self.text_encoder, self.language_memory = text_encoder, language_memory
        self.head = nn.Linear(language_memory.config.width, facts)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids, mask (B, M, L) → logits (B, M, F)"""
        return self.head(encode_stories(self.text_encoder, self.language_memory, ids.long(), mask.long()).pooled)


class Corpus(NamedTuple):
    """The S sentences of N stories, story after story."""

    ids: Tensor  # (S, L)
    mask: Tensor  # (S, L)
    facts: Tensor  # (S, F) bool
    lengths: Tensor  # (N,): sentences of each story

    def batch(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """ids, mask (B, M, L), facts (B, M, F) and weights (B, M) of these stories, padded to the longest of them."""
        index, weight = padded_frames(self.lengths, rows)
        return self.ids[index], self.mask[index], self.facts[index], weight


def text_of_start(start: Path, **settings: Any) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Tokenizer and text encoder of --text-from. settings: of `open_single_file`. Raises ValueError for a Stable Diffusion XL."""
    if is_single_file(start):
        sd = open_stable_diffusion(start, **settings)
        tokenizer, text_encoder, xl = sd.tokenizer, sd.text_encoder, isinstance(sd, StableDiffusionXLPipeline)
    else:
        xl = (start / "text_encoder_2").is_dir()
        tokenizer = open_local(CLIPTokenizer, start / "tokenizer")
        text_encoder = open_local(CLIPTextModel, start / "text_encoder", dtype=torch.float32)
    if xl:
        raise ValueError(f"--text-from is {start}, a Stable Diffusion XL, which has two text encoders; its language memory is trained with the UNet")
    return tokenizer, text_encoder


def read_corpus(
    s: Settings, tokenizer: CLIPTokenizer, length: int | None, split: str, fact_names: list[str] | None = None
) -> tuple[Corpus, list[str]]:
    """The sentences of a split and the F fact names, by default all that occur in it. length: of the built-in world's stories."""
    data = load_stories(s.dataset, split, limit=s.limit, length=length, pictures=False, num_proc=s.num_proc, window=s.window)
    [data] = fit_stories([data], token_limit(tokenizer), s.long_sentences)
    facts = [facts for row in data for facts in story_facts(row, data.features)]
    fact_names = fact_names or sorted(set().union(*facts))
    ids, mask = tokenize_sentences(tokenizer, [sentence for story in data["sentences"] for sentence in story])
    return Corpus(ids.int(), mask.bool(), fact_table(facts, fact_names), torch.tensor(story_lengths(data))), fact_names


def new_tokenizer(s: Settings, min_length: int) -> CLIPTokenizer:
    """A tokenizer trained on the train split. Its length limit is that of the longest sentence of all splits, but at least `min_length`."""
    splits = dict.fromkeys(("train", held_out_split(s.dataset), tested_split(s.dataset)))
    read: dict[str, Any] = {"limit": s.limit, "pictures": False, "num_proc": s.num_proc}
    sentences = {
        split: [x for text in FROZEN_FORMS for story in load_stories(s.dataset, split, text=text, **read)["sentences"] for x in story]
        for split in splits
    }
    tokenizer = train_tokenizer(sentences["train"], max_length=min_length)
    ids = tokenizer(list({x for part in sentences.values() for x in part})).input_ids
    tokenizer.model_max_length = max(min_length, max(map(len, ids)))
    return tokenizer


def main(s: Settings) -> None:
    total = whole_steps(s.stories, s.batch)
    preset = PRESETS[s.preset]()
    if "text_2" in preset:
        raise ValueError(f"--preset is {s.preset}, which has two text encoders; its language memory is trained with the UNet, by train_story_ldm.py")
    accelerator = start_run(s, "language-memory", ("stories", "checkpoint_every"))
    with accelerator.main_process_first():
        if s.text_from is None and not checkpoint_steps(s.output):
            save_component(new_tokenizer(s, preset["max_length"]), s.output / "tokenizer")
    frozen = None
    if s.text_from is None:
        tokenizer = open_local(CLIPTokenizer, s.output / "tokenizer")
    else:
        tokenizer, frozen = text_of_start(s.text_from)
    by_length, names = dict[int, Corpus](), list[str]()
    for length in dict.fromkeys(s.lengths):
        by_length[length], names = read_corpus(s, tokenizer, length, "train", names)
    first = by_length[s.lengths[0]]

    text_encoder, settings = new_text_encoder(tokenizer, **preset["text"]), preset["language_memory"]
    if frozen is not None:
        text_encoder = frozen.requires_grad_(False)
        settings = {**settings, "width": text_encoder.config.hidden_size, "heads": text_encoder.config.num_attention_heads}
    model = FactPredictor(text_encoder, LanguageMemory(**settings), len(names))
    parameters = parameter_counts(text_encoder=text_encoder, language_memory=model.language_memory, fact_head=model.head)
    accelerator.print(f"{sizes(parameters)} | forward {forward_flops(model, *first.batch([0])[:2]) / 1e9:.2f} GFLOPs per story")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=s.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, s.warmup, total))
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    step = load_checkpoint(accelerator, s.output)["step"]

    batches = iter(StepBatches(len(first.lengths), s.batch, s.seed, step))  # full batches: all processes pad to the same length
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output)
    while step < total and not watch.time_is_up(s.max_minutes):
        batch = by_length[s.lengths[step % len(s.lengths)]].batch(next(batches))
        ids, mask, facts, weight = (x[local_part(accelerator, s.batch)].to(accelerator.device) for x in batch)
        with accelerator.autocast():
            logits = model(ids, mask)
        loss = text_loss(logits, facts, weight)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        exact = (((logits > 0) == facts).all(-1) * weight).mean()
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, exact=exact)
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep)
    save_checkpoint(accelerator, s.output, step, s.keep)
    watch.leave_if_asked()
    if accelerator.is_main_process:
        parts = accelerator.unwrap_model(model)
        if s.text_from is not None:
            tokenizer.save_pretrained(s.output / "tokenizer")
        validate(s, parts, tokenizer, names, accelerator.device)
        save_component(parts.text_encoder, s.output / "text_encoder")
        save_component(parts.language_memory, s.output / "language_memory")
        with written_beside(s.output / "fact_head.safetensors") as partial:
            save_file(parts.head.state_dict(), partial, {"facts": "\n".join(names)})
        write_training_section(s.output, run_record(s), parameters, seen=step * s.batch, script="train_language_memory.py")
    finish_run(accelerator, s, s.output)


@torch.no_grad()
def validate(s: Settings, model: FactPredictor, tokenizer: CLIPTokenizer, names: list[str], device: torch.device) -> None:
    """Prints, for each kind of fact, the share of validation sentences with all facts of that kind predicted correctly."""
    corpus, _ = read_corpus(s, tokenizer, None, held_out_split(s.dataset), names)
    kinds = {
        "characters": [i for i, n in enumerate(names) if " " not in n],
        "place": [i for i, n in enumerate(names) if n.startswith("at ")],
        "garments": [i for i, n in enumerate(names) if " garments " in n],
        "actions": [i for i, n in enumerate(names) if " actions " in n],
        "props": [i for i, n in enumerate(names) if " props " in n],
    }
    parts = []
    for rows in torch.arange(len(corpus.lengths)).split(100):
        ids, mask, facts, weight = corpus.batch(rows.tolist())
        parts.append(((model(ids.to(device), mask.to(device)) > 0).cpu() == facts)[weight > 0])
    correct = torch.cat(parts)  # (S, F)
    print(" | ".join(f"{kind} {correct[..., columns].all(-1).float().mean():.4f}" for kind, columns in kinds.items() if columns))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
