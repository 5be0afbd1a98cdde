"""Read a pickle of numpy arrays without running what it says.

A pickle is a program: it may name any function on this machine and call it. This reader knows the few names
of numpy's array reconstruction, and puts an own, plain implementation behind each, so that not even
numpy's own state-setting code sees a type description made by a stranger. Everything else is refused.
"""

import pickle
import re
from pathlib import Path

import numpy as np

from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.examples import DataError

# Booleans, numbers and fixed-width text; no records, and no objects but words and numbers, which come as text.
_PLAIN_TYPE = re.compile(r"[<>|=]?(?:[biufc]\d{1,2}|[SU]\d{1,6})|[?]|bool|u?int\d{1,2}|float\d{2}|complex\d{2,3}")


class _Dtype:
    """numpy.dtype of a plain type; byte order and width arrive as pickled state."""

    def __init__(self, spec, align=False, copy=False):
        spec = spec.decode("ascii") if isinstance(spec, bytes) else spec
        if spec in ("O8", "O4"):  # of a 64-bit or a 32-bit machine; what the objects are tells the array
            self.spec, self.plain = spec, None
            return
        if not isinstance(spec, str) or not _PLAIN_TYPE.fullmatch(spec):
            raise DataError(f"array type {spec!r} is refused; accepted are plain numbers and text")
        self.plain = np.dtype(spec)

    def __setstate__(self, state):
        _, order, subtype, names, columns, size, *_ = state
        if subtype is not None or names is not None or columns is not None:
            raise DataError("an array type with fields is refused; accepted are plain numbers and text")
        if self.plain is None:
            return
        if self.plain.kind in "SU":
            self.plain = np.dtype(f"{self.plain.kind}{size // (4 if self.plain.kind == 'U' else 1)}")
        order = order.decode("ascii") if isinstance(order, bytes) else order
        self.plain = self.plain.newbyteorder(order)

    def of_bytes(self) -> np.dtype:
        """The type of an array that is given as bytes."""
        if self.plain is None:
            raise DataError(f"array type {self.spec!r} is refused; accepted are plain numbers and text")
        return self.plain


class _Array(np.ndarray):
    """An empty array whose content arrives as pickled state."""

    def __setstate__(self, state):
        version, shape, dtype, fortran, raw = state
        if any(not isinstance(size, int) or size < 0 for size in shape):
            raise DataError(f"array shape {shape!r} is refused; accepted are whole numbers from 0")
        kinds = str | bytes | int | float | np.number
        if isinstance(raw, list) and dtype.plain is None and all(isinstance(item, kinds) for item in raw):
            words = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in raw]
            text = np.array(words or "")
            super().__setstate__((version, shape, text.dtype, fortran, text.tobytes() if words else b""))
            return
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        super().__setstate__((version, shape, dtype.of_bytes(), fortran, bytes(raw)))


def _ndarray(*arguments):
    # Named by every pickled array, called by none: the real constructor would hand out raw memory.
    raise DataError("a call of numpy.ndarray is refused; arrays come through their reconstruction")


def _reconstruct(kind, shape, typecode):
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _frombuffer(raw, dtype, shape, order):
    return np.frombuffer(raw, dtype.of_bytes()).reshape(shape, order=order)


def _scalar(dtype, raw):
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    return np.frombuffer(raw, dtype.of_bytes(), count=1)[0]


def _encode(text, codec="latin1"):
    # Protocol 2 writes bytes as latin-1 text; no other codec is needed.
    if codec not in ("latin1", "latin-1"):
        raise DataError(f"codec {codec!r} is refused")
    return text.encode("latin1")


def _empty():
    # Protocols 0 to 2 write no bytes at all as a call.
    return b""


# Both spellings of numpy's core: 1.x wrote numpy.core, 2.x writes numpy._core.
ALLOWED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _ndarray,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in ALLOWED:
            raise DataError(
                f"it asks for {module}.{name}. A pickle that brings code is refused; "
                "accepted are dicts, lists, text, numbers and plain numpy arrays"
            )
        return ALLOWED[module, name]


def load(path: Path):
    """The dicts, lists, text, numbers and numpy arrays of a pickle.

    Args:
        path: a pickle of any protocol, written by Python 2 or 3 and numpy 1 or 2.

    Raises:
        DataError: naming the file, for anything else: a name outside ``ALLOWED`` (with the name), an array
            of records or of objects that are no words or numbers, a truncated file, a file that is not there.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    if is_pointer(path):
        raise DataError(pointer_sentence(path))
    try:
        with open(path, "rb") as stream:
            return _plain(_Reader(stream, encoding="latin1").load())
    except DataError as error:
        raise DataError(f"{path}: {error}.") from None
    except Exception as error:  # whatever a damaged program of opcodes can provoke
        raise DataError(
            f"{path}: not a readable pickle ({type(error).__name__}: {error}). "
            "It is truncated or damaged; fetch it again."
        ) from None


def _plain(value):
    """The same value with ordinary arrays."""
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(item) for item in value)
    return value
