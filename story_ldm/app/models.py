"""Models that the storyboard may draw with: what each has, read from its files alone, and opening one.

models = offered(["runs/mine", "sd-1-5+runs/adapter"], ["inks.safetensors"])    # the shipped ones, and these with these LoRAs; by name
pipe = open_model(models["mine"])
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from story_ldm.files import json_object, model_folder, shipped_models
from story_ldm.model_folders import is_single_file

STABLE_DIFFUSIONS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
KINDS = ("StoryLDMPipeline", "ARLDMPipeline", *STABLE_DIFFUSIONS)


@dataclass(frozen=True)
class Model:
    """memories: the values of the setting `memory` that it can be drawn with, its default first. reader: whether it says whom it understood.
    memory_guidance, negative, size: whether it has these settings."""

    name: str
    path: Path
    kind: str
    adapter: Path | None = None
    memories: tuple[str, ...] = ("none",)
    reader: bool = False
    memory_guidance: bool = False
    negative: bool = True
    size: bool = False
    loras: tuple[Path, ...] = ()

    def shown(self) -> dict[str, Any]:
        """What the page knows of it: nothing of its place."""
        return {name: value for name, value in asdict(self).items() if name not in ("path", "adapter")} | {"loras": [*self.lora_files()]}

    def lora_files(self) -> dict[str, Path]:
        return {file.stem: file for file in self.loras}


def offered(given: list[str] | tuple[str, ...] = (), loras: list[Path] | tuple[Path, ...] = ()) -> dict[str, Model]:
    """Models by name: the given ones first, then the shipped ones. loras: files for Stable Diffusions. Raises ValueError for what is no model that
    draws frame by frame, and for files that are none."""
    for file in loras:
        if file.suffix != ".safetensors" or not file.is_file():
            raise ValueError(f"--loras has {file}; it must be a LoRA in a .safetensors file")
    models: dict[str, Model] = {}
    for text in given:
        model = described(text)
        if model.kind in STABLE_DIFFUSIONS:
            model = replace(model, loras=tuple(loras))
        name, n = model.name, 2
        while model.name in models:
            model = replace(model, name=f"{name} ({n})")
            n += 1
        models[model.name] = model
    for name, folder in shipped_models().items():
        if (folder / "model_index.json").is_file():
            models.setdefault(name, described(name))
    if not models:
        raise ValueError("there is no model to draw with: none is shipped, and none was named")
    return models


def described(text: str) -> Model:
    """A model by a shipped name, a folder or a single file; of a Stable Diffusion also `model+adapter`."""
    path, adapter = model_folder(text), None
    if not path.exists() and "+" in text:
        first, _, second = text.rpartition("+")
        path, adapter = model_folder(first), Path(second)
        if not adapter.exists():
            raise ValueError(f"the model {text} cannot be opened: there is no memory adapter {adapter}")
    if is_single_file(path):
        kind, index = STABLE_DIFFUSIONS[0], {}
    elif (path / "model_index.json").is_file():
        index = json_object(path / "model_index.json")
        kind = str(index.get("_class_name"))
    else:
        raise ValueError(f"{text} is no model to draw with; it must be a shipped one, the folder of a pipeline, or a Stable Diffusion in one file")
    if kind not in KINDS:
        raise ValueError(f"the model {text} is a {kind}; the storyboard draws frame by frame, with a {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    name = path.stem if is_single_file(path) else path.resolve().name
    if kind in STABLE_DIFFUSIONS:
        memories = ("none", "reference") if adapter is None else ("trained", "none", "reference")
        return Model(name if adapter is None else f"{name} + {adapter.stem}", path, kind, adapter, memories, False, adapter is not None, size=True)
    if adapter is not None:
        raise ValueError(f"the model {text} cannot be opened: a memory adapter is for a Stable Diffusion, and {path} is a {kind}")
    if kind == "ARLDMPipeline":
        return Model(name, path, kind, None, ("trained", "none"), memory_guidance=True)
    trained = json_object(path / "unet" / "config.json").get("memory", "none") != "none"
    reader = (index.get("reader") or [None])[0] is not None
    return Model(name, path, kind, None, ("trained", "none") if trained else ("none", "reference"), reader, trained)


def spelled(model: Model) -> str:
    """How others name the model: a shipped one by its name."""
    return model.name if shipped_models().get(model.name) == model.path else str(model.path)


def arguments(model: Model, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as arguments of a call of the model's pipeline. Defaults are left out. Raises ValueError for a setting that the model has not."""
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale", "memory_guidance": "memory_guidance_scale"}
    names |= {"height": "height", "width": "width"}
    if settings["memory"] not in model.memories:
        raise ValueError(f"memory is {settings['memory']}; {model.name} has {' and '.join(model.memories)}")
    if unknown := settings["loras"].keys() - model.lora_files().keys():
        raise ValueError(f"the LoRA {min(unknown)} is not here; {model.name} has {', '.join(model.lora_files()) or 'none'}")
    given = {argument: settings[name] for name, argument in names.items() if settings[name] is not None}
    if settings["negative"].strip():
        given["negative_prompt"] = settings["negative"]
    if settings["memory"] == "none" and "trained" in model.memories:
        given["use_memory"] = False
    if settings["memory"] == "reference":
        given["memory"] = "reference"
    if settings["memory"] != "trained":
        given.pop("memory_guidance_scale", None)
    return given


def open_model(model: Model) -> Any:
    """Its pipeline, on the GPU if there is one. Raises OSError and ValueError as the pipelines do."""
    import torch

    if model.kind == "ARLDMPipeline":
        pipe = import_module("story_ldm.pipelines.ar_ldm").ARLDMPipeline.from_pretrained(model.path)
    else:
        kind = import_module("story_ldm.pipelines.story_ldm").StoryLDMPipeline
        if model.kind in STABLE_DIFFUSIONS:
            half = {"dtype": torch.float16} if torch.cuda.is_available() else {}
            pipe = kind.from_stable_diffusion(model.path if is_single_file(model.path) else str(model.path), model.adapter, **half)
        else:
            pipe = kind.from_pretrained(model.path)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")
