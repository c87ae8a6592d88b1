"""The storyboard as a web page: write sentences, see the frames come, change one and keep those before it, take the story away as a comic.

    pip install -e ".[studio]"
    story-ldm studio                                  # port 7860, the stories in ./stories

The page is one Gradio component, `board/` (HTML, CSS and JavaScript, nothing from other hosts), which calls `Studio.ask` for everything.
"""

from __future__ import annotations

import base64
import binascii
import random
import secrets
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from story_ldm.app import projects
from story_ldm.app.artist import Artist
from story_ldm.app.exports import CAPTIONS, KINDS, LAYOUTS, command_line, export, python_code
from story_ldm.app.models import Model, arguments
from story_ldm.app.project_zip import MOST_BYTES, from_zip
from story_ldm.app.storyboard import (
    HIGHEST_SEED,
    LONGEST_SENTENCE,
    State,
    add_frames,
    changes,
    edit_frame,
    edit_story,
    move_frame,
    pick_version,
    place_of,
    remove_frame,
    set_drawing,
    stale,
    without_memory,
)


class Studio:
    """What the page asks for, answered. key: of the only user; None if each browser has its own."""

    def __init__(self, root: Path, models: dict[str, Model], key: str | None = None):
        self.root, self.models, self.key = root, models, key
        self.artist = Artist(models)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """question: `do`, the user's `key`, mostly a `project`, and what `do` needs. The answer to what is wrong is {"error": one line}."""
        try:
            if not isinstance(question, dict) or not isinstance(question.get("do"), str) or question["do"] not in ANSWERS:
                raise ValueError(f"do must be one of {', '.join(ANSWERS)}")
            if self.key is not None and not secrets.compare_digest(str(question.get("key")).encode(), self.key.encode()):
                raise ValueError("this page is of an earlier start of the studio: load it again")
            return ANSWERS[question["do"]](self, question)
        except (ValueError, ModuleNotFoundError) as error:
            return {"error": " ".join(str(error).split())}
        except Exception:  # what it says may name places on this machine: it is for the server's own log
            traceback.print_exc(file=sys.stderr)
            return {"error": "The request could not be done; the server's log says why."}

    def project(self, question: dict[str, Any]) -> projects.Project:
        return projects.opened(self.root, question.get("key", ""), question.get("project"))

    def view(self, project: projects.Project, seen: Any = None) -> dict[str, Any]:
        """The project as the page shows it; its story only if it has changed since the page has `seen` it."""
        state, _, change = project.read()
        undo, redo = project.can()
        status = self.artist.status(project)
        answer = {"project": project.id, "change": change, "undo": undo, "redo": redo, **status, "notes": self.artist.notes(state)}
        return answer if seen == change else answer | {"story": shown(state)}


def shown(state: State) -> State:
    """A state for the page: of each drawing its picture, seed and weights; of each frame what has changed."""
    changed = stale(state)

    def drawing(one: dict[str, Any]) -> dict[str, Any]:
        return {"picture": one["picture"], "weights": one["weights"], "seed": one["of"]["seed"] if one["of"] else None}

    plain, frames = without_memory(state), []
    for m, frame in enumerate(state["frames"]):
        drawn, without = (frame[name] and drawing(frame[name]) for name in ("drawn", "without"))
        same = changes(plain, m) == []
        versions = [*map(drawing, frame["versions"])]
        frames.append({**frame, "drawn": drawn, "versions": versions, "without": without if same else None, "changed": changed[frame["id"]]})
    return {"title": state["title"], "settings": state["settings"], "frames": frames}


# --- answers: (studio, question) → answer ----------------------------------------------------------------------------------------------------


def _hello(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    models = [model.shown() for model in studio.models.values()]
    kinds = [{"id": kind, "label": label} for kind, label in KINDS.items()]
    limits = {"sentence": LONGEST_SENTENCE, "seed": HIGHEST_SEED, "file": projects.LARGEST_FILE}
    return {"models": models, "kinds": kinds, "layouts": [*LAYOUTS], "captions": [*CAPTIONS], "limits": limits, **_list(studio, q)}


def _list(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    return {"projects": projects.listed(studio.root, q.get("key", ""))}


def _create(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    project = projects.create(studio.root, q.get("key", ""))
    model = next(iter(studio.models.values()))
    project.edit("model", lambda state: edit_story(state, settings={"model": model.name, "memory": model.memories[0]}))
    return studio.view(project)


def _delete(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    studio.artist.stop(studio.project(q))
    projects.remove(studio.root, q.get("key", ""), q.get("project", ""))
    return _list(studio, q)


def _import(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    return studio.view(from_zip(studio.root, q.get("key", ""), content_of(q, MOST_BYTES)))


def _view(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    return studio.view(studio.project(q), q.get("seen"))


def _open(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    studio.project(q).sweep()
    return _view(studio, q)


def _edit(change: Callable[[State, dict[str, Any]], Any]) -> Callable[[Studio, dict[str, Any]], dict[str, Any]]:
    def answer(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
        project = studio.project(q)
        result = project.edit(f"{q['do']} {q.get('frame', '')}", lambda state: change(state, q))
        return studio.view(project) | ({"added": result} if q["do"] == "add" else {})

    return answer


def _settings(state: State, q: dict[str, Any]) -> None:
    edit_story(state, settings=q.get("settings"))


def _go(by: int) -> Callable[[Studio, dict[str, Any]], dict[str, Any]]:
    def answer(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
        project = studio.project(q)
        studio.artist.stop(project)
        (project.undo if by < 0 else project.redo)()
        return studio.view(project)

    return answer


def _own(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    project = studio.project(q)
    picture = project.keep("frames", projects.uploaded_picture(content_of(q, projects.LARGEST_FILE)))
    project.edit("own", lambda state: set_drawing(state, q.get("frame", ""), {"picture": picture, "latent": None}))
    return studio.view(project)


def _draw(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    """All frames that are stale or missing, or one."""
    project = studio.project(q)
    frames = [q["frame"]] if q.get("frame") else [frame["id"] for frame in project.read()[0]["frames"]]
    studio.artist.draw(project, frames, q.get("missing") is True)
    return studio.view(project)


def _redraw(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    """A frame and all later ones; with another seed, if nothing of the frame has changed."""
    project = studio.project(q)
    state = project.read()[0]
    m = place_of(state, q.get("frame"))
    frame = state["frames"][m]
    if frame["locked"]:
        raise ValueError(f"Frame {m + 1} is locked: unlock it first.")
    if frame["drawn"] and frame["drawn"]["of"] is None:
        raise ValueError(f"Frame {m + 1} is a picture of your own: redraw from the next one, or remove the picture.")
    if changes(state, m) == []:
        project.edit("seed", lambda state: edit_frame(state, frame["id"], seed=secrets.randbelow(HIGHEST_SEED)))
    studio.artist.draw(project, [frame["id"] for frame in state["frames"][m:]])
    return studio.view(project)


def _versions(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    project = studio.project(q)
    studio.artist.versions(project, q.get("frame", ""))
    return studio.view(project)


def _without(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    project = studio.project(q)
    studio.artist.without(project)
    return studio.view(project)


def _stop(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    project = studio.project(q)
    studio.artist.stop(project)
    return studio.view(project, q.get("seen"))


def _picture(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    return {"content": base64.b64encode(studio.project(q).content("frames", q.get("picture", ""))).decode()}


def _export(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    name, content = export(studio.project(q), q.get("kind", ""), q.get("options"))
    return {"name": name, "content": base64.b64encode(content).decode()}


def _code(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    state = studio.project(q).read()[0]
    model = studio.models.get(state["settings"]["model"])
    if model is None or not any(frame["sentence"].strip() for frame in state["frames"]):
        return {"command": "", "python": ""}
    given = arguments(model, state["settings"])
    if studio.key is None:  # places on this machine are none of a guest's business
        adapter, loras = model.adapter and Path(model.adapter.name), tuple(Path(file.name) for file in model.loras)
        model = replace(model, path=Path(model.path.name), adapter=adapter, loras=loras)
    return {"command": command_line(state, model), "python": python_code(state, model, given)}


def _example(studio: Studio, q: dict[str, Any]) -> dict[str, Any]:
    """The sentences of a random story of the built-in world, whose words the model in memory has read."""
    from story_ldm.data.toonstories import make_story

    for _ in range(20):
        sentences = list(make_story(split="test", index=random.randrange(1000)).sentences["referential"])
        if not studio.artist.unknown(sentences):
            break
    return {"sentences": sentences}


ANSWERS: dict[str, Callable[[Studio, dict[str, Any]], dict[str, Any]]] = {
    "hello": _hello,
    "list": _list,
    "create": _create,
    "delete": _delete,
    "import": _import,
    "view": _view,
    "open": _open,
    "title": _edit(lambda state, q: edit_story(state, title=q.get("title"))),
    "settings": _edit(_settings),
    "add": _edit(lambda state, q: add_frames(state, q.get("sentences", [""]), q.get("after"))),
    "sentence": _edit(lambda state, q: edit_frame(state, q.get("frame", ""), sentence=q.get("sentence"))),
    "seed": _edit(lambda state, q: edit_frame(state, q.get("frame", ""), seed=q.get("seed"))),
    "lock": _edit(lambda state, q: edit_frame(state, q.get("frame", ""), locked=q.get("locked"))),
    "remove": _edit(lambda state, q: remove_frame(state, q.get("frame", ""))),
    "move": _edit(lambda state, q: move_frame(state, q.get("frame", ""), q.get("to", 0))),
    "clear": _edit(lambda state, q: set_drawing(state, q.get("frame", ""), None)),
    "pick": _edit(lambda state, q: pick_version(state, q.get("frame", ""), q.get("picture", ""))),
    "own": _own,
    "undo": _go(-1),
    "redo": _go(1),
    "draw": _draw,
    "redraw": _redraw,
    "versions": _versions,
    "without": _without,
    "stop": _stop,
    "picture": _picture,
    "export": _export,
    "code": _code,
    "example": _example,
}


def content_of(q: dict[str, Any], most: int) -> bytes:
    """An uploaded file, which comes as base64."""
    text = q.get("content")
    if not isinstance(text, str) or len(text) > most * 4 // 3 + 4:
        raise ValueError(f"the file is missing, or has more than {most:,} bytes")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the file did not arrive whole; try again") from None
