"""A published table, recomputed cell by cell: which runs it takes, and what they say of each of its numbers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protocols.paper import Cell, Paper, Table, replicas
from protocols.record import read_jsonl
from protocols.spec import ProtocolSpec, committed
from protocols.verdict import NOT_COMPARABLE, Judged, judge
from runners.brought import here
from runners.cluster import OnEpoch, execute
from runners.experiment import Experiment
from runners.papers_cli import method_spec
from runners.settings import Settings
from runners.trial import Progress, plan, silent
from zoo.spec import MethodSpec

VALIDATION, TEST = "validation-selected", "test-selected, as released"


@dataclass(frozen=True)
class Footing:
    """One rule under which a cell is recomputed.

    Args:
        suffix: of the metric in the runs' records.
        leaks: True where the epoch is chosen by its test score; explains a gap, is no reproduction by itself.
    """

    name: str
    protocol: str
    suffix: str = ""
    leaks: bool = False


@dataclass
class Outcome:
    """One cell and everything that our runs said of it.

    Args:
        judged: footing -> verdict; empty for a cell that was not run.
        trivial: what the majority class scores on the same items.
        runs: run ids behind it.
        failed: reasons of runs that did not end.
    """

    cell: Cell
    judged: dict[Footing, Judged] = field(default_factory=dict)
    trivial: float | None = None
    runs: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def main(self) -> Judged | None:
        """Under the rule that does not leak."""
        return next((judged for footing, judged in self.judged.items() if not footing.leaks), None)

    @property
    def verdict(self) -> str:
        """The word for this cell."""
        return self.main.verdict if self.main else NOT_COMPARABLE

    @property
    def leak(self) -> float | None:
        """How much choosing the epoch on the test part adds, in the metric's unit."""
        test = next((judged for footing, judged in self.judged.items() if footing.leaks), None)
        return None if test is None or self.main is None else test.mean - self.main.mean

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, as far as runs and paper say."""
        if self.main is None:
            return "; ".join(self.failed) or self.cell.reason
        said = [self.main.reason]
        test = next((judged for footing, judged in self.judged.items() if footing.leaks), None)
        if test is not None and test.verdict != self.main.verdict:
            said.append(f"with the epoch chosen on the test part: {test.verdict}")
        if self.trivial is not None and self.cell.value is not None and self.cell.value <= self.trivial:
            said.append("the published number does not beat the most frequent class")
        if self.cell.finding:
            said.append(self.cell.finding)
        return "; ".join(said + self.failed)


@dataclass
class Reproduction:
    """What one call is about: the runs it takes, and which cells each of them serves."""

    paper: Paper
    table: Table
    outcomes: list[Outcome]
    experiments: list[Experiment]
    serves: dict[str, list[tuple[Outcome, Footing]]]  # run id -> what it is for
    waiting: dict[int, set[str]]  # id() of an outcome -> runs that it still waits for

    @property
    def runnable(self) -> list[Outcome]:
        """Cells that are recomputed here, in printed order."""
        return [outcome for outcome in self.outcomes if id(outcome) in self.waiting]


def footings(paper: Paper, cell: Cell) -> tuple[Footing, ...]:
    """The rules for one cell: from a replica, whose one training serves both, else the row's own protocol."""
    for key in replicas(paper, cell.run):
        if committed()[key].leaks:
            return Footing(VALIDATION, key, "/validation_selected"), Footing(TEST, key, leaks=True)
    return (Footing(VALIDATION, cell.run.protocol),)


def prepare(
    paper: Paper,
    table: Table,
    settings: Settings,
    *,
    seeds: int,
    rows: Sequence[str] = (),
    progress: Progress = silent,
) -> Reproduction:
    """Find the runs that a table takes.

    Args:
        rows: only rows whose name contains one of these, upper or lower case.

    Raises:
        DataError: if the data are not there or not what they should be.
    """
    wanted = [w.lower() for w in rows]
    outcomes = [Outcome(cell) for cell in table.cells]
    root = settings.data_root
    chosen = [outcome for outcome in outcomes if here(outcome.cell, root) and _named(outcome.cell, wanted)]
    methods: dict[str, dict[str, MethodSpec]] = {}
    for outcome in chosen:
        spec = _spec(outcome.cell)
        for footing in footings(paper, outcome.cell):
            methods.setdefault(footing.protocol, {})[spec.name] = spec
    experiments: list[Experiment] = []
    for key, specs in methods.items():
        found, _ = plan(list(specs.values()), committed()[key], settings, seeds=seeds, progress=progress)
        experiments += found
    found = Reproduction(paper, table, outcomes, experiments, {}, {})
    for outcome in chosen:
        name = _spec(outcome.cell).name
        for footing in footings(paper, outcome.cell):
            for experiment in experiments:
                if (experiment.method.name, experiment.protocol.key) == (name, footing.protocol):
                    found.serves.setdefault(experiment.run, []).append((outcome, footing))
                    found.waiting.setdefault(id(outcome), set()).add(experiment.run)
    return found


def _named(cell: Cell, wanted: Sequence[str]) -> bool:
    return not wanted or any(word in cell.row.heading.lower() for word in wanted)


def _spec(cell: Cell) -> MethodSpec:
    return method_spec(cell.run.method, cell.run.settings, cell.modalities)


def recompute(
    reproduction: Reproduction, settings: Settings, backend: str, on_epoch: OnEpoch
) -> Iterator[tuple[Experiment, Path | None, list[Outcome]]]:
    """Do the runs; after each yield it, its bundle, and the cells that are finished with it.

    What ran before is not repeated, so a call that was killed goes on where it was.
    """
    values: dict[tuple[int, Footing], list[float]] = {}
    for done in execute(reproduction.experiments, settings, backend, on_epoch):
        run, finished = done.experiment.run, []
        scores = _scores(done.place) if done.place else None
        for outcome, footing in reproduction.serves[run]:
            reproduction.waiting[id(outcome)].discard(run)
            if run not in outcome.runs:
                outcome.runs.append(run)
            if scores is None:
                _failed(outcome, done.error or _manifest(done.place)["reason"])
            else:
                name = f"{outcome.cell.column.metric}{footing.suffix}"
                values.setdefault((id(outcome), footing), []).append(scores[name])
                outcome.trivial = scores.get(f"{outcome.cell.column.metric}/majority_class", outcome.trivial)
            if not reproduction.waiting[id(outcome)] and outcome not in finished:
                finished.append(outcome)
        for outcome in finished:
            for footing in footings(reproduction.paper, outcome.cell):
                if got := values.get((id(outcome), footing)):
                    outcome.judged[footing] = judge(got, outcome.cell.value, outcome.cell.tolerance)
        yield done.experiment, done.place, finished


def _failed(outcome: Outcome, reason: str) -> None:
    if (said := f"a run failed: {reason}") not in outcome.failed:
        outcome.failed.append(said)


def _manifest(place: Path) -> dict:
    return json.loads((place / "manifest.json").read_text(encoding="utf-8"))


def _scores(place: Path) -> Mapping[str, float] | None:
    """Metric -> value under the primary condition; None for a run that failed."""
    manifest = _manifest(place)
    if manifest["status"] != "completed":
        return None
    primary = ProtocolSpec.model_validate(manifest["protocol"]).conditions[0]
    return {r.metric: r.value for r in read_jsonl(place / "records.jsonl") if r.condition == primary}
