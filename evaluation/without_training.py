"""What each form of consistency without training is worth, beside trained memory and none: one table, on a model whose stories have labels.

    python evaluation/without_training.py --out generated/without-training                         # 1,000 stories, every form
    python evaluation/without_training.py --stories 4 --forms off noise reference --out generated/try
    python evaluation/without_training.py --out generated/without-training --table results/without-training

Every form draws the same stories from the same noise (a function of a story's id and `--seed`), with the visual memory of the model off, except for
the rows "trained". The frame evaluator reads the frames; only its readings are kept, one file for `--batch` stories of a form. Running it again
draws what is missing. Rates in percent, 95 % intervals by bootstrap over stories; time is that of a story, on a CPU in seconds of one core.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from datasets import Dataset
from tqdm.auto import tqdm

from story_ldm.data.frames import frames_tensor
from story_ldm.data.sources.base import read_json
from story_ldm.data.stories import load_stories
from story_ldm.encoders.evaluator import FrameEvaluator, frame_labels, label_names
from story_ldm.encoders.prompt_surgery import PromptSurgery
from story_ldm.files import json_object, markdown_table, model_folder, write_text
from story_ldm.metrics.bootstrap import bootstrap_weights, share
from story_ldm.metrics.cells import shown
from story_ldm.metrics.story_rates import as_arrays, layout_chance, mark_chance, measures
from story_ldm.model_folders import open_local
from story_ldm.one_line import one_line_errors
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.pipelines.without_training import form_of
from story_ldm.systems.story_ldm.reference import Reference
from story_ldm.systems.story_ldm.shared_attention import ConsistentAttention

KEYS: dict[str, Any] = {"strength": 0.0, "attention_blocks": ("up.0", "up.1")}
FORMS: dict[str, dict[str, Any]] = {  # arguments of the call
    "off": {"use_memory": False},
    "trained": {},
    "trained, where a sentence refers": {"use_memory": "referential"},
    "noise": {"memory": Reference(strength=0.0)},
    "reference": {"memory": "reference"},
    "reference, where a sentence refers": {"memory": "reference", "use_memory": "referential"},
    "match without one noise": {"memory": Reference(same_noise=False)},
    "match at level 250": {"memory": Reference(match_level=250)},
    "match, one frame": {"memory": "reference", "max_memory_frames": 1},
    "noise, keys of all frames": {"memory": Reference(**KEYS, attention_level=None)},
    "noise, keys at level 50": {"memory": Reference(**KEYS)},
    "noise, keys of one frame": {"memory": Reference(**KEYS), "max_memory_frames": 1},
    "consistent-attention": {"memory": "consistent-attention"},
    "consistent-attention, one noise": {"memory": ConsistentAttention(same_noise=True)},
    "prompt-surgery": {"memory": "prompt-surgery"},
    "prompt-surgery, own noise": {"memory": PromptSurgery(same_noise=False)},
}
COLUMNS = {  # of the table → row and column of the rates
    "characters, ref.": ("referential", "characters"),
    "place, ref.": ("referential", "background"),
    "garment, ref.": ("referential", "garment"),
    "characters": ("all", "characters"),
    "action": ("all", "action"),
    "mark kept": ("self", "mark kept"),
    "layout kept": ("self", "layout kept"),
}


@dataclass
class Settings:
    out: Path
    """Folder for the readings, to go on from."""
    model: str = "toon-story-ldm"
    """Folder of a Story-LDM pipeline, or the name of a shipped one."""
    forms: tuple[str, ...] = tuple(FORMS)
    """Rows of the table; by default all."""
    dataset: str = "toonstories"
    """Name or folder of the labelled stories, as load_stories takes it."""
    split: str = "test"
    """Split of the dataset."""
    text: Literal["referential", "full", "free"] = "referential"
    """Form of the sentences."""
    stories: int = 1000
    """Number of stories, from the start of the split."""
    steps: int = 20
    """Diffusion steps per frame."""
    guidance: float = 2.0
    """Scale of classifier-free guidance."""
    batch: int = 20
    """Number of stories drawn at once."""
    evaluator: Path = Path("toon-evaluator")
    """Folder of the frame evaluator, or the name of a shipped one."""
    resamples: int = 1000
    """Number of bootstrap resamples for the intervals."""
    seed: int = 0
    """Seed of the noise, together with each story's id."""
    table: Path | None = None
    """Also write the table to this file, as .md and .json."""


def main(s: Settings) -> None:
    for form in s.forms:
        if form not in FORMS:
            raise SystemExit(f"--forms is {form!r}; it must be of {'; '.join(FORMS)}")
    stories = load_stories(s.dataset, s.split, text=s.text, limit=s.stories, pictures=False)
    evaluator = open_local(FrameEvaluator, model_folder(s.evaluator), dtype=torch.float32).eval()
    if label_names(stories.features, "characters") != list(evaluator.config.characters):
        raise SystemExit(f"--dataset {s.dataset} has other characters than the evaluator {s.evaluator} reads")
    claim(s)
    pipe = None
    reads = json_object(model_folder(s.model) / "model_index.json")
    if any(form.startswith("prompt-surgery") for form in s.forms) and (reads.get("text_encoder") or [None])[0] is None:
        raise SystemExit(f"--forms has prompt-surgery, which needs a CLIP text encoder; --model {s.model} has none")
    for form in s.forms:
        for first in tqdm(range(0, len(stories), s.batch), desc=form):
            file = readings_file(s, form, first, len(stories))
            if file.exists():
                continue
            pipe = pipe or open_pipeline(s)
            rows = stories.select(range(first, min(first + s.batch, len(stories))))
            write_text(file, json.dumps(readings(pipe, evaluator.to(pipe.device), rows, s, form)))
    lines, rates = table(s, stories, len(evaluator.config.characters))
    print(lines)
    if s.table is not None:
        s.table.parent.mkdir(parents=True, exist_ok=True)
        write_text(s.table.with_suffix(".md"), lines + "\n")
        write_text(s.table.with_suffix(".json"), json.dumps(without_nan(rates), indent=1) + "\n")


def without_nan(value: Any) -> Any:
    """Rates of nothing are null, which JSON has."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def claim(s: Settings) -> None:
    """Raises SystemExit if the folder has readings of other settings."""
    told = {name: str(value) for name, value in asdict(s).items() if name not in ("out", "forms", "stories", "resamples", "table")}
    file = s.out / "settings.json"
    if file.exists() and (before := read_json(file, dict, "the settings of these readings")) != told:
        changed = ", ".join(f"{name} was {before.get(name)}" for name in told if before.get(name) != told[name])
        raise SystemExit(f"--out {s.out} has readings of other settings ({changed}); use another folder")
    s.out.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(told, indent=1))


def readings_file(s: Settings, form: str, first: int, stories: int) -> Path:
    """Of the stories from `first` to the end of its batch. Named by the settings of the form, too: other ones are drawn anew."""
    settings = FORMS[form] | {"memory": form_of(FORMS[form].get("memory"))}
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    return s.out / f"{form.replace(', ', '_').replace(' ', '-')}-{digest}-{first:06d}-{min(first + s.batch, stories):06d}.json"


def open_pipeline(s: Settings) -> StoryLDMPipeline:
    pipe = StoryLDMPipeline.from_pretrained(model_folder(s.model)).to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def readings(pipe: StoryLDMPipeline, evaluator: FrameEvaluator, rows: Dataset, s: Settings, form: str) -> dict[str, Any]:
    """What the evaluator reads off the frames of these stories, and the seconds that drawing took."""
    seeds = [hashlib.sha256(f"{s.seed}/{story}".encode()).digest()[:7] for story in rows["story_id"]]  # as generate_stories.py
    generators = [torch.Generator().manual_seed(int.from_bytes(seed, "big")) for seed in seeds]
    clock = time.perf_counter if pipe.device.type == "cuda" else time.process_time  # not disturbed by what else a CPU does
    started = clock()
    how = {"num_inference_steps": s.steps, "guidance_scale": s.guidance, **FORMS[form]}
    drawn = pipe(rows["sentences"][:], generator=generators, **how).frames
    seconds = clock() - started
    side = (evaluator.config.sample_size,) * 2
    frames = frames_tensor([frame.resize(side) if frame.size != side else frame for story in drawn for frame in story])
    read = evaluator.read(frames.to(pipe.device))
    return {"story_ids": rows["story_id"][:], "seconds": seconds, "read": {name: x.int().tolist() for name, x in read.items()}}


def table(s: Settings, stories: Dataset, characters: int) -> tuple[str, dict[str, Any]]:
    """The table in Markdown, and its numbers."""
    labels = as_arrays(frame_labels(stories.remove_columns("frames"), characters))
    weights = bootstrap_weights(len(stories), s.resamples, 0)
    rates: dict[str, Any] = {}
    for form in s.forms:
        parts = [read_json(readings_file(s, form, first, len(stories)), dict, "readings") for first in range(0, len(stories), s.batch)]
        if [story for part in parts for story in part["story_ids"]] != stories["story_id"][:]:
            raise SystemExit(f"--out {s.out} has readings of {form!r} of other stories; use another folder")
        read = {name: np.concatenate([np.asarray(part["read"][name]) for part in parts]) for name in parts[0]["read"]}
        read["characters"] = read["characters"].astype(bool)
        found = measures(labels, read)
        rates[form] = {column: share(*found[key], labels["story"], weights) for column, key in COLUMNS.items()}
        rates[form] |= {"chance": {"mark kept": mark_chance(labels, read), "layout kept": layout_chance(labels, read)}}
        rates[form]["seconds per story"] = sum(part["seconds"] for part in parts) / len(stories)
    plain = rates.get("off", {}).get("seconds per story")

    def cell(value: dict[str, float]) -> str:
        if not value["count"]:
            return "–"
        return f"{shown(value['value'], 100, 0)} ({shown(value['low'], 100, 0)}–{shown(value['high'], 100, 0)})"

    rows = [
        [form, *(cell(of[column]) for column in COLUMNS), f"{of['seconds per story']:.2f}", f"{of['seconds per story'] / plain:.2f}" if plain else ""]
        for form, of in rates.items()
    ]
    chance = next(iter(rates.values()))["chance"]
    head = f"{s.model}, {len(stories)} stories of {s.dataset} ({s.split}, {s.text}), {s.steps} steps, guidance {s.guidance}; % with 95 % intervals."
    by_chance = f"Chance: marks {shown(chance['mark kept'], 100, 0)}, layouts {shown(chance['layout kept'], 100, 0)}."
    return f"{head}\n\n{markdown_table(('', *COLUMNS, 's', '÷ off'), rows)}\n\n{by_chance}", rates


if __name__ == "__main__":
    with one_line_errors("without_training.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
