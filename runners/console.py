"""What a person sees of work in progress: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runners.cluster import Outcome
from runners.experiment import Experiment

errors = Console(stderr=True)
EVERY = 60.0  # seconds between two lines about work in progress, where no bar can be drawn


class Bars(Progress):
    """Bars, and what stands above them while they move.

    Args:
        above: drawn anew with the bars; gone at the end, when whoever gave it prints it for good.
    """

    def __init__(self, *columns, above: Callable[[], RenderableType] | None = None, **kwargs):
        self._above = above
        super().__init__(*columns, transient=above is not None, **kwargs)

    def get_renderables(self) -> Iterator[RenderableType]:
        """The table and the bars, as rich asks for them."""
        if self._above:
            yield self._above()
        yield from super().get_renderables()


def bars(above: Callable[[], RenderableType] | None = None) -> Progress:
    """Bars with time left, on standard error so that standard output stays clean for scripts."""
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
        above=above,
    )


def each(items: Iterable, description: str) -> Iterator:
    """The same items, drawn as they pass; off a terminal a line at the start, one at the end, and some between."""
    items = list(items) if not hasattr(items, "__len__") else items
    if errors.is_terminal:
        with bars() as progress:
            yield from progress.track(items, description=description, total=len(items))
        return
    print(f"{description}: {len(items)} …", file=sys.stderr, flush=True)
    began = told = time.monotonic()
    for done, item in enumerate(items):
        if (now := time.monotonic()) - told > EVERY and done:
            told, left = now, minutes(now - began, done, len(items))
            print(f"{description}: {done} of {len(items)}, about {left} left", file=sys.stderr, flush=True)
        yield item
    print(f"{description}: done", file=sys.stderr, flush=True)


def minutes(seconds: float, done: int, total: int) -> str:
    """What is left after so many seconds, in minutes, or in hours where it is that long."""
    left = seconds / done * (total - done) / 60
    return f"{left:.0f} min" if left < 120 else f"{left / 60:.0f} h"


@contextmanager
def counter(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that reports ``(done, total)``; silent off a terminal."""
    with bars() as progress:
        bar = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@contextmanager
def done_of(total: int, description: str) -> Iterator[Callable[[str], None]]:
    """A bar that each finished piece moves on; called with the line to print for it."""
    with bars() as progress:
        bar = progress.add_task(description, total=total)
        done = 0

        def piece(line: str) -> None:
            nonlocal done
            done += 1
            progress.advance(bar)
            _line(progress, f"[{done}/{total}] {line}")

        yield piece


def _line(progress: Progress, text: str) -> None:
    if errors.is_terminal:
        progress.console.print(text, highlight=False, markup=False)
    else:
        print(text, file=sys.stderr, flush=True)


class RunProgress:
    """One bar over the epochs of all runs; each finished run prints a line."""

    def __init__(self, progress: Progress, experiments: list[Experiment]):
        self._progress, self._reached = progress, {}
        self._epochs = {e.run: e.protocol.budget.epochs for e in experiments}
        self._bar = progress.add_task("epochs", total=sum(self._epochs.values()))
        self._done = 0
        self._began = self._told = time.monotonic()

    def epoch(self, experiment: Experiment, epoch: int) -> None:
        """A run has finished an epoch."""
        self._advance(experiment.run, epoch)

    def outcome(self, outcome: Outcome, line: str) -> None:
        """A run has ended; prints a line for it."""
        self.passed(outcome.experiment)
        self._done += 1
        self.say(f"[{self._done}/{len(self._epochs)}] {line}")

    def passed(self, experiment: Experiment) -> None:
        """A run has ended; early stopping makes the rest of its epochs pass at once."""
        self._advance(experiment.run, self._epochs[experiment.run])

    def say(self, line: str) -> None:
        """A line above the bar."""
        _line(self._progress, line)

    def _advance(self, run: str, epoch: int) -> None:
        self._progress.advance(self._bar, max(0, epoch - self._reached.get(run, 0)))
        self._reached[run] = max(epoch, self._reached.get(run, 0))
        now = time.monotonic()
        if not errors.is_terminal and now - self._told > EVERY:
            self._told = now
            done, total = sum(self._reached.values()), sum(self._epochs.values())
            self.say(f"{done} of {total} epochs, about {minutes(now - self._began, done, total)} left")


@contextmanager
def run_progress(
    experiments: list[Experiment], above: Callable[[], RenderableType] | None = None
) -> Iterator[RunProgress]:
    """Draws the progress of some runs."""
    with bars(above) as progress:
        yield RunProgress(progress, experiments)
