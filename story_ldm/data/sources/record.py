"""What a conversion says of itself: the facts in the metadata of each Parquet file, `conversion.json`, and the dataset card.

facts = conversion_facts(file)                                # as `convert` stored them
record = record_of(asdict(settings), source, files, …)        # conversion.json
text = card(record, source)                                   # README.md
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from story_ldm.data.faults import as_fault
from story_ldm.data.long_sentences import WORDS
from story_ldm.data.sources import Source, StoryDataError
from story_ldm.data.sources.base import of_type
from story_ldm.data.story_form import card_data
from story_ldm.files import file_digest, markdown_table, plain_markdown

METADATA = b"story_ldm.conversion"


def conversion_facts(file: Path) -> dict | None:
    """The facts that `convert` stored in the metadata of a file; None for files written by other programs."""
    try:
        metadata = parquet.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise StoryDataError(f"{file} cannot be read ({error}); remove it and convert again") from None
    with as_fault(f"the conversion metadata of {file}"):
        return of_type(json.loads(metadata[METADATA]), dict, str(file)) if METADATA in metadata else None


def record_of(
    conversion: dict[str, Any],
    source: Source,
    files: list[tuple[Path, str, dict]],
    shared: dict[tuple[str, str], list[int]],
    dropped: dict[str, int],
    long_sentences: str,
) -> dict:
    """The content of `conversion.json`: counts, checksums and faults.

    conversion: its settings. files: path, split and facts of each, in their order. shared: see `overlaps`. dropped: stories left out for it, by
    split."""
    splits: dict[str, dict] = {}
    for file, split, facts in files:
        part = splits.setdefault(
            split, {"stories": 0, "frames": 0, "transparent": 0, "broken": [], "long": {"sentences": 0, "stories": 0}, "files": {}}
        )
        part["stories"], part["frames"] = part["stories"] + facts["stories"], part["frames"] + facts["frames"]
        part["transparent"] += facts.get("transparent", 0)
        part["long"]["stories"] += len(facts["long"])
        part["long"]["sentences"] += sum(len(found) for *_, found in facts["long"])
        part["broken"] += [fault[1:] for fault in facts["broken"]]
        part["files"][file.name] = file_digest(file)
    for split, part in splits.items():
        part["sha256"] = hashlib.sha256("".join(part["files"].values()).encode()).hexdigest()
        part["dropped_overlaps"] = dropped.get(split, 0)
    return {
        "conversion": conversion,
        "long_sentences": long_sentences,
        "splits": splits,
        "published": source.published,
        "recalled": source.recalled,
        "overlaps": {f"{split}/{later}": len(numbers) for (split, later), numbers in shared.items()},
        "notes": source.notes,
    }


def said_of_long(record: dict) -> str:
    """What became of the sentences that were too long, in a sentence; nothing if there were none."""
    sentences, stories = (sum(part["long"][name] for part in record["splits"].values()) for name in ("sentences", "stories"))
    done = "they are cut" if record["long_sentences"] == "cut" else "these are left out"
    return f"{sentences:,} sentences of {stories:,} stories had more than {WORDS.most} {WORDS.unit}; {done}." if sentences else ""


def card(record: dict, source: Source, most: int = 100) -> str:
    """README.md of a converted dataset; lists at most `most` broken stories."""
    c, splits = record["conversion"], record["splits"]
    published = {split: f"{count:,}{' (unverified)' if record['recalled'] else ''}" for split, count in record["published"].items()}
    head = ("split", "stories", "frames", "published stories", "left out as broken", "dropped", "sha256 of the files' checksums")
    rows = []
    for split, part in splits.items():
        counts = [f"{n:,}" for n in (part["stories"], part["frames"], len(part["broken"]), part["dropped_overlaps"])]
        rows.append([split, *counts[:2], published.get(split, "–"), *counts[2:], part["sha256"][:16]])
    text = "names replaced by references (`sentences`), as published (`sentences_full`)" if c["text"] == "referential" else "as published"
    shape = f"{c['size']} × {c['size']} pixels ({c['fit']})" if c["size"] else "of their original size"
    lines = [f"Text: {text}. Frames: {shape}; frame taken of a shot: {c['frame']}{', seed ' + str(c['seed']) if c['frame'] == 'random' else ''}."]
    if transparent := sum(part["transparent"] for part in splits.values()):
        lines.append(f"{transparent:,} frames were partly transparent; they are laid on {c['background']}.")
    if long := said_of_long(record):
        lines.append(long)
    if source.characters:
        lines.append(f"Characters, in the order of the labels: {plain_markdown(', '.join(source.cast))}.")
    if source.backgrounds:
        lines.append(f"Backgrounds, in the order of the labels: {plain_markdown(', '.join(source.backgrounds))}.")
    for pair, count in record["overlaps"].items():
        split, later = pair.split("/")
        lines.append(
            f"{count:,} stories of {split} share a shot with {later}{': dropped' if c['drop_overlaps'] else ' (--drop-overlaps leaves them out)'}."
        )
    if len(splits) > 1 and not record["overlaps"]:
        lines.append("No two splits share a shot.")
    broken = [(split, *fault) for split, part in splits.items() for fault in part["broken"]]
    faults = "\n".join(f"- {split}, {plain_markdown(key)}: {plain_markdown(fault)}" for split, key, fault in broken[:most])
    rest = f"\n- and {len(broken) - most:,} more, in conversion.json" if len(broken) > most else ""
    return f"""---
{card_data(splits, None if c["source"] == "folder" else "other")}
---
# {c["source"]}, in the story form

{markdown_table(head, rows)}

{chr(10).join([*lines, *record["notes"]])}

Licence: {source.licence}
{f"{chr(10)}## Left out as broken{chr(10)}{chr(10)}{faults}{rest}{chr(10)}" if broken else ""}"""
