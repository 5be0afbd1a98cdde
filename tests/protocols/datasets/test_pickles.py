"""Arrays come through whatever wrote them; code never runs."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import pickles
from protocols.examples import DataError

CONTENT = {
    "vector": np.arange(6.0),
    "matrix": np.arange(6, dtype=np.int32).reshape(2, 3),
    "columns first": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
    "bool": np.array([True, False]),
    "bytes": np.array([b"ab", b"c"]),
    "text": np.array(["däne", "b"]),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.float32(0.5),
    "plain": [1, 2.5, "text", None, (True, b"\xff\x00"), {"inner": np.ones(2)}],
}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "vectors.pkl"
    path.write_bytes(content)
    return path


def equal(came, wanted) -> bool:
    if isinstance(wanted, np.ndarray):
        return (
            type(came) is np.ndarray
            and came.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
            and np.array_equal(came, wanted)
        )
    if isinstance(wanted, dict):
        return list(came) == list(wanted) and all(equal(came[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(came) == len(wanted) and all(map(equal, came, wanted))
    return came == wanted and type(came) is type(wanted)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_pickle_protocol(tmp_path, protocol):
    path = write(tmp_path, pickle.dumps(CONTENT, protocol))
    assert equal(pickles.load(path), CONTENT)


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_both_generations_of_numpy(tmp_path, protocol):
    written = pickle.dumps({"a": np.arange(3.0), "b": np.float64(2)}, protocol)
    current = b"numpy._core" if b"numpy._core" in written else b"numpy.core"
    for core in (b"numpy._core", b"numpy.core"):
        if protocol == 4:  # names carry their length in one byte
            renamed = written.replace(
                bytes([len(current) + 11]) + current + b".multiarray", bytes([len(core) + 11]) + core + b".multiarray"
            )
            shift = renamed.count(core) * (len(core) - len(current)) if core != current else 0
            frame = int.from_bytes(written[3:11], "little") + shift
            renamed = renamed[:3] + frame.to_bytes(8, "little") + renamed[11:]
        else:
            renamed = written.replace(current, core)
        came = pickles.load(write(tmp_path, renamed))
        assert equal(came, {"a": np.arange(3.0), "b": np.float64(2)})


def test_arrays_written_by_python_2(tmp_path):
    # Python 2 writes array content as a byte string, which reads as latin-1 text.
    stream = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntb."
    )
    assert equal(pickles.load(write(tmp_path, stream)), np.array([1, -2], dtype=np.float32))


class Shell:
    """What an attacker would write."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_does_not_run(tmp_path, protocol):
    proof = tmp_path / "ran"
    path = write(tmp_path, pickle.dumps({"a": np.ones(2), "b": Shell(f"touch {proof}")}, protocol))
    with pytest.raises(DataError) as error:
        pickles.load(path)
    assert not proof.exists()
    said = str(error.value)
    assert f"{os.system.__module__}.system" in said and str(path) in said and "brings code is refused" in said


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"cnumpy.core.multiarray\nfromfile\n.", "numpy.core.multiarray.fromfile"),
        (pickle.dumps(OrderedDict(a=1)), "collections.OrderedDict"),
        (pickle.dumps(Path("a")), "PosixPath"),
    ],
)
def test_other_names_are_refused(tmp_path, content, name):
    with pytest.raises(DataError, match="refused") as error:
        pickles.load(write(tmp_path, content))
    assert name in str(error.value)


def test_objects_that_are_words_and_numbers_come_as_text(tmp_path):
    content = {"ids": np.array([["v1", 0.5], [b"v2", np.float64(1.5)]], dtype=object)}
    content["none"] = np.array([], dtype=object)
    came = pickles.load(write(tmp_path, pickle.dumps(content)))
    assert np.array_equal(came["ids"], np.array([["v1", "0.5"], ["v2", "1.5"]])) and came["ids"].dtype.kind == "U"
    assert came["none"].shape == (0,)


def array_with(dtype: bytes, state: bytes = b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", shape: bytes = b"(I1\nt") -> bytes:
    """A hand-made array of 8 bytes."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n" + shape
        + b"cnumpy\ndtype\n(S'" + dtype + b"'\nI0\nI1\ntR" + state + b"I00\nS'ABCDEFGH'\ntb."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps(np.array([None, "a"], dtype=object)), "array type 'O8' is refused"),
        (pickle.dumps(np.zeros(2, dtype=[("a", "f4")])), "array type 'V4' is refused"),
        (array_with(b"O8"), "array type 'O8' is refused"),
        (array_with(b"f8", b"(I3\nS'<'\n(S'O8'\n(I1\nttNNI8\nI8\nI0\ntb"), "with fields is refused"),
        (array_with(b"f4", shape=b"(I-1\nI-2\nt"), "shape (-1, -2) is refused"),
        (array_with(b"f8", shape=b"(I9\nt"), "not a readable pickle"),
        (b"cnumpy\nndarray\n((I1000000\nttR.", "a call of numpy.ndarray is refused"),
        (b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", "codec 'rot13' is refused"),
        (pickle.dumps(CONTENT)[:200], "truncated or damaged"),
        (b"", "truncated or damaged"),
        (b"not a pickle", "truncated or damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3458006\n", "git lfs pull"),
    ],
)
def test_a_crafted_or_damaged_file_is_refused(tmp_path, content, said):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as error:
        pickles.load(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_a_hand_made_array_is_read_where_it_is_sound(tmp_path):
    assert pickles.load(write(tmp_path, array_with(b"f8"))).shape == (1,)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing.pkl is missing"):
        pickles.load(tmp_path / "nothing.pkl")
