"""Prepared arrays stand whole or not at all: killed writers, two at once, a full disk."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError

WRITER = """
import resource, sys, time
from pathlib import Path
import numpy as np
from protocols.datasets.prepared import prepared, write_rows

folder, log, pause, limit = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

def pieces():
    for i in range(10):
        print(i, flush=True)
        time.sleep(pause)
        yield {"rows": np.full((1000, 8), i, np.float32)}

def write(partial):
    with open(log, "a") as file:
        file.write("written\\n")
    write_rows({"rows": partial / "rows.npy"}, pieces())
    return {"count": 10000}

print(prepared(folder, write))
"""


def start(folder, log, pause=0.0, limit=0):
    command = [sys.executable, "-c", WRITER, str(folder), str(log), str(pause), str(limit)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


def finish(process):
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out


def rows(folder):
    return np.load(folder / "rows.npy", mmap_mode="r")


def test_a_killed_writer_is_taken_over(tmp_path):
    folder, log = tmp_path / "set", tmp_path / "log"
    process = start(folder, log, pause=0.2)
    for line in process.stdout:
        if line.strip() == "3":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not folder.exists() and folder.with_suffix(".partial").exists()
    finish(start(folder, log))
    assert rows(folder).shape == (10000, 8) and not folder.with_suffix(".partial").exists()


def test_two_at_once_write_once(tmp_path):
    folder, log = tmp_path / "set", tmp_path / "log"
    pair = [start(folder, log, pause=0.05) for _ in range(2)]
    assert all("{'count': 10000}" in finish(process) for process in pair)
    assert log.read_text() == "written\n"
    assert np.array_equal(rows(folder)[::1000, 0], np.arange(10))


def test_a_disk_that_takes_no_more(tmp_path):
    """A limit on the size of a file stands in for the disk's end: the same error comes out of write()."""
    folder = tmp_path / "set"
    process = start(folder, tmp_path / "log", limit=100_000)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "DataError" in error and "cannot hold the prepared arrays (File too large)" in error
    assert not folder.exists() and not folder.with_suffix(".partial").exists()


def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot hold the prepared arrays \((Not a directory|File exists)\)"):
        prepared(tmp_path / "file" / "set", lambda partial: {})


def test_an_error_of_the_writer_passes_and_leaves_nothing(tmp_path):
    def write(partial):
        (partial / "half.npy").touch()
        raise DataError("clip: damaged")

    with pytest.raises(DataError, match="clip: damaged"):
        prepared(tmp_path / "set", write)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_rows_are_those_that_were_written(tmp_path):
    rng = np.random.default_rng(0)
    pieces = [
        {"a": rng.integers(0, 99, n).astype(np.int16), "b": rng.integers(0, 99, (n, 3, 4)).astype(np.uint8)}
        for n in (1, 5, 300)
    ]
    write_rows({name: tmp_path / f"{name}.npy" for name in "ab"}, pieces)
    for name in "ab":
        read = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        assert np.array_equal(read, np.concatenate([piece[name] for piece in pieces]))


def test_what_stands_is_opened_not_written(tmp_path):
    prepared(tmp_path / "set", lambda partial: {"when": 1})
    began = time.perf_counter()
    assert prepared(tmp_path / "set", lambda partial: {"when": 2}) == {"when": 1}
    assert time.perf_counter() - began < 1
