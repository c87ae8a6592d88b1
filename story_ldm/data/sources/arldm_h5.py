"""ARLDM's h5 form of Pororo-SV, FlintstonesSV and VIST.

    pip install -c constraints.txt -e ".[h5]"
    story-ldm data convert arldm_h5 pororo.h5 --out data/pororo       # the file, or a folder that holds one

Groups `train`, `val` and `test` with `image0` … `image4`, encoded pictures as uint8, and `text` (`sis` for VIST): five captions joined by `|`.
The pictures of Pororo and Flintstones are whole strips, those of VIST single photos. They were written by cv2 from RGB arrays, so that every other
reader sees red and blue swapped; here they are put right. The file has no labels; names in its own name ("pororo", "flintstones") choose the
character table for --text referential and the published counts. (ARLDM `data_script/*_hdf5.py`)
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from story_ldm.data.faults import StoryDataError
from story_ldm.data.pictures import png
from story_ldm.data.sources import flintstones, pororo, vist
from story_ldm.data.sources.base import SPLIT_NAMES, FrameChoice, Source, frame_of_strip, opened, text_of

FRAMES = 5
KNOWN = {"pororo": pororo, "flintstones": flintstones, "vist": vist}


def open_source(folder: Path) -> Source:
    try:
        import h5py
    except ImportError:
        raise StoryDataError('h5 files need h5py, which is not installed: pip install -c constraints.txt -e ".[h5]"') from None
    files = sorted(f for f in folder.iterdir() if f.suffix in (".h5", ".hdf5")) if folder.is_dir() else [folder]
    if len(files) != 1:
        raise StoryDataError(f"{folder} has {len(files)} .h5 files; give the one that is meant")
    try:
        h5 = h5py.File(files[0], "r")
    except OSError as error:
        raise StoryDataError(f"{files[0]} cannot be opened: {error}") from None
    groups = {split: next((h5[name] for name in names if name in h5), None) for split, names in SPLIT_NAMES.items()}
    groups = {split: group for split, group in groups.items() if group is not None}
    if not groups:
        raise StoryDataError(f"{files[0]} has the groups {list(h5)}; it must have train, val or test")
    for split, group in groups.items():
        lacking = [name for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group)) if name not in group]
        if lacking:
            raise StoryDataError(f"group {split} of {files[0]} lacks {', '.join(lacking)}; it has {list(group)}")
        for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group)):
            if getattr(group[name], "ndim", None) != 1 or len(group[name]) > files[0].stat().st_size:
                raise StoryDataError(f"{name} of group {split} of {files[0]} is {group[name]}; it must be an array of one entry a story")
            # HDF5 dies in reading a sequence whose kind (in byte 3 of its description) is none that it knows, and h5py does not look at it
            found, picture = group[name].dtype, name.startswith("image")
            whole = h5py.check_vlen_dtype(found) == np.uint8 and not group[name].id.get_type().encode()[3] & 15
            if not (whole if picture else h5py.check_string_dtype(found)):
                wanted = "encoded pictures, uint8 of any length" if picture else "strings"
                raise StoryDataError(f"{name} of group {split} of {files[0]} is of type {found}; it must be {wanted}")
        counts = {name: len(group[name]) for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group))}
        if len(set(counts.values())) > 1:
            raise StoryDataError(f"group {split} of {files[0]} has {counts}; there must be as many of each")
    known = next((KNOWN[name] for name in KNOWN if name in files[0].name.lower()), None)

    def pictures(split: str, n: int) -> list[bytes]:
        try:
            return [np.asarray(groups[split][f"image{m}"][n], np.uint8).tobytes() for m in range(FRAMES)]
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise StoryDataError(f"story {n} of {split} in {files[0]} cannot be read: {error}") from None

    def shots(split: str, n: int) -> list[str]:
        return [hashlib.sha256(data).hexdigest()[:16] for data in pictures(split, n)]  # the file does not name them

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        text = _text_name(groups[split])
        parts = text_of(groups[split][text][n], f"{text} of story {n} of {split}").split("|")
        if len(parts) != FRAMES:
            raise StoryDataError(f"{text} of story {n} of {split} has {len(parts)} captions between its '|'; it must be {FRAMES}")
        frames = []
        for m, data in enumerate(pictures(split, n)):
            where = f"{split}/image{m}[{n}]"
            if text == "sis":
                frames.append((png(Image.merge("RGB", opened(data, where).convert("RGB").split()[::-1])), 0))
            else:
                frames.append(frame_of_strip(data, where, choose, swapped=True))
        return {
            "story_id": f"{split}-{n:06d}",
            "frames": [data for data, _ in frames],
            "sentences": [text_of(part, f"a caption of story {n} of {split}") for part in parts],
            "shots": [f"{split}/image{m}[{n}]#{number}" for m, (_, number) in enumerate(frames)],
        }

    splits = {split: list(range(len(group[_text_name(group)]))) for split, group in groups.items()}
    facts = {"published": known.PUBLISHED, "licence": known.LICENCE} if known else {}
    return Source(splits, shots, story, getattr(known, "CAST", {}), getattr(known, "ALIASES", {}), **facts)


def _text_name(group) -> str:
    return "sis" if "sis" in group else "text"
