"""Papers: published tables as data, and what re-runs each of their cells. Reading them imports no torch.

A paper is one file, ``protocols/papers/<key>.yaml``. Its numbers are strings, so that the digits stay as printed; rows
stand in printed order. A number that nobody could check stays null, with the reason. ``datasets.yaml`` beside the
papers names the data that a person has to bring, and whom to ask for them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from protocols.corruptions import MODALITIES
from protocols.metrics import METRICS
from protocols.spec import SpecError, committed

PAPERS = Path(__file__).parent / "papers"
DATA = PAPERS / "datasets.yaml"
NONE = "-"  # the paper prints no number here
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
# What a printed number is multiplied with to be in the unit of METRICS.
UNITS = {"percent": 0.01, "points": 0.01, "fraction": 1.0, "number": 1.0, "GFLOPs": 1e9}
# Answers without a model; what they score is computed from the labels, never typed.
TRIVIAL = {
    "majority_class": "always the most frequent class of the part that is scored",
    "always_absent": "no emotion is ever present",
    "mean_target": "always the mean of the targets",
}
# What can be done about a cell: key -> as a heading says it.
STATES = {
    "now": "runnable now",
    "data": "with data you bring",
    "not_comparable": "not comparable",
    "blank": "blank",
}
DIRECTIONS = {"higher": True, "lower": False, "neither": None}


class PaperError(SpecError):
    """A paper, table or entry that cannot be used: file, table, row, field, what is accepted."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dataset(Part):
    """Data that a person brings.

    Args:
        home: page of the owner.
        licence: as the owner's page or repository states it; where nobody checked, it says so.
        ask: whom, or what to fill in.
        bring: the files or features that the tables need.
    """

    title: str
    home: str
    licence: str
    ask: str
    bring: str


class Source(Part):
    """Where numbers were read.

    Args:
        kind: what was read. A ``note`` is a third person's; its numbers are blank here.
        where: repository or address.
    """

    kind: Literal["paper", "slides", "repository", "abstract", "thread", "figure", "note"]
    where: str
    commit: str | None = None
    file: str | None = None


class Evidence(Part):
    """One place in a source: ``at`` names table, page or issue."""

    source: str
    at: str


class Run(Part):
    """How we re-run a row, or one cell.

    Args:
        method: a preset or a method of the zoo.
        settings: in place of the preset's, whole entries.
        also: further presets, run to explain a gap; the verdict is the first one's.
        modalities: of the whole row; a column that is a modality set names its own.
        protocol: under which it runs on data that we read.
        needs: in place of a protocol, a key of ``datasets.yaml``.
        note: known differences from what the paper ran.
    """

    method: str
    settings: Mapping[str, JsonValue] = {}
    also: tuple[str, ...] = ()
    modalities: tuple[str, ...] | None = None
    protocol: str | None = None
    needs: str | None = None
    note: str | None = None


class Verdict(Part):
    """What becomes of a row or a cell: a run, or the reason against one; and why a number is missing."""

    run: Run | None = None
    not_comparable: str | None = None
    unverified: str | None = None


class Column(Part):
    """One column.

    Args:
        group: heading over several columns.
        metric: of METRICS, where ours is the same quantity.
        modalities: where the columns are modality sets.
        unit: a key of UNITS.
        direction: which way is better.
        tolerance: in that unit, where the table's does not fit.
        needs: data of this column, where columns are data sets.
    """

    name: str
    group: str | None = None
    metric: str | None = None
    modalities: tuple[str, ...] | None = None
    unit: Literal["percent", "points", "fraction", "number", "GFLOPs"]
    direction: Literal["higher", "lower", "neither"]
    tolerance: float | None = Field(default=None, gt=0)
    needs: str | None = None

    @property
    def title(self) -> str:
        return f"{self.group} {self.name}" if self.group else self.name


class Row(Verdict):
    """One row, in its printed place.

    Args:
        name: as printed, or in our words where the paper prints a symbol.
        group: heading over several rows.
        labels: text columns of the paper, such as a training set.
        by: ``ours`` the authors' own system or run, ``cited`` from another paper, ``rerun`` of another's method.
        values: one a column: the digits as printed, ``"-"`` where none is printed, null where nobody could check.
        spread: what the paper prints after a plus-minus sign.
        cells: column title -> what differs for that cell.
        evidence: in place of the table's.
    """

    name: str
    group: str | None = None
    labels: Mapping[str, str] = {}
    by: Literal["ours", "cited", "rerun"]
    values: tuple[str | None, ...]
    spread: tuple[str | None, ...] | None = None
    cells: Mapping[str, Verdict] = {}
    evidence: tuple[Evidence, ...] = ()
    note: str | None = None

    @property
    def title(self) -> str:
        """Name and labels: what tells this row from the others of its group."""
        told = ", ".join(self.labels.values())
        return f"{self.name} ({told})" if told else self.name

    @property
    def heading(self) -> str:
        """``title`` after the group."""
        return f"{self.group}: {self.title}" if self.group else self.title


class Table(Part):
    """One printed table, or the part of it that belongs to one data set.

    Args:
        id: ``<number>`` or ``<number>-<part>``.
        printed: where it stands in the paper.
        origin: ``others`` where somebody else re-ran the method, and the paper prints nothing of it.
        caption: in our words.
        data, split: as the paper used them.
        selection: what chose the epoch that was scored, as far as code or text say.
        tolerance: in the columns' unit.
        read_off: half width of the reading error, where numbers were taken from a drawing.
        beside: keys of TRIVIAL to compute and set beside the table.
        otherwise: why rows that say nothing themselves are not run.
        unverified: why the whole table is blank.
        omitted: what the paper prints in this table and is not here.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    printed: str
    origin: Literal["paper", "repository", "others"]
    caption: str
    data: str
    split: str
    selection: Literal["validation", "test", "unknown"]
    tolerance: float = Field(gt=0)
    read_off: float | None = Field(default=None, gt=0)
    beside: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    otherwise: str | None = None
    unverified: str | None = None
    omitted: str | None = None
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)

    @property
    def number(self) -> str:
        """``1`` of ``1-mosi``."""
        return self.id.split("-")[0]

    @cached_property
    def cells(self) -> tuple["Cell", ...]:
        """Every place where the paper prints a number, row by row."""
        return tuple(
            Cell(self, row, column, index)
            for row in self.rows
            for index, column in enumerate(self.columns)
            if row.values[index] != NONE
        )

    def coverage(self) -> dict[str, int]:
        """How many cells are in each of STATES."""
        counts = Counter(cell.state for cell in self.cells)
        return {state: counts[state] for state in STATES}


class Paper(Part):
    """A paper and its tables.

    Args:
        year: None where the source does not say.
        sources: key -> where its numbers were read.
    """

    key: str = Field(pattern=r"^[a-z]+(\d{4})?$")
    title: str
    authors: tuple[str, ...] = Field(min_length=1)
    year: int | None = None
    venue: str | None = None
    doi: str | None = None
    arxiv: str | None = None
    sources: Mapping[str, Source] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = Field(min_length=1)

    @property
    def short(self) -> str:
        """``Ghosal et al. 2018``."""
        first, *others = self.authors
        names = f"{first} et al." if len(others) > 1 else " and ".join(self.authors)
        return f"{names} {self.year}" if self.year else names

    def chosen(self, name: str) -> tuple[Table, ...]:
        """The tables that a person names: one by its id, or all parts of a number.

        Raises:
            PaperError: naming the nearest id.
        """
        found = tuple(table for table in self.tables if name in (table.id, table.number))
        if not found:
            known = [table.id for table in self.tables]
            raise PaperError(f"{self.key} has no table {name!r}.{_nearest(name, known)} Known: {', '.join(known)}.")
        return found

    def coverage(self) -> dict[str, int]:
        """How many cells of all tables are in each of STATES."""
        counts = Counter()
        for table in self.tables:
            counts.update(table.coverage())
        return {state: counts[state] for state in STATES}


@dataclass(frozen=True)
class Cell:
    """One published number, with everything that its row, column and table say of it."""

    table: Table
    row: Row
    column: Column
    index: int

    @property
    def printed(self) -> str | None:
        """The digits as printed; None where nobody could check them."""
        return self.row.values[self.index]

    @property
    def spread(self) -> str | None:
        """What the paper prints after a plus-minus sign."""
        return self.row.spread[self.index] if self.row.spread else None

    @property
    def value(self) -> float | None:
        """In the unit of METRICS: percent become fractions."""
        return None if self.printed is None else float(self.printed) * UNITS[self.column.unit]

    @property
    def tolerance(self) -> float:
        """In the unit of METRICS: the paper's own spread if it gives one, else the column's, else the table's."""
        own = float(self.spread or 0)
        return (own or self.column.tolerance or self.table.tolerance) * UNITS[self.column.unit]

    @property
    def _verdict(self) -> Verdict:
        special = self.row.cells.get(self.column.title)
        return special if special and (special.run or special.not_comparable) else self.row

    @property
    def run(self) -> Run | None:
        """How it is re-run; None where it is not."""
        return self._verdict.run

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """The modality set of its column, else of its run; None leaves the method all that it takes."""
        return self.column.modalities or (self.run.modalities if self.run else None)

    @property
    def needs(self) -> str | None:
        """The data to bring for it."""
        if self.run is None or self.run.protocol:
            return None
        return self.column.needs or self.run.needs

    @property
    def state(self) -> str:
        """A key of STATES."""
        if self.printed is None:
            return "blank"
        if self.run is None:
            return "not_comparable"
        return "now" if self.run.protocol else "data"

    @property
    def reason(self) -> str:
        """Why it is blank, or not comparable, or waits for data; empty where it can run."""
        if self.state == "blank":
            special = self.row.cells.get(self.column.title)
            return (special and special.unverified) or self.row.unverified or self.table.unverified or ""
        if self.state == "not_comparable":
            return self._verdict.not_comparable or self.table.otherwise or ""
        return f"needs {datasets()[self.needs].title}" if self.state == "data" else ""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return self.row.evidence or self.table.evidence


def replicas(paper: Paper, run: Run) -> tuple[str, ...]:
    """The protocols that repeat the paper's own recipe and selection rule on the data of a run."""
    if run.protocol is None:
        return ()
    data = committed()[run.protocol].dataset
    return tuple(key for key, spec in committed().items() if spec.replica_of == paper.key and spec.dataset == data)


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
                kind = {"cells": Verdict, "evidence": Evidence}.get(step, kind)
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
    for table in paper.tables:
        for problem in (*_table_problems(table), *_row_problems(table), *_source_problems(paper, table)):
            found.append(f"table {table.id}, {problem}")
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
    for row in table.rows:
        where = f"row {row.heading!r}"
        if tuple(row.labels) != labels:
            yield f"{where}, labels: {', '.join(row.labels) or 'none'}; the first row has {', '.join(labels) or 'none'}."
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
    if cell.state == "now" and cell.column.metric is None:
        yield "runs, but the column names no metric of ours."


def _run_problems(table: Table, run: Run) -> Iterator[str]:
    if wrong := [m for m in run.modalities or () if m not in MODALITIES]:
        yield f"modalities: {_unknown('modality', wrong[0], MODALITIES)}"
    if run.needs is not None and run.needs not in datasets():
        yield f"needs: {_unknown('data set', run.needs, datasets())}"
    if run.protocol is None:
        return
    if run.needs is not None:
        yield "needs: a run has a protocol, or needs data; keep one."
    spec = committed().get(run.protocol)
    if spec is None:
        yield f"protocol: {_unknown('protocol', run.protocol, committed())}"
        return
    if spec.replica_of is not None:
        yield f"protocol: {run.protocol} repeats a paper's own rule; name the protocol that selects on validation."
    for asked in (run.modalities, *(column.modalities for column in table.columns)):
        if asked and (missing := [m for m in asked if m not in spec.modalities]):
            yield f"protocol: {run.protocol} gives {', '.join(spec.modalities)}, not {missing[0]}."
            return


def _source_problems(paper: Paper, table: Table) -> Iterator[str]:
    for where, told in (("", table.evidence), *((f"row {row.heading!r}, ", row.evidence) for row in table.rows)):
        for item in told:
            if item.source not in paper.sources:
                yield f"{where}evidence: {_unknown('source', item.source, paper.sources)}"


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
