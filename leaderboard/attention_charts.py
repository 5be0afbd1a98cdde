"""Saliency over time as Vega-Lite specs: bars, and a spectrogram with heat laid over it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from protocols.datasets import logmel

HEAT, LINE, MARK = "#D55E00", "#0072B2", "#F0E442"
STRONGEST = 0.65  # opacity of the heat of the step with the largest weight
MARKS_HZ = (500, 1000, 2000, 4000)
EDGE = 46  # pixels left of each chart, so that one second lies above the other


def saliency_chart(
    weights: Sequence[float],
    begins: Sequence[float],
    ends: Sequence[float],
    title: str,
    *,
    seconds: bool,
    mark: float | None = None,
    height: int = 150,
) -> dict[str, Any]:
    """A bar a step, as high as its share.

    Args:
        weights: (T,) shares.
        begins, ends: (T,) of each step: seconds of a clip, or plain step numbers.
        mark: a time or step to point out with a dashed line.
    """
    rows = _rows(weights, begins, ends)
    x = _time(begins, ends, seconds)
    share = {
        "field": "share",
        "type": "quantitative",
        "title": title,
        "axis": {"format": ".0%", "tickCount": 3, "minExtent": EDGE, "maxExtent": EDGE},
    }
    bars = {
        "mark": {"type": "rect", "color": HEAT, "opacity": 0.85},
        "encoding": {
            "x": x | {"field": "begin"},
            "x2": {"field": "end"},
            "y": share,
            "y2": {"datum": 0},
            "tooltip": _told(seconds),
        },
    }
    return {"data": {"values": rows}, "height": height, "layer": [bars, *_marks(() if mark is None else (mark,), x)]}


def sound_chart(
    picture: str,
    weights: Sequence[float] | None,
    begins: Sequence[float],
    ends: Sequence[float],
    word: tuple[float, float],
    height: int = 270,
) -> dict[str, Any]:
    """A spectrogram with heat where a model looked, and the share of each step as a line.

    Args:
        picture: address of the spectrogram, of `film.spectrogram_url`.
        weights: (T,) shares; None draws the sound alone.
        begins, ends: (T,) seconds of the clip.
        word: begin and end of what was said, drawn as dashed lines.
    """
    x = _time(begins, ends, True)
    low, high = _mel(logmel.LOW_HZ), _mel(logmel.HIGH_HZ)
    mel = {
        "type": "quantitative",
        "title": "kHz",
        "scale": {"domain": [low, high], "nice": False},
        "axis": {
            "values": [_mel(hz) for hz in MARKS_HZ],
            "labelExpr": "format(0.7 * (pow(10, datum.value / 2595) - 1), '.1f')",
            "minExtent": EDGE,
            "maxExtent": EDGE,
            "grid": False,
        },
    }
    ground = {
        "data": {"values": [{"url": picture, "begin": begins[0], "end": ends[-1], "low": low, "high": high}]},
        "mark": {"type": "image", "aspect": False},
        "encoding": {
            "x": x | {"field": "begin"},
            "x2": {"field": "end"},
            "y": mel | {"field": "low"},
            "y2": {"field": "high"},
            "url": {"field": "url"},
        },
    }
    layers = [ground]
    if weights is not None:
        most = max(weights)
        tint = {
            "mark": {"type": "rect", "color": HEAT},
            "encoding": {
                "x": x | {"field": "begin"},
                "x2": {"field": "end"},
                "opacity": {
                    "field": "share",
                    "type": "quantitative",
                    "scale": {"domain": [0, most], "range": [0, STRONGEST]},
                    "legend": None,
                },
                "tooltip": _told(True),
            },
        }
        line = {
            "mark": {"type": "line", "interpolate": "step", "color": LINE, "strokeWidth": 2, "tooltip": None},
            "encoding": {
                "x": x | {"field": "begin"},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": None,
                    "scale": {"domain": [0, most * 1.05]},
                    "axis": None,
                },
            },
        }
        layers += [tint, line]
    layers += _marks(word, x)
    return {
        "data": {"values": _rows(weights, begins, ends) if weights is not None else []},
        "height": height,
        "layer": layers,
        "resolve": {"scale": {"y": "independent"}},
    }


def _rows(weights: Sequence[float], begins: Sequence[float], ends: Sequence[float]) -> list[dict[str, float]]:
    return [
        {"step": step + 1, "begin": float(begin), "end": float(end), "share": float(weight)}
        for step, (weight, begin, end) in enumerate(zip(weights, begins, ends, strict=True))
    ]


def _time(begins: Sequence[float], ends: Sequence[float], seconds: bool) -> dict[str, Any]:
    return {
        "type": "quantitative",
        "title": "seconds of the clip" if seconds else "step",
        "scale": {"domain": [float(begins[0]), float(ends[-1])], "nice": False},
        "axis": {"format": ".2f" if seconds else "d", "tickCount": 6, "tickMinStep": 0.01 if seconds else 1},
    }


def _marks(at: Sequence[float], x: dict[str, Any]) -> list[dict[str, Any]]:
    """Dashed lines that show on dark and on light."""
    rows = {"data": {"values": [{"at": float(mark)} for mark in at]}, "encoding": {"x": x | {"field": "at"}}}
    under = {"type": "rule", "strokeWidth": 3, "color": "black", "opacity": 0.6}
    over = {"type": "rule", "strokeWidth": 2, "strokeDash": [6, 5], "color": MARK}
    return [rows | {"mark": under}, rows | {"mark": over}] if at else []


def _told(seconds: bool) -> list[dict[str, str]]:
    time = [{"field": end, "format": ".3f", "title": f"{end}, s"} for end in ("begin", "end")] if seconds else []
    return [{"field": "step"}, *time, {"field": "share", "format": ".1%", "title": "share of saliency"}]


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))
