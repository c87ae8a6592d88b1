"""Converts a copy of a public dataset, or your own stories, to sharded Parquet in the story form, with a dataset card.

    story-ldm data convert pororo DIR --out data/pororo --frame middle --text referential --skip-broken

Each file has `STORIES_PER_FILE` stories and is written atomically by one of several processes; the same command resumes an interrupted conversion.
The metadata of a file records its conversion, a digest of the copy's content, and the stories left out; `.copy.json` has the digest of each file of
the copy. If any has changed since, whatever its size and time, that is said, and all is written again; a file also if it is damaged, or if a story
left out can now be read. After the last file, `conversion.json` (counts, checksums, faults) and the card are written. Pictures that are complete
frames keep their bytes; frames cut from strips or resized by --size are PNG, and so are those that programs show differently: turned by EXIF, partly
transparent (laid on --background), or of 16 bits.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
from pyarrow import parquet
from tqdm.auto import tqdm

from story_ldm.data.archives import unpacked
from story_ldm.data.faults import as_fault, printable
from story_ldm.data.long_sentences import WORDS, LongSentences, too_long
from story_ldm.data.sources import Source, StoryDataError, open_source
from story_ldm.data.sources.base import SPLITS, read_json
from story_ldm.data.sources.record import METADATA, card, conversion_facts, record_of
from story_ldm.data.sources.rows import Conversion, converted_row, features_of
from story_ldm.data.story_form import is_damaged, parquet_name
from story_ldm.files import file_digest, is_clutter, write_text, written_beside
from story_ldm.locks import locked

STORIES_PER_FILE = 500
GROUP_STORIES, GROUP_BYTES = 100, 32_000_000  # upper limits of a row group, which is kept in memory until it is written


def convert(
    c: Conversion,
    copy: Path,
    out: Path,
    splits: tuple[str, ...] = (),
    skip_broken: bool = False,
    num_proc: int = 2,
    unpacked_gb: float | None = None,
    long_sentences: LongSentences = "error",
) -> dict:
    """Writes the folder `out`, or resumes an interrupted conversion, and returns the content of `conversion.json`.

    splits: those to convert (default: all). unpacked_gb: see `archives.extracted`. Raises StoryDataError for the first fault of the copy; with
    skip_broken, stories with a fault are left out, counted and listed instead. long_sentences: what to do with sentences over the reader's limit
    (`data.long_sentences.WORDS`): raise StoryDataError, which counts and names them, cut them, or leave their stories out, counted."""
    if long_sentences not in get_args(LongSentences):
        raise StoryDataError(f"--long-sentences is {long_sentences!r}; it must be one of {', '.join(get_args(LongSentences))}")
    with locked(out):
        return _convert(c, copy, out, splits, skip_broken, num_proc, unpacked_gb, long_sentences)


def _convert(
    c: Conversion,
    copy: Path,
    out: Path,
    splits: tuple[str, ...],
    skip_broken: bool,
    num_proc: int,
    unpacked_gb: float | None,
    long_sentences: LongSentences,
) -> dict:
    folder = unpacked(copy, out / ".unpacked", unpacked_gb)
    source = open_source(c.source, folder)
    if c.text == "referential" and not any(source.cast.values()):
        raise StoryDataError(f"--text referential requires characters with known pronouns; {c.source} has none: use --text full")
    unknown = [split for split in splits if split not in source.splits]
    if unknown:
        raise StoryDataError(f"--split is {unknown[0]!r}; this copy has {', '.join(source.splits)}")
    keys = {split: source.splits[split][: c.limit] for split in SPLITS if split in (splits or source.splits) and source.splits.get(split)}
    if not keys:
        raise StoryDataError(f"{copy} has no stories")
    shared = overlaps(source, keys)
    dropped = {}
    if c.drop_overlaps:
        for split in keys:
            leaked = {n for pair, numbers in shared.items() if pair[0] == split for n in numbers}
            keys[split], dropped[split] = [key for n, key in enumerate(keys[split]) if n not in leaked], len(leaked)

    digest = hashlib.sha256(json.dumps([asdict(c), {split: repr(part) for split, part in sorted(keys.items())}]).encode()).hexdigest()
    content = _content(folder, out)
    stamp = {"digest": digest, "content": hashlib.sha256(json.dumps(content).encode()).hexdigest()}
    jobs = list(_jobs(out / "data", keys, c, stamp))
    (out / "data").mkdir(parents=True, exist_ok=True)
    changes = _changes(out / ".copy.json", content)
    done = _done(out / "data", jobs, stamp, source, skip_broken, long_sentences, changes)
    if changes:
        print(f"the copy has changed since it was converted, and is converted again: {changes}", file=sys.stderr)
    write_text(out / ".copy.json", json.dumps(content, indent=0))
    with tqdm(total=sum(len(job[2]) for job in jobs), desc=f"converting {c.source}", unit=" stories") as bar:
        for file, facts in _run([job for job in jobs if job[0] not in done], folder, c.source, skip_broken, long_sentences, num_proc):
            done[file] = facts
            bar.update(facts["listed"])
        bar.update(bar.total - bar.n)
    _check_long(done, long_sentences)
    files = [(file, split, done[file]) for file, split, *_ in jobs]
    record = record_of(asdict(c), source, files, shared, dropped, long_sentences)
    _check_ids(jobs)
    write_text(out / "conversion.json", json.dumps(record, indent=1))
    write_text(out / "README.md", printable(card(record, source)))
    if folder != copy:
        shutil.rmtree(out / ".unpacked")
    return record


def overlaps(source: Source, keys: dict[str, list]) -> dict[tuple[str, str], list[int]]:
    """(split, later split) → indices of the stories of the first that share a shot with the second; dropping these keeps evaluation sets complete."""
    if len(keys) < 2:
        return {}
    shots = {split: [_shots(source, split, key) for key in part] for split, part in keys.items()}
    shared = {}
    for n, split in enumerate(shots):
        for later in list(shots)[n + 1 :]:
            later_shots = set().union(*shots[later])
            numbers = [k for k, part in enumerate(shots[split]) if not later_shots.isdisjoint(part)]
            if numbers:
                shared[split, later] = numbers
    return shared


def _shots(source: Source, split: str, key: Any) -> set[str]:
    try:
        with as_fault(f"story {key} of {split}"):
            return set(source.shots(split, key))
    except StoryDataError:
        return set()  # a fault of this story, reported when it is converted


# --- files -------------------------------------------------------------------------------------------------------------------------------


def _content(copy: Path, out: Path) -> dict[str, str]:
    """Name → digest of all files of a copy, which is a folder or one file, without those of `out`, should it lie there."""
    files, seen = [copy] if copy.is_file() else [], {copy.resolve()}
    for where, folders, names in os.walk(copy, followlinks=True):
        inside = {name: Path(where, name).resolve() for name in folders if not is_clutter(name) and Path(where, name).absolute() != out.absolute()}
        folders[:] = [name for name, real in inside.items() if real not in seen]  # links may go round
        seen |= {*inside.values()}
        files += [Path(where, name) for name in names if not is_clutter(name)]
    digests = {}
    for file in tqdm(sorted(files), desc="reading the copy", unit=" files", leave=False, delay=2):
        with suppress(OSError):  # a pipe, a broken link, no permission: a fault of the stories that need it
            digests[printable(str(file.relative_to(copy.parent if copy.is_file() else copy)))] = file_digest(file)[:16]
    return digests


def _changes(file: Path, now: dict[str, str], most: int = 3) -> str:
    """In what the copy differs from the one of an earlier conversion, whose digests are in the file; empty if in nothing, or there was none."""
    before = read_json(file, dict, "the digests of a copy") if file.exists() else now
    kinds = {name: "changed" if name in before and name in now else "new" if name in now else "gone" for name in sorted({*before, *now})}
    named = [f"{name} ({kind})" for name, kind in kinds.items() if before.get(name) != now.get(name)]
    return ", ".join(named[:most]) + (f" and {len(named) - most:,} more" if len(named) > most else "")


def _jobs(folder: Path, keys: dict[str, list], c: Conversion, stamp: dict[str, str]) -> Iterator[tuple]:
    for split, part in keys.items():
        count = max(1, -(-len(part) // STORIES_PER_FILE))
        for n in range(count):
            file = folder / parquet_name(split, n, count)
            yield file, split, part[n * STORIES_PER_FILE : (n + 1) * STORIES_PER_FILE], c, stamp


def _check_long(done: dict[Path, dict], long_sentences: LongSentences) -> None:
    """Raises StoryDataError, and removes the files that have them, if there are sentences over the reader's limit and they are to be an error."""
    lengths: dict[str, int] = {}
    for file, facts in done.items():
        if facts["long"] and long_sentences == "error":
            file.unlink()
            lengths |= {sentence: count for *_, found in facts["long"] for sentence, count in found.items()}
    if lengths:
        raise StoryDataError(printable(too_long(lengths, WORDS, "a frame may have")))


def _done(
    folder: Path, jobs: list[tuple], stamp: dict[str, str], source: Source, skip_broken: bool, long_sentences: LongSentences, changes: str
) -> dict[Path, dict]:
    """The files that exist and need not be written again, with their facts. Raises StoryDataError, which says how the copy has changed, if one
    belongs to another conversion."""
    wanted, done = {job[0]: job for job in jobs}, {}
    for file in sorted(folder.glob("*.parquet")):
        facts = conversion_facts(file)
        if file not in wanted or facts is None or facts.get("digest") != stamp["digest"]:
            since = f" (changed since: {changes})" if changes else ""
            raise StoryDataError(f"{file} belongs to another conversion or another copy{since}; set another --out")
        if (
            facts.get("content") == stamp["content"]
            and (not facts["broken"] or (skip_broken and _still_broken(facts, wanted[file], source)))
            and (not facts["long"] or facts["long_sentences"] == long_sentences)
            and not is_damaged(file)
        ):
            done[file] = facts
    return done


def _still_broken(facts: dict, job: tuple, source: Source) -> bool:
    """Whether every story that was left out of a file is still broken."""
    _, split, keys, c, _ = job
    left_out = {name for _, name, _ in facts["broken"]}
    for key in keys:
        if str(key) in left_out:
            try:
                converted_row(source, split, key, c)
            except StoryDataError:
                continue
            return False
    return True


def _run(jobs: list[tuple], folder: Path, name: str, skip_broken: bool, long_sentences: LongSentences, num_proc: int) -> Iterator[tuple[Path, dict]]:
    if num_proc < 2 or len(jobs) < 2:
        _open_here(name, folder, skip_broken, long_sentences)
        yield from map(write_file, jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the caller's locks, but not the threads that hold them
    with ProcessPoolExecutor(min(num_proc, len(jobs)), context, _open_here, (name, folder, skip_broken, long_sentences)) as pool:
        futures = [pool.submit(write_file, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise StoryDataError(f"a conversion process died ({error}); run the command again, with --num-proc 1 for less memory") from None
        finally:
            pool.shutdown(cancel_futures=True)


_PROCESS: dict[str, Any] = {}  # the source, opened once per process


def _open_here(name: str, folder: Path, skip_broken: bool, long_sentences: LongSentences) -> None:
    _PROCESS.update(source=open_source(name, folder), skip_broken=skip_broken, long_sentences=long_sentences)


def write_file(job: tuple) -> tuple[Path, dict]:
    """Writes one Parquet file atomically; returns its path and the facts in its metadata."""
    file, split, keys, c, stamp = job
    source, long_sentences = _PROCESS["source"], _PROCESS["long_sentences"]
    schema = features_of(source, c.text).arrow_schema
    facts: dict[str, Any] = {**stamp, "listed": len(keys), "stories": 0, "frames": 0, "transparent": 0, "broken": []}
    facts |= {"long_sentences": long_sentences, "long": []}
    with written_beside(file) as partial, parquet.ParquetWriter(partial, schema, write_page_checksum=True) as writer:
        rows: list[dict] = []
        size = 0
        for key in keys:
            try:
                row, transparent, long = converted_row(source, split, key, c, long_sentences)
            except StoryDataError as error:
                if not _PROCESS["skip_broken"]:
                    raise
                facts["broken"].append([split, str(key), str(error)])
                continue
            if long:
                facts["long"].append([split, str(key), long])
                if long_sentences == "skip":
                    continue
            rows.append(row)
            facts["transparent"] += transparent
            size += sum(len(frame["bytes"]) for frame in row["frames"])
            facts["stories"], facts["frames"] = facts["stories"] + 1, facts["frames"] + len(row["frames"])
            if len(rows) == GROUP_STORIES or size > GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows, size = [], 0
        writer.write_table(pa.Table.from_pylist(rows, schema))
        writer.add_key_value_metadata({METADATA: json.dumps(facts).encode()})
    return file, facts


def _check_ids(jobs: list[tuple]) -> None:
    """Raises StoryDataError if two stories of a split have the same id."""
    ids: dict[str, set[str]] = {}
    for file, split, *_ in jobs:
        for name in parquet.read_table(file, columns=["story_id"])["story_id"].to_pylist():
            if name in ids.setdefault(split, set()):
                raise StoryDataError(f"two stories of {split} have the story_id {name!r}; every story of a split needs its own")
            ids[split].add(name)
