"""Base class of all pipelines: opening by folder, shipped name or hub name, and saving."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import is_accelerate_available
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from story_ldm.files import HUB_NAME, check_shards, model_folder, write_text
from story_ldm.model_folders import as_broken_folder, check_model_folder, check_weights, half_variant, is_single_file

from .bundle import pipeline_file

OLD_MODULES = {  # what folders of version 0.1 call the modules of their components
    "story_ldm.unet": "story_ldm.systems.story_ldm.unet",
    "story_ldm.text": "story_ldm.encoders.language_memory",
    "story_ldm.gans.story_gan": "story_ldm.systems.story_gan.networks",
    "story_ldm.gans.dynamic_block": "story_ldm.systems.dynamic_block_gan.networks",
    "story_ldm.gans.damsm": "story_ldm.encoders.damsm",
}

HUB_FILES = ["*.json", "*.txt", "*.safetensors", "README.md"]  # no pickles, no code
HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")


def hub_folder(name: str | Path, what: str, files: list[str], **options) -> Path | None:
    """The files of `owner/name` on the Hugging Face hub; None for what is no such name, or exists here. Raises OSError if the hub has none.

    diffusers' own download refuses component classes that are neither its own nor in the repository."""
    if not isinstance(name, str) or Path(name).exists() or not re.fullmatch(HUB_NAME, name):
        return None
    try:
        return Path(snapshot_download(name, allow_patterns=files, **options))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise OSError(f"{name} is neither a folder nor {what} that can be read from the Hugging Face hub: {error}") from error


class StoryPipeline(DiffusionPipeline):
    @classmethod
    def load_config(cls, *args, **kwargs):
        """diffusers' own, with the modules of components by their present names."""

        def renamed(config: dict) -> dict:
            return {part: [OLD_MODULES.get(value[0], value[0]), *value[1:]] if isinstance(value, list) else value for part, value in config.items()}

        config = super().load_config(*args, **kwargs)
        return (renamed(config[0]), *config[1:]) if isinstance(config, tuple) else renamed(config)

    @classmethod
    def from_pretrained(cls, model: str | Path, **kwargs) -> StoryPipeline:
        """Opens a folder, a shipped model by name, or `owner/name` of the Hugging Face hub, whose weights are read from safetensors only. kwargs are
        those of diffusers, but the default dtype is float32, whatever the weights are stored in.

        Raises OSError for what is none of these, and ValueError for a folder of another pipeline or one that is not whole."""
        if is_single_file(model):
            raise ValueError(
                f"{model} is a model in a single file: open a Stable Diffusion by StoryLDMPipeline.from_stable_diffusion({str(model)!r})"
            )
        folder = model_folder(model)
        if not folder.is_dir():
            options = {name: kwargs.pop(name) for name in HUB_OPTIONS if name in kwargs}
            folder = hub_folder(model, "a pipeline", HUB_FILES, **options) or folder
        if not (folder / "model_index.json").is_file():
            raise OSError(f"{model} is not a pipeline: there is no {folder / 'model_index.json'}, and it is not the name of a shipped model")
        if "torch_dtype" not in kwargs:  # the name that diffusers had before
            kwargs.setdefault("dtype", torch.float32)
        check_shards(folder)
        required, optional = cls._get_signature_keys(cls)
        known = [*required, *optional]
        needed = [part for part in required if part not in (*cls._optional_components, *kwargs)]
        check_model_folder(folder, cls._folder_class(), needed, known)
        kwargs.setdefault("variant", half_variant(folder, known))
        if not is_accelerate_available():  # without which diffusers warns
            kwargs.setdefault("low_cpu_mem_usage", False)
        kwargs = {"use_safetensors": True, "local_files_only": True, "trust_remote_code": False, **kwargs}
        with as_broken_folder(folder, cls._folder_class()):
            pipe = super().from_pretrained(str(folder), **kwargs)
        for name, part in pipe.components.items():
            if isinstance(part, torch.nn.Module) and part is not kwargs.get(name):
                check_weights(folder / name, name, part)
        return pipe

    @classmethod
    def _folder_class(cls) -> str:
        """The class that folders of this pipeline name."""
        return next(kind.__name__ for kind in cls.__mro__ if kind.__module__.startswith("story_ldm.pipelines."))

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """diffusers' own, in safetensors, with a `pipeline.py` by which plain diffusers opens the folder (see bundle.py)."""
        kind = next(kind for kind in type(self).__mro__ if kind.__module__.startswith("story_ldm.pipelines."))
        components = [value[0] for value in self.config.values() if isinstance(value, (list, tuple)) and value[0]]
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        write_text(Path(save_directory) / "pipeline.py", pipeline_file(kind, components))  # first: push_to_hub uploads the folder at the end
        super().save_pretrained(save_directory, **kwargs)
