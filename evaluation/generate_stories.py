"""Draws the stories of a whole split with a trained system and writes them in the story form.

    python evaluation/generate_stories.py --model toon-story-ldm --split test --out generated/story-ldm
    python evaluation/generate_stories.py --model toon-story-ldm --no-memory --out generated/story-ldm-no-memory
    accelerate launch evaluation/generate_stories.py --model runs/story-ldm/pipeline --out generated/mine     # on several GPUs

A system is given the sentences and nothing else, and each story its own noise, which is a function of its id and `--seed`. Every `--batch` stories
become one Parquet file, written beside and renamed, so that the same command goes on where it stopped and several processes share the work: the
files do not depend on either. `generation.json` tells how the stories were made, how large the model is and how long a story took.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset, Features, Image, List, Value
from tqdm.auto import tqdm

from story_ldm import pipelines
from story_ldm.data.stories import load_stories
from story_ldm.files import file_digest, write_text

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
FEATURES = {"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))}


@dataclass
class Settings:
    model: str
    """Folder of a pipeline, or the name of a shipped one."""
    out: Path
    """Folder of the generated stories; `evaluation/score_stories.py --generated` reads it."""
    dataset: str = "toonstories"
    split: str = "test"
    text: str = "referential"
    stories: int | None = None
    """Only the first so many of the split."""
    steps: int = 20
    guidance: float = 2.0
    memory_guidance: float | None = None
    memory: bool = True
    """--no-memory switches the visual memory off."""
    max_memory_frames: int | None = None
    memory_weights: bool = False
    """Keep who looked at whom, for the gallery."""
    batch: int = 50
    """Stories that are drawn at a time, and kept in one file."""
    dtype: str = "float32"
    seed: int = 0


DIFFUSION = ("steps", "guidance", "memory_guidance", "memory", "max_memory_frames", "memory_weights")  # what only Story-LDM has


def main(s: Settings) -> None:
    state = Accelerator()
    folder = CHECKPOINTS / s.model if (CHECKPOINTS / s.model).is_dir() else Path(s.model)
    kind = pipeline_class(folder)
    with state.main_process_first():
        stories = load_stories(s.dataset, s.split, text=s.text, limit=s.stories, pictures=False)
    how = {**settings_of(s, kind), "weights": weights_digest(folder)}
    if state.is_main_process:
        claim(s.out, how)
    state.wait_for_everyone()

    files = shard_files(s, len(stories))
    mine = [n for n in range(state.process_index, len(files), state.num_processes) if not files[n].exists()]
    seconds, drawn, parameters = 0.0, 0, None
    if mine:
        pipe = kind.from_pretrained(folder, dtype=getattr(torch, s.dtype)).to(state.device)
        pipe.set_progress_bar_config(disable=True)
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    for n in tqdm(mine, desc=f"files of {s.batch} stories", disable=not state.is_main_process):
        rows = stories.select(range(n * s.batch, min((n + 1) * s.batch, len(stories))))
        started = time.perf_counter()
        table = draw(pipe, rows, s, kind)
        seconds, drawn = seconds + time.perf_counter() - started, drawn + len(rows)
        beside = files[n].with_name(f".{files[n].name}.partial")
        table.to_parquet(str(beside))
        os.replace(beside, files[n])
    state.wait_for_everyone()
    work = gather_object([(seconds, drawn, parameters)])
    if state.is_main_process and any(part[1] for part in work):
        cost = {
            "parameters": next(part[2] for part in work if part[2]),
            "seconds_per_story": round(sum(part[0] for part in work) / sum(part[1] for part in work), 4),
            "device": torch.cuda.get_device_name() if state.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads",
        }
        write_text(s.out / "generation.json", json.dumps({**how, **cost}, indent=1))
    if state.is_main_process:
        print(f"{len(stories)} stories in {s.out}")


def draw(pipe, rows: Dataset, s: Settings, kind: type) -> Dataset:
    """The stories of some rows, drawn at one time, in the story form."""
    more = {}
    if kind is pipelines.StoryLDMPipeline:
        more = {"num_inference_steps": s.steps, "guidance_scale": s.guidance, "memory_guidance_scale": s.memory_guidance, "use_memory": s.memory}
        more |= {"max_memory_frames": s.max_memory_frames, "return_memory_weights": s.memory_weights}
    generators = [torch.Generator().manual_seed(story_seed(story_id, s.seed)) for story_id in rows["story_id"]]
    out = pipe(rows["sentences"][:], generator=generators, **more)
    columns = {"story_id": rows["story_id"][:], "frames": out.frames, "sentences": rows["sentences"][:]}
    features = dict(FEATURES)
    if out.memory_weights is not None:
        columns["memory_weights"] = [weights.tolist() for weights in out.memory_weights]
        features["memory_weights"] = List(List(Value("float32")))
    return Dataset.from_dict(columns, features=Features(features))


def pipeline_class(folder: Path) -> type:
    """The pipeline that wrote a folder. Raises SystemExit where there is none, or one of another library."""
    if not (folder / "model_index.json").exists():
        shipped = ", ".join(sorted(f.name for f in CHECKPOINTS.iterdir() if (f / "model_index.json").exists()))
        raise SystemExit(f"{folder} holds no pipeline (model_index.json); give the folder of one, or a shipped one: {shipped}")
    name = json.loads((folder / "model_index.json").read_text())["_class_name"]
    kind = getattr(pipelines, name, None)
    if kind is None:
        raise SystemExit(f"{folder} is a {name}; story pipelines are {', '.join(n for n in pipelines.__all__ if n.endswith('Pipeline'))}")
    return kind


def settings_of(s: Settings, kind: type) -> dict:
    """What the stories depend on; settings of the diffusion alone are left out for other systems, which must have the defaults."""
    values = {name: value for name, value in json.loads(json.dumps(asdict(s), default=str)).items() if name != "out"}
    if kind is not pipelines.StoryLDMPipeline:
        defaults = {field: Settings.__dataclass_fields__[field].default for field in DIFFUSION}
        odd = [field for field in DIFFUSION if values[field] != defaults[field]]
        if odd:
            raise SystemExit(f"--{odd[0].replace('_', '-')} is a setting of Story-LDM; {kind.__name__} has none")
        values = {name: value for name, value in values.items() if name not in DIFFUSION}
    return {"pipeline": kind.__name__, **values}


def weights_digest(folder: Path) -> str:
    return hashlib.sha256("".join(file_digest(file) for file in sorted(folder.rglob("*.safetensors"))).encode()).hexdigest()[:16]


def claim(out: Path, how: dict) -> None:
    """Writes beside the stories how they are made, or refuses to mix them with others. Raises SystemExit that shows what differs."""
    file = out / "generation.json"
    then = json.loads(file.read_text()) if file.exists() else how
    changed = [f"  {name}: {then.get(name)!r} → {value!r}" for name, value in how.items() if then.get(name) != value]
    if changed:
        raise SystemExit(f"{out} holds stories made in another way; give another --out:\n" + "\n".join(changed))
    if not file.exists():
        if any(out.glob("data/*.parquet")):
            raise SystemExit(f"{out} holds stories of which nothing is known (generation.json is missing); give another --out")
        (out / "data").mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(how, indent=1))


def shard_files(s: Settings, stories: int) -> list[Path]:
    count = -(-stories // s.batch)
    return [s.out / "data" / f"{s.split}-{n:05d}-of-{count:05d}.parquet" for n in range(count)]


def story_seed(story_id: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{story_id}".encode()).digest()[:7], "big")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
