"""Stories as data: `load_stories` reads every source into one form (see `story_ldm/data/stories.py`)."""

from .stories import load_stories

__all__ = ["load_stories"]
