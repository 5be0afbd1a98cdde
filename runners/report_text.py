"""What a report of a reproduced table says, block by block, to a reader who has neither paper nor code at hand.

What came out stands first; what was run, how often the test part was opened and how to make the report again follow, of
``runners.report_setup``.
"""

import math
from collections import Counter
from collections.abc import Iterator
from statistics import fmean, median
from string import ascii_lowercase

from protocols.paper import TRIVIAL, Claim, Finding, Table
from protocols.statistics import Interval
from protocols.verdict import (
    HOLDS,
    INCONCLUSIVE,
    MIN_RUNS,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_TOLD_APART,
    REPRODUCED,
    REVERSED,
)
from runners.report import SIGNS, Circumstances, layout, name, ours_text, shown
from runners.report_drawing import drawings
from runners.report_setup import rows, setup
from runners.reproduce import BY_LOSS, BY_SCORE, BY_TEST, Compared, Outcome, Reproduction, compared

# How the epoch that a number is read at was chosen, in a heading, and in a sentence.
HEADED = {BY_LOSS: "lowest validation loss", BY_SCORE: "best validation score", BY_TEST: "best test score"}
CHOSEN = {
    "test": "The released code keeps the epoch that scores best on the test part. That needs the test labels, so such "
    "a number would not come up again on new data.",
    "validation": "The authors choose the epoch without the test part. The best test score is no rule of theirs: it is "
    "the most that a choice of the epoch could add.",
    "unknown": "What chose the epoch is not said. The best test score is the most that its choice could add.",
}
WORDS = {HOLDS: "✓", REVERSED: "✗", NOT_TOLD_APART: "?"}
Block = tuple


def blocks(reproduction: Reproduction, made: Circumstances) -> Iterator[Block]:
    """The document, block by block."""
    done = [o for o in reproduction.runnable if o.main]
    letters = lettered(done)
    yield "title", f"{reproduction.paper.short}, {reproduction.table.printed}: do its numbers hold?"
    yield "text", _cited(reproduction)
    yield "heading", "In short"
    yield from _short(reproduction, done)
    for unit, svg in drawings(done):
        yield "figure", (f"figure-{unit}.svg", f"{_caption(done)} In {unit}.", svg)
    yield "heading", "How to read a number"
    yield "list", _rules(reproduction, done, made)
    yield "heading", "What the rows are"
    yield from rows(reproduction)
    yield from _table(reproduction)
    yield from _claims(reproduction)
    yield from _selection(reproduction, done, letters)
    yield from _explained(done, letters)
    yield from _left(reproduction)
    yield from setup(reproduction, made)


def _cited(reproduction: Reproduction) -> str:
    paper = reproduction.paper
    place = " ".join(str(part) for part in (paper.venue, paper.year) if part)
    ids = [f"doi:{paper.doi}" if paper.doi else "", f"arXiv:{paper.arxiv}" if paper.arxiv else ""]
    told = ", ".join(part for part in (place, *ids) if part)
    return f"{', '.join(paper.authors)}: {paper.title}. {told}."


def lettered(done: list[Outcome]) -> dict[Finding, str]:
    """Every finding once, in the order of the table, with a letter."""
    findings = dict.fromkeys(o.cell.finding for o in done if o.cell.finding)
    return dict(zip(findings, ascii_lowercase, strict=False))


# ---------------------------------------------------------------------------------------------------- in short


def _short(reproduction: Reproduction, done: list[Outcome]) -> Iterator[Block]:
    table = reproduction.table
    lines = [f"{table.caption}. Data: {table.data}."]
    if head := next((o for o in done if (o.cell.row.heading, o.cell.column.title) == table.headline), None):
        told = "; ".join(f"{HEADED[rule]} {_mean_text(head, rule)}" for rule in HEADED if head.under(rule))
        lines.append(
            f"The number that the table is known for, {name(head.cell)}: published {head.cell.printed}, ours at the "
            f"epoch of the {told}."
        )
    left = len(table.cells) - len(done)
    told = f" Why the other {'one is' if left == 1 else f'{left} are'} not is said below." if left else ""
    lines.append(f"{len(done)} of {len(table.cells)} numbers were recomputed, each with {_runs_text(done)} runs.{told}")
    yield "list", lines + _short_claims(reproduction) + _short_trivial(done)
    rules = [rule for rule in HEADED if any(o.under(rule) for o in done)]
    if done:
        header = ["the epoch is that of the", *(f"{word} {SIGNS[word]}" for word in SIGNS if word != NOT_COMPARABLE)]
        header += ["mean absolute distance from the published numbers", "epoch, median of the runs"]
        yield "table", (header, [_counted(table, done, rule) for rule in rules])
    if BY_TEST in rules:
        yield "text", f"{CHOSEN[table.selection]} The verdicts of this report are those of the {HEADED[BY_LOSS]}."
    if table.caution:
        yield "text", table.caution


def _mean_text(outcome: Outcome, rule: str) -> str:
    judged = outcome.under(rule)
    return f"{ours_text(judged, outcome.cell)} {SIGNS[judged.verdict]}"


def _runs_text(done: list[Outcome]) -> str:
    counts = sorted({o.main.n for o in done})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "no"


def _counted(table: Table, done: list[Outcome], rule: str) -> list[str]:
    found = [o for o in done if o.under(rule)]
    counts = Counter(o.under(rule).verdict for o in found)
    units = {o.cell.column.unit for o in found}
    gaps = [abs(shown(o.under(rule).difference, o.cell)) for o in found]
    told = f"{fmean(gaps):.2f}" if len(units) == 1 else "several units"
    heading = f"{HEADED[rule]}, as the released code" if rule == BY_TEST and table.selection == "test" else HEADED[rule]
    epoch = f"{median(epoch for o in found for epoch in o.reruns[0].read_at(rule)):g}"
    return [heading, *(str(counts[word]) for word in SIGNS if word != NOT_COMPARABLE), told, epoch]


def _short_claims(reproduction: Reproduction) -> list[str]:
    """``Claim: ... Depends on how the epoch is chosen: it holds in 4 of 4 comparisons at ...``."""
    lines = []
    for claim in reproduction.table.claims:
        found = compared(reproduction, claim)
        told = [_holding(found, rule) for rule in HEADED if any(rule in pair.ours for pair in found)]
        if told:
            counts = f"{told[0]}{''.join(f', in {text}' for text in told[1:])}"
            lines.append(f"Claim: {claim.says}. {_overall(found)}: it holds in {counts}.")
    return lines


def _overall(found: list[Compared]) -> str:
    """What the comparisons of a claim come to, over all rules."""
    shares = set()
    for rule in HEADED:
        words = [pair.ours[rule][1] for pair in found if rule in pair.ours]
        shares |= {words.count(HOLDS) / len(words)} if words else set()
    if shares == {1.0}:
        return "Seen in our runs"
    if shares == {0.0}:
        return "Not seen in our runs"
    return "Seen in part of our runs" if len(shares) == 1 else "Depends on how the epoch is chosen"


def _holding(found: list[Compared], rule: str) -> str:
    words = [pair.ours[rule][1] for pair in found if rule in pair.ours]
    turned = f" ({words.count(REVERSED)} the other way round)" if REVERSED in words else ""
    first = f" comparisons at the epoch of the {HEADED[rule]}" if rule == BY_LOSS else f" by the {HEADED[rule]}"
    return f"{words.count(HOLDS)} of {len(words)}{first}{turned}"


def _short_trivial(done: list[Outcome]) -> list[str]:
    lines = []
    for key, told in TRIVIAL.items():
        beaten, below = [o for o in done if key in o.beaten], [o for o in done if key in o.below]
        if beaten:
            lines.append(f"Published numbers that do not beat an answer without a model ({told}): {names(beaten)}.")
        if below:
            lines.append(f"Means of ours that do not ({told}): {len(below)} of {len(done)}: {names(below)}.")
    return lines


def _caption(done: list[Outcome]) -> str:
    also = f", diamonds the {HEADED[BY_TEST]}" if any(o.leaking for o in done) else ""
    dashed = " The dashed line is the answer without a model." if any(o.trivial for o in done) else ""
    return (
        "Published numbers (black) with the tolerance (grey), and ours with 95 % intervals over runs: dots are the "
        f"epoch of the {HEADED[BY_LOSS]}{also}.{dashed}"
    )


# ---------------------------------------------------------------------------------------------------- rules


def _rules(reproduction: Reproduction, done: list[Outcome], made: Circumstances) -> list[str]:
    table = reproduction.table
    own = {c.title: c.tolerance for c in table.columns if c.tolerance}
    exceptions = "".join(f"; {title}: {value:g}" for title, value in own.items())
    spread = any(row.spread for row in table.rows)
    tolerance = "the paper's own spread where it prints one, else " if spread else "the paper prints no spread, so "
    lines = [
        "82.31 → 79.63 ± 0.17 (10) ✗ reads: published 82.31; ours 79.63 on average over 10 runs that differ in their "
        "seed; half the width of the 95 % t interval of that mean is 0.17; the sign is the verdict.",
        f"{SIGNS[REPRODUCED]} {REPRODUCED}: that interval lies inside the published number ± tolerance. "
        f"{SIGNS[NOT_REPRODUCED]} {NOT_REPRODUCED}: it lies wholly outside. {SIGNS[INCONCLUSIVE]} {INCONCLUSIVE}: it "
        f"straddles an end, or there are fewer than {MIN_RUNS} runs. {SIGNS[NOT_COMPARABLE]} {NOT_COMPARABLE}: not "
        "recomputed, with the reason.",
        f"Tolerance: {tolerance}{table.tolerance:g} in the unit of the table{exceptions}.",
        "Of epochs with equal scores the first one counts.",
        f"Rule and tolerance stand in the code that printed them before the first run{_commits(made)}.",
        "If runs scatter normally, ✓ and ✗ are each wrong about the mean of this implementation for at most one "
        "number in 40. They say nothing of what the authors' own code would give today, from which this one may still "
        "differ; what is known to differ is listed below.",
    ]
    return lines + _sampling(done)


def _commits(made: Circumstances) -> str:
    commits = list(dict.fromkeys(m["commit"][:10] for m in made.manifests if m.get("commit")))
    first = min((entry["opened"] for entry in made.openings), default=None)
    told = f", commit {', '.join(commits)}" if commits else ""
    return told + (f"; the test part was first opened on {first[:10]}" if first else "")


def _sampling(done: list[Outcome]) -> list[str]:
    """How far the choice of the test items alone may move an accuracy, which no interval over seeds knows of."""
    found = [o for o in done if o.cell.column.metric.startswith("acc") and o.items and 0 < o.main.mean < 1]
    if not found:
        return []
    half = [1.96 * math.sqrt(o.main.mean * (1 - o.main.mean) / o.items) for o in found]
    low, high = (f"{shown(end(half), found[0].cell):.1f}" for end in (min, max))
    counts = sorted({o.items for o in found})
    return [
        f"Intervals are over runs. Other test items of the same number ({', '.join(map(str, counts))}) would move each "
        f"accuracy by ± {low}{f' to {high}' if high != low else ''} (95 %, binomial), ours and the published one alike."
    ]


# ---------------------------------------------------------------------------------------------------- results


def _table(reproduction: Reproduction) -> Iterator[Block]:
    yield "heading", "The table"
    yield (
        "text",
        f"Published, and ours at the epoch of the {HEADED[BY_LOSS]}. Where the paper prints nothing, nothing stands.",
    )
    yield "table", layout(reproduction)


def _claims(reproduction: Reproduction) -> Iterator[Block]:
    """What the paper compares, compared run by run."""
    told = [(claim, compared(reproduction, claim)) for claim in reproduction.table.claims]
    if not any(found for _, found in told):
        return
    yield "heading", "Do the paper's conclusions hold?"
    yield (
        "text",
        "Each comparison is of our runs with one seed, the better number of the paper less the worse one, with the "
        f"95 % t interval over seeds: {WORDS[HOLDS]} {HOLDS} where it lies above 0, {WORDS[REVERSED]} {REVERSED} where "
        f"it lies below, {WORDS[NOT_TOLD_APART]} {NOT_TOLD_APART} else. No correction is made for their number.",
    )
    rules = [rule for rule in HEADED if any(rule in pair.ours for _, found in told for pair in found)]
    header = ["comparison", "published", *(f"ours, {HEADED[rule]}" for rule in rules)]
    for claim, found in told:
        if found:
            yield "text", f"{claim.says}:"
            yield "table", (header, [_compared(reproduction, pair, rules) for pair in found])
        elif claim:
            yield "text", f"{claim.says}: {_not_compared(claim)}"


def _not_compared(claim: Claim) -> str:
    return f"not compared, for want of one of its numbers ({len(claim.pairs)} comparisons)."


def _compared(reproduction: Reproduction, found: Compared, rules: list[str]) -> list[str]:
    better, worse = (reproduction.table.places[place] for place in found.pair.places)
    outcomes = [o for o in reproduction.runnable if o.cell in (better, worse)]
    idle = " (neither beats an answer without a model)" if all(o.below for o in outcomes) else ""
    texts = [f"{name(better)} over {name(worse)}{idle}", f"{shown(found.printed, better):+.2f}"]
    for rule in rules:
        if rule in found.ours:
            interval, word = found.ours[rule]
            mean, half = shown(interval.mean, better), shown((interval.high - interval.low) / 2, better)
            texts.append(f"{mean:+.2f} ± {half:.2f} {WORDS[word]}")
        else:
            texts.append("–")
    return texts


def _selection(reproduction: Reproduction, done: list[Outcome], letters: dict[Finding, str]) -> Iterator[Block]:
    """Every number under every rule, and of what the distance from the published one is made."""
    rules = [rule for rule in HEADED if any(o.under(rule) for o in done)]
    yield "heading", "Number by number"
    header = ["number", "published", *(f"ours, {HEADED[rule]}" for rule in rules)]
    header += [f"lowest to highest run, {HEADED[rules[-1]]}" if rules else "lowest to highest run"]
    header += [f"ours − published, {HEADED[BY_LOSS]}", "epochs", "why"]
    rows = []
    for o in done:
        values = [shown(value, o.cell) for value in o.reruns[0].numbers(rules[-1]).values()]
        texts = [name(o.cell), o.cell.printed, *(_mean_text(o, rule) if o.under(rule) else "–" for rule in rules)]
        texts += [f"{min(values):.2f} to {max(values):.2f}" if values else "–"]
        epochs = " / ".join(f"{median(o.reruns[0].read_at(rule)):g}" for rule in rules if o.under(rule))
        rows.append([*texts, f"{shown(o.main.difference, o.cell):+.2f}", epochs, _why(o, letters)])
    yield "table", (header, rows)
    if BY_TEST in rules:
        yield (
            "text",
            "Epochs are medians over the runs, in the order of the rules. Why: letters stand below; test rule: the "
            f"number is reproduced by the {HEADED[BY_TEST]}.",
        )
        yield from _steps(reproduction, [o for o in done if o.leaking])


def _why(outcome: Outcome, letters: dict[Finding, str]) -> str:
    told = [letters[outcome.cell.finding]] if outcome.cell.finding in letters else []
    if outcome.verdict != REPRODUCED and outcome.leaking and outcome.leaking.verdict == REPRODUCED:
        told.append("test rule")
    return ", ".join(told + list(dict.fromkeys(f"a run failed: {why}" for r in outcome.reruns for why in r.failed)))


def _steps(reproduction: Reproduction, done: list[Outcome]) -> Iterator[Block]:
    yield "heading", "What comes of how the epoch is chosen"
    yield (
        "text",
        "The same trainings, read at other epochs. The first step keeps to the validation part and goes from its loss "
        "to its score; the second keeps the score and goes from the validation part to the test part, and alone needs "
        "the test labels; it is a best of all epochs, and so hardly ever below 0. A row adds up: the distance by the "
        "validation loss and both steps give the distance by the test score. Distances are ours − published; ± is half "
        "the width of the 95 % t interval over runs.",
    )
    header = ["number", "distance, lowest validation loss", "from loss to score", "from validation to test"]
    rows, steps = [], {(BY_LOSS, BY_SCORE): [], (BY_SCORE, BY_TEST): []}
    for o in done:
        texts = [name(o.cell), f"{shown(o.main.difference, o.cell):+.2f}"]
        for rules, seen in steps.items():
            added = o.reruns[0].between(*rules)
            texts.append(_interval(added, o) if added else "–")
            seen += [shown(added.mean, o.cell)] if added else []
        rows.append([*texts, f"{shown(o.leaking.difference, o.cell):+.2f}"])
    yield "table", ([*header, "distance, best test score"], rows)
    if len({o.cell.column.unit for o in done}) == 1:
        unit = "percentage points" if done[0].cell.column.unit == "percent" else done[0].cell.column.unit
        told = [
            f"{header[2 + k]} {median(seen):+.2f} ({min(seen):+.2f} to {max(seen):+.2f})"
            for k, seen in enumerate(steps.values())
            if seen
        ]
        yield "text", f"Median over the {len(done)} numbers, in {unit}, and the range: {'; '.join(told)}."


def _interval(found: Interval, outcome: Outcome) -> str:
    mean, half = (shown(value, outcome.cell) for value in (found.mean, (found.high - found.low) / 2))
    return f"{mean:+.2f}" if found.n == 1 else f"{mean:+.2f} ± {half:.2f}"


def _explained(done: list[Outcome], letters: dict[Finding, str]) -> Iterator[Block]:
    """Findings with the numbers that they rest on, what nobody has explained yet, and further presets."""
    yield "heading", "Why numbers differ"
    if letters:
        by_finding = {finding: [o for o in done if o.cell.finding == finding] for finding in letters}
        yield "list", [f"({letters[f]}) {names(cells)}: {f.says}" for f, cells in by_finding.items()]
        rows = [[letters[f], m.what, m.value, ", ".join(m.runs)] for f in letters for m in f.measured]
        if rows:
            yield "text", "The numbers behind these reasons, with the ids of their runs:"
            yield "table", (["reason", "what was changed", "ours", "runs"], rows)
    yield "list", _settled(done)
    yield from _presets(done)


def _settled(done: list[Outcome]) -> list[str]:
    """Of the numbers that are not reproduced: what the choice of the epoch accounts for, and what is open."""
    wrong = [o for o in done if o.verdict == NOT_REPRODUCED]
    by_test = {word: [o for o in wrong if o.leaking and o.leaking.verdict == word] for word in SIGNS}
    rest = [o for o in wrong if not o.leaking or o.leaking.verdict == NOT_REPRODUCED]
    told = [
        (
            f"Not reproduced, but reproduced by the {HEADED[BY_TEST]}: choosing the epoch on the test part is enough "
            "to come within the tolerance",
            by_test[REPRODUCED],
        ),
        (f"Not reproduced; open by the {HEADED[BY_TEST]}", by_test[INCONCLUSIVE]),
        ("Not reproduced under any rule; what is known of why stands above", [o for o in rest if o.cell.finding]),
        ("Not reproduced under any rule, and nothing is known of why", [o for o in rest if not o.cell.finding]),
    ]
    return [f"{said}: {names(found)}." for said, found in told if found] or [
        "No number is firmly outside its tolerance."
    ]


def names(outcomes: list[Outcome]) -> str:
    """``HFusion (T+V, T+A); TFN (T+V)``."""
    rows: dict[str, list[str]] = {}
    for o in outcomes:
        rows.setdefault(o.cell.row.heading, []).append(o.cell.column.title)
    return "; ".join(f"{row} ({', '.join(columns)})" for row, columns in rows.items())


def _presets(done: list[Outcome]) -> Iterator[Block]:
    rows = []
    rules = [rule for rule in HEADED if any(o.under(rule) for o in done)]
    for o in done:
        for rerun in o.reruns if len(o.reruns) > 1 else ():
            judged = [rerun.judged(rule) for rule in rules]
            rows.append(
                [name(o.cell), o.cell.printed, rerun.preset, *(ours_text(j, o.cell) if j else "–" for j in judged)]
            )
    if rows:
        yield "subheading", "Other presets of the same method"
        yield "table", (["number", "published", "preset", *(f"ours, {HEADED[rule]}" for rule in rules)], rows)


def _left(reproduction: Reproduction) -> Iterator[Block]:
    """Cells without a number of ours, one row a reason."""
    why: dict[str, list[Outcome]] = {}
    for outcome in reproduction.outcomes:
        if not outcome.main:
            why.setdefault(outcome.reason, []).append(outcome)
    if why:
        yield "subheading", "Not recomputed"
        rows = [[reason, names(cells), str(len(cells))] for reason, cells in why.items()]
        yield "table", (["reason", "cells", "numbers"], rows)
