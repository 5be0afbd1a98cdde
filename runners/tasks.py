"""Remote tasks that outlive their workers and nodes."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.cluster import able, check_gpus
from runners.experiment import Experiment
from runners.settings import Settings

log = logging.getLogger(__name__)

PAUSES = (1.0, 5.0, 20.0)  # seconds before a lost task is sent out again; after the last one it is given up
LOOK = 30.0  # seconds between two looks at whether the cluster has a node left that can work
Result = tuple[Path | None, str | None]  # what was written, or the error that prevented it
Work = Callable[[Any, Settings], Result]


@dataclass(frozen=True)
class _Try:
    """One attempt at an item; ``avoid`` are ids of nodes whose memory ran out under it."""

    item: Any
    number: int = 1
    avoid: frozenset[str] = frozenset()


@contextmanager
def _as_raised() -> Iterator[None]:
    """What the handler of a signal raised while Ray's compiled code ran, which Python hands on as a SystemError."""
    try:
        yield
    except SystemError as error:
        raise error.__cause__ or error from None


class Tasks:
    """One remote task for each item. One whose worker or node is lost is sent out again, and the log says so.

    Ray would do that by itself, but without a word, and for ever where memory runs out.

    Args:
        gpus: share of a GPU for each.
        meanwhile: called about once a second.
    """

    def __init__(
        self,
        ray,
        work: Work,
        items: list,
        settings: Settings,
        gpus: float,
        meanwhile: Callable[[], None] = lambda: None,
    ):
        check_gpus(ray, gpus)
        self._ray, self._settings, self._gpus, self._meanwhile = ray, settings, gpus, meanwhile
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(work)
        self._running: dict[Any, _Try] = {}
        self._due: list[tuple[float, _Try]] = [(0.0, _Try(item)) for item in items]
        self._look, self._works = 0.0, not gpus or bool(able(ray, gpus))  # else it has been said

    def ended(self) -> Iterator[tuple[Any, Result]]:
        """Each item with what became of it, as it ends. Leaving early cancels what runs; checkpoints stay."""
        try:
            with _as_raised():
                while self._running or self._due:
                    self._send()
                    for reference in self._done():
                        attempt = self._running.pop(reference)
                        if result := self._result(reference, attempt):
                            yield attempt.item, result
                    self._meanwhile()
        finally:
            for reference in self._running:
                self._ray.cancel(reference, force=True)

    def _done(self) -> list:
        """What has ended within the next second, in which something always may."""
        if self._running:
            return self._ray.wait(list(self._running), timeout=1.0)[0]
        time.sleep(0.5)  # until a lost task is sent out again
        return []

    def _send(self) -> None:
        now = time.monotonic()
        for due, attempt in self._due:
            if due <= now:
                options = {"label_selector": elsewhere} if (elsewhere := self._elsewhere(attempt.avoid)) else {}
                self._running[self._task.options(**options).remote(attempt.item, self._settings)] = attempt
        self._due = [(due, attempt) for due, attempt in self._due if due > now]
        if now > self._look:
            self._look = now + LOOK
            works = bool(able(self._ray, self._gpus))
            if self._works and not works:
                log.warning("the cluster has no node that can work; waiting for one.")
            elif works and not self._works:
                log.warning("the cluster has a node that can work.")
            self._works = works

    def _elsewhere(self, avoid: frozenset[str]) -> dict[str, str]:
        """Any other node, if there is one that can work."""
        if avoid and able(self._ray, self._gpus) - avoid:
            return {"ray.io/node-id": f"!in({','.join(sorted(avoid))})"}
        return {}

    def _result(self, reference, attempt: _Try) -> Result | None:
        """None if the task was lost and will be sent out again."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.OutOfMemoryError as error:
            named = re.search(r"\bID: ([0-9a-f]{40,})", str(error))
            full = attempt.avoid | ({named.group(1)} if named else set())
            return self._lost(attempt, "the memory of its node ran out", full)
        except errors.NodeDiedError:
            return self._lost(attempt, "its node was lost", attempt.avoid)
        except errors.WorkerCrashedError:
            return self._lost(attempt, "its worker died, of a crash or for want of memory", attempt.avoid)
        except errors.RayError as error:
            return None, f"{type(error).__name__}: {error}"

    def _lost(self, attempt: _Try, why: str, avoid: frozenset[str]) -> Result | None:
        if attempt.number > len(PAUSES):
            return None, f"{why} in attempt {attempt.number}, the last one. Its checkpoint stays."
        pause = PAUSES[attempt.number - 1]
        self._due.append((time.monotonic() + pause, _Try(attempt.item, attempt.number + 1, avoid)))
        log.warning(
            "%s: %s; attempt %d of %d goes on from its checkpoint.",
            *(_named(attempt.item), why, attempt.number + 1, len(PAUSES) + 1),
        )
        return None


def _named(item: Experiment | Path) -> str:
    if isinstance(item, Experiment):
        return f"{item.method.name} {item.split} seed {item.seed}"
    return f"{item.parent.name} {item.name}"
