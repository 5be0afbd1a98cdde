"""The worker: takes approved submissions one at a time, runs them like any other run, and tells each step.

A heartbeat in a thread of its own keeps the claim; a worker that dies loses it, and another goes on from the last
checkpoint. A signal to stop ends the work at once: epochs that are finished are kept, the rest is done again.
"""

import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from leaderboard import claims, store
from leaderboard.bundles import BundleError, read_bundle
from leaderboard.claims import Claim, ClaimLost
from leaderboard.store import StoreError
from protocols.spec import ProtocolSpec
from protocols.suite import suites
from runners.backends import Outcome, device, execute, measure
from runners.bundle import RunError, completed
from runners.evaluate import evaluated
from runners.experiment import ROOT, Experiment
from runners.indexing import patiently
from runners.output import say
from runners.settings import SETTINGS, Settings
from runners.trial import plan
from zoo.spec import SpecError, read

LINES = 60  # of a log that are kept
PATIENCE = 600.0  # seconds that a database may be away before a worker gives up
POLL = 2.0  # seconds between two looks at an empty queue

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Stopped(BaseException):
    """Somebody asked the worker to end. No Exception, so that nothing on the way takes it for a fault of the work."""


class Taken(BaseException):
    """The submission was taken away from this worker while it was at work."""


class Unfit(Exception):
    """A submission that fails for a reason of its own, which another attempt would meet again."""


@dataclass(frozen=True)
class Options:
    """How a worker works.

    Args:
        backend: of `runners.backends`.
        drain: whether to end when no submission waits.
        lease: seconds of silence after which a worker counts as dead; heartbeats are four times as frequent.
        gpus: share of a GPU for each Ray task; see `runners.backends.device`.
    """

    backend: str
    drain: bool
    lease: float
    gpus: float | None = None


def work(settings: Settings, options: Options) -> None:
    """Take submissions until told to stop, or until none waits.

    Raises:
        StoreError: if the database is away for longer than `PATIENCE`.
    """
    name = f"worker:{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
    engine = _patiently(lambda: store.connect(settings.database_url))
    with Signals() as signals:
        say(f"{name} waits for submissions in {engine.url.render_as_string(hide_password=True)}")

        def take() -> Claim | None:
            signals.check()  # also while the database is away
            return claims.take(engine, name)

        try:
            _patiently(lambda: _index(engine, settings))  # what a worker left that died once its submission was ranked
            while True:
                signals.check()
                for lost in _patiently(lambda: claims.reclaim(engine, options.lease, name)):
                    say(f"{lost}: its worker is silent; it is in the queue again, or has failed")
                with signals.held():  # a claim is taken whole, or not at all
                    claim = _patiently(take)
                    if claim:
                        _serve(engine, claim, settings, options, signals)
                        continue
                if options.drain:
                    return
                time.sleep(POLL)
        except Stopped:
            say(f"{name} has stopped; nothing is half-done.")
        finally:
            engine.dispose()


def _serve(engine: sa.Engine, claim: Claim, settings: Settings, options: Options, signals: "Signals") -> None:
    """One submission, from the claim to its end; whatever happens, the audit log is told.

    Called while signals are held, which they are again when it ends.
    """
    say(f"{claim.submission} {claim.name}: attempt {claim.attempt}")
    with Log(settings) as told:
        try:
            with signals.let_through(), _heartbeat(engine, claim, options.lease / 4, signals):
                said = _run(engine, claim, settings, options, told)
            ending = partial(claims.rank, engine, claim, said)
        except (Stopped, SystemExit, KeyboardInterrupt):
            signals.stop()
            ending = partial(claims.give_back, engine, claim, "the worker was told to stop", told.tail(), fault=False)
        except (Taken, ClaimLost):
            say(f"{claim.submission}: taken away from this worker; its checkpoint stays")
            return
        except Unfit as error:
            ending = partial(claims.fail, engine, claim, told.public(str(error)), told.tail())
        except Exception as error:  # of this machine or of our code: another attempt may do better
            said = told.public(f"{type(error).__name__}: {error}")
            if not isinstance(error, RunError):
                told.add(traceback.format_exc())
            ending = partial(claims.give_back, engine, claim, said, told.tail(), fault=True)
    try:
        _patiently(ending, lambda: signals.stopping)
        if ending.func is claims.rank:
            _patiently(lambda: _index(engine, settings), lambda: signals.stopping)
        say(f"{claim.submission} {claim.name}: {ending.func.__name__.replace('_', ' ')}")
    except ClaimLost:
        say(f"{claim.submission}: taken away from this worker")


def _index(engine: sa.Engine, settings: Settings) -> None:
    for place, why in store.ingest(engine, settings.bundle_root).failed:
        say(f"refused {place}: {why}")


def _run(engine: sa.Engine, claim: Claim, settings: Settings, options: Options, told: "Log") -> str:
    """Train, score and measure every run of a submission; gives back the summary.

    Raises:
        Unfit: if the submission cannot be run, or its training diverges.
        RunError: if this machine cannot do it.
        ClaimLost: if the submission is no longer this worker's.
    """
    experiments = _planned(claim, settings, options)
    count = len(experiments)
    finished = sum(completed(settings.bundle_root, e) for e in experiments)
    _patiently(lambda: claims.plan(engine, claim, [e.run for e in experiments], finished))
    told.add(f"{count} runs, {finished} of them finished before")
    folders: list[Path] = []

    def on_epoch(experiment: Experiment, epoch: int) -> None:
        told.add(f"{experiment.split} seed {experiment.seed}: epoch {epoch} of {experiment.protocol.budget.epochs}")

    with closing(execute(experiments, settings, options.backend, on_epoch, options.gpus)) as outcomes:
        for outcome in outcomes:
            said = _ended(outcome)
            told.add(said)
            folders.append(outcome.place)
            _patiently(partial(claims.progress, engine, claim, len(folders), count, said, told.tail()))
    measured = _measured(folders, experiments[0].protocol, settings, options, told)
    try:
        for folder in folders:
            read_bundle(folder)
    except BundleError as error:
        raise RunError(f"{folder}: {error}") from None
    summary = f"{count} runs scored{measured}"
    _patiently(lambda: claims.score(engine, claim, summary, told.tail()))
    return summary


def _planned(claim: Claim, settings: Settings, options: Options) -> list[Experiment]:
    spec, problems = read(claim.spec)
    if spec is None:
        raise Unfit("; ".join(map(str, problems)))
    try:
        protocol = ProtocolSpec.model_validate_json(claim.protocol_spec)
        experiments, skipped = plan([spec], protocol, settings, device=device(options.backend, options.gpus))
    except SpecError as error:
        raise Unfit(str(error)) from None
    if skipped:
        raise Unfit(f"it cannot take part: {skipped[spec.name]}")
    return experiments


def _ended(outcome: Outcome) -> str:
    """How a run ended, in words.

    Raises:
        RunError, Unfit: if it did not end well.
    """
    experiment = outcome.experiment
    name = f"{experiment.split} seed {experiment.seed}"
    if outcome.place is None:
        raise RunError(f"{name}: {outcome.error}")
    manifest = json.loads((outcome.place / "manifest.json").read_text(encoding="utf-8"))
    if manifest["status"] != "completed":
        raise Unfit(f"{name}: {manifest['reason']}")
    return f"{name}: {manifest['epochs']} epochs, {manifest['seconds']['fit']:.0f} s"


def _measured(folders: list[Path], protocol: ProtocolSpec, settings: Settings, options: Options, told: "Log") -> str:
    """Measure the runs by the suite of their protocol, where there is one."""
    suite = suites().get(protocol.key)
    if suite is None:
        return ""
    waiting = [folder for folder in folders if not evaluated(folder, suite)]
    with closing(measure(waiting, settings, options.backend, options.gpus)) as ended:
        for folder, error in ended:
            if error:
                raise RunError(f"{folder.name} was not measured: {error}")
            told.add(f"{folder.name} is measured")
    return f", measured by {suite.key}"


class Log:
    """The last lines of the work: ours, and the warnings of every logger. All may read it, so places are left out."""

    def __init__(self, settings: Settings):
        self._lines: deque[str] = deque(maxlen=LINES)
        places = {str(getattr(settings, name)): f"<{name}>" for name in SETTINGS}
        places |= {str(ROOT): "<fuseboard>", sys.prefix: "<python>", str(Path.home()): "~"}
        # The longest first: one place may lie inside another.
        self._places = sorted(((p, n) for p, n in places.items() if len(p) > 5), key=lambda item: -len(item[0]))
        self._handler = logging.Handler(logging.WARNING)
        self._handler.emit = lambda record: self.add(record.getMessage())

    def __enter__(self) -> "Log":
        logging.getLogger().addHandler(self._handler)
        return self

    def __exit__(self, *_) -> None:
        logging.getLogger().removeHandler(self._handler)

    def add(self, line: str) -> None:
        """With the time of day, UTC."""
        self._lines.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {self.public(line)}")

    def public(self, text: str) -> str:
        """Without the folders and addresses of this machine."""
        for place, name in self._places:
            text = text.replace(place, name)
        return text

    def tail(self) -> str:
        """All that is kept."""
        return "\n".join(self._lines)


class Signals:
    """SIGTERM and SIGINT as `Stopped`, raised where the work may be left; later, where it may not."""

    def __init__(self):
        self.stopping = False
        self._held = self._listening = False

    def __enter__(self) -> "Signals":
        answers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGUSR1: self._take}
        self._before = {number: signal.signal(number, answer) for number, answer in answers.items()}
        return self

    def __exit__(self, *_) -> None:
        for number, answer in self._before.items():
            signal.signal(number, answer)

    def check(self) -> None:
        """Raise what was held back."""
        if self.stopping:
            raise Stopped

    def stop(self) -> None:
        """The next check ends the worker."""
        self.stopping = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal waits for the next check."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Signals raise at once inside, and are held again after it."""
        self._held = False
        try:
            self.check()
            yield
        finally:
            self._held = True

    @contextmanager
    def listening(self) -> Iterator[Callable[[], None]]:
        """Gives a function by which another thread raises `Taken` in this one."""
        self._listening = True
        here = threading.get_ident()
        try:
            yield lambda: signal.pthread_kill(here, signal.SIGUSR1)
        finally:
            self._listening = False

    def _stop(self, *_) -> None:
        self.stopping = True
        if not self._held:
            raise Stopped

    def _take(self, *_) -> None:
        if self._listening:
            self._listening = False
            raise Taken


@contextmanager
def _heartbeat(engine: sa.Engine, claim: Claim, every: float, signals: Signals) -> Iterator[None]:
    """Tell the database that this worker is alive; raise `Taken` in the main thread if the claim is gone."""
    ended = threading.Event()
    with signals.listening() as take_away:

        def beat() -> None:
            while not ended.wait(every):
                try:
                    claims.beat(engine, claim)
                except ClaimLost:
                    take_away()
                    return
                except StoreError as error:  # it may be back before the lease is over
                    log.warning("no heartbeat: %s", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
    thread.join()


def _patiently(call: Callable[[], Answer], hurried: Callable[[], bool] = lambda: False) -> Answer:
    return patiently(call, PATIENCE, hurried)
