"""The story form on disk: its required columns, the names of its Parquet files, and the metadata of its card. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Features, Image, List
from huggingface_hub import DatasetCardData
from pyarrow import parquet

from story_ldm.files import is_clutter, regular_file

REQUIRED_COLUMNS = ("story_id", "frames", "sentences")
PER_SENTENCE = ("frames", "characters", "backgrounds", "referential", "attributes", "sentences_full", "shots")  # columns with one value per sentence


def check_columns(features: Features) -> None:
    """Raises ValueError if a required column is missing or has another type; pictures may be plain structs, as other programs write them."""
    missing = [column for column in REQUIRED_COLUMNS if column not in features]
    if missing:
        raise ValueError(f"it lacks the column(s) {', '.join(missing)}; a story has {', '.join(REQUIRED_COLUMNS)}")
    types = features.arrow_schema
    frames, sentences = types.field("frames").type, types.field("sentences").type
    if not (_is_list(frames) and pa.types.is_struct(frames.value_type) and frames.value_type.get_field_index("bytes") >= 0):
        raise ValueError(f"its column frames is {frames}; it must be a list of pictures, each a struct of bytes and path")
    if not (_is_list(sentences) and _is_text(sentences.value_type) and _is_text(types.field("story_id").type)):
        kinds = f"{types.field('story_id').type} and {sentences}"
        raise ValueError(f"its columns story_id and sentences are {kinds}; they must be a string and a list of strings")
    for column in ("characters", "backgrounds"):
        feature = features.get(column)
        while hasattr(feature, "feature"):
            feature = feature.feature
        if feature is not None and not isinstance(feature, ClassLabel):
            raise ValueError(f"its {column} are {features[column]}; they must be ClassLabel, which has a list of names")


def check_rows(table: pa.Table, features: Features) -> None:
    """Raises ValueError, which names the story and the column, if a value is missing, a story has not one of each per sentence, or a label has no
    name. Decodes nothing."""
    names, stories = table["story_id"].to_pylist(), table["sentences"].to_pylist()
    seen: set[str] = set()
    for n, (name, sentences) in enumerate(zip(names, stories, strict=True)):
        if not name:
            raise ValueError(f"story_id of row {n} is {name!r}; every story needs one")
        if name in seen:
            raise ValueError(f"story {name} occurs twice")
        seen.add(name)
        if not sentences:
            raise ValueError(f"story {name} has no sentence")
        for m, sentence in enumerate(sentences):
            if not sentence or not sentence.strip():
                raise ValueError(f"sentence {m} of story {name} is {sentence!r}; it must be text that is not empty")
    for column in PER_SENTENCE:
        if column in table.column_names:
            values = table[column]
            counts = pc.list_value_length(values) if _is_list(values.type) else pc.if_else(pc.is_valid(values), -1, None)  # -1: not one per sentence
            for name, sentences, count in zip(names, stories, counts.to_pylist(), strict=True):
                if count not in (len(sentences), -1):
                    has = f"no {column}" if count is None else f"{len(sentences)} sentences and {count} {column}"
                    raise ValueError(f"story {name} has {has}; there must be one per sentence")
    for column in ("characters", "backgrounds", "attributes"):
        if hasattr(features.get(column), "feature"):
            for name, values in zip(names, table[column].to_pylist(), strict=True):
                for m, value in enumerate(values):
                    if (wrong := nameless_label(value, features[column].feature, column == "attributes")) is not None:
                        raise ValueError(f"{column} of frame {m} of story {name} contain {wrong[0]}; there are {wrong[1]} names, numbered from 0")
    if pc.struct_field(pc.list_flatten(table["frames"]), "bytes").null_count:
        for n, name in enumerate(names):
            without = [m for m, frame in enumerate(table["frames"][n]) if not frame.is_valid or not frame["bytes"].is_valid]
            if without:
                frame = table["frames"][n][without[0]].as_py() or {}  # datasets would follow a path to any file or address
                has = "has no bytes" + (f", but the path {frame['path']!r}" if frame.get("path") is not None else "")
                raise ValueError(f"frame {without[0]} of story {name} {has}; a story holds the pictures themselves")


def nameless_label(value: Any, feature: Any, may_lack: bool = False) -> tuple[Any, int] | None:
    """The first label in a value of this feature that has no name, and the number of names; None if all have one. may_lack: None and -1, which say
    that there is no label, are right."""
    if isinstance(feature, ClassLabel):
        right = (may_lack and value in (None, -1)) or (value is not None and 0 <= value < len(feature.names))
        return None if right else (value, len(feature.names))
    parts: Iterable[tuple[Any, Any]] = []
    if isinstance(feature, dict) and value is not None:
        parts = [(value[name], of) for name, of in feature.items()]
    elif hasattr(feature, "feature"):
        parts = [(part, feature.feature) for part in value or []]
    return next((wrong for part, of in parts if (wrong := nameless_label(part, of, may_lack)) is not None), None)


def is_damaged(file: Path) -> bool:
    """Whether a Parquet file cannot be read, or its pages do not have their checksums (those of files written with `write_page_checksum`)."""
    try:
        with parquet.ParquetFile(regular_file(file), page_checksum_verification=True) as opened:
            for _ in opened.iter_batches(16):
                pass
    except (OSError, pa.ArrowException):
        return True
    return False


def with_pictures(features: Features) -> Features:
    """The features, with frames that plain programs wrote as structs read as pictures."""
    return Features({**features, "frames": List(Image())})


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def parquet_files(folder: Path, pattern: str = "*.parquet") -> list[Path]:
    """The Parquet files of a folder in the story form, which lie in the folder itself or in `data`."""
    return sorted(regular_file(file) for place in (folder, folder / "data") for file in place.glob(pattern) if not is_clutter(file.name))


def parquet_name(split: str, n: int, count: int) -> str:
    """The name of file `n` of the `count` files of a split."""
    return f"{split}-{n:05d}-of-{count:05d}.parquet"


def card_data(splits: Iterable[str], licence: str | None) -> DatasetCardData:
    """Metadata of the card of a folder in the story form whose files lie in `data`; `str` of it is YAML. licence: the hub's name for it."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    configs = [{"config_name": "default", "data_files": files}]
    return DatasetCardData(license=licence, task_categories=["text-to-image"], language=["en"], configs=configs)
