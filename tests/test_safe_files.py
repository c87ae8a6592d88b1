"""Pickles and archives: plain data are read, nothing else is, and nothing is executed or written elsewhere."""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_copies import QUICK, rows

from story_ldm.data.sources import StoryDataError
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.data.sources.safe_files import extracted, loads, npy_loads, read_npy

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
