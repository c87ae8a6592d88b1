"""Models of others: no pickles, no code, no network, nothing outside of their folder, and no settings that are not theirs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from conftest import ROOT, tiny_language_memory, tiny_pipeline, tiny_unet
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm import load_stories
from story_ldm.data.story_form import is_damaged
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.sentence_vectors import load_sentence_encoder
from story_ldm.files import check_shards
from story_ldm.locks import hold
from story_ldm.model_folders import check_component, check_sizes, open_local
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.pipelines.opening import pipeline_class
from story_ldm.reports.tables import read_result
from story_ldm.systems.story_ldm.memory_adapter import ADAPTER, load_memory_adapter, save_memory_adapter
from story_ldm.systems.story_ldm.stable_diffusion import open_stable_diffusion
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel
from story_ldm.training.checkpoints import checksums, damaged_files
from story_ldm.training.run import claim_run


@pytest.fixture
def no_network(monkeypatch):
    def refused(*args, **settings):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.mark.parametrize("kind", [LanguageMemory, FrameEvaluator, CLIPTokenizer])
def test_a_missing_folder_is_not_a_hub_name(kind, no_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"runs/reader is not a folder; it must hold a {kind.__name__}"):
        open_local(kind, "runs/reader")
    with pytest.raises(ValueError, match="is not a folder, nor the name of a model on the hub"):
        open_stable_diffusion("./models/sd")


def test_local_models_open_without_a_network(no_network):
    StoryLDMPipeline.from_pretrained(ROOT / "checkpoints" / "toon-story-ldm")
    open_local(FrameEvaluator, ROOT / "checkpoints" / "toon-evaluator")


def test_pickled_weights_are_not_read(tmp_path):
    memory = tiny_language_memory()
    memory.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(OSError, match=r"diffusion_pytorch_model\.safetensors"):
        open_local(LanguageMemory, tmp_path)


def test_no_code_of_a_folder_is_asked_for(tmp_path, monkeypatch):
    """transformers asks for a "y" on the terminal unless it is told not to."""
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("a question was asked"))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    names = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.Tokenizer", None]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": names}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": names}))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_sentence_encoder(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_pipes_in_runs_models_and_results_are_not_waited_for(tmp_path):
    """A pipe in the place of each file that a run, a model, a generation or a table of results may hold."""

    def pipe(file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(file)
        return file

    says = "is a pipe, a socket or a device"
    with pytest.raises(SystemExit, match=says):
        read_result(pipe(tmp_path / "scores.json"))
    with pytest.raises(OSError, match=says):
        hold(pipe(tmp_path / "held" / ".lock").parent)
    step = pipe(tmp_path / "run" / "checkpoints" / "step-00000001" / "checksums.json").parent
    assert damaged_files(step) == ["checksums.json"]
    (step / "checksums.json").unlink()
    (step / "model.bin").write_bytes(b"1")
    (step / "checksums.json").write_text(json.dumps(checksums(step)))
    assert damaged_files(step) == []
    pipe(step / "random_states_0.pkl"), pipe(step / "model" / ".metadata")
    assert sorted(damaged_files(step)) == ["model/.metadata", "random_states_0.pkl"], "neither is in the list"
    (tmp_path / "run" / "settings.json").unlink(missing_ok=True)
    pipe(tmp_path / "run" / "settings.json")
    with pytest.raises(OSError, match=says):
        claim_run(Accelerator(cpu=True), tmp_path / "run", {"seed": 0})
    with pytest.raises(OSError, match=says):
        load_stories(pipe(tmp_path / "stories" / "test-0.parquet").parent, "test", 8)
    assert is_damaged(tmp_path / "stories" / "test-0.parquet")
    for name in ("config.json", "model.safetensors", "tokenizer/vocab.json"):
        with pytest.raises(OSError, match=says):
            open_local(FrameEvaluator, pipe(tmp_path / name.replace(".", "-") / name).parents[name.count("/")])
    with pytest.raises(OSError, match=says):
        pipeline_class(pipe(tmp_path / "pipeline" / "model_index.json").parent)


@pytest.fixture
def no_building(monkeypatch):
    """Fails if a library opens a model, which takes memory for it."""
    for kind in (LanguageMemory, CLIPTextModel):
        monkeypatch.setattr(kind, "from_pretrained", lambda *args, **settings: pytest.fail("memory was taken"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 10**9}, r"width of .*config\.json is 1,000,000,000; it must be at most 1,000,000, for the files beside it have [0-9,]+ weights"),
        ({"width": 10**6, "heads": 1}, r"config\.json asks for [0-9,]{17,} weights; the files beside it have"),
        ({"layers": 10**6}, r"layers of .*config\.json is 1,000,000; it must be at most [0-9]+, for the files beside it have"),
    ],
)
def test_a_model_of_absurd_size_is_refused(changes, says, tmp_path, no_building):
    tiny_language_memory().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    for check in (lambda: open_local(LanguageMemory, tmp_path), lambda: check_component(tmp_path, kind=LanguageMemory)):
        with pytest.raises(ValueError, match=says):
            check()


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("text_encoder/config.json", {"vocab_size": 10**9}, "vocab_size of .* is 1,000,000,000; it must be at most"),
        ("text_encoder/config.json", {"vocab_size": 10**6, "hidden_size": 10**6}, "asks for [0-9,]{17,} weights"),
        ("text_encoder/config.json", {"vocab_size": 7}, "the largest token of .* is [0-9]+; it must be below 7, the vocab_size of"),
        ("text_encoder/config.json", {"max_position_embeddings": 10**12}, "max_position_embeddings of .* is 1,000,000,000,000; it must be at most"),
        (
            "tokenizer/tokenizer_config.json",
            {"model_max_length": 10**12},
            "model_max_length of .* is 1,000,000,000,000; it must be at most 32, as of",
        ),
        (
            "scheduler/scheduler_config.json",
            {"num_train_timesteps": 10**12},
            "num_train_timesteps of .* is 1,000,000,000,000; it must be at most 1,000,000",
        ),
    ],
)
def test_a_pipeline_of_absurd_size_is_refused(file, changes, says, tokenizer, tmp_path, no_building):
    tiny_pipeline(tokenizer).save_pretrained(tmp_path)
    (tmp_path / file).write_text(json.dumps(json.loads((tmp_path / file).read_text()) | changes))
    with pytest.raises(ValueError, match=says) as error:
        StoryLDMPipeline.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)
    kind = {"text_encoder": CLIPTextModel, "tokenizer": CLIPTokenizer}.get(file.partition("/")[0])
    if kind is not None and changes != {"vocab_size": 7}:
        with pytest.raises(ValueError, match=says):
            open_local(kind, (tmp_path / file).parent)


def test_sizes_of_the_shipped_models_fit():
    state = torch.get_rng_state()
    for kind, folder in ((FrameEvaluator, "toon-evaluator"), (StoryUNet2DConditionModel, "toon-story-ldm/unet")):
        check_sizes(ROOT / "checkpoints" / folder, kind)
    assert torch.equal(torch.get_rng_state(), state), "of which trainings draw their weights"


@pytest.fixture
def command(tokenizer, tmp_path) -> list[str]:
    """`story-ldm generate` with a tiny model."""
    tiny_pipeline(tokenizer).save_pretrained(tmp_path / "model")
    main = "import sys; from story_ldm.cli import main; sys.exit(main())"
    words = ["--model", tmp_path / "model", "--output", tmp_path / "strip.png", "--steps", 1, "Bruno waves.", "He sits down."]
    return [sys.executable, "-c", main, "generate", *map(str, words)]


def online() -> dict[str, str]:
    """The environment without the setting that forbids the hub."""
    return {**{name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}, "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_generate_connects_no_socket(command, tmp_path):
    """As the kernel sees it."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-f", "--seccomp-bpf", "-o", tmp_path / "probe", "true"]).returncode:
        pytest.skip("strace is missing or not permitted")
    calls = tmp_path / "calls"
    subprocess.run(["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", calls, *command], env=online(), check=True)
    assert (tmp_path / "strip.png").exists()
    assert [line for line in calls.read_text().splitlines() if "AF_INET" in line] == []
    reach = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    subprocess.run(["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect", "-o", calls, sys.executable, "-c", reach], check=True)
    assert "AF_INET" in calls.read_text(), "a connection would be seen"


@pytest.mark.slow
def test_generate_needs_no_network(command, tmp_path):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"]).returncode:
        pytest.skip("unshare is missing or not permitted")
    subprocess.run(["unshare", "-rn", *command], env=online(), check=True)
    assert (tmp_path / "strip.png").exists()


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/etc/model.safetensors", "..\\model.safetensors", 7, "model.pkl"])
def test_shards_lie_beside_their_list(name, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": {"weight": name}}))
    for where in (tmp_path, tmp_path / "unet"):
        with pytest.raises(ValueError, match=r"names the weight file .*; it must lie beside this list"):
            check_shards(where)
    with pytest.raises(ValueError, match="names the weight file"):
        open_local(LanguageMemory, tmp_path / "unet")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match="names the weight file"):
        StoryLDMPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("memory", {"in_channels": 9}, r"sets in_channels of its memory; an adapter may set memory, "),
        ("memory", {"_name_or_path": "x"}, "sets _name_or_path of its memory"),
        ("memory", {"memory_heads": 10**9}, r"memory_heads of .* is 1000000000; it must be from 1 to 16384"),
        ("language_memory", {"width": 10**9}, r"width of .* is 1000000000; it must be from 1 to 16384"),
        ("language_memory", {"dropout": 1}, "sets dropout of its language_memory"),
    ],
)
def test_an_adapter_sets_its_memory_and_nothing_else(part, change, says, tmp_path):
    unet = tiny_unet()
    file = save_memory_adapter(tmp_path, unet, tiny_language_memory())
    with safe_open(file, "pt") as opened:
        config = json.loads(opened.metadata()["config"])
    config[part] |= change
    save_file(load_file(file), tmp_path / ADAPTER, {"config": json.dumps(config)})
    before = dict(unet.config)
    with pytest.raises(ValueError, match=says):
        load_memory_adapter(tmp_path, unet)
    assert dict(unet.config) == before
