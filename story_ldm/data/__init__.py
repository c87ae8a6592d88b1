"""Story data: `load_stories` reads every dataset in one form (see `story_ldm/data/stories.py`)."""

from __future__ import annotations

from importlib import import_module

__all__ = ["load_stories"]


def __getattr__(name: str):
    if name == "load_stories":  # imported on first use: converting datasets needs no torch
        return import_module("story_ldm.data.stories").load_stories
    raise AttributeError(f"module 'story_ldm.data' has no attribute {name!r}")
