"""Trains the reader on text alone: to say who is to be seen, where, in what, doing what and holding what, sentence by sentence.

    accelerate launch training/train_reader.py                        # hours on a CPU; then train_story_ldm.py --reader runs/reader/reader
    accelerate launch training/train_reader.py --max-minutes 20       # the same command resumes the run
    accelerate launch training/train_reader.py --dataset toonstories-2 --output runs/reader-2     # of the picture-book world

The stories are those of a built-in world, as many different ones as the run is long, most in the form `free`, and tales with their gaps filled in
anew each time (`data/toonstories/tales.py`). The targets are what their sentences tell (`data/toonstories/told.py`, and the other world's beside it).
Steps alternate between story lengths. The result is `<output>/reader`, heads included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor
from torch.utils.data import DataLoader

from story_ldm.data.toonstories.tales import LONGEST, told_tale
from story_ldm.data.toonstories.told import CANDIDATES, ToldStory, ToldWorld, told_story
from story_ldm.data.toonstories2.told import TOLD_WORLDS
from story_ldm.encoders.reader import MAX_WORDS, PAD, UNKNOWN, WORD, Reader, split_words
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.files import write_text
from story_ldm.metrics.understanding import percent, told_frames, understanding_counts
from story_ldm.model_folders import open_local
from story_ldm.reports.cards import write_training_section
from story_ldm.training.checkpoints import checkpoint_steps, load_checkpoint, save_checkpoint, save_component
from story_ldm.training.optimizers import muon_groups, new_optimizer
from story_ldm.training.processes import run_script
from story_ldm.training.run import RunSettings, finish_run, run_record, start_run
from story_ldm.training.sharding import MovingAverage
from story_ldm.training.steps import local_part, step_generator, warmup_stable_decay, whole_steps
from story_ldm.training.watch import Watch, forward_flops, ignore_signals, parameter_counts, sizes


@dataclass
class Settings(RunSettings):
    output: Path = Path("runs/reader")
    """Folder of the run: settings, checkpoints, and the finished `reader`."""
    dataset: Literal["toonstories", "toonstories-2"] = "toonstories"
    """Built-in world whose stories are read, and whose labels the reader has."""
    init_from: Path | None = None
    """A trained reader to start from; its sizes stay, and words that it lacks are added."""
    pretrained: Path | None = None
    """Folder of a pretrained BERT (config.json, model.safetensors, vocab.txt) that reads the words, too, and stays frozen."""
    pretrained_layers: int = 4
    """Its first layers that are used."""
    pretrained_pieces: int = 20_000
    """Its first pieces of English words that are used; the others are spelled by shorter ones."""
    split: str = "train_wide"
    """Split of the built-in world."""
    tales: float = 0.5
    """Share of the stories that are tales, apart from those of --names, in steps whose stories are no longer than tales are."""
    names: float = 0.2
    """Share of the stories, half of them tales where these are long enough, that are chosen for mentioning characters in another order than they
    appeared in."""
    free: float = 0.8
    """Share of the other stories in the form free; two thirds of the rest are referential, one third full."""
    lengths: tuple[int, ...] = (5, 3, 6, 4, 8, 5, 7, 12)
    """Story lengths, one per step in turn."""
    stories: int = 200_000
    """Number of stories to train on. Without a --limit they are different, but for those of --names, which are chosen from the same ones."""
    batch: int = 32
    """Stories per step, over all processes."""
    width: int = 192
    """Width of the vectors of words and slots."""
    token_layers: int = 2
    """Layers that a sentence passes before the slots read it."""
    layers: int = 3
    """Layers that the slots pass per sentence."""
    positions: Literal["rotary", "absolute"] = "rotary"
    """Positions of the words of a sentence; absolute ones bind colours to wearers no better than chance."""
    learning_rate: float = 1.5e-3
    """Peak learning rate, of Muon for the matrices and of AdamW for the rest."""
    warmup: int = 100
    """Steps of linear warm-up."""
    decay: float = 0.5
    """Share of the run, at its end, over which the learning rate falls linearly to zero."""
    word_dropout: float = 0.25
    """Highest share of words that lose their own vector, and of those that lose their letter n-grams, in a step."""
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is what the finished reader has."""
    vocabulary: int = 8000
    """Number of stories whose words, if they occur three times, get vectors of their own."""
    workers: int = 1
    """Processes that write stories."""


SHOWN = ("seen", "kinds", "garments", "actions", "faces", "places", "times", "weathers", "mentions")  # losses in the log


def forms_of(s: Settings, step: int, count: int, tales: float) -> list[str]:
    """The form of each of a step's stories; tales and the choice for names count as one."""
    draws = torch.rand(count, 2, generator=step_generator(s.seed, step, 1)).tolist()
    others = [(s.free, "free"), (s.free + (1 - s.free) * 2 / 3, "referential"), (1.0, "full")]
    return ["tales" if y < tales else "names" if y < tales + s.names else next(form for share, form in others if x < share) for x, y in draws]


def told(world: ToldWorld, seed: int, split: str, number: int, form: str, length: int | None, characters: int = 4) -> ToldStory:
    if form == "tales":
        return told_tale(seed, split, number, length, characters, world=world)
    if form == "names" and number % 2 and (length or 1) <= LONGEST:
        return told_tale(seed, split, number, length, characters, CANDIDATES, world)
    return told_story(seed, split, number, form, length, characters, world)


class StoryStream(torch.utils.data.Dataset):
    """Item (number, form, length) is that story, with what it tells."""

    def __init__(self, s: Settings, characters: int):
        self.s, self.characters = s, characters

    def __getitem__(self, key: tuple[int, str, int]) -> ToldStory:
        number, form, length = key
        if self.s.limit:
            number %= max(1, self.s.limit // CANDIDATES) if form == "names" else self.s.limit
        return told(TOLD_WORLDS[self.s.dataset], self.s.seed, self.s.split, number, form, length, self.characters)


def keys(s: Settings, start: int, rank: int, world: int) -> Iterator[list[tuple[int, str, int]]]:
    """The stories of this process in each step from `start` on."""
    share, step = s.batch // world, start
    while True:
        length = s.lengths[step % len(s.lengths)]
        forms = forms_of(s, step, s.batch, s.tales if length <= LONGEST else 0.0)
        yield [(step * s.batch + n, forms[n], length) for n in range(rank * share, (rank + 1) * share)]
        step += 1


def collate(reader: Reader) -> Callable[[list[ToldStory]], tuple[Tensor, Tensor, dict[str, Tensor]]]:
    def together(stories: list[ToldStory]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        facts = {name: torch.tensor([story.facts[name] for story in stories]) for name in stories[0].facts}
        tokens, mask = reader.tokenize([story.sentences for story in stories])
        facts["mentions"] = torch.zeros(len(stories), mask.shape[1], reader.config.characters, mask.shape[2], dtype=torch.int8)
        for n, story in enumerate(stories):
            for m, frame in enumerate(story.mentions):
                for words, slots in frame:
                    for slot in slots:
                        of_slot = facts["mentions"][n, m, slot]
                        of_slot[words.start : words.stop] = of_slot.max() + 1
        return tokens, mask, facts

    return together


def drop_words(tokens: Tensor, draws: Tensor, share: float) -> Tensor:
    """Tokens (B, M, L, columns) of which a share has lost its word's row, and as many their n-grams; no word loses both, and a word without
    a row, as most names are, keeps its n-grams. draws: (2, B, M, MAX_WORDS) in [0, 1)."""
    dropped = draws[..., : tokens.shape[2]] < share
    words, grams, rest = tokens[..., :1], tokens[..., 1:WORD], tokens[..., WORD:]
    keeps_row = ~dropped[0][..., None] & (words > UNKNOWN)
    words = torch.where(dropped[0][..., None] & (words != PAD), UNKNOWN, words)
    return torch.cat([words, torch.where(dropped[1][..., None] & keeps_row, PAD, grams), rest], -1)


def check(s: Settings) -> None:
    """Raises ValueError for settings that are out of range."""
    for name, value in (
        ("--tales", s.tales),
        ("--names", s.names),
        ("--tales and --names together", s.tales + s.names),
        ("--free", s.free),
        ("--word-dropout", s.word_dropout),
        ("--decay", s.decay),
    ):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be between 0 and 1")
    if not s.lengths or min(s.lengths) < 1:
        raise ValueError(f"--lengths is {s.lengths}; it must be at least one length, each of at least 1 frame")
    if s.split not in ("train", "train_wide"):
        raise ValueError(f"--split is {s.split!r}; it must be train or train_wide: the others are for evaluation")


def main(s: Settings) -> None:
    check(s)
    world = TOLD_WORLDS[s.dataset]
    total = whole_steps(s.stories, s.batch)
    accelerator = start_run(s, "reader", ("stories", "checkpoint_every"))
    file = s.output / "words.txt"  # kept for the run to go on with, whatever becomes of the grammar
    if not (file.exists() and checkpoint_steps(s.output)):
        if accelerator.is_main_process:
            write_text(file, "\n".join(frequent_words(s)))
        accelerator.wait_for_everyone()
    words = file.read_text(encoding="utf-8").split("\n")
    if s.init_from is not None:
        reader = open_local(Reader, s.init_from)
        if reader.config.labels != world.labels or reader.config.characters < len(world.letters):
            raise ValueError(f"--init-from is {s.init_from}; its reader must have the labels of {s.dataset} and {len(world.letters)} characters")
        reader = reader.with_words(words)
    else:
        reader = Reader(words=words, labels=world.labels, width=s.width, token_layers=s.token_layers, layers=s.layers, positions=s.positions)
    if s.pretrained is not None:
        reader = reader.with_pretrained(s.pretrained, s.pretrained_layers, s.pretrained_pieces)
    parameters = parameter_counts(reader=reader, tables=torch.nn.ModuleList([reader.word, reader.ngram]))
    stream = StoryStream(s, reader.config.characters)
    tokens, mask, _ = collate(reader)([stream[n, "free", 5] for n in range(8)])
    with torch.no_grad():
        accelerator.print(f"{sizes(parameters)} | forward {forward_flops(reader, tokens, mask) / len(tokens) / 1e9:.2f} GFLOPs per story")
    tables = ("word", "ngram", "which", "start", "position", "character_head", "place_head", "same_word", "known_word")
    optimizer = new_optimizer("muon", muon_groups(reader, tables), lr=s.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_stable_decay(step, s.warmup, total, s.decay))
    model, optimizer = accelerator.prepare(reader, optimizer)
    ema = MovingAverage(model.parameters(), decay=s.ema_decay, use_ema_warmup=True, power=0.75)
    accelerator.register_for_checkpointing(schedule, ema)
    step = load_checkpoint(accelerator, s.output)["step"]
    ema.to(accelerator.device)

    loader = DataLoader(
        stream,
        batch_sampler=keys(s, step, accelerator.process_index, accelerator.num_processes),
        num_workers=s.workers,
        worker_init_fn=ignore_signals,
        collate_fn=collate(reader),
    )
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output)
    model.train()
    for tokens, mask, facts in loader:
        if step >= total or watch.time_is_up(s.max_minutes):
            break
        generator = step_generator(s.seed, step)
        dropout = s.word_dropout * float(torch.rand((), generator=generator))
        draws = torch.rand(s.batch, 2, tokens.shape[1], MAX_WORDS, generator=generator)
        tokens = drop_words(tokens, draws[local_part(accelerator, s.batch)].transpose(0, 1), dropout)
        facts = {name: values.to(accelerator.device) for name, values in facts.items()}
        with accelerator.autocast():
            _, logits = model(tokens.to(accelerator.device), mask.to(accelerator.device))
        loss, losses = reading_loss(logits, facts)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ema.step(model.parameters())
        step += 1
        shown = {name: losses[name] for name in SHOWN if name in losses}
        watch.tick(step, step * s.batch, s.batch, schedule.get_last_lr()[0], loss=loss, **shown)
        if step % s.checkpoint_every == 0:
            save_checkpoint(accelerator, s.output, step, s.keep)
    save_checkpoint(accelerator, s.output, step, s.keep)
    watch.leave_if_asked()
    if accelerator.is_main_process:
        ema.copy_to(reader.parameters())
        validate(reader.eval(), world)
        save_component(reader, s.output / "reader")
        write_training_section(s.output / "reader", run_record(s), parameters, seen=step * s.batch, script="train_reader.py")
        print(f"{step} of {total} steps done; {s.output / 'reader'} written")
    finish_run(accelerator, s, s.output / "reader")


def frequent_words(s: Settings) -> list[str]:
    """Words that occur at least three times in the first `vocabulary` stories, the most frequent first."""
    stories = (told(TOLD_WORLDS[s.dataset], s.seed, s.split, n, form, None) for n, form in enumerate(forms_of(s, 0, s.vocabulary, s.tales)))
    seen = Counter(word for story in stories for sentence in story.sentences for word in split_words(sentence))
    return [word for word, count in sorted(seen.items(), key=lambda item: (-item[1], item[0])) if count >= 3]


def validate(reader: Reader, world: ToldWorld, stories: int = 300) -> None:
    """Prints, for each form, how much of what validation stories tell is understood, in percent."""
    for form in ("tales", "free", "referential", "full"):
        said = [told(world, 0, "validation", n, form, None) for n in range(stories)]
        rates = percent(understanding_counts(map(partial(told_frames, world=world), said), reader.understand([story.sentences for story in said])))
        print(" | ".join([form, *(f"{fact} {value:.1f} %" for fact, value in rates.items())]))


if __name__ == "__main__":
    run_script(main, tyro.cli(Settings, description=__doc__.split("\n")[0]))
