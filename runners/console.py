"""What a person sees of work in progress: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runners.backends import Outcome, epoch_reached
from runners.bundle import completed
from runners.experiment import Experiment

errors = Console(stderr=True)
EVERY = 60.0  # seconds between two lines about work in progress, where no bar can be drawn
PACE = 600.0  # seconds behind us that say how much time is left: an epoch may take minutes


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
        speed_estimate_period=PACE,
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
    """A bar for work that reports ``(done, total)``; off a terminal one line a minute."""
    told = time.monotonic()
    with bars() as progress:
        bar = progress.add_task(description, total=None)

        def reached(done: int, total: int) -> None:
            nonlocal told
            progress.update(bar, completed=done, total=total)
            if not errors.is_terminal and time.monotonic() - told > EVERY:
                told = time.monotonic()
                _line(progress, f"{description}: {done} of {total}")

        yield reached


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
    """One bar over the epochs of the runs that are not there yet; each run that ends prints a line.

    Args:
        root: of bundles.
    """

    def __init__(self, progress: Progress, experiments: list[Experiment], root: Path):
        self._progress = progress
        self._there = {e.run for e in experiments if completed(root, e)}
        waiting = [e for e in experiments if e.run not in self._there]
        self._epochs = {e.run: e.protocol.budget.epochs for e in waiting}
        self._reached = {e.run: epoch_reached(root, e) for e in waiting}
        self._runs, self._ended, self._failed = len(experiments), len(self._there), 0
        self._done, self._total = 0, sum(self._epochs.values()) - sum(self._reached.values())  # epochs of this call
        begun = sum(epoch > 0 for epoch in self._reached.values())
        if self._there or begun:
            self.say(f"Of {self._runs} runs: {self._ended} there already, {begun} to go on with from a checkpoint.")
        if not errors.is_terminal and waiting:
            self.say(f"{len(waiting)} runs to do, {self._total} epochs at most")
        self._bar = progress.add_task(self._count(), total=self._total)
        self._began = self._told = time.monotonic()

    def epoch(self, experiment: Experiment, epoch: int) -> None:
        """A run has finished an epoch."""
        self._advance(experiment.run, epoch)

    def outcome(self, outcome: Outcome, line: str, *, failed: bool) -> None:
        """A run has ended; prints a line for it, unless it was there before."""
        self.passed(outcome.experiment, failed=failed)
        if outcome.experiment.run not in self._there:
            self.say(f"[{self._ended}/{self._runs}] {line}")

    def passed(self, experiment: Experiment, *, failed: bool) -> None:
        """A run has ended; early stopping makes the rest of its epochs pass at once."""
        if experiment.run not in self._there:
            self._ended, self._failed = self._ended + 1, self._failed + failed
            self._progress.update(self._bar, description=self._count())
            self._advance(experiment.run, self._epochs[experiment.run])

    def say(self, line: str) -> None:
        """A line above the bar."""
        _line(self._progress, line)

    def kept(self) -> str:
        """What an interruption does not cost."""
        return f"{self._ended} of {self._runs} runs have ended; those under way keep the epochs that they finished."

    def _count(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._ended} of {self._runs} runs{failed}, epochs"

    def _advance(self, run: str, epoch: int) -> None:
        step = max(0, epoch - self._reached[run])
        self._reached[run] += step
        self._done += step
        self._progress.advance(self._bar, step)
        now = time.monotonic()
        if not errors.is_terminal and self._done and now - self._told > EVERY:
            self._told = now
            left = minutes(now - self._began, self._done, self._total)
            self.say(f"{self._count()} {self._done} of {self._total}, about {left} left")


@contextmanager
def run_progress(
    experiments: list[Experiment], root: Path, above: Callable[[], RenderableType] | None = None
) -> Iterator[RunProgress]:
    """Draws the progress of some runs; an interruption says what is kept.

    Args:
        root: of bundles.
    """
    with bars(above) as progress:
        drawn = RunProgress(progress, experiments, root)
        try:
            yield drawn
        except KeyboardInterrupt:
            raise KeyboardInterrupt(drawn.kept()) from None
