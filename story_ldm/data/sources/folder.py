"""Your own stories, in one of three forms.

    story-ldm data convert folder DIR --out data/mine --size 64

`stories.jsonl`, one line per story: {"story": "picnic", "sentences": ["Mia packs a basket.", …], "characters": [["Mia"], …],
"backgrounds": ["kitchen", …]}, with the pictures in `<story>/<n>.png` (or .jpg, .webp, .gif, .bmp, .tiff, .avif), one per sentence, in the order of
their numbers; the last two fields are optional. Or `metadata.jsonl`, Hugging Face's imagefolder, one line per picture: {"file_name": "picnic/0.png",
"text": "Mia packs a basket.", "characters": ["Mia"], "background": "kitchen"}; the pictures of one folder, or those with the same field "story" if
given, are a story, in the order of the field "position", else of the lines (of the numbers in the names, if the lines are sorted as text: 1, 10, 2).
`metadata.csv` (in it, names of characters are separated by commas) and `metadata.parquet` hold the same columns. Or, without any of these files,
caption files as kohya's scripts read them: `<story>/<n>.txt` or `.caption` beside `<story>/<n>.png`, in the order of the numbers.

The file lies in DIR (where a field "split" may name a split other than train), or in `train`, `validation` and `test` in DIR. If DIR has
`characters.json`, {"Mia": "she", "Rex": "it"}, it sets the order of the labels and the pronouns; otherwise labels are in alphabetical order.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

from pyarrow import parquet

from story_ldm.data.faults import StoryDataError, as_fault
from story_ldm.data.pictures import PICTURE_SUFFIXES
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
    text_in,
    text_of,
)
from story_ldm.files import is_clutter, natural_order, nfc

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
CAPTIONS = (".txt", ".caption")
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
        forms = f"stories.jsonl or {', '.join(METADATA)}, nor folders of pictures with a caption file (.txt) for each"
        raise StoryDataError(f"{folder} has no {forms}, nor do its folders train, validation and test")
    for split, table in tables.items():
        names: dict[str, str] = {}
        for name in table:
            if (other := names.setdefault(safe_id(name), name)) != name:
                raise StoryDataError(f"the stories {other!r} and {name!r} of {split} would have the same story_id, {safe_id(name)!r}; rename one")
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
    listed = path_inside(where, "stories.jsonl")
    if listed.exists():
        return [_listed(row, where, f"line {n} of {listed}") for n, row in enumerate(read_json_lines(listed), 1)]
    tables = [path_inside(where, name) for name in METADATA if (where / name).exists()]
    if not tables:
        return _captioned(where)
    if len(tables) > 1:
        raise StoryDataError(f"{where} has {' and '.join(file.name for file in tables)}; it must have one of them")
    table, groups = tables[0], dict[str, list[dict]]()
    for n, row in enumerate(_table(table), 1):
        file = field_of(row, "file_name", str, f"line {n} of {table}").replace("\\", "/")  # as Windows separates folders
        path_inside(where, file)
        parent = file.rpartition("/")[0]
        name = row.get("story", parent)
        if not isinstance(name, str) or not name:
            raise StoryDataError(f"line {n} of {table} belongs to no story: add a field 'story', or put the pictures of each story in a folder")
        groups.setdefault(name, []).append({**row, "file_name": file, "line": n})
    return [_grouped(name, rows, where, table) for name, rows in groups.items()]


def _table(file: Path) -> list[dict]:
    """The rows of a table of pictures, without empty cells."""
    if file.suffix == ".jsonl":
        return read_json_lines(file)
    with as_fault(str(file)):
        if file.suffix == ".csv":
            text = text_in(file)
            delimiter = max(",;\t", key=text.partition("\n")[0].count)  # Excel writes semicolons where the comma is the decimal mark
            rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            return [{name: _cell(name, value) for name, value in row.items() if value not in (None, "")} for row in rows]
        return [{name: value for name, value in row.items() if value is not None} for row in parquet.read_table(file).to_pylist()]


def _cell(name: str | None, value: Any) -> Any:
    if name is None:
        raise StoryDataError(f"a line has more cells than the header: {value}; a cell with a comma must be in double quotes")
    if name == "characters":
        return json.loads(value) if value.startswith("[") else [who.strip() for who in value.split(",")]
    return float(value) if name == "position" else value


def _pictures(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and not is_clutter(file.name)]


def _captioned(where: Path) -> list[dict]:
    """The stories of folders whose pictures have a caption file each."""
    stories = []
    folders = [f for f in where.iterdir() if f.is_dir() and not is_clutter(f.name)] if where.is_dir() else []
    for folder in sorted(folders, key=lambda f: natural_order(f.name)):
        captions = {f.stem: f for f in folder.iterdir() if f.suffix.lower() in CAPTIONS and not is_clutter(f.name)}
        if pictures := sorted(_pictures(folder), key=lambda f: natural_order(f.name)) if captions else []:
            missing = [picture.name for picture in pictures if picture.stem not in captions]
            if missing or len(pictures) > len(captions):
                lacking = f"{missing[0]} has none" if missing else "two pictures share one"
                raise StoryDataError(f"{folder} has {len(pictures)} pictures and {len(captions)} caption files: {lacking}")
            texts = [text_in(path_inside(where, f"{folder.name}/{captions[picture.stem].name}")) for picture in pictures]
            row = {"story": nfc(folder.name), "source": str(folder), "sentences": texts, "characters": None, "backgrounds": None}
            stories.append({**row, "files": lambda names=[f"{folder.name}/{f.name}" for f in pictures]: [path_inside(where, name) for name in names]})
    return stories


def _listed(row: dict, where: Path, line: str) -> dict:
    name = field_of(row, "story", str, line)

    def files() -> list[Path]:
        story_folder = path_inside(where, name)
        pictures = _pictures(story_folder) if story_folder.is_dir() else []
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
    elif (names := [row["file_name"] for row in rows]) == sorted(names):  # as scripts list a folder, where 10.png comes before 2.png
        rows = sorted(rows, key=lambda row: natural_order(row["file_name"]))

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
    file = path_inside(folder, "characters.json")
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
