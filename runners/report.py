"""A reproduced table as files for readers who have nothing else: report, cells, claims, runs, ledger, manifest."""

import csv
import io
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from protocols.paper import TRIVIAL, UNITS, Cell
from protocols.verdict import INCONCLUSIVE, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, Judged
from runners import bundle
from runners.documents import escaped, html, markdown
from runners.reproduce import BY_LOSS, BY_SCORE, BY_TEST, Outcome, Reproduction, compared

SIGNS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", INCONCLUSIVE: "?", NOT_COMPARABLE: "–"}
OPENING = ("method", "protocol", "split", "seed", "opened", "run")


@dataclass(frozen=True)
class Circumstances:
    """How the runs behind a report came about.

    Args:
        command: that makes the report again.
        openings: what the ledger says of these runs, one entry for each opening of a test part.
        manifests: of their bundles.
    """

    command: str
    openings: list[dict[str, Any]] = field(default_factory=list)
    manifests: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, reproduction: Reproduction, root: Path, command: str) -> "Circumstances":
        """Read ledger and bundles below a bundle root."""
        runs = {e.run: e for e in reproduction.experiments}
        ledger = root / bundle.LEDGER
        lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
        found = [entry for entry in map(json.loads, lines) if entry["run"] in runs]
        places = (root / e.folder / "manifest.json" for e in runs.values())
        return cls(command, found, [json.loads(p.read_text(encoding="utf-8")) for p in places if p.is_file()])


def write(reproduction: Reproduction, made: Circumstances, folder: Path) -> None:
    """Write the report (``.md``, ``.html``), its figure, the table (``.csv``, ``.tex``), runs, openings, manifest."""
    from runners.report_text import blocks

    told = list(blocks(reproduction, made))
    title = f"{reproduction.paper.short}, table {reproduction.table.id}"
    manifest = json.dumps(_manifest(reproduction, made), indent=2) + "\n"
    files = {"report.md": markdown(told), "report.html": html(title, told), "table.csv": _csv(reproduction)}
    files |= {"table.tex": _latex(reproduction), "runs.csv": _runs(reproduction), "ledger.csv": _ledger(made)}
    files |= {"manifest.json": manifest}
    if reproduction.table.claims:
        files |= {"claims.csv": _claims(reproduction)}
    files |= {content[0]: content[2] for kind, content in told if kind == "figure"}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def cell_text(outcome: Outcome, judged: Judged | None) -> str:
    """``81.51 → 79.20 ± 0.80 (5) ✗``: reported, ours with the half width of its interval and n, the verdict's sign."""
    printed = outcome.cell.printed or "?"
    if judged is None:
        return f"{printed} {'…' if outcome.pending else SIGNS[NOT_COMPARABLE]}"
    return f"{printed} → {ours_text(judged, outcome.cell)} {SIGNS[judged.verdict]}"


def ours_text(judged: Judged, cell: Cell) -> str:
    """``79.20 ± 0.80 (5)`` in the unit of the table."""
    mean, half = shown(judged.mean, cell), shown((judged.high - judged.low) / 2, cell)
    return f"{mean:.2f} (one run)" if math.isnan(half) else f"{mean:.2f} ± {half:.2f} ({judged.n})"


def shown(value: float, cell: Cell) -> float:
    """A value of METRICS in the unit of the column."""
    return value / UNITS[cell.column.unit]


def name(cell: Cell) -> str:
    """``HFusion, T+V``."""
    return f"{cell.row.heading}, {cell.column.title}"


def layout(reproduction: Reproduction) -> tuple[list[str], list[list[str]]]:
    """Header and rows as the paper prints them, each cell as ``cell_text`` says it; trivial answers below."""
    table, rows = reproduction.table, []
    by_place = {(id(o.cell.row), o.cell.index): o for o in reproduction.outcomes}
    for row in table.rows:
        found = [by_place.get((id(row), index)) for index in range(len(table.columns))]
        rows.append([row.heading, *("" if o is None else cell_text(o, o.main) for o in found)])
    for key in TRIVIAL:
        having = [o for o in reproduction.runnable if key in o.trivial]
        scores = {o.cell.index: f"{shown(o.trivial[key], o.cell):.2f}" for o in having}
        if scores:
            texts = [scores.get(index, "") for index in range(len(table.columns))]
            rows.append([f"without a model: {TRIVIAL[key]}", *texts])
    return ["", *(column.title for column in table.columns)], rows


# ---------------------------------------------------------------------------------------------------- data files

HEAD = ("paper", "table", "row", "column", "metric", "unit", "direction", "reported", "tolerance")
OURS = ("method", "protocol", "mean", "low", "high", "n", "difference")
# The same trainings with the epoch chosen by the best score, on the validation and on the test part, and what each
# of the two steps adds.
OTHERS = {"score": BY_SCORE, "test": BY_TEST}
STEPS = {"added_by_score": (BY_LOSS, BY_SCORE), "added_by_test": (BY_SCORE, BY_TEST)}
ENDS = ("mean", "low", "high")
COLUMNS = (
    *(*HEAD, *OURS, "verdict", "reason"),
    *(f"{rule}_{end}" for rule in OTHERS for end in (*ENDS, "verdict")),
    *(f"{step}{end}" for step in STEPS for end in ("", "_low", "_high")),
    *("test_best", *TRIVIAL),
)


def _csv(reproduction: Reproduction) -> str:
    """One row a cell; numbers in the unit of the table."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for outcome in reproduction.outcomes:
        cell = outcome.cell
        row = {"paper": reproduction.paper.key, "table": reproduction.table.id, "row": cell.row.heading}
        row |= {"column": cell.column.title, "metric": cell.column.metric, "unit": cell.column.unit}
        row |= {"direction": cell.column.direction, "reported": cell.printed, "verdict": outcome.verdict}
        row |= {"tolerance": f"{shown(cell.tolerance, cell):g}", "reason": outcome.reason}
        row |= {key: _digits(score, cell) for key, score in outcome.trivial.items()}
        writer.writerow(row | _numbers(outcome))
    return out.getvalue()


def _numbers(outcome: Outcome) -> dict[str, Any]:
    """What was measured of a cell: every rule, and what lies between them."""
    cell, main = outcome.cell, outcome.main
    if main is None:
        return {}
    first = outcome.reruns[0]
    row: dict[str, Any] = {"method": first.spec.name, "protocol": first.footings[0].protocol, "n": main.n}
    row |= {end: _digits(getattr(main, end), cell) for end in (*ENDS, "difference")}
    for name, rule in OTHERS.items():
        if judged := outcome.under(rule):
            row |= {f"{name}_{end}": _digits(getattr(judged, end), cell) for end in ENDS}
            row |= {f"{name}_verdict": judged.verdict}
    for step, rules in STEPS.items():
        if added := first.between(*rules):
            row |= {step: _digits(added.mean, cell), f"{step}_low": _digits(added.low, cell)}
            row |= {f"{step}_high": _digits(added.high, cell)}
    return row | ({"test_best": _digits(best(outcome), cell)} if outcome.leaking else {})


def best(outcome: Outcome) -> float:
    """The best single run with the epoch chosen on the test part."""
    values = outcome.reruns[0].numbers(BY_TEST).values()
    return min(values) if outcome.cell.column.direction == "lower" else max(values)


def _digits(value: float, cell: Cell) -> str:
    return "" if math.isnan(value) else f"{shown(value, cell):.4f}"


def _latex(reproduction: Reproduction) -> str:
    header, rows = layout(reproduction)
    lines = [f"% {reproduction.paper.key}, table {reproduction.table.id}: reported -> ours, 95 % interval, runs"]
    lines += [f"\\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}", "\\hline"]
    lines += [" & ".join(map(escaped, header)) + r" \\", r"\hline"]
    lines += [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _ledger(made: Circumstances) -> str:
    """Every opening of a test part by the runs of the table, in the order of time."""
    out = io.StringIO()
    writer = csv.DictWriter(out, OPENING, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(made.openings, key=lambda entry: entry["opened"]))
    return out.getvalue()


def _runs(reproduction: Reproduction) -> str:
    """The numbers that every mean is made of: one row a cell, preset, rule and run, in the unit of the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("row", "column", "metric", "preset", "epoch_chosen_by", "seed", "fold", "value", "epoch"))
    for outcome in reproduction.runnable:
        cell = (outcome.cell.row.heading, outcome.cell.column.title, outcome.cell.column.metric)
        for rerun in outcome.reruns:
            for footing, values in rerun.values.items():
                for (seed, fold), value in sorted(values.items()):
                    told = (rerun.preset, footing.rule, seed, fold or "", f"{shown(value, outcome.cell):.6f}")
                    writer.writerow((*cell, *told, rerun.epochs[footing][seed, fold]))
    return out.getvalue()


def _claims(reproduction: Reproduction) -> str:
    """One row a comparison of a claim and rule; differences are positive where ours agree, in the unit of the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    places = ("better_row", "better_column", "worse_row", "worse_column")
    writer.writerow(("claim", *places, "published", "epoch_chosen_by", *ENDS, "n", "verdict"))
    for claim in reproduction.table.claims:
        for found in compared(reproduction, claim):
            cell = reproduction.table.places[found.pair.better]
            told = (claim.says, *found.pair.better, *found.pair.worse, _digits(found.printed, cell))
            for rule, (interval, word) in found.ours.items():
                ends = (_digits(getattr(interval, end), cell) for end in ENDS)
                writer.writerow((*told, rule, *ends, interval.n, word))
    return out.getvalue()


def _manifest(reproduction: Reproduction, made: Circumstances) -> dict:
    return {
        "schema_version": 3,
        "paper": reproduction.paper.key,
        "table": reproduction.table.id,
        "command": made.command,
        "fuseboard": version("fuseboard"),
        "created": bundle.now(),
        "tolerance": reproduction.table.tolerance,
        "verdicts": dict(Counter(o.verdict for o in reproduction.runnable if o.main)),
        "test_openings": len(made.openings),
        "protocols": {e.protocol.key: e.protocol.model_dump(mode="json") for e in reproduction.experiments},
        "runs": [
            {"run": e.run, "method": e.method.name, "protocol": e.protocol.key, "seed": e.seed, "code": e.code}
            for e in reproduction.experiments
        ],
    }


def line(outcome: Outcome) -> str:
    """A finished cell in one line, while the rest still runs."""
    main, test, cell = outcome.main, outcome.leaking, outcome.cell
    if main is None:
        return f"{name(cell)}: {outcome.reason}"
    also = f"; epoch chosen on test: {ours_text(test, cell)}" if test else ""
    return f"{name(cell)}: reported {cell.printed}, ours {ours_text(main, cell)}, {main.verdict}{also}"
