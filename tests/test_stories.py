"""`load_stories`, and the built-in world as a folder of Parquet.

pytest tests/test_stories.py
"""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from story_ldm import load_stories
from story_ldm.data import stories as loading
from story_ldm.data.toonstories import FEATURES, make_story, story_row
from story_ldm.data.toonstories.export import export_toonstories
from story_ldm.data.toonstories.world import ACTIONS, CHARACTER_NAMES, COLORS, MARKS, PLACES, PROPS, SPLITS


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def plain(stories, *without: str) -> list[dict]:
    """Rows with their pictures as bytes."""
    rows = [{k: v for k, v in row.items() if k not in without} for row in stories]
    return [row | {"frames": [(f.size, f.convert("RGB").tobytes()) for f in row["frames"]]} for row in rows if "frames" in row]


def expected(split: str, count: int, size: int, text: str = "referential", **settings) -> list[dict]:
    return plain(story_row(settings.pop("seed", 0), split, index, size, text, **settings) for index in range(count))


def test_load_stories_gives_the_story_form():
    stories = load_stories("toonstories", "test", 16, limit=3)
    assert isinstance(stories, datasets.Dataset) and stories.features == FEATURES
    assert list(stories.features) == ["story_id", "frames", "sentences", "characters", "backgrounds", "referential", "attributes"]
    for name, kind in {"frames": datasets.Image(), "sentences": datasets.Value("string"), "referential": datasets.Value("bool")}.items():
        assert stories.features[name] == datasets.List(kind)
    assert stories.features["characters"].feature.feature.names == list(CHARACTER_NAMES)
    assert stories.features["backgrounds"].feature.names == list(PLACES)
    assert stories.features["attributes"].feature["marks"].feature.names == list(MARKS)
    rows = [story_row(0, "test", index, 16) for index in range(3)]
    for row in rows:  # labels by name in a row, by number in a dataset
        for here in row["attributes"]:
            here["mentions"] = [FEATURES["attributes"].feature["mentions"].feature.str2int(how) for how in here["mentions"]]
    assert plain(stories) == plain(rows)
    assert stories[0]["frames"][0].size == (16, 16) and stories[0]["story_id"] == "toon-0-test-000000"
    assert plain(load_stories("toonstories", "test", 16, limit=3)) == plain(stories)
    assert plain(load_stories("toonstories", "test", 16, limit=3, num_proc=2)) == plain(stories)


def test_load_stories_full_and_referential_differ_in_words_only():
    one, other = (load_stories("toonstories", "test_long", 16, text, limit=2) for text in ("referential", "full"))
    words_only = ("sentences", "referential", "attributes")
    assert plain(one, *words_only) == plain(other, *words_only)
    for a, b in zip(one, other, strict=True):
        assert [here | {"mentions": 0} for here in a["attributes"]] == [here | {"mentions": 0} for here in b["attributes"]]
        assert a["sentences"] != b["sentences"] and len(b["sentences"]) == 50
        assert any(a["referential"]) and not any(b["referential"])
        allowed = [other.features["attributes"].feature["mentions"].feature.str2int(how) for how in ("introduction", "name")]
        assert all(how in allowed for here in b["attributes"] for how in here["mentions"])


def test_load_stories_settings():
    text_only = load_stories("toonstories", "test_long", pictures=False, limit=1000)
    assert len(text_only) == SPLITS["test_long"][2] == 100 and text_only.features == FEATURES
    assert text_only["frames"][:] == [[]] * 100 and text_only["sentences"][99] == make_story(0, "test_long", 99).sentences["referential"]
    long = load_stories("toonstories", "validation", pictures=False, limit=2, length=9, seed=3)
    assert long["sentences"][:] == [make_story(3, "validation", index, 9).sentences["referential"] for index in range(2)]
    mixed = load_stories("toonstories", "validation", pictures=False, limit=5, length=[3, 8], num_proc=2)
    assert mixed["sentences"][:] == [make_story(0, "validation", n, (3, 8)[n % 2]).sentences["referential"] for n in range(5)]
    default = load_stories("toonstories", pictures=False, limit=2)
    assert default["story_id"][:] == ["toon-0-train-000000", "toon-0-train-000001"] and len(default["sentences"][0]) == 5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"split": "dev"}, "split is 'dev'; ToonStories has train"),
        ({"text": "short"}, "text is 'short'; it must be one of full, referential"),
        ({"size": 7}, "size is 7"),
        ({"size": 0}, "size is 0"),
        ({"size": None}, "size is None"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": -1}, "limit is -1"),
        ({"length": 0}, "length is 0"),
        ({"length": (5, 0)}, "length is .5, 0."),
        ({"length": ()}, "length is .."),
    ],
    ids=str,
)
def test_load_stories_refuses(wrong, says):
    with pytest.raises(ValueError, match=says):
        load_stories("toonstories", **wrong)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    export_toonstories(out, size=32, splits=("train", "test_long"), limit=3)
    return out


@pytest.mark.parametrize("split", ["train", "test_long"])
def test_an_exported_folder_is_read_back(folder, split):
    assert sorted(f.name for f in (folder / "data").iterdir()) == ["test_long-00000-of-00001.parquet", "train-00000-of-00001.parquet"]
    made, read = load_stories("toonstories", split, 32, limit=3), load_stories(folder, split, 32)
    assert {name: read.features[name] for name in FEATURES} == made.features
    assert plain(read, "sentences_full") == plain(made)
    assert plain(load_stories(str(folder), split, 32, limit=2), "sentences_full") == plain(made)[:2]
    assert {frame.size for story in load_stories(folder, split, None)["frames"][:] for frame in story} == {(32, 32)}
    resized = load_stories(folder, split, 16)
    assert {frame.size for story in resized["frames"][:] for frame in story} == {(16, 16)}
    for row, other in zip(resized, load_stories("toonstories", split, 16, limit=3), strict=True):
        assert row["sentences"] == other["sentences"]
        a, b = (np.stack([np.asarray(f) for f in r["frames"]]).astype(int) for r in (row, other))
        assert np.abs(a - b).mean() < 8


@pytest.mark.parametrize("split", ["train", "test_long"])
def test_an_exported_folder_holds_the_full_form_too(folder, split):
    made, read = load_stories("toonstories", split, 32, "full", limit=3), load_stories(folder, split, 32, "full")
    assert list(read.features) and read["sentences"][:] == made["sentences"][:]
    labels = ("referential", "attributes")
    assert plain(read, *labels) == plain(made, *labels)


def test_an_exported_folder_has_a_card(folder):
    card = (folder / "README.md").read_text()
    config = card.split("---")[1]
    assert "path: data/train-*.parquet" in config and "path: data/test_long-*.parquet" in config and "test_compositional" not in config
    assert "| train | 3 | 5 |" in card and "| test_long | 3 | 50 |" in card
    assert all(word in card for word in (*CHARACTER_NAMES, *PLACES, *MARKS, *PROPS, *COLORS, *ACTIONS))


def test_the_second_world_as_a_folder(tmp_path):
    export_toonstories(tmp_path, size=16, splits=("train_wide",), limit=2, dataset="toonstories-2")
    made, read = load_stories("toonstories-2", "train_wide", 16, limit=2), load_stories(tmp_path, "train_wide", 16)
    assert read.features == made.features and read["attributes"][:] == made["attributes"][:] and read["sentences"][:] == made["sentences"][:]
    card = (tmp_path / "README.md").read_text()
    assert "# ToonStories 2 (version 2.0, seed 0, 16 px)" in card and "| train_wide | 2 | 5 |" in card and "penguin" in card
    with pytest.raises(ValueError, match="contains another export; this one would be 'ToonStories "):
        export_toonstories(tmp_path, size=16, splits=("train",), limit=2)


def test_export_keeps_the_files_that_are_there(tmp_path):
    def export():
        export_toonstories(tmp_path, size=16, splits=("train", "test"), limit=2)
        return sorted((tmp_path / "data").iterdir())

    test, train = export()
    before = train.read_bytes(), train.stat().st_mtime_ns
    test.unlink()
    assert export() == [test, train], "no file twice and none half written"
    assert (train.read_bytes(), train.stat().st_mtime_ns) == before
    with pytest.raises(ValueError, match="--split is 'dev'; ToonStories has train"):
        export_toonstories(tmp_path / "other", splits=("train", "dev"))
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_not_in_the_story_form(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-"):
        load_stories(tmp_path / "missing")
    picture = [Image.new("RGB", (8, 8), (255, 0, 0))]
    features = datasets.Features({"story_id": datasets.Value("string"), "frames": datasets.List(datasets.Image())})
    lacking = datasets.Dataset.from_dict({"story_id": ["a"], "frames": [picture]}, features)
    lacking.to_parquet(str(tmp_path / "train-0.parquet"))
    with pytest.raises(ValueError, match=r"train-0\.parquet: it lacks the column\(s\) sentences; a story has story_id, frames, sentences"):
        load_stories(tmp_path)
    with pytest.raises(FileNotFoundError, match="validation"):
        load_stories(tmp_path, "validation")
    lacking.add_column("sentences", [["A red picture."]]).to_parquet(str(tmp_path / "test-0.parquet"))
    stories = load_stories(tmp_path, "test", 8)  # no labels: they are there where known
    assert stories.column_names == ["story_id", "frames", "sentences"] and plain(stories)[0]["frames"] == [((8, 8), b"\xff\0\0" * 64)]
    assert stories["sentences"][0] == load_stories(tmp_path, "test", 8, "full")["sentences"][0] == ["A red picture."]


def test_the_full_form_of_a_folder_has_its_own_labels(folder):
    assert plain(load_stories(folder, "train", 32, "full")) == plain(load_stories("toonstories", "train", 32, "full", limit=3))


def test_a_folder_without_its_pictures(folder):
    assert load_stories(folder, "train", pictures=False)["frames"][:] == [[]] * 3


def test_every_picture_of_a_folder_gets_the_size(tmp_path):
    pictures = [[Image.new("RGB", (side, side))] for side in (8, 16)]
    rows = {"story_id": ["a", "b"], "frames": pictures, "sentences": [["A red picture."]] * 2}
    features = datasets.Features({name: FEATURES[name] for name in rows})
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "train-0.parquet"))
    assert {frame.size for story in load_stories(tmp_path, "train", 8)["frames"][:] for frame in story} == {(8, 8)}


@pytest.mark.parametrize("other", [{"seed": 1}, {"size": 24}, {"limit": 2}], ids=str)
def test_export_does_not_mix_two_exports(tmp_path, other):
    export_toonstories(tmp_path, **{"size": 16, "splits": ("train",), "limit": 1})
    with pytest.raises(ValueError):
        export_toonstories(tmp_path, **{"size": 16, "splits": ("train",), "limit": 1} | other)


@pytest.mark.parametrize(
    ("sentence", "mirrored"),
    [
        ("He turns Left.", False),
        ("She stands rightmost.", False),
        ("The leftmost of them waves.", False),
        ("He looks leftward.", False),
        ("It turns counterclockwise.", False),
        ("A cup stands to the right of him.", False),
        ("He eats the leftover cake, upright and bright.", True),
    ],
)
def test_no_story_is_mirrored_that_names_a_side(sentence, mirrored):
    """As a word of its own, in whichever of its sentences."""
    stories = load_stories("toonstories", "test", 16, limit=1)
    sentences = [["He waves.", *["It rains."] * (len(stories[0]["sentences"]) - 2), sentence]]
    stories = stories.remove_columns("sentences").add_column("sentences", sentences)
    flipped = loading.with_flips(stories)
    assert len(flipped) == 1 + mirrored
    if mirrored:
        assert np.array_equal(np.asarray(flipped[1]["frames"][0])[:, ::-1], np.asarray(stories[0]["frames"][0].convert("RGB")))


@pytest.mark.parametrize(
    ("splits", "held_out", "tested"),
    [
        (("train", "validation", "test"), "validation", "test"),
        (("train", "test"), "test", "test"),
        (("train", "validation"), "validation", "validation"),
        (("train",), "train", "train"),
    ],
)
def test_what_is_looked_at_and_what_is_measured(splits, held_out, tested, tmp_path):
    """While training validation stories, in the end test stories; of the splits that there are."""
    for split in splits:
        (tmp_path / f"{split}-00000-of-00001.parquet").touch()
    assert (loading.held_out_split(tmp_path), loading.tested_split(tmp_path)) == (held_out, tested)
    assert (loading.held_out_split("toonstories"), loading.tested_split("toonstories")) == ("validation", "test")
