"""DiDeMoSV: three frames of a video, each with a description.

    story-ldm data convert didemo DIR --out data/didemo

DIR contains `{train,val,test}.json`, lists of `{"desc_to_frame": [[caption, "path"], …]}`; paths are relative to DIR, or to its parent
if they begin with DIR's name. The first three frames are the story; items with fewer are left out. (StoryDALL-E `didemo_dataloader.py`)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import FrameChoice, Source, field_of, of_type, path_inside, picture_bytes, read_json, safe_id, split_files, text_of

LICENCE = "Frames of videos of YFCC100M under the licences of their owners; descriptions of DiDeMo (BSD 2-Clause)."
PUBLISHED = {"train": 11_550, "validation": 2_707, "test": 3_378}
FRAMES = 3


def open_source(folder: Path) -> Source:
    """A copy of DiDeMoSV in `folder`."""
    tables: dict[str, dict[int, list[tuple[str, str]]]] = {}
    fewer = more = 0
    for split, file in split_files(folder).items():
        rows = [_pairs(row, f"item {n} of {file}") for n, row in enumerate(read_json(file, list, "the stories of a split"))]
        fewer += sum(len(row) < FRAMES for row in rows)
        more += sum(len(row) > FRAMES for row in rows)
        tables[split] = {n: row[:FRAMES] for n, row in enumerate(rows) if len(row) >= FRAMES}
    if not tables:
        raise StoryDataError(f"{folder} has no train.json, val.json or test.json; these files list the stories")

    def shots(split: str, n: int) -> list[str]:
        return [path for _, path in tables[split][n]]

    def file_of(path: str) -> Path:
        first, _, rest = path.partition("/")
        return path_inside(folder, rest if rest and first in (folder.name, "didemo") and not (folder / path).exists() else path)

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        return {
            "story_id": safe_id(f"didemo-{split}-{n:06d}"),
            "frames": [picture_bytes(file_of(path), f"a frame of item {n}") for path in shots(split, n)],
            "sentences": [text_of(caption, f"a caption of item {n} of {split}") for caption, _ in tables[split][n]],
            "shots": shots(split, n),
        }

    notes = [f"{fewer} items have fewer than {FRAMES} frames and are left out; of {more} items that have more, the first {FRAMES} are used."]
    splits = {split: list(table) for split, table in tables.items()}
    return Source(splits, shots, story, published=PUBLISHED, licence=LICENCE, notes=notes if fewer or more else [])


def _pairs(row: Any, where: str) -> list[tuple[str, str]]:
    pairs = field_of(of_type(row, dict, where), "desc_to_frame", list, where)
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise StoryDataError(f"desc_to_frame of {where} contains {str(pair)[:60]}; it must be pairs of a caption and a path")
    return [(caption, path) for caption, path in pairs]
