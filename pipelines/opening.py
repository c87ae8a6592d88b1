"""Which pipeline a folder holds, for the scripts' --model.

pipe = pipeline_class(folder).from_pretrained(folder)
"""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import DiffusionPipeline

from story_ldm import pipelines
from story_ldm.files import regular_file, shipped_models


def pipeline_class(folder: Path) -> type[DiffusionPipeline]:
    """Class of the pipeline in a folder. Raises SystemExit if there is none, or if it is not a story pipeline."""
    if not (folder / "model_index.json").exists():
        shipped = ", ".join(name for name, f in shipped_models().items() if (f / "model_index.json").exists())
        raise SystemExit(f"--model {folder} has no pipeline (model_index.json); it must be the folder of a pipeline, or a shipped one: {shipped}")
    name = json.loads(regular_file(folder / "model_index.json").read_text())["_class_name"]
    kind = getattr(pipelines, name, None)
    if kind is None:
        raise SystemExit(
            f"--model {folder} is a {name}; it must be a story pipeline: {', '.join(n for n in pipelines.__all__ if n.endswith('Pipeline'))}"
        )
    return kind
