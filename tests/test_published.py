"""Saved pipelines elsewhere: in plain diffusers without this package, on the hub, and from folders that older versions saved.

pytest tests/test_published.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from conftest import tiny_pipeline
from test_autoencoder import tiny_story_vae
from test_dynamic_block_gan import tiny_pipeline as tiny_dynamic_block_gan
from test_story_gan_pipeline import tiny_pipeline as tiny_story_gan

from story_ldm.files import model_folder
from story_ldm.pipelines import StoryLDMPipeline, base

STORY = ["Bruno waves.", "He sits."]
WITHOUT_PACKAGE = """
import importlib.util, json, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
assert importlib.util.find_spec("story_ldm") is None
import torch
from diffusers import DiffusionPipeline
for folder, call in json.loads(sys.argv[1]).items():
    pipe = DiffusionPipeline.from_pretrained(folder, custom_pipeline="pipeline", trust_remote_code=True)
    pipe.set_progress_bar_config(disable=True)
    frames = pipe(["Bruno waves.", "He sits."], output_type="pt", generator=torch.Generator().manual_seed(0), **call).frames[0]
    torch.save(frames, folder + "/frames.pt")
    pipe.save_pretrained(folder + "/again")
"""


def draw(pipe, **call) -> torch.Tensor:
    pipe.set_progress_bar_config(disable=True)
    return pipe(STORY, output_type="pt", generator=torch.Generator().manual_seed(0), **call).frames[0]


def test_plain_diffusers_opens_a_saved_pipeline(tokenizer, tmp_path):
    """The same frames where the package cannot be imported: all pipelines in one process, each also saved there and opened here again."""
    pipes = {"story-gan": tiny_story_gan(tokenizer), "dynamic": tiny_dynamic_block_gan(tokenizer), "ldm": tiny_pipeline(tokenizer)}
    pipes["ldm-large"] = tiny_pipeline(tokenizer)
    pipes["ldm-large"].register_modules(vae=tiny_story_vae())
    calls = {str(tmp_path / name): {"num_inference_steps": 2} if name.startswith("ldm") else {} for name in pipes}
    for name, pipe in pipes.items():
        pipe.save_pretrained(tmp_path / name)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_MODULES_CACHE": str(tmp_path / "modules")}
    run = subprocess.run([sys.executable, "-c", WITHOUT_PACKAGE, json.dumps(calls)], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    for name, pipe in pipes.items():
        call = calls[str(tmp_path / name)]
        expected = draw(type(pipe).from_pretrained(tmp_path / name), **call)
        assert torch.equal(torch.load(tmp_path / name / "frames.pt"), expected), name
        assert torch.equal(draw(type(pipe).from_pretrained(tmp_path / name / "again"), **call), expected), name
        files = [(tmp_path / name / folder / "pipeline.py").read_text() for folder in ("", "again")]
        assert files[0] == files[1] and str(Path(base.__file__).parent) not in files[0]


def test_folders_of_version_0_1_open(tokenizer, tmp_path):
    """The shipped folder names modules by their old names, and so may those of users; opened and saved again, they have the present ones."""
    assert "story_ldm.unet" in (model_folder("toon-story-ldm") / "model_index.json").read_text()
    StoryLDMPipeline.from_pretrained("toon-story-ldm").save_pretrained(tmp_path / "shipped")
    pipes = {"story-gan": tiny_story_gan(tokenizer), "dynamic": tiny_dynamic_block_gan(tokenizer), "ldm": tiny_pipeline(tokenizer)}
    old_names = {new: old for old, new in base.OLD_MODULES.items()}
    for name, pipe in pipes.items():
        pipe.save_pretrained(tmp_path / name)
        (tmp_path / name / "pipeline.py").unlink()
        file = tmp_path / name / "model_index.json"
        new = file.read_text()
        old = re.sub(r'"(story_ldm\.[\w.]+)"', lambda match: f'"{old_names[match[1]]}"', new)
        assert old != new
        file.write_text(old)
        type(pipe).from_pretrained(tmp_path / name).save_pretrained(tmp_path / name / "again")
        again = json.loads((tmp_path / name / "again" / "model_index.json").read_text())
        assert {part: value for part, value in again.items() if part != "_name_or_path"} == json.loads(new)


def test_a_pipeline_opens_by_its_name_on_the_hub(tokenizer, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, **options):
        asked.append((name, options))
        if name != "owner/toon":
            raise OSError("404")
        return str(tmp_path)

    monkeypatch.setattr(base, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    pipe = tiny_pipeline(tokenizer)
    pipe.save_pretrained(tmp_path)
    opened = StoryLDMPipeline.from_pretrained("owner/toon", revision="v1", language_memory=None)
    assert opened.language_memory is None and torch.equal(opened.unet.conv_in.weight, pipe.unet.conv_in.weight)
    assert asked == [("owner/toon", {"allow_patterns": base.HUB_FILES, "revision": "v1"})]
    assert not any(fnmatch(name, pattern) for pattern in base.HUB_FILES for name in ("unet/model.bin", "pipeline.py", "x.pkl", "x.pt"))
    with pytest.raises(OSError, match="owner/nothing is neither a folder nor a pipeline that can be read from the Hugging Face hub: 404"):
        StoryLDMPipeline.from_pretrained("owner/nothing")
    for path in (Path("owner/toon"), "a/b/c", "./toon", "nowhere"):  # nothing local is looked for on a network
        with pytest.raises(OSError, match="is not a pipeline"):
            StoryLDMPipeline.from_pretrained(path)
    assert len(asked) == 2
