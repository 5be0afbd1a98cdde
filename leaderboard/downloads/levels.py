"""LEVELS: what the rows of a download are. They come in pieces, so that a million never lie in memory at once.

Only what the board shows goes in: current runs, and of those that were measured by another version of the suite than
most, only the protocol's own scores.
"""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow import parquet

from leaderboard import queries
from leaderboard.store import records, reporting, runs
from protocols.corruptions import Condition, parse_condition
from protocols.record import FIELDS, KEY
from protocols.spec import ProtocolSpec, committed

RUNS_AT_ONCE = 100
CLEAN = "clean"


class ExportError(ValueError):
    """Nothing to export, or not in this way: what is accepted, what to do."""


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        protocol: ``name@version``.
        roots: bundle roots, for what the store does not hold.
    """

    engine: sa.Engine
    protocol: str
    roots: Sequence[Path] = ()
    _cells: dict[str, pa.Table] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def current(self) -> pd.DataFrame:
        """Runs that the board shows, sorted by id.

        Raises:
            ExportError: if there are none.
        """
        kept, _ = queries.current_runs(self.engine, self.protocol)
        if kept.empty:
            raise ExportError(
                f"No results of {self.protocol} in the store. Run: fuseboard run <method> --protocol {self.protocol}, "
                "then: fuseboard ingest"
            )
        return kept.sort_values("run", ignore_index=True)

    @property
    def newest(self) -> str:
        """When the last of the runs ended."""
        return self.current["created"].max()

    @cached_property
    def spec(self) -> ProtocolSpec:
        """The protocol.

        Raises:
            ExportError: if it has no results.
        """
        if self.protocol in committed() and len(self.current):
            return committed()[self.protocol]
        return queries.protocols(self.engine)[self.protocol]

    @cached_property
    def otherwise_measured(self) -> frozenset[str]:
        """Runs of which only the protocol's own scores count."""
        return frozenset(queries.measured_by_another_suite(self.engine, self.current))

    def records(self, ids: Sequence[str]) -> pa.Table:
        """Records of some runs, sorted by their key."""
        # No protocol in the query: a database that went by it would read all its rows for each handful of runs.
        query = sa.select(*(records.c[name] for name in FIELDS)).where(records.c.run.in_(ids))
        query = query.order_by(*(_bytewise(self.engine, records.c[name]) for name in KEY))
        with reporting(self.engine.url), self.engine.connect() as connection:
            columns = list(zip(*connection.execute(query).all(), strict=True)) or [()] * len(FIELDS)
        schema = LEVELS["seeds"].schema
        arrays = [pa.array(values, type) for values, type in zip(columns, schema.types, strict=True)]
        return self._counted(pa.Table.from_arrays(arrays, schema=schema))

    def cells(self, method: str) -> pa.Table:
        """The cells of a method, kept: they are few, and several formats and the curves are made of them."""
        if method not in self._cells:
            ids = self.current.loc[self.current["method"] == method, "run"].tolist()
            parts = [self.records(ids[start : start + RUNS_AT_ONCE]) for start in range(0, len(ids), RUNS_AT_ONCE)]
            self._cells[method] = cells_of(pa.concat_tables(parts))
        return self._cells[method]

    def _counted(self, table: pa.Table) -> pa.Table:
        """Without records of other protocols, and of measurements that do not count."""
        counts = pc.equal(table["protocol"], self.protocol)
        if self.otherwise_measured:
            metric = pc.list_element(pc.split_pattern(table["metric"], "/", max_splits=1), 0)
            own = pc.and_(_among(table["condition"], self.spec.conditions), _among(metric, self.spec.metrics))
            counts = pc.and_(counts, pc.or_(own, pc.invert(_among(table["run"], self.otherwise_measured))))
        return table.filter(counts)


def _bytewise(engine: sa.Engine, column: sa.Column) -> sa.ColumnElement:
    """For an order that is the same on every database; SQLite's index has it already."""
    return sa.collate(column, "C") if engine.dialect.name == "postgresql" else column


def _among(column: pa.ChunkedArray, names: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(sorted(names), pa.string()))


@dataclass(frozen=True)
class Level:
    """One kind of row.

    Args:
        columns: name -> its type and what it means, in order; samples have labels and scores after them.
        key: columns that no two rows share.
        tables: the rows in pieces, each of one schema; sorted, and the pieces in order.
    """

    name: str
    title: str
    columns: Mapping[str, tuple[pa.DataType, str]]
    key: tuple[str, ...]
    tables: Callable[[Source], Iterator[pa.Table]]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, type) for name, (type, _) in self.columns.items()])

    def meaning(self, column: str) -> str:
        """What a column means."""
        if column in self.columns:
            return self.columns[column][1]
        kind, _, number = column.partition("_")
        return ANSWERS[kind].format(number)


def level_for(name: str) -> Level:
    """The level that a person names.

    Raises:
        ExportError: naming the nearest and all levels.
    """
    if name not in LEVELS:
        near = get_close_matches(name, LEVELS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ExportError(f"No level {name!r}.{hint} Known: {', '.join(LEVELS)}.")
    return LEVELS[name]


def _seeds(source: Source) -> Iterator[pa.Table]:
    ids = source.current["run"].tolist()
    for start in range(0, len(ids), RUNS_AT_ONCE):
        yield source.records(ids[start : start + RUNS_AT_ONCE])


def _cells(source: Source) -> Iterator[pa.Table]:
    for method in sorted(set(source.current["method"])):
        yield source.cells(method)


def cells_of(seeds: pa.Table) -> pa.Table:
    """Means with intervals, from rows of the level ``seeds`` of one protocol."""
    columns = ["protocol", *queries.CELL, "seed", "value", "origin"]
    frame = seeds.select(columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    frame = frame[frame["origin"] == "measured"]
    found = queries.cells(frame).assign(protocol=frame["protocol"].iloc[0] if len(frame) else "")
    found = found[list(LEVELS["cells"].columns)].sort_values(list(LEVELS["cells"].key))
    return pa.Table.from_pandas(found, LEVELS["cells"].schema, preserve_index=False)


def _curves(source: Source) -> Iterator[pa.Table]:
    for table in _cells(source):
        yield curves_of(table, source.spec.metrics)


def curves_of(cells: pa.Table, metrics: Collection[str]) -> pa.Table:
    """Scores over the severities of each sweep, and on clean input, from rows of the level ``cells``.

    A condition without a severity, such as a missing stream, belongs to no sweep.

    Args:
        metrics: those of the protocol.
    """
    scores = [row for row in cells.to_pylist() if row["metric"] in metrics]
    clean = {_whose(row): row for row in scores if row["condition"] == CLEAN}
    rows = {}
    for row in scores:
        condition = _condition(row["condition"])
        if condition is None or condition.severity is None:
            continue
        sweep = row["condition"].rpartition("/")[0]
        for at, point, unit in (
            (condition.severity, row, condition.unit),
            (None, clean.get(_whose(row)), None),
        ):
            if point is not None:
                found = {**point, "sweep": sweep, "severity": at, "unit": unit}
                rows[tuple(found[name] for name in LEVELS["curves"].key)] = found
    order = ("protocol", "method", "split", "metric", "sweep")
    ordered = sorted(  # clean input first
        rows.values(),
        key=lambda row: (*(row[name] for name in order), row["severity"] is not None, row["severity"] or 0.0),
    )
    return pa.Table.from_pylist(ordered, LEVELS["curves"].schema)


def _whose(row: Mapping) -> tuple:
    return row["method"], row["split"], row["metric"]


@cache
def _condition(text: str) -> Condition | None:
    """None for a condition that this version does not know; it stays among cells and seeds."""
    try:
        return parse_condition(text)
    except ValueError:
        return None


def _samples(source: Source) -> Iterator[pa.Table]:
    """Predictions of each run, read from its bundle."""
    kept = source.current["run"].tolist()
    places = _prediction_files(source, kept)
    for run in kept:
        told = places[run]
        try:
            content = told["path"].read_bytes()
        except OSError as error:
            raise ExportError(f"{told['path']} cannot be read: {error.strerror}.") from None
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise ExportError(
                f"{told['path']} was altered or cut short: its SHA-256 is not that of the manifest. Restore it, or "
                "remove the folder and run the method again."
            )
        table = parquet.read_table(io.BytesIO(content), use_threads=False)
        schema = LEVELS["samples"].schema
        whose = {name: pa.repeat(told[name], len(table)) for name in ("run", "method", "protocol", "split", "seed")}
        columns = {name: whose[name] if name in whose else table[name] for name in schema.names}
        columns |= {name: table[name] for name in table.column_names if name not in columns}
        yield pa.table(columns).sort_by([(name, "ascending") for name in LEVELS["samples"].key])


def _prediction_files(source: Source, ids: Sequence[str]) -> dict[str, dict]:
    """Of each run its file of predictions, that file's sum, and whose run it is.

    Raises:
        ExportError: if a bundle is not below any root.
    """
    found, absent = {}, []
    names = ("run", "method", "protocol", "split", "seed", "bundle", "manifest")
    with reporting(source.engine.url), source.engine.connect() as connection:
        for start in range(0, len(ids), RUNS_AT_ONCE):
            some = runs.c.run.in_(ids[start : start + RUNS_AT_ONCE])
            for row in connection.execute(sa.select(*(runs.c[name] for name in names)).where(some)).mappings():
                sums = json.loads(row["manifest"])["files"]
                path = _first([Path(root) / row["bundle"] / "predictions.parquet" for root in source.roots])
                if path is None or path.name not in sums:
                    absent.append(row["bundle"])
                else:
                    found[row["run"]] = {**row, "path": path, "sha256": sums[path.name]}
    if absent:
        raise ExportError(
            f"The predictions of {len(absent)} of {len(ids)} runs are not here, the first: {min(absent)}. Bundle "
            f"roots: {', '.join(map(str, source.roots)) or 'none'}. Set FUSEBOARD_BUNDLE_ROOT to the folder that holds "
            "them."
        )
    return found


def _first(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


S, N, X = pa.string(), pa.int64(), pa.float64()
WHO = {
    "run": (S, "id of the run: a hash of method, protocol, data, code and seed"),
    "method": (S, "name of the method spec, for example mult-paper"),
    "protocol": (S, "name@version of the protocol; numbers of two protocols are never comparable"),
    "split": (S, "test, or test/fold3 where the protocol has folds"),
    "condition": (S, "what was done to the test input: clean, audio/white_noise/-5dB, video/missing"),
    "metric": (
        S,
        "what was computed; what follows a slash qualifies it: /majority_class is what always answering the most "
        "frequent class of the scored items would reach, /mean_target always their mean",
    ),
    "seed": (N, "of the initial weights and the order of the examples; empty for published numbers"),
}
RECORD = {
    **WHO,
    "value": (X, "in the metric's own unit; fractions are in [0, 1], never percent"),
    "n": (N, "scored examples (or steps) behind the value"),
    "origin": (S, "measured here, or published in a paper"),
    "source": (S, "hash of the code that measured it; paper, table and row where published"),
    "created": (S, "when the run ended, ISO 8601, UTC"),
}
WHICH = {name: WHO[name] for name in ("protocol", "method", "condition", "metric")}
WHICH["split"] = (S, "test; runs of all folds stand behind one mean")
MEAN = {
    "mean": (X, "of the values of n runs, in the metric's own unit"),
    "low": (X, "lower end of the 95% t interval of the mean over runs; empty for one run"),
    "high": (X, "upper end of that interval"),
    "n": (N, "runs (seeds or folds) behind the mean"),
}
CURVE = {
    "sweep": (S, "which stream, and what was done to it: audio/white_noise"),
    "severity": (X, "how much of it, a physical quantity; empty on clean input, with which every sweep begins"),
    "unit": (S, "of the severity; of dB (signal to noise), Hz and quality less is harsher, of all others more"),
}
SAMPLE = {
    "id": (S, "of the example, as the data set names it"),
    "step": (N, "within the example, where each step is labelled; else 0"),
}
ANSWERS = {  # columns of samples that depend on the task
    "label": "what the data set says: a class, or of several targets number {}",
    "prediction": "class with the highest score",
    "score": "what the model gives class or target {}; of classes larger is likelier, it is no probability",
}
CELL = ("protocol", *queries.CELL)


def _columns(told: Mapping, *names: str) -> dict:
    return {name: told[name] for name in names}


LEVELS = {
    level.name: level
    for level in (
        Level("seeds", "every record of every run", _columns(RECORD, *FIELDS), KEY, _seeds),
        Level("cells", "means with intervals", _columns(WHICH | MEAN, *CELL, *MEAN), CELL, _cells),
        Level(
            "samples",
            "predictions for every test example",
            _columns(WHO | SAMPLE, "run", "method", "protocol", "split", "seed", "condition", *SAMPLE),
            ("run", "condition", "id", "step"),
            _samples,
        ),
        Level(
            "curves",
            "robustness over severities",
            _columns(WHICH | CURVE | MEAN, *CELL[:3], "metric", *CURVE, "condition", *MEAN),
            ("protocol", "method", "split", "metric", "sweep", "condition"),
            _curves,
        ),
    )
}
