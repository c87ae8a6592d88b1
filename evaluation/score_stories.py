"""Score the stories of any system against the reference by one frozen protocol; writes results/<system>.json and <system>.md.

    python evaluation/score_stories.py --generated generated/story-ldm --system story-ldm
    python evaluation/score_stories.py --frames pictures --system other       # <story_id>/<position>.png (.jpg, …) by any program
    python evaluation/score_stories.py --generated toonstories --system truth  # the reference against itself
    python evaluation/score_stories.py --generated generated/p --system p --dataset data/pororo --evaluator runs/pororo-evaluator/evaluator
    python evaluation/score_stories.py --generated generated/t2 --system t2 --dataset toonstories-2 --text free \
        --evaluator runs/toon2-evaluator/evaluator --matcher runs/toon2-damsm/damsm

Protocol 1: rates of the evaluator's readings of the frames (exact sets, F1, garment, action, pronouns), and of marks and layouts that no sentence
states, compared with the story's own earlier frames; Fréchet distances of frames and of stories; cosine and R-precision of sentence and frame by
matched encoders; SSIM with the true frame. Rates are computed for all, named and referential frames and by position, with 95 % intervals by bootstrap
over stories. Labels and the choice of frames are those of the referential text, whichever text the system read, or of the form --text; matching uses
the full text, which states everything that a frame must show. A dataset without character labels has no rates; its distances use the evaluator's
features.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import torch
import tyro
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from story_ldm.data.frames import to_float
from story_ldm.data.stories import load_stories
from story_ldm.data.toonstories import CHARACTER_NAMES
from story_ldm.data.toonstories2.tables import KINDS
from story_ldm.encoders.damsm import embed_frames, embed_sentences, load_damsm
from story_ldm.encoders.evaluator import FrameEvaluator, check_labels, frame_labels, reading_accuracy
from story_ldm.files import check_name, json_object, markdown_table, model_folder, plain_markdown, write_text
from story_ldm.metrics.bootstrap import bootstrap_weights, share
from story_ldm.metrics.ceiling import memoryless_ceiling, stated_facts
from story_ldm.metrics.cells import number, shown
from story_ldm.metrics.frechet import distance, frame_features, open_network, story_features, video_features
from story_ldm.metrics.generated import folder_frames, generated_frames
from story_ldm.metrics.matching import r_precision, sentence_frame_cosines
from story_ldm.metrics.story_rates import PRONOUNS, Measures, Table, as_arrays, measures, per_story, rates_by_position, story_rates
from story_ldm.model_folders import open_local
from story_ldm.one_line import one_line_errors
from story_ldm.reports.cards import set_section
from story_ldm.reports.rates import rates_markdown

PROTOCOL = "story-protocol-1"
DRAWN_WITH = ("text", "steps", "guidance", "memory_guidance", "memory", "max_memory_frames", "dtype", "seed")  # settings that the tables list
SMALLEST_ACCURACY = 0.99  # required of an evaluator on real frames of a built-in world
REPORTED = ("prop", "prop_color", "facing")  # heads of which it is reported only: a held thing's colour, or which side is its front, can be hidden
DISTANCE_RESAMPLES = 100  # fewer than for rates: computing a Fréchet distance takes long


@dataclass
class Settings:
    system: str
    """Name of the system in tables and of its result files."""
    generated: str | None = None
    """Folder of generated stories in the story form; either this or --frames."""
    frames: Path | None = None
    """Folder of pictures, <story_id>/<position>.png (or .jpg, .webp, …); either this or --generated."""
    results: Path = Path("results")
    """Folder for <system>.json and <system>.md."""
    dataset: str = "toonstories"
    """Name or folder of the reference stories, as load_stories takes it."""
    split: str = "test"
    """Split of the reference stories."""
    text: Literal["referential", "free"] = "referential"
    """Form of the text that says which frames are named, referential, or call a character he, she or it; free: of the built-in worlds only."""
    stories: int | None = None
    """Number of stories to score, from the start of the split; by default all."""
    resize: bool = False
    """Resize pictures whose size differs from the evaluator's, instead of raising an error."""
    background: str = "white"
    """Colour under transparent parts of pictures, by its CSS name or #rrggbb."""
    evaluator: Path = Path("toon-evaluator")
    """Folder of the frame evaluator (train_evaluator.py), or the name of a shipped one."""
    matcher: Path = Path("toon-damsm")
    """Folder of the matched encoders of sentences and frames (train_damsm.py) for cosine and R-precision, or the name of a shipped one."""
    inception: Path | None = None
    """TorchScript file of Inception-v3, to compute fid_inception."""
    r2plus1d: Path | None = None
    """TorchScript file of R(2+1)D-18, to compute fsd_r2plus1d."""
    lpips: bool = False
    """Compute LPIPS; requires torchvision and downloads AlexNet's weights once."""
    card: Path | None = None
    """Folder of a model; its card (README.md) gets a section with the tables, named after the system."""
    ceiling: bool = True
    """Compute the memoryless ceiling from the train split (built-in worlds, --text referential)."""
    resamples: int = 1000
    """Number of bootstrap resamples for 95 % intervals."""
    seed: int = 0
    """Seed of the bootstrap and of R-precision's candidates."""


def main(s: Settings) -> None:
    started = time.monotonic()
    try:
        check_name("--system", s.system)
        result = without_nan(score(s))
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"{s.system} was not scored: {error}") from error
    result["seconds"] = round(time.monotonic() - started, 1)
    s.results.mkdir(parents=True, exist_ok=True)
    write_text(s.results / f"{s.system}.json", json.dumps(result, separators=(",", ":"), default=str) + "\n")
    text = markdown(result)
    write_text(s.results / f"{s.system}.md", text)
    if s.card is not None:
        set_section(s.card, f"Measured: {plain_markdown(s.system)}", text.partition("\n")[2])
    print(f"{text}\n{s.results / s.system}.json written after {result['seconds']:.0f} s")


def score(s: Settings) -> dict:
    """Content of a system's results file. Raises ValueError, before scoring, if the stories or the models do not fit the reference."""
    if (s.generated is None) == (s.frames is None):
        raise ValueError("exactly one of --generated and --frames is required")
    if find_spec("torchmetrics") is None:
        raise ValueError('torchmetrics is not installed: pip install "story-ldm[evaluation]"')
    if s.lpips and find_spec("torchvision") is None:
        raise ValueError("--lpips requires torchvision, which is not installed")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluator = open_local(FrameEvaluator, model_folder(s.evaluator), dtype=torch.float32).eval()
    size = evaluator.config.sample_size
    drawn = None if s.generated in (None, s.dataset) else load_stories(s.generated, s.split, None)  # first, for they may not be there
    reference = load_stories(s.dataset, s.split, size, s.text, limit=s.stories, background=s.background)
    _check_world(evaluator, reference)
    full = load_stories(s.dataset, s.split, text="full", limit=s.stories, pictures=False)["sentences"][:]

    truth = generated_frames(reference, reference, size)
    if s.frames is not None:
        frames, generation = folder_frames(s.frames, reference, size, s.resize, s.background), None
    else:
        assert s.generated is not None
        texts = (reference["sentences"][:], full)
        frames = truth if drawn is None else generated_frames(drawn, reference, size, s.resize, texts, s.background)  # the reference against itself
        file = Path(s.generated) / "generation.json"
        generation = printable(json_object(file)) if file.exists() else None

    evaluator.to(device)
    names = evaluator.config.characters
    labels_of = frame_labels(reference.remove_columns("frames"), len(names))
    story, labels = labels_of["story"], as_arrays(labels_of)
    labelled = "characters" in reference.features
    accuracy = reading_accuracy(_read(evaluator, truth), labels_of) if labelled else {}
    built_in = tuple(names) in (CHARACTER_NAMES, KINDS)
    low = {head: value for head, value in accuracy.items() if value < SMALLEST_ACCURACY and head not in REPORTED}
    if built_in and low:
        raise ValueError(f"--evaluator {s.evaluator} has an accuracy of {low} on real frames; at least {SMALLEST_ACCURACY} is required")

    readings, pronouns = as_arrays(_read(evaluator, frames)), PRONOUNS if tuple(names) == CHARACTER_NAMES else ("",) * len(names)
    rates = measures(labels, readings, pronouns) if labelled else {}
    table = story_rates(labels, readings, pronouns, s.resamples, s.seed) if labelled else {}
    weights, every = bootstrap_weights(int(story.max()) + 1, s.resamples, s.seed), np.ones(len(frames), bool)
    (match, true_means), pixels = _matching(s, truth, frames, full, device), _pixels(s, truth, frames)
    similarities: Measures = {}
    for row, columns in {"match": match, "pixels": pixels}.items():
        table[row] = {name: share(values, every, labels["story"], weights) for name, values in columns.items()}
        similarities |= {(row, name): (values, every) for name, values in columns.items()}
    for name, value in true_means.items():
        table["match"][name]["truth"] = value
    ceiling = _ceiling(s, labels, reference, evaluator) if s.ceiling and built_in and labelled and s.text == "referential" else None
    form = {} if s.text == "referential" else {"text": s.text}
    return {
        "protocol": PROTOCOL,
        "system": s.system,
        "generation": generation,
        "reference": {"dataset": s.dataset, "split": s.split, "stories": len(reference), "frames": len(truth), "size": size, **form},
        "table": table,
        "by_position": rates_by_position(labels, rates, s.resamples, s.seed) if labelled else {},
        "distances": _distances(s, evaluator, truth, frames, story, device),
        "ceiling": ceiling,
        "evaluator": {"name": s.evaluator.name, "accuracy": accuracy},
        "story_ids": reference["story_id"][:],
        "per_story": per_story(rates | similarities, labels["story"]),
        "settings": {**asdict(s), "evaluator": s.evaluator.name, "matcher": s.matcher.name},
        "versions": {"torch": torch.__version__, "torchmetrics": version("torchmetrics"), "datasets": datasets.__version__},
    }


def _check_world(evaluator: FrameEvaluator, reference: Dataset) -> None:
    if len(reference) < 2:
        raise ValueError("the reference has fewer than 2 stories")
    if "characters" in reference.features:
        check_labels(evaluator, reference.features)


def _read(evaluator: FrameEvaluator, frames: Tensor) -> dict[str, Tensor]:
    parts = [evaluator.read(to_float(part)) for part in tqdm(frames.split(250), desc="reading frames", leave=False)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _distances(s: Settings, evaluator: FrameEvaluator, truth: Tensor, frames: Tensor, story: Tensor, device: str) -> dict[str, dict]:
    real, drawn = (frame_features(evaluator, x, device=device) for x in (truth, frames))
    stories, bootstrap = torch.arange(int(story.max()) + 1), {"resamples": min(s.resamples, DISTANCE_RESAMPLES), "seed": s.seed}
    distances = {
        "fid_evaluator": distance(real, drawn, story, **bootstrap) | {"pixels": "[-1, 1]"},
        "fsd_evaluator": distance(story_features(real, story), story_features(drawn, story), stories, **bootstrap) | {"pixels": "[-1, 1]"},
    }
    if s.inception is not None:
        network = open_network(s.inception)
        distances["fid_inception"] = distance(frame_features(network, truth, device=device), frame_features(network, frames, device=device)) | {
            "pixels": "0 … 255"
        }
    if s.r2plus1d is not None:
        network = open_network(s.r2plus1d)
        distances["fsd_r2plus1d"] = distance(video_features(network, truth, story, device), video_features(network, frames, story, device)) | {
            "pixels": "Kinetics"
        }
    return distances


def _matching(s: Settings, truth: Tensor, frames: Tensor, full: list[list[str]], device: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Cosine × 100 and R-precision of each generated frame (F,) with its sentence of the full text, and their means over the true frames."""
    text_encoder, image_encoder, tokenizer = load_damsm(model_folder(s.matcher))
    text_encoder.to(device), image_encoder.to(device)
    texts = [text for row in full for text in row]
    sentences = embed_sentences(text_encoder, tokenizer, texts)
    columns: dict[str, list] = {"cosine": []}
    if len(set(texts)) > 1:
        columns["r-precision"] = []
    else:
        print("warning: R-precision is left out, because all sentences are the same", file=sys.stderr)
    for pictures in (frames, truth):
        images = torch.cat([embed_frames(image_encoder, to_float(part)) for part in pictures.split(250)])
        columns["cosine"].append(100 * sentence_frame_cosines(sentences, images).numpy())
        if "r-precision" in columns:
            columns["r-precision"].append(r_precision(sentences, images, texts, seed=s.seed).numpy())
    return {name: drawn for name, (drawn, _) in columns.items()}, {name: float(real.mean()) for name, (_, real) in columns.items()}


@torch.no_grad()
def _pixels(s: Settings, truth: Tensor, frames: Tensor) -> dict[str, np.ndarray]:
    """SSIM, and LPIPS if set, of each frame and the true one (F,), of pixels in [0, 1]."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    pairs = list(zip(frames.split(250), truth.split(250)))
    # single precision errs by up to 1e-4, less than the three digits shown; CPUs have no fast convolution in double precision
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
    kinds = () if tuple(evaluator.config.characters) == CHARACTER_NAMES else evaluator.config.characters
    train_facts, facts = (
        stated_facts(of, [sentence for row in rows["sentences"] for sentence in row], evaluator.config.backgrounds, kinds=kinds)
        for of, rows in ((train_labels, train), (labels, reference))
    )
    return memoryless_ceiling(train_facts, train_labels, facts, labels, resamples=s.resamples, seed=s.seed)


def printable(generation: dict) -> dict:
    """generation.json without paths of this machine: of the model's absolute path, only the last two folders are kept."""
    model = Path(str(generation.get("model", "")))
    return {**generation, "model": "/".join(model.parts[-2:])} if model.is_absolute() else generation


def markdown(result: dict) -> str:
    """The tables of a results file."""
    reference, accuracy = result["reference"], result["evaluator"]["accuracy"]
    scores = {row: columns for row, columns in result["table"].items() if row not in ("match", "pixels")}

    def interval(cell: dict) -> str:
        return f"{shown(number(cell, 'low'), 1, 3)} – {shown(number(cell, 'high'), 1, 3)}" if "low" in cell else ""

    more = [
        (
            name,
            shown(number(value), 1, 3),
            f"{interval(value)}{', ' * ('low' in value)}"
            f"floor {shown(number(value, 'floor'), 1, 3)} ({value['real']} real, {value['generated']} drawn)",
        )
        for name, value in result["distances"].items()
    ]
    more += [
        (
            name,
            shown(number(value), 1, 3),
            f"{interval(value)}{', true frames ' + shown(number(value, 'truth'), 1, 3) if 'truth' in value else ''}",
        )
        for row in ("match", "pixels")
        for name, value in result["table"][row].items()
    ]
    positions = result["by_position"]
    columns = list(next(iter(positions.values()), {}))
    by_position = [[name, *(shown(number(values[column]), 100) for column in columns)] for name, values in positions.items()]
    how = result["generation"] or {}
    drawn = ", ".join(f"{name} {plain_markdown(how[name])}" for name in DRAWN_WITH if how.get(name) is not None)
    split = plain_markdown(reference["split"])
    title = plain_markdown(f"{result['system']}: {reference['dataset']}, {reference['split']}")
    read = ", ".join(f"{head} {100 * value:.2f}" for head, value in accuracy.items())
    return f"""# {title}, {reference["stories"]} stories ({result["protocol"]})

{reference["stories"]} stories of {split}{", drawn with " + drawn if drawn else ""}; intervals are 95 %, bootstrap over stories.

{rates_markdown(scores, result["ceiling"])}

{markdown_table(("", "", ""), more)}

{markdown_table(("position", *columns), by_position)}

{f"The evaluator reads the true frames right in (%): {read}." if read else "The reference has no character labels; no rate is counted."}
"""


def without_nan(value: Any) -> Any:
    """The value with NaN (nothing was counted) replaced by None, which JSON can store, and floats rounded to six digits."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return (None if math.isnan(value) else float(f"{value:.6g}")) if isinstance(value, float) else value


if __name__ == "__main__":
    with one_line_errors("score_stories.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
