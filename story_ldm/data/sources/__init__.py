"""Public datasets and your own stories: one file per source, each of which reads stories from a folder (see `base.py` for their common form).

story-ldm data convert pororo DIR --out data/pororo       # convert.py: sharded Parquet in the story form, with a card
story-ldm data check data/pororo                          # check.py: is it complete?

source = open_source("pororo", Path("DIR"))
for row in source.stories("train", FrameChoice("middle")): …
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from story_ldm.data.faults import StoryDataError, as_fault
from story_ldm.data.sources.base import FrameChoice, Source

SOURCES = ("pororo", "flintstones", "mugen", "clevr_sv", "abstract_scenes", "vist", "didemo", "arldm_h5", "folder")

__all__ = ["SOURCES", "FrameChoice", "Source", "StoryDataError", "open_source"]


def open_source(name: str, folder: Path) -> Source:
    """Opens a copy of a dataset. Raises StoryDataError if its lists or tables are missing, broken or refused."""
    if name not in SOURCES:
        raise StoryDataError(f"source is {name!r}; it must be one of {', '.join(SOURCES)}")
    if not folder.exists():
        raise StoryDataError(f"{folder} does not exist; it must be the folder or file of the copy")
    source = import_module(f"{__name__}.{name}")
    with as_fault(f"{folder}, as a copy of {name},"):
        return source.open_source(folder)
