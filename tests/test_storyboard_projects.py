"""Projects of the storyboard on disk: steps, keys, kills, uploads, and zips from others.

pytest tests/test_storyboard_projects.py
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import ROOT
from PIL import Image
from storyboards import KEY, OTHER, STORY, ids, new_project, picture

from story_ldm.app import projects
from story_ldm.app.project_zip import from_zip, to_zip
from story_ldm.app.storyboard import add_frames, edit_frame, edit_story, move_frame, remove_frame, set_drawing
from story_ldm.data.pictures import png


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path / "projects")


def test_each_edit_is_a_step_that_can_be_undone_and_done_again(project):
    first = ids(project)[0]
    project.edit("sentence", lambda state: edit_frame(state, first, sentence="Bruno jum"))
    project.edit("sentence", lambda state: edit_frame(state, first, sentence="Bruno jumps."))
    project.edit("remove", lambda state: remove_frame(state, ids(project)[2]))
    sentences = [[f["sentence"] for f in project.read()[0]["frames"]]]
    while project.undo():
        sentences.append([f["sentence"] for f in project.read()[0]["frames"]])
    assert sentences == [["Bruno jumps.", "He sits."], ["Bruno jumps.", *STORY[1:]], STORY, [""]], "letters of a sentence are one step"
    assert project.can() == (False, True) and project.redo() and project.redo()
    project.edit("move", lambda state: move_frame(state, first, 2))
    assert not project.redo(), "an edit ends what could be done again"
    assert ids(project)[2] == first


def test_wrong_edits_change_nothing(project):
    before, first = (project.folder / "story.json").read_bytes(), ids(project)[0]
    wrong = {
        r"sentence has 3,000 characters; it may have at most 2,000": lambda s: edit_frame(s, first, sentence="a" * 3000),
        r"seed is -1; it must be a whole number": lambda s: edit_frame(s, first, seed=-1),
        r"steps is 2.5": lambda s: edit_story(s, settings={"steps": 2.5}),
        r"guidance is nan": lambda s: edit_story(s, settings={"guidance": float("nan")}),
        r"path is not a setting; settings are model": lambda s: edit_story(s, settings={"path": "/etc"}),
        r"picture of a drawing is '../../x'": lambda s: set_drawing(s, first, {"picture": "../../x", "latent": None}),
        r"this frame is no longer in the story": lambda s: remove_frame(s, "f" * 12),
        r"at most 200 frames": lambda s: add_frames(s, ["a"] * 300),
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            project.edit("wrong", change)
    assert (project.folder / "story.json").read_bytes() == before


def test_projects_belong_to_a_key(project, tmp_path):
    root = tmp_path / "projects"
    assert [row["title"] for row in projects.listed(root, KEY)] == ["A walk"] and projects.listed(root, OTHER) == []
    assert projects.opened(root, KEY, project.id) is project, "one lock for all threads"
    for key, name in ((OTHER, project.id), (KEY, "0" * 32), (KEY, "../" + project.id), (KEY, "."), (KEY, None), ("short", project.id)):
        with pytest.raises(ValueError):
            projects.opened(root, key, name)
    projects.remove(root, KEY, project.id)
    assert projects.listed(root, KEY) == [] and not project.folder.exists()
    with pytest.raises(ValueError, match="deleted"):
        project.edit("late", lambda state: None)


def test_files_that_no_step_has_are_swept(project):
    kept, lost = project.keep("frames", picture("red")), project.keep("frames", picture("blue"))
    first = ids(project)[0]
    project.edit("own", lambda state: set_drawing(state, first, {"picture": kept, "latent": None}))
    project.edit("clear", lambda state: set_drawing(state, first, None))
    project.sweep()
    assert project.content("frames", kept) == picture("red"), "undo has it"
    with pytest.raises(ValueError, match="no longer there"):
        project.content("frames", lost)


@pytest.mark.parametrize("name", ["../story.json", "", "a" * 64 + "/..", None, "A" * 64])
def test_names_of_pictures_are_digests(project, name):
    with pytest.raises(ValueError):
        project.content("frames", name)


def test_a_killed_server_leaves_a_whole_story(tmp_path):
    code = """
import sys; from pathlib import Path
from story_ldm.app import projects
from story_ldm.app.storyboard import add_frames
root = Path(sys.argv[1]); project = projects.create(root, "k" * 16)
print(project.id, flush=True)
while True: project.edit(str(id(object())), lambda state: (state["frames"].clear(), add_frames(state, ["word " * 200] * 20)))
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        name = server.stdout.readline().strip()
        time.sleep(0.2)
        os.kill(server.pid, signal.SIGKILL)
    project = projects.opened(tmp_path, "k" * 16, name)
    assert len(project.read()[0]["frames"]) in (1, 20)
    project.edit("on", lambda state: edit_story(state, title="goes on"))
    assert projects.listed(tmp_path, "k" * 16)[0]["title"] == "goes on"


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"<svg onload=alert(1)>", b"%!PS", picture()[:60], b"\x89PNG\r\n\x1a\n" + b"\0" * 99], ids=lambda content: content[:6]
)
def test_uploads_that_are_no_pictures_are_refused(content):
    with pytest.raises(ValueError, match="not a picture that can be read"):
        projects.uploaded_picture(content)


def test_uploads_are_made_small_and_plain():
    with Image.open(io.BytesIO(projects.uploaded_picture(picture(size=(3000, 1500))))) as kept:
        assert kept.size == (1024, 512) and kept.mode == "RGB" and kept.format == "PNG"
    with pytest.raises(ValueError, match="it may have at most 20,000,000"):
        projects.uploaded_picture(b"\0" * 20_000_001)
    with pytest.raises(ValueError, match="pixels"):
        projects.uploaded_picture(png(Image.new("1", (9000, 9000))))


# --- zips ----------------------------------------------------------------------------------------------------------------------------------


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return file.getvalue()


def test_a_story_goes_out_as_a_zip_and_comes_back(project, tmp_path):
    own = project.keep("frames", picture())
    project.edit("own", lambda state: set_drawing(state, ids(project)[0], {"picture": own, "latent": None}))
    copy = from_zip(tmp_path / "projects", OTHER, to_zip(project))
    assert copy.read()[0] == project.read()[0] and copy.content("frames", own) == picture() and copy.id != project.id
    assert [row["id"] for row in projects.listed(tmp_path / "projects", OTHER)] == [copy.id]


def test_zips_of_others_are_refused_and_nothing_is_written(project, tmp_path):
    own = project.keep("frames", picture())
    project.edit("own", lambda state: set_drawing(state, ids(project)[0], {"picture": own, "latent": None}))
    state, name = project.read()[0], f"frames/{own}.png"
    story = json.dumps(state).encode()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("story.json", b" " * 10**6)
    wrong = {
        b"no zip": "not the zip",
        zipped({}): "story.json cannot be read",
        zipped({"story.json": b"[" * 10**5}): "story.json cannot be read",
        zipped({"story.json": b"[1]"}): "a story must be an object",
        zipped({"story.json": story, "../../evil.png": b""}): "which no exported story has",
        zipped({"story.json": story, "/etc/passwd": b""}): "which no exported story has",
        zipped({"story.json": story}): f"has no {name}",
        zipped({"story.json": story, name: picture("blue")}): "was changed",
        zipped({"story.json": json.dumps(state | {"frames": [{"id": "../x"}]}).encode()}): "no id of 12",
        bomb.getvalue(): "story.json cannot be read",
    }
    for content, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            from_zip(tmp_path / "projects", OTHER, content)
    assert projects.listed(tmp_path / "projects", OTHER) == [] and sorted(p.name for p in tmp_path.iterdir()) == ["projects"]
