"""Story data: `load_stories` reads every dataset in one form (see `story_ldm/data/stories.py`)."""

from __future__ import annotations

__all__ = ["load_stories"]


def __getattr__(name: str):
    if name == "load_stories":  # imported on first use: converting datasets needs no torch
        from story_ldm.data.stories import load_stories

        return load_stories
    raise AttributeError(f"module 'story_ldm.data' has no attribute {name!r}")
