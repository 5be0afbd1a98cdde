"""A published table, recomputed cell by cell: which runs it takes, and what they say of each of its numbers."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protocols.metrics import metric
from protocols.paper import TRIVIAL, Cell, Claim, Pair, Paper, Table, gain, replicas
from protocols.record import Record, read_jsonl
from protocols.spec import ProtocolSpec, committed
from protocols.statistics import Interval, t_interval
from protocols.verdict import NOT_COMPARABLE, Judged, compare, judge
from runners import trial
from runners.backends import OnEpoch, execute
from runners.brought import here
from runners.experiment import Experiment
from runners.papers_cli import method_spec
from runners.settings import Settings
from runners.trial import Progress, plan, silent
from zoo.spec import MethodSpec

# What chose the epoch whose number is read. The first one gives the verdict; the last one leaks.
BY_LOSS, BY_SCORE, BY_TEST = "validation loss", "validation score", "test score"


@dataclass(frozen=True)
class Footing:
    """One rule under which a cell is recomputed.

    Args:
        rule: BY_LOSS, BY_SCORE or BY_TEST. The last explains a gap and is no reproduction by itself.
        suffix: of the metric in the runs' records.
    """

    rule: str
    protocol: str
    suffix: str = ""


@dataclass
class Rerun:
    """One cell, trained with one preset.

    Args:
        preset: as the cell's run names it.
        spec: what is trained: the preset with the cell's settings and modality set.
        footings: the rules under which its number is read; the first does not leak.
        reported, tolerance: of the cell, in the metric's unit.
        waiting: ids of runs that are still to come.
        values: footing -> (seed, fold) -> our number, in the metric's unit.
        epochs: footing -> (seed, fold) -> the epoch that it was read at.
        failed: reasons of runs that did not end.
    """

    preset: str
    spec: MethodSpec
    footings: tuple[Footing, ...]
    reported: float
    tolerance: float
    waiting: set[str] = field(default_factory=set)
    values: dict[Footing, dict[tuple[int, int], float]] = field(default_factory=dict)
    epochs: dict[Footing, dict[tuple[int, int], int]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def numbers(self, rule: str = BY_LOSS) -> dict[tuple[int, int], float]:
        """(seed, fold) -> our number, in the order of the seeds; empty while runs are still to come."""
        found = next((values for footing, values in self.values.items() if footing.rule == rule), {})
        return {} if self.waiting else {key: found[key] for key in sorted(found)}

    def read_at(self, rule: str) -> list[int]:
        """The epochs that a rule chose, one a run."""
        return [epoch for footing, epochs in self.epochs.items() if footing.rule == rule for epoch in epochs.values()]

    def judged(self, rule: str = BY_LOSS) -> Judged | None:
        """The verdict on the published number, once every run has ended; None where nothing was measured."""
        values = [*self.numbers(rule).values()]
        return judge(values, self.reported, self.tolerance) if values else None

    def between(self, first: str, second: str) -> Interval | None:
        """What the second rule gives above the first, run by run, with its 95 % t interval."""
        one, other = self.numbers(first), self.numbers(second)
        return t_interval([other[key] - one[key] for key in one]) if one and one.keys() == other.keys() else None


@dataclass
class Outcome:
    """One cell and everything that our runs said of it.

    Args:
        reruns: the first one's verdict is the cell's, the others explain a gap; empty for a cell that is not run.
        trivial: key of TRIVIAL -> what that answer scores on the same items.
        items: test items behind each number.
    """

    cell: Cell
    reruns: list[Rerun] = field(default_factory=list)
    trivial: dict[str, float] = field(default_factory=dict)
    items: int = 0

    @property
    def pending(self) -> bool:
        """Whether runs are still to come."""
        return any(rerun.waiting for rerun in self.reruns)

    def under(self, rule: str) -> Judged | None:
        """The verdict of the first rerun under a rule."""
        return self.reruns[0].judged(rule) if self.reruns else None

    @property
    def main(self) -> Judged | None:
        """Under the rule that gives the verdict."""
        return self.under(BY_LOSS)

    @property
    def leaking(self) -> Judged | None:
        """With the epoch chosen on the test part."""
        return self.under(BY_TEST)

    @property
    def verdict(self) -> str:
        """The word for this cell."""
        return self.main.verdict if self.main else NOT_COMPARABLE

    @property
    def beaten(self) -> list[str]:
        """The trivial answers that the published number does not beat."""
        return [name for name, score in self.trivial.items() if self._above(self.cell.value, score) <= 0]

    @property
    def below(self) -> list[str]:
        """The trivial answers that our mean does not beat."""
        return [name for name, score in self.trivial.items() if self.main and self._above(self.main.mean, score) <= 0]

    def _above(self, value: float, score: float) -> float:
        return score - value if self.cell.column.direction == "lower" else value - score

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, as far as runs and paper say."""
        failed = list(dict.fromkeys(f"a run failed: {reason}" for rerun in self.reruns for reason in rerun.failed))
        if self.main is None:
            return "; ".join(failed) or self.cell.reason or "not among the rows that were asked for"
        said = [self.main.reason]
        if self.leaking and self.leaking.verdict != self.main.verdict:
            said.append(f"with the epoch chosen on the test part: {self.leaking.verdict}")
        said += [f"the published number does not beat the trivial answer: {TRIVIAL[name]}" for name in self.beaten]
        if self.cell.finding:
            said.append(self.cell.finding.says)
        return "; ".join(said + failed)


@dataclass
class Reproduction:
    """What one call is about: the runs that it takes, and which cells each of them serves."""

    paper: Paper
    table: Table
    outcomes: list[Outcome]
    experiments: list[Experiment]

    @property
    def runnable(self) -> list[Outcome]:
        """Cells that are recomputed here, in printed order."""
        return [outcome for outcome in self.outcomes if outcome.reruns]

    def served(self, run: str) -> Iterator[tuple[Outcome, Rerun]]:
        """What waits for a run."""
        return ((o, rerun) for o in self.runnable for rerun in o.reruns if run in rerun.waiting)


def footings(paper: Paper, cell: Cell) -> tuple[Footing, ...]:
    """The rules for one cell: from a replica, whose one training serves both, else the row's own protocol."""
    for key in replicas(paper, cell.run):
        if committed()[key].leaks:
            by_loss = Footing(BY_LOSS, key, f"/{trial.BY_LOSS}")
            return by_loss, Footing(BY_SCORE, key, f"/{trial.BY_METRIC}"), Footing(BY_TEST, key)
    return (Footing(BY_LOSS, cell.run.protocol),)


def prepare(
    paper: Paper,
    table: Table,
    settings: Settings,
    *,
    seeds: int,
    rows: Sequence[str] = (),
    also: bool = False,
    device: str | None = None,
    progress: Progress = silent,
) -> Reproduction:
    """Find the runs that a table takes.

    Args:
        rows: only rows whose name contains one of these, upper or lower case.
        also: the further presets that a row names, too.
        device: "cpu" or "cuda"; what this machine has if not given.

    Raises:
        DataError: if the data are not there or not what they should be.
    """
    wanted = [word.lower() for word in rows]
    outcomes = [Outcome(cell) for cell in table.cells]
    specs: dict[str, list[MethodSpec]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        if here(cell, settings.data_root) and _named(cell, wanted):
            presets = (cell.run.method, *(cell.run.also if also else ()))
            outcome.reruns = [_rerun(paper, cell, preset) for preset in presets]
            for rerun in outcome.reruns:
                known = specs.setdefault(rerun.footings[0].protocol, [])
                known += [rerun.spec] if rerun.spec not in known else []
    experiments: list[Experiment] = []
    for key, methods in specs.items():
        experiments += plan(methods, committed()[key], settings, seeds=seeds, device=device, progress=progress)[0]
    for outcome in outcomes:
        for rerun in outcome.reruns:
            asked = (rerun.spec, rerun.footings[0].protocol)
            rerun.waiting = {e.run for e in experiments if (e.method, e.protocol.key) == asked}
    return Reproduction(paper, table, outcomes, experiments)


def _named(cell: Cell, wanted: Sequence[str]) -> bool:
    return not wanted or any(word in cell.row.heading.lower() for word in wanted)


def _rerun(paper: Paper, cell: Cell, preset: str) -> Rerun:
    settings = cell.run.settings if preset == cell.run.method else {}
    spec = method_spec(preset, settings, cell.modalities)
    return Rerun(preset, spec, footings(paper, cell), cell.value, cell.tolerance)


def recompute(
    reproduction: Reproduction, settings: Settings, backend: str, on_epoch: OnEpoch, gpus: float | None = None
) -> Iterator[tuple[Experiment, Path | None, list[Outcome]]]:
    """Do the runs; after each yield it, its bundle, and the cells that are finished with it.

    What ran before is not repeated, so a call that was killed goes on where it was.

    Args:
        gpus: share of a GPU for each Ray task, if the runs are for GPUs; a whole one by default.
    """
    for done in execute(reproduction.experiments, settings, backend, on_epoch, gpus):
        manifest = _manifest(done.place) if done.place else {"status": "failed", "reason": done.error}
        completed = manifest["status"] == "completed"
        records = _records(done.place, manifest) if completed else None
        epochs = _epochs(done.place, manifest) if completed else {}
        finished = []
        for outcome, rerun in list(reproduction.served(done.experiment.run)):
            rerun.waiting.discard(done.experiment.run)
            if records is None:
                rerun.failed.append(manifest["reason"])
            else:
                _read(done.experiment, records, epochs, manifest.get("undefined", []), outcome, rerun)
            if not outcome.pending:
                finished.append(outcome)
        yield done.experiment, done.place, finished


def _read(
    experiment: Experiment,
    records: Mapping[str, Record],
    epochs: Mapping[str, int],
    undefined: list[dict[str, str]],
    outcome: Outcome,
    rerun: Rerun,
) -> None:
    scored, place = outcome.cell.column.metric, (experiment.seed, experiment.fold or 0)
    for footing in rerun.footings:
        name = f"{scored}{footing.suffix}"
        if name in records:
            rerun.values.setdefault(footing, {})[place] = records[name].value
            rerun.epochs.setdefault(footing, {})[place] = epochs[footing.rule]
            outcome.items = records[name].n
        else:
            why = next(row["reason"] for row in undefined if row["metric"] == name)
            rerun.failed.append(f"{name} is undefined with seed {experiment.seed}: {why}")
    there = {name: records[f"{scored}/{name}"].value for name in TRIVIAL if f"{scored}/{name}" in records}
    outcome.trivial |= there


def _manifest(place: Path) -> dict:
    return json.loads((place / "manifest.json").read_text(encoding="utf-8"))


def _epochs(place: Path, manifest: dict) -> dict[str, int]:
    """Rule -> the epoch that it chose; the first of equals."""
    name = f"validation_{manifest['protocol']['metrics'][0]}"
    lower = metric(manifest["protocol"]["metrics"][0]).higher_is_better is False
    with open(place / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scored = [row for row in rows if row[name]]
    losses = [row for row in rows if row["validation_loss"]]
    by_loss = min(losses, key=lambda row: float(row["validation_loss"]))
    by_score = max(scored, key=lambda row: float(row[name]) * (-1 if lower else 1)) if scored else rows[0]
    return {BY_LOSS: int(by_loss["epoch"]), BY_SCORE: int(by_score["epoch"]), BY_TEST: manifest["best_epoch"]}


def _records(place: Path, manifest: dict) -> Mapping[str, Record]:
    """Metric -> record under the primary condition."""
    primary = ProtocolSpec.model_validate(manifest["protocol"]).conditions[0]
    return {r.metric: r for r in read_jsonl(place / "records.jsonl") if r.condition == primary}


# ---------------------------------------------------------------------------------------------------- claims


@dataclass(frozen=True)
class Compared:
    """Two numbers of a claim: how much better the first is printed, and how much better it is in our runs.

    Args:
        ours: rule -> difference with its interval, and the word of ``protocols.verdict.compare``.
    """

    pair: Pair
    printed: float
    ours: Mapping[str, tuple[Interval, str]]


def compared(reproduction: Reproduction, claim: Claim) -> list[Compared]:
    """The pairs of a claim of which both numbers were recomputed."""
    table = reproduction.table
    outcomes = {(o.cell.row.heading, o.cell.column.title): o for o in reproduction.runnable}
    found = []
    for pair in claim.pairs:
        better, worse = (outcomes.get(place) for place in pair.places)
        if better is None or worse is None:
            continue
        ours = {}
        for rule in (BY_LOSS, BY_SCORE, BY_TEST):
            values = [o.reruns[0].numbers(rule) for o in (better, worse)]
            lower = better.cell.column.direction == "lower"
            if told := compare(*(values[::-1] if lower else values)):
                ours[rule] = told
        if ours:
            found.append(Compared(pair, gain(*(table.places[place] for place in pair.places)), ours))
    return found
