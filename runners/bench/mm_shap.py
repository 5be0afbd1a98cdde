"""Token-level MM-SHAP against the shap library's permutation explainer, which asks for one coalition at a time.

Both explain the same clips with the same windows, absence rule, value and number of orders, in turns, in CPU time of
one thread. The estimates are compared, too: they should differ as much as two of ours with other orders do.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from protocols.measuring.cost import one_thread
from protocols.measuring.mm_shap import Credit, Example, explain
from protocols.metrics.mm_shap import present, share
from protocols.presentation import Predict
from runners.bench import Case, Progress, Times

WINDOWS, PAIRS = 8, 4  # as the suites of the protocols have them


def measure(case: Case, *, rounds: int, progress: Progress) -> dict[str, Any]:
    """Times and estimates of both, one clip a round; one more round first is not counted.

    Raises:
        ValueError: if the method does not take the case's streams, or takes one alone.
        RuntimeError: where the shap library is not installed.
    """
    if len(case.features) < 2:
        raise ValueError("MM-SHAP shares credit between modalities, and the method takes one alone.")
    case = replace(case, batch=rounds)
    model, data = case.model().eval(), case.data()
    clips = [{m: x[i].numpy() for m, x in data.inputs.items()} for i in range(rounds)]
    credits: dict[str, list[Credit]] = {"ours": [], "again": [], "shap": []}
    seconds: dict[str, list[float]] = {name: [] for name in credits}
    explainers = _explainers(model)
    with one_thread(), torch.inference_mode():
        for counted in progress(range(-1, rounds), "clips, the first twice"):
            for name, explained in explainers.items():
                started = time.process_time()
                credit = explained(clips[max(counted, 0)], counted)
                if counted >= 0:
                    seconds[name].append(time.process_time() - started)
                    credits[name].append(credit)
    return _report(case, model, seconds, credits)


def _explainers(model) -> dict[str, Any]:
    """Ways to explain a clip, by name: (clip, its number) -> credit."""
    shap = _library()

    def ours(predict: Predict, clip: Example, seed: int) -> Credit:
        return explain(predict, [clip], WINDOWS, PAIRS, [np.random.default_rng(seed)])[0]

    return {
        "ours": lambda clip, number: ours(model, clip, 2 * number + 2),
        "again": lambda clip, number: ours(model, clip, 2 * number + 3),
        "shap": lambda clip, number: _permuted(shap, model, clip, number + 1),
    }


def _library():
    try:
        import shap
    except ImportError:
        raise RuntimeError("the shap library is not installed, against which this is timed: pip install shap") from None
    return shap


def _permuted(shap, predict: Predict, clip: Example, seed: int) -> Credit:
    """What somebody writes who has the library: a value of flags, one forward pass a row."""
    players = {m: min(WINDOWS, len(x)) for m, x in clip.items()}
    borders, total = np.cumsum(list(players.values()))[:-1], sum(players.values())
    masks = {m: torch.ones(1, len(x), dtype=torch.bool) for m, x in clip.items()}

    def probabilities(row: np.ndarray) -> torch.Tensor:
        inputs = {}
        for (m, x), flags in zip(clip.items(), np.split(row, borders), strict=True):
            kept = present(flags[None] > 0.5, len(x))[0]
            inputs[m] = torch.from_numpy(np.where(kept[:, None], x, np.float32(0)))[None]
        return predict(inputs, masks).double().softmax(-1).flatten(0, -2)  # (1 or T, K)

    predicted = probabilities(np.ones(total)).argmax(-1, keepdim=True)

    def value(rows: np.ndarray) -> np.ndarray:
        return np.array([probabilities(row).gather(-1, predicted).mean().item() for row in rows])

    explainer = shap.explainers.Permutation(value, np.zeros((1, total)), seed=seed)
    told = explainer(np.ones((1, total)), max_evals=PAIRS * (2 * total + 1), batch_size=1, silent=True)
    return dict(zip(players, np.split(told.values[0], borders), strict=True))


def _report(case: Case, model, seconds: dict[str, list[float]], credits: dict[str, list[Credit]]) -> dict[str, Any]:
    times = {name: Times(tuple(s)) for name, s in seconds.items()}
    flat = {name: np.array([np.concatenate(list(credit.values())) for credit in c]) for name, c in credits.items()}
    return {
        "method": case.spec.name,
        "metric": "mm_shap",
        "streams": {m: [case.steps[m], d] for m, d in case.features.items()},
        "outputs": case.outputs,
        "per_step": case.per_step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "rounds": case.batch,
        "players": {m: len(phi) for m, phi in credits["ours"][0].items()},
        "pairs of orders": PAIRS,
        **{name: _figures(times[name]) for name in ("ours", "shap")},
        "times as fast": round(times["shap"].over(times["ours"]), 1),
        "mean difference from shap": float(np.abs(flat["ours"] - flat["shap"]).mean()),
        "mean difference of two of ours": float(np.abs(flat["ours"] - flat["again"]).mean()),
        "shares": {
            m: {name: round(float(np.mean([share(c, m) for c in credits[name]])), 4) for name in ("ours", "shap")}
            for m in case.features
        },
    }


def _figures(times: Times) -> dict[str, float]:
    return {
        "cpu_ms": round(1e3 * times.median, 2),
        "fastest_ms": round(1e3 * min(times.rounds), 2),
        "slowest_ms": round(1e3 * max(times.rounds), 2),
    }
