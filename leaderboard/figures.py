"""Numbers as people read them: percent, as many digits as the interval supports, ranks with their ties."""

import math
from collections.abc import Mapping
from typing import Any

from protocols.metrics import metric as metric_card

MOST_DECIMALS = 3  # of a percent; test sets of a hundred thousand examples would be needed for the next one


def interval_text(row: Mapping[str, Any], metric: str) -> str:
    """``71.3 ± 2.4 %``: the half width of the interval keeps two significant digits, the mean goes as far.

    One run has no interval: ``71.3 % (one run)``.

    Args:
        row: mean, low and high in the metric's own unit.
    """
    percent = metric_card(metric).unit == "fraction"
    scale, unit = (100, " %") if percent else (1, "")
    mean, half = scale * row["mean"], scale * (row["high"] - row["low"]) / 2
    if math.isnan(mean):
        return "–"
    if math.isnan(half):
        return f"{mean:.{1 if percent else 3}f}{unit} (one run)"
    digits = decimals(half)
    return f"{mean:.{digits}f} ± {half:.{digits}f}{unit}"


def decimals(half: float) -> int:
    """Decimals that show two significant digits of a half width, as it is printed: 0.0996 is 0.10."""
    if half < 1e-9:  # nothing, or what rounding left of it
        return 1
    exponent = int(f"{half:.1e}".split("e")[1])
    return min(max(0, 1 - exponent), MOST_DECIMALS)


def ranks_text(row: Mapping[str, Any]) -> str:
    """``2`` where the evidence leaves one rank, ``1–3`` where it leaves several."""
    best, worst = row["best"], row["worst"]
    if best is None or math.isnan(best):
        return "–"
    return f"{int(best)}" if best == worst else f"{int(best)}–{int(worst)}"


def value_text(value: float, metric: str) -> str:
    """One number without an interval, for a hover text or a reference line."""
    return f"{100 * value:.1f} %" if metric_card(metric).unit == "fraction" else f"{value:.3f}"


def metric_title(name: str) -> str:
    """``accuracy`` -> ``Accuracy``; what qualifies it stays in brackets."""
    base, _, rest = name.partition("/")
    return metric_card(base).title + (f" ({rest})" if rest else "")


def axis_title(name: str) -> str:
    """``Accuracy (higher is better)``, with the unit where the ticks do not say it."""
    card = metric_card(name)
    way = {True: "higher is better", False: "lower is better", None: ""}[card.higher_is_better]
    told = ", ".join(part for part in ("" if card.unit == "fraction" else card.unit, way) if part)
    return metric_title(name) + (f" ({told})" if told else "")
