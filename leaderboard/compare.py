"""Two to four methods against each other: paired tests over runs and over examples, and the scores of each class."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from leaderboard import queries
from leaderboard.figures import decimals
from leaderboard.predictions import ITEM
from protocols.metrics import metric as metric_card
from protocols.statistics import MIN_PAIRS, Interval, holm, paired_bootstrap, paired_p, t_interval

ALPHA = 0.05
SEED = 20240229  # of the bootstrap's draws: a page that is opened again shows the same interval
NUMBERS = 4_000_000  # draws times examples that one bootstrap may hold
DRAWS = (400, 2000)  # fewest and most
PER_CLASS = {
    "recall": "of the items of the class, the share that is found",
    "precision": "of the items that are called so, the share that belongs to the class",
    "f1": "harmonic mean of the two",
}


class NoExamples(ValueError):
    """Why there is no test over examples."""


@dataclass(frozen=True)
class Difference:
    """The mean difference of two methods, first minus second, in the unit of the metric.

    Args:
        runs: over the runs that both have: a 95 % t interval.
        p: of the paired t test over these runs, Holm-corrected over all pairs of the page.
        examples: over examples and seeds at once: a 95 % bootstrap interval; a text says why there is none.
        better: the method that the test over runs finds better; None where it does not tell them apart.
    """

    first: str
    second: str
    runs: Interval
    p: float
    examples: Interval | str
    better: str | None

    @property
    def says(self) -> str:
        if self.runs.n < MIN_PAIRS:
            return f"{self.runs.n} shared runs say nothing; {MIN_PAIRS} are needed"
        return f"{self.better} is better" if self.better else "not told apart"


def differences(
    values: pd.DataFrame, names: Sequence[str], metric: str, items: pd.DataFrame | None = None
) -> list[Difference]:
    """Every pair of methods.

    Args:
        values: as ``queries.seeds`` gives them, of one metric and condition.
        items: of ``predictions.read`` under that condition; None where nothing is to be said of examples.
    """
    units = queries.by_unit(values)
    pairs = list(combinations([name for name in names if name in units], 2))
    shared = [units[list(pair)].dropna() for pair in pairs]
    adjusted = holm([paired_p(pair.iloc[:, 0], pair.iloc[:, 1]) for pair in shared]) if pairs else []
    higher = metric_card(metric).higher_is_better is not False
    found = []
    for (first, second), both, p in zip(pairs, shared, adjusted, strict=True):
        gap = (both[first] - both[second]).to_numpy()
        runs = t_interval(gap) if len(gap) else Interval(*[float("nan")] * 3, 0)
        better = (first if (runs.mean > 0) == higher else second) if p < ALPHA else None
        found.append(Difference(first, second, runs, float(p), _over_examples(items, first, second, metric), better))
    return found


def _over_examples(items: pd.DataFrame | None, first: str, second: str, metric: str) -> Interval | str:
    try:
        return over_examples(items, first, second, metric)
    except NoExamples as reason:
        return str(reason)


def over_examples(items: pd.DataFrame | None, first: str, second: str, metric: str) -> Interval:
    """Bootstrap of the difference over examples and seeds, drawn together for both methods.

    An example is what an id names: the steps of one recording are not independent, so they are drawn together. Where
    there are folds, the examples of all folds stand side by side and only seeds that have every fold count.

    Raises:
        NoExamples: why there is no such test.
    """
    if metric not in SCORED:
        raise NoExamples(f"not a mean over examples; defined for {', '.join(SCORED)}")
    if items is None or not {first, second} <= set(items["method"]):
        raise NoExamples("no predictions are stored")
    matrices = [_scores(items[items["method"] == name], metric) for name in (first, second)]
    seeds = matrices[0].columns.intersection(matrices[1].columns)
    examples = matrices[0].index.intersection(matrices[1].index)
    paired = [matrix.loc[examples, seeds] for matrix in matrices]
    whole = paired[0].notna().all() & paired[1].notna().all()
    paired = [matrix.loc[:, whole[whole].index] for matrix in paired]
    if not paired[0].size:
        raise NoExamples("the two have no run of the same seed and fold with predictions")
    if len(examples) < max(map(len, matrices)):
        raise NoExamples("the two were not scored on the same examples")
    a, b = (_by_recording(matrix) for matrix in paired)
    draws = min(DRAWS[1], NUMBERS // a.shape[1])
    if draws < DRAWS[0]:
        raise NoExamples(f"{a.shape[1]:,} examples: more than a page can draw from")
    return paired_bootstrap(a, b, np.random.default_rng(SEED), draws)


def _scores(own: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(items, seeds) score of each item; NaN where a seed lacks the fold of the item."""
    scored = own.assign(score=SCORED[metric](own))
    return scored.pivot_table(index=["split", *ITEM], columns="seed", values="score")


def _by_recording(matrix: pd.DataFrame) -> np.ndarray:
    """(S, ids): one number a recording, whose mean is the mean over items, whatever the count of its items.

    The linear form of a ratio of sums: mean + (sum of the recording - its items * mean) / items a recording.
    """
    groups = matrix.groupby(level=["split", "id"], sort=False)
    counts, mean = groups.size().to_numpy()[:, None], matrix.to_numpy().mean(0)
    return (mean + (groups.sum().to_numpy() - counts * mean) / counts.mean()).T


def _columns(items: pd.DataFrame, name: str) -> np.ndarray:
    own = sorted((c for c in items if c.startswith(f"{name}_")), key=lambda c: int(c.rpartition("_")[2]))
    return items[own].to_numpy(dtype=float)


def _binary(items: pd.DataFrame) -> np.ndarray:
    return ((_columns(items, "score") > 0) == (_columns(items, "label") > 0.5)).mean(1)


# Metrics that are a mean over items: name -> the score of each, (N,).
SCORED: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    "accuracy": lambda items: (items["label"] == items["prediction"]).to_numpy(dtype=float),
    "mae": lambda items: np.abs(_columns(items, "score") - _columns(items, "label")).mean(1),
    "binary_accuracy": _binary,
}


def class_scores(items: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """Recall, precision and F1 of every class: method, score, class, number, items, mean, low, high, n.

    A score is left out of a run where nothing defines it: precision where no item is called so. The interval is over
    runs: folds, or seeds where there are none.

    Args:
        items: of ``predictions.read``, of a classification.
        names: of the classes; their numbers where there are none.
    """
    rows = [row for run in items.groupby("run") for row in _classes_of(run[1])]
    if not rows:
        return pd.DataFrame(columns=["method", "score", "class", "number", "items", "mean", "low", "high", "n"])
    values = pd.DataFrame(rows).assign(condition="")
    # One cell a score and class, so that runs are counted as everywhere else.
    values["metric"] = values["score"] + "/" + values["number"].astype(str)
    cells = queries.cells(values)
    cells["score"] = cells["metric"].str.partition("/")[0]
    cells["number"] = cells["metric"].str.partition("/")[2].astype(int)
    known = names is not None and cells["number"].max() < len(names)
    cells["class"] = [names[number] if known else f"class {number}" for number in cells["number"]]
    # The items of a class in all parts that were tested, each counted once however many runs saw it.
    first = values.drop_duplicates(["split", "number", "score"])
    cells["items"] = cells["number"].map(first[first["score"] == "f1"].groupby("number")["items"].sum())
    order = ["method", "score", "class", "number", "items", "mean", "low", "high", "n"]
    return cells[order].sort_values(["score", "number", "method"], ignore_index=True)


def _classes_of(run: pd.DataFrame) -> Iterator[Mapping]:
    label, answer = run["label"].to_numpy(), run["prediction"].to_numpy()
    count = int(max(label.max(), answer.max())) + 1
    true, called = np.bincount(label, minlength=count), np.bincount(answer, minlength=count)
    hits = np.bincount(label[label == answer], minlength=count)
    whose = {name: run[name].iloc[0] for name in ("run", "method", "split", "seed")}
    for number in range(count):
        told = {
            "recall": (hits[number], true[number]),
            "precision": (hits[number], called[number]),
            "f1": (2 * hits[number], true[number] + called[number]),
        }
        for score, (part, whole) in told.items():
            if whole:
                yield {**whose, "number": number, "items": int(true[number]), "score": score, "value": part / whole}


def difference_text(found: Interval | str, metric: str) -> str:
    """``+1.2 ± 3.4``, in percent points where the metric is a fraction; a bootstrap interval has its two ends."""
    if isinstance(found, str):
        return found
    scale = 100 if metric_card(metric).unit == "fraction" else 1
    mean, low, high = (scale * end for end in found[:3])
    if np.isnan(mean):
        return "–"
    if np.isnan(low):
        return f"{mean:+.1f} (one run)"
    digits = decimals((high - low) / 2)
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def unit(metric: str) -> str:
    """Of a difference."""
    card = metric_card(metric)
    return "percent points" if card.unit == "fraction" else card.unit
