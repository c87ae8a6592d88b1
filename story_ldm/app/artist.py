"""The queue of what is to be drawn: one model in memory, one thread that draws, each finished frame an edit of its project.

artist = Artist(offered())
artist.draw(project, ["the ids of", "frames"])        # returns at once
artist.status(project)                                # {"jobs": [{"kind": "draw", "step": 7, "steps": 20, "position": 0, …}], "said": …}
artist.stop(project)                                  # within a diffusion step; the frame that was being drawn is left as it was
"""

from __future__ import annotations

import gc
import secrets
import sys
import threading
import traceback
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from story_ldm.app.models import Model, arguments, open_model
from story_ldm.app.projects import Project
from story_ldm.app.storyboard import HIGHEST_SEED, State, add_version, cause, next_frame, place_of, set_drawing, set_without, without_memory
from story_ldm.encoders.limits import unknown_words

MOST_JOBS = 4  # of one project at once


@dataclass(eq=False)
class Job:
    project: Project
    kind: str  # "draw", "versions" or "without": all frames without memory
    frames: list[str]
    missing: bool = False
    count: int = 0  # of versions
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    stop: threading.Event = field(default_factory=threading.Event)
    frame: str | None = None  # that is being drawn
    step: int = 0
    steps: int = 0
    done: int = 0
    opening: bool = False


class Artist:
    """Draws what is asked, one job after another."""

    def __init__(self, models: dict[str, Model]):
        self.models = models
        self.pipe: Any = None
        self.model: Model | None = None
        self.jobs: list[Job] = []
        self.changed = threading.Condition()
        self.said: OrderedDict[str, tuple[int, str]] = OrderedDict()  # by project: a number that grows, and the last message
        self.noted: OrderedDict[tuple, list[dict[str, list[str]]]] = OrderedDict()
        self.thread = threading.Thread(target=self._work, name="artist", daemon=True)
        self.thread.start()

    def draw(self, project: Project, frames: list[str], missing: bool = False) -> None:
        """Draws those of these frames that are stale or have no picture. Raises ValueError if there are none, or if the model has not what the
        settings ask for."""
        state = project.read()[0]
        self._check(state)
        if next_frame(state, frames, missing) is None:
            blank = not any(frame["sentence"].strip() for frame in state["frames"])
            raise ValueError("Write a sentence first." if blank else "Nothing to draw: no frame is missing or has changed.")
        self._add(Job(project, "draw", list(frames), missing))

    def without(self, project: Project) -> None:
        """Draws the story once more, without memory, for comparison."""
        state = without_memory(project.read()[0])
        self._check(state)
        frames = [frame["id"] for frame in state["frames"]]
        if next_frame(state, frames) is None:
            raise ValueError("Nothing to draw: the comparison is of this story.")
        self._add(Job(project, "without", frames))

    def versions(self, project: Project, frame: str, count: int = 4) -> None:
        """Draws a frame with `count` other seeds, to be picked from."""
        state = project.read()[0]
        self._check(state)
        if not state["frames"][place_of(state, frame)]["sentence"].strip():
            raise ValueError("Write the sentence of this frame first.")
        self._add(Job(project, "versions", [frame], count=count))

    def _check(self, state: State) -> None:
        arguments(self._model(state), state["settings"])

    def _model(self, state: State) -> Model:
        name = state["settings"]["model"]
        if name not in self.models:
            raise ValueError(f"The model {name} is not here; choose one of {', '.join(self.models)}.")
        return self.models[name]

    def _add(self, job: Job) -> None:
        with self.changed:
            if sum(other.project is job.project for other in self.jobs) >= MOST_JOBS:
                raise ValueError("This story has enough to be drawn; wait, or stop it.")
            if not any(o.project is job.project and o.kind == job.kind and o.frames == job.frames and not o.stop.is_set() for o in self.jobs):
                self.jobs.append(job)
            self.changed.notify_all()

    def stop(self, project: Project) -> None:
        with self.changed:
            for job in self.jobs:
                if job.project is project:
                    job.stop.set()
            self.jobs = [job for n, job in enumerate(self.jobs) if n == 0 or job.project is not project]  # the first one is being drawn

    def status(self, project: Project) -> dict[str, Any]:
        """The project's jobs with their position in the queue (0: being drawn), and the last message about it."""
        with self.changed:
            jobs = [
                {"kind": j.kind, "frame": j.frame or j.frames[0], "step": j.step, "steps": j.steps, "done": j.done, "of": j.count, "position": n}
                | {"opening": j.opening, "stopping": j.stop.is_set()}
                for n, j in enumerate(self.jobs)
                if j.project is project
            ]
            number, text = self.said.get(project.id, (0, ""))
            return {"jobs": jobs, "said": text, "number": number}

    def idle(self, seconds: float) -> bool:
        """Waits until nothing is left to draw; False if that takes longer."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.jobs, seconds)

    def warm(self, name: str) -> None:
        """Opens a model before anybody asks for it."""
        with self.changed:
            self.jobs.insert(0, Job(None, "open", [], id=name))  # type: ignore[arg-type]
            self.changed.notify_all()

    def notes(self, state: State) -> dict[str, dict[str, list[str]]]:
        """What the model in memory makes of each frame's sentence, by the frame's id: `seen` (whom and where its reader understood) and `unknown`
        (words that it never read). Empty for another model than the story's."""
        pipe, told = self.pipe, [frame for frame in state["frames"] if frame["sentence"].strip()]
        if not told or pipe is None or self.model is not self.models.get(state["settings"]["model"]):
            return {}
        sentences = tuple(frame["sentence"].strip() for frame in told)
        key = (id(pipe), sentences)
        if (notes := self.noted.get(key)) is None:
            notes = self.noted[key] = notes_on(pipe, sentences)
            while len(self.noted) > 200:
                self.noted.popitem(last=False)
        return {frame["id"]: note for frame, note in zip(told, notes, strict=True)}

    def unknown(self, sentences: list[str]) -> list[str]:
        """Words that the model in memory never read."""
        tokenizer = getattr(self.pipe, "tokenizer", None)
        return [] if tokenizer is None else unknown_words(tokenizer, sentences)

    # --- in the thread, which alone imports torch, so that the page is there before ---

    def _work(self) -> None:
        from story_ldm.app.drawing import StoppedError

        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.jobs)
                job = self.jobs[0]
            try:
                if job.project is None:
                    self._opened(self.models[job.id])
                elif not job.stop.is_set():
                    {"draw": self._draw, "versions": self._versions, "without": self._without}[job.kind](job)
            except StoppedError:
                pass
            except Exception as error:
                wrong = isinstance(error, ValueError)  # other errors may name places on this machine: they are for the server's own log
                if job.project is None or not wrong:
                    traceback.print_exc(file=sys.stderr)
                if job.project is not None:
                    why = " ".join(str(error).split()) if wrong else f"{type(error).__name__}; the server's log says more"
                    self._say(job.project, f"Drawing failed: {why}")
            finally:
                with self.changed:
                    self.jobs = [other for other in self.jobs if other is not job]
                    self.changed.notify_all()
            del job

    def _say(self, project: Project, text: str) -> None:
        with self.changed:
            number = self.said.pop(project.id, (0, ""))[0]
            self.said[project.id] = (number + 1, text)
            while len(self.said) > 1000:
                self.said.popitem(last=False)

    def _opened(self, model: Model) -> Any:
        if self.model is not model:
            self.pipe = self.model = None
            self.noted.clear()
            _release()
            self.pipe = open_model(model)
            self.model = model
        return self.pipe

    def _pipe(self, job: Job, model: Model) -> Any:
        job.opening = self.model is not model
        try:
            return self._opened(model)
        finally:
            job.opening = False

    def _draw(self, job: Job) -> None:
        from story_ldm.app.drawing import drawing_of

        drawn: list[str] = []
        while not job.stop.is_set():
            state = job.project.read()[0]
            model = self._model(state)
            pipe = self._pipe(job, model)
            m = next_frame(state, job.frames, job.missing)
            if m is None:
                break
            job.frame, job.step = state["frames"][m]["id"], 0
            drawing = drawing_of(pipe, model, job.project, state, m, self._on_step(job))
            if self._record(job, set_drawing, drawing):
                drawn.append(job.frame)
                job.done += 1
        for frame in dict.fromkeys(drawn):
            self._weigh(job, frame)

    def _weigh(self, job: Job, frame: str) -> None:
        from story_ldm.app.drawing import weights_of

        state = job.project.read()[0]
        m = next((m for m, other in enumerate(state["frames"]) if other["id"] == frame), 0)
        found = state["frames"][m]["drawn"]
        model = self._model(state)
        if job.stop.is_set() or model is not self.model or not found or not found["of"] or found["of"] != cause(state, m):
            return
        job.frame, job.step = frame, 0
        weights = weights_of(self.pipe, model, job.project, state, m, lambda step, steps: job.stop.is_set())
        if weights:

            def record(state: State) -> None:
                drawn = state["frames"][place_of(state, frame)]["drawn"]
                if drawn and drawn["picture"] == found["picture"]:
                    drawn["weights"] = weights

            job.project.edit(f"draw {job.id}", record, amend=True)

    def _without(self, job: Job) -> None:
        from story_ldm.app.drawing import drawing_of

        while not job.stop.is_set():
            state = without_memory(job.project.read()[0])
            model = self._model(state)
            pipe = self._pipe(job, model)
            m = next_frame(state, job.frames)
            if m is None:
                break
            job.frame, job.step = state["frames"][m]["id"], 0
            self._record(job, set_without, drawing_of(pipe, model, job.project, state, m, self._on_step(job)))

    def _versions(self, job: Job) -> None:
        from story_ldm.app.drawing import drawing_of, weights_of

        while not job.stop.is_set() and job.done < job.count:
            state = job.project.read()[0]
            model = self._model(state)
            pipe = self._pipe(job, model)
            m = place_of(state, job.frames[0])
            before = next_frame(state, [frame["id"] for frame in state["frames"][:m]], missing=True)
            job.frame, job.step = state["frames"][m if before is None else before]["id"], 0
            if before is not None:
                self._record(job, set_drawing, drawing_of(pipe, model, job.project, state, before, self._on_step(job)))
                continue
            state["frames"][m]["seed"] = secrets.randbelow(HIGHEST_SEED)
            drawing = drawing_of(pipe, model, job.project, state, m, self._on_step(job))
            drawing["weights"] = weights_of(pipe, model, job.project, state, m)
            self._record(job, add_version, drawing)
            job.done += 1

    def _on_step(self, job: Job) -> Any:
        def on_step(step: int, steps: int) -> bool:
            job.step, job.steps = step, steps
            return job.stop.is_set()

        return on_step

    def _record(self, job: Job, change: Any, drawing: dict[str, Any]) -> bool:
        """Puts a drawing into the story. False if its frame was removed meanwhile."""
        frame = job.frame

        def record(state: State) -> bool:
            if all(other["id"] != frame for other in state["frames"]):
                return False
            change(state, frame, drawing)
            return True

        return job.project.edit(f"draw {job.id}", record, amend=True)


def _release() -> None:
    """Gives the memory of a model that nobody refers to back."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def notes_on(pipe: Any, sentences: tuple[str, ...]) -> list[dict[str, list[str]]]:
    tokenizer = getattr(pipe, "tokenizer", None)
    notes: list[dict[str, list[str]]] = [{"unknown": unknown_words(tokenizer, [one]) if tokenizer is not None else []} for one in sentences]
    if getattr(pipe, "reader", None) is not None:
        with suppress(ValueError):  # a sentence that is too long, or a reader without heads
            for note, frame in zip(notes, pipe.understand(list(sentences)), strict=True):
                note["seen"] = [*map(str, frame.characters), frame.place]
    return notes
