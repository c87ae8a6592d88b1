"""Which pipeline a folder holds, for the scripts' --model.

pipe = pipeline_class(folder).from_pretrained(folder)
"""

from __future__ import annotations

from pathlib import Path

from diffusers import DiffusionPipeline

from story_ldm import pipelines
from story_ldm.files import json_object, shipped_models


def pipeline_class(folder: Path) -> type[DiffusionPipeline]:
    """Class of the pipeline in a folder. Raises SystemExit if there is none, or if it is not a story pipeline."""
    if not (folder / "model_index.json").exists():
        shipped = ", ".join(name for name, f in shipped_models().items() if (f / "model_index.json").exists())
        raise SystemExit(f"--model {folder} has no pipeline (model_index.json); it must be the folder of a pipeline, or a shipped one: {shipped}")
    name = json_object(folder / "model_index.json").get("_class_name")
    kinds = [kind for kind in pipelines.__all__ if kind.endswith("Pipeline")]
    if not isinstance(name, str) or name not in kinds:
        raise SystemExit(f"--model {folder} is a {name}; it must be a story pipeline: {', '.join(kinds)}")
    return getattr(pipelines, name)
