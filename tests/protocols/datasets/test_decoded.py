"""What was decoded stays: killed processes, files that cannot be read, files that were fetched again, two at once."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from protocols.datasets.decoded import CLIPS, ROWS, decoded
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet

DECODER = """
import resource, sys, time
from pathlib import Path
import numpy as np
from protocols.datasets import decoded as module

folder, files, pause, limit = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
module.SAVE_EVERY = 0.0
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

def read(path):
    time.sleep(pause)
    return np.full((3, 2), int(path.read_text()), np.int16)

def told(items, description):
    for item in items:
        print(item, flush=True)
        yield item

named = {path.name: path for path in sorted(files.iterdir())}
print(*module.decoded(folder, named, read, told, "Decoding")[0].starts)
"""


def read(path):
    text = path.read_text()
    if text == "bad":
        raise DataError(f"{path.name}: damaged.")
    return np.full((int(text) % 3 + 1, 2), int(text), np.int16)


@pytest.fixture
def files(tmp_path):
    """Twelve files that each hold their number."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}").write_text(str(number))
    return folder


def named(folder, leave=()):
    return {path.name: path for path in sorted(folder.iterdir()) if path.name not in leave}


def rows_of(found):
    return [found.values[a:b].tolist() for a, b in zip(found.starts, found.stops, strict=True)]


def watched(into):
    return lambda items, description: into.extend(items) or items


def start(folder, files, pause=0.0, limit=0):
    command = [sys.executable, "-c", DECODER, str(folder), str(files), str(pause), str(limit)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, env={**os.environ, "PYTHONPATH": os.getcwd()})


def finish(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.split()


def test_rows_are_those_of_the_files(files, tmp_path):
    found, wrong = decoded(tmp_path / "store", named(files), read, quiet, "")
    assert not wrong and isinstance(found.values, np.memmap) and found.values.dtype == np.int16
    assert rows_of(found) == [read(path).tolist() for path in named(files).values()]


def test_a_killed_process_loses_nothing_that_it_told_of(files, tmp_path):
    folder = tmp_path / "store"
    process = start(folder, files, pause=0.3)
    for line in process.stdout:
        if line.strip() == "07":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with open(folder / ROWS, "ab") as rows, open(folder / CLIPS, "a") as lines:  # as a kill at another moment leaves it
        rows.write(b"half")
        lines.write('{"clip": "11", "si')
    again = finish(start(folder, files))
    decoded_again, starts = again[:-12], again[-12:]
    assert 0 < len(decoded_again) <= 6 and decoded_again == [f"{k:02}" for k in range(12)][-len(decoded_again) :]
    assert starts == [str(3 * k) for k in range(12)]
    assert np.fromfile(folder / ROWS, np.int16).reshape(-1, 6)[:, 0].tolist() == list(range(12))


def test_two_at_once_decode_once(files, tmp_path):
    pair = [start(tmp_path / "store", files, pause=0.02) for _ in range(2)]
    assert sorted(len(finish(process)) for process in pair) == [12, 24]


def test_what_cannot_be_read_costs_the_others_nothing(files, tmp_path):
    (files / "04").write_text("bad")
    first, wrong = decoded(tmp_path / "store", named(files), read, quiet, "")
    assert wrong == {"04": "04: damaged."} and len(first.starts) == 11
    asked = []
    without, wrong = decoded(tmp_path / "store", named(files, ["04"]), read, watched(asked), "")
    assert not asked and not wrong and without.fingerprint == first.fingerprint
    (files / "04").write_text("4")  # fetched again
    whole, _ = decoded(tmp_path / "store", named(files), read, watched(asked), "")
    assert asked == ["04"] and rows_of(whole) == [read(path).tolist() for path in named(files).values()]
    anew, _ = decoded(tmp_path / "other", named(files), read, quiet, "")
    assert whole.fingerprint == anew.fingerprint != first.fingerprint


def test_a_store_whose_rows_are_gone_begins_anew(files, tmp_path):
    first, _ = decoded(tmp_path / "store", named(files), read, quiet, "")
    (tmp_path / "store" / ROWS).unlink()
    again, _ = decoded(tmp_path / "store", named(files), read, quiet, "")
    assert rows_of(again) == rows_of(first) and again.fingerprint == first.fingerprint


def test_a_disk_that_takes_no_more(files, tmp_path):
    """A limit on the size of a file stands in for the disk's end: the same error comes out of write()."""
    process = start(tmp_path / "store", files, limit=100)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1 and "cannot hold the prepared arrays (File too large)" in error
    assert finish(start(tmp_path / "store", files))[-12:] == [str(3 * k) for k in range(12)]
