"""A reproduced table as documents: Markdown, HTML, CSV, LaTeX and a manifest, all from one list of cells."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from protocols.paper import UNITS, Cell
from protocols.spec import committed
from protocols.verdict import INCONCLUSIVE, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, Judged
from runners import bundle
from runners.documents import escaped, html, markdown
from runners.reproduce import TEST, Outcome, Reproduction

SIGNS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", INCONCLUSIVE: "?", NOT_COMPARABLE: "–"}
COLUMNS = (
    "paper",
    "table",
    "row",
    "column",
    "metric",
    "unit",
    "reported",
    "footing",
    "protocol",
    "mean",
    "low",
    "high",
)
COLUMNS += ("n", "difference", "tolerance", "verdict", "reason")


def write(reproduction: Reproduction, openings: int, command: str, folder: Path) -> None:
    """Write ``report.md``, ``report.html``, ``table.csv``, ``table.tex`` and ``manifest.json``.

    Args:
        openings: how often the runs behind the table opened the test part, by the ledger.
        command: that makes this report again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = list(_blocks(reproduction, openings, command))
    (folder / "report.md").write_text(markdown(blocks), encoding="utf-8")
    title = f"{reproduction.paper.short}, table {reproduction.table.id}"
    (folder / "report.html").write_text(html(title, blocks), encoding="utf-8")
    (folder / "table.csv").write_text(_csv(reproduction), encoding="utf-8")
    (folder / "table.tex").write_text(_latex(reproduction), encoding="utf-8")
    (folder / "manifest.json").write_text(
        json.dumps(_manifest(reproduction, openings, command), indent=2) + "\n", encoding="utf-8"
    )


def cell_text(outcome: Outcome, judged: Judged | None) -> str:
    """``81.51 → 79.2 ± 0.8 (5) ✗``: reported, ours with the half width of its interval and n, the verdict's sign."""
    cell = outcome.cell
    printed = cell.printed or "?"
    if judged is None:
        return f"{printed} {SIGNS[NOT_COMPARABLE]}"
    return f"{printed} → {ours_text(judged, cell)} {SIGNS[judged.verdict]}"


def ours_text(judged: Judged, cell: Cell) -> str:
    """``79.2 ± 0.8 (5)`` in the unit of the table."""
    mean, half = _shown(judged.mean, cell), _shown((judged.high - judged.low) / 2, cell)
    if math.isnan(half):
        return f"{mean:.2f} (one run)"
    return f"{mean:.2f} ± {half:.2f} ({judged.n})"


def _shown(value: float, cell: Cell) -> float:
    return value / UNITS[cell.column.unit]


def _blocks(reproduction: Reproduction, openings: int, command: str) -> Iterator[tuple]:
    paper, table = reproduction.paper, reproduction.table
    done = [o for o in reproduction.runnable if o.judged]
    counts = Counter(o.verdict for o in done)
    yield "title", f"{paper.short}, table {table.id}: does it hold?"
    yield "text", f"{paper.title}. {paper.venue or ''} {paper.year or ''}. {table.printed}: {table.caption}."
    told = ", ".join(f"{counts[word]} {word}" for word in SIGNS if counts[word])
    left = len(table.cells) - len(done)
    rest = f" {left} more cells of the table are not recomputed here; the reasons stand below." if left else ""
    yield "text", f"Of {len(done)} recomputed cells: {told or 'none finished'}.{rest}"
    yield "heading", "How to read it"
    yield "list", _rules(reproduction)
    yield "heading", "The table, epoch chosen on validation"
    yield "text", "Each cell: reported → ours, mean ± half width of the 95 % interval (runs), and the verdict."
    yield "table", layout(reproduction, leaking=False)
    if any(f.leaks for o in done for f in o.judged):
        yield "heading", "The same trainings, epoch chosen on the test part as in the released code"
        yield (
            "text",
            (
                "This rule leaks: it needs the test labels, and such a number would not come up again on new data. It "
                "is shown because it explains a part of the gap."
            ),
        )
        yield "table", layout(reproduction, leaking=True)
        yield "heading", "What choosing on the test part adds"
        yield "table", _leaks(done)
    yield "heading", "Trivial answers"
    yield "table", _trivial(done)
    yield "heading", "Cell by cell"
    yield "table", _cells(reproduction.outcomes)
    if notes := [*table.notes, *(f"{row.heading}: {row.note}" for row in table.rows if row.note)]:
        yield "heading", "Notes on the published table"
        yield "list", notes
    yield "heading", "Where the numbers come from"
    yield "list", _provenance(reproduction, openings, command)


def _rules(reproduction: Reproduction) -> list[str]:
    table = reproduction.table
    own = {c.title: c.tolerance for c in table.columns if c.tolerance}
    exceptions = "".join(f"; {title}: {value:g}" for title, value in own.items())
    return [
        f"✓ {REPRODUCED}: the 95 % interval of our mean lies inside reported ± tolerance.",
        f"✗ {NOT_REPRODUCED}: it lies outside. ? {INCONCLUSIVE}: it straddles an end, or there is one run only.",
        f"– {NOT_COMPARABLE}: not recomputed; the reason is given.",
        f"Tolerance, fixed before the runs: the paper's own spread where it prints one, else {table.tolerance:g} in "
        f"the unit of the table{exceptions}.",
        "Each verdict is wrong in at most 2.5 % of cells either way if runs scatter normally.",
    ]


def layout(reproduction: Reproduction, *, leaking: bool) -> tuple[list[str], list[list[str]]]:
    """Header and rows as the paper prints them, each cell as ``cell_text`` says it.

    Args:
        leaking: show the epochs chosen on the test part instead.
    """
    table = reproduction.table
    by_place = {(id(o.cell.row), o.cell.index): o for o in reproduction.outcomes}
    rows = []
    for row in table.rows:
        found = [by_place.get((id(row), index)) for index in range(len(table.columns))]
        if leaking and not any(o and any(f.leaks for f in o.judged) for o in found):
            continue
        texts = []
        for outcome in found:
            chosen = outcome and next((j for f, j in outcome.judged.items() if f.leaks == leaking), None)
            texts.append("" if outcome is None else cell_text(outcome, chosen))
        rows.append([row.heading, *texts])
    return ["", *(column.title for column in table.columns)], rows


def _leaks(done: list[Outcome]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for o in done:
        if o.leak is not None:
            gap, added = (f"{_shown(value, o.cell):+.2f}" for value in (o.main.difference, o.leak))
            rows.append([o.cell.row.heading, o.cell.column.title, gap, added])
    return ["row", "column", "ours − reported, chosen on validation", "added by choosing on test"], rows


def _trivial(done: list[Outcome]) -> tuple[list[str], list[list[str]]]:
    beaten = [o for o in done if o.trivial is not None and o.cell.value is not None and o.cell.value <= o.trivial]
    values = {f"{_shown(o.trivial, o.cell):.2f}" for o in done if o.trivial is not None}
    rows = [["always the most frequent class of the scored part", ", ".join(sorted(values)) or "–"]]
    rows.append(["published cells that do not beat it", ", ".join(_name(o.cell) for o in beaten) or "none"])
    return ["answer", "score"], rows


def _cells(outcomes: list[Outcome]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for outcome in outcomes:
        cell, main = outcome.cell, outcome.main
        ours = ours_text(main, cell) if main else "–"
        difference = f"{_shown(main.difference, cell):+.2f}" if main else "–"
        rows.append([_name(cell), cell.printed or "?", ours, difference, outcome.verdict, outcome.reason or "–"])
    return ["cell", "reported", "ours", "difference", "verdict", "reason"], rows


def _name(cell: Cell) -> str:
    return f"{cell.row.heading}, {cell.column.title}"


def _provenance(reproduction: Reproduction, openings: int, command: str) -> list[str]:
    keys = sorted({e.protocol.key for e in reproduction.experiments})
    lines = [f"Made by: {command}"]
    for key in keys:
        spec = committed()[key]
        budget = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in spec.budget.model_dump().items())
        marked = " It leaks by design and never ranks." if spec.leaks else ""
        lines.append(f"Protocol {key}: {spec.title}. {budget}.{marked}")
    codes = sorted({e.code for e in reproduction.experiments})
    lines.append(f"{len(reproduction.experiments)} runs, code {', '.join(codes)}, fuseboard {version('fuseboard')}.")
    lines.append(f"The ledger counts {openings} openings of the test part by these runs.")
    notes = dict.fromkeys(o.cell.run.note for o in reproduction.runnable if o.cell.run.note)
    return lines + [f"Differs from what the paper ran: {note}" for note in notes]


def _csv(reproduction: Reproduction) -> str:
    """One row a cell and footing; values in the unit of the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for outcome in reproduction.outcomes:
        cell = outcome.cell
        head = [reproduction.paper.key, reproduction.table.id, cell.row.heading, cell.column.title, cell.column.metric]
        head += [cell.column.unit, cell.printed]
        tolerance = f"{_shown(cell.tolerance, cell):g}"
        if not outcome.judged:
            writer.writerow([*head, "", "", "", "", "", "", "", tolerance, outcome.verdict, outcome.reason])
        for footing, judged in outcome.judged.items():
            values = [_shown(value, cell) for value in (judged.mean, judged.low, judged.high)]
            texts = ["" if math.isnan(value) else f"{value:.4f}" for value in values]
            row = [*head, footing.name, footing.protocol, *texts, judged.n, f"{_shown(judged.difference, cell):.4f}"]
            writer.writerow([*row, tolerance, judged.verdict, judged.reason if footing.leaks else outcome.reason])
    return out.getvalue()


def _latex(reproduction: Reproduction) -> str:
    header, rows = layout(reproduction, leaking=False)
    lines = [f"% {reproduction.paper.key}, table {reproduction.table.id}: reported -> ours, 95 % interval, runs"]
    lines += [f"\\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}", "\\hline"]
    lines += [" & ".join(map(escaped, header)) + r" \\", r"\hline"]
    lines += [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _manifest(reproduction: Reproduction, openings: int, command: str) -> dict:
    return {
        "schema_version": 1,
        "paper": reproduction.paper.key,
        "table": reproduction.table.id,
        "command": command,
        "fuseboard": version("fuseboard"),
        "created": bundle.now(),
        "tolerance": reproduction.table.tolerance,
        "verdicts": dict(Counter(o.verdict for o in reproduction.runnable if o.judged)),
        "test_openings": openings,
        "protocols": {e.protocol.key: e.protocol.model_dump(mode="json") for e in reproduction.experiments},
        "runs": [
            {"run": e.run, "method": e.method.name, "protocol": e.protocol.key, "seed": e.seed, "code": e.code}
            for e in reproduction.experiments
        ],
    }


def line(outcome: Outcome) -> str:
    """A finished cell in one line, while the rest still runs."""
    main = outcome.main
    if main is None:
        return f"{_name(outcome.cell)}: {outcome.reason}"
    leaking = next((j for f, j in outcome.judged.items() if f.name == TEST), None)
    also = f"; {TEST}: {ours_text(leaking, outcome.cell)}" if leaking else ""
    printed, ours = outcome.cell.printed, ours_text(main, outcome.cell)
    return f"{_name(outcome.cell)}: reported {printed}, ours {ours}, {main.verdict}{also}"
