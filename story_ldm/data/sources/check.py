"""Checks whether a folder of stories is complete: what each split contains and lacks, compared with the published counts.

    story-ldm data check data/pororo                     # a folder in the story form
    story-ldm data check DIR --source pororo             # a copy of a published dataset, or its archive, before conversion

A folder is complete if every file exists and has its checksum, every picture decodes, every story has one frame and one list of labels per sentence,
every label has a name, no story was left out as broken, and each split has as many stories as were published, if that number is certain.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets import Features
from pyarrow import parquet
from tqdm.auto import tqdm

from story_ldm.data.archives import unpacked
from story_ldm.data.faults import as_fault, printable
from story_ldm.data.sources import FrameChoice, StoryDataError, open_source
from story_ldm.data.sources.base import SPLITS, checked_row, decoded, field_of, of_type, read_json
from story_ldm.data.sources.record import conversion_facts
from story_ldm.data.story_form import PER_SENTENCE, REQUIRED_COLUMNS, check_columns, nameless_label, parquet_files
from story_ldm.files import file_digest, markdown_table

Counts = dict[str, tuple[int, int, int]]  # split → complete stories, their frames, broken stories


def check(folder: Path, source: str | None = None, partial: bool = False, most: int = 20, unpacked_gb: float | None = None) -> tuple[bool, str]:
    """Whether the folder is complete, and the report, which lists at most `most` faults. partial: accept fewer stories than were published.
    unpacked_gb: see `archives.extracted`."""
    with TemporaryDirectory(prefix="story-ldm-") as work:
        counts, faults, facts = _check_copy(unpacked(folder, Path(work), unpacked_gb), source) if source else _check_converted(folder)
    published = facts.get("published", {})
    rows, lines = [], []
    for split in dict.fromkeys([*SPLITS, *counts, *published]):
        if split in counts or split in published:
            stories, frames, broken = counts.get(split, (0, 0, 0))
            count = f"{published[split]:,}{' (unverified)' if facts['recalled'] else ''}" if split in published else "–"
            rows.append([split, f"{stories:,}", f"{frames:,}", f"{broken:,}", count])
            if split in published and stories + broken != published[split] and not facts["recalled"] and not partial:
                faults.append(f"{split} has {stories + broken:,} stories; {published[split]:,} were published (--partial accepts fewer)")
    for pair, count in facts.get("overlaps", {}).items():
        lines.append(f"{count:,} stories of {pair.split('/')[0]} share a shot with {pair.partition('/')[2]}.")
    lines += facts.get("notes", [])
    lines += [f"- {fault}" for fault in faults[:most]]
    lines += [f"- and {len(faults) - most:,} more"] if len(faults) > most else []
    lines.append(f"{folder} is {'not complete' if faults else 'complete'}: {len(faults)} fault{'' if len(faults) == 1 else 's'}.")
    table = markdown_table(("split", "stories", "frames", "broken", "published"), rows)
    return not faults, printable("\n".join([table, *lines]))


def _check_copy(folder: Path, name: str) -> tuple[Counts, list[str], dict[str, Any]]:
    """Reads every story of a copy once, and discards it. Returns counts, faults, and facts about the source."""
    source = open_source(name, folder)
    counts: Counts = {}
    faults: list[str] = []
    for split, keys in source.splits.items():
        stories = frames = broken = 0
        for key in tqdm(keys, desc=f"checking {split}", leave=False):
            try:
                with as_fault(f"story {key} of {split}"):
                    frames += len(checked_row(source.story(split, key, FrameChoice()), source)["frames"])
                stories += 1
            except StoryDataError as error:
                broken += 1
                faults.append(f"{split}, {key}: {error}")
        counts[split] = (stories, frames, broken)
    return counts, faults, {"published": source.published, "recalled": source.recalled, "notes": source.notes}


def _check_converted(folder: Path) -> tuple[Counts, list[str], dict[str, Any]]:
    files = parquet_files(folder)
    if not files:
        raise StoryDataError(f"{folder} has no <split>-*.parquet; it must be a folder in the story form (for a published dataset set --source)")
    counts: Counts = {}
    faults: list[str] = []
    facts: dict[str, Any] = {"recalled": True}
    converted = False  # by `convert`, rather than written by another program
    ids: dict[str, set[str]] = {}
    for file in tqdm(files, desc="checking files", leave=False):
        split = file.name.partition("-")[0]
        try:
            with as_fault("it"):
                converted = converted or conversion_facts(file) is not None
                stories, frames, bad = _check_file(file, ids.setdefault(split, set()), faults)
        except StoryDataError as error:
            faults.append(f"{file.name}: {error}")
            continue
        before = counts.get(split, (0, 0, 0))
        counts[split] = (before[0] + stories, before[1] + frames, before[2] + bad)
    faults += _missing_numbers(files)
    record_file = folder / "conversion.json"
    if record_file.exists():
        try:
            with as_fault(str(record_file)):
                facts = _check_record(record_file, files, counts, faults)
        except StoryDataError as error:
            faults.append(str(error))
    elif converted:
        faults.append("the conversion is not finished (conversion.json is missing); run the same command again to resume it")
    return counts, faults, facts


def _check_record(record_file: Path, files: list[Path], counts: Counts, faults: list[str]) -> dict[str, Any]:
    """Compares the files with conversion.json; updates `counts` and `faults`. Returns its published counts, overlaps and notes."""
    where = str(record_file)
    record = read_json(record_file, dict, "the facts about the conversion")
    facts = {name: field_of(record, name, kind, where) for name, kind in (("published", dict), ("overlaps", dict), ("notes", list))}
    for number in (*facts["published"].values(), *facts["overlaps"].values()):
        of_type(number, int, f"a count of {where}")
    for note in facts["notes"]:
        of_type(note, str, f"a note of {where}")
    unlisted = {file.name: file for file in files}
    for split, part in field_of(record, "splits", dict, where).items():
        for name, digest in part["files"].items():
            if name not in unlisted:
                faults.append(f"{name} is missing")
            elif file_digest(unlisted.pop(name)) != digest:
                faults.append(f"{name} is not the file that was written: its checksum differs")
        faults += [f"{split}, {key} was left out: {fault}" for key, fault in part["broken"]]
        stories, frames, bad = counts.get(split, (0, 0, 0))
        counts[split] = (stories, frames, bad + len(part["broken"]))
    faults += [f"{name} is not listed in conversion.json" for name in unlisted]
    return facts | {"recalled": record.get("recalled") is not False}


def _missing_numbers(files: list[Path]) -> list[str]:
    """Faults for splits of files <split>-<k>-of-<n> in which some k is missing."""
    numbers: dict[tuple[str, int], set[int]] = {}
    for file in files:
        match = re.fullmatch(r"(.+)-(\d+)-of-(\d+)\.parquet", file.name)
        if match:
            numbers.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    missing = {key: sorted(set(range(key[1])) - existing) for key, existing in numbers.items()}
    return [f"{split}: files {absent} of {n} are missing" for (split, n), absent in missing.items() if absent]


def _check_file(file: Path, ids: set[str], faults: list[str]) -> tuple[int, int, int]:
    """Returns the numbers of complete stories, of their frames, and of broken stories; appends to `ids` and `faults`."""
    opened_file = parquet.ParquetFile(file)
    features = Features.from_arrow_schema(opened_file.schema_arrow)
    try:
        check_columns(features)
    except ValueError as error:
        raise StoryDataError(str(error)) from None
    stories = frames = broken = 0
    labels = {column: features[column].feature for column in ("characters", "backgrounds", "attributes") if hasattr(features.get(column), "feature")}
    columns = [*REQUIRED_COLUMNS, *(column for column in PER_SENTENCE if column in features and column != "frames")]
    for batch in opened_file.iter_batches(16, columns=columns):
        for row in batch.to_pylist():
            try:
                with as_fault(f"story {row['story_id']}"):
                    _check_row(row, labels, ids)
                stories, frames = stories + 1, frames + len(row["frames"])
            except StoryDataError as error:
                broken += 1
                faults.append(f"{file.name}: {error}")
    return stories, frames, broken


def _check_row(row: dict, labels: dict[str, Any], ids: set[str]) -> None:
    name, count = row["story_id"], len(row["sentences"] or [])
    if not name:
        raise StoryDataError(f"a story has the story_id {name!r}; every story needs one")
    if name in ids:
        raise StoryDataError(f"story {name} occurs twice")
    ids.add(name)
    if not count:
        raise StoryDataError(f"story {name} has no sentence")
    if None in row["sentences"] or row["frames"] is None:
        raise StoryDataError(f"story {name} has no {'frames' if row['frames'] is None else 'text in one of its sentences'}")
    for m, sentence in enumerate(row["sentences"]):
        if not sentence.strip():
            raise StoryDataError(f"sentence {m} of story {name} is {sentence!r}; it must be text that is not empty")
    for column, values in row.items():
        if values is None or (isinstance(values, list) and len(values) != count):
            has = f"no {column}" if values is None else f"{count} sentences and {len(values)} {column}"
            raise StoryDataError(f"story {name} has {has}; there must be one per sentence")
    for m, frame in enumerate(row["frames"]):
        if not frame or frame["bytes"] is None:
            raise StoryDataError(f"frame {m} of story {name} has no bytes")
        decoded(frame["bytes"], f"frame {m} of story {name}")
    for column, feature in labels.items():
        for m, value in enumerate(row[column]):
            if (wrong := nameless_label(value, feature, column == "attributes")) is not None:
                raise StoryDataError(f"{column} of frame {m} of story {name} contain {wrong[0]}; there are {wrong[1]} names, numbered from 0")
