"""Your own stories, in one of two forms.

    story-ldm data convert folder DIR --out data/mine --size 64

`stories.jsonl`, one line per story: {"story": "picnic", "sentences": ["Mia packs a basket.", …], "characters": [["Mia"], …],
"backgrounds": ["kitchen", …]}, with the pictures in `<story>/<n>.png` (or .jpg), one per sentence, in the order of their numbers; the last two fields
are optional. Or `metadata.jsonl`, Hugging Face's imagefolder, one line per picture: {"file_name": "picnic/0.png", "text": "Mia packs a basket.",
"characters": ["Mia"], "background": "kitchen"}; the pictures of one folder, or those with the same field "story" if given, are a story, in the order
of the field "position", else of the lines.

The file lies in DIR (where a field "split" may name a split other than train), or in `train`, `validation` and `test` in DIR. If DIR has
`characters.json`, {"Mia": "she", "Rex": "it"}, it sets the order of the labels and the pronouns; otherwise labels are in alphabetical order.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import (
    SPLIT_NAMES,
    FrameChoice,
    Source,
    field_of,
    of_type,
    path_inside,
    picture_bytes,
    read_json,
    read_json_lines,
    safe_id,
    text_of,
)

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
LICENCE = "Your own pictures; state their licence here and as `license` in the metadata of this card: models trained on them are published under it."


def open_source(folder: Path) -> Source:
    """Your own stories in `folder`."""
    tables: dict[str, dict[str, dict]] = {}
    split_folders = [(split, path_inside(folder, name)) for split, names in SPLIT_NAMES.items() for name in names]
    for default, where in [("train", folder), *split_folders]:
        for row in _stories(where):
            split = next((s for s, names in SPLIT_NAMES.items() if row.get("split", default) in names), None)
            if split is None:
                raise StoryDataError(f"split of story {row['story']} is {row['split']!r}; it must be train, validation or test")
            if row["story"] in tables.setdefault(split, {}):
                raise StoryDataError(f"{row['source']} lists story {row['story']} twice in {split}; each story must be listed once")
            tables[split][row["story"]] = row
    if not tables:
        raise StoryDataError(f"{folder} has no stories.jsonl or metadata.jsonl, nor do its folders train, validation and test")
    rows = [row for table in tables.values() for row in table.values()]
    cast = _cast(folder, rows)
    labelled = any(row["characters"] is not None for row in rows)
    places = tuple(sorted({str(place) for row in rows for place in row["backgrounds"] or ()}))

    def shots(split: str, name: str) -> list[str]:
        return [hashlib.sha256(data).hexdigest()[:16] for data in pictures(split, name)]  # by content: files may be copies of each other

    def pictures(split: str, name: str) -> list[bytes]:
        return [picture_bytes(file, f"a picture of story {name}") for file in tables[split][name]["files"]()]

    def story(split: str, name: str, choose: FrameChoice) -> dict:
        row = tables[split][name]
        result = {
            "story_id": safe_id(name),
            "frames": pictures(split, name),
            "sentences": [text_of(text, f"sentence {m} of story {name}") for m, text in enumerate(row["sentences"])],
            "shots": [file.relative_to(folder).as_posix() for file in row["files"]()],
        }
        if labelled:
            result["characters"] = [
                [_number(list(cast), who, f"characters of story {name}") for who in of_type(here, list, f"characters of a frame of story {name}")]
                for here in of_type(row["characters"], list, f"characters of story {name}, which other stories have,")
            ]
        if places:
            backgrounds = of_type(row["backgrounds"], list, f"backgrounds of story {name}, which other stories have,")
            result["backgrounds"] = [_number(list(places), place, f"backgrounds of story {name}") for place in backgrounds]
        return result

    splits = {split: list(table) for split, table in tables.items()}
    return Source(splits, shots, story, cast, characters=labelled, backgrounds=places, licence=LICENCE)


def _stories(where: Path) -> list[dict]:
    """For each story its name, sentences, characters, backgrounds, and a function that returns its picture files."""
    listed, lines = where / "stories.jsonl", where / "metadata.jsonl"
    if listed.exists():
        return [_listed(row, where, f"line {n} of {listed}") for n, row in enumerate(read_json_lines(listed), 1)]
    groups: dict[str, list[dict]] = {}
    for n, row in enumerate(read_json_lines(lines) if lines.exists() else [], 1):
        file = field_of(row, "file_name", str, f"line {n} of {lines}")
        path_inside(where, file)
        parent = file.rpartition("/")[0]
        name = row.get("story", parent)
        if not isinstance(name, str) or not name:
            raise StoryDataError(f"line {n} of {lines} belongs to no story: add a field 'story', or put the pictures of each story in a folder")
        groups.setdefault(name, []).append({**row, "line": n})
    return [_grouped(name, rows, where, lines) for name, rows in groups.items()]


def _listed(row: dict, where: Path, line: str) -> dict:
    name = field_of(row, "story", str, line)

    def files() -> list[Path]:
        story_folder = path_inside(where, name)
        pictures = [f for f in story_folder.iterdir() if f.suffix.lower() in PICTURES] if story_folder.is_dir() else []
        unnumbered = [f.name for f in pictures if not re.fullmatch(r"\d{1,9}", f.stem)]
        if unnumbered:
            raise StoryDataError(f"{story_folder} has the picture {unnumbered[0]}; pictures of a story must be named by number: 0.png, 1.png, …")
        pictures = [path_inside(where, f"{name}/{f.name}") for f in pictures]
        pictures.sort(key=lambda f: int(f.stem))
        count, numbers = len(row["sentences"]), [int(f.stem) for f in pictures]
        start = numbers[0] if numbers and numbers[0] in (0, 1) else 0
        if numbers != list(range(start, start + count)):
            wanted = f"{start} to {start + count - 1}"
            raise StoryDataError(f"{story_folder} has the pictures {numbers}; the story has {count} sentences, so they must be {wanted}")
        return pictures

    return {
        "story": name,
        "source": line,
        "sentences": field_of(row, "sentences", list, line),
        "characters": row.get("characters"),
        "backgrounds": _list(row.get("backgrounds"), f"backgrounds of {line}"),
        "files": files,
        **({"split": row["split"]} if "split" in row else {}),
    }


def _grouped(name: str, rows: list[dict], where: Path, lines: Path) -> dict:
    if any("position" in row for row in rows):
        rows = sorted(rows, key=lambda row: field_of(row, "position", (int, float), f"line {row['line']} of {lines}"))

    def column(key: str) -> list | None:
        """The field of every picture, or None if no picture has it."""
        missing = [row["line"] for row in rows if row.get(key) is None]
        if missing and len(missing) < len(rows):
            raise StoryDataError(f"line {missing[0]} of {lines} has no field {key!r}, which other pictures of story {name} have")
        return None if missing else [row[key] for row in rows]

    sentences = column("text")
    if sentences is None:
        raise StoryDataError(f"pictures of story {name} in {lines} have no field 'text'; it must be the sentence of a picture")
    splits = set(map(str, column("split") or []))
    if len(splits) > 1:
        raise StoryDataError(f"pictures of story {name} in {lines} are in the splits {', '.join(sorted(splits))}; all must be in one split")
    return {
        "story": name,
        "source": str(lines),
        "sentences": sentences,
        "characters": column("characters"),
        "backgrounds": _list(column("background"), f"backgrounds of story {name}"),
        "files": lambda: [path_inside(where, row["file_name"]) for row in rows],
        **({"split": splits.pop()} if splits else {}),
    }


def _list(value: Any, where: str) -> list[str] | None:
    if value is None:
        return None
    return [of_type(part, str, where) for part in of_type(value, list, where)]


def _cast(folder: Path, rows: list[dict]) -> dict[str, str]:
    """Names and pronouns; without characters.json the pronouns are empty strings."""
    file = folder / "characters.json"
    if file.exists():
        cast = read_json(file, dict, "each character's pronoun")
        for name, pronoun in cast.items():
            if pronoun not in ("he", "she", "it"):
                raise StoryDataError(f"{file} has the pronoun {pronoun!r} for {name}; it must be he, she or it")
        return cast
    labels = [row["characters"] for row in rows if isinstance(row["characters"], list)]  # other types are faults, reported with their stories
    names = {who for story in labels for frame in story if isinstance(frame, list) for who in frame if isinstance(who, str)}
    return dict.fromkeys(sorted(names), "")


def _number(names: list[str], name: Any, where: str) -> int:
    if name not in names:
        raise StoryDataError(f"{where} contain {name!r}; known names: {', '.join(names) or 'none'}")
    return names.index(name)
