"""What a report of a reproduced table says, block by block, to a reader who has neither paper nor code at hand."""

from collections import Counter
from collections.abc import Iterator

from protocols.paper import TRIVIAL, Evidence, Run
from protocols.spec import ProtocolSpec
from protocols.statistics import Interval
from protocols.verdict import INCONCLUSIVE, MIN_RUNS, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED
from runners.report import SIGNS, Circumstances, best, cell_text, layout, name, ours_text, shown
from runners.report_drawing import drawing
from runners.reproduce import Outcome, Reproduction
from zoo import METHODS

CHOSEN = {
    "test": "The released code keeps the epoch that scores best on the test part. That needs the test labels, so such "
    "a number would not come up again on new data.",
    "validation": "The authors choose the epoch without the test part. The column with the choice on test is no rule "
    "of theirs: it is the most that a choice of the epoch could add.",
    "unknown": "What chose the epoch is not said. The column with the choice on test is the most that it could add.",
}
EPOCH = {
    "test": "on the part that is scored, as the released code shows",
    "validation": "on validation data",
    "unknown": "not said",
}
EVIDENCE = {
    "parity": "with the authors' weights our outputs equal theirs",
    "code-read": "written from the paper and the authors' code",
    "paper-read": "written from the paper",
    "derived-from-abstract": "written from the abstract alone",
    "generic": "a general architecture",
}
Block = tuple


def blocks(reproduction: Reproduction, made: Circumstances) -> Iterator[Block]:
    """The document, block by block."""
    done = [o for o in reproduction.runnable if o.main]
    yield "title", f"{reproduction.paper.short}, {reproduction.table.printed}: does it hold?"
    yield "text", _cited(reproduction)
    yield "heading", "In short"
    yield "list", _short(reproduction, done)
    yield "heading", "What the paper's table shows"
    yield "list", _published(reproduction)
    yield "heading", "What was run"
    yield from _run(reproduction)
    yield "heading", "When a number counts as reproduced"
    yield "list", _rules(reproduction)
    yield "heading", "The table"
    yield from _table(reproduction, done)
    yield from _selection(reproduction, done)
    yield from _explained(done)
    yield "heading", "Cell by cell"
    yield "table", _cells(done)
    yield from _left(reproduction)
    yield "heading", "How often the test part was opened"
    yield from _openings(made)
    yield "heading", "How to make this report again"
    yield from _again(reproduction, made)


def _cited(reproduction: Reproduction) -> str:
    paper = reproduction.paper
    place = " ".join(str(part) for part in (paper.venue, paper.year) if part)
    ids = [f"doi:{paper.doi}" if paper.doi else "", f"arXiv:{paper.arxiv}" if paper.arxiv else ""]
    told = ", ".join(part for part in (place, *ids) if part)
    return f"{', '.join(paper.authors)}: {paper.title}. {told}."


# ---------------------------------------------------------------------------------------------------- in short


def _short(reproduction: Reproduction, done: list[Outcome]) -> list[str]:
    counts = Counter(o.verdict for o in done)
    told = ", ".join(f"{counts[word]} {word}" for word in SIGNS if counts[word])
    lines = [f"Recomputed numbers: {len(done)}; {told or 'none finished'}."]
    if left := len(reproduction.table.cells) - len(done):
        lines.append(f"Numbers of the table that are not recomputed here: {left}; each has its reason below.")
    lines += _short_selection(done)
    for key, told in TRIVIAL.items():
        if beaten := [o for o in done if key in o.beaten]:
            lines.append(f"Published numbers that do not beat an answer without a model ({told}): {_names(beaten)}.")
    return lines


def _short_selection(done: list[Outcome]) -> list[str]:
    """What choosing on test adds, over all cells of one unit."""
    found = [o for o in done if o.leaking]
    if not found or len({o.cell.column.unit for o in found}) > 1:
        return []
    added = [shown(o.reruns[0].added.mean, o.cell) for o in found]
    gaps = [abs(shown(o.main.difference, o.cell)) for o in found]
    left = [abs(shown(o.leaking.difference, o.cell)) for o in found]
    counts = Counter(o.leaking.verdict for o in found)
    told = ", ".join(f"{counts[word]} {word}" for word in SIGNS if counts[word])
    unit = "percent points" if found[0].cell.column.unit == "percent" else found[0].cell.column.unit
    return [
        f"Choosing the epoch on the test part moves our numbers by {_mean(added):+.2f} {unit} on average, from "
        f"{min(added):+.2f} to {max(added):+.2f}. With the epoch chosen on validation they lie {_mean(gaps):.2f} from "
        f"the published ones on average, with the epoch chosen on test {_mean(left):.2f}; the verdicts would then be: "
        f"{told}."
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


# ---------------------------------------------------------------------------------------------------- paper and runs


def _published(reproduction: Reproduction) -> list[str]:
    paper, table = reproduction.paper, reproduction.table
    lines = [
        f"{table.caption}.",
        f"Data: {table.data}.",
        f"Split: {table.split}.",
        f"Epoch chosen: {EPOCH[table.selection]}.",
        f"Numbers are {_column_units(reproduction)}, digits as printed."
        + (" Higher is better." if {c.direction for c in table.columns} == {"higher"} else ""),
    ]
    if sets := [f"{c.title} is {' and '.join(c.modalities)}" for c in table.columns if c.modalities]:
        lines.append(f"Columns: {', '.join(sets)}.")
    if table.origin == "others":
        lines.append("These are somebody else's runs of the method; the paper does not print them.")
    read = dict.fromkeys(_source(reproduction, item) for cell in table.cells for item in cell.evidence)
    lines += [f"Read in: {text}." for text in read]
    notes = [*paper.notes, *table.notes, *(f"{row.heading}: {row.note}" for row in table.rows if row.note)]
    return lines + [note if note.endswith(".") else f"{note}." for note in notes]


def _column_units(reproduction: Reproduction) -> str:
    columns = reproduction.table.columns
    kinds = dict.fromkeys((column.metric or "of no metric of ours", column.unit) for column in columns)
    return "; ".join(f"{metric.replace('_', ' ')} in {unit}" for metric, unit in kinds)


def _source(reproduction: Reproduction, item: Evidence) -> str:
    source = reproduction.paper.sources[item.source]
    place = f"{source.where} at {source.commit}" if source.commit else source.where
    return f"{source.kind}, {item.at} ({place}{f', {source.file}' if source.file else ''})"


def _run(reproduction: Reproduction) -> Iterator[Block]:
    rows, cards = [], {}
    for outcome in reproduction.runnable:
        for rerun in outcome.reruns:
            card = METHODS[rerun.spec.method]
            cards[card.name] = card
            row = [outcome.cell.row.heading, rerun.preset, f"{card.title}: {card.summary}", EVIDENCE[card.evidence]]
            rows += [row] if row not in rows else []
    yield "table", (["row of the paper", "our preset", "what it is", "how it was written"], rows)
    seeds = sorted({e.seed for e in reproduction.experiments})
    yield "list", [*map(_protocol, _protocols(reproduction)), f"Seeds: {', '.join(map(str, seeds))}."]
    yield "subheading", "Known differences from what the paper ran"
    notes = dict.fromkeys(_with_rows(reproduction))
    yield (
        "list",
        [
            *notes,
            "Every feature is standardised with mean and deviation of the training part.",
            *(f"{card.title}: {said}" for card in cards.values() for said in card.differs),
        ],
    )


def _with_rows(reproduction: Reproduction) -> Iterator[str]:
    runs: dict[str, list[str]] = {}
    for outcome in reproduction.runnable:
        run: Run = outcome.cell.run
        if run.note and outcome.cell.row.heading not in runs.setdefault(run.note, []):
            runs[run.note].append(outcome.cell.row.heading)
    return (f"{', '.join(rows)}: {note}" for note, rows in runs.items())


def _protocols(reproduction: Reproduction) -> list[ProtocolSpec]:
    return list({e.protocol.key: e.protocol for e in reproduction.experiments}.values())


def _protocol(spec: ProtocolSpec) -> str:
    budget = spec.budget
    clip = "" if budget.clip_norm >= 1e5 else f", gradients clipped at {budget.clip_norm:g}"
    decay = f", weight decay {budget.weight_decay:g}" if budget.weight_decay else ""
    return (
        f"Protocol {spec.key}: {spec.title}. {spec.description} Training: {'AdamW' if decay else 'Adam'} at "
        f"{budget.learning_rate:g}{decay}{clip}, batches of {budget.batch_size}, at most {budget.epochs} epochs, "
        f"stopped when the validation loss has not fallen for {budget.patience}."
    )


def _rules(reproduction: Reproduction) -> list[str]:
    table = reproduction.table
    own = {c.title: c.tolerance for c in table.columns if c.tolerance}
    exceptions = "".join(f"; {title}: {value:g}" for title, value in own.items())
    return [
        "The rule and the tolerance were fixed before the first run.",
        f"{SIGNS[REPRODUCED]} {REPRODUCED}: the 95 % interval of our mean over seeds lies inside the published number "
        "± tolerance.",
        f"{SIGNS[NOT_REPRODUCED]} {NOT_REPRODUCED}: the interval lies outside.",
        f"{SIGNS[INCONCLUSIVE]} {INCONCLUSIVE}: it straddles an end, or there are fewer than {MIN_RUNS} runs. More "
        "seeds may decide.",
        f"{SIGNS[NOT_COMPARABLE]} {NOT_COMPARABLE}: not recomputed, with the reason.",
        f"Tolerance: the paper's own spread where it prints one, else {table.tolerance:g} in the unit of the table"
        f"{exceptions}.",
        "The verdict is that of the epoch chosen on validation. If runs scatter normally, each of the two firm "
        "verdicts is wrong in at most 2.5 % of cells.",
    ]


# ---------------------------------------------------------------------------------------------------- results


def _table(reproduction: Reproduction, done: list[Outcome]) -> Iterator[Block]:
    yield (
        "text",
        "Laid out as in the paper, epoch chosen on validation. Each cell: published → ours ± half width of the 95 % "
        "interval (runs) and the sign of the verdict. The last row is the score of an answer without a model on the "
        "same test items.",
    )
    yield "table", layout(reproduction)
    if done:
        yield "drawing", drawing(done)


def _selection(reproduction: Reproduction, done: list[Outcome]) -> Iterator[Block]:
    found = [o for o in done if o.leaking]
    if not found:
        return
    yield "heading", "What comes from choosing the epoch on the test part"
    yield "text", CHOSEN[reproduction.table.selection]
    yield (
        "text",
        "The same trainings, read twice. The distance from the published number (published − ours, chosen on "
        "validation) is the sum of two parts: what choosing on test adds, and what is left. The best run is the "
        "highest single number that a search over our seeds and epochs on the test part would print.",
    )
    header = ["cell", "published", "chosen on validation", "chosen on test", "best run, chosen on test"]
    header += ["distance", "from choosing on test", "left"]
    rows = []
    for o in found:
        cell = o.cell
        parts = [ours_text(o.main, cell), cell_text(o, o.leaking).partition("→ ")[2]]
        left = f"{shown(-o.leaking.difference, cell):+.2f}"
        distance, added = f"{shown(-o.main.difference, cell):+.2f}", _interval(o.reruns[0].added, o)
        rows.append([name(cell), cell.printed, *parts, f"{shown(best(o), cell):.2f}", distance, added, left])
    yield "table", (header, rows)


def _interval(found: Interval, outcome: Outcome) -> str:
    mean, half = (shown(value, outcome.cell) for value in (found.mean, (found.high - found.low) / 2))
    return f"{mean:+.2f}" if found.n == 1 else f"{mean:+.2f} ± {half:.2f}"


def _explained(done: list[Outcome]) -> Iterator[Block]:
    """Findings with the numbers that they rest on, further presets, and what nobody has explained yet."""
    findings: dict[str, tuple] = {}
    for o in done:
        if o.cell.finding:
            findings.setdefault(o.cell.finding.says, (o.cell.finding, []))[1].append(o)
    yield "heading", "Why numbers differ"
    if findings:
        yield "list", [f"{_names(cells)}: {says}" for says, (_, cells) in findings.items()]
        rows = [[m.what, m.value, ", ".join(m.runs)] for finding, _ in findings.values() for m in finding.measured]
        if rows:
            yield "text", "The numbers behind these reasons:"
            yield "table", (["what was changed", "ours", "runs"], rows)
    yield from _presets(done)
    yield "list", _settled(done)


def _settled(done: list[Outcome]) -> list[str]:
    """Of the numbers that are not reproduced: what the choice of the epoch explains, and what is open."""
    wrong = [o for o in done if o.verdict == NOT_REPRODUCED]
    by_test = {word: [o for o in wrong if o.leaking and o.leaking.verdict == word] for word in SIGNS}
    rest = [o for o in wrong if not o.leaking or o.leaking.verdict == NOT_REPRODUCED]
    told = [
        ("Not reproduced; reproduced with the epoch chosen on test, which explains the distance", by_test[REPRODUCED]),
        ("Not reproduced; open with the epoch chosen on test", by_test[INCONCLUSIVE]),
        ("Not reproduced under either rule, for a reason given above", [o for o in rest if o.cell.finding]),
        ("Not reproduced under either rule, and not explained yet", [o for o in rest if not o.cell.finding]),
    ]
    return [f"{said}: {_names(found)}." for said, found in told if found] or [
        "No number is firmly outside its tolerance."
    ]


def _names(outcomes: list[Outcome]) -> str:
    """``HFusion (T+V, T+A); TFN (T+V)``."""
    rows: dict[str, list[str]] = {}
    for o in outcomes:
        rows.setdefault(o.cell.row.heading, []).append(o.cell.column.title)
    return "; ".join(f"{row} ({', '.join(columns)})" for row, columns in rows.items())


def _presets(done: list[Outcome]) -> Iterator[Block]:
    rows = []
    for o in done:
        for rerun in o.reruns if len(o.reruns) > 1 else ():
            judged = [rerun.judged(), rerun.judged(leaking=True)]
            texts = [ours_text(j, o.cell) if j else "–" for j in judged]
            rows.append([name(o.cell), o.cell.printed, rerun.preset, *texts])
    if rows:
        yield "subheading", "Other presets of the same method"
        yield "table", (["cell", "published", "preset", "chosen on validation", "chosen on test"], rows)


def _cells(done: list[Outcome]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for o in done:
        difference = f"{shown(o.main.difference, o.cell):+.2f}"
        verdict = f"{o.verdict} {SIGNS[o.verdict]}"
        rows.append([name(o.cell), o.cell.printed, ours_text(o.main, o.cell), difference, verdict, o.reason])
    return ["cell", "published", "ours", "ours − published", "verdict", "reason"], rows


def _left(reproduction: Reproduction) -> Iterator[Block]:
    """Cells without a number of ours, one row a reason."""
    why: dict[str, list[Outcome]] = {}
    for outcome in reproduction.outcomes:
        if not outcome.main:
            why.setdefault(outcome.reason, []).append(outcome)
    if why:
        yield "subheading", "Not recomputed"
        rows = [[reason, _names(cells), str(len(cells))] for reason, cells in why.items()]
        yield "table", (["reason", "cells", "numbers"], rows)


# ---------------------------------------------------------------------------------------------------- provenance


def _openings(made: Circumstances) -> Iterator[Block]:
    yield (
        "text",
        f"A run writes down each time that it opens the test part: {len(made.openings)} openings by the runs of this "
        "report. A run opens it once, at its end; one that also reads the epoch chosen on test opens it at its start "
        "too; one that was interrupted opens it again. Every single opening is in ledger.csv. Times are UTC.",
    )
    groups: dict[tuple[str, str], list[dict]] = {}
    for entry in made.openings:
        groups.setdefault((entry["protocol"], entry["method"]), []).append(entry)
    rows = []
    for (protocol, method), entries in sorted(groups.items()):
        seeds = ", ".join(map(str, sorted({entry["seed"] for entry in entries})))
        times = sorted(entry["opened"] for entry in entries)
        rows.append([method, protocol, seeds, str(len(entries)), _time(times[0]), _time(times[-1])])
    if rows:
        yield "table", (["method", "protocol", "seeds", "openings", "first", "last"], rows)


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _again(reproduction: Reproduction, made: Circumstances) -> Iterator[Block]:
    from protocols.datasets import dataset

    yield "code", made.command
    lines = []
    for key in dict.fromkeys(spec.dataset for spec in _protocols(reproduction)):
        card = dataset(key.partition("/")[0]).CARD
        lines.append(
            f"Data: {card.title}. {card.citation}. From {card.home}; {card.licence}. Put them into {card.folder} below "
            "the data root (--data-root)."
        )
    seconds = sum(sum(m["seconds"].values()) for m in made.manifests)
    hardware = [m["hardware"] for m in made.manifests]
    devices = Counter(h["cpu"] if h["device"] == "cpu" else h["device"] for h in hardware)
    versions = dict.fromkeys(
        ", ".join(f"{package} {number}" for package, number in {"fuseboard": m["fuseboard"], **m["versions"]}.items())
        for m in made.manifests
    )
    codes = sorted({e.code for e in reproduction.experiments})
    spent = f"{seconds / 3600:.1f} hours" if seconds > 3600 else f"{seconds / 60:.1f} minutes"
    lines.append(f"Runs: {len(reproduction.experiments)}; they took {spent} of one core or device in all.")
    lines += [f"On {device}: {count} runs." for device, count in devices.items()]
    lines += [f"Software: {text}; numeric code {', '.join(codes)}." for text in versions]
    lines.append(
        "Beside this report: table.csv (one row a number), runs.csv (one row a run of each number), table.tex, "
        "ledger.csv, manifest.json (run ids, protocols)."
    )
    yield "list", lines
