"""Model folders, adapters, weights and results files that are not whole or not what a call takes: one error that says so, and no random weights."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import STORY, as_trained, tiny_pipeline, tiny_unet
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_reports import result

from story_ldm.encoders.sentences import tokenize_sentences
from story_ldm.pipelines import StoryGANPipeline, StoryLDMPipeline
from story_ldm.reports.pages import to_html, to_markdown
from story_ldm.reports.tables import headline, read_result, read_results, summary, tables, warnings
from story_ldm.systems.story_ldm.memory_adapter import ADAPTER, load_memory_adapter, save_memory_adapter
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

WEIGHTS = "diffusion_pytorch_model.safetensors"
JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([1, {}])


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_pipeline(tokenizer).save_pretrained(folder)
    return folder


def edit_index(folder: Path, **fields) -> None:
    file = folder / "model_index.json"
    index = {**json.loads(file.read_text()), **fields}
    file.write_text(json.dumps({name: value for name, value in index.items() if value != "removed"}))


def halve(file: Path) -> None:
    tensors = load_file(file)
    save_file({name: tensors[name] for name in list(tensors)[::2]}, file, metadata={"format": "pt"})


BROKEN = {
    "no vae": (lambda f: shutil.rmtree(f / "vae"), "the component 'vae' is missing"),
    "empty unet": (lambda f: [file.unlink() for file in (f / "unet").iterdir()], "the component 'unet' is missing"),
    "not in the index": (lambda f: edit_index(f, unet="removed"), "has no component 'unet'; a StoryLDMPipeline needs"),
    "null in the index": (lambda f: edit_index(f, vae=[None, None]), "has no component 'vae'"),
    "another component": (lambda f: edit_index(f, safety_checker=["diffusers", "X"]), "has the component 'safety_checker'; a StoryLDMPipeline has"),
    "no weights": (lambda f: (f / "unet" / WEIGHTS).unlink(), r"the component 'unet' needs its weights as \*.safetensors; .* has none"),
    "pickled weights": (
        lambda f: (f / "vae" / WEIGHTS).rename(f / "vae" / "diffusion_pytorch_model.bin"),
        "only diffusion_pytorch_model.bin, a pickle",
    ),
    "cut weights": (lambda f: (f / "vae" / WEIGHTS).write_bytes((f / "vae" / WEIGHTS).read_bytes()[:-9]), "the component 'vae' is not whole"),
    "half a text encoder": (lambda f: halve(f / "text_encoder" / "model.safetensors"), "'text_encoder' is not whole: its files have"),
    "not JSON": (lambda f: (f / "model_index.json").write_text("{"), "model_index.json cannot be read as JSON"),
    "a list": (lambda f: (f / "model_index.json").write_text("[]"), "model_index.json contains a list"),
    "a Stable Diffusion": (lambda f: edit_index(f, _class_name="StableDiffusionPipeline"), r"open it by StoryLDMPipeline.from_stable_diffusion\("),
    "another system": (lambda f: edit_index(f, _class_name="StoryGANPipeline"), r"open it by StoryGANPipeline.from_pretrained\("),
}


@pytest.mark.parametrize("what", BROKEN)
def test_folders_that_are_not_whole(what, folder, tmp_path):
    broken, (change, message) = shutil.copytree(folder, tmp_path / "m"), BROKEN[what]
    change(broken)
    with pytest.raises(ValueError, match=message):
        StoryLDMPipeline.from_pretrained(broken)


def test_whole_folders_and_given_components_open(folder, tmp_path):
    pipe = StoryLDMPipeline.from_pretrained(folder)
    shutil.rmtree(shutil.copytree(folder, tmp_path / "m") / "vae")
    edit_index(tmp_path / "m", vae=[None, None])
    assert StoryLDMPipeline.from_pretrained(tmp_path / "m", vae=pipe.vae).vae is pipe.vae
    with pytest.raises(ValueError, match=r"is a StoryLDMPipeline, not a StoryGANPipeline; open it by StoryLDMPipeline.from_pretrained"):
        StoryGANPipeline.from_pretrained(folder)


def test_a_single_file_is_no_story_pipeline(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "sd.safetensors")
    with pytest.raises(ValueError, match=r"is a model in a single file: open a Stable Diffusion by StoryLDMPipeline.from_stable_diffusion"):
        StoryLDMPipeline.from_pretrained(tmp_path / "sd.safetensors")


def test_half_precision_is_found_by_itself(folder, tmp_path):
    """Components that have their weights as fp16 alone, beside others that have them in full."""
    half = shutil.copytree(folder, tmp_path / "m")
    (half / "vae" / WEIGHTS).rename(half / "vae" / WEIGHTS.replace(".s", ".fp16.s"))
    found, expected = (StoryLDMPipeline.from_pretrained(each) for each in (half, folder))
    for part in ("vae", "unet"):
        weights = getattr(found, part).state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in getattr(expected, part).state_dict().items())


def test_a_stable_diffusion_that_is_not_whole(folder, tokenizer, tmp_path):
    pipe = tiny_pipeline(tokenizer, r=1)
    plain = {k: v for k, v in tiny_unet().config.items() if not k.startswith(("_", "memory", "class_embed", "projection"))}
    parts = {"vae": pipe.vae, "text_encoder": pipe.text_encoder, "tokenizer": tokenizer, "scheduler": pipe.scheduler}
    sd = StableDiffusionPipeline(
        **parts, unet=UNet2DConditionModel(**plain), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    sd.save_pretrained(tmp_path / "sd")
    with pytest.raises(ValueError, match=r"is a StableDiffusionPipeline, not a StoryLDMPipeline; open it by StoryLDMPipeline.from_stable_diffusion"):
        StoryLDMPipeline.from_pretrained(tmp_path / "sd")
    StoryLDMPipeline.from_stable_diffusion(tmp_path / "sd")
    half = tmp_path / "sd" / "unet" / WEIGHTS.replace(".s", ".fp16.s")
    (tmp_path / "sd" / "unet" / WEIGHTS).rename(half)
    StoryLDMPipeline.from_stable_diffusion(tmp_path / "sd")  # a variant is found by itself
    half.rename(tmp_path / "sd" / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match=r"only diffusion_pytorch_model.bin, a pickle, which is not opened"):
        StoryLDMPipeline.from_stable_diffusion(tmp_path / "sd")


@pytest.mark.parametrize("part", ["unet", "vae"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_draw_no_black_picture(part, value, tokenizer, tmp_path):
    pipe = tiny_pipeline(tokenizer)
    with torch.no_grad():
        next((pipe.unet if part == "unet" else pipe.vae.decoder).parameters()).fill_(value)
    with pytest.raises(ValueError, match="infinite or not a number"):
        pipe(STORY[:1], num_inference_steps=1)
    pipe.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"the component '{part}' has weights that are infinite or not a number"):
        StoryLDMPipeline.from_pretrained(tmp_path)


def test_all_long_sentences_are_named(tokenizer):
    long = [f"Bruno waves {'and waves ' * n}." for n in (60, 40, 50)]
    with pytest.raises(ValueError) as error:
        tokenize_sentences(tokenizer, [long[0], "Bruno waves.", *long[1:]])
    said = str(error.value)
    assert said.index(long[0]) < said.index(long[2]) < said.index(long[1]) and "reads at most 32: shorten or split them" in said
    with pytest.raises(ValueError, match="; and 3 more sentences are too long; this text encoder reads at most 32"):
        tokenize_sentences(tokenizer, [f"Bruno {'waves ' * n}." for n in range(60, 73)])


# --- adapters ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    unet = tiny_unet("spatial")
    as_trained(unet.memory_layers)
    return save_memory_adapter(tmp_path_factory.mktemp("adapter"), unet, None)


def plain_unet() -> StoryUNet2DConditionModel:
    return tiny_unet("none")


def rewritten(adapter: Path, file: Path, config, change=None) -> Path:
    tensors = load_file(adapter)
    save_file(change(tensors) if change else tensors, file, metadata={"config": config if isinstance(config, str) else json.dumps(config)})
    return file


def config_of(adapter: Path) -> dict:
    from safetensors import safe_open

    with safe_open(adapter, "pt") as opened:
        return json.loads(opened.metadata()["config"])


@pytest.mark.parametrize("config", ["{", "[]", "3", "{}", '"config"', "[" * 5000, '{"shape": {}, "memory": {}, "language_memory": null}'])
def test_adapters_without_a_config(config, adapter, tmp_path):
    with pytest.raises(ValueError, match=f"{ADAPTER}|a.safetensors is not a memory adapter"):
        load_memory_adapter(rewritten(adapter, tmp_path / "a.safetensors", config), plain_unet())


@pytest.mark.parametrize("change", [lambda t: t.fill_(float("nan")), lambda t: t.fill_(float("-inf")), lambda t: t.long()])
def test_adapters_with_broken_weights(change, adapter, tmp_path):
    file = rewritten(adapter, tmp_path / "a.safetensors", config_of(adapter), lambda tensors: {name: change(t) for name, t in tensors.items()})
    with pytest.raises(ValueError, match="infinite, not a number, or no floating-point numbers"):
        load_memory_adapter(file, plain_unet())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(["shape", "memory", "language_memory"]), data=st.data())
def test_adapters_with_any_config(part, data, adapter, tmp_path):
    config = config_of(adapter)
    if config[part] and data.draw(st.booleans()):
        config[part][data.draw(st.sampled_from(sorted(config[part])))] = data.draw(JSON)
    else:
        config[part] = data.draw(JSON)
    unet = plain_unet()
    try:
        load_memory_adapter(rewritten(adapter, tmp_path / "a.safetensors", config), unet)
    except ValueError as error:
        assert "a.safetensors" in str(error) and unet.memory_sources == plain_unet().memory_sources


def test_an_adapter_of_another_prediction_type(folder, tokenizer, tmp_path):
    from diffusers import DDIMScheduler

    pipe = StoryLDMPipeline.from_pretrained(folder)
    adapter = pipe.save_memory_adapter(tmp_path / "adapter")
    other = tiny_pipeline(tokenizer, scheduler=DDIMScheduler(prediction_type="epsilon"))
    with pytest.raises(ValueError, match=r"was trained for prediction_type 'v_prediction'; this model's is 'epsilon'"):
        other.load_memory_adapter(adapter)
    pipe.load_memory_adapter(adapter)


# --- results files -----------------------------------------------------------------------------------------------------------------------


def places(value, path=()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [path, *(place for key, part in items for place in places(part, (*path, key)))]


WHOLE = result("a", 0.6)
PLACES = [place for place in places(WHOLE) if place]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=JSON)
def test_results_files_with_anything_in_them(place, value, tmp_path):
    """Nothing but a line that names the file, or a comparison."""
    changed = copy.deepcopy(WHOLE)
    where = changed
    for key in place[:-1]:
        where = where[key]
    where[place[-1]] = value
    (tmp_path / "b.json").write_text(json.dumps(changed))
    (tmp_path / "c.json").write_text(json.dumps({**copy.deepcopy(WHOLE), "system": "c"}))
    try:
        results = read_results([tmp_path / "b.json", tmp_path / "c.json"])
        blocks = [*summary(results), *headline(results), *tables(results)]
        assert to_markdown(blocks) and to_html(blocks, "title", tmp_path) and warnings(results) is not None
    except SystemExit as error:
        assert "b.json" in str(error)


def test_a_deeply_nested_results_file(tmp_path):
    (tmp_path / "b.json").write_text("[" * 100_000)
    with pytest.raises(SystemExit, match=r"b.json cannot be read as a results file"):
        read_result(tmp_path / "b.json")
