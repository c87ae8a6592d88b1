"""Abstract Scenes (Zitnick and Parikh 2013): sets of ten clip-art scenes of similar meaning; a set is a story, as for the dynamic-block GAN.

    story-ldm data convert abstract_scenes DIR --out data/abstract --size 128

DIR is `AbstractScenes_v1.1`: `RenderedScenes/Scene{set}_{0..9}.png`; `Scenes_10020.txt` (the number of scenes; for each scene a line with its set and
its number of objects, then one line per object, which begins with the name of its clip art: hb0… is Mike, hb1… is Jenny);
`SimpleSentences/SimpleSentences{1,2}_10020.txt` (lines of scene, sentence number and sentence, separated by tabs; scene = 10 · set + index in the
set). A frame's text is all sentences of the first writer about it, or of the second if the first wrote none. No splits are published: the last tenth
of the sets is test, and the tenth before it validation.
"""

from __future__ import annotations

import re
from pathlib import Path

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import FrameChoice, Source, existing, path_inside, picture_bytes, text_of

CAST = {"Mike": "he", "Jenny": "she"}
CLIP_ART = ("hb0", "hb1")  # of the characters in CAST, in the same order
SCENES = 10
LICENCE = "Microsoft Research, Abstract Scenes Dataset v1.1: for research, see its licence."
PUBLISHED = {"train": 802, "validation": 100, "test": 100}


def open_source(folder: Path) -> Source:
    """A copy of Abstract Scenes in `folder`."""
    file = existing(path_inside(folder, "Scenes_10020.txt"), "the objects of each scene")
    people = _people(file)
    if len(people) % SCENES:
        raise StoryDataError(f"{file} has {len(people)} scenes; there must be {SCENES} per set")
    texts: list[dict[int, list[str]]] = [
        _sentences(path_inside(folder, f"SimpleSentences/SimpleSentences{k}_10020.txt"), len(people)) for k in (1, 2)
    ]
    sets = len(people) // SCENES
    tenth = sets // 10
    splits = {"train": range(sets - 2 * tenth), "validation": range(sets - 2 * tenth, sets - tenth), "test": range(sets - tenth, sets)}

    def shots(split: str, n: int) -> list[str]:
        return [f"Scene{n}_{m}.png" for m in range(SCENES)]

    def story(split: str, n: int, choose: FrameChoice) -> dict:
        scenes = range(n * SCENES, (n + 1) * SCENES)
        for scene in scenes:
            if not any(scene in writer for writer in texts):
                raise StoryDataError(f"no sentence describes scene {scene} (Scene{n}_{scene % SCENES}.png) in SimpleSentences")
        return {
            "story_id": f"Scene{n}",
            "frames": [picture_bytes(path_inside(folder, f"RenderedScenes/{shot}"), "a rendered scene") for shot in shots(split, n)],
            "sentences": [" ".join(next(writer[scene] for writer in texts if scene in writer)) for scene in scenes],
            "characters": [people[scene] for scene in scenes],
            "shots": shots(split, n),
        }

    return Source({name: list(keys) for name, keys in splits.items()}, shots, story, CAST, characters=True, published=PUBLISHED, licence=LICENCE)


def _lines(file: Path) -> list[str]:
    try:
        return existing(file, "lines of text").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise StoryDataError(f"{file} cannot be read: {error}") from None


def _people(file: Path) -> list[list[int]]:
    """For each scene the indices of the characters in it."""
    scenes: list[list[int]] = []
    lines, at = _lines(file), 1
    while at < len(lines):
        head = lines[at].split()
        if not head:
            at += 1
            continue
        if len(head) != 2 or not all(re.fullmatch(r"\d{1,9}", part) for part in head):
            raise StoryDataError(f"line {at + 1} of {file} is {lines[at][:60]!r}; it must be the number of a set and a number of objects")
        things = [line.split()[:1] for line in lines[at + 1 : at + 1 + int(head[1])]]
        if len(things) < int(head[1]) or int(head[0]) != len(scenes) // SCENES:
            raise StoryDataError(f"line {at + 1} of {file} lists {head[1]} objects of set {head[0]}; it must be all of set {len(scenes) // SCENES}")
        scenes.append([n for n, art in enumerate(CLIP_ART) if any(thing and thing[0].startswith(art) for thing in things)])
        at += 1 + int(head[1])
    if not lines or lines[0].split() != [str(len(scenes))]:
        raise StoryDataError(f"the first line of {file} is {lines[0][:60] if lines else ''!r}; it must be the number of scenes, {len(scenes)}")
    return scenes


def _sentences(file: Path, scenes: int) -> dict[int, list[str]]:
    """Scene → its sentences."""
    table: dict[int, list[str]] = {}
    for n, line in enumerate(_lines(file), 1):
        if line.strip():
            parts = line.split("\t", 2)
            if len(parts) != 3 or not re.fullmatch(r"\d{1,9}", parts[0].strip()):
                raise StoryDataError(f"line {n} of {file} is {line[:60]!r}; it must be scene, number and sentence, separated by tabs")
            scene = int(parts[0])
            if scene >= scenes:
                raise StoryDataError(f"line {n} of {file} describes scene {scene}; there are {scenes}, numbered from 0")
            text = text_of(parts[2], f"line {n} of {file}")
            table.setdefault(scene, []).append(text if text.endswith((".", "!", "?", '"')) else f"{text}.")
    return table
