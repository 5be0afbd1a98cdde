import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from leaderboard import attention_charts, interval_charts
from leaderboard.charts import (
    BASELINE,
    DASHES,
    FUSION,
    INK,
    KINDS,
    REFERENCE,
    SERIES,
    curves_chart,
    pareto_chart,
    seeds_chart,
    severity_chart,
    streams_graph,
)
from leaderboard.session import SOFT

# What the eyes of the colour-blind do to linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "all colours": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB


def linear(colour):
    parts = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast_on_white(colour):
    """WCAG 2: (L1 + 0.05) / (L2 + 0.05) of relative luminances."""
    return 1.05 / (XYZ[1] @ linear(colour) + 0.05)


def distance(first, second, sight):
    """CIE 1976 difference, as these eyes see it; about 2 is just noticeable side by side."""

    def lab(colour):
        seen = np.clip(np.array(SIGHTS[sight]) @ linear(colour), 0, 1)
        parts = XYZ @ seen / np.array([0.9505, 1.0, 1.089])
        roots = np.where(parts > 0.008856, np.cbrt(parts), 7.787 * parts + 16 / 116)
        return np.array([116 * roots[1] - 16, 500 * (roots[0] - roots[1]), 200 * (roots[1] - roots[2])])

    return float(np.linalg.norm(lab(first) - lab(second)))


MODALITIES = [colour for colour, _ in interval_charts.MODALITIES.values()]
PALETTES = [SERIES, interval_charts.OTHERS, MODALITIES, (FUSION, BASELINE, REFERENCE)]


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_told_apart_by_every_eye(palette, sight):
    assert min(distance(*pair, sight) for pair in combinations(palette, 2)) > 15


def test_colours_and_text_stand_out_from_white():
    drawn = {*SERIES, *interval_charts.OTHERS, *MODALITIES, FUSION, BASELINE, REFERENCE}
    drawn |= {attention_charts.HEAT, attention_charts.LINE}
    assert min(map(contrast_on_white, drawn)) >= 3  # WCAG 1.4.11, graphical objects
    assert min(map(contrast_on_white, (INK, SOFT))) >= 4.5  # WCAG 1.4.3, text


def test_kinds_differ_in_colour_and_in_shape():
    colours, shapes = zip(*KINDS.values(), strict=True)
    assert len(set(colours)) == len(set(shapes)) == len(KINDS)


def test_each_run_is_a_point_of_its_own():
    values = pd.DataFrame(
        {
            "condition": ["clean"] * 3,
            "split": ["test", "test", "test/fold2"],
            "seed": [0, 1, 0],
            "value": [0.1, 0.2, 0.3],
        }
    )
    chart = seeds_chart(values, "accuracy", ["clean"])
    assert [point["run"] for point in chart["data"]["values"]] == ["seed 0", "seed 1", "fold2"]
    points, names = chart["layer"]
    assert len(set(points["encoding"]["color"]["scale"]["range"])) == 3
    assert names["data"]["values"] == [{"condition": "clean"}]


def test_curves_keep_gaps():
    curve = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.5, float("nan")]})
    chart = curves_chart({"seed 0": curve}, "train_loss")
    assert [point["value"] for point in chart["data"]["values"]] == [1.5, None]
    assert chart["encoding"]["y"]["title"] == ["train loss", "(lower is better)"]
    json.dumps(chart, allow_nan=False)


def stream(query, key, layers, heads=4, over="steps"):
    return {"query": query, "key": key, "layers": layers, "heads": heads, "over": over}


def test_what_two_streams_share_connects_them():
    joined = [stream(f"{m}+bottleneck", f"{m}+bottleneck", 2) for m in ("audio", "video")]
    graph = streams_graph([stream("audio", "audio", 1), *joined, stream("text", "audio", 1, 2, "features")])
    assert '"audio" -> "audio" [label="3 × 4", style=solid];' in graph
    assert '"audio" -> "bottleneck" [label="2 × 4", style=solid];' in graph
    assert '"bottleneck" -> "video" [label="2 × 4", style=solid];' in graph
    assert '"bottleneck" -> "bottleneck" [label="4 × 4", style=solid];' in graph
    assert '"audio" -> "text" [label="1 × 2", style=dashed];' in graph
    assert '"audio" -> "video"' not in graph


def test_a_stream_with_quotes_stays_one_name():
    assert '"a\\"b" -> "c\\\\d"' in streams_graph([stream("c\\d", 'a"b', 1)])


def point(method, at, mean, low=None, high=None):
    ends = {"mean": mean, "low": low, "high": high}
    return {"method": method, "at": at, "under": f"noise/{at}", **ends, "score": "50.0 %", "n": 1}


def test_severities_run_from_clean_to_the_worst():
    looks = {"mult": ("#0072B2", "circle"), "audio": ("#D55E00", "diamond")}
    rows = [point("mult", 27.0, 0.9, 0.8, 1.0), point("mult", 0.0, 0.5), point("audio", 27.0, 0.4)]
    marks = {27.0: "clean", 20.0: "20", 0.0: "0"}
    chart = severity_chart(rows, "accuracy", "signal-to-noise ratio (dB)", looks, {"audio"}, marks, [0, 1])
    x = chart["encoding"]["x"]
    assert x["scale"]["domain"] == [27.0, 0.0]
    assert x["axis"]["values"] == [27.0, 20.0, 0.0]
    assert "datum.value === 27.0 ? 'clean'" in x["axis"]["labelExpr"]
    drawn = {
        name: layer["mark"]["strokeDash"]
        for layer in chart["layer"][1:3]
        for name in layer["transform"][0]["filter"]["oneOf"]
    }
    assert drawn == {"mult": DASHES[0], "audio": DASHES[1]}
    shapes = chart["layer"][3]["encoding"]["shape"]["scale"]["range"]
    assert len(set(shapes)) == len(set(chart["encoding"]["color"]["scale"]["range"])) == 2
    json.dumps(chart, allow_nan=False)


def test_the_front_is_drawn_apart():
    row = {"kind": "fusion", "mean": 0.9, "low": None, "high": None, "score": "90 %", "price": "1", "n": 1}
    rows = [
        row | {"method": "a", "cost": 1.0, "front": True, "place": "1"},
        row | {"method": "b", "cost": 2.0, "front": False, "place": None},
    ]
    chart = pareto_chart(rows, "accuracy", "Latency (ms)", less_is_better=True)
    assert [r["method"] for r in chart["layer"][0]["data"]["values"]] == ["a"]
    assert chart["encoding"]["x"]["scale"]["type"] == "log"
    assert chart["encoding"]["x"]["title"] == "Latency (ms) (lower is better)"
    assert [row["place"] for row in chart["layer"][-1]["data"]["values"]] == ["1"]
    steps = [pareto_chart(rows, "accuracy", "", less)["layer"][0]["mark"]["interpolate"] for less in (True, False)]
    assert steps == ["step-after", "step-before"]
    json.dumps(chart, allow_nan=False)
