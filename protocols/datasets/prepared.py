"""Arrays that were decoded once: written in one go or not at all, then opened as memory maps."""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from protocols.examples import DataError

META = "meta.json"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds ``path``. The system lets go when a process ends, however it ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepared(folder: Path, write: Callable[[Path], dict]) -> dict:
    """The meta data of ``folder``, which ``write`` fills if it does not stand yet.

    ``write`` gets a folder beside it and returns the meta data; only when everything is on the disk does
    that folder take its name. A second process waits for the first and reads what it wrote.

    Raises:
        DataError: where the arrays cannot be written, a full disk for one. Nothing is left behind.
    """
    try:
        if not (folder / META).exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(folder.with_suffix(".lock")):
                if not (folder / META).exists():
                    _write_beside(folder, write)
        return json.loads((folder / META).read_text(encoding="utf-8"))
    except OSError as error:
        raise no_room(folder, error) from error


def no_room(folder: Path, error: OSError) -> DataError:
    """What to say where the system refuses to write."""
    return DataError(
        f"{folder}: cannot hold the prepared arrays ({error.strerror}). "
        "Free some space, or name another cache folder, and call again."
    )


def _write_beside(folder: Path, write: Callable[[Path], dict]) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir()
    try:
        meta = write(partial)
        with open(partial / META, "w", encoding="utf-8") as file:
            json.dump(meta, file)
            to_disk(file)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def to_disk(file) -> None:
    """Everything that was written, so that it outlives a power cut."""
    file.flush()
    os.fsync(file.fileno())


def write_rows(paths: dict[str, Path], pieces: Iterable[dict[str, np.ndarray]]) -> None:
    """Write pieces of rows one after the other, each name into its own .npy file, in constant memory.

    Args:
        paths: name -> file to write.
        pieces: name -> (T, ...) array, with one type and one trailing shape per name.
    """
    files, kinds, rows = {name: open(path, "wb") for name, path in paths.items()}, {}, dict.fromkeys(paths, 0)
    try:
        for piece in pieces:
            for name, array in piece.items():
                if name not in kinds:
                    kinds[name] = array.dtype, array.shape[1:]
                    files[name].write(_header(*kinds[name], rows=0))
                assert (array.dtype, array.shape[1:]) == kinds[name], (name, array.dtype, array.shape)
                files[name].write(np.ascontiguousarray(array).data)
                rows[name] += len(array)
        for name, file in files.items():
            file.seek(0)
            file.write(_header(*kinds[name], rows=rows[name]))
            to_disk(file)
    finally:
        for file in files.values():
            file.close()


def _header(dtype: np.dtype, shape: tuple[int, ...], rows: int) -> bytes:
    """Preamble of a .npy file. numpy leaves room in it for the first axis to grow."""
    header = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": (rows, *shape)}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()
