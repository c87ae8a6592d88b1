"""Pictures and tables as phones, scanners, macOS, Windows and other people's scripts write them: converted, loaded and scored as they are meant.

Over 350 lines: one kind of file after the other.
"""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Features, List, Value
from PIL import Image
from published_copies import rows, save
from pyarrow import parquet

from story_ldm import load_stories
from story_ldm.data.frames import uint8_frames
from story_ldm.data.pictures import as_rgb
from story_ldm.data.sources import StoryDataError, open_source
from story_ldm.data.sources.check import check
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.metrics.generated import folder_frames

pytestmark = pytest.mark.usefixtures("own_cache")
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def plain(n: int = 0) -> Image.Image:
    return Image.new("RGB", (16, 16), (n, 100, 200))


def own(folder: Path, *stories: str, frames: int = 2, listed: bool = True) -> Path:
    """A copy with stories.jsonl, unless not `listed`; frame m of each story is plain(m)."""
    for story in stories:
        for m in range(frames):
            save(plain(m), folder / story / f"{m}.png")
    if listed:
        lines = [json.dumps({"story": story, "sentences": [f"Mia sees {m}." for m in range(frames)]}) for story in stories]
        (folder / "stories.jsonl").write_text("\n".join(lines))
    return folder


def converted(folder: Path, out: Path, **settings) -> list[dict]:
    convert(Conversion("folder", **settings), folder, out, num_proc=1)
    whole, report = check(out)
    assert whole, report
    return rows(out)


def near(color, expected) -> bool:
    return max(abs(a - b) for a, b in zip(color, expected, strict=True)) < 4  # resizing rounds


def numbers(row: dict) -> list[int]:
    return [as_rgb(Image.open(io.BytesIO(frame["bytes"]))).getpixel((8, 8))[0] for frame in row["frames"]]


# --- pictures ----------------------------------------------------------------------------------------------------------------------------


def turned() -> tuple[Image.Image, dict]:
    """Lies on its side, as phones store it; upright, its upper half is red and its lower one blue."""
    upright = Image.new("RGB", (16, 16), RED)
    upright.paste(BLUE, (0, 8, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    return upright.transpose(Image.Transpose.ROTATE_90), {"exif": exif}


def half_clear() -> tuple[Image.Image, dict]:
    """Upper half red and opaque; lower half transparent, over hidden green."""
    values = np.zeros((16, 16, 4), np.uint8)
    values[:8], values[8:] = (*RED, 255), (*GREEN, 0)
    return Image.fromarray(values), {}


def palette() -> tuple[Image.Image, dict]:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([*GREEN, *RED])
    picture.paste(0, (0, 8, 16, 16))
    return picture, {"transparency": 0}


def sixteen_bits() -> tuple[Image.Image, dict]:
    values = np.full((16, 16), 128 * 257, np.uint16)
    values[8:] = 65535
    return Image.fromarray(values), {}


GREY = (128, 128, 128)
CASES = {
    "turned": (turned, RED, BLUE),
    "half clear": (half_clear, RED, WHITE),
    "palette": (palette, RED, WHITE),
    "16 bits": (sixteen_bits, GREY, WHITE),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [None, 16, 8])
def test_pictures_are_converted_as_they_are_seen(tmp_path, name, size):
    make, above, below = CASES[name]
    picture, how = make()
    copy = own(tmp_path / "in", "a")
    for m in range(2):
        picture.save(copy / "a" / f"{m}.png", **how)
    row = converted(copy, tmp_path / "out", size=size)[0]
    for frame in row["frames"]:
        raw = Image.open(io.BytesIO(frame["bytes"]))
        assert raw.mode == "RGB" and not raw.getexif(), "other programs see the same"
        side = size or 16
        assert near(raw.getpixel((side // 2, 1)), above) and near(raw.getpixel((side // 2, side - 2)), below)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [None, 16, 8])
def test_pictures_of_parquet_are_loaded_and_scored_as_they_are_seen(tmp_path, name, size, capsys):
    make, above, below = CASES[name]
    picture, how = make()
    picture.save(buffer := io.BytesIO(), "PNG", **how)
    table = {"story_id": ["a"], "frames": [[{"bytes": buffer.getvalue(), "path": None}]], "sentences": [["Mia waves."]]}
    parquet.write_table(pa.table(table), tmp_path / "train-00000-of-00001.parquet")
    stories = load_stories(tmp_path, "train", size)
    frame = uint8_frames(stories[0]["frames"])[0]
    assert near(frame[:, 1, 4].tolist(), above) and near(frame[:, -2, 4].tolist(), below)
    assert ("laid on white" in capsys.readouterr().err) == (size is not None and name in ("half clear", "palette"))
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    picture.save(tmp_path / "pictures" / "a" / "0.PNG", "PNG", **how)
    assert near(folder_frames(tmp_path / "pictures", stories, 16)[0, :, -2, 4].tolist(), below)


def test_the_background_is_a_choice(tmp_path):
    copy = own(tmp_path / "in", "a", frames=1)
    half_clear()[0].save(copy / "a" / "0.png")
    row = converted(copy, tmp_path / "out", background="#0000ff")[0]
    assert Image.open(io.BytesIO(row["frames"][0]["bytes"])).getpixel((4, 12)) == BLUE
    assert "1 frames were partly transparent; they are laid on #0000ff" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(StoryDataError, match="--background is 'whit'; it must be a colour"):
        Conversion("folder", background="whit")
    with pytest.raises(ValueError, match="background is 'whit'"):
        load_stories(tmp_path / "out", background="whit")


def test_pixels_of_32_bits_are_refused(tmp_path):
    copy = own(tmp_path / "in", "a", frames=1)
    (copy / "a" / "0.png").unlink()
    Image.new("F", (16, 16), 0.5).save(copy / "a" / "0.tiff")
    with pytest.raises(StoryDataError, match=r"0.tiff cannot be decoded \(its pixels are floating-point numbers, whose white is unknown"):
        convert(Conversion("folder"), copy, tmp_path / "out", num_proc=1)
    assert not check(copy, "folder")[0]


@pytest.mark.parametrize("suffix", [".gif", ".avif", ".bmp", ".tif", ".TIFF", ".JPG", ".webp", ".PNG", ".JPeG"])
def test_picture_formats(tmp_path, suffix):
    copy = own(tmp_path / "in", "a", frames=1)
    (copy / "a" / "0.png").unlink()
    plain(50).save(copy / "a" / f"0{suffix}")
    assert abs(numbers(converted(copy, tmp_path / "out")[0])[0] - 50) < 8
    reference = load_stories(tmp_path / "out", "train", 16)
    assert abs(int(folder_frames(copy, reference, 16)[0, 0, 8, 8]) - 50) < 8


# --- names and tables --------------------------------------------------------------------------------------------------------------------


def test_what_macos_and_windows_leave_behind(tmp_path):
    copy = own(tmp_path / "in", "a", "b")
    expected = converted(copy, tmp_path / "plain")
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", "._stories.jsonl", ".hidden.png"):
        for folder in (copy, copy / "a", copy / "b"):
            (folder / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    assert converted(copy, tmp_path / "out") == expected
    assert check(copy, "folder")[0] and folder_frames(copy, load_stories(tmp_path / "out", "train", 16), 16).shape[0] == 4
    (tmp_path / "out" / "data" / "._train-00000-of-00001.parquet").write_bytes(b"\0\5\26\7")
    assert check(tmp_path / "out")[0] and len(load_stories(tmp_path / "out", "train", 16)) == 2
    archive = tmp_path / "in.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in copy.rglob("*"):
            packed.write(file, Path("My stories") / file.relative_to(copy))
            packed.writestr(f"__MACOSX/My stories/{file.relative_to(copy).parent}/._{file.name}", b"\0\5\26\7")
    assert converted(archive, tmp_path / "zip") == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encodings_of_windows(tmp_path, encoding, line_end):
    copy = own(tmp_path / "in", "a", "b")
    text = (copy / "stories.jsonl").read_text().replace("Mia", "Zoë").replace("\n", line_end)
    (copy / "stories.jsonl").write_bytes(text.encode(encoding))
    (copy / "characters.json").write_text("{}", encoding="utf-8-sig")
    assert [row["sentences"][0] for row in converted(copy, tmp_path / "out")] == ["Zoë sees 0."] * 2


def test_a_caption_may_hold_any_line_separator(tmp_path):
    copy = own(tmp_path / "in", "a", frames=1)
    (copy / "stories.jsonl").write_text('{"story": "a", "sentences": ["Mia\u2028sits\u0085down."]}', encoding="utf-8")
    assert converted(copy, tmp_path / "out")[0]["sentences"] == ["Mia sits down."]


def test_names_in_another_unicode_form(tmp_path):
    name = "caf\u00e9"
    copy = own(tmp_path / "in", unicodedata.normalize("NFD", name), listed=False)
    (copy / "stories.jsonl").write_text(json.dumps({"story": name, "sentences": ["Mia sits.", "Mia waves."]}))
    assert converted(copy, tmp_path / "out")[0]["story_id"] == name
    assert len(folder_frames(copy, load_stories(tmp_path / "out", "train", 16), 16)) == 2


def test_two_stories_never_become_one(tmp_path):
    copy = own(tmp_path / "in", "My story", "My_story")
    with pytest.raises(StoryDataError, match="'My story' and 'My_story' of train would have the same story_id, 'My_story'; rename one"):
        convert(Conversion("folder"), copy, tmp_path / "out", num_proc=1)
    assert not (tmp_path / "out").exists()
    with pytest.raises(StoryDataError, match="would have the same story_id"):
        check(copy, "folder")


LINES = [{"file_name": f"a/{m}.png", "text": f"Mia, alone, sees {m}.", "characters": ["Mia", "Rex"], "background": "park"} for m in range(12)]


def write_csv(file: Path, lines: list[dict], delimiter: str = ",") -> None:
    import csv

    with file.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, lines[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows({**line, "characters": ", ".join(line["characters"])} for line in lines)


FORMS = {
    "metadata.jsonl": lambda file, lines: file.write_text("\n".join(map(json.dumps, lines))),
    "metadata.csv": write_csv,
    "metadata.csv of Excel": lambda file, lines: write_csv(file, lines, ";"),
    "metadata.parquet": lambda file, lines: parquet.write_table(pa.Table.from_pylist(lines), file),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_imagefolder_tables(tmp_path, form, separator):
    """In each form, from Windows too, and in the order of sorted(glob(…)), where 10 comes before 2."""
    copy = own(tmp_path / "in", "a", frames=12, listed=False)
    lines = sorted(({**line, "file_name": line["file_name"].replace("/", separator)} for line in LINES), key=lambda line: line["file_name"])
    FORMS[form](copy / form.split()[0], lines)
    row = converted(copy, tmp_path / "out")[0]
    assert row["story_id"] == "a" and numbers(row) == list(range(12)) and row["sentences"] == [line["text"] for line in LINES]
    assert row["characters"] == [[0, 1]] * 12 and row["backgrounds"] == [0] * 12


def test_positions_and_a_chosen_order_of_lines_hold(tmp_path):
    for name, lines, expected in (
        ("positions", [{**line, "position": -m} for m, line in enumerate(LINES)], [*reversed(range(12))]),
        ("lines", [LINES[m] for m in (2, 1, 11)], [2, 1, 11]),
    ):
        copy = own(tmp_path / name, "a", frames=12, listed=False)
        FORMS["metadata.csv"](copy / "metadata.csv", lines)
        assert numbers(converted(copy, tmp_path / f"{name} out")[0]) == expected


def test_caption_files_of_kohya(tmp_path):
    copy = own(tmp_path / "in", "10_a", "2_b", frames=11, listed=False)
    for m in range(11):
        (copy / "10_a" / f"{m}.txt").write_text(f"Mia sees {m}.\n", encoding="utf-8-sig")
        (copy / "2_b" / f"{m}.caption").write_text(f"Rex sees {m}.")
    first, second = converted(copy, tmp_path / "out")
    assert (first["story_id"], second["story_id"]) == ("2_b", "10_a")
    assert numbers(second) == list(range(11)) and second["sentences"][10] == "Mia sees 10."
    (copy / "2_b" / "3.caption").unlink()
    with pytest.raises(StoryDataError, match=r"2_b has 11 pictures and 10 caption files: 3.png has none"):
        open_source("folder", copy)


# --- Parquet made by hand ----------------------------------------------------------------------------------------------------------------

BYTES = (lambda file: (plain().save(file, "PNG"), file.getvalue())[1])(io.BytesIO())
FRAME, WHOLE = (
    {"bytes": BYTES, "path": None},
    {"story_id": "a", "frames": [{"bytes": BYTES, "path": None}] * 2, "sentences": ["Mia sits.", "She waves."]},
)
FAULTS = {
    "uneven frames": ({"frames": [FRAME]}, "story b has 2 sentences and 1 frames"),
    "no frames": ({"frames": None}, "story b has no frames"),
    "null frame": ({"frames": [FRAME, None]}, "frame 1 of story b has no bytes"),
    "no bytes": ({"frames": [FRAME, {"bytes": None, "path": "/a.png"}]}, "frame 1 of story b has no bytes"),
    "no sentences": ({"sentences": []}, "story b has no sentence"),
    "null sentences": ({"sentences": None}, "story b has no sentence"),
    "null sentence": ({"sentences": ["Mia sits.", None]}, "story b"),
    "empty sentence": ({"sentences": ["Mia sits.", " "]}, "sentence 1 of story b is ' '"),
    "uneven flags": ({"referential": [True]}, "story b has 2 sentences and 1 referential"),
    "null flags": ({"referential": None}, "story b has no referential"),
    "null id": ({"story_id": None}, "story_id"),
    "same id": ({"story_id": "a"}, "story a occurs twice"),
    "no picture": ({"frames": [FRAME, {"bytes": b"no picture", "path": None}]}, "frame 1 of story b cannot be"),
}
COLUMNS = {
    "numbers as frames": ("frames", [[1, 2]], "column frames is list<"),
    "bytes as frames": ("frames", [[BYTES, BYTES]], "column frames is list<"),
    "one picture as frames": ("frames", [FRAME], "column frames is struct<"),
    "text as sentences": ("sentences", ["Mia sits."], "columns story_id and sentences are string and string"),
    "names as characters": ("characters", [[["Mia"], ["Mia"]]], "its characters are"),
    "numbers as ids": ("story_id", [1], "columns story_id and sentences are int64"),
}


def write(folder: Path, *rows: dict) -> Path:
    parquet.write_table(pa.Table.from_pylist(list(rows)), folder / "train-00000-of-00001.parquet")
    return folder


def test_plain_structs_are_pictures(tmp_path):
    write(tmp_path, WHOLE, {**WHOLE, "story_id": "b"})
    for size in (None, 16, 8):
        stories = load_stories(tmp_path, "train", size)
        assert [frame.size for frame in stories[1]["frames"]] == [(size or 16,) * 2] * 2
    assert check(tmp_path)[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_checks_and_loaders_agree_on_rows(tmp_path, fault):
    changed, message = FAULTS[fault]
    first = {**WHOLE, "referential": [True, True]} if "referential" in changed else WHOLE
    write(tmp_path, first, {**first, "story_id": "b", **changed})
    with pytest.raises(ValueError, match=message):
        load_stories(tmp_path, "train", 16)
    whole, report = check(tmp_path)
    assert not whole and message in report


@pytest.mark.parametrize("fault", COLUMNS)
def test_checks_and_loaders_agree_on_columns(tmp_path, fault):
    column, values, message = COLUMNS[fault]
    write(tmp_path, {**WHOLE, column: values[0]})
    with pytest.raises(ValueError) as error:
        load_stories(tmp_path, "train", 16)
    assert message in str(error.value) and message in check(tmp_path)[1]


LABELLED = Features(
    {
        "story_id": Value("string"),
        "frames": List({"bytes": Value("binary"), "path": Value("string")}),
        "sentences": List(Value("string")),
        "characters": List(List(ClassLabel(names=["Mia", "Rex"]))),
        "backgrounds": List(ClassLabel(names=["park"])),
        "attributes": List({"garments": List(ClassLabel(names=["red", "blue"]))}),
    }
)
KNOWN = {"characters": [[0], [0, 1]], "backgrounds": [0, 0], "attributes": [{"garments": [0]}, {"garments": [1, -1]}]}
NAMELESS = {
    "a character": ({"characters": [[0], [1, 2]]}, "characters of frame 1 of story b contain 2; there are 2 names"),
    "a negative character": ({"characters": [[-1], [1]]}, "characters of frame 0 of story b contain -1; there are 2 names"),
    "no character": ({"characters": [[None], [1]]}, "characters of frame 0 of story b contain None; there are 2 names"),
    "a place": ({"backgrounds": [0, 7]}, "backgrounds of frame 1 of story b contain 7; there are 1 names"),
    "an attribute": ({"attributes": [{"garments": [0]}, {"garments": [1, 5]}]}, "attributes of frame 1 of story b contain 5; there are 2 names"),
}


@pytest.mark.parametrize("fault", NAMELESS)
def test_labels_without_a_name_are_named_by_checks_and_loaders(tmp_path, fault):
    changed, message = NAMELESS[fault]
    good, bad = {**WHOLE, **KNOWN}, {**WHOLE, **KNOWN, "story_id": "b", **changed}
    parquet.write_table(pa.Table.from_pylist([good, bad], LABELLED.arrow_schema), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=message):
        load_stories(tmp_path, "train", 16)
    whole, report = check(tmp_path)
    assert not whole and message in report
    parquet.write_table(pa.Table.from_pylist([good], LABELLED.arrow_schema), tmp_path / "train-00000-of-00001.parquet")
    assert check(tmp_path)[0] and load_stories(tmp_path, "train", 16)[0]["attributes"] == KNOWN["attributes"]


def test_labels_of_json_without_a_name_are_named(tmp_path):
    copy = own(tmp_path / "in", "a", frames=1)
    (copy / "characters.json").write_text('{"Mia": "she"}')
    for characters, message in (([["Rex"]], "characters of story a contain 'Rex'; known names: Mia"), ([[7]], "characters of story a contain 7")):
        (copy / "stories.jsonl").write_text(json.dumps({"story": "a", "sentences": ["Mia sits."], "characters": characters}))
        with pytest.raises(StoryDataError, match=message):
            convert(Conversion("folder"), copy, tmp_path / "out", num_proc=1)


def test_a_broken_parquet_file_is_named(tmp_path):
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ValueError, match=r"a Parquet file of .*, split train, cannot be read"):
        load_stories(tmp_path, "train")
    whole, report = check(tmp_path)
    assert not whole and "train-00000-of-00001.parquet cannot be read" in report
