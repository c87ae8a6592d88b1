"""VIST: five photos of a Flickr album and a story about them.

    story-ldm data convert vist DIR --out data/vist --size 256 --skip-broken

DIR contains `{train,val,test}.story-in-sequence.json`, whose `annotations` are lists of one dict with `story_id`, `photo_flickr_id`, `original_text`
(and `worker_arranged_photo_order`), and the photos `<photo_flickr_id>.jpg` (or .png), in DIR, in `images` or in a folder of the split. Only stories
of five photos are used. Many published photos are no longer on Flickr: --skip-broken leaves their stories out and lists them.
(ARLDM `vist_hdf5.py`)
"""

from __future__ import annotations

from pathlib import Path

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
    safe_id,
    split_files,
    text_of,
)

LICENCE = "Photos of Flickr under the licences of their owners; stories by Huang et al. (2016), see visionandlanguage.net/VIST."
PUBLISHED = {"train": 40_155, "validation": 4_990, "test": 5_055}
FRAMES = 5


def open_source(folder: Path) -> Source:
    """A copy of VIST in `folder`."""
    tables, left_out = {}, 0
    for split, file in split_files(folder, ".story-in-sequence.json").items():
        stories = _stories(file)
        tables[split] = {name: rows for name, rows in stories.items() if len(rows) == FRAMES}
        left_out += len(stories) - len(tables[split])
    if not tables:
        raise StoryDataError(f"{folder} has no train, val or test.story-in-sequence.json; these files list the stories")

    def shots(split: str, name: str) -> list[str]:
        return [photo for _, photo, _ in tables[split][name]]

    def photo_file(split: str, photo: str) -> Path:
        places = ["images/", "", *(at + f"{name}/" for name in SPLIT_NAMES[split] for at in ("images/", ""))]
        files = [path_inside(folder, f"{place}{photo}{kind}") for place in places for kind in (".jpg", ".png")]
        return next((file for file in files if file.exists()), files[0])

    def story(split: str, name: str, choose: FrameChoice) -> dict:
        return {
            "story_id": safe_id(name),
            "frames": [picture_bytes(photo_file(split, photo), f"a photo of story {name}") for photo in shots(split, name)],
            "sentences": [text_of(text, f"a sentence of story {name}") for *_, text in tables[split][name]],
            "shots": shots(split, name),
        }

    notes = [f"{left_out} stories with more or fewer than {FRAMES} photos are left out, as in published work."] if left_out else []
    return Source({split: list(table) for split, table in tables.items()}, shots, story, published=PUBLISHED, licence=LICENCE, notes=notes)


def _stories(file: Path) -> dict[str, list[tuple[int, str, str]]]:
    """story_id → (order, photo, text) of each frame, sorted."""
    stories: dict[str, list[tuple[int, str, str]]] = {}
    for n, row in enumerate(field_of(read_json(file, dict, "the stories of a split"), "annotations", list, str(file))):
        where = f"annotation {n} of {file}"
        if not isinstance(row, list) or len(row) != 1:
            raise StoryDataError(f"{where} must be a list with one dict")
        row = of_type(row[0], dict, where)
        name, photo = (str(field_of(row, key, (str, int), where)) for key in ("story_id", "photo_flickr_id"))
        rows = stories.setdefault(name, [])
        order = field_of(row, "worker_arranged_photo_order", int, where) if "worker_arranged_photo_order" in row else len(rows)
        rows.append((order, photo, field_of(row, "original_text", str, where)))
    return {name: sorted(rows, key=lambda part: part[0]) for name, rows in stories.items()}
