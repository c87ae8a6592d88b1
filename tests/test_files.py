"""Files and folders are whole or not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from story_ldm.data.pictures import save_picture
from story_ldm.files import check_name, code_span, markdown_table, partial_path, write_text, written_beside

ROOT = Path(__file__).parents[1]


def test_a_file_appears_when_it_is_whole(tmp_path):
    file = tmp_path / "table.md"
    with written_beside(file) as partial:
        assert partial == tmp_path / ".table.md.partial" == partial_path(file)
        partial.write_text("new")
        assert not file.exists()
    assert file.read_text() == "new"
    write_text(file, "ä")
    assert file.read_bytes() == "ä".encode()
    assert [f.name for f in tmp_path.iterdir()] == ["table.md"]


def test_what_is_there_stays_where_writing_fails(tmp_path):
    write_text(tmp_path / "file", "old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), written_beside(tmp_path / "file") as partial:
            partial.write_text("half")
            raise error
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(ValueError), written_beside(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "half").touch()
        raise ValueError
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_a_folder_replaces_a_folder(tmp_path):
    folder = tmp_path / "model"
    partial_path(folder).mkdir()
    (partial_path(folder) / "of a killed run").touch()
    for name in ("first", "second"):
        with written_beside(folder) as partial:
            assert not partial.exists(), "what a killed run left is gone"
            partial.mkdir()
            (partial / name).touch()
    assert [f.name for f in folder.iterdir()] == ["second"] and [f.name for f in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("suffix", (".png", ".jpg", ".JPEG", ".webp"))
def test_a_picture_has_the_format_of_its_name(tmp_path, suffix):
    save_picture(Image.new("RGB", (8, 8), "red"), tmp_path / f"story{suffix}")
    with Image.open(tmp_path / f"story{suffix}") as picture:
        assert picture.format == {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
    with pytest.raises(ValueError, match=r"has the suffix '\.story'"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "picture.story")


def test_one_module_renames_partial_files():
    """Checkpoints and caches are written by several processes, and rename for themselves."""
    renames = {file.relative_to(ROOT).as_posix() for room in ("story_ldm", "pipelines", "training", "evaluation", "benchmarks")
               for file in (ROOT / room).rglob("*.py") if re.search(r"os\.(replace|rename)\(|[.]partial[\"']", file.read_text())}  # fmt: skip
    assert renames == {"story_ldm/files.py", "story_ldm/training/caches.py", "story_ldm/training/checkpoints.py"}


def test_names_of_others_stay_in_their_cells():
    table = markdown_table(("system", "a|b"), [["<b>x</b>\n| y", "[click](https://example.org)"]]).split("\n")
    assert table == ["| system | a\\|b |", "|---|---|", "| &lt;b&gt;x&lt;/b&gt; \\| y | \\[click\\](https://example.org) |"]
    assert code_span("a b") == "`a b`" and code_span("a ``b``\n# c") == "``` a ``b`` # c ```"


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/a", "..\\a", "a\x00b", "a\nb", "a\x1b[2J", "a\u202eb"])
def test_a_name_is_no_path(name):
    with pytest.raises(ValueError, match=rf"--system is {re.escape(repr(name))}; it must be a name"):
        check_name("--system", name)


def test_names_are_in_any_script():
    for name in ("story-ldm", "Story LDM 2.0", "история", "物語"):
        check_name("--system", name)
