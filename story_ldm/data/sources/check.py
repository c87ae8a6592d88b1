"""Is a folder of stories whole? What is there, what is missing or unreadable, in each split, beside the published counts.

    story-ldm data check data/pororo                     # a folder in the story form
    story-ldm data check DIR --source pororo             # a copy as it was published, or its archive, before it is converted

Whole is a folder of which every file is there with its checksum, every picture decodes, every story has as many frames as sentences and as labels,
every label has a name, nothing was left out as broken, and, where the published counts are certain, as many stories as published are there.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import ClassLabel, Features
from pyarrow import parquet
from tqdm.auto import tqdm

from story_ldm.data.archives import unpacked
from story_ldm.data.faults import as_fault, printable
from story_ldm.data.sources import FrameChoice, StoryDataError, open_source
from story_ldm.data.sources.base import SPLITS, checked_row, field_of, of_kind, opened, read_json
from story_ldm.data.sources.convert import conversion_facts
from story_ldm.files import file_digest

REQUIRED = ("story_id", "frames", "sentences")


def check(folder: Path, source: str | None = None, partial: bool = False, most: int = 20) -> tuple[bool, str]:
    """Whether it is whole, and the report. partial: fewer stories than published are as good."""
    with TemporaryDirectory(prefix="story-ldm-") as beside:
        counts, faults, facts = _check_copy(unpacked(folder, Path(beside)), source) if source else _check_converted(folder)
    published = facts.get("published", {})
    lines = ["| split | stories | frames | broken | published |", "|---|---|---|---|---|"]
    for split in dict.fromkeys([*SPLITS, *counts, *published]):
        if split in counts or split in published:
            stories, frames, broken = counts.get(split, (0, 0, 0))
            told = f"{published[split]:,}{' (recalled)' if facts['recalled'] else ''}" if split in published else "–"
            lines.append(f"| {split} | {stories:,} | {frames:,} | {broken:,} | {told} |")
            if split in published and stories + broken != published[split] and not facts["recalled"] and not partial:
                faults.append(f"{split} has {stories + broken:,} stories; {published[split]:,} are published (--partial: that is meant)")
    for pair, count in facts.get("overlaps", {}).items():
        lines.append(f"{count:,} stories of {pair.split('/')[0]} share a shot with {pair.partition('/')[2]}.")
    lines += facts.get("notes", [])
    lines += [f"- {fault}" for fault in faults[:most]]
    lines += [f"- and {len(faults) - most:,} more"] if len(faults) > most else []
    lines.append(f"{folder} is {'not whole' if faults else 'whole'}: {len(faults)} fault{'' if len(faults) == 1 else 's'}.")
    return not faults, printable("\n".join(lines))


def _check_copy(folder: Path, name: str) -> tuple[dict, list[str], dict]:
    """Every story of a copy is made once, and thrown away."""
    source, faults, counts = open_source(name, folder), [], {}
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


def _check_converted(folder: Path) -> tuple[dict, list[str], dict]:
    files = sorted(f for where in (folder, folder / "data") for f in where.glob("*.parquet"))
    if not files:
        raise StoryDataError(f"{folder} has no <split>-*.parquet; is it a folder in the story form? (a copy as published: --source)")
    counts, faults, facts, ours = {}, [], {"recalled": True}, False
    ids: dict[str, set[str]] = {}
    for file in tqdm(files, desc="checking files", leave=False):
        split = file.name.partition("-")[0]
        try:
            with as_fault("it"):
                ours = ours or conversion_facts(file) is not None
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
    elif ours:
        faults.append("the conversion is not finished (conversion.json is missing); run the same command again")
    return counts, faults, facts


def _check_record(record_file: Path, files: list[Path], counts: dict, faults: list[str]) -> dict:
    """Compares the files with what conversion.json says of them; what it says beside that."""
    where = str(record_file)
    record = read_json(record_file, dict, "what was converted")
    facts = {name: field_of(record, name, kind, where) for name, kind in (("published", dict), ("overlaps", dict), ("notes", list))}
    for number in (*facts["published"].values(), *facts["overlaps"].values()):
        of_kind(number, int, f"a count of {where}")
    for note in facts["notes"]:
        of_kind(note, str, f"a note of {where}")
    there = {file.name: file for file in files}
    for split, part in field_of(record, "splits", dict, where).items():
        for name, digest in part["files"].items():
            if name not in there:
                faults.append(f"{name} is missing")
            elif file_digest(there.pop(name)) != digest:
                faults.append(f"{name} is not the file that was written: its checksum differs")
        faults += [f"{split}, {key} was left out: {fault}" for key, fault in part["broken"]]
        stories, frames, bad = counts.get(split, (0, 0, 0))
        counts[split] = (stories, frames, bad + len(part["broken"]))
    faults += [f"{name} is of no conversion that conversion.json knows" for name in there]
    return facts | {"recalled": record.get("recalled") is not False}


def _missing_numbers(files: list[Path]) -> list[str]:
    """Files called <split>-<k>-of-<n> of which some k is not there."""
    found: dict[tuple[str, int], set[int]] = {}
    for file in files:
        match = re.fullmatch(r"(.+)-(\d+)-of-(\d+)\.parquet", file.name)
        if match:
            found.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    return [f"{split}: files {sorted(set(range(n)) - there)} of {n} are missing" for (split, n), there in found.items() if set(range(n)) - there]


def _check_file(file: Path, ids: set[str], faults: list[str]) -> tuple[int, int, int]:
    """Whole stories, their frames, and broken stories."""
    opened_file = parquet.ParquetFile(file)
    features = Features.from_arrow_schema(opened_file.schema_arrow)
    lacking = [column for column in REQUIRED if column not in features]
    if lacking:
        raise StoryDataError(f"it lacks the column(s) {', '.join(lacking)}; a story has {', '.join(REQUIRED)}")
    stories = frames = broken = 0
    names = {column: _names(column, features[column]) for column in ("characters", "backgrounds") if column in features}
    columns = [*REQUIRED, *names, *(column for column in ("referential", "sentences_full") if column in features)]
    for batch in opened_file.iter_batches(16, columns=columns):
        for row in batch.to_pylist():
            try:
                with as_fault(f"story {row['story_id']}"):
                    _check_row(row, names, ids)
                stories, frames = stories + 1, frames + len(row["frames"])
            except StoryDataError as error:
                broken += 1
                faults.append(f"{file.name}: {error}")
    return stories, frames, broken


def _check_row(row: dict, names: dict[str, int], ids: set[str]) -> None:
    name, count = row["story_id"], len(row["sentences"] or [])
    if name in ids:
        raise StoryDataError(f"story {name} is there twice")
    ids.add(name)
    if not count:
        raise StoryDataError(f"story {name} has no sentence")
    if None in row["sentences"] or row["frames"] is None:
        raise StoryDataError(f"story {name} has no {'frames' if row['frames'] is None else 'text in one of its sentences'}")
    for column, values in row.items():
        if isinstance(values, list) and len(values) != count:
            raise StoryDataError(f"story {name} has {count} sentences and {len(values)} {column}; there must be one a sentence")
    for m, frame in enumerate(row["frames"]):
        if not frame or frame["bytes"] is None:
            raise StoryDataError(f"frame {m} of story {name} has no bytes")
        opened(frame["bytes"], f"frame {m} of story {name}")
    for column, limit in names.items():
        for values in row[column] or []:
            for value in values if isinstance(values, list) else [values]:
                if value is None or not 0 <= value < limit:
                    raise StoryDataError(f"{column} of story {name} hold {value}; there are {limit} names, numbered from 0")


def _names(column: str, feature) -> int:
    while hasattr(feature, "feature"):
        feature = feature.feature
    if not isinstance(feature, ClassLabel):
        raise StoryDataError(f"its {column} are {feature}; they must be ClassLabel, numbers with a list of names")
    return len(feature.names)
