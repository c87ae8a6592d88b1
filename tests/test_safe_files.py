"""Pickles and archives: plain data are read, nothing else is, and nothing is executed or written elsewhere."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_copies import QUICK, rows

from story_ldm.data.archives import extracted
from story_ldm.data.safe_pickles import loads, npy_loads, read_npy
from story_ldm.data.sources import StoryDataError
from story_ldm.data.sources.check import check
from story_ldm.data.sources.convert import Conversion, convert

pytestmark = pytest.mark.usefixtures("own_cache")


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
        (pickle.dumps({1, 2}), "not a complete pickle of plain data"),
        (pickle.dumps(np.datetime64("2020-01-01")), "dtype 'M8'"),
        (pickle.dumps(np.zeros(2, [("a", "O")])), "dtype 'V8'"),
        (b"\x96\xff\xff\xff\xff\x00\x00\x00\x00abc.", "the file ends within an array"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zliptR.", "not a complete pickle|encoding"),
        (b"c__builtin__\nbytes\n(I1000000000000\ntR.", "bytes are constructed by a call"),
        (b"cnumpy\ndtype\n.", "part of an array without the array"),
        (b"cnumpy\ndtype\n}(X\x01\x00\x00\x00aI1\nub.", "sets the state of an object that is not an array"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I9\ntcnumpy\ndtype\n(S'i8'\ntRI0\nS'x'\ntb.", "length 1"),
        (b"", "not a complete pickle"),
        (pickle.dumps([1, 2, 3])[:-3], "not a complete pickle"),
        (b"r\xff\xff\xff\x7f", "not a complete pickle"),
        (b"(" * 10_000, "not a complete pickle"),
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
    assert check(archive, "pororo", partial=True)[0]
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(StoryDataError, match=r"bad\.zip cannot be opened"):
        convert(Conversion("pororo"), tmp_path / "bad.zip", tmp_path / "bad", num_proc=1)


def test_an_archive_that_took_another_s_place(tmp_path):
    """After a failed conversion what was unpacked stays, for the same archive alone."""
    for text in (b"old", b"new"):
        zipped(tmp_path / "a.zip", {"a.txt": text})
        os.utime(tmp_path / "a.zip", ns=(0, int.from_bytes(text)))
        folder = extracted(tmp_path / "a.zip", tmp_path / "work")
        assert (folder / "a.txt").read_bytes() == text and extracted(tmp_path / "a.zip", tmp_path / "work") == folder


def test_a_python_without_filters_unpacks_what_was_checked(tmp_path, monkeypatch):
    """Debian 12 has 3.11.2."""
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    folder = extracted(tarred(tmp_path / "a.tar.gz", {"copy/a.txt": b"1", "copy/b/c.txt": b"2"}), tmp_path / "work")
    assert files_of(folder) == {"a.txt": b"1", "b/c.txt": b"2"}


def packed_as(kind: str, file: Path) -> bytes:
    members = {f"copy/{n}.txt": bytes(np.random.default_rng(n).integers(0, 99, 3_000, np.uint8)) for n in range(3)}
    with zipfile.ZipFile(file, "w", getattr(zipfile, f"ZIP_{kind}")) if kind.isupper() else tarfile.open(file, f"w:{kind}") as packed:
        for name, data in members.items():
            if kind.isupper():
                packed.writestr(name, data)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return file.read_bytes()


@pytest.mark.parametrize("kind", ["DEFLATED", "LZMA", "BZIP2", "STORED", "gz", "bz2", "xz", ""])
def test_damaged_archives(kind, tmp_path):
    """One byte changed anywhere: what was packed, or a StoryDataError, and then nothing is left behind."""
    archive, work = tmp_path / ("a.zip" if kind.isupper() else "a.tar"), tmp_path / "work"
    whole, refused = packed_as(kind, archive), 0
    kept = files_of(extracted(archive, work))
    for at in {*range(0, len(whole), max(1, len(whole) // 100)), *range(40), *range(len(whole) - 40, len(whole))}:
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :])
        shutil.rmtree(work)
        try:
            found = files_of(extracted(archive, work))
            assert kind not in ("gz", "bz2", "xz") or found == kept
        except StoryDataError:
            refused += 1
            assert not work.exists() or not list(work.iterdir())
    assert refused > 20 or kind == ""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
