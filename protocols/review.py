"""The review that the zoo follows, as data: its studies, its map of the field, its tables, its slips. No torch.

``protocols/review/`` holds the files. Names, numbers and cells of names are as the review prints them; prose is told
in our words. What is wrong in it stands beside its place as a `Slip`, with the evidence.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from protocols import papers
from protocols.metrics import METRICS
from protocols.spec import SpecError, committed

FILES = Path(__file__).parent / "review"
AXES = {
    "attention": "Attention",
    "fusion": "Fusion",
    "architecture": "Architecture",
    "challenge": "Challenges, and what measures them",
}
BEST_UNIMODAL = "best unimodal"


class ReviewError(SpecError):
    """A file of the review that cannot be used: file, entry, field, what is accepted."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slip(Part):
    """Something in the review that does not hold.

    Args:
        said: by the review, in our words.
        found: what is the case.
        evidence: where that was read.
        sure: ``open`` where it could not be settled.
    """

    said: str
    found: str
    evidence: str
    sure: Literal["certain", "likely", "open"]


class Node(Part):
    """One kind on the map.

    Args:
        axis: a key of AXES.
        under: the node that it is a kind of.
        by: ``ours`` where the review leaves it out.
        words: what cards of the zoo say on this axis of entries of this kind.
        entries: presets of the zoo that are of this kind whatever their card says.
        metrics: keys of METRICS, of a challenge.
        missing: why no entry is of this kind.
    """

    key: str
    axis: Literal["attention", "fusion", "architecture", "challenge"]
    under: str | None = None
    title: str
    by: Literal["review", "ours"]
    meaning: str
    words: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    missing: str | None = None


class Study(Part):
    """A study of the review, with the fields that the review extracts.

    Args:
        listed: whether the review's reference list has it.
        read: what of it could be read.
        attention: keys of nodes.
        papers: keys of published tables.
        entries: presets of the zoo that boards rank.
        presets: others of the zoo, of the paper's own shape.
        measures: keys of METRICS that the study defines.
        without: why there is no entry, or nothing to hold it against.
    """

    key: str
    title: str
    authors: tuple[str, ...] = Field(min_length=1)
    year: int
    venue: str
    doi: str | None = None
    listed: bool = True
    kind: Literal["method", "metric", "survey"]
    read: Literal["paper", "code", "slides", "abstract", "none"] = "none"
    attention: tuple[str, ...] = ()
    architecture: str | None = None
    metrics: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    without: str | None = None
    note: str | None = None
    slips: tuple[Slip, ...] = ()

    @property
    def short(self) -> str:
        """``Tsai et al. 2019``."""
        first, *others = self.authors
        names = f"{first} et al." if len(others) > 1 else " and ".join(self.authors)
        return f"{names} {self.year}"


class Check(Part):
    """A measurement that bears on what a row claims.

    Args:
        claim: in our words.
        metric: of the records that are shown.
        conditions: of those records; a protocol has the ones that it has.
    """

    claim: str
    metric: str
    conditions: tuple[str, ...] = Field(min_length=1)


class Column(Part):
    """A column; ``printed`` where its cells are the review's own names."""

    name: str
    printed: bool = False


class Row(Part):
    """A row of a table of the review.

    Args:
        cells: one a column.
        entries: presets of the zoo that stand for it.
        studies: that it is about, as far as can be told; ``match`` says how far.
    """

    name: str
    cells: tuple[str, ...]
    entries: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    studies: tuple[str, ...] = ()
    match: Literal["certain", "likely", "open"] | None = None
    slips: tuple[Slip, ...] = ()


class Table(Part):
    """A table of the review; ``key`` heads the column of its rows' names."""

    id: str
    title: str
    key: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = Field(min_length=1)
    slips: tuple[Slip, ...] = ()


class Question(Part):
    """What is asked of two architectures: the difference of ``of`` and ``over``.

    Args:
        of: presets, averaged run by run.
        over: the same, or ``BEST_UNIMODAL``.
    """

    key: str
    asks: str
    of: tuple[str, ...] = Field(min_length=1)
    over: tuple[str, ...] | Literal["best unimodal"]


class Questions(Part):
    """Questions with what all of them share: the metric, and the protocols to pool."""

    metric: str
    protocols: tuple[str, ...] = Field(min_length=1)
    questions: tuple[Question, ...] = Field(min_length=1)


class Review(Part):
    """The whole of it."""

    title: str
    authors: tuple[str, ...]
    published: str
    fields: tuple[str, ...]
    slips: tuple[Slip, ...]
    studies: tuple[Study, ...]
    taxonomy: tuple[Node, ...]
    tables: tuple[Table, ...]
    asked: Questions

    @cached_property
    def by_key(self) -> dict[str, Study]:
        return {study.key: study for study in self.studies}

    def table(self, number: str) -> Table:
        return next(table for table in self.tables if table.id == number)

    def nodes(self, axis: str) -> tuple[Node, ...]:
        return tuple(node for node in self.taxonomy if node.axis == axis)

    def place(self, axis: str, entry: str, word: str) -> Node | None:
        """The node of an entry: the one that names it, else the one of its card's word.

        Args:
            word: what its card says on this axis.
        """
        nodes = self.nodes(axis)
        named = next((node for node in nodes if entry in node.entries), None)
        return named or next((node for node in nodes if word in node.words), None)

    def every_slip(self) -> Iterator[tuple[str, Slip]]:
        """Where a slip stands, and the slip, in the order of the review."""
        for slip in self.slips:
            yield "the review", slip
        for table in self.tables:
            yield from ((f"Table {table.id}", slip) for slip in table.slips)
            yield from ((f"Table {table.id}, {row.name}", slip) for row in table.rows for slip in row.slips)
        for study in self.studies:
            yield from ((f"reference {study.short}", slip) for slip in study.slips)


@cache
def review() -> Review:
    """The committed review, checked.

    Raises:
        ReviewError: one line for each thing that is wrong: file, entry, field, the nearest name.
    """
    return read(FILES)


def read(folder: Path) -> Review:
    """The review in a folder, checked.

    Raises:
        ReviewError: one line for each thing that is wrong.
    """
    head = _parsed(folder / "review.yaml", dict[str, Any])
    parts = {
        "studies": _parsed(folder / "studies.yaml", tuple[Study, ...]),
        "taxonomy": _parsed(folder / "taxonomy.yaml", tuple[Node, ...]),
        "tables": _parsed(folder / "tables.yaml", tuple[Table, ...]),
        "asked": _parsed(folder / "questions.yaml", Questions),
    }
    try:
        found = Review.model_validate(head | parts)
    except ValidationError as error:
        raise ReviewError("\n".join(_explained(error, folder / "review.yaml"))) from None
    if wrong := problems(found):
        raise ReviewError("\n".join(f"{folder}: {problem}" for problem in wrong))
    return found


def _parsed(path: Path, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ReviewError(f"{path}: not YAML that can be read: {error}") from None
    except ValidationError as error:
        raise ReviewError("\n".join(_explained(error, path))) from None


def _explained(error: ValidationError, path: Path) -> Iterator[str]:
    for item in error.errors():
        where = ".".join(str(step) for step in item["loc"]) or "top level"
        yield f"{path}: {where}: {item['msg']} (got {item['input']!r})."


def problems(found: Review, entries: Collection[str] | None = None) -> list[str]:
    """What is wrong beyond the form: names that lead nowhere, keys that stand twice, rows of another width.

    Args:
        entries: every preset of the zoo. This package knows no zoo, so whoever does passes them.
    """
    said = [*_node_problems(found), *_study_problems(found), *_table_problems(found), *_question_problems(found.asked)]
    if entries is not None:
        for where, names in _named_entries(found):
            said += [_unknown(where, "preset", name, entries) for name in names if name not in entries]
    return said


def _unknown(where: str, what: str, name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{where}: no {what} {name!r}.{hint} Known: {', '.join(known)}."


def _twice(where: str, names: Collection[str]) -> Iterator[str]:
    yield from (f"{where}: {name!r} stands {count} times." for name, count in Counter(names).items() if count > 1)


def _node_problems(found: Review) -> Iterator[str]:
    keys = [node.key for node in found.taxonomy]
    yield from _twice("taxonomy", keys)
    for axis in AXES:
        yield from _twice(f"taxonomy, {axis}, words", [word for node in found.nodes(axis) for word in node.words])
    for node in found.taxonomy:
        where = f"taxonomy, {node.key}"
        if node.under and node.under not in [other.key for other in found.nodes(node.axis)]:
            yield _unknown(f"{where}, under", "node of its axis", node.under, keys)
        yield from (_unknown(f"{where}, metrics", "metric", m, METRICS) for m in node.metrics if m not in METRICS)
        if not (node.words or node.entries or node.metrics or node.missing):
            yield f"{where}: neither words, entries, metrics nor the reason why there are none."


def _study_problems(found: Review) -> Iterator[str]:
    yield from _twice("studies", [study.key for study in found.studies])
    attentions = [node.key for node in found.nodes("attention")]
    known = papers.keys()
    for study in found.studies:
        where = f"studies, {study.key}"
        yield from (
            _unknown(f"{where}, attention", "node", n, attentions) for n in study.attention if n not in attentions
        )
        yield from (_unknown(f"{where}, papers", "paper", key, known) for key in study.papers if key not in known)
        yield from (_unknown(f"{where}, measures", "metric", m, METRICS) for m in study.measures if m not in METRICS)
        if study.kind == "method" and not (study.entries or study.without):
            yield f"{where}: neither entries nor, in `without`, the reason."


def _table_problems(found: Review) -> Iterator[str]:
    yield from _twice("tables", [table.id for table in found.tables])
    for table in found.tables:
        yield from _twice(f"table {table.id}, rows", [row.name for row in table.rows])
        for row in table.rows:
            where = f"table {table.id}, row {row.name!r}"
            if len(row.cells) != len(table.columns):
                yield f"{where}: {len(row.cells)} cells for {len(table.columns)} columns."
            yield from (
                _unknown(f"{where}, studies", "study", s, found.by_key) for s in row.studies if s not in found.by_key
            )
            for check in row.checks:
                base = check.metric.split("/")[0]
                if base not in METRICS:
                    yield _unknown(f"{where}, checks", "metric", base, METRICS)


def _question_problems(asked: Questions) -> Iterator[str]:
    yield from _twice("questions", [question.key for question in asked.questions])
    yield from (
        _unknown("questions", "protocol", key, committed()) for key in asked.protocols if key not in committed()
    )
    for key in asked.protocols:
        if key in committed() and committed()[key].leaks:
            yield f"questions: {key} repeats a paper's leaking rule, so it answers nothing."
        elif key in committed() and asked.metric not in committed()[key].metrics:
            yield f"questions: {key} has no {asked.metric!r}; it has {', '.join(committed()[key].metrics)}."


def _named_entries(found: Review) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from ((f"taxonomy, {node.key}", node.entries) for node in found.taxonomy)
    yield from ((f"studies, {study.key}", study.entries + study.presets) for study in found.studies)
    yield from ((f"table {t.id}, row {row.name!r}", row.entries) for t in found.tables for row in t.rows)
    for question in found.asked.questions:
        yield f"questions, {question.key}", question.of
        if question.over != BEST_UNIMODAL:
            yield f"questions, {question.key}", question.over


def claims(study: Study) -> Mapping[str, int]:
    """How many published numbers of a study are in each of ``protocols.paper.STATES``."""
    counts: Counter[str] = Counter()
    for key in study.papers:
        counts.update(papers.paper(key).coverage())
    return counts
