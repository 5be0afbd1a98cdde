"""The review, recomputed, as one document: a list of blocks that whoever calls writes as Markdown, HTML or LaTeX."""

from collections.abc import Iterator
from html import escape

import pandas as pd
import sqlalchemy as sa

from leaderboard import queries
from leaderboard import review as found
from leaderboard.forest_chart import DIFFERENCE, forest_svg, overview_rows, rows
from leaderboard.rank_chart import rank_svg
from protocols.review import AXES, Review, Slip, Table

ORDER = ("2", "3", "4")
READING = (
    "Measured numbers are means over seeds or folds of current runs with the half width of their 95 % t interval.",
    "Names and numbers of the review are as it prints them; its prose is told in other words.",
    "A slip is something in the review that does not hold. Certain: seen at its source. Likely: inferred. Open: could "
    "not be settled.",
    "Where nothing was measured the document says so; nothing is filled in.",
)
FOREST = (
    "Each effect is the mean difference of accuracy between runs that share seed or fold, in percent points. Effects "
    "are pooled over data sets with random effects: DerSimonian and Laird's variance between them, Hartung and Knapp's "
    "interval. τ is the deviation between data sets, I² the share of the scatter that is between them, p of Q tests "
    "whether there is any. p values are corrected by Holm over all questions."
)


def blocks(engine: sa.Engine, review: Review) -> Iterator[tuple]:
    """The document, block by block."""
    specs = {key: spec for key, spec in queries.protocols(engine).items() if not spec.leaks}
    ran = found.runs_of_entries(engine)
    yield "title", "The review, recomputed"
    yield "text", f"{', '.join(review.authors)}: {review.title}. Published {review.published}."
    yield "list", list(READING)
    yield "heading", "What is covered"
    yield "table", (["What", "How many"], [list(row) for row in found.coverage(review, ran)])
    yield "heading", "What the runs say"
    answers = found.answers(engine, review)
    yield "text", FOREST
    if pooled := overview_rows(answers):
        yield "drawing", forest_svg(pooled, DIFFERENCE)
    yield "table", _cells(found.answers_table(answers))
    yield "subheading", "Data set by data set"
    for answer in answers:
        if answer.effects:
            yield "drawing", f"<h4>{escape(answer.question.asks)}</h4>" + forest_svg(rows(answer), DIFFERENCE)
    yield "table", _cells(found.effects_table(answers))
    yield "subheading", "Ranks over data sets"
    ranks = found.ranked(engine, review)
    yield "text", found.ranks_text(ranks)
    if ranks.found:
        yield "drawing", rank_svg(ranks.found)
        yield "table", _cells(found.ranks_table(ranks))
    measured = {key: found.measures(engine, spec) for key, spec in specs.items()}
    for number in ORDER:
        yield from _table(engine, review, review.table(number), specs, measured)
    yield "heading", "The map"
    for axis, title in AXES.items():
        yield "subheading", title
        yield "table", _cells(found.taxonomy(review, ran, axis))
    yield "heading", "The studies, and how far each leads"
    yield "table", _cells(found.study_paths(review, ran))
    yield "heading", "Slips of the review as a whole, and of its references"
    inside = [f"Table {number}" for number in ORDER]
    slips = found.slips_table(review)
    yield "table", _cells(slips[~slips["Where"].str.startswith(tuple(inside))])


def _table(engine: sa.Engine, review: Review, table: Table, specs: dict, measured: dict) -> Iterator[tuple]:
    yield "heading", f"Table {table.id}: {table.title}"
    yield "table", _cells(found.printed(table))
    slips = [*(("", slip) for slip in table.slips), *((row.name, s) for row in table.rows for s in row.slips)]
    if slips:
        yield "subheading", f"Slips of Table {table.id}"
        yield "list", [slip_text(where, slip) for where, slip in slips]
    yield "subheading", f"Table {table.id}, recomputed"
    if not specs:
        yield "text", "No results yet. Run: fuseboard run all --protocol synthetic@1"
    elif table.id == "2":
        for key, spec in specs.items():
            yield from _measured(f"{key}: {spec.title}.", found.claims_checked(engine, spec, table))
    elif table.id == "3":
        yield "table", _cells(found.architectures(engine, table))
    else:
        yield "table", _cells(found.table4(review, measured))
        for key, frame in measured.items():
            yield from _measured(f"Every method under {key}: what its modality and saliency metrics are.", frame)


def _measured(said: str, frame: pd.DataFrame) -> Iterator[tuple]:
    """A table under its sentence; the sentence alone where none of its cells was measured."""
    if found.any_measured(frame):
        yield "text", said
        yield "table", _cells(frame)
    else:
        yield "text", f"{said} Nothing of this was measured yet."


def slip_text(where: str, slip: Slip) -> str:
    """``6 VL tasks. The review: ... What is the case: ... (certain; seen in: ...)``."""
    place = f"{where}. " if where else ""
    return f"{place}The review: {slip.said} What is the case: {slip.found} ({slip.sure}; seen in: {slip.evidence})"


def _cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    return list(frame.columns), frame.astype(str).to_numpy().tolist()
