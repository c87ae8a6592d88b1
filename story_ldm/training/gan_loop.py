"""Training loop of the GANs. A GAN's script supplies its networks and functions as a `GANSystem`:

    preset, training = resolve(s, PRESETS)                                 # gan_settings.py: sizes, and values of open settings
    run = start_gan(s, "my-gan", preset["resolution"], training)           # processes, frozen networks, stories
    generator, discriminator = …                                           # built from the preset
    system = GANSystem(generator=generator, kinds={"frame": StepKind(discriminator=discriminator, batch=…, seed=…)}, step=…, pipeline=…, …)
    steps = train_gan(run, system)                                         # trains, resumes, validates, saves <output>/pipeline with its card
    finish_run(run.accelerator, s, s.output / "pipeline")

See training/train_dynamic_block_gan.py for one discriminator and training/train_story_gan.py for two.

An iteration runs the steps of each kind in turn. Each step updates the discriminator of its kind, then the generator. The pipeline gets the averaged
weights that are best on validation stories by the product of FID and FSD on the frame evaluator's features. It is a product because FID and FSD have
different units, on which the ranking by products does not depend.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from diffusers import DiffusionPipeline
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from story_ldm.data.frames import decode_frames
from story_ldm.data.pictures import save_picture
from story_ldm.data.stories import fit_stories, held_out_split, load_stories, one_length, tested_split
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.encoders.limits import encoder_limit
from story_ldm.encoders.sentence_vectors import load_sentence_encoder
from story_ldm.files import model_folder, write_text
from story_ldm.metrics.frechet import frame_features, frechet_distance, story_features
from story_ldm.model_folders import open_local
from story_ldm.nn.norms import settle_statistics
from story_ldm.reports.cards import set_section, write_model_card
from story_ldm.reports.strips import story_sheet
from story_ldm.training.adversarial import Players, find_trouble
from story_ldm.training.checkpoints import load_checkpoint, save_checkpoint, stop_training
from story_ldm.training.gan_settings import MAY_CHANGE, GANSettings
from story_ldm.training.processes import any_process
from story_ldm.training.run import run_record, start_run
from story_ldm.training.steps import StepBatches, halved, whole_steps
from story_ldm.training.watch import Watch


@dataclass
class Stories:
    """Stories of a split that all have one length M, and their frames (N, M, 3, H, W) uint8."""

    data: Dataset
    frames: Tensor

    @property
    def sentences(self) -> list[list[str]]:
        return self.data["sentences"][:]


@dataclass(kw_only=True)
class GANRun:
    """A started run: its processes, the frozen networks, and the stories for training, validation, the discriminators' accuracy (judged) and
    samples/."""

    settings: GANSettings
    training: dict[str, Any]
    accelerator: Accelerator
    text_encoder: nn.Module
    tokenizer: PreTrainedTokenizerBase
    evaluator: FrameEvaluator | None
    train: Stories
    held_out: Stories | None
    judged: Stories
    judged_split: str
    sample_sentences: list[list[str]]


@dataclass(kw_only=True)
class StepKind:
    """Steps of one discriminator and the generator. batch: stories per step, over all processes. seed: for the order of the stories. repeats: steps
    of this kind per iteration."""

    discriminator: nn.Module
    batch: int
    seed: int
    repeats: int = 1


@dataclass(kw_only=True)
class Table:
    """Numbers measured at each log line, stored in checkpoints and written to `<name>.json`. row: measures the generator with averaged weights, in
    the main process only."""

    name: str
    columns: list[str]
    row: Callable[[Any], list[float]]


@dataclass(kw_only=True)
class GANSystem:
    """A GAN for `train_gan`: its networks and functions, and the texts of its card."""

    title: str
    """Heading of the card."""
    script: str
    """File name of the training script, for the card."""
    generator: nn.Module
    kinds: dict[str, StepKind]
    """Kinds of steps, in the order of an iteration. Each name is a prefix in the log: image → image_loss."""
    step: Callable[[str, int, Tensor, Players], dict[str, Tensor]]
    """(kind, number of the step of this kind, this process's rows of run.train, networks and optimizers) → values to log, including those of
    `adversarial_step`. All randomness must be a function of the seed, the kind and the number."""
    stories_per_iteration: int
    """Stories counted per iteration."""
    pipeline: Callable[[nn.Module], DiffusionPipeline]
    """Generator → pipeline."""
    statistics_inputs: Callable[[], Iterable[tuple]]
    """Inputs of the generator, this process's part of each batch, over which its batch norms take their statistics."""
    curve: tuple[str, ...]
    """Logged values that the card lists."""
    parameters: dict[str, int]
    """Number of parameters of each network, for the card."""
    table: Table | None = None


def start_gan(
    s: GANSettings, project: str, resolution: int, training: dict[str, Any], may_change: tuple[str, ...] = (), always_held_out: bool = False
) -> GANRun:
    """Load the frozen networks, claim the run's folder, and read the stories. training: resolved values, recorded instead of open settings.
    may_change: settings of this script that may differ when the run is resumed. always_held_out: read held-out stories even without validation."""
    text_encoder, tokenizer = load_sentence_encoder(model_folder(s.text))
    evaluator = open_local(FrameEvaluator, model_folder(s.evaluator), dtype=torch.float32).eval() if s.validate_every else None
    accelerator = start_run(s, project, (*MAY_CHANGE, *may_change), **training)
    text_encoder.to(accelerator.device)
    judged_split = s.judged_split or tested_split(s.dataset)
    shape: dict[str, Any] = {"fit": s.fit, "background": s.background, "window": s.window, "short": "drop", "num_proc": s.num_proc}
    fit = encoder_limit(text_encoder, tokenizer), s.long_sentences
    with accelerator.main_process_first():
        few = {"judged": (judged_split, s.judged_stories)}
        if s.validate_every or always_held_out:
            few = {"held_out": (held_out_split(s.dataset), s.validate_stories)} | few
        parts = {"train": fit_stories([load_stories(s.dataset, "train", resolution, s.text_form, limit=s.limit, flip=s.flip, **shape)], *fit)[0]}
        for name, (split, count) in few.items():
            data = load_stories(s.dataset, split, resolution, s.text_form, limit=(count := min(count, s.limit or count)), **shape)
            [parts[name]] = fit_stories([data.select(range(min(count, len(data))))], *fit)  # --window may cut a story into several
        sentences = first_sentences(s.dataset, s.sample_stories, s.text_form, s.window, fit) if s.sample_every else []
    # Each decoding advances torch's global generator, on which the networks' initial weights depend.
    stories = {name: Stories(data, decode_frames(data, s.workers).unflatten(0, (-1, one_length(data)))) for name, data in parts.items()}
    return GANRun(
        settings=s,
        training=training,
        accelerator=accelerator,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        evaluator=evaluator,
        train=stories["train"],
        held_out=stories.get("held_out"),
        judged=stories["judged"],
        judged_split=judged_split,
        sample_sentences=sentences,
    )


def first_sentences(dataset: str, count: int, text_form: str, window: int | None, fit: tuple = (None, "error")) -> list[list[str]]:
    """Sentences of the first held-out stories, cut into stories of `window` frames if it is set. fit: the last two arguments of `fit_stories`."""
    shape: dict = {"limit": None if fit[1] == "skip" else count, "window": window, "short": "drop"}  # skip: some may be left out
    stories = load_stories(dataset, held_out_split(dataset), text=text_form, pictures=False, **shape)
    return fit_stories([stories], *fit)[0]["sentences"][:count]


def train_gan(run: GANRun, system: GANSystem) -> int:
    """Train until all stories are seen or `--max-minutes` have passed, and save the pipeline with its card. Returns the number of iterations done.

    In fp16 all optimizers share accelerate's one loss scale, which each of their steps updates. This is correct here, because each backward pass is
    followed by the step of its own optimizer, which then clears its gradients; an overflow skips that step."""
    s, accelerator, kinds, per_iteration = run.settings, run.accelerator, system.kinds, system.stories_per_iteration
    ema, best = EMAModel(system.generator.parameters(), decay=s.ema_decay, use_ema_warmup=True, power=0.75, foreach=True), Best()
    rates = {"generator": run.training["learning_rate"]} | dict.fromkeys(kinds, run.training["discriminator_learning_rate"])
    networks = {"generator": system.generator} | {name: kind.discriminator for name, kind in kinds.items()}
    optimizers = {name: torch.optim.Adam(network.parameters(), betas=(0.5, 0.999), fused=True) for name, network in networks.items()}
    for name in networks:
        networks[name], optimizers[name] = accelerator.prepare(networks[name], optimizers[name])
    generator = networks["generator"]
    players = {kind: Players(generator, networks[kind], optimizers["generator"], optimizers[kind]) for kind in kinds}

    accelerator.register_for_checkpointing(ema, best)
    progress = load_checkpoint(accelerator, s.output)
    ema.to(accelerator.device)
    step, since = progress["step"], progress.get("since", {})
    tables = ["curve", "scores"] + ([system.table.name] if system.table else [])
    facts = {"since": since, **{name: progress.get(name, []) for name in tables}}
    here = accelerator.process_index, accelerator.num_processes
    rows = {name: iter(StepBatches(len(run.train.data), k.batch, k.seed, step * k.repeats, *here)) for name, k in kinds.items()}
    total = whole_steps(s.stories, per_iteration)
    watch = Watch(accelerator, s.stories, s.log_every, run=s.output, frames=run.train.frames.shape[1])

    def averaged(weights: Iterable[Tensor]) -> nn.Module:
        return averaged_copy(accelerator, system.generator, weights, system.statistics_inputs())

    def validate() -> None:
        """Measure the averaged weights, and keep them if they are the best so far."""
        assert run.evaluator and run.held_out
        pipe = system.pipeline(averaged(ema.shadow_params))
        fid, fsd = measure(accelerator, pipe, run.evaluator, run.held_out.sentences, run.held_out.frames)
        best.consider(step, fid, fsd, ema.shadow_params)
        facts["scores"].append([step * per_iteration, fid, fsd])
        accelerator.print(f"step {step} | validation | FID {fid:.4f} | FSD {fsd:.4f} | best at step {best.step}")

    def draw_sample(file: Path) -> None:
        sample(accelerator, system.pipeline(averaged(ema.shadow_params)), run.sample_sentences, file)

    def sample_file() -> Path:
        return s.output / "samples" / f"step-{step:08d}.png"

    def save() -> None:
        save_checkpoint(accelerator, s.output, step, s.keep, protect=min(since.values(), default=None), **facts)

    if s.sample_every and step and step % s.sample_every == 0 and any_process(accelerator, not sample_file().exists()):
        draw_sample(sample_file())  # the run was killed after its checkpoint

    while step < total and not watch.time_is_up(s.max_minutes):
        factor = halved(step, total, s.halvings)
        values: dict[str, Tensor] = {}
        for name, optimizer in optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * factor
        for name, kind in kinds.items():
            for repeat in range(kind.repeats):
                result = system.step(name, step * kind.repeats + repeat, torch.tensor(next(rows[name])), players[name])
                values |= {f"{name}_{key}": value for key, value in result.items()}
        ema.step(generator.parameters())
        step += 1
        means = watch.tick(step, step * per_iteration, per_iteration, rates["generator"] * factor, **values)
        if means:
            facts["curve"].append([step * per_iteration, *(round(means[name], 4) for name in system.curve)])
            if system.table:
                add_row(accelerator, system.table, s.output, facts[system.table.name], step * per_iteration, averaged(ema.shadow_params))
            trouble = find_trouble(means, list(kinds), since, step, s.log_every, s.patience)
            if trouble:
                stop_training(accelerator, s.output, step, *trouble)
        if s.validate_every and step % s.validate_every == 0:
            validate()
        if step % s.checkpoint_every == 0:
            save()
        if s.sample_every and step % s.sample_every == 0:
            draw_sample(sample_file())
    save()
    watch.leave_if_asked()
    if s.validate_every and step % s.validate_every:
        validate()  # not in the checkpoint, because a run resumed with more stories does not validate at this step
    pipe = system.pipeline(averaged(best.weights or ema.shadow_params))
    if accelerator.is_main_process:
        pipe.to(dtype=getattr(torch, s.store)).save_pretrained(s.output / "pipeline", safe_serialization=True)
        write_gan_card(run, system, step * per_iteration, facts["curve"], facts["scores"], best.step or step)
        print(f"{step} of {total} steps done; {s.output / 'pipeline'} written")
    return step


@dataclass
class Best:
    """The averaged weights with the best validation score so far; stored in every checkpoint."""

    step: int | None = None
    score: float = float("inf")
    weights: list[Tensor] | None = None

    def consider(self, step: int, fid: float, fsd: float, weights: list[Tensor]) -> None:
        """Keep a copy of the weights if the product of their distances is the smallest so far."""
        if fid * fsd < self.score:
            self.step, self.score, self.weights = step, fid * fsd, [weight.detach().cpu().clone() for weight in weights]

    def state_dict(self) -> dict:
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        vars(self).update(state)


def averaged_copy(accelerator: Accelerator, trained: Any, weights: Iterable[Tensor], inputs: Iterable[tuple] = ()) -> nn.Module:
    """A copy of a generator with other weights; must be called in all processes. inputs: for the statistics of its batch norms."""
    copy = type(trained).from_config(trained.config).to(accelerator.device, memory_format=torch.channels_last)
    copy.load_state_dict(trained.state_dict())
    for parameter, weight in zip(copy.parameters(), weights, strict=True):
        parameter.data.copy_(weight)
    settle_statistics(copy, inputs)
    return copy.eval()


def measure(accelerator: Accelerator, pipe: Any, evaluator: FrameEvaluator, sentences: list[list[str]], real: Tensor) -> list[float]:
    """FID and FSD of stories drawn by the pipeline against real ones (N, M, 3, H, W) uint8. The main process draws; all processes get the result."""
    distances = [0.0, 0.0]
    if accelerator.is_main_process:
        generators = [torch.Generator().manual_seed(n) for n in range(len(sentences))]
        drawn = torch.cat(pipe(sentences, generator=generators, output_type="pt").frames)
        features = [frame_features(evaluator, x, device=accelerator.device) for x in (real.flatten(0, 1), (255 * drawn).round().byte())]
        story = torch.arange(len(sentences)).repeat_interleave(real.shape[1])
        distances = [frechet_distance(*features), frechet_distance(*(story_features(x, story) for x in features))]
    return broadcast_object_list(distances)


def sample(accelerator: Accelerator, pipe: Any, sentences: list[list[str]], file: Path) -> None:
    """Save a sheet of stories, drawn by the main process."""
    if accelerator.is_main_process:
        generators = [torch.Generator().manual_seed(n) for n in range(len(sentences))]
        sheet = story_sheet(pipe(sentences, generator=generators).frames, sentences)
        file.parent.mkdir(exist_ok=True)
        save_picture(sheet, file)
    accelerator.wait_for_everyone()


def add_row(accelerator: Accelerator, table: Table, folder: Path, rows: list[list[float]], seen: int, generator: nn.Module) -> None:
    """Append the table's current row to `rows`, and write the file."""
    if accelerator.is_main_process:
        rows.append([seen, *(round(value, 4) for value in table.row(generator))])
        write_table(folder / f"{table.name}.json", table.columns, rows)


def write_table(file: Path, columns: list[str], rows: list[list[float]]) -> None:
    """Write a table as JSON."""
    write_text(file, json.dumps({"columns": columns, "rows": rows}))


def write_gan_card(run: GANRun, system: GANSystem, seen: int, curve: list, scores: list[list[float]], shipped: int) -> None:
    """Write the pipeline's card and `scores.json`. shipped: step of the averaged weights in the pipeline."""
    s, folder = run.settings, run.settings.output / "pipeline"
    write_table(s.output / "scores.json", ["stories seen", "fid_evaluator", "fsd_evaluator"], scores)
    record = run_record(s, **run.training)
    how: dict[str, Any] = {"system": system.title, "script": system.script, "columns": ("stories seen", *system.curve)}
    write_model_card(folder, record, system.parameters, curve, seen, sorted(s.output.glob("samples/*.png")), **how)
    if run.held_out:
        lines = [f"{stories} stories seen: FID {fid:.4f}, FSD {fsd:.4f}" for stories, fid, fsd in scores]
        lines += [f"The pipeline has the averaged weights of step {shipped}."]
        set_section(folder, f"On {len(run.held_out.data)} validation stories", "\n\n".join(lines))


def report_pairs(run: GANRun, steps: int, file: str, result: dict, accuracies: dict[str, dict[str, float]]) -> None:
    """Report how well the discriminators classify right and wrong pairs of the judged split: write `result` to a JSON file, and print the values of
    `judge_pairs`, by discriminator, and write them to the card."""
    output = run.settings.output
    write_text(output / file, json.dumps({"step": steps, "split": run.judged_split, **result}, indent=1))
    lines = [f"{name} | " + " | ".join(f"{key} {value:.4g}" for key, value in shares.items()) for name, shares in accuracies.items()]
    set_section(output / "pipeline", f"Right and wrong pairs of the {run.judged_split} split", "\n\n".join(lines))
    print("\n".join(lines))
