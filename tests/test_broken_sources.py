"""Copies of public datasets that are broken on purpose: each fault is named, or counted and listed.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_copies import COPIES, QUICK, Hostile, picture, save
from pyarrow import parquet

from story_ldm.data.sources import SOURCES, StoryDataError, open_source
from story_ldm.data.sources import convert as conversion
from story_ldm.data.sources.check import check
from story_ldm.data.sources.convert import Conversion, convert

pytestmark = pytest.mark.usefixtures("own_cache")


def edit(file: str, change):
    """Rewrites a pickled table of a copy."""

    def apply(copy: Path) -> None:
        if file.endswith(".pkl"):
            (copy / file).write_bytes(pickle.dumps(change(pickle.loads((copy / file).read_bytes()))))
        else:
            value = np.load(copy / file, allow_pickle=True)
            np.save(copy / file, change(value.item() if value.shape == () else value))

    return apply


def edit_json(file: str, change, folder: str = ""):
    def apply(copy: Path) -> None:
        (copy / folder).mkdir(exist_ok=True)
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


def edit_lines(field: str, value):
    def apply(copy: Path) -> None:
        first, *rest = (copy / "train" / "stories.jsonl").read_text().splitlines()
        (copy / "train" / "stories.jsonl").write_text("\n".join([json.dumps(json.loads(first) | {field: value}), *rest]))

    return apply


def text_as(made):
    """Replaces the texts of an h5 file."""

    def apply(copy: Path) -> None:
        import h5py

        with h5py.File(copy / "pororo.h5", "a") as h5:
            del h5["train/text"]
            made(h5["train"])

    return apply


def unknown_sequence(copy: Path) -> None:
    """Changes one byte that makes HDF5 crash on reading."""
    data = bytearray((copy / "pororo.h5").read_bytes())
    at = data.index(bytes.fromhex("190000001000000010000000"))
    data[at + 1] = 3
    (copy / "pororo.h5").write_bytes(data)


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


# source, damage to the copy, expected message, number of train stories that --skip-broken leaves out
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
        *(r"descriptions\.npy has no entry for 'Pororo_ENGLISH1_1/Pororo_ENGLISH1_1_ep1/1'", 1),
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
    "clip not annotated": ("flintstones", edit_json("flintstones_annotations_v1-0.json", lambda rows: rows[1:]), "has no entry for 's_01_e_01", 1),
    "path out of the folder": (
        *("didemo", edit_json("train.json", lambda rows: rows[1]["desc_to_frame"][0].__setitem__(1, "../../secret.png"))),
        *(r"'\.\./\.\./secret\.png' leads out of", 1),
    ),
    "too few clips alike": (
        *("mugen", edit_json("train.json", lambda t: t["data"][0]["video"].__setitem__("world_theme_n", 5))),
        *("train has 0 clips of Tony in Sand besides .*; a story needs 3", 1),
    ),
    "vector of the wrong length": (
        *("clevr_sv", edit("CLEVR_dict.npy", lambda t: with_value(t, "CLEVR_new_000101_2.png", np.zeros(70)))),
        *(r"CLEVR_dict\.npy\['CLEVR_new_000101_2\.png'\] has 70 values; it must be 75 numbers", 1),
    ),
    "label of a huge number": (
        *("flintstones", edit("labels.pkl", lambda t: with_value(t, CLIP, [10**400] * 7))),
        *(r"labels\.pkl\['s_01.* 7 zeros and ones", 2),
    ),
    "lone surrogate": (
        *("vist", edit_json("train.story-in-sequence.json", lambda t: t["annotations"][0][0].__setitem__("original_text", "\udc80 walks"))),
        *(r"sentence 4 of story train-5 is '.*udc80 walks'; it contains a lone surrogate", 1),
    ),
    "lone surrogate in a file name": (
        *("didemo", edit_json("train.json", lambda rows: rows[1]["desc_to_frame"][0].__setitem__(1, "\ud800.png"))),
        *("UnicodeEncodeError", 1),
    ),
    "photo with a long name": (
        *("vist", edit_json("train.story-in-sequence.json", lambda t: t["annotations"][0][0].__setitem__("photo_flickr_id", "9" * 300))),
        *("photo of story train-5.*File name too long|story train-5 of train cannot be read .*File name too long", 1),
    ),
    "frame with a long name": (
        *("didemo", edit_json("train.json", lambda rows: rows[1]["desc_to_frame"][0].__setitem__(1, f"copy/{'9' * 300}.png"), "copy")),
        *("File name too long", 1),
    ),
    "clip with a long name": (
        *("mugen", edit_json("train.json", lambda t: t["data"][0]["video"].__setitem__("json_file", "9" * 300))),
        *("File name too long", 4),
    ),
    "story with a long name": ("folder", edit_lines("story", "9" * 300), "File name too long", 1),
    "characters that are a number": ("folder", edit_lines("characters", 5), "characters of story walk 0, .* is 5; it must be of type list", 1),
    "unknown name": (
        *("folder", lambda c: (c / "characters.json").write_text('{"Mia": "she"}')),
        *("characters of story walk 0 contain 'Rex'; known names: Mia", 4),
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
    with pytest.raises(StoryDataError, match=says):
        convert(Conversion(source), copy, tmp_path / "out", num_proc=1)
    assert not Path("/tmp/story_ldm_was_here").exists()


WHOLE_FAULTS = {
    "hostile pickle": ("pororo", lambda c: np.save(c / "labels.npy", Hostile()), r"labels\.npy is refused: it asks for (posix|nt)\.system"),
    "hostile pkl": ("flintstones", lambda c: (c / "labels.pkl").write_bytes(pickle.dumps(Hostile())), r"labels\.pkl is refused: .*system"),
    "two splits of three": ("pororo", ids(lambda v: v[:2]), r"is not a split file: it must contain 3 lists of ids \(train, validation, test\)"),
    "ids that are words": ("pororo", ids(lambda v: np.array([["a"], ["b"], ["c"]])), "the ids of train must be integers"),
    "a story twice": ("pororo", ids(lambda v: np.array([[1, 1], [2, 3], [4, 5]])), "lists 1 twice in train"),
    "no split file": ("pororo", lambda c: (c / "train_seen_unseen_ids.npy").unlink(), "neither train_seen_unseen_ids.npy nor train_test_ids.npy"),
    "tables of two sizes": ("pororo", edit("img_cache4.npy", lambda v: v[:5]), r"img_cache4\.npy has 5 entries and following_cache4\.npy 10"),
    "split without val": ("flintstones", edit_json("train-val-test_split.json", lambda t: t.pop("val") and t), "has no field 'val'"),
    "no annotations": ("flintstones", lambda c: (c / "flintstones_annotations_v1-0.json").unlink(), "annotations_v1-0.json is missing"),
    "not JSON": ("vist", lambda c: (c / "val.story-in-sequence.json").write_text("{"), "val.story-in-sequence.json is not JSON"),
    "unknown hero": ("mugen", edit_json("train.json", lambda t: t["data"][0]["video"].__setitem__("alien_name", "Bob")), "must be one of Tony, Lisa"),
    "keys of another data set": ("clevr_sv", edit("CLEVR_dict.npy", lambda t: {"a.png": np.zeros(75)}), "has the key 'a.png'"),
    "a scene too many": (
        *("abstract_scenes", lambda c: (c / "SimpleSentences" / "SimpleSentences2_10020.txt").write_text("200\t0\tMike runs.\n")),
        "describes scene 200; there are 200",
    ),
    "scenes cut short": ("abstract_scenes", lambda c: cut(c, "Scenes_10020.txt"), r"Scenes_10020\.txt"),
    "no h5 file": ("arldm_h5", lambda c: cut(c, "pororo.h5"), "cannot be opened|cannot be read"),
    "text that is a scalar": ("arldm_h5", text_as(lambda group: group.create_dataset("text", data=3)), "text of group train .* one entry per story"),
    "text that is a group": ("arldm_h5", text_as(lambda group: group.create_group("text")), "text of group train .* one entry per story"),
    "sequence of an unknown kind": ("arldm_h5", unknown_sequence, "image. of group .* is of type object; it must be encoded pictures"),
    "following that is nothing": (
        *("flintstones", edit("following_cache4.pkl", lambda t: with_value(t, CLIP, None))),
        r"following_cache4\.pkl\['s_01.*'\] is None; it must be of type list",
    ),
    "a class beyond all": (
        *("flintstones", lambda c: (c / "labels_bg.pkl").write_bytes(pickle.dumps({"label": {CLIP: 10**10}}))),
        "labels_bg.pkl has the classes 10000000000 to 10000000000; they must be from 0 to",
    ),
    "no stories": ("folder", lambda c: [f.unlink() for f in c.rglob("*.jsonl")], "has no stories.jsonl or metadata.jsonl"),
    "not there": ("didemo", lambda c: [f.unlink() for f in c.glob("*.json")], "has no train.json, val.json or test.json"),
}


@pytest.mark.parametrize("fault", WHOLE_FAULTS)
def test_an_unusable_copy_is_refused(fault, tmp_path):
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
    assert "is not listed in conversion.json" in check(tmp_path)[1]
    with pytest.raises(StoryDataError, match="it must be a folder in the story form"):
        check(tmp_path / "nothing")


RECORDS = {
    "not JSON": "{",
    "a list": "[]",
    "null splits": '{"splits": null, "published": {}, "overlaps": {}, "notes": []}',
    "words for counts": '{"splits": {}, "published": {"train": "many"}, "overlaps": {}, "notes": []}',
    "notes that are numbers": '{"splits": {}, "published": {}, "overlaps": {}, "notes": [3]}',
}


@pytest.mark.parametrize("record", RECORDS)
def test_a_broken_record_is_a_fault(record, copies, tmp_path):
    convert(Conversion("pororo"), copies("pororo"), tmp_path, num_proc=1)
    (tmp_path / "conversion.json").write_text(RECORDS[record])
    whole, report = check(tmp_path)
    assert not whole and "conversion.json" in report and "| train | 5 | 25 | 0 |" in report


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"characters": [["Mia"]]}, "its characters are .*; they must be ClassLabel"),
        ({"frames": None}, "story a has no frames"),
        ({"frames": [None]}, "frame 0 of story a has no bytes"),
        ({"sentences": [None]}, "story a has no text in one of its sentences"),
        ({"sentences": 5}, "its columns story_id and sentences are string and int64; they must be a string and a list of strings"),
    ],
    ids=str,
)
def test_rows_of_others_that_are_not_in_the_story_form(change, says, tmp_path):
    from datasets import Features, Image, List, Value

    save(picture("a"), tmp_path / "a.png")
    row = {"story_id": "a", "frames": [{"bytes": (tmp_path / "a.png").read_bytes(), "path": None}], "sentences": ["One."]} | change
    schema = Features({"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))}).arrow_schema
    if row["sentences"] == 5 or "characters" in row:
        schema = None
    parquet.write_table(pa.Table.from_pylist([row], schema), tmp_path / "train-00000-of-00001.parquet")
    whole, report = check(tmp_path)
    assert not whole and re.search(says, report), report


@given(st.data())
@settings(QUICK, max_examples=25)
@pytest.mark.parametrize("source", SOURCES)
def test_damaged_tables_end_in_the_projects_own_error(source, copies, data):
    """Bytes of the tables changed at random: a story, or a StoryDataError."""
    copy = copies(source)
    tables = sorted(f for f in copy.rglob("*") if f.suffix in (".npy", ".pkl", ".json", ".jsonl", ".txt", ".h5") and "video_frames" not in str(f))
    file = data.draw(st.sampled_from(tables))
    whole = file.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        file.unlink()  # HDF5 knows a file that is open by its inode
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
                        conversion.converted_row(source_now, split, key, Conversion(source))
                    except StoryDataError:
                        pass
    finally:
        file.unlink(missing_ok=True)
        file.write_bytes(whole)


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # with lone surrogates, which JSON can hold
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
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
