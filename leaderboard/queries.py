"""What the board, the command line and the downloads ask of the store: a few rows each, never the whole table.

Only *current* runs count. Runs whose protocol or data differ are not comparable, and runs of one method
whose settings or code differ have no common mean: of each, the largest group is current, the newest where
two are equally large. What is set aside is counted and shown.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from pydantic import ValidationError

import zoo.spec
from leaderboard.store import evaluations, records, reporting, runs, test_openings
from leaderboard.store import undefined as undefined_table
from protocols.metrics import metric as metric_card
from protocols.spec import ProtocolSpec, committed
from protocols.statistics import rank_ranges, t_interval
from protocols.tasks import TASKS
from zoo import Method

CELL = ["method", "split", "condition", "metric"]
UNKNOWN = "not known"  # of a method that this version of the zoo lacks


@dataclass(frozen=True)
class Ranking:
    """The board of one protocol, metric and condition.

    Args:
        table: one row a method, best mean first: method, base, title, unimodal, stage (of fusion), attention,
            modalities (that it takes here), best and worst (ranks that the evidence leaves open), mean, low, high,
            n, parameters, fit_seconds (mean over runs), failed (runs), missing (runs that the protocol asks for
            and that are not there).
        majority: what the task's answer without a model reaches (always the most frequent class of the scored items),
            mean over runs.
        absent: method and reason, for those of the zoo without a row and those that only failed.
        set_aside: completed runs of other data, settings or code, which the table leaves out.
    """

    table: pd.DataFrame
    majority: float | None
    absent: pd.DataFrame
    set_aside: int


def protocols(engine: sa.Engine) -> dict[str, ProtocolSpec]:
    """Every protocol that was run, by key: as committed, else as the manifest of its newest run tells it.

    Without replicas that choose on the test part: they explain a gap in a report, and never rank.
    """
    found = {}
    for key in _frame(engine, sa.select(runs.c.protocol).distinct())["protocol"]:
        if key in committed():
            found[key] = committed()[key]
            continue
        newest = sa.select(runs.c.manifest).where(runs.c.protocol == key).order_by(runs.c.created.desc()).limit(1)
        told = json.loads(_frame(engine, newest)["manifest"].item())["protocol"]
        # Not validated: a board still shows a protocol whose fields have changed since.
        found[key] = ProtocolSpec.model_construct(**told)
    place = {key: index for index, key in enumerate(committed())}
    ranked = (key for key, spec in found.items() if not spec.leaks)
    return {key: found[key] for key in sorted(ranked, key=lambda key: (place.get(key, len(place)), key))}


def metrics(engine: sa.Engine, spec: ProtocolSpec) -> list[str]:
    """The protocol's own metrics that have a record, the primary one first."""
    return _recorded(engine, spec, records.c.metric, spec.metrics)


def conditions(engine: sa.Engine, spec: ProtocolSpec) -> list[str]:
    """The protocol's own conditions that have a record of its own metrics, the primary one first."""
    return _recorded(engine, spec, records.c.condition, spec.conditions)


def _recorded(engine: sa.Engine, spec: ProtocolSpec, column: sa.Column, wanted: Sequence[str]) -> list[str]:
    query = sa.select(column).where(
        records.c.protocol == spec.key,
        records.c.metric.in_(spec.metrics),
        records.c.condition.in_(spec.conditions),
    )
    found = set(_frame(engine, query.distinct())[column.name])
    return [name for name in wanted if name in found]


def current_runs(engine: sa.Engine, key: str) -> tuple[pd.DataFrame, int]:
    """Completed runs that a board of this protocol may show together, and how many others there are."""
    names = ("run", "method", "base", "split", "seed", "created", "parameters", "fit_seconds", "source")
    columns = [runs.c[name] for name in (*names, "comparison", "variant")]
    done = _frame(engine, sa.select(*columns).where(runs.c.protocol == key, runs.c.status == "completed"))
    kept = _largest(done.assign(one=""), "one", "comparison")
    kept = _largest(kept, "method", "variant").sort_values(["created", "run"])
    kept = kept.drop_duplicates(["method", "split", "seed"], keep="last")
    return kept[list(names)].sort_values(["method", "split", "seed"], ignore_index=True), len(done) - len(kept)


def seeds(engine: sa.Engine, spec: ProtocolSpec, metric: str, condition: str | None = None) -> pd.DataFrame:
    """Values of the current runs: run, method, split, condition, metric, seed, value, n.

    Args:
        condition: None for all of the protocol's own.
    """
    kept, _ = current_runs(engine, spec.key)
    named = (records.c.metric == metric, _among(spec.conditions if condition is None else (condition,)))
    return _values(engine, spec, named, kept)


def measured(
    engine: sa.Engine,
    spec: ProtocolSpec,
    metric_prefix: str | Sequence[str],
    condition: str | None = None,
    method: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """What evaluations found, columns as of `seeds`; a protocol's own scores are there under every condition, too.

    Runs that another version of the suite measured are left out: their numbers have no common mean.

    Args:
        metric_prefix: ``shapley`` gives ``shapley`` and ``shapley/audio``, never ``shapley_share``; or several.
        condition: None for all of them.
        method: or several; None for all of them.
    """
    kept = _same_suite(engine, current_runs(engine, spec.key)[0])
    named = [_named(records.c.metric, metric_prefix)]
    if condition is not None:
        named.append(_among((condition,)))
    if method is not None:
        named.append(records.c.method.in_((method,) if isinstance(method, str) else method))
    return _values(engine, spec, named, kept)


def undefined(engine: sa.Engine, spec: ProtocolSpec, metric_prefix: str | Sequence[str]) -> pd.DataFrame:
    """Why a metric has no value: method, condition, metric, reason, and the number of current runs that say so."""
    kept = _same_suite(engine, current_runs(engine, spec.key)[0])
    cell = [undefined_table.c[name] for name in ("method", "condition", "metric", "reason")]
    query = sa.select(undefined_table.c.run, *cell).where(
        undefined_table.c.protocol == spec.key, _named(undefined_table.c.metric, metric_prefix)
    )
    found = _frame(engine, query)
    found = found[found["run"].isin(kept["run"])]
    names = [column.name for column in cell]
    return found.groupby(names, as_index=False).agg(runs=("run", "nunique"))


def evaluated(engine: sa.Engine, spec: ProtocolSpec) -> pd.DataFrame:
    """The current runs that were measured: run, method, bundle, suite, code, created, manifest, evaluation (JSON)."""
    kept = _same_suite(engine, current_runs(engine, spec.key)[0])
    query = (
        sa.select(runs.c.run, runs.c.method, runs.c.bundle, *list(evaluations.c)[1:4])
        .add_columns(runs.c.manifest, evaluations.c.evaluation)
        .join(evaluations, evaluations.c.run == runs.c.run)
        .where(runs.c.protocol == spec.key)
    )
    found = _frame(engine, query)
    return found[found["run"].isin(kept["run"])].sort_values(["method", "run"], ignore_index=True)


def evaluated_bundles(engine: sa.Engine, spec: ProtocolSpec, most: int = 20) -> list[str]:
    """Where the bundles of some measured runs lie, below a bundle root."""
    query = sa.select(runs.c.bundle).join(evaluations, evaluations.c.run == runs.c.run)
    return _frame(engine, query.where(runs.c.protocol == spec.key).order_by(runs.c.run).limit(most))["bundle"].tolist()


def evaluated_methods(engine: sa.Engine, spec: ProtocolSpec) -> list[str]:
    """Names of the methods with a current run that was measured, sorted."""
    kept = _same_suite(engine, current_runs(engine, spec.key)[0])
    found = _frame(engine, sa.select(evaluations.c.run))["run"]
    return sorted(set(kept.loc[kept["run"].isin(found), "method"]))


def cells(values: pd.DataFrame) -> pd.DataFrame:
    """Means with a 95% t interval over runs: method, split (without its fold), condition, metric, mean, low, high, n.

    Args:
        values: as `seeds` gives them. Where there are folds the runs that count are folds, seeds of one
            fold being averaged first.
    """
    units = _per_unit(values)  # sorted, so that the units of one cell stand together
    which = units.index.droplevel("unit")
    first = np.flatnonzero(~which.duplicated())
    groups = np.split(units.to_numpy(), first[1:])
    # Thousands of cells: slices of one array cost a tenth of as many groups of a frame.
    rows = [(*cell, *t_interval(group)) for cell, group in zip(which[first], groups, strict=False)]
    return pd.DataFrame(rows, columns=[*CELL, "mean", "low", "high", "n"])


def by_unit(values: pd.DataFrame) -> pd.DataFrame:
    """A column a method, a row a fold, or a seed where there are no folds; NaN where a method has no such run.

    Args:
        values: as `seeds` gives them, of one metric and condition.
    """
    return _per_unit(values).reset_index().pivot(index="unit", columns="method", values="value")


def ranking(engine: sa.Engine, spec: ProtocolSpec, metric: str, condition: str) -> Ranking:
    """The board of one protocol, metric and condition, best first."""
    better = metric_card(metric).higher_is_better
    kept, set_aside = current_runs(engine, spec.key)
    constant = f"{metric}/{TASKS[spec.task].trivial}"
    named = (records.c.metric.in_((metric, constant)), _among((condition,)))
    both = _values(engine, spec, named, kept)
    values, majority = both[both["metric"] == metric], both.loc[both["metric"] == constant, "value"]
    failed = _failed(engine, spec.key)
    table = cells(values).drop(columns=CELL[1:]).set_index("method")
    per_method = kept.groupby("method")
    for name, how in (("base", "first"), ("parameters", "max"), ("fit_seconds", "mean")):
        table[name] = per_method[name].agg(how)
    table["failed"] = failed["method"].value_counts().reindex(table.index, fill_value=0)
    cards = _cards(engine, kept)
    table["title"] = [cards[name].title if name in cards else name for name in table.index]
    table["unimodal"] = [name in cards and len(cards[name].modalities) == 1 for name in table.index]
    table["stage"] = [cards[name].fusion_stage if name in cards else UNKNOWN for name in table.index]
    table["attention"] = [cards[name].attention if name in cards else UNKNOWN for name in table.index]
    table["modalities"] = [_taken(cards.get(name), spec) for name in table.index]
    table["missing"] = [_missing(spec, kept[kept["method"] == name]) for name in table.index]
    table["best"], table["worst"] = _ranks(values, better)
    table = table.sort_values("mean", ascending=better is False, kind="stable").reset_index()
    order = "method base title unimodal stage attention modalities best worst mean low high n".split()
    order += ["parameters", "fit_seconds", "failed", "missing"]
    said = float(majority.mean()) if len(majority) else None
    return Ranking(table[order], said, _absent(spec, table, kept, failed), set_aside)


def openings(engine: sa.Engine, key: str | None = None, method: str | None = None) -> pd.DataFrame:
    """How often a test split was opened: protocol, method, openings, runs."""
    count = sa.func.count
    query = sa.select(
        test_openings.c.protocol,
        test_openings.c.method,
        count().label("openings"),
        count(test_openings.c.run.distinct()).label("runs"),
    )
    for column, wanted in ((test_openings.c.protocol, key), (test_openings.c.method, method)):
        query = query if wanted is None else query.where(column == wanted)
    return _frame(
        engine, query.group_by(test_openings.c.protocol, test_openings.c.method).order_by("protocol", "method")
    )


def ledger(engine: sa.Engine, key: str, method: str | None = None, most: int = 1000) -> pd.DataFrame:
    """The newest openings of the test split of a protocol: opened, method, split, seed, run."""
    names = ("opened", "method", "split", "seed", "run")
    query = sa.select(*(test_openings.c[name] for name in names)).where(test_openings.c.protocol == key)
    if method is not None:
        query = query.where(test_openings.c.method == method)
    newest = query.order_by(test_openings.c.opened.desc(), *(test_openings.c[name] for name in names[1:]))
    return _frame(engine, newest.limit(most))


def methods(engine: sa.Engine) -> pd.DataFrame:
    """Every method that was run: method, base."""
    return _frame(engine, sa.select(runs.c.method, runs.c.base).distinct().order_by("method", "base"))


def runs_of(engine: sa.Engine, method: str, key: str) -> list[dict[str, Any]]:
    """Rows of a method's runs under a protocol, newest first, the manifest read."""
    query = sa.select(runs).where(runs.c.method == method, runs.c.protocol == key)
    with reporting(engine.url), engine.connect() as connection:
        found = connection.execute(query.order_by(runs.c.created.desc(), runs.c.split, runs.c.seed)).mappings().all()
    return [{**row, "manifest": json.loads(row["manifest"])} for row in found]


def newest_manifest(engine: sa.Engine, method: str) -> dict[str, Any] | None:
    """Manifest of a method's newest completed run, or of its newest failed one; None if it was never run."""
    query = sa.select(runs.c.manifest).where(runs.c.method == method)
    found = _frame(engine, query.order_by(runs.c.status, runs.c.created.desc()).limit(1))
    return json.loads(found["manifest"].item()) if len(found) else None


def history(roots: Sequence[Path], bundle: str) -> pd.DataFrame | None:
    """Learning curve of one run from the first root that holds its bundle; None where none does."""
    for root in roots:
        path = Path(root) / bundle / "history.csv"
        if path.is_file():
            return pd.read_csv(path)
    return None


def stamp(engine: sa.Engine) -> tuple[int | str | None, ...]:
    """Changes whenever runs or evaluations come in: what a cache of answers hangs on."""
    newest = [sa.select(sa.func.count(), sa.func.max(table.c.created)) for table in (runs, evaluations)]
    with reporting(engine.url), engine.connect() as connection:
        return tuple(part for query in newest for part in connection.execute(query).one())


def _frame(engine: sa.Engine, query: sa.Select) -> pd.DataFrame:
    with reporting(engine.url), engine.connect() as connection:
        result = connection.execute(query)
        # Plain tuples: pandas asks each row of SQLAlchemy for attributes that it lacks, which costs most of the time.
        return pd.DataFrame(list(map(tuple, result)), columns=list(result.keys()))


def _values(
    engine: sa.Engine, spec: ProtocolSpec, named: Sequence[sa.ColumnElement[bool]], kept: pd.DataFrame
) -> pd.DataFrame:
    columns = [records.c[name] for name in ("run", *CELL, "seed", "value", "n")]
    query = sa.select(*columns).where(records.c.protocol == spec.key, records.c.origin == "measured", *named)
    found = _frame(engine, query)
    return found[found["run"].isin(kept["run"])].sort_values([*CELL, "seed"], ignore_index=True)


def _among(conditions: Sequence[str]) -> sa.ColumnElement[bool]:
    return records.c.condition.in_(conditions)


def _named(column: sa.Column, prefixes: str | Sequence[str]) -> sa.ColumnElement[bool]:
    """A prefix itself, or a prefix and a slash: "0" is the character after the slash."""
    several = (prefixes,) if isinstance(prefixes, str) else prefixes
    return sa.or_(*(sa.or_(column == p, sa.and_(column >= f"{p}/", column < f"{p}0")) for p in several))


def _same_suite(engine: sa.Engine, kept: pd.DataFrame) -> pd.DataFrame:
    """Without runs that were measured by another version of the suite than most, or the newer of two."""
    return kept[~kept["run"].isin(measured_by_another_suite(engine, kept))]


def measured_by_another_suite(engine: sa.Engine, kept: pd.DataFrame) -> set[str]:
    """Of these runs, those whose evaluation is by another version of the suite than most, or the newer of two."""
    told = _frame(engine, sa.select(evaluations.c.run, evaluations.c.suite, evaluations.c.created))
    told = told[told["run"].isin(kept["run"])].assign(one="")
    return set(told["run"]) - set(_largest(told, "one", "suite")["run"])


def _largest(frame: pd.DataFrame, within: str, group: str) -> pd.DataFrame:
    """Rows of the largest group in each ``within``; of equally large ones the newest."""
    sizes = frame.groupby([within, group], as_index=False).agg(size=("run", "size"), newest=("created", "max"))
    wins = sizes.sort_values(["size", "newest", group]).drop_duplicates(within, keep="last")
    return frame.merge(wins[[within, group]], on=[within, group])


def _per_unit(values: pd.DataFrame) -> pd.Series:
    """One value for each cell and fold, or seed where there are no folds; indexed by CELL and unit."""
    kind = values["split"].str.replace("/.*", "", regex=True)
    unit = values["split"].where(kind != values["split"], values["seed"].astype(str))
    return values.assign(split=kind, unit=unit).groupby([*CELL, "unit"])["value"].mean()


def _cards(engine: sa.Engine, kept: pd.DataFrame) -> dict[str, Method]:
    """The card of each method that was run, as its own spec tells it; none for a method that the zoo lacks."""
    newest = kept.drop_duplicates("method", keep="last")["run"].tolist()
    told = _frame(engine, sa.select(runs.c.method, runs.c.manifest).where(runs.c.run.in_(newest)))
    cards = {}
    for name, manifest in told.itertuples(index=False):
        if card := card_of(json.loads(manifest)):
            cards[name] = card
    return cards


def card_of(manifest: dict[str, Any]) -> Method | None:
    """The card of a run's method; None where this version of the zoo lacks it.

    A preset is labelled as the zoo labels it now: labels move no number.
    """
    try:
        spec = zoo.spec.MethodSpec.model_validate(manifest["method"])
    except ValidationError:
        return None
    preset = zoo.spec.entries().get(spec.name)
    same = preset is not None and (preset.method, preset.settings) == (spec.method, spec.settings)
    return preset.card if same else spec.card


def _ranks(values: pd.DataFrame, better: bool | None) -> tuple[pd.Series, pd.Series]:
    if better is None or values.empty:
        return pd.Series(dtype="Int64"), pd.Series(dtype="Int64")
    per_unit = _per_unit(values).reset_index()
    by_method = {m: dict(zip(g["unit"], g["value"], strict=True)) for m, g in per_unit.groupby("method")}
    ranges = pd.DataFrame(rank_ranges(by_method, better), index=["best", "worst"]).T
    return ranges["best"], ranges["worst"]


def _taken(card: Method | None, spec: ProtocolSpec) -> str:
    """``audio + video``: what a method takes of what the protocol gives."""
    return " + ".join(m for m in spec.modalities if card and m in card.modalities) or UNKNOWN


def _missing(spec: ProtocolSpec, kept: pd.DataFrame) -> int:
    """How many of the runs that the protocol asks for a method does not have."""
    there = set(zip(kept["seed"], kept["split"], strict=True))
    wanted = {(seed, "test" if fold is None else f"test/fold{fold}") for seed, fold in spec.runs()}
    return len(wanted - there)


def _failed(engine: sa.Engine, key: str) -> pd.DataFrame:
    query = sa.select(runs.c.method, runs.c.base, runs.c.reason).where(
        runs.c.protocol == key, runs.c.status == "failed"
    )
    return _frame(engine, query.order_by(runs.c.created))


def _absent(spec: ProtocolSpec, table: pd.DataFrame, kept: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    """Why a method is not on the board; a method that is missing without a word looks like a bad one."""
    rows = []
    for name, group in failed.groupby("method"):
        if name not in set(kept["method"]):
            rows.append((name, f"all {len(group)} runs failed; the last: {group['reason'].iloc[-1]}"))
    for name in kept["method"].unique():
        if name not in set(table["method"]):
            rows.append((name, "was run, but has no record for this metric and condition"))
    for name, entry in zoo.spec.entries().items():
        if name in {*kept["method"], *failed["method"]}:
            continue
        try:
            entry.takes(spec.modalities, aligned=spec.aligned)
            rows.append((name, f"not run yet: fuseboard run {name} --protocol {spec.key}"))
        except ValueError as error:
            rows.append((name, str(error)))
    return pd.DataFrame(rows, columns=["method", "reason"])
