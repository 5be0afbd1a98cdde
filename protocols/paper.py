"""Paper: published tables as data, and what re-runs each of their cells. Imports no torch.

Numbers are strings, so that the digits stay as printed; rows stand in printed order. A number that nobody could check
stays null, with the reason.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from protocols.spec import SpecError, committed

NONE = "-"  # the paper prints no number here
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
        protocol: under which it runs on data that can be read.
        replica: of another paper, in place of this paper's: a row quoted from there keeps the recipe it had there.
        needs: a key of ``datasets.yaml``: data to bring first. Without a protocol nothing reads them yet.
        note: known differences from what the paper ran.
    """

    method: str
    settings: Mapping[str, JsonValue] = {}
    also: tuple[str, ...] = ()
    modalities: tuple[str, ...] | None = None
    protocol: str | None = None
    replica: str | None = None
    needs: str | None = None
    note: str | None = None


class Measurement(Part):
    """A number of ours behind a finding.

    Args:
        what: what was changed, in a few words.
        value: mean and half width of its 95 % interval, in the unit of the column, with the count of runs.
        runs: their ids.
    """

    what: str
    value: str
    runs: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...] = Field(min_length=1)


class Finding(Part):
    """Why a published number does or does not come up again.

    Args:
        says: the reason in one sentence or two.
        measured: the numbers that it rests on.
    """

    says: str
    measured: tuple[Measurement, ...] = ()


class Verdict(Part):
    """What becomes of a row or a cell: a run, or the reason against one; and why a number is missing.

    Args:
        finding: what re-running it showed about the published number; printed in every report.
    """

    run: Run | None = None
    not_comparable: str | None = None
    unverified: str | None = None
    finding: Finding | None = None


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


Place = tuple[str, str]  # heading of a row, title of a column


class Pair(Part):
    """Two numbers of one table of which the paper prints the first as the better one."""

    better: Place
    worse: Place

    @property
    def places(self) -> tuple[Place, Place]:
        return self.better, self.worse


class Claim(Part):
    """What a table is printed to show.

    Args:
        says: in our words.
        pairs: the comparisons that it rests on.
    """

    says: str
    pairs: tuple[Pair, ...] = Field(min_length=1)


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
        headline: the number that the paper is known for.
        claims: what the numbers are to show, by comparison with each other.
        otherwise: why rows that say nothing themselves are not run.
        unverified: why the whole table is blank.
        omitted: what the paper prints in this table and is not here.
        caution: what makes the rule of the verdicts weak on these data.
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
    headline: Place | None = None
    claims: tuple[Claim, ...] = ()
    otherwise: str | None = None
    unverified: str | None = None
    omitted: str | None = None
    caution: str | None = None
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

    @cached_property
    def places(self) -> Mapping[Place, "Cell"]:
        """The same cells by row and column, as claims name them."""
        return {(cell.row.heading, cell.column.title): cell for cell in self.cells}

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
        """The tables that a person names: the one of that id, else all parts of that number.

        Raises:
            PaperError: naming the nearest id.
        """
        found = tuple(table for table in self.tables if table.id == name) or tuple(
            table for table in self.tables if table.number == name
        )
        if not found:
            known = [table.id for table in self.tables]
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PaperError(f"{self.key} has no table {name!r}.{hint} Known: {', '.join(known)}.")
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
        """In the unit of METRICS: the paper's own spread if it is above 0, else the column's, else the table's."""
        own = float(self.spread) if self.spread not in (None, NONE) else 0.0
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
        """The data to bring for it; None where they are at hand."""
        if self.run is None or self.run.protocol:
            return self.run.needs if self.run else None
        return self.column.needs or self.run.needs

    @property
    def state(self) -> str:
        """A key of STATES."""
        if self.printed is None:
            return "blank"
        if self.run is None:
            return "not_comparable"
        return "now" if self.run.protocol and not self.run.needs else "data"

    @property
    def reason(self) -> str:
        """Why it is blank, or not comparable, or waits for data; empty where it can run."""
        if self.state == "blank":
            special = self.row.cells.get(self.column.title)
            return (special and special.unverified) or self.row.unverified or self.table.unverified or ""
        if self.state == "not_comparable":
            return self._verdict.not_comparable or self.table.otherwise or ""
        return f"needs {self.needs}" if self.state == "data" else ""

    @property
    def finding(self) -> Finding | None:
        """What re-running it showed, of this cell or of its row."""
        special = self.row.cells.get(self.column.title)
        return (special and special.finding) or self.row.finding

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return self.row.evidence or self.table.evidence


def gain(better: Cell, worse: Cell) -> float | None:
    """How much better the first number is printed than the second; None where one of them is blank."""
    if better.value is None or worse.value is None:
        return None
    return (better.value - worse.value) * (-1 if better.column.direction == "lower" else 1)


def replicas(paper: Paper, run: Run) -> tuple[str, ...]:
    """The protocols that repeat a paper's own recipe and selection rule on the data of a run."""
    if run.protocol is None:
        return ()
    if run.replica is not None:
        return (run.replica,)
    data = committed()[run.protocol].dataset
    return tuple(key for key, spec in committed().items() if spec.replica_of == paper.key and spec.dataset == data)
