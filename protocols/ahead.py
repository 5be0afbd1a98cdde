"""Work that is done a little before it is asked for, by threads: numpy and FFmpeg let others run meanwhile."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item, Made = TypeVar("Item"), TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item], *, threads: int, most: int) -> Iterator[Made]:
    """``make`` of each item, in order; an error comes where its item would.

    Args:
        threads: that make.
        most: items that are made or being made before they are asked for.
    """
    coming = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting = deque(pool.submit(make, item) for item in islice(coming, most))
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(pool.submit(make, item) for item in islice(coming, 1))
            yield made
    finally:
        pool.shutdown(cancel_futures=True)
