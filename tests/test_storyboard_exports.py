"""Every form in which a story leaves the storyboard is opened again.

pytest tests/test_storyboard_exports.py
"""

from __future__ import annotations

import io
import shlex
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from story_ldm import cli, load_stories
from story_ldm.app import exports, projects
from story_ldm.app.exports import command_line, export, python_code
from story_ldm.app.models import Model
from story_ldm.app.project_zip import from_zip
from story_ldm.app.storyboard import add_frames, edit_story, set_drawing
from story_ldm.data.pictures import png

KEY = "the key of one user"
STORY = ["Mia waves.", "She sits down and looks at 米娅 and 🐻.", "He isn't there."]
MODEL = Model("tiny", Path("runs/my model"), "StoryLDMPipeline", None, ("trained", "none"), memory_guidance=True)


@pytest.fixture
def project(tmp_path) -> projects.Project:
    project = projects.create(tmp_path / "projects", KEY, "../A <walk> & more")

    def write(state):
        state["frames"].clear()
        add_frames(state, [*STORY, "Not drawn."])
        for frame, colour, seed in zip(state["frames"], ("red", "green", "blue"), (5, 6, 7)):
            picture = project.keep("frames", png(Image.new("RGB", (32, 32), colour)))
            set_drawing(state, frame["id"], {"picture": picture, "latent": None})
            frame["seed"] = seed

    project.edit("write", write)
    return project


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name) for name in packed.namelist()}


def test_pictures(project):
    name, content = export(project, "strip")
    assert name == "A-walk-more.png" and opened(content).width > 3 * 192
    name, content = export(project, "frames")
    files = members(content)
    assert name == "A-walk-more.zip" and [opened(file).getpixel((5, 5)) for file in files.values()] == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]


@pytest.mark.parametrize("captions", exports.CAPTIONS)
def test_comics(project, captions):
    name, content = export(project, "cbz", {"layout": "1 × 2", "captions": captions})
    files = members(content)
    assert name == "A-walk-more.cbz" and list(files) == ["001.png", "002.png", "ComicInfo.xml"]
    page = opened(files["001.png"])
    assert page.size == exports.PAGE and {(255, 0, 0), (0, 128, 0)} <= {colour for _, colour in page.getcolors(10**6)}
    assert "<Title>../A &lt;walk&gt; &amp; more</Title><PageCount>2</PageCount>" in files["ComicInfo.xml"].decode()
    _, content = export(project, "pdf", {"layout": "2 × 2", "captions": captions})
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 1


def test_long_sentences_stay_on_their_page():
    page = Image.new("RGB", (300, 200), "white")
    exports.panel(page, Image.new("RGB", (64, 64), "red"), "word " * 300, (10, 10, 200, 150), "under", room=50)
    assert page.crop((0, 162, 300, 200)).getcolors() == [(300 * 38, (255, 255, 255))]


def test_animations(project):
    name, content = export(project, "gif", {"seconds": 1.5})
    film = opened(content)
    assert name.endswith(".gif") and film.n_frames == 3 and film.info["duration"] == 1500 and film.width == 512


def test_films(project):
    av = pytest.importorskip("av")
    name, content = export(project, "mp4", {"seconds": 1, "captions": "in"})
    with av.open(io.BytesIO(content)) as film:
        shots = [frame.to_image() for frame in film.decode(video=0)]
    assert name.endswith(".mp4") and len(shots) == 3 * exports.RATE and shots[0].getpixel((10, 10))[0] > 200 > shots[-1].getpixel((10, 10))[0]


def test_films_say_what_is_missing(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "story-ldm\[video\]"'):
        export(project, "mp4")


def test_training_data_is_what_convert_folder_reads(project, tmp_path, monkeypatch):
    _, content = export(project, "form")
    (tmp_path / "mine.zip").write_bytes(content)
    monkeypatch.setattr(
        "sys.argv", ["story-ldm", "data", "convert", "folder", str(tmp_path / "mine.zip"), "--out", str(tmp_path / "out"), "--num-proc", "1"]
    )
    cli.main()
    (story,) = load_stories(str(tmp_path / "out"), size=32, text="full")
    assert story["sentences"] == STORY and story["frames"][1].getpixel((3, 3)) == (0, 128, 0)


def test_a_saved_project_opens_again(project, tmp_path):
    name, content = export(project, "project")
    copy = from_zip(tmp_path / "projects", KEY, content)
    assert name == "A-walk-more.zip" and copy.read()[0] == project.read()[0]


def test_wrong_options_are_named(project):
    for kind, options, message in [
        ("exe", {}, "'exe' is no form to save a story in"),
        ("pdf", {"layout": "9 × 9"}, "layout is '9 × 9'; it must be one of 1 × 1"),
        ("pdf", {"captions": 3}, "captions is 3; it must be one of under, in, none"),
        ("gif", {"seconds": float("nan")}, "seconds is nan; it must be a number from 0.1 to 60"),
    ]:
        with pytest.raises(ValueError, match=message):
            export(project, kind, options)
    project.edit("clear", lambda state: [set_drawing(state, frame["id"], None) for frame in state["frames"]])
    with pytest.raises(ValueError, match="draw the story first"):
        export(project, "pdf")


def test_the_command_names_what_is_drawn(project):
    project.edit("settings", lambda state: edit_story(state, settings={"steps": 7, "memory": "none", "negative": "rain; rm -rf $HOME"}))
    state = project.read()[0]
    words = shlex.split(command_line(state, MODEL))
    assert words[:2] == ["story-ldm", "generate"] and words[2:6] == [*STORY, "Not drawn."]
    assert words[words.index("--model") + 1] == "runs/my model" and words[words.index("--negative-prompt") + 1] == "rain; rm -rf $HOME"
    seeds = [str(frame["seed"]) for frame in state["frames"]]
    assert words[words.index("--seeds") + 1 :][:4] == seeds and words[words.index("--memory") + 1] == "none"


def test_the_python_is_right(project):
    state = project.read()[0]
    for frame in state["frames"]:
        frame["drawn"] = None
    code = python_code(state, MODEL, {"num_inference_steps": 7})
    calls = []

    class StoryLDMPipeline:
        @staticmethod
        def from_pretrained(name):
            assert name == "runs/my model"
            return lambda sentences, **given: calls.append((sentences, given)) or type("Output", (), {"frames": ["drawn"]})

    compile(code, "code", "exec")
    exec(code.replace("from story_ldm import StoryLDMPipeline", ""), {"StoryLDMPipeline": StoryLDMPipeline})
    assert calls == [([*STORY, "Not drawn."], {"seeds": [frame["seed"] for frame in state["frames"]], "num_inference_steps": 7})]
    compile(python_code(project.read()[0], MODEL, {}), "code", "exec")
    assert "frames=own" in python_code(project.read()[0], MODEL, {})
