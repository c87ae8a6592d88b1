"""Generate the stories of a split with a trained system, and write them in the story form.

    python evaluation/generate_stories.py --model toon-story-ldm --split test --out generated/story-ldm
    python evaluation/generate_stories.py --model toon-story-ldm --no-memory --out generated/story-ldm-no-memory
    python evaluation/generate_stories.py --model toon-story-ldm --memory-form reference --out generated/reference
    accelerate launch evaluation/generate_stories.py --model runs/story-ldm/pipeline --out generated/story-ldm     # on several GPUs

The system gets the sentences only. The noise of a story is a function of its id and `--seed`. Every `--batch` stories are written to one Parquet
file, atomically. Running the same command again resumes the generation, and several processes share the files; neither changes their content.
`generation.json` has the settings, the size of the model and the time per story.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset, Features, Image, List, Value
from diffusers import DiffusionPipeline
from pyarrow import parquet
from tqdm.auto import tqdm

from story_ldm import pipelines
from story_ldm.data.long_sentences import LongDrawn
from story_ldm.data.sources.base import read_json
from story_ldm.data.stories import fit_stories, load_stories
from story_ldm.data.story_form import is_damaged
from story_ldm.encoders.limits import folder_limit
from story_ldm.files import file_digest, json_object, model_folder, write_text, written_beside
from story_ldm.locks import hold, release
from story_ldm.one_line import one_line_errors
from story_ldm.pipelines.opening import pipeline_class

FEATURES = {"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))}


@dataclass
class Settings:
    model: str
    """Folder of a pipeline, or the name of a shipped one."""
    out: Path
    """Folder for the generated stories, to pass to score_stories.py as --generated."""
    dataset: str = "toonstories"
    """Name or folder of the dataset with the sentences, as load_stories takes it."""
    split: str = "test"
    """Split of the dataset."""
    text: Literal["referential", "full", "free"] = "referential"
    """Form of the sentences: referential (she, there), full (all names), or free (as people write; built-in worlds only)."""
    stories: int | None = None
    """Number of stories to generate, from the start of the split; by default all."""
    steps: int | None = None
    """Diffusion steps per frame; by default those saved with the model, or 20."""
    guidance: float | None = None
    """Scale of classifier-free guidance; by default that saved with the model, or 2.0."""
    memory_guidance: float | None = None
    """Guidance scale of the visual memory; by default that of --guidance."""
    memory: bool = True
    """Use the visual memory."""
    memory_form: Literal["trained", "reference", "consistent-attention", "prompt-surgery"] = "trained"
    """The visual memory that the model was trained with, or a form that needs no training."""
    max_memory_frames: int | None = None
    """Number of earlier frames kept in the visual memory; by default all."""
    memory_weights: bool = False
    """Store the memory weights, which compare_systems.py shows in its gallery."""
    batch: int = 50
    """Number of stories generated at once and stored in one file."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Precision of the model's weights."""
    seed: int = 0
    """Seed of the noise, together with each story's id."""
    long_sentences: LongDrawn = "error"
    """What to do with sentences that are longer than the model reads: error, cut them, skip their stories (which scoring then misses), or chunks: a
    CLIP text encoder reads them in parts of its length."""


SHARED = ("steps", "guidance", "memory_guidance", "memory")  # settings of Story-LDM and AR-LDM only
DIFFUSION = (*SHARED, "memory_form", "max_memory_frames", "memory_weights")  # of Story-LDM


def main(s: Settings) -> None:
    state = Accelerator()
    folder = model_folder(s.model)
    kind = pipeline_class(folder)
    if s.long_sentences == "chunks" and (kind is not pipelines.StoryLDMPipeline or not (folder / "tokenizer").is_dir()):
        raise ValueError(f"--long-sentences is chunks, and {folder} has no CLIP text encoder, whose sentences alone are read in chunks")
    if kind in (pipelines.StoryLDMPipeline, pipelines.ARLDMPipeline):
        saved = json_object(folder / "model_index.json")
        given = {name: value for name, value in (("default_steps", s.steps), ("default_guidance", s.guidance)) if value is not None}
        saved = {"default_steps": 20, "default_guidance": 2.0, **saved, **given}
        s = replace(s, steps=saved["default_steps"], guidance=saved["default_guidance"])
    with state.main_process_first():
        stories = load_stories(s.dataset, s.split, text=s.text, limit=s.stories, pictures=False)
        if s.long_sentences != "chunks":
            [stories] = fit_stories([stories], folder_limit(folder), s.long_sentences)
    told = hashlib.sha256(json.dumps([stories["story_id"][:], stories["sentences"][:]]).encode()).hexdigest()[:16]
    how = {**settings_of(s, kind), "weights": weights_digest(folder), "sentences": told}
    if state.is_main_process:
        hold(s.out)
        claim(s.out, how)
    state.wait_for_everyone()

    files = shard_files(s, len(stories))
    own = [
        n
        for n in range(state.process_index, len(files), state.num_processes)
        if not is_whole(files[n], stories.select(range(n * s.batch, min((n + 1) * s.batch, len(stories)))))
    ]
    seconds, drawn, parameters = 0.0, 0, None
    if own:
        pipe = kind.from_pretrained(folder, dtype=getattr(torch, s.dtype)).to(state.device)
        pipe.set_progress_bar_config(disable=True)
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    for n in tqdm(own, desc=f"files of {s.batch} stories", disable=not state.is_main_process):
        rows = stories.select(range(n * s.batch, min((n + 1) * s.batch, len(stories))))
        started = time.perf_counter()
        table = draw(pipe, rows, s, kind)
        seconds, drawn = seconds + time.perf_counter() - started, drawn + len(rows)
        with written_beside(files[n]) as partial:
            table.to_parquet(str(partial), write_page_checksum=True)
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
        release(s.out)


def is_whole(file: Path, rows: Dataset) -> bool:
    """Whether a file holds the stories of these rows, undamaged."""
    if not file.exists() or is_damaged(file):
        return False
    table = parquet.read_table(file, columns=["story_id", "sentences"])
    return table.to_pydict() == {"story_id": rows["story_id"][:], "sentences": rows["sentences"][:]}


def draw(pipe: DiffusionPipeline, rows: Dataset, s: Settings, kind: type[DiffusionPipeline]) -> Dataset:
    """Generate the stories of these rows in one call. Returns them in the story form."""
    options: dict[str, Any] = {}
    if kind in (pipelines.StoryLDMPipeline, pipelines.ARLDMPipeline):
        options = {
            "num_inference_steps": s.steps,
            "guidance_scale": s.guidance,
            "memory_guidance_scale": s.memory_guidance,
            "use_memory": s.memory,
        }
    if kind is pipelines.StoryLDMPipeline:
        options |= {
            "memory": None if s.memory_form == "trained" else s.memory_form,
            "max_memory_frames": s.max_memory_frames,
            "return_memory_weights": s.memory_weights,
            "long_sentences": "chunks" if s.long_sentences == "chunks" else "error",
        }
    generators = [torch.Generator().manual_seed(story_seed(story_id, s.seed)) for story_id in rows["story_id"]]
    out = pipe(rows["sentences"][:], generator=generators, **options)
    columns = {"story_id": rows["story_id"][:], "frames": out.frames, "sentences": rows["sentences"][:]}
    features = dict(FEATURES)
    if out.memory_weights is not None:
        columns["memory_weights"] = [weights.tolist() for weights in out.memory_weights]
        features["memory_weights"] = List(List(Value("float32")))
    return Dataset.from_dict(columns, features=Features(features))


def settings_of(s: Settings, kind: type[DiffusionPipeline]) -> dict:
    """Settings that the stories depend on, without those that the system does not have. Raises SystemExit if one of these was changed."""
    values = {name: value for name, value in json.loads(json.dumps(asdict(s), default=str)).items() if name != "out"}
    if kind is not pipelines.StoryLDMPipeline:
        other = [field for field in DIFFUSION if kind is not pipelines.ARLDMPipeline or field not in SHARED]
        odd = [field for field in other if values[field] != Settings.__dataclass_fields__[field].default]
        if odd:
            raise SystemExit(f"--{odd[0].replace('_', '-')} is a setting of Story-LDM; {kind.__name__} does not have it")
        values = {name: value for name, value in values.items() if name not in other}
    return {"pipeline": kind.__name__, **values}


def weights_digest(folder: Path) -> str:
    """Digest of all safetensors files in a folder."""
    return hashlib.sha256("".join(file_digest(file) for file in sorted(folder.rglob("*.safetensors"))).encode()).hexdigest()[:16]


def claim(out: Path, how: dict) -> None:
    """Write the settings to generation.json. Raises SystemExit, which lists the differences, if the folder has stories of other settings."""
    file = out / "generation.json"
    before = read_json(file, dict, "the settings of a generation") if file.exists() else how
    # version 0.1 did not record these
    before = {"sentences": how.get("sentences"), "long_sentences": "error", "memory_form": "trained", **before}
    changed = [f"  {name}: {before.get(name)!r} → {value!r}" for name, value in how.items() if before.get(name) != value]
    if changed:
        raise SystemExit(f"--out {out} has stories generated with other settings; use another folder:\n" + "\n".join(changed))
    if not file.exists():
        if any(out.glob("data/*.parquet")):
            raise SystemExit(f"--out {out} has stories of unknown settings (generation.json is missing); use another folder")
        (out / "data").mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(how, indent=1))


def shard_files(s: Settings, stories: int) -> list[Path]:
    """The Parquet files of all stories."""
    count = -(-stories // s.batch)
    return [s.out / "data" / f"{s.split}-{n:05d}-of-{count:05d}.parquet" for n in range(count)]


def story_seed(story_id: str, seed: int) -> int:
    """Seed of a story's noise."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{story_id}".encode()).digest()[:7], "big")


if __name__ == "__main__":
    with one_line_errors("generate_stories.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
