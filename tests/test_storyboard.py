"""The storyboard below its page: what is stale, projects on disk, zips from others, drawing frame by frame.

pytest tests/test_storyboard.py
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, tiny_pipeline
from PIL import Image

from story_ldm.app import artist as artists
from story_ldm.app import projects
from story_ldm.app.artist import Artist
from story_ldm.app.models import Model
from story_ldm.app.project_zip import from_zip, to_zip
from story_ldm.app.storyboard import (
    add_frames,
    changes,
    checked,
    edit_frame,
    edit_story,
    files_of,
    move_frame,
    new_state,
    next_frame,
    pick_version,
    remove_frame,
    set_drawing,
    stale,
)
from story_ldm.data.pictures import png
from story_ldm.pipelines import StoryLDMPipeline

KEY, OTHER = "the key of one user", "the key of another"
STORY = ["Bruno waves.", "He sits.", "Mia sits."]
MODEL = Model("tiny", Path("tiny"), "StoryLDMPipeline", None, ("trained", "none"), memory_guidance=True)


def picture(colour: str = "red", size: tuple[int, int] = (20, 12)) -> bytes:
    return png(Image.new("RGB", size, colour))


@pytest.fixture
def project(tmp_path) -> projects.Project:
    project = projects.create(tmp_path / "projects", KEY, "A walk")

    def write(state):
        state["frames"].clear()
        add_frames(state, STORY)
        for frame, seed in zip(state["frames"], (5, 6, 7), strict=True):
            frame["seed"] = seed
        edit_story(state, settings={"model": "tiny", "steps": 2})

    project.edit("write", write)
    return project


@pytest.fixture(scope="module")
def pipe(tokenizer) -> StoryLDMPipeline:
    return tiny_pipeline(tokenizer)


@pytest.fixture
def artist(pipe, monkeypatch) -> Artist:
    monkeypatch.setattr(artists, "open_model", lambda model: pipe)
    return Artist({"tiny": MODEL})


def ids(project) -> list[str]:
    return [frame["id"] for frame in project.read()[0]["frames"]]


def pictures(project) -> list[bytes]:
    return [project.content("frames", frame["drawn"]["picture"]) for frame in project.read()[0]["frames"]]


def draw(artist, project, *args, **kwargs) -> None:
    artist.draw(project, *args, **kwargs)
    assert artist.idle(60)
    assert not artist.status(project)["said"], artist.status(project)["said"]


# --- projects ----------------------------------------------------------------------------------------------------------------------------


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


# --- what is stale ---------------------------------------------------------------------------------------------------------------------------


def test_a_change_makes_its_frame_and_later_ones_stale(project, artist):
    draw(artist, project, ids(project))
    state = project.read()[0]
    assert list(stale(state).values()) == [[], [], []] and next_frame(state, ids(project)) is None
    edit_frame(state, ids(project)[1], sentence="He jumps.")
    assert list(stale(state).values()) == [[], ["sentence"], ["before"]]
    edit_frame(state, ids(project)[1], sentence=STORY[1], seed=1)
    assert list(stale(state).values()) == [[], ["seed"], []], "later frames change when it is drawn"
    edit_frame(state, ids(project)[1], locked=True)
    assert next_frame(state, ids(project)) is None, "locked"
    edit_story(state, settings={"steps": 3})
    assert changes(state, 0) == ["settings"] and next_frame(state, ids(project)) == 0 and next_frame(state, ids(project), missing=True) is None
    add_frames(state, ["  "], after=ids(project)[0])
    edit_story(state, settings={"steps": 2})
    edit_frame(state, ids(project)[1], seed=6)
    assert list(stale(state).values()) == [[], None, [], []], "a card without a sentence is no frame yet"


# --- drawing ---------------------------------------------------------------------------------------------------------------------------------


def test_frames_are_those_of_one_call_and_a_change_keeps_those_before(project, artist, pipe):
    draw(artist, project, ids(project))
    before, state = pictures(project), project.read()[0]
    whole = pipe(STORY, seeds=[5, 6, 7], num_inference_steps=2).frames[0]
    assert before == [png(frame) for frame in whole]
    weights = [frame["drawn"]["weights"] for frame in state["frames"]]
    assert weights[0] is None and len(weights[1]) == 1 and len(weights[2]) == 2 and sum(weights[2]) > 0
    project.edit("sentence", lambda state: edit_frame(state, ids(project)[1], sentence="Mia jumps."))
    draw(artist, project, ids(project)[1:2])
    after = pictures(project)
    assert after[0] == before[0] and after[1] != before[1] and after[2] == before[2]
    assert changes(project.read()[0], 2) == ["before"]
    draw(artist, project, ids(project))
    assert pictures(project)[:2] == after[:2] and pictures(project)[2] != after[2]
    whole = pipe(["Bruno waves.", "Mia jumps.", "Mia sits."], seeds=[5, 6, 7], num_inference_steps=2).frames[0]
    assert pictures(project) == [png(frame) for frame in whole]
    assert project.undo() and pictures(project) == after, "one drawing is one step"
    with pytest.raises(ValueError, match="Nothing to draw"):
        artist.draw(project, ids(project)[:1])


def test_one_of_four_versions_is_picked(project, artist, pipe):
    second = ids(project)[1]
    artist.versions(project, second)
    assert artist.idle(60)
    frames = project.read()[0]["frames"]
    assert frames[0]["drawn"] and not frames[1]["drawn"], "what comes before is drawn first"
    versions = frames[1]["versions"]
    assert len({one["picture"] for one in versions}) == 4 and len({one["of"]["seed"] for one in versions}) == 4
    project.edit("pick", lambda state: pick_version(state, second, versions[2]["picture"]))
    frames = project.read()[0]["frames"]
    assert frames[1]["drawn"] == versions[2] and frames[1]["seed"] == versions[2]["of"]["seed"] and not changes(project.read()[0], 1)
    seeds = [frame["seed"] for frame in frames[:2]]
    assert pictures_of(project, frames[:2]) == [png(frame) for frame in pipe(STORY[:2], seeds=seeds, num_inference_steps=2).frames[0]]


def test_the_story_without_memory_stands_beside_it(project, artist, pipe):
    draw(artist, project, ids(project))
    before = pictures(project)
    artist.without(project)
    assert artist.idle(60) and pictures(project) == before
    without = [project.content("frames", frame["without"]["picture"]) for frame in project.read()[0]["frames"]]
    assert without == [png(frame) for frame in pipe(STORY, seeds=[5, 6, 7], num_inference_steps=2, use_memory=False).frames[0]]
    with pytest.raises(ValueError, match="Nothing to draw"):
        artist.without(project)


def pictures_of(project, frames) -> list[bytes]:
    return [project.content("frames", frame["drawn"]["picture"]) for frame in frames]


def test_own_pictures_are_read_as_given_frames(project, artist, pipe):
    own = project.keep("frames", picture("green", (64, 64)))
    project.edit("own", lambda state: set_drawing(state, ids(project)[0], {"picture": own, "latent": None}))
    draw(artist, project, ids(project))
    given = Image.new("RGB", pipe(["Mia."], num_inference_steps=1).frames[0][0].size, "green")
    whole = pipe(STORY, frames=[given], seeds=[5, 6, 7], num_inference_steps=2).frames[0]
    assert pictures(project)[1:] == [png(frame) for frame in whole[1:]] and pictures(project)[0] == picture("green", (64, 64))


def test_stopping_ends_within_a_step_and_keeps_what_was_drawn(project, artist, monkeypatch):
    seen, go = threading.Event(), threading.Event()
    on_step = Artist._on_step

    def slow(self, job):
        def step(n, steps):
            if job.done == 1 and n == 1:
                seen.set()
                assert go.wait(60)
            return on_step(self, job)(n, steps)

        return step

    monkeypatch.setattr(Artist, "_on_step", slow)
    project.edit("steps", lambda state: edit_story(state, settings={"steps": 50}))
    artist.draw(project, ids(project))
    assert seen.wait(60)
    (job,) = artist.status(project)["jobs"]
    assert (job["steps"], job["position"], job["frame"], job["opening"]) == (50, 0, ids(project)[1], False)
    artist.stop(project)
    go.set()
    assert artist.idle(60)
    drawn = [frame["drawn"] for frame in project.read()[0]["frames"]]
    assert drawn[0] and not drawn[1] and not drawn[2]


def test_a_frame_that_changes_while_it_is_drawn_is_drawn_again(project, artist, pipe, monkeypatch):
    once, on_step = [], Artist._on_step

    def edits(self, job):
        if not once:
            once.append(project.edit("late", lambda state: edit_frame(state, ids(project)[0], sentence="Mia waves.")))
        return on_step(self, job)

    monkeypatch.setattr(Artist, "_on_step", edits)
    draw(artist, project, ids(project)[:1])
    for frame in ids(project)[1:]:
        project.edit(frame, lambda state, frame=frame: remove_frame(state, frame))
    assert pictures(project) == [png(pipe(["Mia waves."], seeds=[5], num_inference_steps=2).frames[0][0])]


def test_what_fails_is_said_in_one_line(project, artist):
    project.edit("model", lambda state: edit_story(state, settings={"height": 30}))
    artist.draw(project, ids(project))
    assert artist.idle(60)
    said = artist.status(project)
    assert "height is 30" in said["said"] and said["number"] == 1 and not said["jobs"]
    project.edit("model", lambda state: edit_story(state, settings={"model": "gone"}))
    with pytest.raises(ValueError, match="The model gone is not here; choose one of tiny"):
        artist.draw(project, ids(project))


def test_a_checked_state_has_its_fields_alone():
    state = new_state("A walk")
    assert checked(state | {"more": 1, "step": 3}) == state and files_of(state) == set()
