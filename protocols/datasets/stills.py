"""Single pictures, decoded with PyAV (FFmpeg), and small grey versions of them."""

from pathlib import Path

import numpy as np

from protocols.datasets.media import FETCH_AGAIN, file_problem
from protocols.examples import DataError


def read_still(path: Path) -> np.ndarray:
    """(H, W) uint8, grey, of a JPEG, PNG or other picture file.

    Raises:
        DataError: for a missing or empty file, a Git LFS pointer, and anything that FFmpeg cannot decode.
        ImportError: without PyAV (``pip install 'fuseboard[media]'``).
    """
    import av

    if problem := file_problem(path):
        raise DataError(problem)
    try:
        with av.open(str(path)) as container:
            if container.streams.video:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                for frame in container.decode(stream):
                    return frame.to_ndarray(format="gray")
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: cannot be decoded ({error.strerror}). {FETCH_AGAIN}") from None
    raise DataError(f"{path}: no picture in it. {FETCH_AGAIN}")


def blocks(picture: np.ndarray, count: int) -> np.ndarray:
    """(H, W) grey in 0..255, at least ``count`` pixels each way -> (count, count) float32 in 0..1: means of blocks.

    Blocks differ by one pixel in height or width where the size is no multiple of ``count``.
    """
    height, width = picture.shape
    rows, columns = (np.arange(count) * size // count for size in (height, width))
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float32), rows, axis=0), columns, axis=1)
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    return (sums / sizes / 255).astype(np.float32)
