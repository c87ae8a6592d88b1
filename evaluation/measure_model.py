"""Generates the stories of a split with a trained Story-LDM, reads the frames with the evaluator and prints the table of rates.

    python evaluation/measure_model.py --model checkpoints/toon-story-ldm --split test --stories 1000 --output results.json
    python evaluation/measure_model.py --model checkpoints/toon-story-ldm --no-memory --output results-no-memory.json
    python evaluation/measure_model.py --frames DIR --output results.json     # drawn by something else: DIR/<story_id>/<position>.png

The model is given the sentences and nothing else. The noise of a story is a function of its id and `--seed`. Generated frames are kept as
PNG, and the same command again goes on where it stopped. The result file holds the rates, the ceiling without memory, and every setting.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from story_ldm.data import load_stories
from story_ldm.data.stories import frames_tensor
from story_ldm.metrics.evaluators import FrameEvaluator, frame_labels
from story_ldm.metrics.story_rates import as_arrays, memoryless_ceiling, rates_markdown, story_rates, what_is_told
from story_ldm.model_card import set_section
from story_ldm.train_utils import write_text

# what the frames depend on; a folder of frames belongs to one set of these
FRAME_SETTINGS = ("model", "dataset", "split", "text", "steps", "guidance", "memory", "dtype", "seed")


@dataclass
class Settings:
    model: Path | None = None
    """Folder of a StoryLDMPipeline; without one, all frames must be there already."""
    output: Path = Path("results.json")
    frames: Path | None = None
    """Folder of the generated frames; by default beside the output, with its name."""
    evaluator: Path = Path("checkpoints/toon-evaluator")
    dataset: str = "toonstories"
    split: str = "test"
    text: str = "referential"
    stories: int = 1000
    """Only the first so many of the split."""
    steps: int = 20
    guidance: float = 2.0
    memory: bool = True
    """--no-memory switches the model's visual memory off."""
    batch: int = 50
    """Stories that are drawn at a time."""
    dtype: str = "float32"
    seed: int = 0
    resamples: int = 1000
    """Of the bootstrap."""
    ceiling: bool = True
    """Count the memoryless ceiling on the train split."""
    card: str | None = None
    """Title of a section of the model's card that the table is written into."""


def main(s: Settings) -> None:
    started = time.monotonic()
    folder = s.frames or s.output.with_name(f"{s.output.stem}-frames")
    stories = text_only(s, s.split, s.stories)
    missing = [n for n, row in enumerate(stories) if not all(file.exists() for file in frame_files(folder, row))]
    if missing and s.model is None:
        raise SystemExit(
            f"{folder} lacks frames of {len(missing)} stories, the first is {stories[missing[0]]['story_id']}; give --model to draw them"
        )
    if s.model is not None:
        claim_frames(folder, s)
        generate(s, stories, missing, folder)
    generated = time.monotonic()

    evaluator = FrameEvaluator.from_pretrained(s.evaluator, dtype=torch.float32).eval().to(device())
    readings = read_frames(evaluator, stories, folder)
    labels = as_arrays(frame_labels(stories, len(evaluator.config.characters)))
    table = story_rates(labels, readings, resamples=s.resamples, seed=s.seed)
    ceiling = None
    if s.ceiling:
        train = text_only(s, "train")
        train_labels = as_arrays(frame_labels(train, len(evaluator.config.characters)))
        places = evaluator.config.backgrounds
        told = [what_is_told(of, sentences(rows), places) for of, rows in ((train_labels, train), (labels, stories))]
        ceiling = memoryless_ceiling(told[0], train_labels, told[1], labels, resamples=s.resamples, seed=s.seed)

    accuracy = s.evaluator / "accuracy.json"
    seconds = {"generation": round(generated - started, 1), "stories generated": len(missing), "all": round(time.monotonic() - started, 1)}
    result = {
        "protocol": "toon-rates-1",
        "settings": asdict(s),
        "stories": len(stories),
        "rates": table,
        "memoryless_ceiling": ceiling,
        "evaluator_accuracy": json.loads(accuracy.read_text()) if accuracy.exists() else None,
        "seconds": seconds,
        "torch": torch.__version__,
    }
    s.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(s.output, json.dumps(without_nan(result), indent=1, default=str))
    markdown = rates_markdown(table, ceiling)
    print(markdown)
    if s.card and s.model:
        memory = "on" if s.memory else "off"
        setup = f"{len(stories)} stories of {s.split}, {s.steps} steps, guidance {s.guidance}, {s.dtype}, visual memory {memory}"
        set_section(s.model, s.card, f"{setup}\n\n{markdown}")
    print(f"\n{len(stories)} stories, {len(missing)} of them drawn now in {generated - started:.0f} s; {s.output} written")


def text_only(s: Settings, split: str, limit: int | None = None) -> Dataset:
    stories = load_stories(s.dataset, split, text=s.text, limit=limit, pictures=False)
    return stories.remove_columns("frames")


def sentences(stories: Dataset) -> list[str]:
    return [sentence for row in stories["sentences"] for sentence in row]


def frame_files(folder: Path, row: dict) -> list[Path]:
    return [folder / row["story_id"] / f"{m}.png" for m in range(len(row["sentences"]))]


def claim_frames(folder: Path, s: Settings) -> None:
    """Writes beside the frames how they are made, or refuses to mix them with others. Raises SystemExit."""
    file = folder / "settings.json"
    now = {name: getattr(s, name) for name in FRAME_SETTINGS} | {"model": str(s.model)}
    then = json.loads(file.read_text()) if file.exists() else now
    changed = [f"  {name}: {then.get(name)!r} → {now[name]!r}" for name in now if then.get(name) != now[name]]
    if changed:
        raise SystemExit(f"{folder} holds frames made with other settings; give another --frames or --output:\n" + "\n".join(changed))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(now, indent=1))


def generate(s: Settings, stories: Dataset, missing: list[int], folder: Path) -> None:
    """Draws the missing stories, given their sentences alone, and keeps every frame as PNG: written beside and renamed."""
    if not missing:
        return
    from pipelines.story_ldm import StoryLDMPipeline

    pipe = StoryLDMPipeline.from_pretrained(s.model, dtype=getattr(torch, s.dtype)).to(device())
    pipe.set_progress_bar_config(disable=True)
    with tqdm(total=len(stories), initial=len(stories) - len(missing), desc="stories", smoothing=0.1) as bar:
        for start in range(0, len(missing), s.batch):
            rows = [stories[n] for n in missing[start : start + s.batch]]
            drawn = pipe(
                [row["sentences"] for row in rows],
                num_inference_steps=s.steps,
                guidance_scale=s.guidance,
                use_memory=s.memory,
                generator=[torch.Generator().manual_seed(story_seed(row["story_id"], s.seed)) for row in rows],
            ).frames
            for row, pictures in zip(rows, drawn, strict=True):
                for file, picture in zip(frame_files(folder, row), pictures, strict=True):
                    file.parent.mkdir(exist_ok=True)
                    beside = file.with_name(f".{file.name}.partial")
                    picture.save(beside, format="PNG")
                    os.replace(beside, file)
            bar.update(len(rows))


def story_seed(story_id: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{story_id}".encode()).digest()[:7], "big")


def read_frames(evaluator: FrameEvaluator, stories: Dataset, folder: Path, chunk: int = 200) -> dict[str, np.ndarray]:
    """Readings of the frames of all stories, one after another."""
    parts = []
    for start in tqdm(range(0, len(stories), chunk), desc="reading frames", leave=False):
        rows = (stories[n] for n in range(start, min(start + chunk, len(stories))))
        frames = [frames_tensor([Image.open(file) for file in frame_files(folder, row)]) for row in rows]
        parts.append(as_arrays(evaluator.read(torch.cat(frames))))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def without_nan(value):
    """NaN (a rate of nothing) as null, which JSON has."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
