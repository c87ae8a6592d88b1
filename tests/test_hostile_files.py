"""Files of others: nothing outside of their folder is read, nothing is executed, and what would take too long is refused before work."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from pyarrow import parquet

from story_ldm import load_stories
from story_ldm.data.archives import extracted
from story_ldm.data.pictures import FORMATS, open_picture
from story_ldm.data.safe_pickles import loads
from story_ldm.data.sources import StoryDataError, open_source
from story_ldm.data.sources.base import FrameChoice, of_type
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.metrics.generated import folder_frames

pytestmark = pytest.mark.usefixtures("own_cache")
FEATURES = Features(story_id=Value("string"), frames=List(Image()), sentences=List(Value("string")))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"


def picture_data(kind: str = "PNG") -> bytes:
    file = BytesIO()
    Pictures.new("RGB", (8, 8), (200, 10, 10)).save(file, kind)
    return file.getvalue()


def own_stories(folder: Path, picture: bytes | None = None) -> Path:
    """One story of one picture in the form `folder`."""
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "0.png").write_bytes(picture or picture_data())
    (folder / "stories.jsonl").write_text(json.dumps({"story": "a", "sentences": ["It rains."]}))
    return folder


def read_first(source: str, folder: Path) -> dict:
    opened = open_source(source, folder)
    split = next(iter(opened.splits))
    return opened.story(split, opened.splits[split][0], FrameChoice())


@pytest.fixture
def no_programs(monkeypatch):
    """Fails if PIL starts Ghostscript."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **settings: pytest.fail("Ghostscript was started"))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_formats_of_the_docs_open(kind):
    with open_picture(picture_data(kind)) as picture:
        assert picture.size == (8, 8) and picture.format == kind
    assert kind in (Path(__file__).parents[1] / "docs" / "reference" / "datasets.md").read_text()


def test_other_formats_are_refused_everywhere(no_programs, tmp_path):
    for data in (EPS, picture_data("PPM"), picture_data("ICO")):
        shutil.rmtree(tmp_path)
        with pytest.raises(StoryDataError, match=r"none of the formats PNG, JPEG"):
            read_first("folder", own_stories(tmp_path / "copy", data))
        (tmp_path / "data").mkdir()
        stories = [{"story_id": "a", "frames": [{"bytes": data, "path": None}], "sentences": ["It rains."]}]
        Dataset.from_list(stories, features=FEATURES).to_parquet(tmp_path / "data" / "test-0.parquet")
        for size in (None, 8, 16):
            with pytest.raises(ValueError, match="frame 0 of story a cannot be read: it is none of the formats"):
                load_stories(tmp_path, "test", size)
        with pytest.raises(ValueError, match="frame 0 of story a cannot be read: it is none of the formats"):
            folder_frames(tmp_path / "copy", Dataset.from_dict({"story_id": ["a"], "sentences": [["It rains."]]}), 8)


@pytest.mark.parametrize("path", ["/etc/hostname", "0.png", "https://example.org/0.png", "zip://0.png::a.zip"])
def test_a_path_in_place_of_a_picture_is_refused(path, tmp_path):
    table = {"story_id": ["a"], "frames": [[{"bytes": None, "path": path}]], "sentences": [["It rains."]]}
    features = Features(story_id=Value("string"), frames=List({"bytes": Value("binary"), "path": Value("string")}), sentences=FEATURES["sentences"])
    (tmp_path / "0.png").write_bytes(picture_data())
    parquet.write_table(Dataset.from_dict(table, features=features).cast(FEATURES).data.table, tmp_path / "test-0.parquet")
    for size in (None, 8):
        with pytest.raises(ValueError, match=rf"frame 0 of story a has no bytes, but the path '{path}'; a story holds the pictures themselves"):
            load_stories(tmp_path, "test", size)


LINKED = {  # a picture of each source, and what stands above it
    "pororo": "**/*.png",
    "flintstones": "video_frames_sampled/*.npy",
    "mugen": "frames/**/*.png",
    "clevr_sv": "images/*.png",
    "abstract_scenes": "RenderedScenes/*.png",
    "vist": "**/*.jpg",
    "didemo": "**/*.png",
    "folder": "**/*.png",
}


@pytest.mark.parametrize("source", LINKED)
def test_links_out_of_a_copy_are_refused(source, copies, tmp_path):
    """A link to each picture, and the folder of pictures as a link; a link within the copy is followed."""
    copy = shutil.copytree(copies(source), tmp_path / "copy")
    whole = read_first(source, copy)
    pictures = [file for file in copy.glob(LINKED[source]) if file.is_file()]
    assert pictures
    for n, file in enumerate(pictures):
        inside = file.rename(file.with_name(f"moved-{n}"))
        file.symlink_to(inside)
    assert read_first(source, copy) == whole
    for n, file in enumerate(pictures):
        file.unlink()
        file.symlink_to(file.with_name(f"moved-{n}").rename(tmp_path / f"outside-{n}"))
    with pytest.raises(StoryDataError, match=r"is a link to .*outside-.*, outside of"):
        read_first(source, copy)
    shutil.rmtree(copy)
    shutil.copytree(copies(source), copy)
    for name in {file.relative_to(copy).parts[0] for file in pictures}:  # whichever of them the first story reads
        (copy / name).rename(tmp_path / f"elsewhere-{name}")
        (copy / name).symlink_to(tmp_path / f"elsewhere-{name}")
    with pytest.raises(StoryDataError, match=r"is a link to .*elsewhere"):
        read_first(source, copy)


TABLES = {  # the tables of each source, in its folder
    "pororo": ("img_cache4.npy", "following_cache4.npy", "descriptions.npy", "labels.npy", "train_seen_unseen_ids.npy"),
    "flintstones": ("flintstones_annotations_v1-0.json", "train-val-test_split.json", "following_cache4.pkl", "labels.pkl", "labels_bg.pkl"),
    "mugen": ("train.json",),
    "clevr_sv": ("CLEVR_dict.npy",),
    "abstract_scenes": ("Scenes_10020.txt", "SimpleSentences", "SimpleSentences/SimpleSentences1_10020.txt"),
    "vist": ("train.story-in-sequence.json",),
    "didemo": ("train.json",),
    "folder": ("stories.jsonl", "metadata.jsonl", "metadata.csv", "characters.json"),
}


@pytest.mark.parametrize("source", TABLES)
def test_tables_that_are_links_out_of_a_copy_are_refused(source, copies, tmp_path):
    checked = 0
    for name in TABLES[source]:
        copy = shutil.copytree(copies(source), tmp_path / name)
        found = [copy / name] if (copy / name).exists() else list(copy.glob(f"*/{name}"))
        for file in found[:1]:
            file.symlink_to(file.rename(tmp_path / f"outside-{checked}"))
            checked += 1
            with pytest.raises(StoryDataError, match=r"is a link to .*outside-.*, outside of"):
                read_first(source, copy)
    assert checked


def test_a_csv_table_that_is_a_link_is_refused(tmp_path):
    copy = own_stories(tmp_path / "copy")
    (copy / "stories.jsonl").unlink()
    (tmp_path / "outside.csv").write_text("file_name,text\na/0.png,It rains.\n")
    (copy / "metadata.csv").symlink_to(tmp_path / "outside.csv")
    with pytest.raises(StoryDataError, match=r"metadata.csv is a link to .*outside.csv, outside of"):
        read_first("folder", copy)


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_a_snapshot_of_the_hub_opens(kind, tmp_path):
    """Its files are links to blobs beside the snapshots, as huggingface_hub stores them; links to another repository are refused."""
    repository = tmp_path / f"{kind}--ann--tales"
    plain = own_stories(tmp_path / "plain")
    snapshot, blobs = repository / "snapshots" / ("0" * 40), repository / "blobs"
    blobs.mkdir(parents=True)
    for n, name in enumerate(("stories.jsonl", "a/0.png")):
        shutil.copy(plain / name, blobs / f"{n}")
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blobs / f"{n}", (snapshot / name).parent))
    assert read_first("folder", snapshot) == read_first("folder", plain)
    for place in (tmp_path / f"{kind}--bob--tales" / "blobs" / "1", tmp_path / "outside.png"):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(blobs / "1", place)
        (snapshot / "a" / "0.png").unlink()
        (snapshot / "a" / "0.png").symlink_to(place)
        with pytest.raises(StoryDataError, match=r"is a link to .*, outside of"):
            read_first("folder", snapshot)
    named = shutil.copytree(snapshot, tmp_path / "ann" / "snapshots" / "1", symlinks=True)  # not the cache of the hub
    with pytest.raises(StoryDataError, match=r"is a link to .*, outside of"):
        read_first("folder", named)


def test_hdf5_stays_in_its_file(copies, tmp_path):
    h5py = pytest.importorskip("h5py")
    (whole,) = copies("arldm_h5").glob("*.h5")
    (tmp_path / "secret.txt").write_bytes(b"a secret that is long enough for every caption" * 9)

    def external(group, name, values):
        group.create_dataset(name, (len(values),), "S8", external=[(str(tmp_path / "secret.txt"), 0, 8 * len(values))])

    def virtual(group, name, values):
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:] = h5py.VirtualSource(str(whole), f"{group.name}/{name}", values.shape, values.dtype)
        group.create_virtual_dataset(name, layout)

    replacements = {
        "link to": lambda group, name, values: group.__setitem__(name, h5py.ExternalLink(str(whole), f"{group.name}/{name}")),
        "link to /val": lambda group, name, values: group.__setitem__(name, h5py.SoftLink(f"/val/{name}")),
        "stored in another": external,
        "is stored in another file": virtual,
    }
    for says, replace in replacements.items():
        shutil.copy(whole, tmp_path / "pororo.h5")
        with h5py.File(tmp_path / "pororo.h5", "r+") as h5:
            values = h5["train"]["text"]
            del h5["train"]["text"]
            replace(h5["train"], "text", values)
        with pytest.raises(StoryDataError, match=rf"text in /train .*{says}"):
            open_source("arldm_h5", tmp_path / "pororo.h5")
    shutil.copy(whole, tmp_path / "pororo.h5")
    with h5py.File(tmp_path / "pororo.h5", "r+") as h5:
        del h5["train"]
        h5["train"] = h5py.ExternalLink(str(whole), "/train")
    with pytest.raises(StoryDataError, match=r"train in / .*is a link to"):
        open_source("arldm_h5", tmp_path / "pororo.h5")


def test_pipes_are_not_waited_for(tmp_path):
    copy = own_stories(tmp_path / "copy")
    for name in ("a/0.png", "stories.jsonl"):
        shutil.rmtree(copy)
        own_stories(copy)
        (copy / name).unlink()
        os.mkfifo(copy / name)
        with pytest.raises(StoryDataError, match="is a pipe, a socket or a device"):
            read_first("folder", copy)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a pipe, a socket or a device"):
        open_picture(tmp_path / "pipe")


def test_repeated_and_nested_pickles_are_bounded():
    laughs: list = ["ha"]
    for _ in range(60):
        laughs = [laughs] * 10
    with pytest.raises(StoryDataError, match="describes more than 50,000,000 values"):
        loads(pickle.dumps(laughs))
    deep: list = []
    for _ in range(30):
        deep = [deep] * 2
    with pytest.raises(StoryDataError, match=r"is \[\[\[.*must be of type dict"):
        of_type(deep, dict, "a table")
    with pytest.raises(StoryDataError, match="not a complete pickle"):
        loads(b"]" * 100_000 + b"a" * 99_999 + b".")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_unpack_to_what_is_allowed(kind, copies, tmp_path):
    archive, size = tmp_path / f"a.{kind}", 3_000_000
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a.txt", bytes(size))
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as packed:
            info = tarfile.TarInfo("a.txt")
            info.size = size
            packed.addfile(info, BytesIO(bytes(size)))
    with pytest.raises(StoryDataError, match=r"has|have more than 0\.002 GB; if this is right, set --unpacked-gb"):
        extracted(archive, tmp_path / "work", 0.002)
    assert not list((tmp_path / "work").iterdir())
    assert (extracted(archive, tmp_path / "work", 0.0031) / "a.txt").stat().st_size == size
    with pytest.raises(StoryDataError, match="--unpacked-gb is 0; it must be positive"):
        extracted(archive, tmp_path / "work", 0)


def test_a_bomb_is_refused_by_default(tmp_path):
    """A sparse member of 40 GB in an archive of a few bytes."""
    header = tarfile.TarInfo("a.txt")
    header.size = 40_000_000_000
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(StoryDataError, match="have more than 1 GB"):
        convert(Conversion("folder"), tmp_path / "a.tar", tmp_path / "out", num_proc=1)
    assert not (tmp_path / "out" / "data").exists()
