"""Papers: reading and checking ``protocols/papers/<key>.yaml``. Imports no torch.

``datasets.yaml`` beside the papers names the data that a person has to bring, and whom to ask for them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue, ValidationError

from protocols.corruptions import MODALITIES
from protocols.metrics import METRICS
from protocols.paper import (
    DIRECTIONS,
    NONE,
    TRIVIAL,
    Cell,
    Claim,
    Column,
    Dataset,
    Evidence,
    Finding,
    Measurement,
    Pair,
    Paper,
    PaperError,
    Row,
    Run,
    Source,
    Table,
    Verdict,
    gain,
    replicas,
)
from protocols.spec import committed

PAPERS = Path(__file__).parent / "papers"
DATA = PAPERS / "datasets.yaml"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML in which a key stands once: the loader of PyYAML keeps the last of two without a word."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _raw(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Strict)
    except yaml.YAMLError as error:
        raise PaperError(f"{path}: not YAML that can be read: {error}") from None


@cache
def datasets() -> dict[str, Dataset]:
    """The data that people bring, by key.

    Raises:
        PaperError: naming entry and field.
    """
    found = {}
    for key, entry in _raw(DATA).items():
        try:
            found[key] = Dataset.model_validate(entry)
        except ValidationError as error:
            raise PaperError("\n".join(_explained(error, f"{DATA}: {key}", entry))) from None
    return found


def keys() -> list[str]:
    """Every paper that the package carries."""
    return sorted(path.stem for path in PAPERS.glob("*.yaml") if path != DATA)


@cache
def paper(key: str) -> Paper:
    """The paper that a person names.

    Raises:
        PaperError: naming the nearest key, or what is wrong in the file.
    """
    if key not in keys():
        raise PaperError(f"No paper {key!r}.{_nearest(key, keys())} Known: {', '.join(keys())}.")
    return read(PAPERS / f"{key}.yaml")


def read(path: Path) -> Paper:
    """One paper from a file, checked.

    Raises:
        PaperError: one line for each thing that is wrong: file, table, row, field, the nearest name.
    """
    raw = _raw(path)
    try:
        found = Paper.model_validate(raw)
    except ValidationError as error:
        raise PaperError("\n".join(_explained(error, str(path), raw))) from None
    wrong = [f"{path}: {problem}" for problem in problems(found)]
    if path.stem != found.key:
        wrong.insert(0, f"{path}: holds paper {found.key!r}; file and key must agree.")
    if wrong:
        raise PaperError("\n".join(wrong))
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"no {what} {name!r}.{_nearest(name, known)} Known: {', '.join(known)}."


def _explained(error: ValidationError, head: str, raw: Any) -> Iterator[str]:
    """Pydantic's findings, one line each: places by their names, the nearest of the known keys."""
    for item in error.errors():
        place, kind, value = [], Paper if raw and "tables" in raw else Dataset, raw
        for step in item["loc"]:
            value = value[step] if isinstance(value, (dict, list)) and _has(value, step) else None
            if not isinstance(step, int):
                place.append(str(step))
                kind = {"tables": Table, "rows": Row, "columns": Column, "run": Run, "sources": Source}.get(step, kind)
                kind = {"cells": Verdict, "evidence": Evidence, "finding": Finding}.get(step, kind)
                kind = {"measured": Measurement, "claims": Claim, "pairs": Pair}.get(step, kind)
            elif isinstance(value, dict) and {"id", "name"} & value.keys():
                place[-1] = f"{place[-1].removesuffix('s')} {value.get('id') or value.get('name')!r}"
            else:
                place[-1] = f"{place[-1]}[{step}]"
        where = f"{head}: {', '.join(place) or 'top level'}"
        if item["type"] == "extra_forbidden":
            known = list(kind.model_fields)
            yield f"{where}: unknown key.{_nearest(str(item['loc'][-1]), known)} Known keys: {', '.join(known)}."
        else:
            said = "write the number in quotes, digits as printed" if item["type"] == "string_type" else item["msg"]
            yield f"{where}: {said} (got {value!r})."


def _has(value: dict | list, step: int | str) -> bool:
    return step in value if isinstance(value, dict) else isinstance(step, int) and step < len(value)


# Says why a method cannot run: method, settings, modalities, protocol -> the reason, or None.
Refusal = Callable[[str, Mapping[str, JsonValue], tuple[str, ...] | None, str | None], str | None]


def problems(paper: Paper, refusal: Refusal | None = None) -> list[str]:
    """What is wrong in a paper beyond its form: ``table 1-mosi, row 'MU-SA', values: ...``.

    Args:
        refusal: asked about every method that a run names. This package knows no methods, so whoever does passes it.
    """
    found = []
    ids = Counter(table.id for table in paper.tables)
    found += [f"tables: id {name!r} stands {count} times." for name, count in ids.items() if count > 1]
    cited = {e.source for table in paper.tables for part in (table, *table.rows) for e in part.evidence}
    found += [f"sources: no number is from {name!r}." for name in paper.sources if name not in cited]
    for table in paper.tables:
        told = (*_table_problems(table), *_row_problems(table), *_claim_problems(table))
        told = (*told, *_source_problems(paper, table))
        found += [f"table {table.id}, {problem}" for problem in (*told, *_metric_problems(paper, table))]
        if refusal:
            found += [f"table {table.id}, {problem}" for problem in _method_problems(table, refusal)]
    return list(dict.fromkeys(found))


def _table_problems(table: Table) -> Iterator[str]:
    titles = Counter(column.title for column in table.columns)
    yield from (f"columns: {title!r} stands {count} times." for title, count in titles.items() if count > 1)
    rows = Counter(row.heading for row in table.rows)
    yield from (f"rows: {name!r} stands {count} times." for name, count in rows.items() if count > 1)
    yield from (f"beside: {_unknown('trivial answer', name, TRIVIAL)}" for name in table.beside if name not in TRIVIAL)
    groups = [
        row.group for place, row in enumerate(table.rows) if not place or row.group != table.rows[place - 1].group
    ]
    if split := [group for group, count in Counter(groups).items() if count > 1]:
        yield f"rows: those of {split[0]!r} do not stand together, so this is not the printed order."
    for column in table.columns:
        where = f"column {column.title!r}"
        if column.needs and column.needs not in datasets():
            yield f"{where}, needs: {_unknown('data set', column.needs, datasets())}"
        if wrong := [m for m in column.modalities or () if m not in MODALITIES]:
            yield f"{where}, modalities: {_unknown('modality', wrong[0], MODALITIES)}"
        if column.metric is None:
            continue
        metric = METRICS.get(column.metric.split("/")[0])
        if metric is None:
            yield f"{where}, metric: {_unknown('metric', column.metric, METRICS)}"
        elif metric.higher_is_better is not DIRECTIONS[column.direction]:
            ours = next(word for word, up in DIRECTIONS.items() if up is metric.higher_is_better)
            yield f"{where}, direction: {column.direction!r}, but of {column.metric} {ours!r} is better."
        elif (metric.unit == "fraction") != (column.unit in ("percent", "fraction", "points")):
            yield f"{where}, unit: {column.unit!r}, but {column.metric} is a {metric.unit}."


def _row_problems(table: Table) -> Iterator[str]:
    labels = tuple(table.rows[0].labels)
    titles = [column.title for column in table.columns]
    if both := [label for label in labels if label in titles]:
        yield f"labels: {both[0]!r} is a column too."
    for row in table.rows:
        where = f"row {row.heading!r}"
        if tuple(row.labels) != labels:
            yield f"{where}, labels: {', '.join(row.labels) or 'none'}, in the first row {', '.join(labels) or 'none'}."
        if unknown := [title for title in row.cells if title not in titles]:
            yield f"{where}, cells: {_unknown('column', unknown[0], titles)}"
        for name, told in (("values", row.values), ("spread", row.spread)):
            if told is None:
                continue
            if len(told) != len(titles):
                yield f'{where}, {name}: {len(told)} for {len(titles)} columns; write "-" where none is printed.'
            for title, text in zip(titles, told, strict=False):
                if text not in (None, NONE) and not NUMBER.fullmatch(text):
                    yield f"{where}, {name}, column {title!r}: {text!r} is no number."
        for told in (row, *row.cells.values()):
            if told.run and told.not_comparable:
                yield f"{where}: both run and not_comparable; keep one."
            if told.run:
                yield from (f"{where}, run, {problem}" for problem in _run_problems(table, told.run))
        if len(row.values) == len(titles):
            yield from (f"{where}, column {cell.column.title!r}: {p}" for cell in _of(table, row) for p in _gaps(cell))


def _claim_problems(table: Table) -> Iterator[str]:
    """Places without a number, and pairs that the paper prints the other way round."""
    if not (_whole(table) and (table.claims or table.headline)):
        return
    asked = [(f"claim {c.says!r}", place) for c in table.claims for pair in c.pairs for place in pair.places]
    asked += [("headline", table.headline)] if table.headline else []
    known = [" / ".join(place) for place in table.places]
    for where, place in asked:
        if place not in table.places:
            yield f"{where}: {_unknown('number', ' / '.join(place), known)}"
    for claim in table.claims:
        for pair in claim.pairs:
            better, worse = (table.places.get(place) for place in pair.places)
            if better and worse and (ahead := gain(better, worse)) is not None and ahead <= 0:
                told = f"{' / '.join(pair.better)} ({better.printed}) is not printed as better than"
                yield f"claim {claim.says!r}: {told} {' / '.join(pair.worse)} ({worse.printed})."


def _of(table: Table, row: Row) -> Iterator[Cell]:
    return (cell for cell in table.cells if cell.row is row) if _whole(table) else iter(())


def _whole(table: Table) -> bool:
    return all(len(row.values) == len(table.columns) for row in table.rows)


def _gaps(cell: Cell) -> Iterator[str]:
    """What a cell lacks: a reason, evidence, data, a metric."""
    if cell.state == "blank":
        if not cell.reason:
            yield "null without a reason; say unverified: why nobody could check it."
        return
    if not cell.evidence:
        yield f"{cell.printed} without evidence."
    if cell.run is None and not cell.reason:
        yield "neither run nor not_comparable, and the table has no otherwise."
    if cell.run and not cell.run.protocol and cell.needs is None:
        yield "the run names neither a protocol nor needs."
    if cell.run and cell.run.protocol and cell.column.metric is None:
        yield "runs, but the column names no metric of ours."


def _run_problems(table: Table, run: Run) -> Iterator[str]:
    if wrong := [m for m in run.modalities or () if m not in MODALITIES]:
        yield f"modalities: {_unknown('modality', wrong[0], MODALITIES)}"
    if run.needs is not None and run.needs not in datasets():
        yield f"needs: {_unknown('data set', run.needs, datasets())}"
    if run.protocol is None:
        return
    spec = committed().get(run.protocol)
    if spec is None:
        yield f"protocol: {_unknown('protocol', run.protocol, committed())}"
        return
    if spec.replica_of is not None:
        yield f"protocol: {run.protocol} repeats a paper's own rule; name the protocol that selects on validation."
    if run.replica is not None:
        repeated = [key for key, other in committed().items() if other.replica_of and other.dataset == spec.dataset]
        if run.replica not in repeated:
            yield f"replica: {_unknown(f'replica on the data of {run.protocol}', run.replica, repeated)}"
    for asked in (run.modalities, *(column.modalities for column in table.columns)):
        if asked and (missing := [m for m in asked if m not in spec.modalities]):
            yield f"protocol: {run.protocol} gives {', '.join(spec.modalities)}, not {missing[0]}."
            return


def _source_problems(paper: Paper, table: Table) -> Iterator[str]:
    for where, told in (("", table.evidence), *((f"row {row.heading!r}, ", row.evidence) for row in table.rows)):
        for item in told:
            if item.source not in paper.sources:
                yield f"{where}evidence: {_unknown('source', item.source, paper.sources)}"
    hearsay = {name for name, source in paper.sources.items() if source.kind == "note"}
    for row in table.rows:
        seen = {item.source for item in row.evidence or table.evidence}
        if seen and seen <= hearsay and any(value not in (None, NONE) for value in row.values):
            yield f"row {row.heading!r}, evidence: only a third person's note; leave the number null."


def _metric_problems(paper: Paper, table: Table) -> Iterator[str]:
    """A column whose number no protocol of its runs gives."""
    if not _whole(table):
        return
    for cell in table.cells:
        if cell.state not in ("now", "data") or cell.column.metric is None or cell.run.protocol not in committed():
            continue
        for key in replicas(paper, cell.run) or (cell.run.protocol,):
            if key in committed() and cell.column.metric not in committed()[key].metrics:
                where, scored = f"row {cell.row.heading!r}, column {cell.column.title!r}", committed()[key].metrics
                yield f"{where}, metric: {cell.column.metric} is none of {', '.join(scored)}, which {key} scores."


def _method_problems(table: Table, refusal: Refusal) -> Iterator[str]:
    if not _whole(table):
        return
    for cell in table.cells:
        run = cell.run
        if run is None:
            continue
        for name in (run.method, *run.also):
            settings = run.settings if name == run.method else {}
            if reason := refusal(name, settings, cell.modalities, run.protocol):
                yield f"row {cell.row.heading!r}, column {cell.column.title!r}, run, method: {reason}"
