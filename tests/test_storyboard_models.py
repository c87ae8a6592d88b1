"""The models that a storyboard draws with: what each has, and Stable Diffusions with adapters, LoRAs and memory without training.

pytest tests/test_storyboard_models.py
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from conftest import tiny_pipeline
from peft import LoraConfig, get_peft_model_state_dict
from storyboards import KEY, STORY
from test_stable_diffusion import LORA, open_plain, write_adapter, write_sd

from story_ldm.app import projects
from story_ldm.app.artist import notes_on
from story_ldm.app.drawing import drawing_of, to_picture
from story_ldm.app.exports import command_line, python_code
from story_ldm.app.models import arguments, described, offered, open_model
from story_ldm.app.storyboard import add_frames, edit_story, set_drawing
from story_ldm.data.pictures import png
from story_ldm.encoders.reader import UnderstoodCharacter, UnderstoodFrame


@pytest.fixture(scope="module")
def sd(tmp_path_factory) -> Path:
    """Folder of a Stable Diffusion, with a memory adapter and a LoRA beside it."""
    folder = tmp_path_factory.mktemp("models")
    write_sd(folder / "sd", "epsilon")
    write_adapter(folder / "adapter", folder / "sd")
    plain = open_plain(folder / "sd")
    plain.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, **LORA))
    plain.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(plain.unet), weight_name="inks.safetensors")
    return folder


def drawn_story(model, tmp_path, **settings) -> tuple:
    """Pictures of the story, drawn frame by frame, the pipeline, and the story."""
    pipe = open_model(model)
    project = projects.create(tmp_path / "projects", KEY)
    state = project.read()[0]
    state["frames"].clear()
    add_frames(state, STORY)
    edit_story(state, settings={"model": model.name, "steps": 2, **settings})
    for m, frame in enumerate(state["frames"]):
        frame["seed"] = 5 + m
        set_drawing(state, frame["id"], drawing_of(pipe, model, project, state, m))
    return [project.content("frames", frame["drawn"]["picture"]) for frame in state["frames"]], pipe, state


def one_call(pipe, **how) -> list[bytes]:
    latents = pipe(STORY, seeds=[5, 6, 7], num_inference_steps=2, output_type="latent", **how).frames[0]
    return [png(to_picture(pipe, latent)) for latent in latents]


def test_models_say_what_they_have(tokenizer, tmp_path, sd):
    shipped = offered()
    assert shipped["toon-story-ldm"].memories == ("trained", "none") and "path" not in shipped["toon-story-ldm"].shown()
    tiny_pipeline(tokenizer, memory="none", language=False).save_pretrained(tmp_path / "plain")
    assert described(str(tmp_path / "plain")).memories == ("none", "reference")
    assert next(iter(offered([str(tmp_path / "plain")]))) == "plain"
    model = offered([f"{sd}/sd+{sd}/adapter"], [sd / "inks.safetensors"])["sd + adapter"]
    assert model.memories == ("trained", "none", "reference") and model.size and model.shown()["loras"] == ["inks"]
    assert str(sd) not in str(model.shown())
    for wrong in (str(tmp_path), "toon-damsm", f"{tmp_path}/plain+nothing", f"{tmp_path}/plain+{sd}/adapter"):
        with pytest.raises(ValueError, match=r"no model to draw with|the model .* cannot be opened"):
            described(wrong)
    with pytest.raises(ValueError, match="--loras has"):
        offered([], [sd / "none.safetensors"])


def test_notes_say_whom_the_reader_understood():
    frames = [UnderstoodFrame("kitchen", [UnderstoodCharacter("rabbit", "red", "wave", None)]), UnderstoodFrame("kitchen", [])]
    pipe = SimpleNamespace(tokenizer=None, reader="a reader", understand=lambda sentences: frames[: len(sentences)])
    rabbit = str(frames[0].characters[0])
    assert notes_on(pipe, ("Rosa waves.", "It is empty.")) == [{"unknown": [], "seen": [rabbit, "kitchen"]}, {"unknown": [], "seen": ["kitchen"]}]
    pipe.understand = Mock(side_effect=ValueError("sentence 0 is too long"))
    assert notes_on(pipe, ("Rosa waves.",)) == [{"unknown": []}]


def test_a_stable_diffusion_with_an_adapter_and_a_lora(sd, tmp_path):
    model = offered([f"{sd}/sd+{sd}/adapter"], [sd / "inks.safetensors"])["sd + adapter"]
    bare, pipe, _ = drawn_story(model, tmp_path)
    assert bare == one_call(pipe)
    worn, pipe, state = drawn_story(model, tmp_path, loras={"inks": 0.7}, negative="rain")
    assert worn == one_call(pipe, negative_prompt="rain") and worn[0] != bare[0]
    code = python_code(state, model, arguments(model, state["settings"]))
    assert "set_adapters(['inks'], [0.7])" in code and "memory_adapter=" in code and command_line(state, model) == ""
    compile(code, "code", "exec")
    edit_story(state, settings={"loras": {"other": 1}})
    with pytest.raises(ValueError, match="the LoRA other is not here; sd \\+ adapter has inks"):
        arguments(model, state["settings"])


def test_memory_without_training(sd, tmp_path):
    model = offered([f"{sd}/sd"])["sd"]
    drawn, pipe, _ = drawn_story(model, tmp_path, memory="reference", height=16, width=16)
    assert drawn == one_call(pipe, memory="reference")
    alone, _, _ = drawn_story(model, tmp_path, memory="none")
    assert alone[0] == drawn[0]
