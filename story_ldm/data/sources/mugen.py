"""MUGEN and Extended MUGEN: four clips of a platform game with one hero in one scenery.

    story-ldm data convert mugen DIR --out data/mugen --text referential

DIR holds `train.json` and `test.json` (and `val.json`) as MUGEN publishes them (`data[].video.{json_file, num_frames}`,
`data[].annotations[k].text`), and the frames of each clip, rendered beforehand by MUGEN's own engine: `frames/<json_file without .json>/<n>.png`.
Where they were rendered with other heroes and sceneries, as Make-A-Story does, `data[].video.alien_name` (Tony, Lisa, Jhon; sic) and
`data[].video.world_theme_n` (0 Snow, 1 Planet, 2 Grass, 3 Dirt, 4 Stone, 5 Sand) say which; without, it is Tony, in the scenery of the clip's own
json, which must then be in DIR.

Every clip begins a story; the three others are drawn, as a function of the clip's name alone, from those of the same hero and scenery. "Mugen" is
replaced by the hero's name and the first sentence ends in " in <scenery>"; --text referential makes the later names he or she. The text is the first
that a human wrote (annotations[1]), else the one made by a template. (Make-A-Story `ldm/data/mugen_data_ref_text.py`)
"""

from __future__ import annotations

import hashlib
import random
import re
from functools import lru_cache
from pathlib import Path

from story_ldm.data.faults import StoryDataError
from story_ldm.data.sources.base import SPLIT_NAMES, FrameChoice, Source, field_of, inside, of_kind, read_json, safe_id, text_of, whole_picture

CAST = {"Tony": "he", "Lisa": "she", "Jhon": "he"}
BACKGROUNDS = ("Snow", "Planet", "Grass", "Dirt", "Stone", "Sand")
LICENCE = "MUGEN, © Meta Platforms, CC BY-NC 4.0; art of the game by Kenney (CC0) and others."
FRAMES = 4


def open_source(folder: Path) -> Source:
    clips: dict[str, dict[str, tuple[str, int, str]]] = {}  # split → clip → hero, scenery, text
    for split, names in SPLIT_NAMES.items():
        file = next((folder / f"{name}.json" for name in names if (folder / f"{name}.json").exists()), None)
        if file is not None:
            clips[split] = _clips(file, folder)
    if not clips:
        raise StoryDataError(f"{folder} has no train.json, val.json or test.json; they hold the clips")
    alike: dict[tuple, list[str]] = {}
    for split, table in clips.items():
        for clip, (hero, scenery, _) in table.items():
            alike.setdefault((split, hero, scenery), []).append(clip)

    def shots(split: str, clip: str) -> list[str]:
        hero, scenery, _ = clips[split][clip]
        others = [other for other in alike[split, hero, scenery] if other != clip]
        if len(others) < FRAMES - 1:
            raise StoryDataError(
                f"clip {clip} has {len(others)} others of {hero} in {BACKGROUNDS[scenery]} in {split}; a story needs {FRAMES - 1} of them"
            )
        return [clip, *random.Random(hashlib.sha256(clip.encode()).digest()).sample(others, FRAMES - 1)]

    @lru_cache(maxsize=256)
    def picture(clip: str, choose: FrameChoice) -> tuple[bytes, int]:
        where = inside(folder / "frames", clip.removesuffix(".json"))
        files = {int(file.stem): file for file in where.glob("*.png") if file.stem.isdecimal()} if where.is_dir() else {}
        if not files:
            raise StoryDataError(f"{where} has no rendered frame <n>.png of clip {clip}")
        n = sorted(files)[choose(clip, len(files))]
        return whole_picture(files[n], f"a frame of clip {clip}"), n

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
    table = {}
    for n, row in enumerate(field_of(read_json(file, dict, "the clips of a split"), "data", list, str(file))):
        where = f"data[{n}] of {file}"
        video = field_of(of_kind(row, dict, where), "video", dict, where)
        clip = field_of(video, "json_file", str, where)
        hero = video.get("alien_name", "Tony")
        if not isinstance(hero, str) or hero not in CAST:
            raise StoryDataError(f"alien_name of {where} is {hero!r}; it must be one of {', '.join(CAST)}")
        theme = video["world_theme_n"] if "world_theme_n" in video else _theme(inside(folder, clip))
        if not 0 <= of_kind(theme, int, f"world_theme_n of {where}") < len(BACKGROUNDS):
            raise StoryDataError(f"world_theme_n of {where} is {theme}; it must be from 0 to {len(BACKGROUNDS) - 1}")
        texts = field_of(row, "annotations", list, where)
        if not texts:
            raise StoryDataError(f"annotations of {where} are empty; a clip has a text")
        chosen = of_kind(texts[min(1, len(texts) - 1)], dict, f"an annotation of {where}")
        if clip in table:
            raise StoryDataError(f"{where} is clip {clip}, which is there before; a clip is there once")
        table[clip] = (hero, theme, text_of(field_of(chosen, "text", str, where), f"the text of {where}"))
    return table


def _theme(file: Path) -> int:
    return field_of(read_json(file, dict, "the game of a clip, and so its scenery"), "world_theme_n", int, str(file))
