"""Small copies of the field's datasets in their published layouts, file by file and type by type: `COPIES[source](folder)`.

Every picture has a colour of its own, a function of what it is called, so that a test can tell which was taken: `color_of(name)`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from pyarrow import parquet

SIDE = 32
COUNTS = {  # stories of train, validation, test, and frames a story
    "pororo": ((5, 2, 3), 5),
    "flintstones": ((5, 2, 1), 5),
    "mugen": ((10, None, 8), 4),
    "clevr_sv": ((6, None, 2), 4),
    "abstract_scenes": ((16, 2, 2), 10),
    "vist": ((5, 2, 3), 5),
    "didemo": ((4, 2, 3), 3),
    "arldm_h5": ((5, 2, 3), 5),
    "folder": ((4, None, 4), 3),
}
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def color_of(name: str) -> tuple[int, int, int]:
    return tuple(hashlib.sha256(name.encode()).digest()[:3])


def picture(name: str, size: tuple[int, int] = (SIDE, SIDE), mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", size, color_of(name)).convert(mode)


def strip(name: str, frames: int = 3) -> Image.Image:
    whole = Image.new("RGB", (SIDE, frames * SIDE))
    for n in range(frames):
        whole.paste(picture(f"{name}#{n}"), (0, n * SIDE))
    return whole


def save(image: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


def save_json(value, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def pororo(folder: Path, shots: int = 14) -> Path:
    """One episode of 14 shots, so 10 windows of 5: train 0 to 4, seen 5 and 6 (overlapping), unseen 7 to 9."""
    at = "Pororo_ENGLISH1_1/Pororo_ENGLISH1_1_ep1"
    keys = [f"{at}/{n}" for n in range(1, shots + 1)]
    names = ["Pororo", "Loopy", "Crong", "Eddy", "Poby", "Petty", "Tongtong", "Rody", "Harry"]
    for n, key in enumerate(keys):
        save(strip(key, 3 + n % 3), folder / f"{key}.png")
    captions = {key: [f"{names[n // 2 % 9]} waves to the melody.", "Another caption."] for n, key in enumerate(keys)}
    labels = {key: np.eye(9, dtype=np.int64)[n // 2 % 9] for n, key in enumerate(keys)}
    np.save(folder / "descriptions.npy", captions)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "frames_counter.npy", {f"{at}/": shots})
    windows = range(shots - 4)
    np.save(folder / "img_cache4.npy", np.array([f"{keys[n]}.png".encode() for n in windows]))
    np.save(folder / "following_cache4.npy", np.array([[f"{keys[n + k]}.png".encode() for k in range(1, 5)] for n in windows]))
    ids = np.empty(3, object)
    ids[:] = [[3, 0, 4, 1, 2], [6, 5], list(range(7, shots - 4))]
    np.save(folder / "train_seen_unseen_ids.npy", ids)
    return folder


def flintstones(folder: Path) -> Path:
    """Two episodes, of 9 and of 6 clips; train is the first, val and test the second."""
    clips = [f"s_01_e_{e:02d}_shot_{n:06d}_{n + 75:06d}" for e, count in ((1, 9), (2, 7)) for n in range(100, 100 + 100 * count, 100)]
    rows = []
    for n, clip in enumerate(clips):
        (folder / "video_frames_sampled").mkdir(parents=True, exist_ok=True)
        frames = np.stack([np.asarray(picture(f"{clip}#{k}")) for k in range(5)])
        np.save(folder / "video_frames_sampled" / f"{clip}.npy", frames)
        who = ["fred", "wilma"] if n % 2 else ["mr slate"]
        text = "Fred and Wilma are in the room." if n % 4 < 2 else "Fred and Wilma are talking."
        rows.append({"globalID": clip, "description": text, "setting": ("room", "Quarry ")[n % 2], "characters": [{"entityLabel": w} for w in who]})
    save_json(rows, folder / "flintstones_annotations_v1-0.json")
    save_json({"train": clips[:9], "val": clips[9:11], "test": clips[11:]}, folder / "train-val-test_split.json")
    following = {clip: clips[n + 1 : n + 5] for n, clip in enumerate(clips) if clips[n].split("_")[3] == clips[min(n + 4, 15)].split("_")[3]}
    (folder / "following_cache4.pkl").write_bytes(pickle.dumps(following))
    labels = {row["globalID"]: [int(name in [c["entityLabel"] for c in row["characters"]]) for name in FLINTSTONES] for row in rows}
    (folder / "labels.pkl").write_bytes(pickle.dumps(labels))
    return folder


FLINTSTONES = ("wilma", "fred", "betty", "barney", "dino", "pebbles", "mr slate")


def mugen(folder: Path) -> Path:
    for split, count in (("train", 10), ("test", 8)):
        rows = []
        for n in range(count):
            clip, lisa = f"{split}/game_{n}.json", n % 2
            for k in (0, 8, 16):
                save(picture(f"{clip}#{k}"), folder / "frames" / split / f"game_{n}" / f"{k}.png")
            video = {"json_file": clip, "num_frames": 96, "alien_name": ("Tony", "Lisa")[lisa], "world_theme_n": 2 + lisa}
            texts = [{"type": "auto", "text": "Mugen walks."}, {"type": "manual", "text": f"Mugen jumps {n} times and mugen's coin falls."}]
            rows.append({"video": video, "annotations": texts})
        save_json({"metadata": {"data_folder": "/somewhere"}, "data": rows}, folder / f"{split}.json")
    return folder


def clevr_sv(folder: Path) -> Path:
    vectors = {}
    for n in (*range(100, 105), 9_999, 10_000, 10_001):
        vector = np.zeros(75)
        vector[-3:] = (0.65, 0.75, 0)
        for k in range(4):
            shown = [k % 3, 3 + k % 8, 11 + k % 2, 13 + k % 2]
            vector[18 * k : 18 * k + 18][shown] = 1
            vector[18 * k + 15 : 18 * k + 18] = (2 * k - 3, 0, 0.35)
            name = f"CLEVR_new_{n:06d}_{k + 1}.png"
            vectors[name] = vector.copy()
            save(picture(name, (48, 36), "RGBA"), folder / "images" / name)
    np.save(folder / "CLEVR_dict.npy", vectors)
    return folder


def abstract_scenes(folder: Path, sets: int = 20) -> Path:
    scenes, texts = [str(10 * sets)], ([], [])
    for scene in range(10 * sets):
        n, m = divmod(scene, 10)
        things = [f"hb0_{m}s.png\t2\t{m}\t247\t321\t0\t0"] * (m % 2) + ["hb1_3s.png\t3\t3\t100\t200\t1\t1", "s_3s.png\t0\t3\t467\t25\t0\t1"]
        scenes += [f"{n}\t{len(things)}", *things]
        save(picture(f"Scene{n}_{m}.png", (40, 32)), folder / "RenderedScenes" / f"Scene{n}_{m}.png")
        for writer, lines in enumerate(texts):
            lines += [f"{scene}\t{k}\tJenny says {k}. " for k in range(3) if scene % 7 or writer] + [""]
    (folder / "SimpleSentences").mkdir(parents=True)
    (folder / "Scenes_10020.txt").write_text("\n".join(scenes) + "\n")
    for writer, lines in enumerate(texts):
        (folder / "SimpleSentences" / f"SimpleSentences{writer + 1}_10020.txt").write_text("\n".join(lines) + "\n")
    return folder


def vist(folder: Path) -> Path:
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        rows = []
        for story in range(count):
            frames = 5 if story or split != "train" else 4
            for m in range(frames):
                photo = f"{split}{story}{m}" if (split, story, m) != ("test", 0, 0) else "train10"  # one photo is in train, too
                save(picture(photo, (60, 40) if m % 2 else (40, 60)), folder / "images" / f"{photo}.jpg")
                text = f"[male] walked on and on, and photo {m} was taken of him ."
                rows.append([{"story_id": f"{split}-{story}", "photo_flickr_id": photo, "original_text": text, "worker_arranged_photo_order": m}])
        save_json({"annotations": list(reversed(rows))}, folder / f"{split}.story-in-sequence.json")
    return folder


def didemo(folder: Path) -> Path:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        rows = []
        for n in range(count):
            frames = 3 if n or split != "train" else 2
            paths = [f"didemo/{split}/video{n}/{m}.png" for m in range(frames)]
            for path in paths:
                save(picture(path), folder / path.removeprefix("didemo/"))
            rows.append({"desc_to_frame": [[f"A man walks to the {('left', 'dog', 'sea')[m]}", path] for m, path in enumerate(paths)]})
        save_json(rows, folder / f"{split}.json")
    return folder


def arldm_h5(folder: Path, kind: str = "pororo") -> Path:
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"{kind}.h5", "w") as h5:
        for split, count in (("train", 5), ("val", 2), ("test", 3)):
            group = h5.create_group(split)
            images = [group.create_dataset(f"image{m}", (count,), dtype=h5py.vlen_dtype(np.dtype("uint8"))) for m in range(5)]
            text = group.create_dataset("sis" if kind == "vist" else "text", (count,), dtype=h5py.string_dtype("utf-8"))
            for n in range(count):
                for m in range(5):
                    name = f"{split}{n}{m}"
                    image = picture(name, (60, 40)) if kind == "vist" else strip(name)
                    swapped = Image.merge("RGB", image.split()[::-1])  # cv2 takes the red of an RGB array for blue
                    file = folder / "image.png"
                    swapped.save(file)
                    images[m][n] = np.frombuffer(file.read_bytes(), np.uint8)
                text[n] = "|".join(f"Pororo says {m}." for m in range(5))
    (folder / "image.png").unlink()
    return folder


def own(folder: Path) -> Path:
    """stories.jsonl in train and imagefolder's metadata.jsonl in test."""
    save_json({"Rex": "it", "Mia": "she"}, folder / "characters.json")
    stories, lines = [], []
    for n in range(4):
        for m in range(3):
            save(picture(f"train/{n}/{m}", (48, 32)), folder / "train" / f"walk {n}" / f"{m + 1}.png")
            save(picture(f"test/{n}/{m}"), folder / "test" / f"day{n}" / f"{m}.jpg")
            lines.append({"file_name": f"day{n}/{m}.jpg", "text": f"Mia sees {m}.", "characters": ["Mia"], "background": "park"})
        sentences = ["Mia walks Rex to the left.", "Mia walks Rex.", f"Rex barks {n} times."]
        people = [["Mia", "Rex"], ["Mia", "Rex"], ["Rex"]]
        stories.append({"story": f"walk {n}", "sentences": sentences, "characters": people, "backgrounds": ["park", "park", "home"]})
    (folder / "train" / "stories.jsonl").write_text("\n".join(map(json.dumps, stories)))
    (folder / "test" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


COPIES = {
    "pororo": pororo,
    "flintstones": flintstones,
    "mugen": mugen,
    "clevr_sv": clevr_sv,
    "abstract_scenes": abstract_scenes,
    "vist": vist,
    "didemo": didemo,
    "arldm_h5": arldm_h5,
    "folder": own,
}


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/story_ldm_was_here",)


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    """Each copy, built once; not to be changed."""
    made: dict[str, Path] = {}

    def copy(source: str) -> Path:
        if source not in made:
            made[source] = COPIES[source](tmp_path_factory.mktemp(source))
        return made[source]

    return copy


def rows(folder: Path, split: str = "train") -> list[dict]:
    return [row for file in sorted((folder / "data").glob(f"{split}-*.parquet")) for row in parquet.read_table(file).to_pylist()]


def colors(row: dict) -> list[tuple[int, int, int]]:
    """Of the middle of each frame."""
    pictures = [Image.open(io.BytesIO(frame["bytes"])).convert("RGB") for frame in row["frames"]]
    return [picture.getpixel((picture.width // 2, picture.height // 2)) for picture in pictures]
