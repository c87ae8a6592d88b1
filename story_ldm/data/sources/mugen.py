"""MUGEN and Extended MUGEN: four clips of a platform game with one hero and one scenery.

    story-ldm data convert mugen DIR --out data/mugen --text referential

DIR contains `train.json` and `test.json` (and `val.json`) as MUGEN publishes them (`data[].video.{json_file, num_frames}`,
`data[].annotations[k].text`), and the frames of each clip, already rendered by MUGEN's own engine: `frames/<json_file without .json>/<n>.png`.
If they were rendered with other heroes and sceneries, as in Make-A-Story, `data[].video.alien_name` (Tony, Lisa, Jhon; sic) and
`data[].video.world_theme_n` (0 Snow, 1 Planet, 2 Grass, 3 Dirt, 4 Stone, 5 Sand) name them; without these fields the hero is Tony and the scenery is
that of the clip's own JSON file, which must be in DIR.

Every clip begins a story; its three other clips are sampled from those with the same hero and scenery, as a function of the clip's name only. "Mugen"
is replaced by the hero's name, and " in <scenery>" is added to the first sentence; --text referential replaces later names by he or she. The text is
the first one written by a human (annotations[1]), else the one made by a template. (Make-A-Story `ldm/data/mugen_data_ref_text.py`)
"""

from __future__ import annotations

import hashlib
import random
import re
from functools import lru_cache
from pathlib import Path

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import FrameChoice, Source, field_of, of_type, path_inside, picture_bytes, read_json, safe_id, split_files, text_of

CAST = {"Tony": "he", "Lisa": "she", "Jhon": "he"}
BACKGROUNDS = ("Snow", "Planet", "Grass", "Dirt", "Stone", "Sand")
LICENCE = "MUGEN, © Meta Platforms, CC BY-NC 4.0; art of the game by Kenney (CC0) and others."
FRAMES = 4


def open_source(folder: Path) -> Source:
    """A copy of MUGEN in `folder`."""
    clips: dict[str, dict[str, tuple[str, int, str]]] = {}  # split → clip → hero, scenery, text
    for split, file in split_files(folder).items():
        clips[split] = _clips(file, folder)
    if not clips:
        raise StoryDataError(f"{folder} has no train.json, val.json or test.json; these files list the clips")
    alike: dict[tuple, list[str]] = {}
    for split, table in clips.items():
        for clip, (hero, scenery, _) in table.items():
            alike.setdefault((split, hero, scenery), []).append(clip)

    def shots(split: str, clip: str) -> list[str]:
        hero, scenery, _ = clips[split][clip]
        others = [other for other in alike[split, hero, scenery] if other != clip]
        if len(others) < FRAMES - 1:
            raise StoryDataError(f"{split} has {len(others)} clips of {hero} in {BACKGROUNDS[scenery]} besides {clip}; a story needs {FRAMES - 1}")
        return [clip, *random.Random(hashlib.sha256(clip.encode()).digest()).sample(others, FRAMES - 1)]

    @lru_cache(maxsize=256)
    def picture(clip: str, choose: FrameChoice) -> tuple[bytes, int]:
        where = path_inside(folder, f"frames/{clip.removesuffix('.json')}")
        files = {int(file.stem): file for file in where.glob("*.png") if file.stem.isdecimal()} if where.is_dir() else {}
        if not files:
            raise StoryDataError(f"{where} has no rendered frames <n>.png of clip {clip}")
        n = sorted(files)[choose(clip, len(files))]
        return picture_bytes(path_inside(where, files[n].name), f"a frame of clip {clip}"), n

    def story(split: str, clip: str, choose: FrameChoice) -> dict:
        keys = shots(split, clip)
        hero, scenery, _ = clips[split][clip]
        texts = [re.sub(r"\bMugen\b", hero, clips[split][key][2], flags=re.I) for key in keys]
        texts[0] = f"{texts[0].removesuffix('.')} in {BACKGROUNDS[scenery]}."
        frames = [picture(key, choose) for key in keys]
        return {
            "story_id": safe_id(clip.removesuffix(".json")),
            "frames": [data for data, _ in frames],
            "sentences": texts,
            "characters": [[list(CAST).index(hero)]] * FRAMES,
            "backgrounds": [scenery] * FRAMES,
            "shots": [f"{key}#{number}" for key, (_, number) in zip(keys, frames, strict=True)],
        }

    splits = {split: list(table) for split, table in clips.items()}
    return Source(splits, shots, story, CAST, characters=True, backgrounds=BACKGROUNDS, licence=LICENCE)


def _clips(file: Path, folder: Path) -> dict[str, tuple[str, int, str]]:
    """Clip → hero, scenery, text."""
    table = {}
    for n, row in enumerate(field_of(read_json(file, dict, "the clips of a split"), "data", list, str(file))):
        where = f"data[{n}] of {file}"
        video = field_of(of_type(row, dict, where), "video", dict, where)
        clip = field_of(video, "json_file", str, where)
        hero = video.get("alien_name", "Tony")
        if not isinstance(hero, str) or hero not in CAST:
            raise StoryDataError(f"alien_name of {where} is {hero!r}; it must be one of {', '.join(CAST)}")
        theme = video["world_theme_n"] if "world_theme_n" in video else _theme(path_inside(folder, clip))
        if not 0 <= of_type(theme, int, f"world_theme_n of {where}") < len(BACKGROUNDS):
            raise StoryDataError(f"world_theme_n of {where} is {theme}; it must be from 0 to {len(BACKGROUNDS) - 1}")
        texts = field_of(row, "annotations", list, where)
        if not texts:
            raise StoryDataError(f"annotations of {where} are empty; a clip must have a text")
        chosen = of_type(texts[min(1, len(texts) - 1)], dict, f"an annotation of {where}")
        if clip in table:
            raise StoryDataError(f"{where} lists clip {clip} again; each clip must be listed once")
        table[clip] = (hero, theme, text_of(field_of(chosen, "text", str, where), f"the text of {where}"))
    return table


def _theme(file: Path) -> int:
    return field_of(read_json(file, dict, "the recorded game of a clip with its scenery"), "world_theme_n", int, str(file))
