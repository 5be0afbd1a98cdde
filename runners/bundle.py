"""The result bundle of one run: written beside, flushed, renamed, so that it is there whole or not at all."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runners.experiment import Experiment

SCHEMA_VERSION = 1
LEDGER = "ledger.jsonl"


class RunError(RuntimeError):
    """A run that could not be finished for a reason outside the method: disk, lock, lost node."""


class Busy(RunError):
    """Another process is at work on the same run."""


def completed(root: Path, experiment: Experiment) -> bool:
    """True if the bundle is there and the run did not fail."""
    manifest = root / experiment.folder / "manifest.json"
    return manifest.is_file() and json.loads(manifest.read_text())["status"] == "completed"


@contextmanager
def workplace(root: Path, experiment: Experiment) -> Iterator[Path]:
    """The folder in which a run is under way: its checkpoint survives a kill, its lock does not.

    Raises:
        RunError: if another process is at work on the same run (`Busy`), or the disk is full.
    """
    folder = root / ".partial" / experiment.run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(root, experiment.run):
            yield folder
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(root).free / 2**20
            raise RunError(
                f"disk full while writing below {root} ({free:.0f} MiB free). Nothing is half-written: free some space "
                "and run the same command again; it goes on from the last finished epoch."
            ) from None
        raise


@contextmanager
def locked(root: Path, run: str) -> Iterator[None]:
    """No other process is at work on this run.

    Raises:
        Busy: if one is.
    """
    (root / ".partial").mkdir(parents=True, exist_ok=True)
    with open(root / ".partial" / f"{run}.lock", "w") as lock:
        busy = Busy(f"another process is at work on run {run} in {root}; wait for it.")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        if os.fstat(lock.fileno()).st_nlink == 0:  # its last holder took the file away meanwhile; others lock a new one
            raise busy
        yield
        os.unlink(lock.name)


def publish(folder: Path, root: Path, experiment: Experiment, manifest: dict) -> Path:
    """Move a finished bundle to its place.

    Args:
        folder: holds every file of the bundle except the manifest; gone afterwards.
        manifest: completed here with the SHA-256 of each file.

    Returns:
        The bundle's folder.
    """
    manifest = {"schema_version": SCHEMA_VERSION, **manifest, "files": {}}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        manifest["files"][path.name] = hashlib.sha256(content).hexdigest()
        flush(path)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    flush(folder / "manifest.json")
    flush(folder)
    place = root / experiment.folder
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():  # an earlier failure of the same run makes way
        old = folder.with_name(f"{folder.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(place, old)
        os.rename(folder, place)
        shutil.rmtree(old)
    else:
        os.rename(folder, place)
    flush(place.parent)
    return place


def write_opening(root: Path, experiment: Experiment) -> None:
    """Write down that this run opens the test part: one line, appended in one write."""
    entry = {
        "run": experiment.run,
        "method": experiment.method.name,
        "protocol": experiment.protocol.key,
        "split": experiment.split,
        "seed": experiment.seed,
        "opened": now(),
    }
    root.mkdir(parents=True, exist_ok=True)
    ledger = os.open(root / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(ledger, (json.dumps(entry) + "\n").encode())
        os.fsync(ledger)
    finally:
        os.close(ledger)


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
