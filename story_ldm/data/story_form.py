"""The story form on disk: its required columns, the names of its Parquet files, and the metadata of its card. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import DatasetCardData

REQUIRED_COLUMNS = ("story_id", "frames", "sentences")


def parquet_files(folder: Path, pattern: str = "*.parquet") -> list[Path]:
    """The Parquet files of a folder in the story form, which lie in the folder itself or in `data`."""
    return sorted(file for place in (folder, folder / "data") for file in place.glob(pattern))


def parquet_name(split: str, n: int, count: int) -> str:
    """The name of file `n` of the `count` files of a split."""
    return f"{split}-{n:05d}-of-{count:05d}.parquet"


def card_data(splits: Iterable[str], licence: str | None) -> DatasetCardData:
    """Metadata of the card of a folder in the story form whose files lie in `data`; `str` of it is YAML. licence: the hub's name for it."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    configs = [{"config_name": "default", "data_files": files}]
    return DatasetCardData(license=licence, task_categories=["text-to-image"], language=["en"], configs=configs)
