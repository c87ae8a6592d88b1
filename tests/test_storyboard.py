"""The storyboard below its page: what is stale, and drawing frame by frame.

pytest tests/test_storyboard.py
"""

from __future__ import annotations

import threading

import pytest
from conftest import tiny_pipeline
from PIL import Image
from storyboards import MODEL, STORY, ids, new_project, picture

from story_ldm.app import artist as artists
from story_ldm.app.artist import Artist
from story_ldm.app.storyboard import (
    add_frames,
    changes,
    checked,
    edit_frame,
    edit_story,
    files_of,
    new_state,
    next_frame,
    pick_version,
    remove_frame,
    set_drawing,
    stale,
)
from story_ldm.data.pictures import png
from story_ldm.pipelines import StoryLDMPipeline


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path / "projects")


@pytest.fixture(scope="module")
def pipe(tokenizer) -> StoryLDMPipeline:
    return tiny_pipeline(tokenizer)


@pytest.fixture
def artist(pipe, monkeypatch) -> Artist:
    monkeypatch.setattr(artists, "open_model", lambda model: pipe)
    return Artist({"tiny": MODEL})


def pictures(project) -> list[bytes]:
    return [project.content("frames", frame["drawn"]["picture"]) for frame in project.read()[0]["frames"]]


def draw(artist, project, *args, **kwargs) -> None:
    artist.draw(project, *args, **kwargs)
    assert artist.idle(60)
    assert not artist.status(project)["said"], artist.status(project)["said"]


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
