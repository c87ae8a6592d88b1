"""Folders of models, checked before a weight is read: what they are, which call opens them, and what they lack.

check_model_folder(folder, "StoryLDMPipeline", needed=("unet", "vae"), known=(…))
check_sizes(folder, CLIPTextModel)      # against the headers of its weight files
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from story_ldm.files import check_shards, json_object, of_this_package, regular_file

MOST = 1_000_000  # of any number in a config that is not bounded by the weights: steps of a scheduler, pixels, tokens
SPARE = 10_000_000  # numbers that a model may have beside its stored weights: tables that are computed
VERY_LARGE_INTEGER = int(1e30)  # transformers' length of a tokenizer that has none
SINGLE_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")


def is_single_file(model: str | Path) -> bool:
    return Path(model).suffix.lower() in SINGLE_FILES and Path(model).is_file()


def half_variant(folder: Path, parts: Collection[str]) -> str | None:
    """The variant "fp16" if one of these components has its weights in half precision alone; None otherwise. diffusers then takes half precision
    wherever there is some: which components have both is said on stderr."""
    files = {part: [file.name for file in (folder / part).glob("*.safetensors") if not file.name.startswith(".")] for part in parts}
    half = {part: [".fp16" in name for name in names] for part, names in files.items() if names}
    if not any(map(all, half.values())):
        return None
    both = [part for part, names in half.items() if any(names) and not all(names)]
    if both:
        print(f"{folder} has other parts in half precision alone: so are {', '.join(both)} read, which have both", file=sys.stderr)
    return "fp16"


def check_model_folder(folder: Path, pipeline: str, needed: Collection[str], known: Collection[str]) -> None:
    """Raises ValueError if a folder is of another pipeline, has a component that `pipeline` does not know, lacks one that it needs, or one without
    its weights. Says which call opens it, where there is one."""
    index = json_object(folder / "model_index.json")
    name = index.get("_class_name")
    name = name[-1] if isinstance(name, list) and name else name
    if name != pipeline:
        how = "it must be a pipeline of this kind"
        if isinstance(name, str) and name.startswith("StableDiffusion"):
            how = f"open it by StoryLDMPipeline.from_stable_diffusion({str(folder)!r})"
        elif isinstance(name, str) and name.startswith(("Story", "DynamicBlock", "ARLDM")):
            how = f"open it by {name}.from_pretrained({str(folder)!r})"
        raise ValueError(f"{folder} is a {name}, not a {pipeline}; {how}")
    parts = {part: value for part, value in index.items() if isinstance(value, list) and not part.startswith("_")}
    for part in parts:
        if part not in known:
            raise ValueError(f"model_index.json of {folder} has the component {part!r}; a {pipeline} has {', '.join(known)}")
    for part in needed:
        if not isinstance(index.get(part), list) or len(index[part]) != 2 or index[part][1] is None:
            raise ValueError(f"model_index.json of {folder} has no component {part!r}; a {pipeline} needs {', '.join(needed)}")
    for part, value in parts.items():
        if len(value) == 2 and value[1] is not None:
            check_component(folder / part, getattr(sys.modules.get(str(value[0])), str(value[1]), None))


def check_component(folder: Path, kind: Any = None) -> None:
    """Raises ValueError if the folder of a component is missing, or is that of a network without all its weights in safetensors, or asks for absurd
    sizes. kind: its class, if known."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise ValueError(f"the component {folder.name!r} is missing: there is nothing in {folder}")
    config = folder / "config.json"
    if not config.exists() or not {"_class_name", "architectures"} & json_object(config).keys():
        check_sizes(folder)  # a tokenizer or a scheduler
        return
    files = [file for file in folder.glob("*.safetensors") if not file.name.startswith(".")]
    if not files:
        pickles = [file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"))]
        why = f"only {pickles[0]}, a pickle, which is not opened: save the model by save_pretrained(safe_serialization=True)" if pickles else "none"
        raise ValueError(f"the component {folder.name!r} needs its weights as *.safetensors; {folder} has {why}")
    for index in folder.glob("*.safetensors.index.json"):
        absent = sorted({str(name) for name in (json_object(index).get("weight_map") or {}).values()} - {file.name for file in files})
        if absent:
            raise ValueError(f"the component {folder.name!r} is not whole: {index} lists {absent[0]}, which is missing")
    for file in files:
        try:
            with safe_open(regular_file(file), "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"the component {folder.name!r} is not whole: {file} cannot be read ({error})") from None
    check_sizes(folder, kind)


def open_local(kind: Any, folder: str | Path, **settings: Any) -> Any:
    """`kind.from_pretrained(folder)` for a folder of this machine: weights in safetensors only, no code, and no network. kind: a model or tokenizer.

    Raises FileNotFoundError for what is not a folder (libraries would take it for a name on the hub), ValueError if `check_shards` or `check_sizes`
    does, or for whatever else is wrong in the folder (`as_broken_folder`)."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it must hold a {kind.__name__}")
    check_shards(Path(folder))
    check_sizes(Path(folder), kind)
    if hasattr(kind, "state_dict"):
        settings["use_safetensors"] = True
    with as_broken_folder(folder, kind.__name__):
        return kind.from_pretrained(folder, local_files_only=True, **settings)


@contextmanager
def as_broken_folder(folder: str | Path, what: str) -> Iterator[None]:
    """Turns what libraries raise for a folder with wrong content, of any type, into a ValueError that names the folder and `what` it should hold.
    Files that cannot be read (OSError), too little memory and missing packages are no faults of the content; ValueErrors of this package say all."""
    try:
        yield
    except (OSError, MemoryError, ImportError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError" or (isinstance(error, ValueError) and of_this_package(error)):  # the first is torch's
            raise
        raise ValueError(f"{folder} cannot be opened as a {what} ({type(error).__name__}: {error})") from error


def check_sizes(folder: Path, kind: Any = None) -> None:
    """Raises ValueError, before memory is taken, if a config asks for sizes that do not fit the stored weights, a tokenizer for more tokens than its
    text encoder has, or a scheduler for absurdly many steps. kind: class of the model, if known; it is built without memory to count its weights."""
    if (folder / "scheduler_config.json").exists():
        _check_numbers(folder / "scheduler_config.json", MOST, MOST, "")
    if (folder / "tokenizer_config.json").exists():
        _check_tokenizer(folder, folder.with_name(folder.name.replace("tokenizer", "text_encoder")) / "config.json")
    shapes = list(_shapes(folder))
    if not shapes or not (folder / "config.json").exists():
        return
    stored = sum(map(math.prod, shapes))
    _check_numbers(
        folder / "config.json", max(stored, MOST), len(shapes), f", for the files beside it have {stored:,} weights in {len(shapes)} tensors"
    )
    needed = _needed(folder, kind)
    if needed is not None and needed > 2 * stored + SPARE:
        raise ValueError(f"{folder / 'config.json'} asks for {needed:,} weights; the files beside it have {stored:,}")


def _check_numbers(file: Path, most: int, layers: int, why: str) -> None:
    """Raises ValueError for a number in a config above `most`, or one of layers above `layers`. Ids of tokens are not sizes."""
    for name, value in _numbers(json_object(file)):
        limit = layers if re.search("layers|depth|blocks", name) else most
        if value > limit and not name.endswith(("_id", "_ids")):
            raise ValueError(f"{name} of {file} is {value:,}; it must be at most {limit:,}{why}")


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Name and value of each integer in a config."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(part, str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value


def _check_tokenizer(folder: Path, encoder: Path) -> None:
    """Sentences are padded to the tokenizer's length, and its ids are rows of the text encoder's table. encoder: config.json of that encoder."""
    sizes = json_object(encoder) if encoder.exists() else {}
    longest = sizes.get("max_position_embeddings", MOST)
    length = json_object(folder / "tokenizer_config.json").get("model_max_length")
    if encoder.exists() and isinstance(length, int) and isinstance(longest, int) and longest < length < VERY_LARGE_INTEGER:
        raise ValueError(f"model_max_length of {folder / 'tokenizer_config.json'} is {length:,}; it must be at most {longest:,}, as of {encoder}")
    file = next((folder / name for name in ("tokenizer.json", "vocab.json") if (folder / name).exists()), None)
    if file is None or not isinstance(sizes.get("vocab_size"), int):
        return
    table = json_object(file)
    model = table.get("model") or {}
    if not isinstance(model, dict):
        raise ValueError(f"model of {file} is {model!r}; it must be an object with the vocabulary")
    parts = [table] if file.name == "vocab.json" else [model.get("vocab"), table.get("added_tokens")]
    ids = [n for part in parts for _, n in _numbers(part)]
    if (largest := max(ids, default=0)) >= sizes["vocab_size"]:
        raise ValueError(f"the largest token of {file} is {largest:,}; it must be below {sizes['vocab_size']:,}, the vocab_size of {encoder}")


def _shapes(folder: Path) -> Iterator[list[int]]:
    """Shapes of the stored tensors; of the headers only."""
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(regular_file(file), "pt") as opened:
                yield from [opened.get_slice(key).get_shape() for key in opened.keys()]
        except SafetensorError as error:
            raise ValueError(f"{file} cannot be read ({error})") from None


def _needed(folder: Path, kind: Any) -> int | None:
    """How many numbers the model of a config has, built without memory; None where that is not known, as of a class that cannot be built so."""
    import torch
    from diffusers.models.modeling_utils import no_init_weights

    try:
        # not initialized: random numbers without memory are made in Python, by what imports torch's compiler
        with torch.random.fork_rng(devices=[]), torch.device("meta"), no_init_weights():
            if hasattr(kind, "load_config"):  # of diffusers
                model = kind.from_config(kind.load_config(folder, local_files_only=True))
            elif getattr(kind, "config_class", None) is not None:  # of transformers
                model = kind(kind.config_class.from_pretrained(folder, local_files_only=True))
            else:
                return None
            return sum(part.numel() for part in (*model.parameters(), *model.buffers()))
    except Exception as error:  # what is wrong with the config is told by the library that opens it
        if isinstance(error, (OverflowError, MemoryError)) or "overflow" in str(error):
            raise ValueError(f"{folder / 'config.json'} asks for sizes that no memory has ({error})") from None
        return None


def check_weights(folder: Path, name: str, model: Any) -> None:
    """Raises ValueError if the safetensors files of a component have fewer numbers than the model made from them, so that the rest is random,
    or if a weight is infinite or not a number."""
    stored = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            for key in opened.keys():
                count = 1
                for length in opened.get_slice(key).get_shape():
                    count *= length
                stored += count
    needed = sum(parameter.numel() for parameter in model.parameters())
    if stored < needed:
        raise ValueError(f"the component {name!r} is not whole: its files have {stored:,} numbers, and {type(model).__name__} has {needed:,}")
    # a sum is infinite or NaN if one of its parts is; it may be for another reason, too, and is ten times as fast
    odd = next((weight for weight, value in model.named_parameters() if not (value.sum().isfinite() or value.isfinite().all())), None)
    if odd is not None:
        raise ValueError(f"the component {name!r} has weights that are infinite or not a number; the first is {odd}")
