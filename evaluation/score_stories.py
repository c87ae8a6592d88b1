"""Scores the stories of any system against the reference, by one frozen protocol: results/<system>.json and a table to read.

    python evaluation/score_stories.py --generated generated/story-ldm --system story-ldm
    python evaluation/score_stories.py --frames pictures --system mine        # <story_id>/<position>.png, drawn by any program
    python evaluation/score_stories.py --generated toonstories --system truth  # the reference against itself
    python evaluation/score_stories.py --generated generated/p --system p --dataset data/pororo --evaluator runs/pororo-evaluator/evaluator

Protocol 1: what the evaluator reads in the frames (exact sets, F1, garment, action, pronouns), whether marks and layouts that no sentence
names are those of the story's own earlier frames, Fréchet distances of frames and of stories, cosine and R-precision of sentence and frame by
matched encoders, SSIM with the true frame. All for all, named and referential frames and by position; 95 % bootstrap over stories. Labels and
the choice of frames are those of the referential text, whichever text a system was given; matching is done with the full text, which says what
a frame must show. A dataset without character labels has no rates; the evaluator's features serve its distances.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import datasets
import numpy as np
import torch
import torchmetrics
import tyro
from datasets import Dataset
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from tqdm.auto import tqdm

from story_ldm.data.stories import load_stories
from story_ldm.data.toonstories import CHARACTER_NAMES
from story_ldm.encoders.damsm import embed_frames, embed_sentences, load_damsm
from story_ldm.encoders.evaluator import FrameEvaluator, frame_labels, label_names, reading_accuracy
from story_ldm.files import write_text
from story_ldm.metrics.bootstrap import bootstrap_weights, share
from story_ldm.metrics.ceiling import memoryless_ceiling, what_is_told
from story_ldm.metrics.cells import number, shown
from story_ldm.metrics.frechet import distance, frame_features, open_network, story_features, video_features
from story_ldm.metrics.generated import folder_frames, generated_frames
from story_ldm.metrics.matching import r_precision, sentence_frame_cosines
from story_ldm.metrics.story_rates import PRONOUNS, Table, as_arrays, measures, per_story, rates_by_position, story_rates
from story_ldm.reports.cards import set_section
from story_ldm.reports.rates import rates_markdown

PROTOCOL = "story-protocol-1"
CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
DRAWN_WITH = ("text", "steps", "guidance", "memory_guidance", "memory", "max_memory_frames", "dtype", "seed")  # of these the tables tell
SMALLEST_ACCURACY = 0.99  # of an evaluator on real frames of the built-in world
DISTANCE_RESAMPLES = 100  # of the bootstrap of Fréchet distances, each of which takes a moment


@dataclass
class Settings:
    system: str
    """What the system is called in tables."""
    generated: str | None = None
    """Folder of generated stories in the story form."""
    frames: Path | None = None
    """Or a folder of pictures, <story_id>/<position>.png."""
    results: Path = Path("results")
    """<system>.json and <system>.md are written here."""
    dataset: str = "toonstories"
    split: str = "test"
    stories: int | None = None
    """Only the first so many of the split."""
    resize: bool = False
    """Make pictures of another size fit."""
    evaluator: Path = CHECKPOINTS / "toon-evaluator"
    matcher: Path = CHECKPOINTS / "toon-damsm"
    inception: Path | None = None
    """Inception-v3 as TorchScript, for fid_inception."""
    r2plus1d: Path | None = None
    """R(2+1)D-18 as TorchScript, for fsd_r2plus1d."""
    lpips: bool = False
    """Needs torchvision, and fetches AlexNet's weights once."""
    card: Path | None = None
    """Folder of a model whose card (README.md) gets the tables as a section named after the system."""
    ceiling: bool = True
    """Count the memoryless ceiling on the train split (of the built-in world)."""
    resamples: int = 1000
    """Of the bootstrap."""
    seed: int = 0


def main(s: Settings) -> None:
    started = time.monotonic()
    try:
        result = without_nan(score(s))
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"{s.system} is not scored: {error}") from error
    result["seconds"] = round(time.monotonic() - started, 1)
    s.results.mkdir(parents=True, exist_ok=True)
    write_text(s.results / f"{s.system}.json", json.dumps(result, separators=(",", ":"), default=str) + "\n")
    text = markdown(result)
    write_text(s.results / f"{s.system}.md", text)
    if s.card is not None:
        set_section(s.card, f"Measured: {s.system}", text.partition("\n")[2])
    print(f"{text}\n{s.results / s.system}.json written after {result['seconds']:.0f} s")


def score(s: Settings) -> dict:
    """The results file of a system. Raises ValueError where anything does not fit, before it is scored."""
    if (s.generated is None) == (s.frames is None):
        raise ValueError("give --generated or --frames, one of them")
    if s.lpips and find_spec("torchvision") is None:
        raise ValueError("--lpips needs torchvision, which is not installed")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluator = FrameEvaluator.from_pretrained(s.evaluator, dtype=torch.float32).eval()
    size = evaluator.config.sample_size
    reference = load_stories(s.dataset, s.split, size, limit=s.stories)
    _check_world(evaluator, reference)
    full = load_stories(s.dataset, s.split, text="full", limit=s.stories, pictures=False)["sentences"][:]

    truth = generated_frames(reference, reference, size)
    if s.frames is not None:
        frames, generation = folder_frames(s.frames, reference, size, s.resize), None
    else:
        texts = (reference["sentences"][:], full)
        itself = s.generated == s.dataset
        stories = reference if itself else load_stories(s.generated, s.split, None)
        frames = truth if itself else generated_frames(stories, reference, size, s.resize, texts)
        file = Path(s.generated) / "generation.json"
        generation = printable(json.loads(file.read_text())) if file.exists() else None

    evaluator.to(device)
    names = evaluator.config.characters
    labels_of = frame_labels(reference.remove_columns("frames"), len(names))
    story, labels = labels_of["story"], as_arrays(labels_of)
    labelled = "characters" in reference.features
    accuracy = reading_accuracy(_read(evaluator, truth), labels_of) if labelled else {}
    built_in = tuple(names) == CHARACTER_NAMES
    low = {head: value for head, value in accuracy.items() if value < SMALLEST_ACCURACY and head != "prop"}
    if built_in and low:
        raise ValueError(f"the evaluator {s.evaluator} reads real frames too badly: {low}; at least {SMALLEST_ACCURACY} is asked of it")

    readings, pronouns = as_arrays(_read(evaluator, frames)), PRONOUNS if built_in else ("",) * len(names)
    found = measures(labels, readings, pronouns) if labelled else {}
    table = story_rates(labels, readings, pronouns, s.resamples, s.seed) if labelled else {}
    weights, every = bootstrap_weights(int(story.max()) + 1, s.resamples, s.seed), np.ones(len(frames), bool)
    (match, true), pixels = _matching(s, truth, frames, full, device), _pixels(s, truth, frames)
    likeness = {}
    for row, columns in {"match": match, "pixels": pixels}.items():
        table[row] = {name: share(values, every, labels["story"], weights) for name, values in columns.items()}
        likeness |= {(row, name): (values, every) for name, values in columns.items()}
    for name, value in true.items():
        table["match"][name]["truth"] = value
    ceiling = _ceiling(s, labels, reference, evaluator) if s.ceiling and built_in and labelled else None
    return {
        "protocol": PROTOCOL,
        "system": s.system,
        "generation": generation,
        "reference": {"dataset": s.dataset, "split": s.split, "stories": len(reference), "frames": len(truth), "size": size},
        "table": table,
        "by_position": rates_by_position(labels, found, s.resamples, s.seed) if labelled else {},
        "distances": _distances(s, evaluator, truth, frames, story, device),
        "ceiling": ceiling,
        "evaluator": {"name": s.evaluator.name, "accuracy": accuracy},
        "story_ids": reference["story_id"][:],
        "per_story": per_story(found | likeness, labels["story"]),
        "settings": asdict(replace(s, evaluator=s.evaluator.name, matcher=s.matcher.name)),
        "versions": {"torch": torch.__version__, "torchmetrics": torchmetrics.__version__, "datasets": datasets.__version__},
    }


def _check_world(evaluator: FrameEvaluator, reference: Dataset) -> None:
    if len(reference) < 2:
        raise ValueError("the reference has fewer than 2 stories")
    if "characters" not in reference.features:
        return
    for column, known in (("characters", evaluator.config.characters), ("backgrounds", evaluator.config.backgrounds)):
        if list(known) != (names := label_names(reference.features, column)):
            raise ValueError(f"the evaluator is of another world: it knows the {column} {list(known)}, the reference has {names or 'none'}")


def _read(evaluator: FrameEvaluator, frames: Tensor) -> dict[str, Tensor]:
    parts = [evaluator.read(part.float() / 127.5 - 1) for part in tqdm(frames.split(250), desc="reading frames", leave=False)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _distances(s: Settings, evaluator: FrameEvaluator, truth: Tensor, frames: Tensor, story: Tensor, device: str) -> dict[str, dict]:
    real, drawn = (frame_features(evaluator, x, device=device) for x in (truth, frames))
    stories, often = torch.arange(int(story.max()) + 1), {"resamples": min(s.resamples, DISTANCE_RESAMPLES), "seed": s.seed}
    found = {
        "fid_evaluator": distance(real, drawn, story, **often) | {"pixels": "[-1, 1]"},
        "fsd_evaluator": distance(story_features(real, story), story_features(drawn, story), stories, **often) | {"pixels": "[-1, 1]"},
    }
    if s.inception is not None:
        network = open_network(s.inception)
        found["fid_inception"] = distance(*(frame_features(network, x, device=device) for x in (truth, frames))) | {"pixels": "0 … 255"}
    if s.r2plus1d is not None:
        network = open_network(s.r2plus1d)
        found["fsd_r2plus1d"] = distance(*(video_features(network, x, story, device) for x in (truth, frames))) | {"pixels": "Kinetics"}
    return found


def _matching(s: Settings, truth: Tensor, frames: Tensor, full: list[list[str]], device: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Cosine × 100 and R-precision of each frame and its sentence in the full text (F,); the means of the true frames."""
    text_encoder, image_encoder, tokenizer = load_damsm(s.matcher)
    text_encoder.to(device), image_encoder.to(device)
    texts = [text for row in full for text in row]
    sentences = embed_sentences(text_encoder, tokenizer, texts)
    columns: dict[str, list] = {"cosine": []}
    if len(set(texts)) > 1:
        columns["r-precision"] = []
    else:
        print("all sentences are the same one; there is no R-precision", file=sys.stderr)
    for pictures in (frames, truth):
        images = torch.cat([embed_frames(image_encoder, part.float() / 127.5 - 1) for part in pictures.split(250)])
        columns["cosine"].append(100 * sentence_frame_cosines(sentences, images).numpy())
        if "r-precision" in columns:
            columns["r-precision"].append(r_precision(sentences, images, texts, seed=s.seed).numpy())
    return {name: drawn for name, (drawn, _) in columns.items()}, {name: float(real.mean()) for name, (_, real) in columns.items()}


@torch.no_grad()
def _pixels(s: Settings, truth: Tensor, frames: Tensor) -> dict[str, np.ndarray]:
    """Likeness of each frame and the true one (F,), pixels in [0, 1]."""
    pairs = list(zip(frames.split(250), truth.split(250)))
    # single precision is off by up to 1e-4, below the three digits shown; CPUs have no fast convolution in double
    ssim = [structural_similarity_index_measure(a / 255, b / 255, data_range=1.0, reduction="none") for a, b in pairs]
    columns = {"ssim": torch.cat([x.reshape(-1) for x in ssim]).numpy()}
    if s.lpips:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        lpips = LearnedPerceptualImagePatchSimilarity("alex", reduction="none", normalize=True)
        columns["lpips"] = torch.cat([lpips(a / 255, b / 255).reshape(-1) for a, b in pairs]).numpy()
    return columns


def _ceiling(s: Settings, labels: dict, reference: Dataset, evaluator: FrameEvaluator) -> Table:
    train = load_stories(s.dataset, "train", pictures=False).remove_columns("frames")
    train_labels = as_arrays(frame_labels(train, len(evaluator.config.characters)))
    told = [
        what_is_told(of, [sentence for row in rows["sentences"] for sentence in row], evaluator.config.backgrounds)
        for of, rows in ((train_labels, train), (labels, reference))
    ]
    return memoryless_ceiling(told[0], train_labels, told[1], labels, resamples=s.resamples, seed=s.seed)


def printable(generation: dict) -> dict:
    """How stories were made, for a file that others read: of a model that lies somewhere on this machine, the last two folders of its path."""
    model = Path(generation.get("model", ""))
    return {**generation, "model": "/".join(model.parts[-2:])} if model.is_absolute() else generation


def markdown(result: dict) -> str:
    reference, accuracy = result["reference"], result["evaluator"]["accuracy"]
    scores = {row: columns for row, columns in result["table"].items() if row not in ("match", "pixels")}

    def interval(cell: dict) -> str:
        return f"{shown(number(cell, 'low'), 1, 3)} – {shown(number(cell, 'high'), 1, 3)}" if "low" in cell else ""

    more = [
        f"| {name} | {shown(number(value), 1, 3)} | {interval(value)}{', ' * ('low' in value)}"
        f"floor {shown(number(value, 'floor'), 1, 3)} ({value['real']} real, {value['generated']} drawn) |"
        for name, value in result["distances"].items()
    ]
    more += [
        f"| {name} | {shown(number(value), 1, 3)} | {interval(value)}"
        f"{', true frames ' + shown(number(value, 'truth'), 1, 3) if 'truth' in value else ''} |"
        for row in ("match", "pixels")
        for name, value in result["table"][row].items()
    ]
    lines = "\n".join(["| | | |", "|---|---|---|", *more])
    positions = result["by_position"]
    columns = list(next(iter(positions.values()), {}))
    by_position = [f"| {' | '.join(['position', *columns])} |", "|---" * (len(columns) + 1) + "|"]
    for name, values in positions.items():
        cells = (shown(number(values[column]), 100) for column in columns)
        by_position.append(f"| {' | '.join([name, *cells])} |")
    how = result["generation"] or {}
    drawn = ", ".join(f"{name} {how[name]}" for name in DRAWN_WITH if how.get(name) is not None)
    read = ", ".join(f"{head} {100 * value:.2f}" for head, value in accuracy.items())
    return f"""# {result["system"]}: {reference["dataset"]}, {reference["split"]}, {reference["stories"]} stories ({result["protocol"]})

{reference["stories"]} stories of {reference["split"]}{", drawn with " + drawn if drawn else ""}; intervals are 95 %, bootstrap over stories.

{rates_markdown(scores, result["ceiling"])}

{lines}

{chr(10).join(by_position)}

{f"The evaluator reads the true frames right in (%): {read}." if read else "The reference has no character labels; no rate is counted."}
"""


def without_nan(value):
    """NaN (a rate of nothing) as null, which JSON has; numbers to six digits."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return (None if math.isnan(value) else float(f"{value:.6g}")) if isinstance(value, float) else value


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
