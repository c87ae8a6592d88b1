"""A small project of the storyboard, for its tests."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from story_ldm.app import projects
from story_ldm.app.models import Model
from story_ldm.app.storyboard import add_frames, edit_story
from story_ldm.data.pictures import png

KEY, OTHER = "the key of one user", "the key of another"
STORY = ["Bruno waves.", "He sits.", "Mia sits."]
MODEL = Model("tiny", Path("tiny"), "StoryLDMPipeline", None, ("trained", "none"), memory_guidance=True)


def picture(colour: str = "red", size: tuple[int, int] = (20, 12)) -> bytes:
    return png(Image.new("RGB", size, colour))


def new_project(root: Path) -> projects.Project:
    """Of the user with `KEY`: three sentences with the seeds 5, 6 and 7."""
    project = projects.create(root, KEY, "A walk")

    def write(state):
        state["frames"].clear()
        add_frames(state, STORY)
        for frame, seed in zip(state["frames"], (5, 6, 7), strict=True):
            frame["seed"] = seed
        edit_story(state, settings={"model": "tiny", "steps": 2})

    project.edit("write", write)
    return project


def ids(project) -> list[str]:
    return [frame["id"] for frame in project.read()[0]["frames"]]
