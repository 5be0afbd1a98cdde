"""The review against the store: its tables recomputed, its studies' way to a verdict, its questions answered.

Everything comes from current runs, as the board shows them. What was not measured says so; nothing is filled in.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

import zoo.spec
from leaderboard import cost, queries
from leaderboard.contributions import taken_apart
from leaderboard.figures import interval_text, metric_title
from protocols.paper import STATES
from protocols.papers import paper
from protocols.review import AXES, BEST_UNIMODAL, Node, Question, Review, Study, Table, claims
from protocols.spec import ProtocolSpec, committed
from protocols.statistics import MIN_PAIRS, CriticalDifference, Pooled, critical_difference, holm, random_effects
from zoo import Method

NOT_MEASURED = "not measured"
NOT_RUN = "not run"
MODALITY = {
    "shapley_share": "Shapley share",
    "shape": "SHAPE",
    "mm_shap": "MM-SHAP",
    "intershap": "InterSHAP",
    "emap_gap": "EMAP gap",
}
SALIENCY = {
    "attention_share": "Attention share",
    "drift_area": "Saliency drift",
    "comprehensiveness": "Comprehensiveness",
    "gradient_tau": "Agreement with gradients",
}
Ran = Mapping[str, Mapping[str, int]]  # entry -> protocol -> runs, as `runs_of_entries` counts them


@dataclass(frozen=True)
class Effect:
    """A mean paired difference under one protocol, with its 95% t interval over runs.

    Args:
        of, over: entries, averaged run by run on each side.
        variance: squared standard error of the mean; 0 where all differences are equal.
    """

    protocol: str
    of: tuple[str, ...]
    over: tuple[str, ...]
    mean: float
    low: float
    high: float
    variance: float
    n: int


@dataclass(frozen=True)
class Answer:
    """What the runs say to a question.

    Args:
        left_out: protocol -> why it has no effect, or one that cannot be pooled.
        p: of the pooled mean, Holm-corrected over all questions that could be pooled.
    """

    question: Question
    effects: tuple[Effect, ...]
    left_out: Mapping[str, str]
    pooled: Pooled | None = None
    p: float | None = None

    @property
    def says(self) -> str:
        """In a few words; a question with fewer than two protocols is not answered."""
        if self.pooled is None:
            return f"not answered: {len(self.effects)} of the two protocols that it takes"
        if self.p is None or self.p >= 0.05:
            return "not told apart"
        return "yes" if self.pooled.mean > 0 else "no, the other way round"


# ---------------------------------------------------------------------------------------------- what was run


def runs_of_entries(engine: sa.Engine) -> dict[str, dict[str, int]]:
    """Entry -> protocol -> current runs. Protocols that leak are left out: they explain gaps and rank nothing."""
    found: dict[str, dict[str, int]] = {}
    for key, spec in _fair(engine).items():
        for entry, count in queries.current_runs(engine, key)[0]["method"].value_counts().items():
            found.setdefault(entry, {})[spec.key] = int(count)
    return found


def _fair(engine: sa.Engine) -> dict[str, ProtocolSpec]:
    return {key: spec for key, spec in queries.protocols(engine).items() if not spec.leaks}


def reports_root() -> Path:
    """The reproduced tables that the package carries: ``<paper>/table-<id>/table.csv``."""
    return Path(__file__).parent / "reports"


def verdicts(key: str, root: Path | None = None) -> Counter[str]:
    """Verdict -> how many recomputed cells of a paper have it, over all its published reports.

    The verdict of a cell is that of the rule that does not leak; cells that were not recomputed do not count.
    """
    found: Counter[str] = Counter()
    for path in sorted((root or reports_root()).glob(f"{key}/table-*/table.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            found.update(row["verdict"] for row in csv.DictReader(file) if row["mean"])
    return found


def reports(root: Path | None = None) -> dict[str, Path]:
    """``mmmuba2018, table 1-mosi`` -> folder of its published report."""
    places = sorted((root or reports_root()).glob("*/table-*/manifest.json"))
    return {f"{path.parts[-3]}, table {path.parts[-2].removeprefix('table-')}": path.parent for path in places}


def reports_table(places: Mapping[str, Path]) -> pd.DataFrame:
    """A row a report: paper and table, verdicts, runs, openings of the test part."""
    rows = []
    for name, place in places.items():
        told = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        row = {"Report": name, "Verdicts": counted(told["verdicts"]) or "–", "Runs": len(told["runs"])}
        rows.append(row | {"Openings of the test part": told["test_openings"]})
    return pd.DataFrame(rows)


def report_cells(place: Path) -> pd.DataFrame:
    """A row a recomputed number of a report, in the unit of the paper's table."""
    table = pd.read_csv(place / "table.csv", dtype={"reported": str})
    table = table[table["mean"].notna()]
    return pd.DataFrame(
        {
            "Row": table["row"],
            "Column": table["column"],
            "Published": table["reported"],
            "Ours, epoch chosen on validation": _ours(table, ""),
            "Ours, chosen on test": _ours(table, "test_"),
            "Verdict": table["verdict"],
            "Reason": table["reason"],
        }
    )


def _ours(table: pd.DataFrame, kind: str) -> list[str]:
    """``79.20 ± 0.80 (5)`` for each row; a dash where nothing was measured."""
    texts, columns = [], [f"{kind}mean", f"{kind}low", f"{kind}high", "n"]
    for mean, low, high, n in table[columns].itertuples(index=False, name=None):
        half = "" if np.isnan(low) else f" ± {(high - low) / 2:.2f}"
        texts.append("–" if np.isnan(mean) else f"{mean:.2f}{half} ({n:.0f})")
    return texts


# ---------------------------------------------------------------------------------------------- studies and map


def study_paths(review: Review, ran: Ran, root: Path | None = None) -> pd.DataFrame:
    """A row a study: study, title, kind, read, attention, entries, published, runs, verdicts, why.

    Args:
        ran: of `runs_of_entries`.
    """
    titles = {node.key: node.title for node in review.taxonomy}
    rows = []
    for study in review.studies:
        judged = sum((verdicts(key, root) for key in study.papers), Counter())
        rows.append(
            {
                "Study": study.short + ("" if study.listed else " (not in its references)"),
                "Title": study.title,
                "Kind": study.kind,
                "Read": "–" if study.kind == "survey" else study.read,
                "Attention": ", ".join(titles[key] for key in study.attention) or "–",
                "In the zoo": ", ".join(study.entries or study.measures) or "–",
                "Published numbers": counted({STATES[s]: n for s, n in claims(study).items()}) or "–",
                "Runs": counted(_summed(ran.get(entry, {}) for entry in study.entries)) or "–",
                "Verdicts": counted(judged) or "–",
                "Why not further": _why(study, ran, judged),
            }
        )
    return pd.DataFrame(rows)


def _why(study: Study, ran: Ran, judged: Counter[str]) -> str:
    """What ends the way of a study to a verdict; empty where it has one."""
    if study.kind == "survey":
        return "a survey: it has no method"
    if judged:
        return ""
    if study.kind == "metric":
        return "a metric: it is measured of every method"
    if study.without:
        return study.without
    if not any(entry in ran for entry in study.entries):
        return f"{study.entries[0]} was not run"
    counts = claims(study)
    if not counts.get("now"):
        return "no published number on data at hand" + ("; the data must be brought" if counts.get("data") else "")
    return f"no published report yet: fuseboard reproduce {study.papers[0]}"


def _summed(counts) -> Counter[str]:
    return sum((Counter(count) for count in counts), Counter())


def counted(counts: Mapping[str, int]) -> str:
    """``12 runnable now, 3 blank``."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _cards() -> dict[str, Method]:
    return {name: spec.card for name, spec in zoo.spec.entries().items()}


def entries_of(review: Review, node: Node) -> tuple[str, ...]:
    """The entries of boards that are of a kind."""
    if node.axis == "architecture":
        return node.entries
    words = {name: card.attention if node.axis == "attention" else card.fusion_stage for name, card in _cards().items()}
    return tuple(name for name, word in words.items() if review.place(node.axis, name, word) == node)


def taxonomy(review: Review, ran: Ran, axis: str) -> pd.DataFrame:
    """A row a kind of one axis: kind, under, by, meaning, entries, those that ran, metrics."""
    titles = {node.key: node.title for node in review.taxonomy}
    rows = []
    for node in review.nodes(axis):
        entries = entries_of(review, node) if axis != "challenge" else ()
        studies = [s.short for s in review.studies if node.key in s.attention] if axis == "attention" else []
        told = {
            "Kind": node.title,
            "A kind of": titles.get(node.under, "–"),
            "Named by": "the review" if node.by == "review" else "the zoo",
            "What it is": node.meaning,
        }
        if axis == "challenge":
            told["Measured by"] = ", ".join(metric_title(metric) for metric in node.metrics)
        else:
            told["Entries"] = ", ".join(entries) or node.missing or "none"
            told["Runs"] = sum(sum(ran.get(entry, {}).values()) for entry in entries)
        if axis == "attention":
            told["Studies"] = ", ".join(studies) or "–"
        rows.append(told)
    table = pd.DataFrame(rows)
    return table if (table["A kind of"] != "–").any() else table.drop(columns="A kind of")


def coverage(review: Review, ran: Ran, root: Path | None = None) -> list[tuple[str, str]]:
    """What there is, and how far it is covered: (what, counts)."""
    methods = [study for study in review.studies if study.kind == "method"]
    with_entry = [study for study in methods if study.entries]
    with_runs = [study for study in with_entry if any(entry in ran for entry in study.entries)]
    keys = dict.fromkeys(key for study in review.studies for key in study.papers)
    cells = sum((Counter(paper(key).coverage()) for key in keys), Counter())
    judged = sum((verdicts(key, root) for key in keys), Counter())
    kinds = [node for axis in AXES for node in review.nodes(axis) if axis != "challenge" and node.by == "review"]
    covered = [node for node in kinds if entries_of(review, node)]
    matched = Counter(row.match for row in review.table("4").rows)
    slips = Counter(slip.sure for _, slip in review.every_slip())
    listed = sum(study.listed for study in review.studies)
    return [
        ("Studies", f"{len(review.studies)}: {listed} in its reference list, the others behind rows of its tables"),
        ("Methods among them", f"{len(methods)}: {len(with_entry)} in the zoo, {len(with_runs)} with runs"),
        ("Their published numbers", counted({STATES[s]: cells[s] for s in STATES}) or "none"),
        ("Verdicts on those", counted(judged) or "none published yet"),
        ("Kinds that the review names", f"{len(kinds)}: {len(covered)} with an entry"),
        ("Rows of Table 4 and their study", counted({m: matched[m] for m in ("certain", "likely", "open")})),
        ("Slips", counted({s: slips[s] for s in ("certain", "likely", "open")})),
    ]


def slips_table(review: Review) -> pd.DataFrame:
    """A row a slip: where, what the review says, what is the case, evidence, how sure."""
    return pd.DataFrame(
        [
            {"Where": where, "The review": s.said, "What is the case": s.found, "Evidence": s.evidence, "Sure": s.sure}
            for where, s in review.every_slip()
        ]
    )


# ---------------------------------------------------------------------------------------------- tables


def printed(table: Table) -> pd.DataFrame:
    """A table of the review as it is; columns of prose are told in our words and say so."""
    names = [table.key, *(c.name if c.printed else f"{c.name} (in our words)" for c in table.columns)]
    return pd.DataFrame([[row.name, *row.cells] for row in table.rows], columns=names)


def claims_checked(engine: sa.Engine, spec: ProtocolSpec, table: Table) -> pd.DataFrame:
    """What a table claims of its rows, measured for every row under one protocol: claim, measure, one column a row."""
    rows = {entry: row.name for row in table.rows for entry in row.entries}
    asked = [("score", spec.metrics[0], spec.conditions[:1])]
    asked += [(f"{row.name}: {c.claim}", c.metric, c.conditions) for row in table.rows for c in row.checks]
    metrics = tuple(dict.fromkeys(metric for _, metric, _ in asked))
    cells = queries.cells(pd.concat([queries.measured(engine, spec, metrics, method=entry) for entry in rows]))
    texts = {(c["metric"], c["condition"], rows[c["method"]]): _text(c) for c in cells.to_dict("records")}
    there = {place[:2] for place in texts}
    told = []
    for claim, metric, conditions in asked:
        found = [condition for condition in conditions if (metric, condition) in there]
        for condition in found or [""]:
            measure = _title(metric) + (f", {condition}" if condition else "")
            own = {name: texts.get((metric, condition, name), NOT_MEASURED) for name in rows.values()}
            told.append({"Claim": claim, "Measure": measure} | own)
    return pd.DataFrame(told)


def _text(cell: Mapping) -> str:
    """A mean with its interval, costs in the unit in which they are shown."""
    if cell["metric"] not in cost.COSTS:
        return interval_text(cell, cell["metric"])
    shown = cost.of(cell["metric"])
    return f"{cost.text({end: shown.scale * cell[end] for end in ('mean', 'low', 'high')})} {shown.unit}".strip()


def _title(metric: str) -> str:
    return cost.of(metric).title if metric in cost.COSTS else metric_title(metric)


def architectures(engine: sa.Engine, table: Table) -> pd.DataFrame:
    """Table 3 with what each architecture scores: architecture, entry, parameters, one column a protocol."""
    rankings, cards = {}, _cards()
    for key, spec in _fair(engine).items():
        values = queries.seeds(engine, spec, spec.metrics[0], spec.conditions[0])
        cells = queries.cells(values)
        rankings[key] = {r["method"]: interval_text(r, spec.metrics[0]) for r in cells.to_dict("records")}
    return pd.DataFrame(
        [
            {"Architecture": row.name, "Entry": entry, "Attention of the entry": cards[entry].attention}
            | {key: texts.get(entry, NOT_RUN) for key, texts in rankings.items()}
            for row in table.rows
            for entry in row.entries
        ]
    )


def measures(engine: sa.Engine, spec: ProtocolSpec) -> pd.DataFrame:
    """What the modality and saliency metrics of each method *are*: a row a method, a column a metric, as text.

    Shares and gaps under the protocol's primary condition, drift over each sweep that was watched.
    """
    metrics = MODALITY | SALIENCY
    values = queries.measured(engine, spec, tuple(metrics))
    swept = values["metric"].str.startswith("drift_area/")
    cells = taken_apart(queries.cells(values[swept | (values["condition"] == spec.conditions[0])]))
    cells = cells[(cells["detail"] == "") & (cells["of"] != "random")]
    reasons = queries.undefined(engine, spec, tuple(metrics))
    reasons = taken_apart(
        reasons[(reasons["condition"] == spec.conditions[0]) | reasons["metric"].str.startswith("drift")]
    )
    said = {(method, base): why.iloc[0] for (method, base), why in reasons.groupby(["method", "base"])["reason"]}
    methods = sorted(set(queries.current_runs(engine, spec.key)[0]["method"]))
    by_place = dict(list(cells.groupby(["method", "base"])))
    rows = []
    for method in methods:
        row = {"Method": method}
        for base, title in metrics.items():
            found = by_place.get((method, base))
            row[title] = said.get((method, base), NOT_MEASURED) if found is None else _joined(found, base)
        rows.append(row)
    return pd.DataFrame(rows, columns=["Method", *metrics.values()])


def any_measured(frame: pd.DataFrame) -> bool:
    """Whether a table of `measures` or `claims_checked` holds one cell that was measured."""
    told = frame.drop(columns=["Method", "Claim", "Measure"], errors="ignore")
    return bool(told.ne(NOT_MEASURED).any(axis=None))


def _joined(found: pd.DataFrame, base: str) -> str:
    """``audio 50.1 ± 1.2 %, video 49.9 ± 1.2 %``; drift says under which sweep."""
    texts = []
    for row in found.to_dict("records"):
        under = f" under {row['condition']}" if base == "drift_area" else ""
        texts.append(f"{row['of']} {interval_text(row, row['metric'])}{under}".strip())
    return ", ".join(texts)


def table4(review: Review, found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Table 4 with what stands behind each row now: row, printed answer, study, entry, protocol, both kinds of metrics.

    Args:
        found: protocol -> `measures` of it.
    """
    rows = []
    for row in review.table("4").rows:
        for study in (review.by_key[key] for key in row.studies):
            head = {
                "Data sets used": row.name,
                "The review": row.cells[1],
                "Study": f"{study.short} ({row.match})",
            }
            rows += [head | told for told in _now(study, found)]
    return pd.DataFrame(rows)


def _now(study: Study, found: Mapping[str, pd.DataFrame]) -> list[dict[str, str]]:
    places = [(entry, key) for entry in study.entries for key, t in found.items() if entry in set(t["Method"])]
    if not places:
        if study.measures:
            have = sum((t[title] != NOT_MEASURED).any() for t in found.values() for title in _titles(study.measures))
            why = f"defines {', '.join(study.measures)}, which we measure of every method"
            return [{"Measured on": why, "Modality metrics now": "see below" if have else NOT_MEASURED} | _dash]
        why = study.without or NOT_RUN
        return [{"Measured on": f"nothing: {why}", "Modality metrics now": "–"} | _dash]
    rows = []
    for entry, key in places:
        told = found[key].set_index("Method").loc[entry]
        rows.append(
            {
                "Measured on": f"{entry}, {key}",
                "Modality metrics now": _of(told, MODALITY),
                "Saliency metrics now": _of(told, SALIENCY),
            }
        )
    return rows


_dash = {"Saliency metrics now": "–"}


def _titles(metrics: Sequence[str]) -> list[str]:
    return [MODALITY[metric] for metric in metrics if metric in MODALITY]


def _of(told: pd.Series, metrics: Mapping[str, str]) -> str:
    texts = [f"{title}: {told[title]}" for title in metrics.values() if told[title] != NOT_MEASURED]
    return "; ".join(texts) or NOT_MEASURED


# ---------------------------------------------------------------------------------------------- ranks


@dataclass(frozen=True)
class Ranked:
    """Mean ranks of the entries that ran on every data set of the questions.

    Args:
        found: None where there are too few entries or data sets.
        scores: a row an entry, a column a protocol: mean score over its runs; best mean rank first.
        absent: protocols of the questions without a run.
    """

    found: CriticalDifference | None
    scores: pd.DataFrame
    absent: tuple[str, ...]


def ranked(engine: sa.Engine, review: Review) -> Ranked:
    """Friedman's test and Nemenyi's critical difference over the data sets of the questions."""
    asked = review.asked
    tables = {key: _runs(engine, committed()[key], asked.metric) for key in asked.protocols}
    scores = pd.DataFrame({key: table.mean() for key, table in tables.items() if not table.empty}).dropna()
    absent = tuple(key for key, table in tables.items() if table.empty)
    if len(scores) < 3 or scores.shape[1] < 2:
        return Ranked(None, scores, absent)
    found = critical_difference({entry: row.tolist() for entry, row in scores.iterrows()}, higher_is_better=True)
    return Ranked(found, scores.loc[sorted(found.ranks, key=lambda entry: (found.ranks[entry], entry))], absent)


def ranks_table(told: Ranked) -> pd.DataFrame:
    """A row an entry: mean rank, the entries that differ from it by more than the critical difference, its scores."""
    ranks, apart = told.found.ranks, told.found.difference
    rows = []
    for entry, row in told.scores.iterrows():
        others = [other for other in ranks if abs(ranks[other] - ranks[entry]) > apart]
        texts = {key: f"{100 * score:.1f} %" for key, score in row.items()}
        rows.append(
            {"Entry": entry, "Mean rank": f"{ranks[entry]:.1f}", "Told apart from": ", ".join(others) or "none"}
        )
        rows[-1] |= texts
    return pd.DataFrame(rows)


def ranks_text(told: Ranked) -> str:
    """What the diagram says, in words."""
    blocks = ", ".join(told.scores.columns)
    missing = f" Without runs: {', '.join(told.absent)}." if told.absent else ""
    if told.found is None:
        return (
            f"Not drawn: {len(told.scores)} entries ran on {blocks or 'no data set'}; it takes 3 on 2 or more.{missing}"
        )
    p = p_text(told.found.p)
    return (
        f"{len(told.scores)} entries that ran on each of {blocks}, ranked on each by their mean score. Friedman's test "
        f"of equal ranks: p {p if p.startswith('<') else f'= {p}'}. Nemenyi's critical difference: "
        f"{told.found.difference:.1f} ranks; entries that are closer are not told apart. Few data sets tell few "
        f"entries apart.{missing}"
    )


# ---------------------------------------------------------------------------------------------- questions


def answers(engine: sa.Engine, review: Review) -> list[Answer]:
    """Every question: its effect under each protocol, and the effects pooled where there are two or more."""
    asked = review.asked
    tables = {key: _runs(engine, committed()[key], asked.metric) for key in asked.protocols}
    found = [_answer(question, tables) for question in asked.questions]
    pooled = [answer for answer in found if answer.pooled]
    adjusted = iter(holm([_p(answer.pooled) for answer in pooled]).tolist())
    return [Answer(a.question, a.effects, a.left_out, a.pooled, next(adjusted)) if a.pooled else a for a in found]


def _runs(engine: sa.Engine, spec: ProtocolSpec, metric: str) -> pd.DataFrame:
    """Runs by (split, seed), a column a method: the score under the protocol's primary condition."""
    values = queries.seeds(engine, spec, metric, spec.conditions[0])
    return values.pivot_table(index=["split", "seed"], columns="method", values="value")


def _answer(question: Question, tables: Mapping[str, pd.DataFrame]) -> Answer:
    effects, left_out = [], {}
    for key, table in tables.items():
        of = question.of
        over = _best_unimodal(table) if question.over == BEST_UNIMODAL else question.over
        absent = [name for name in (*of, *over) if name not in table]
        if absent or not over:
            left_out[key] = f"{', '.join(absent) or 'no entry of one modality'} was not run"
            continue
        difference = (
            table[list(of)].mean(axis=1, skipna=False) - table[list(over)].mean(axis=1, skipna=False)
        ).dropna()
        effect = _effect(key, of, over, difference)
        if effect.n < MIN_PAIRS:
            left_out[key] = f"{effect.n} shared runs; {MIN_PAIRS} tell how they scatter"
            continue
        effects.append(effect)
        if effect.variance == 0:
            left_out[key] = "the differences are all equal, so nothing says how they scatter"
    usable = [effect for effect in effects if effect.variance > 0]
    pooled = None
    if len(usable) >= 2:
        pooled = random_effects([e.mean for e in usable], [e.variance for e in usable])
    return Answer(question, tuple(effects), left_out, pooled)


def _best_unimodal(table: pd.DataFrame) -> tuple[str, ...]:
    alone = [name for name, card in _cards().items() if len(card.modalities) == 1 and name in table]
    return (table[alone].mean().idxmax(),) if alone else ()


def _effect(key: str, of: tuple[str, ...], over: tuple[str, ...], difference: pd.Series) -> Effect:
    from scipy.special import stdtrit

    frame = difference.rename("value").reset_index().assign(method="", condition="", metric="accuracy")
    if frame.empty:
        return Effect(key, of, over, np.nan, np.nan, np.nan, 0.0, 0)
    (cell,) = queries.cells(frame).to_dict("records")
    n = int(cell["n"])
    error = (cell["high"] - cell["low"]) / 2 / stdtrit(n - 1, 0.975) if n > 1 else 0.0
    # Equal differences leave only rounding in the error.
    error = 0.0 if error <= 1e-12 else float(error)
    return Effect(key, of, over, cell["mean"], cell["low"], cell["high"], error**2, n)


def _p(pooled: Pooled) -> float:
    """Two-sided p of a pooled mean, from its interval of Hartung and Knapp."""
    from scipy.special import stdtr, stdtrit

    half = (pooled.high - pooled.low) / 2
    if half == 0:
        return float(pooled.mean == 0)
    return float(2 * stdtr(pooled.n - 1, -abs(pooled.mean) / half * stdtrit(pooled.n - 1, 0.975)))


def answers_table(found: Sequence[Answer]) -> pd.DataFrame:
    """A row a question: what it asks, answer, pooled difference, protocols, heterogeneity, p."""
    rows = []
    for answer in found:
        pooled = answer.pooled
        rows.append(
            {
                "Question": answer.question.asks,
                "Answer": answer.says,
                "Difference": points_text(pooled) if pooled else "–",
                "Protocols": pooled.n if pooled else sum(e.variance > 0 for e in answer.effects),
                "p (Holm)": "–" if answer.p is None else p_text(answer.p),
                "τ": f"{100 * pooled.tau2**0.5:.1f}" if pooled else "–",
                "I²": f"{100 * pooled.i2:.0f} %" if pooled else "–",
                "p of Q": p_text(pooled.q_p) if pooled else "–",
            }
        )
    return pd.DataFrame(rows)


def p_text(p: float) -> str:
    """Three decimals, and no zero that is none."""
    return f"{p:.3f}" if p >= 0.0005 else "< 0.001"


def points_text(found: Effect | Pooled) -> str:
    """``+1.2 ± 3.4`` in percent points, the half width of the 95% interval."""
    return f"{100 * found.mean:+.1f} ± {50 * (found.high - found.low):.1f}"


def effects_table(found: Sequence[Answer]) -> pd.DataFrame:
    """A row an effect: question, protocol, difference, runs, who stands against whom; and what has none, why."""
    rows = []
    for answer in found:
        head = {"Question": answer.question.asks}
        for e in answer.effects:
            told = {"Protocol": e.protocol, "Difference": points_text(e), "n": str(e.n)}
            rows.append(head | told | {"Of": ", ".join(e.of), "Over": ", ".join(e.over)})
        pooled = {effect.protocol for effect in answer.effects}
        for key, why in answer.left_out.items():
            if key not in pooled:
                rows.append(head | {"Protocol": key, "Difference": "–", "n": "–", "Of": why, "Over": "–"})
    return pd.DataFrame(rows, columns=["Question", "Protocol", "Difference", "n", "Of", "Over"])
