"""Reads pickles and `.npy` arrays from untrusted sources without executing anything.

    labels = read_npy("labels.npy")          # a plain array, or the dict that was pickled as an array without dimensions
    ids = read_pickle("following_cache4.pkl")

A pickle is a program, and `pickle.load` executes it. This reader supports only the opcodes that build numbers, strings, bytes, lists, tuples and
dicts, and the few globals with which numpy pickles arrays. It rebuilds arrays itself from their bytes, because numpy's own reconstruction trusts a
file that declares numbers to be pointers. Every other global is refused by name.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from story_ldm.data.faults import StoryDataError
from story_ldm.files import regular_file

# persistent ids, extension codes, out-of-band buffers, sets, and objects built without REDUCE
_REFUSED = {pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER}
_REFUSED |= {pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX}


MOST_VALUES = 50_000_000


class _Dtype:
    """A dtype of numbers, strings or objects. Of the state that a file sets, only the byte order is used."""

    def __init__(self, code: str | bytes, align: bool = False, copy: bool = True):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[biufcSUO?]\d{0,6}", code):
            raise StoryDataError(f"an array has dtype {code!r}; only numbers, strings and objects are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        for order in ("<", ">", "="):
            if state[1] in (order, order.encode()):
                self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array under construction: keeps the state that numpy's own class would be given."""

    __hash__ = None  # type: ignore[assignment]  # a file must not use one as the key of a dict

    def __init__(self, kind: Any, shape: Any, code: Any):
        self.state: Any = None

    def __setstate__(self, state: tuple) -> None:
        self.state = state


def _scalar(dtype: _Dtype, data: bytes | str = b"") -> Any:
    if dtype.dtype.hasobject:
        raise StoryDataError("a numpy scalar is an object; only numbers and strings are read")
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), dtype.dtype, 1)[0].item()


def _frombuffer(data: bytes, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    array = _Array(None, None, None)
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise StoryDataError(f"bytes have the encoding {encoding!r}; it must be latin1, which pickle writes")
    return text.encode("latin1")


def _bytes(*parts) -> bytes:
    if parts:
        raise StoryDataError("bytes are constructed by a call with arguments; only empty bytes are")
    return b""


_NUMPY: dict[str, Any] = {"_reconstruct": _Array, "scalar": _scalar, "_frombuffer": _frombuffer}
GLOBALS: dict[tuple[str, str], Any] = {("numpy", "ndarray"): None, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _encode}
GLOBALS |= {(module, "bytes"): _bytes for module in ("builtins", "__builtin__")}
_MODULES = [f"numpy.{core}.{part}" for core in ("core", "_core") for part in ("multiarray", "numeric")]
GLOBALS |= {(module, name): value for module in _MODULES for name, value in _NUMPY.items()}


class _Reader(pickle._Unpickler):
    """The unpickler that is written in Python: the one in C allocates any length that a file claims."""

    def load_build(self: Any) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Array, _Dtype)):
            raise StoryDataError("it sets the state of an object that is not an array")
        self.stack[-1].__setstate__(state)

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if bytes([code]) not in _REFUSED}

    def load_bytearray8(self: Any) -> None:
        """The data of an array in protocol 5; the inherited method allocates the length that the file claims."""
        length = int.from_bytes(self.read(8), "little")
        data = self.read(length)
        if len(data) != length:
            raise EOFError("the file ends within an array")
        self.append(bytes(data))

    dispatch |= {pickle.BUILD[0]: load_build, pickle.BYTEARRAY8[0]: load_bytearray8}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in GLOBALS:
            raise StoryDataError(
                f"it asks for {module}.{name}; only numpy arrays, dicts, lists, strings, bytes and numbers are read, and nothing is executed"
            )
        return GLOBALS[module, name]


def _count(value: Any, counts: dict[int, int]) -> int:
    """Number of values in a structure if every repeated part is counted each time. Raises StoryDataError if it exceeds
    `MOST_VALUES`: a few bytes can nest and repeat lists until no memory holds what they describe."""
    if not isinstance(value, (dict, list, tuple, _Array)):
        return 1
    if id(value) in counts:
        return counts[id(value)]
    counts[id(value)] = 1  # until it is known, for a list that contains itself
    parts: Any = value.values() if isinstance(value, dict) else value
    if isinstance(value, _Array):
        data = value.state[-1] if value.state else ()
        parts = data if isinstance(data, list) else ()
    total = 1
    for part in parts:
        total += _count(part, counts)
        if total > MOST_VALUES:
            raise StoryDataError(f"it describes more than {MOST_VALUES:,} values by repeating its parts")
    counts[id(value)] = total
    return total


def _plain(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """The value with real arrays in place of `_Array`; shared parts stay shared. done: id of a part → its result, and the part, to keep it alive."""
    if not isinstance(value, (dict, list, tuple, _Array)):
        if isinstance(value, (_Dtype, type, type(_scalar))):
            raise StoryDataError("it contains part of an array without the array")
        return value
    if id(value) in done:
        return done[id(value)][0]
    result: Any
    if isinstance(value, dict):
        done[id(value)] = (result := {}, value)
        result |= {key: _plain(part, done) for key, part in value.items()}
    elif isinstance(value, list):
        done[id(value)] = (result := [], value)
        result += [_plain(part, done) for part in value]
    elif isinstance(value, tuple):
        result = tuple(_plain(part, done) for part in value)
        done[id(value)] = (result, value)
    else:
        _, shape, dtype, fortran, data = value.state
        result = _array(data if isinstance(data, (bytes, list)) else data.encode("latin1"), dtype.dtype, shape, fortran, done)
        done[id(value)] = (result, value)
    return result


def _array(data: Any, dtype: np.dtype, shape: tuple, fortran: bool, done: dict[int, tuple[Any, Any]]) -> np.ndarray:
    fits = all(isinstance(side, int) and side >= 0 for side in shape) and dtype.itemsize and dtype.hasobject == isinstance(data, list)
    if not fits:
        raise StoryDataError(f"an array of shape {shape} and dtype {dtype} does not fit its data")
    if len(data) != math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize):
        raise StoryDataError(f"an array of shape {shape} and dtype {dtype} has data of length {len(data)}")
    if dtype.hasobject:
        array = np.empty(len(data), object)
        for n, part in enumerate(data):
            array[n] = _plain(part, done)
    else:
        array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def loads(data: bytes) -> Any:
    """The value of a pickle. Raises StoryDataError if it is truncated, broken, or contains anything but plain data."""
    try:
        # strings of Python 2 are bytes without an encoding; `text_of` decodes those that are UTF-8
        value = _Reader(BytesIO(data), encoding="latin1").load()
        _count(value, {})
        return _plain(value, {})
    except StoryDataError:
        raise
    except Exception as error:  # a broken pickle can raise any error
        raise StoryDataError(f"it is not a complete pickle of plain data ({type(error).__name__}: {error})") from None


def read_pickle(file: Path) -> Any:
    """The value of a pickle file. Raises StoryDataError, which names the file."""
    return _named(file, loads)


def read_npy(file: Path) -> Any:
    """The array of a `.npy` file; of an array without dimensions its value, such as a pickled dict. Raises StoryDataError, which names the file."""
    value = _named(file, npy_loads)
    return value.item() if value.shape == () else value


def npy_loads(data: bytes) -> np.ndarray:
    """The array in the bytes of a `.npy` file. Raises StoryDataError."""
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header.get(version, header[2, 0])(stream)
    except Exception as error:  # numpy's parser raises many kinds of error
        raise StoryDataError(f"it is not a .npy file ({type(error).__name__}: {error})") from None
    rest = data[stream.tell() :]
    if dtype.hasobject:
        value = loads(rest)
        value = value if isinstance(value, np.ndarray) else np.array([value], object)[:0]
        if value.shape != tuple(shape):
            raise StoryDataError(f"its header has shape {shape}, but its pickle has shape {value.shape}")
        return value
    if dtype.kind not in "biufcSU":
        raise StoryDataError(f"an array has dtype {dtype}; only numbers, strings and objects are read")
    return _array(rest, dtype, shape, fortran, {})


def _named(file: Path, reader: Callable[[bytes], Any]) -> Any:
    """Reads a file; errors name it."""
    try:
        return reader(regular_file(Path(file)).read_bytes())
    except FileNotFoundError:
        raise StoryDataError(f"{file} is missing") from None
    except OSError as error:
        raise StoryDataError(f"{file} cannot be read: {error}") from None
    except StoryDataError as error:
        raise StoryDataError(f"{file} is refused: {error}") from None
