"""Files that others made, opened without running or overwriting anything: pickles, `.npy` arrays, zip and tar archives.

    labels = read_npy("labels.npy")          # a pickled dict in an array of no dimension, or a plain array
    ids = read_pickle("following_cache4.pkl")
    folder = extracted("copy.zip", Path("work"))

Pickle is a program, and `pickle.load` runs it. The reader here knows the opcodes that build numbers, strings, bytes, lists, tuples and dicts,
and of all globals only those by which numpy writes arrays, which it rebuilds itself from their bytes: numpy's own reconstruction believes a
file that calls a row of numbers pointers. Every other global is refused by name.
"""

from __future__ import annotations

import math
import pickle
import re
from io import BytesIO
from pathlib import Path

import numpy as np

from story_ldm.data.faults import StoryDataError

# left out: persistent ids, extension codes, buffers from outside, sets, and classes made without REDUCE
_REFUSED = (pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX)
_REFUSED += (pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)


class _Dtype:
    """A dtype of numbers, strings or objects; of the state that a file gives it only the byte order is believed."""

    def __init__(self, code: str, align=False, copy=True):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[biufcSUO?]\d{0,6}", code):
            raise StoryDataError(f"an array of dtype {code!r}; numbers, strings and objects are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">", "=", b"<", b">", b"="):
            self.dtype = self.dtype.newbyteorder(state[1] if isinstance(state[1], str) else state[1].decode())


class _Array:
    """An array on its way: what numpy's own class would be given as its state."""

    __hash__ = None

    def __init__(self, kind, shape, code):
        self.state = None

    def __setstate__(self, state: tuple) -> None:
        self.state = state


def _scalar(dtype: _Dtype, data: bytes = b""):
    if dtype.dtype.hasobject:
        raise StoryDataError("a numpy number that is an object")
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), dtype.dtype, 1)[0].item()


def _frombuffer(data: bytes, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    array = _Array(None, None, None)
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise StoryDataError(f"bytes in the encoding {encoding!r}; pickle writes latin1")
    return text.encode("latin1")


def _bytes(*parts) -> bytes:
    if parts:
        raise StoryDataError("bytes made by a call")
    return b""


_NUMPY = {"_reconstruct": _Array, "scalar": _scalar, "_frombuffer": _frombuffer}
GLOBALS = {("numpy", "ndarray"): None, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _encode}
GLOBALS |= {(module, "bytes"): _bytes for module in ("builtins", "__builtin__")}
GLOBALS |= {(f"numpy.{core}.{part}", name): made for core in ("core", "_core") for part in ("multiarray", "numeric") for name, made in _NUMPY.items()}


class _Reader(pickle._Unpickler):
    """Python's own unpickler in Python: the one in C allocates whatever a file tells it to."""

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Array, _Dtype)):
            raise StoryDataError("it sets the state of something that is no array")
        self.stack[-1].__setstate__(state)

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if bytes([code]) not in _REFUSED}

    def load_bytearray8(self) -> None:
        """The data of an array in protocol 5; pickle's own allocates the length that the file claims."""
        length = int.from_bytes(self.read(8), "little")
        data = self.read(length)
        if len(data) != length:
            raise EOFError("the file ends in the midst of an array")
        self.append(bytes(data))

    dispatch |= {pickle.BUILD[0]: load_build, pickle.BYTEARRAY8[0]: load_bytearray8}

    def find_class(self, module: str, name: str):
        if (module, name) not in GLOBALS:
            raise StoryDataError(
                f"it asks for {module}.{name}; only numpy arrays, dicts, lists, strings, bytes and numbers are read, and nothing is executed"
            )
        return GLOBALS[module, name]


def _plain(value, done: dict):
    """The value with arrays in the place of those on their way; what is there twice stays one (`done`: by identity, with the value kept alive)."""
    if not isinstance(value, (dict, list, tuple, _Array)):
        if isinstance(value, (_Dtype, type, type(_scalar))):
            raise StoryDataError("it holds a piece of an array without the array")
        return value
    if id(value) in done:
        return done[id(value)][0]
    if isinstance(value, dict):
        done[id(value)] = (made := {}, value)
        made |= {key: _plain(part, done) for key, part in value.items()}
    elif isinstance(value, list):
        done[id(value)] = (made := [], value)
        made += [_plain(part, done) for part in value]
    elif isinstance(value, tuple):
        made = tuple(_plain(part, done) for part in value)
        done[id(value)] = (made, value)
    else:
        _, shape, dtype, fortran, data = value.state
        made = _array(data if isinstance(data, (bytes, list)) else data.encode("latin1"), dtype.dtype, shape, fortran, done)
        done[id(value)] = (made, value)
    return made


def _array(data: bytes | list, dtype: np.dtype, shape: tuple, fortran: bool, done: dict) -> np.ndarray:
    fits = all(isinstance(side, int) and side >= 0 for side in shape) and dtype.itemsize and dtype.hasobject == isinstance(data, list)
    if not fits:
        raise StoryDataError(f"an array of shape {shape} and dtype {dtype} that does not fit its data")
    if len(data) != math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize):
        raise StoryDataError(f"an array of shape {shape} and dtype {dtype} with data of length {len(data)}")
    if dtype.hasobject:
        array = np.empty(len(data), object)
        for n, part in enumerate(data):
            array[n] = _plain(part, done)
    else:
        array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def loads(data: bytes):
    """What a pickle holds. Raises StoryDataError for whatever is not plain data, or not a whole pickle."""
    try:
        # Python 2's strings are bytes without an encoding; `text_of` puts right those that are UTF-8
        return _plain(_Reader(BytesIO(data), encoding="latin1").load(), {})
    except StoryDataError:
        raise
    except Exception as error:  # a broken pickle can fail in any way
        raise StoryDataError(f"it is no whole pickle of plain data ({type(error).__name__}: {error})") from None


def read_pickle(file: Path):
    return _named(file, loads)


def read_npy(file: Path):
    """A plain array, or what a pickled one holds: dicts come in an array of no dimension."""
    value = _named(file, npy_loads)
    return value.item() if value.shape == () else value


def npy_loads(data: bytes) -> np.ndarray:
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header.get(version, header[2, 0])(stream)
    except Exception as error:  # numpy's parser fails in many ways
        raise StoryDataError(f"it is no .npy file ({type(error).__name__}: {error})") from None
    rest = data[stream.tell() :]
    if dtype.hasobject:
        value = loads(rest)
        value = value if isinstance(value, np.ndarray) else np.array([value], object)[:0]
        if value.shape != tuple(shape):
            raise StoryDataError(f"its header says shape {shape}, its pickle {value.shape}")
        return value
    if dtype.kind not in "biufcSU":
        raise StoryDataError(f"an array of dtype {dtype}; numbers, strings and objects are read")
    return _array(rest, dtype, shape, fortran, {})


def _named(file: Path, reader):
    """Reads a file; whatever is wrong with it is told with its name."""
    try:
        return reader(Path(file).read_bytes())
    except FileNotFoundError:
        raise StoryDataError(f"{file} is missing") from None
    except OSError as error:
        raise StoryDataError(f"{file} cannot be read: {error}") from None
    except StoryDataError as error:
        raise StoryDataError(f"{file} is refused: {error}") from None


# --- archives ----------------------------------------------------------------------------------------------------------------------------
