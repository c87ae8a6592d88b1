"""A memory adapter: the memory layers of a story UNet and its language memory in one file, for any Stable Diffusion of the same shape.

    save_memory_adapter("adapter", unet, language_memory)            # adapter/memory_adapter.safetensors and a card
    language_memory = load_memory_adapter("adapter", unet)           # replaces the memory layers of the UNet

The file's metadata give the shape of the UNet it fits, the settings of its layers, and facts about its training.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers.configuration_utils import FrozenDict
from huggingface_hub import ModelCardData
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.files import markdown_table, write_text, written_beside
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel, new_memory_layers

ADAPTER = "memory_adapter.safetensors"
SHAPE = ("block_out_channels", "mid_block_type", "cross_attention_dim")  # what the weights of an adapter depend on
MEMORY = ("memory", "memory_sentence_dim", "memory_heads", "memory_blocks")
LANGUAGE, MOST = ("width", "layers", "heads"), 16_384


def save_memory_adapter(
    folder: str | Path, unet: StoryUNet2DConditionModel, language_memory: LanguageMemory | None, dtype: torch.dtype | None = None, **facts
) -> Path:
    """Write the adapter, in its present precision unless `dtype` is given, and its card; both include `facts` (JSON). Returns the file."""
    if not unet.memory_sources:
        raise ValueError("memory of the UNet is 'none': there are no memory layers to save")
    folder = Path(folder)
    parts: dict[str, nn.Module] = {"memory_layers": unet.memory_layers}
    if language_memory is not None:
        parts["language_memory"] = language_memory
    weights = {f"{part}.{name}": value.detach().to("cpu", dtype).contiguous() for part, m in parts.items() for name, value in m.state_dict().items()}
    config = {
        "shape": {field: unet.config[field] for field in SHAPE},
        "memory": {**{field: unet.config[field] for field in MEMORY}, "memory_blocks": list(unet.memory_sources)},
        "language_memory": None if language_memory is None else {field: language_memory.config[field] for field in LANGUAGE},
        "facts": facts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with written_beside(folder / ADAPTER) as partial:
        save_file(weights, partial, metadata={"format": "pt", "config": json.dumps(config)})
    write_text(folder / "README.md", adapter_card(config, weights))
    return folder / ADAPTER


def load_memory_adapter(
    adapter: str | Path, unet: StoryUNet2DConditionModel, prediction_type: str | None = None, cell: int | None = None
) -> LanguageMemory | None:
    """Load the memory layers of an adapter (folder or file) into a UNet, in its dtype and on its device; returns the adapter's language memory.
    prediction_type: what the UNet predicts (epsilon, v_prediction), if known; the adapter must have been trained for the same. cell: pixels a latent
    cell, if known; the UNet's memory_sample_size is then the size that the adapter was trained at, if its facts say so.

    Raises ValueError, and leaves the UNet unchanged, if they do not fit."""
    file = Path(adapter) / ADAPTER if Path(adapter).is_dir() else Path(adapter)
    if not file.is_file():
        raise ValueError(f"memory_adapter is {str(adapter)!r}; it must be a folder with {ADAPTER} in it, or such a file")
    try:
        with safe_open(file, "pt") as opened:
            config = _read_config(file, opened.metadata())
            weights = {name: opened.get_tensor(name) for name in opened.keys()}
    except SafetensorError as error:
        raise ValueError(f"{file} is not a memory adapter: it is not a complete safetensors file ({error})") from error
    odd = [name for name, value in weights.items() if not value.is_floating_point() or not value.isfinite().all()]
    if odd:
        raise ValueError(f"{odd[0]} of {file} has numbers that are infinite, not a number, or no floating-point numbers")
    for field, value in config["shape"].items():
        found = json.loads(json.dumps(unet.config.get(field)))  # tuples are lists in JSON
        if found != value:
            raise ValueError(f"{field} of the UNet is {found}, and {file} is for {value}: take a Stable Diffusion with {field} {value}")
    trained_for = config.get("facts", {}).get("prediction_type", prediction_type)
    if prediction_type is not None and trained_for != prediction_type:
        raise ValueError(f"{file} was trained for prediction_type {trained_for!r}; this model's is {prediction_type!r}, for which it does not fit")
    try:
        sources, layers = new_memory_layers(FrozenDict({**unet.config, **config["memory"]}))
        language = None if config["language_memory"] is None else LanguageMemory(**config["language_memory"])
    except Exception as error:  # of any kind: the values come from a file
        settings = {name: config[name] for name in ("memory", "language_memory")}
        raise ValueError(f"{file} is not a memory adapter: no layers can be made by its config {settings} ({error})") from error
    for part, model in (("memory_layers", layers), ("language_memory", language)):
        if model is not None:
            try:
                model.load_state_dict({n.removeprefix(f"{part}."): value for n, value in weights.items() if n.startswith(f"{part}.")})
            except RuntimeError as error:
                raise ValueError(f"the tensors of {file} are not those of its config: {error}") from error
            model.to(unet.device, unet.dtype).train(unet.training)
    resolution, images = config.get("facts", {}).get("resolution"), unet.config.encoder_hid_dim_type
    known = cell and isinstance(resolution, int) and not isinstance(resolution, bool) and 0 < resolution <= MOST and resolution % cell == 0
    unet.register_to_config(**config["memory"], memory_sample_size=resolution // cell if known else None)
    unet.config.encoder_hid_dim_type = images  # which a loaded IP-Adapter sets so, outside what is saved
    unet.memory_sources, unet.memory_layers = sources, layers
    return language


def _read_config(file: Path, metadata: dict[str, str] | None) -> dict:
    """The config in an adapter's metadata. Raises ValueError if it is not as `save_memory_adapter` writes it."""
    try:
        config = json.loads((metadata or {}).get("config", "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not a memory adapter: the config in its metadata is not JSON ({error})") from None
    if config is None:
        raise ValueError(f"{file} is not a memory adapter: its metadata have no config, as save_memory_adapter writes it")
    wanted: dict[str, tuple[type, ...]] = {"shape": (dict,), "memory": (dict,), "language_memory": (dict, type(None)), "facts": (dict,)}
    for name, kinds in wanted.items():
        if not isinstance(config, dict) or not isinstance(config.get(name, {} if name == "facts" else ...), kinds):
            found = config.get(name, "missing") if isinstance(config, dict) else config
            raise ValueError(f"{file} is not a memory adapter: {name} of its config is {found!r}; it must be an object of settings")
    for name, fields in (("shape", SHAPE), ("memory", MEMORY), ("language_memory", LANGUAGE)):
        for field, value in (config[name] or {}).items():  # they end up in the UNet's config
            if field not in fields:
                raise ValueError(f"{file} sets {field} of its {name}; an adapter may set {', '.join(fields)}")
            if name != "shape" and isinstance(value, int) and not 1 <= value <= MOST:
                raise ValueError(f"{field} of {file} is {value}; it must be from 1 to {MOST}")
        if config[name] is not None and set(config[name]) != set(fields):
            raise ValueError(f"{file} is not a memory adapter: {name} of its config has {sorted(config[name])}; it must have {', '.join(fields)}")
    language = config["language_memory"] or {}
    if not all(isinstance(value, int) for value in language.values()):
        raise ValueError(f"language_memory of {file} is {language}; its values must be whole numbers")
    return config


def adapter_card(config: dict, weights: dict[str, Tensor]) -> str:
    """README.md of an adapter: how to use it, and its config as a table."""
    rows = [(key, value) for part in ("shape", "memory", "facts") for key, value in config[part].items()]
    rows.append(("language memory", config["language_memory"] or "none"))
    rows.append(("parameters", f"{sum(w.numel() for w in weights.values()):,}"))
    rows.append(("size", f"{sum(w.nbytes for w in weights.values()) / 1e6:.1f} MB"))
    return f"""---
{ModelCardData(library_name="diffusers", pipeline_tag="text-to-image")}
---
# Memory adapter

Makes a Stable Diffusion draw stories: memory layers by which each frame reads the frames before it. It fits any Stable Diffusion (fine-tunes
and LoRAs included) of the shape below; the Stable Diffusion itself is not in it.

```python
from story_ldm import StoryLDMPipeline

pipe = StoryLDMPipeline.from_stable_diffusion("folder or name of a Stable Diffusion", memory_adapter="this folder")
frames = pipe(["Rosa the rabbit waves in the kitchen.", "She sits down."]).frames[0]
```

{markdown_table(("setting", "value"), rows)}
"""
