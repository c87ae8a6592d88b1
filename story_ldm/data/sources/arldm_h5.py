"""ARLDM's h5 form of Pororo-SV, FlintstonesSV and VIST.

    pip install -c constraints.txt -e ".[h5]"
    story-ldm data convert arldm_h5 pororo.h5 --out data/pororo       # the file, or a folder with one

Groups `train`, `val` and `test` with `image0` … `image4`, encoded pictures as uint8, and `text` (`sis` for VIST): five captions joined by `|`.
The pictures of Pororo and Flintstones are complete strips, those of VIST single photos. They were written by cv2 from RGB arrays, so other readers
see red and blue exchanged; this one exchanges them back. The file has no labels; the name of a dataset in its file name ("pororo", "flintstones")
selects the characters for --text referential and the published counts. (ARLDM `data_script/*_hdf5.py`)
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from story_ldm.data.faults import StoryDataError
from story_ldm.data.pictures import as_rgb, png, swap_red_blue
from story_ldm.data.sources import flintstones, pororo, vist
from story_ldm.data.sources.base import SPLIT_NAMES, FrameChoice, Source, decoded, frame_of_strip, path_inside, text_of
from story_ldm.files import is_clutter, regular_file

FRAMES = 5
KNOWN = {"pororo": pororo, "flintstones": flintstones, "vist": vist}


def open_source(folder: Path) -> Source:
    """The stories of an h5 file, or of the only h5 file in `folder`."""
    try:
        import h5py
    except ImportError:
        raise StoryDataError('h5 files need h5py, which is not installed: pip install -c constraints.txt -e ".[h5]"') from None
    names = [f.name for f in folder.iterdir() if f.suffix in (".h5", ".hdf5") and not is_clutter(f.name)] if folder.is_dir() else []
    files = sorted(path_inside(folder, name) for name in names) if folder.is_dir() else [folder]
    if len(files) != 1:
        raise StoryDataError(f"{folder} has {len(files)} .h5 files; give the path of one")
    try:
        h5 = h5py.File(regular_file(files[0]), "r")
    except OSError as error:
        raise StoryDataError(f"{files[0]} cannot be opened: {error}") from None
    _check_own_data(h5, files[0])
    names_there = {split: [name for name in names if name in h5] for split, names in SPLIT_NAMES.items()}
    groups: dict[str, Any] = {split: h5[names[0]] for split, names in names_there.items() if names}
    if not groups:
        raise StoryDataError(f"{files[0]} has the groups {list(h5)}; it must have train, val or test")
    for split, group in groups.items():
        _check_own_data(group, files[0])
        lacking = [name for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group)) if name not in group]
        if lacking:
            raise StoryDataError(f"group {split} of {files[0]} lacks {', '.join(lacking)}; it has {list(group)}")
        for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group)):
            if getattr(group[name], "ndim", None) != 1 or len(group[name]) > files[0].stat().st_size:
                raise StoryDataError(f"{name} of group {split} of {files[0]} is {group[name]}; it must be an array with one entry per story")
            # HDF5 crashes on reading a sequence of unknown kind (byte 3 of its type description), which h5py does not check
            dtype, is_picture = group[name].dtype, name.startswith("image")
            is_bytes = h5py.check_vlen_dtype(dtype) == np.uint8 and not group[name].id.get_type().encode()[3] & 15
            if not (is_bytes if is_picture else h5py.check_string_dtype(dtype)):
                wanted = "encoded pictures, uint8 of any length" if is_picture else "strings"
                raise StoryDataError(f"{name} of group {split} of {files[0]} is of type {dtype}; it must be {wanted}")
        counts = {name: len(group[name]) for name in (*(f"image{m}" for m in range(FRAMES)), _text_name(group))}
        if len(set(counts.values())) > 1:
            raise StoryDataError(f"group {split} of {files[0]} has {counts}; all must have the same number of stories")
    known = next((KNOWN[name] for name in KNOWN if name in files[0].name.lower()), None)

    def pictures(split: str, n: int) -> list[bytes]:
        try:
            return [np.asarray(groups[split][f"image{m}"][n], np.uint8).tobytes() for m in range(FRAMES)]
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise StoryDataError(f"story {n} of {split} in {files[0]} cannot be read: {error}") from None

    def shots(split: str, n: int) -> list[str]:
        return [hashlib.sha256(data).hexdigest()[:16] for data in pictures(split, n)]  # the file has no names for them

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        text = _text_name(groups[split])
        parts = text_of(groups[split][text][n], f"{text} of story {n} of {split}").split("|")
        if len(parts) != FRAMES:
            raise StoryDataError(f"{text} of story {n} of {split} has {len(parts)} captions between its '|'; it must be {FRAMES}")
        frames = []
        for m, data in enumerate(pictures(split, n)):
            where = f"{split}/image{m}[{n}]"
            if text == "sis":
                frames.append((png(swap_red_blue(as_rgb(decoded(data, where)))), 0))
            else:
                frames.append(frame_of_strip(data, where, choose, swapped=True))
        return {
            "story_id": f"{split}-{n:06d}",
            "frames": [data for data, _ in frames],
            "sentences": [text_of(part, f"a caption of story {n} of {split}") for part in parts],
            "shots": [f"{split}/image{m}[{n}]#{number}" for m, (_, number) in enumerate(frames)],
        }

    splits = {split: list(range(len(group[_text_name(group)]))) for split, group in groups.items()}
    source = Source(splits, shots, story, getattr(known, "CAST", {}), getattr(known, "ALIASES", {}))
    return replace(source, published=known.PUBLISHED, licence=known.LICENCE) if known else source


def _check_own_data(group: Any, file: Path) -> None:
    """Raises StoryDataError if a member of a group is anything but data that lies in this file under one name: HDF5 follows links, external storage
    and virtual datasets to any other file of the machine."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise StoryDataError(
                f"{name} in {group.name} of {file} is a link to {getattr(link, 'filename', '')}{link.path}; it must be data of this file"
            )
        data = group[name]
        if isinstance(data, h5py.Dataset) and (data.external or data.is_virtual):
            raise StoryDataError(f"{name} in {group.name} of {file} is stored in another file; it must be data of this file")


def _text_name(group: Any) -> str:
    return "sis" if "sis" in group else "text"
