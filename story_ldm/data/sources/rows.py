"""A story of a copy as a row of the Parquet file, and the settings that it depends on.

row, transparent, long = converted_row(source, "train", key, Conversion("pororo", size=64))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datasets import ClassLabel, Features, Image, List, Value

from story_ldm.data.faults import as_fault
from story_ldm.data.long_sentences import WORDS, LongSentences
from story_ldm.data.pictures import FITS, Fit, as_rgb, colour, is_plain, png, square
from story_ldm.data.references import is_referential, refer
from story_ldm.data.sources import SOURCES, FrameChoice, Source, StoryDataError
from story_ldm.data.sources.base import checked_row, decoded

TEXTS = ("full", "referential")


@dataclass(frozen=True)
class Conversion:
    """All settings that the rows depend on. Fields are the options of `story-ldm data convert`."""

    source: str
    frame: str = "middle"
    seed: int = 0
    text: str = "full"
    size: int | None = None
    fit: Fit = "crop"
    background: str = "white"
    limit: int | None = None
    drop_overlaps: bool = False

    def __post_init__(self) -> None:
        FrameChoice(self.frame, self.seed)
        if self.source not in SOURCES:
            raise StoryDataError(f"source is {self.source!r}; it must be one of {', '.join(SOURCES)}")
        for name, allowed in (("text", TEXTS), ("fit", FITS)):
            if getattr(self, name) not in allowed:
                raise StoryDataError(f"--{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        try:
            colour(self.background)
        except ValueError as error:
            raise StoryDataError(f"--{error}") from None
        for name, least in (("size", 8), ("limit", 1)):
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise StoryDataError(f"--{name} is {getattr(self, name)}; it must be at least {least}")


def features_of(source: Source, text: str) -> Features:
    """The columns of a converted dataset: the story form, and `shots`."""
    columns = {"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))}
    if source.characters:
        columns["characters"] = List(List(ClassLabel(names=list(source.cast))))
    if source.backgrounds:
        columns["backgrounds"] = List(ClassLabel(names=list(source.backgrounds)))
    if source.cast:
        columns["referential"] = List(Value("bool"))
    if source.attributes:
        columns["attributes"] = List(source.attributes)
    if text == "referential":
        columns["sentences_full"] = List(Value("string"))
    return Features(columns | {"shots": List(Value("string"))})


def finished_row(row: dict, source: Source, c: Conversion) -> dict:
    """A story of a source as a row of the Parquet file. Raises StoryDataError if its columns do not fit together."""
    row = dict(checked_row(row, source))
    if c.text == "referential":
        row["sentences_full"] = row["sentences"]
        pronouns = {name: pronoun for name, pronoun in source.cast.items() if pronoun}
        row["sentences"], row["referential"] = refer(row["sentences"], pronouns, source.aliases)
    elif source.cast:
        row["referential"] = [is_referential(sentence) for sentence in row["sentences"]]
    frames = [_fitted(data, c.size, c.fit, c.background) for data in row["frames"]]
    return row | {"frames": [{"bytes": data, "path": None} for data in frames]}


def converted_row(source: Source, split: str, key: Any, c: Conversion, long_sentences: LongSentences = "error") -> tuple[dict, int, dict[str, int]]:
    """Reads a story of the copy; returns it as a row of the Parquet file, the number of its frames that were laid on the background, and the lengths
    of its sentences that were too long, before names become pronouns, which are cut if
    long_sentences says so. Raises StoryDataError for any fault of the story."""
    with as_fault(f"story {key} of {split}"):
        row = source.story(split, key, FrameChoice(c.frame, c.seed))
        long = WORDS.longer(row["sentences"])
        if long and long_sentences == "cut":
            row = {**row, "sentences": [WORDS.cut(sentence) if sentence in long else sentence for sentence in row["sentences"]]}
        return finished_row(row, source, c), sum(decoded(data, "a frame").has_transparency_data for data in row["frames"]), long


@lru_cache(maxsize=64)  # stories are overlapping windows
def _fitted(data: bytes, size: int | None, fit: Fit, background: str) -> bytes:
    picture = decoded(data, "a frame")
    if size:
        return png(square(picture, size, fit, background))
    return data if is_plain(picture) else png(as_rgb(picture, background))
