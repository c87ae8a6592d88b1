"""The field's datasets in their published layouts: converted, checked, broken on purpose, and used downstream.

pytest tests/test_sources.py
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from conftest import ROOT, script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from published_copies import COPIES, arldm_h5, color_of, own, picture, save
from pyarrow import parquet

from story_ldm import cli, load_stories
from story_ldm.data.sources import SOURCES, FrameChoice, StoryDataError, open_source
from story_ldm.data.sources import convert as conversion
from story_ldm.data.sources.check import check
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.data.sources.safe_files import extracted, loads, npy_loads, read_npy
from story_ldm.data.stories import held_out_split

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


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="module")
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


# --- each source -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_converted_and_whole(source, copies, tmp_path):
    record = convert(Conversion(source), copies(source), tmp_path, num_proc=1)
    expected = {split: n for split, n in zip(("train", "validation", "test"), COUNTS[source][0]) if n}
    assert {split: part["stories"] for split, part in record["splits"].items()} == expected
    whole, report = check(tmp_path, partial=True)
    assert whole, report
    assert check(copies(source), source, partial=True)[0]
    for split in expected:
        there = rows(tmp_path, split)
        assert all(len(row["frames"]) == len(row["sentences"]) == len(row["shots"]) == COUNTS[source][1] for row in there)
        assert len({row["story_id"] for row in there}) == len(there)
        stories = load_stories(tmp_path, split, 16)
        assert stories["sentences"][:] == [row["sentences"] for row in there]
        assert {frame.size for row in stories for frame in row["frames"]} == {(16, 16)}
    card = (tmp_path / "README.md").read_text()
    assert "Licence:" in card and all(f"path: data/{split}-*.parquet" in card for split in expected)
    assert all(part["sha256"][:16] in card for part in record["splits"].values())
    features = load_stories(tmp_path, "train", None).features
    assert ("characters" in features) == (source in ("pororo", "flintstones", "mugen", "abstract_scenes", "folder"))
    assert ("backgrounds" in features) == (source in ("flintstones", "mugen", "folder"))
    assert not list(tmp_path.rglob("*.partial"))


def test_pororo_is_what_its_tables_say(copies, tmp_path):
    convert(Conversion("pororo"), copies("pororo"), tmp_path, num_proc=1)
    first = rows(tmp_path)[0]
    at = "Pororo_ENGLISH1_1/Pororo_ENGLISH1_1_ep1"
    assert first["story_id"] == f"{at}/1".replace("/", ".") and first["shots"] == [f"{at}/{n}#{(3 + (n - 1) % 3) // 2}" for n in range(1, 6)]
    assert colors(first) == [color_of(shot) for shot in first["shots"]]
    assert first["sentences"] == [f"{name} waves to the melody." for name in ("Pororo", "Pororo", "Loopy", "Loopy", "Crong")]
    assert first["characters"] == [[0], [0], [1], [1], [2]]
    names = load_stories(tmp_path, "train", None).features["characters"].feature.feature.names
    assert names == ["Pororo", "Loopy", "Crong", "Eddy", "Poby", "Petty", "Tongtong", "Rody", "Harry"]


def test_flintstones_labels_and_backgrounds(copies, tmp_path):
    convert(Conversion("flintstones", text="referential"), copies("flintstones"), tmp_path / "a", num_proc=1)
    first = rows(tmp_path / "a")[0]
    assert first["characters"][:2] == [[6], [0, 1]], "Mr Slate, whom a test of small letters misses, and Wilma before Fred"
    assert first["backgrounds"] == [1, 0, 1, 0, 1]
    assert load_stories(tmp_path / "a", "train", None).features["backgrounds"].feature.names == ["quarry", "room"]
    assert first["sentences"][:3] == ["Fred and Wilma are in the room.", "They are in the room.", "They are talking."]
    assert first["referential"] == [False, True, True, True, True]
    full = load_stories(tmp_path / "a", "train", None, "full")[0]
    assert full["sentences"] == first["sentences_full"] and full["referential"] == [False] * 5
    copy = COPIES["flintstones"](tmp_path / "b")
    for name in ("labels.pkl", "following_cache4.pkl"):
        (copy / name).unlink()
    convert(Conversion("flintstones", text="referential"), copy, tmp_path / "c", num_proc=1)
    assert rows(tmp_path / "c")[0]["characters"] == first["characters"] and rows(tmp_path / "c")[0]["shots"] == first["shots"]
    (copy / "labels_bg.pkl").write_bytes(pickle.dumps({"label": {row["shots"][0].partition("#")[0]: 3 for row in rows(tmp_path / "c")}}))
    with pytest.raises(StoryDataError, match=r"labels_bg.pkl\['label'\] has nothing for 's_01_e_01"):
        convert(Conversion("flintstones"), copy, tmp_path / "d", num_proc=1)


def test_mugen_names_hero_and_scenery(copies, tmp_path):
    convert(Conversion("mugen", text="referential", frame="first"), copies("mugen"), tmp_path, num_proc=1)
    for row in rows(tmp_path):
        hero = ("Tony", "Lisa")[row["backgrounds"][0] - 2]
        assert row["sentences"][0].startswith(f"{hero} jumps") and row["sentences"][0].endswith(f" in {('Grass', 'Dirt')[hero == 'Lisa']}.")
        assert all(s.startswith({"Tony": "He jumps", "Lisa": "She jumps"}[hero]) and hero not in s for s in row["sentences"][1:])
        assert {"Tony": "his coin", "Lisa": "her coin"}[hero] in row["sentences"][1]
        assert colors(row) == [color_of(shot) for shot in row["shots"]] and all(shot.endswith("#0") for shot in row["shots"])


def test_clevr_does_not_leak(copies, tmp_path):
    convert(Conversion("clevr_sv", size=24, fit="pad"), copies("clevr_sv"), tmp_path, num_proc=1)
    ids = [[row["story_id"] for row in rows(tmp_path, split)] for split in ("train", "test")]
    assert ids[0][-1] == "CLEVR_new_009999" and ids[1][0] == "CLEVR_new_010000" and not set(ids[0]) & set(ids[1])
    first = rows(tmp_path)[0]
    assert first["sentences"][0] == "A large gray rubber cube appears on the left at the back." and "on the right" in first["sentences"][3]
    assert len(first["attributes"][0]["vector"]) == 75
    assert Image.open(io.BytesIO(first["frames"][0]["bytes"])).getpixel((12, 0)) == (0, 0, 0), "padded, not squeezed"
    whole, report = check(tmp_path)
    assert not whole and "train has 6 stories; 10,000 are published" in report


@pytest.mark.parametrize("kind", ["pororo", "vist"])
def test_h5_colors_are_put_right(kind, tmp_path):
    convert(Conversion("arldm_h5", frame="2"), arldm_h5(tmp_path / "h5", kind), tmp_path / "out", num_proc=1)
    first = rows(tmp_path / "out")[0]
    assert colors(first) == [color_of(f"train0{m}" if kind == "vist" else f"train0{m}#2") for m in range(5)]


def test_pictures_that_are_frames_keep_their_bytes(copies, tmp_path):
    convert(Conversion("vist"), copies("vist"), tmp_path, num_proc=1)
    row = rows(tmp_path)[0]
    assert row["frames"][1]["bytes"] == (copies("vist") / "images" / f"{row['shots'][1]}.jpg").read_bytes()
    assert row["sentences"][1] == "[male] walked on and on, and photo 1 was taken of him .", "in the order of the album, not of the file"


def test_own_stories_with_pronouns(copies, tmp_path):
    convert(Conversion("folder", text="referential"), copies("folder"), tmp_path, num_proc=1)
    row = rows(tmp_path)[2]
    assert row["sentences"] == ["Mia walks Rex to the left.", "She walks it.", "Rex barks 2 times."]
    assert row["story_id"] == "walk_2" and row["characters"] == [[0, 1][::-1], [0, 1][::-1], [0]]
    assert colors(row) == [color_of(f"train/2/{m}") for m in range(3)]


# --- which frame, which order --------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=20), st.integers(1, 200), st.integers(0, 5), st.sampled_from(["middle", "first", "random", "0"]))
@QUICK
def test_frame_choice(shot, count, seed, how):
    choose = FrameChoice(how, seed)
    n = choose(shot, count)
    assert 0 <= n < count and n == FrameChoice(how, seed)(shot, count)
    assert how == "random" or n == (count // 2 if how == "middle" else 0)


def test_frame_choice_refuses_and_random_differs():
    assert len({FrameChoice("random", seed)("shot", 50) for seed in range(20)}) > 10
    for how in ("last", "-1", "", "1.5"):
        with pytest.raises(StoryDataError, match="must be middle, first, random or a number"):
            FrameChoice(how)
    with pytest.raises(StoryDataError, match="frame 7 of shot x is asked for; it has 3"):
        FrameChoice("7")("x", 3)


def test_stopped_and_run_again_and_in_two_processes(copies, tmp_path, monkeypatch):
    """The files are those of one run that was not stopped, byte by byte, and what was done is not done again."""
    monkeypatch.setattr(conversion, "STORIES_PER_FILE", 2)
    c = Conversion("pororo", frame="random", seed=3)
    convert(c, copies("pororo"), tmp_path / "whole", num_proc=1)
    files = sorted((tmp_path / "whole").rglob("*.parquet"))
    assert len(files) == 3 + 1 + 2
    write, done = conversion._write_file, []

    def stopping(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return write(job)

    monkeypatch.setattr(conversion, "_write_file", stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(c, copies("pororo"), tmp_path / "stopped", num_proc=1)
    monkeypatch.setattr(conversion, "_write_file", write)
    assert "not finished" in check(tmp_path / "stopped")[1] and "are missing" in check(tmp_path / "stopped")[1]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "stopped").rglob("*.parquet")}
    assert len(before) == 2
    convert(c, copies("pororo"), tmp_path / "stopped", num_proc=2)
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    for file in (*files, tmp_path / "whole" / "conversion.json", tmp_path / "whole" / "README.md"):
        assert (tmp_path / "stopped" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()
    for other in (Conversion("pororo"), Conversion("vist"), Conversion("pororo", frame="random", seed=4)):
        with pytest.raises(StoryDataError, match="of another conversion"):
            convert(other, copies(other.source), tmp_path / "stopped", num_proc=1)


def test_overlaps_are_told_and_dropped(copies, tmp_path):
    told = convert(Conversion("pororo"), copies("pororo"), tmp_path / "a", num_proc=1)
    assert told["overlaps"] == {"train/validation": 4, "train/test": 2, "validation/test": 2}
    assert "4 stories of train share a shot with validation" in (tmp_path / "a" / "README.md").read_text()
    record = convert(Conversion("pororo", drop_overlaps=True), copies("pororo"), tmp_path / "b", splits=("train", "test"), num_proc=1)
    assert {split: (part["stories"], part["dropped_overlaps"]) for split, part in record["splits"].items()} == {"train": (3, 2), "test": (3, 0)}
    shots = [{shot.partition("#")[0] for row in rows(tmp_path / "b", split) for shot in row["shots"]} for split in ("train", "test")]
    assert not shots[0] & shots[1]
    assert convert(Conversion("vist"), copies("vist"), tmp_path / "c", num_proc=1)["overlaps"] == {"train/test": 1}


# --- broken copies -------------------------------------------------------------------------------------------------------------------------


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/story_ldm_was_here",)


def edit(file: str, change):
    """Rewrites a pickled table of a copy."""

    def apply(copy: Path) -> None:
        if file.endswith(".pkl"):
            (copy / file).write_bytes(pickle.dumps(change(pickle.loads((copy / file).read_bytes()))))
        else:
            value = np.load(copy / file, allow_pickle=True)
            np.save(copy / file, change(value.item() if value.shape == () else value))

    return apply


def edit_json(file: str, change):
    def apply(copy: Path) -> None:
        value = json.loads((copy / file).read_text())
        (copy / file).write_text(json.dumps(change(value) or value))

    return apply


EP = "Pororo_ENGLISH1_1/Pororo_ENGLISH1_1_ep1"
CLIP = "s_01_e_01_shot_000200_000275"


def cut(copy: Path, file: str) -> None:
    (copy / file).write_bytes((copy / file).read_bytes()[:-30])


def with_value(table: dict, key, value) -> dict:
    return table | {key: value}


def hostile_frames(copy: Path) -> None:
    np.save(copy / "video_frames_sampled" / f"{CLIP}.npy", np.array(Hostile(), object))


def fewer_captions(copy: Path) -> None:
    import h5py

    with h5py.File(copy / "pororo.h5", "a") as h5:
        h5["train/text"][1] = "One.|Two."


def ids(change):
    def apply(copy: Path) -> None:
        np.save(copy / "train_seen_unseen_ids.npy", change(np.load(copy / "train_seen_unseen_ids.npy", allow_pickle=True)))

    return apply


def far_id(value):
    value[0] = [0, 1, 99]
    return value


# source, what is done to the copy, what is said, and how many stories of train --skip-broken leaves out
FAULTS = {
    "missing frame": ("pororo", lambda c: (c / f"{EP}/2.png").unlink(), r"2\.png, the strip of shot .*/2, is missing", 2),
    "truncated picture": ("pororo", lambda c: cut(c, f"{EP}/2.png"), r"the strip of shot .*ep1/2 cannot be decoded", 2),
    "no picture": ("vist", lambda c: (c / "images" / "train12.jpg").write_text("<html>"), r"train12\.jpg cannot be decoded", 1),
    "photo gone": ("vist", lambda c: (c / "images" / "train12.jpg").unlink(), r"train12\.jpg, a photo of story train-1, is missing", 1),
    "label of the wrong length": (
        *("pororo", edit("labels.npy", lambda t: with_value(t, f"{EP}/1", np.zeros(8)))),
        *(r"labels\.npy\['Pororo.*/1'\] has 8 values .*; it must be 9 zeros and ones", 1),
    ),
    "label of other values": ("flintstones", edit("labels.pkl", lambda t: with_value(t, CLIP, [2] * 7)), r"labels\.pkl\['s_01.* 7 zeros and ones", 2),
    "no caption": ("pororo", edit("descriptions.npy", lambda t: with_value(t, f"{EP}/1", [])), r"descriptions\.npy has no caption for", 1),
    "caption missing": (
        *("pororo", edit("descriptions.npy", lambda t: {k: v for k, v in t.items() if k != f"{EP}/1"})),
        *(r"descriptions\.npy has nothing for 'Pororo_ENGLISH1_1/Pororo_ENGLISH1_1_ep1/1'", 1),
    ),
    "caption count": ("arldm_h5", fewer_captions, r"text of story 1 of train has 2 captions between its '\|'; it must be 5", 1),
    "sentence count": (
        *("folder", lambda c: (c / "train" / "walk 1" / "4.png").write_bytes((c / "train" / "walk 1" / "1.png").read_bytes())),
        *(r"has the pictures \[1, 2, 3, 4\]; the story has 3 sentences", 1),
    ),
    "id out of range": ("pororo", ids(far_id), r"id 99 of train is out of range; img_cache4\.npy has 10 stories", 1),
    "hostile frames": ("flintstones", hostile_frames, rf"{CLIP}\.npy is refused: it asks for (posix|nt)\.system", 2),
    "wrong shape": (
        *("flintstones", lambda c: np.save(c / "video_frames_sampled" / f"{CLIP}.npy", np.zeros((5, 8, 8), np.uint8))),
        *(r"uint8 of shape \(5, 8, 8\); it must be numbers of \(frames, height, width, 3\)", 2),
    ),
    "clip not annotated": ("flintstones", edit_json("flintstones_annotations_v1-0.json", lambda rows: rows[1:]), "has nothing for 's_01_e_01", 1),
    "path out of the folder": (
        *("didemo", edit_json("train.json", lambda rows: rows[1]["desc_to_frame"][0].__setitem__(1, "../../secret.png"))),
        *(r"'\.\./\.\./secret\.png' leads out of", 1),
    ),
    "too few clips alike": (
        *("mugen", edit_json("train.json", lambda t: t["data"][0]["video"].__setitem__("world_theme_n", 5))),
        *("has 0 others of Tony in Sand in train; a story needs 3", 1),
    ),
    "vector of the wrong length": (
        *("clevr_sv", edit("CLEVR_dict.npy", lambda t: with_value(t, "CLEVR_new_000101_2.png", np.zeros(70)))),
        *(r"CLEVR_dict\.npy\['CLEVR_new_000101_2\.png'\] has 70 values; it must be 75 numbers", 1),
    ),
    "unknown name": (
        *("folder", lambda c: (c / "characters.json").write_text('{"Mia": "she"}')),
        *("characters of story walk 0 hold 'Rex'; known are Mia", 4),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_or_skipped_and_counted(fault, tmp_path):
    source, damage, says, count = FAULTS[fault]
    copy = COPIES[source](tmp_path / "copy")
    damage(copy)
    with pytest.raises(StoryDataError, match=says):
        convert(Conversion(source), copy, tmp_path / "out", num_proc=1)
    assert not list((tmp_path / "out").rglob("train-*.parquet")) and not (tmp_path / "out" / "README.md").exists()
    whole, report = check(copy, source, partial=True)
    assert not whole and f"| {count} |" in report
    record = convert(Conversion(source), copy, tmp_path / "out", skip_broken=True, num_proc=1)
    assert len(record["splits"]["train"]["broken"]) == count
    assert "## Left out as broken" in (card := (tmp_path / "out" / "README.md").read_text()) and card.count("\n- train, ") == count
    whole, report = check(tmp_path / "out", partial=True)
    assert not whole and report.count(" was left out: ") == count
    with pytest.raises(StoryDataError, match="--skip-broken"):
        convert(Conversion(source), copy, tmp_path / "out", num_proc=1)
    assert not Path("/tmp/story_ldm_was_here").exists()


WHOLE_FAULTS = {
    "hostile pickle": ("pororo", lambda c: np.save(c / "labels.npy", Hostile()), r"labels\.npy is refused: it asks for (posix|nt)\.system"),
    "hostile pkl": ("flintstones", lambda c: (c / "labels.pkl").write_bytes(pickle.dumps(Hostile())), r"labels\.pkl is refused: .*system"),
    "two splits of three": ("pororo", ids(lambda v: v[:2]), r"is no split file: it must hold 3 lists of ids \(train, validation, test\)"),
    "ids that are words": ("pororo", ids(lambda v: np.array([["a"], ["b"], ["c"]])), "the ids of train must be whole numbers"),
    "a story twice": ("pororo", ids(lambda v: np.array([[1, 1], [2, 3], [4, 5]])), "lists 1 twice in train"),
    "no split file": ("pororo", lambda c: (c / "train_seen_unseen_ids.npy").unlink(), "neither of train_seen_unseen_ids.npy and train_test_ids.npy"),
    "tables of two sizes": ("pororo", edit("img_cache4.npy", lambda v: v[:5]), r"img_cache4\.npy has 5 entries and following_cache4\.npy 10"),
    "split without val": ("flintstones", edit_json("train-val-test_split.json", lambda t: t.pop("val") and t), "has no field 'val'"),
    "no annotations": ("flintstones", lambda c: (c / "flintstones_annotations_v1-0.json").unlink(), "annotations_v1-0.json is missing"),
    "no JSON": ("vist", lambda c: (c / "val.story-in-sequence.json").write_text("{"), "val.story-in-sequence.json is no JSON"),
    "unknown hero": ("mugen", edit_json("train.json", lambda t: t["data"][0]["video"].__setitem__("alien_name", "Bob")), "must be one of Tony, Lisa"),
    "keys of another data set": ("clevr_sv", edit("CLEVR_dict.npy", lambda t: {"a.png": np.zeros(75)}), "has the key 'a.png'"),
    "a scene too many": (
        *("abstract_scenes", lambda c: (c / "SimpleSentences" / "SimpleSentences2_10020.txt").write_text("200\t0\tMike runs.\n")),
        "tells of scene 200; there are 200",
    ),
    "scenes cut short": ("abstract_scenes", lambda c: cut(c, "Scenes_10020.txt"), r"Scenes_10020\.txt"),
    "no h5 file": ("arldm_h5", lambda c: cut(c, "pororo.h5"), "cannot be opened|cannot be read"),
    "no stories": ("folder", lambda c: [f.unlink() for f in c.rglob("*.jsonl")], "has no stories.jsonl and no metadata.jsonl"),
    "not there": ("didemo", lambda c: [f.unlink() for f in c.glob("*.json")], "has no train.json, val.json or test.json"),
}


@pytest.mark.parametrize("fault", WHOLE_FAULTS)
def test_a_copy_that_is_no_copy_is_refused(fault, tmp_path):
    source, damage, says = WHOLE_FAULTS[fault]
    copy = COPIES[source](tmp_path / "copy")
    damage(copy)
    for skip in (False, True):
        with pytest.raises(StoryDataError, match=says):
            convert(Conversion(source), copy, tmp_path / "out", skip_broken=skip, num_proc=1)
    assert not (tmp_path / "out" / "README.md").exists() and not Path("/tmp/story_ldm_was_here").exists()


def test_check_finds_what_happened_to_a_converted_folder(copies, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "STORIES_PER_FILE", 2)
    convert(Conversion("pororo"), copies("pororo"), tmp_path, num_proc=1)
    file = tmp_path / "data" / "train-00001-of-00003.parquet"
    data = file.read_bytes()
    file.unlink()
    assert "train-00001-of-00003.parquet is missing" in check(tmp_path)[1]
    middle = len(data) // 3
    file.write_bytes(data[:middle] + bytes(64) + data[middle + 64 :])
    whole, report = check(tmp_path)
    assert not whole and "checksum differs" in report
    file.write_bytes(data[:100])
    assert not check(tmp_path)[0]
    file.write_bytes(data)
    assert check(tmp_path)[0]
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(data)
    assert "is of no conversion" in check(tmp_path)[1]
    with pytest.raises(StoryDataError, match="is it a folder in the story form"):
        check(tmp_path / "nothing")


@given(st.data())
@settings(QUICK, max_examples=25)
@pytest.mark.parametrize("source", [s for s in SOURCES if s != "arldm_h5"])
def test_damaged_tables_end_in_the_projects_own_error(source, copies, data):
    """Bytes of the tables changed at random: a story, or a StoryDataError."""
    copy = copies(source)
    tables = sorted(f for f in copy.rglob("*") if f.suffix in (".npy", ".pkl", ".json", ".jsonl", ".txt") and "video_frames" not in str(f))
    file = data.draw(st.sampled_from(tables))
    whole = file.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        file.write_bytes(damaged[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                source_now = open_source(source, copy)
            except StoryDataError:
                return
            for split, keys in source_now.splits.items():
                for key in keys[:3]:
                    try:
                        conversion.finished_row(source_now.story(split, key, FrameChoice()), source_now, Conversion(source))
                    except StoryDataError:
                        pass
    finally:
        file.write_bytes(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["story", "sentences", "characters", "backgrounds", "split"]), inner),
    max_leaves=8,
)
LINES = st.fixed_dictionaries(
    {"story": JSON | st.just("walk 0"), "sentences": JSON | st.just(["a", "b", "c"])},
    optional={"characters": JSON, "backgrounds": JSON, "split": JSON, "file_name": JSON, "position": JSON},
)


@given(st.lists(LINES, max_size=3), st.sampled_from(["stories.jsonl", "metadata.jsonl"]), st.none() | JSON)
@QUICK
def test_any_list_of_own_stories(tmp_path_factory, lines, name, characters):
    folder = tmp_path_factory.mktemp("own")
    for m in range(3):
        save(picture(str(m), (8, 8)), folder / "walk 0" / f"{m}.png")
    (folder / name).write_text("\n".join(map(json.dumps, lines)))
    if characters is not None:
        (folder / "characters.json").write_text(json.dumps(characters))
    try:
        convert(Conversion("folder"), folder, folder / "out", skip_broken=True, num_proc=1)
    except StoryDataError:
        pass


# --- pickles and archives ------------------------------------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
@QUICK
def test_plain_pickles_are_read(value, protocol):
    assert loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_in_pickles_is_read(protocol, tmp_path):
    shared = np.arange(6, dtype=">i4").reshape(2, 3)
    cyclic: list = []
    cyclic.append(cyclic)
    arrays = [shared, shared.T, np.array([b"ab", b"c"]), np.array(["é", "xy"]), np.array([1.5]), np.array([True, False]), np.zeros((0, 3))]
    value = {"arrays": arrays, "number": np.float64(2.5), "ragged": np.array([[1, 2], None, "x"], object), "same": [shared, shared]}
    found = loads(pickle.dumps(value, protocol))
    for a, b in zip(arrays, found["arrays"], strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    assert found["number"] == 2.5 and found["ragged"].tolist() == [[1, 2], None, "x"] and found["same"][0] is found["same"][1]
    itself = loads(pickle.dumps(cyclic, protocol))
    assert itself[0] is itself
    np.save(tmp_path / "a.npy", {"a": shared})
    assert np.array_equal(read_npy(tmp_path / "a.npy")["a"], shared)


def test_pickles_of_python_2():
    """A dict {str: str} with bytes that are UTF-8, as cPickle's protocol 2 wrote it."""
    assert loads(b"\x80\x02}q\x01U\x01aq\x02U\x02\xc3\xa9q\x03s.") == {"a": "Ã©"}
    from story_ldm.data.sources.base import text_of

    assert text_of("Ã©  x\n", "here") == "é x" and text_of("é – ü", "here") == "é – ü"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "it asks for __builtin__.eval"),
        (pickle.dumps(Path("x")), "it asks for pathlib"),
        (pickle.dumps({1, 2}), "no whole pickle of plain data"),
        (pickle.dumps(np.datetime64("2020-01-01")), "dtype 'M8'"),
        (pickle.dumps(np.zeros(2, [("a", "O")])), "dtype 'V8'"),
        (b"\x96\xff\xff\xff\xff\x00\x00\x00\x00abc.", "the file ends in the midst of an array"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zliptR.", "no whole pickle|encoding"),
        (b"c__builtin__\nbytes\n(I1000000000000\ntR.", "bytes made by a call"),
        (b"cnumpy\ndtype\n.", "a piece of an array without the array"),
        (b"cnumpy\ndtype\n}(X\x01\x00\x00\x00aI1\nub.", "sets the state of something that is no array"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I9\ntcnumpy\ndtype\n(S'i8'\ntRI0\nS'x'\ntb.", "length 1"),
        (b"", "no whole pickle"),
        (pickle.dumps([1, 2, 3])[:-3], "no whole pickle"),
        (b"r\xff\xff\xff\x7f", "no whole pickle"),
        (b"(" * 10_000, "no whole pickle"),
        (b"]" * 5_000 + b"a" * 4_999 + b".", "RecursionError"),
    ],
    ids=lambda part: "" if isinstance(part, bytes) else part[:40],
)
def test_hostile_pickles_are_refused_by_name(data, says):
    with pytest.raises(StoryDataError, match=says):
        loads(data)


def test_objects_cannot_be_forged_from_numbers():
    """numpy's own unpickling takes the bytes of an array of objects for pointers if the file says so; here nothing of a dtype's state counts."""
    honest = pickle.dumps(np.array([[1], [2]], object), 2)
    forged = honest.replace(b"]", b"U\x10" + b"A" * 16, 1)
    with pytest.raises(StoryDataError):
        loads(forged)


@given(PLAIN, st.binary(max_size=6), st.integers(0, 500), st.integers(0, 5))
@settings(QUICK, max_examples=300)
def test_damaged_pickles(value, junk, at, protocol):
    data = pickle.dumps([value, np.arange(3), np.array(["a"], object)], protocol)
    at %= len(data)
    for damaged in (data[:at] + junk + data[at + len(junk) :], junk + data, data[:at]):
        try:
            loads(damaged)
        except StoryDataError:
            pass


@given(st.binary(max_size=80))
@QUICK
def test_any_bytes_as_npy(junk):
    file = io.BytesIO()
    np.save(file, np.arange(3))
    for data in (junk, file.getvalue()[:10] + junk, file.getvalue()[:60] + junk + file.getvalue()[60:]):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                npy_loads(data)
        except StoryDataError:
            pass


def zipped(file: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            packed.writestr(info, data)
    return file


def tarred(file: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with tarfile.open(file, "w:gz") as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if name in links:
                info.type, info.linkname = tarfile.SYMTYPE, data.decode()
                packed.addfile(info)
            else:
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return file


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/out.txt", "C:\\out.txt", "..\\out.txt"])
def test_archives_stay_in_their_folder(pack, name, tmp_path):
    archive = pack(tmp_path / ("a.zip" if pack is zipped else "a.tar.gz"), {"fine.txt": b"1", name: b"2"})
    with pytest.raises(StoryDataError, match="would be written outside"):
        extracted(archive, tmp_path / "work")
    with pytest.raises(StoryDataError, match="is a link or a device"):
        extracted(pack(tmp_path / f"b{archive.name}", {"link": b"/etc"}, ("link",)), tmp_path / "work")
    assert not list((tmp_path / "work").iterdir()) and not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_copy_in_an_archive(pack, copies, tmp_path):
    members = {f"PororoSV/{f.relative_to(copies('pororo'))}": f.read_bytes() for f in copies("pororo").rglob("*") if f.is_file()}
    archive = pack(tmp_path / ("a.zip" if pack is zipped else "a.tgz"), members)
    convert(Conversion("pororo"), archive, tmp_path / "out", num_proc=1)
    convert(Conversion("pororo"), copies("pororo"), tmp_path / "same", num_proc=1)
    assert rows(tmp_path / "out") == rows(tmp_path / "same") and not (tmp_path / "out" / ".unpacked").exists()
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(StoryDataError, match=r"bad\.zip cannot be opened"):
        convert(Conversion("pororo"), tmp_path / "bad.zip", tmp_path / "bad", num_proc=1)


# --- downstream ----------------------------------------------------------------------------------------------------------------------------


def test_crop_and_pad(tmp_path):
    save(Image.merge("RGB", [Image.linear_gradient("L").rotate(90).resize((48, 24))] * 3), tmp_path / "a" / "0.png")
    (tmp_path / "stories.jsonl").write_text('{"story": "a", "sentences": ["It is dark."]}')
    convert(Conversion("folder"), tmp_path, tmp_path / "out", num_proc=1)
    whole, cropped, padded = (
        np.asarray(load_stories(tmp_path / "out", "train", s, fit=f)[0]["frames"][0]) for s, f in ((None, "crop"), (24, "crop"), (24, "pad"))
    )
    assert whole.shape == (24, 48, 3) and cropped.shape == padded.shape == (24, 24, 3)
    assert np.array_equal(cropped, whole[:, 12:36]), "the middle, not squeezed"
    assert not padded[:6].any() and not padded[18:].any() and padded[12].max() > 200
    with pytest.raises(ValueError, match="fit is 'squeeze'; it must be crop or pad"):
        load_stories(tmp_path / "out", fit="squeeze")


def test_windows_and_flips(copies, tmp_path):
    convert(Conversion("pororo"), copies("pororo"), tmp_path / "p", num_proc=1)
    whole, cut = load_stories(tmp_path / "p", "train", 16), load_stories(tmp_path / "p", "train", 16, window=2)
    assert cut["story_id"][:3] == [f"{whole[0]['story_id']}-from-{n}" for n in (0, 2, 3)] and len(cut) == 15
    assert cut[1]["sentences"] == whole[0]["sentences"][2:4] and cut[1]["characters"] == whole[0]["characters"][2:4]
    assert cut[2]["frames"][1].tobytes() == whole[0]["frames"][4].tobytes() and cut.features == whole.features
    with pytest.raises(ValueError, match="no story has 9 frames"):
        load_stories(tmp_path / "p", "train", window=9)
    convert(Conversion("folder"), copies("folder"), tmp_path / "f", num_proc=1)
    plain, flipped = load_stories(tmp_path / "f", "train", 16), load_stories(tmp_path / "f", "train", 16, flip=True)
    assert len(flipped) == len(plain), "every story says left"
    plain, flipped = load_stories(tmp_path / "p", "train", 16), load_stories(tmp_path / "p", "train", 16, flip=True)
    assert len(flipped) == 2 * len(plain) and flipped[5]["story_id"] == f"{plain[0]['story_id']}-mirrored"
    a, b = (np.asarray(stories[n]["frames"][0]) for stories, n in ((plain, 0), (flipped, 5)))
    assert np.array_equal(a[:, ::-1], b)


def test_a_dataset_of_the_hub(copies, tmp_path, monkeypatch):
    """The same code opens a folder with a card as it opens a name; only the network is not there."""
    from story_ldm.data import stories

    convert(Conversion("pororo"), copies("pororo"), tmp_path / "out", num_proc=1)
    local = stories.load_dataset
    monkeypatch.setattr(stories, "load_dataset", lambda name, *a, **k: local(str(tmp_path / "out") if name == "me/pororo" else name, *a, **k))
    monkeypatch.setattr(stories, "get_dataset_split_names", lambda name: ["train", "test"])
    expected = load_stories(tmp_path / "out", "train", 16)
    for limit, count in ((None, 5), (2, 2)):
        found = load_stories("me/pororo", "train", 16, limit=limit)
        assert len(found) == count and found.features == expected.features and found[1]["sentences"] == expected[1]["sentences"]
        assert found[1]["frames"][0].tobytes() == expected[1]["frames"][0].tobytes()
    assert held_out_split("me/pororo") == "test" and held_out_split(tmp_path / "out") == held_out_split("toonstories") == "validation"
    with pytest.raises(FileNotFoundError, match="no-one/nothing is no folder here, and cannot be read from the hub"):
        load_stories("no-one/nothing", "train")


def test_the_commands(copies, tmp_path, monkeypatch, capsys):
    def story_ldm(*words) -> int:
        monkeypatch.setattr(sys, "argv", ["story-ldm", *map(str, words)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code
        return 0

    out = tmp_path / "out"
    assert story_ldm("data", "convert", "pororo", copies("pororo"), "--out", out, "--num-proc", 1, "--text", "referential") == 0
    assert "train: 5 stories, 0 left out as broken" in capsys.readouterr().out
    assert story_ldm("data", "check", out) == 0 and "is whole: 0 faults" in capsys.readouterr().out
    assert story_ldm("data", "check", copies("clevr_sv"), "--source", "clevr_sv") == 1
    assert story_ldm("preview", out, "--size", 32, "--stories", 2, "--output", tmp_path / "sheet.png") == 0
    assert Image.open(tmp_path / "sheet.png").width > 5 * 32
    next((out / "data").glob("test-*")).unlink()
    assert story_ldm("data", "check", out) == 1
    says = story_ldm("data", "convert", "pororo", tmp_path / "nowhere", "--out", tmp_path / "x")
    assert says == f"story-ldm: {tmp_path / 'nowhere'} does not exist; give the folder of the copy"
    assert "text is 'referential'" in story_ldm("data", "convert", "vist", copies("vist"), "--out", tmp_path / "x", "--text", "referential")
    assert "no test-*.parquet" in story_ldm("preview", out)


TRAINED = ["pororo", "didemo"]  # with labels and without, of five frames and of three; the others by pytest -m slow


@pytest.mark.parametrize("source", [pytest.param(s, marks=() if s in TRAINED else pytest.mark.slow) for s in SOURCES])
def test_from_a_copy_to_a_score(source, copies, trainer, tmp_path):
    """Converted, trained for two steps, drawn and scored by the commands that the built-in world uses."""
    data = tmp_path / "data"
    convert(Conversion(source), copies(source), data, num_proc=1)
    common = ["--dataset", data, "--preset", "tiny", "--batch", 2, "--stories", 4, "--warmup", 1]
    trainer("train_autoencoder.py", *common, "--resolution", 16, "--flip", "--output", tmp_path / "vae")
    trainer("train_language_memory.py", *common, "--output", tmp_path / "text")
    made = ["--vae", tmp_path / "vae" / "vae", "--text", tmp_path / "text", "--cache", tmp_path / "cache", "--sample-every", 2, "--sample-stories", 1]
    trainer("train_story_ldm.py", *common, "--resolution", 16, "--flip", "--output", tmp_path / "ldm", *made)
    drawn = ["--model", tmp_path / "ldm" / "pipeline", "--dataset", data, "--out", tmp_path / "drawn", "--steps", 1, "--batch", 2]
    trainer("../evaluation/generate_stories.py", *drawn)
    evaluator = ROOT / "checkpoints" / "toon-evaluator"
    labelled = "characters" in load_stories(data, "train", None).features
    if labelled:
        trainer("train_evaluator.py", "--dataset", data, "--batch", 4, "--stories", 2, "--output", tmp_path / "evaluator", "--workers", 0)
        evaluator = tmp_path / "evaluator" / "evaluator"
    scorer = script("evaluation/score_stories.py")
    split = "test" if COUNTS[source][0][2] > 1 else "train"
    if split == "train":
        trainer("../evaluation/generate_stories.py", *[x if x != tmp_path / "drawn" else tmp_path / "train" for x in drawn], "--split", "train")
    where = tmp_path / ("drawn" if split == "test" else "train")
    wanted = scorer.Settings(
        *("tiny", str(where)), dataset=str(data), split=split, evaluator=evaluator, results=tmp_path / "results", resize=True, resamples=20
    )
    scorer.main(wanted)
    result = json.loads((tmp_path / "results" / "tiny.json").read_text())
    assert ("characters" in result["table"].get("all", {})) == labelled
    assert result["reference"]["frames"] == COUNTS[source][1] * result["reference"]["stories"] and "fid_evaluator" in result["distances"]


def test_stories_of_several_lengths_are_told(trainer, tmp_path):
    copy = own(tmp_path / "copy")
    lines = (copy / "train" / "stories.jsonl").read_text().splitlines()
    short = json.loads(lines[0])
    short |= {name: short[name][:2] for name in ("sentences", "characters", "backgrounds")}
    (copy / "train" / "walk 0" / "3.png").unlink()
    (copy / "train" / "stories.jsonl").write_text("\n".join([json.dumps(short), *lines[1:]]))
    convert(Conversion("folder"), copy, tmp_path / "data", num_proc=1)
    argv = ["train_autoencoder.py", "--dataset", tmp_path / "data", "--preset", "tiny", "--batch", 2, "--stories", 4]
    trainer.start(*argv, "--output", tmp_path / "a")
    assert trainer.wait() != [0] and "stories are of 2 to 3 frames, and a batch needs one length: give --length, 2 say" in trainer.log
    trainer(*argv, "--output", tmp_path / "b", "--length", 2)


@pytest.mark.slow
def test_ten_thousand_strips(tmp_path):
    """At 300 stories a second and more on two cores, in less than 1 GB with its processes."""
    import resource
    import subprocess
    import time

    copy = tmp_path / "copy"
    rng = np.random.default_rng(0)
    keys = [f"season/ep{n // 200}/{n % 200}" for n in range(10_000)]
    for key in keys:
        blobs = Image.fromarray(rng.integers(0, 255, (20, 4, 3), np.uint8)).resize((128, 640), Image.Resampling.BICUBIC)
        save(blobs, copy / f"{key}.png")
    np.save(copy / "descriptions.npy", {key: ["Pororo waves."] for key in keys})
    np.save(copy / "labels.npy", {key: np.eye(9, dtype=np.int64)[0] for key in keys})
    np.save(copy / "img_cache4.npy", np.array([f"{key}.png".encode() for key in keys[:-4]]))
    np.save(copy / "following_cache4.npy", np.array([[f"{keys[n + k]}.png".encode() for k in range(1, 5)] for n in range(len(keys) - 4)]))
    ids = np.empty(3, object)
    ids[:] = [list(range(9_000)), list(range(9_000, 9_500)), list(range(9_500, 9_996))]
    np.save(copy / "train_seen_unseen_ids.npy", ids)
    started = time.monotonic()
    argv = [sys.executable, "-m", "story_ldm.cli", "data", "convert", "pororo", copy, "--out", tmp_path / "out", "--num-proc", 2]
    subprocess.run(list(map(str, argv)), check=True, cwd=ROOT)
    speed = 9_996 / (time.monotonic() - started)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{speed:.0f} stories/s, {memory:.2f} GB at most in one of three processes")
    assert speed >= 300 and 3 * memory < 1


def test_the_library_of_sources_needs_no_torch():
    import subprocess

    code = "import sys, story_ldm.data.sources.convert, story_ldm.data.sources.pororo; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
