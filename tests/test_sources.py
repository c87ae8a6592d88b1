"""Public datasets in their published layouts: conversion, the choice of frames and the order of stories."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from published_copies import COPIES, COUNTS, QUICK, arldm_h5, color_of, colors, picture, rows, save, save_json

from story_ldm import load_stories
from story_ldm.data.sources import SOURCES, FrameChoice, StoryDataError, open_source
from story_ldm.data.sources import convert as conversion
from story_ldm.data.sources.check import check
from story_ldm.data.sources.convert import Conversion, convert

pytestmark = pytest.mark.usefixtures("own_cache")


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
    with pytest.raises(StoryDataError, match=r"labels_bg.pkl\['label'\] has no entry for 's_01_e_01"):
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
    assert not whole and "train has 6 stories; 10,000 were published" in report


def test_abstract_scenes_splits_and_writers(copies):
    """The last tenth of the sets is test, the one before it validation; the second writer's text is used where the first wrote none."""
    source = open_source("abstract_scenes", copies("abstract_scenes"))
    assert source.splits == {"train": list(range(16)), "validation": [16, 17], "test": [18, 19]}
    story = source.story("train", 0, FrameChoice())
    assert story["sentences"][1] == "Jenny says 0. Jenny says 1. Jenny says 2." and len(story["sentences"]) == 10
    assert story["characters"] == [[0, 1] if m % 2 else [1] for m in range(10)]


def test_didemo_stories_are_the_first_three_frames(tmp_path):
    """In their order, of items that have more; those that have fewer are left out, and both are counted for the card."""
    items = [[[f"caption {m} of {n}", f"train/{n}/{m}.png"] for m in range(count)] for n, count in enumerate((5, 2, 3))]
    for pairs in items:
        for _, path in pairs:
            save(picture(path), tmp_path / path)
    save_json([{"desc_to_frame": pairs} for pairs in items], tmp_path / "train.json")
    source = open_source("didemo", tmp_path)
    stories = list(source.stories("train", FrameChoice()))
    assert [story["sentences"] for story in stories] == [[f"caption {m} of {n}" for m in range(3)] for n in (0, 2)]
    assert [story["shots"] for story in stories] == [[f"train/{n}/{m}.png" for m in range(3)] for n in (0, 2)]
    assert source.notes[0].startswith("1 items have fewer than 3 frames and are left out; of 1 items that have more")


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
    with pytest.raises(StoryDataError, match="--frame is 7, but shot x has 3 frames"):
        FrameChoice("7")("x", 3)


def test_stopped_and_run_again_and_in_two_processes(copies, tmp_path, monkeypatch):
    """The files equal those of an uninterrupted run byte by byte, and finished files are not written again."""
    monkeypatch.setattr(conversion, "STORIES_PER_FILE", 2)
    c = Conversion("pororo", frame="random", seed=3)
    convert(c, copies("pororo"), tmp_path / "whole", num_proc=1)
    files = sorted((tmp_path / "whole").rglob("*.parquet"))
    assert len(files) == 3 + 1 + 2
    write, done = conversion.write_file, []

    def stopping(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return write(job)

    monkeypatch.setattr(conversion, "write_file", stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(c, copies("pororo"), tmp_path / "stopped", num_proc=1)
    monkeypatch.setattr(conversion, "write_file", write)
    assert "not finished" in check(tmp_path / "stopped")[1] and "are missing" in check(tmp_path / "stopped")[1]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "stopped").rglob("*.parquet")}
    assert len(before) == 2
    convert(c, copies("pororo"), tmp_path / "stopped", num_proc=2)
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    for file in (*files, tmp_path / "whole" / "conversion.json", tmp_path / "whole" / "README.md"):
        assert (tmp_path / "stopped" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()
    for other in (Conversion("pororo"), Conversion("vist"), Conversion("pororo", frame="random", seed=4)):
        with pytest.raises(StoryDataError, match="belongs to another conversion"):
            convert(other, copies(other.source), tmp_path / "stopped", num_proc=1)


def test_files_of_tables_that_changed_are_made_anew(tmp_path):
    copy = COPIES["pororo"](tmp_path / "copy")
    convert(Conversion("pororo"), copy, tmp_path / "out", num_proc=1)
    labels = np.load(copy / "labels.npy", allow_pickle=True).item()
    np.save(copy / "labels.npy", {key: np.eye(9, dtype=np.int64)[8] for key in labels})
    convert(Conversion("pororo"), copy, tmp_path / "out", num_proc=1)
    assert rows(tmp_path / "out")[0]["characters"] == [[8]] * 5 and check(tmp_path / "out", partial=True)[0]


def test_stories_left_out_are_looked_at_again(tmp_path):
    copy = COPIES["vist"](tmp_path / "copy")
    photo, data = copy / "images" / "train12.jpg", (copy / "images" / "train12.jpg").read_bytes()
    photo.unlink()
    assert len(convert(Conversion("vist"), copy, tmp_path / "out", skip_broken=True, num_proc=1)["splits"]["train"]["broken"]) == 1
    file = next((tmp_path / "out" / "data").glob("train-*"))
    before = file.stat().st_mtime_ns
    convert(Conversion("vist"), copy, tmp_path / "out", skip_broken=True, num_proc=1)
    assert file.stat().st_mtime_ns == before, "nothing has changed"
    with pytest.raises(StoryDataError, match=r"train12\.jpg, a photo of story train-1, is missing"):
        convert(Conversion("vist"), copy, tmp_path / "out", num_proc=1)
    photo.write_bytes(data)
    for again in (tmp_path / "out", tmp_path / "new"):
        convert(Conversion("vist"), copy, again, skip_broken=True, num_proc=1)
    assert rows(tmp_path / "out") == rows(tmp_path / "new") and len(rows(tmp_path / "out")) == 5


def test_overlaps_are_reported_and_dropped(copies, tmp_path):
    record = convert(Conversion("pororo"), copies("pororo"), tmp_path / "a", num_proc=1)
    assert record["overlaps"] == {"train/validation": 4, "train/test": 2, "validation/test": 2}
    assert "4 stories of train share a shot with validation" in (tmp_path / "a" / "README.md").read_text()
    record = convert(Conversion("pororo", drop_overlaps=True), copies("pororo"), tmp_path / "b", splits=("train", "test"), num_proc=1)
    assert {split: (part["stories"], part["dropped_overlaps"]) for split, part in record["splits"].items()} == {"train": (3, 2), "test": (3, 0)}
    shots = [{shot.partition("#")[0] for row in rows(tmp_path / "b", split) for shot in row["shots"]} for split in ("train", "test")]
    assert not shots[0] & shots[1]
    assert convert(Conversion("vist"), copies("vist"), tmp_path / "c", num_proc=1)["overlaps"] == {"train/test": 1}
