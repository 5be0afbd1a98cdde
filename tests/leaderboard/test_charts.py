import json

import pandas as pd

from leaderboard.charts import (
    DASHES,
    KINDS,
    curves_chart,
    pareto_chart,
    ranking_chart,
    seeds_chart,
    severity_chart,
    streams_graph,
)

TABLE = pd.DataFrame(
    {
        "method": ["late", "audio"],
        "unimodal": [False, True],
        "mean": [0.7, 0.5],
        "low": [0.65, float("nan")],
        "high": [0.75, float("nan")],
        "n": [5, 1],
    }
)


def test_ranking_draws_every_method_and_the_majority_class():
    chart = ranking_chart(TABLE, "accuracy", 0.25)
    late, audio = chart["data"]["values"]
    assert (late["mean"], late["low"], late["high"], late["kind"]) == (0.7, 0.65, 0.75, "fusion")
    assert (audio["low"], audio["kind"]) == (None, "unimodal baseline")
    assert chart["layer"][0]["encoding"]["y"]["sort"] == ["late", "audio"]
    assert chart["layer"][2]["data"]["values"] == [{"at": 0.25, "text": "majority class 25.0 %"}]
    json.dumps(chart, allow_nan=False)  # a browser refuses NaN


def test_without_a_majority_class_there_is_no_line():
    assert len(ranking_chart(TABLE, "accuracy", None)["layer"]) == 2


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
    assert len(set(chart["encoding"]["color"]["scale"]["range"])) == 3


def test_curves_keep_gaps():
    curve = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.5, float("nan")]})
    chart = curves_chart({"seed 0": curve}, "train_loss")
    assert [point["value"] for point in chart["data"]["values"]] == [1.5, None]
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
    rows = [row | {"method": "a", "cost": 1.0, "front": True}, row | {"method": "b", "cost": 2.0, "front": False}]
    chart = pareto_chart(rows, "accuracy", "Latency (ms)", less_is_better=True)
    assert [r["method"] for r in chart["layer"][0]["data"]["values"]] == ["a"]
    assert chart["encoding"]["x"]["scale"]["type"] == "log"
    steps = [pareto_chart(rows, "accuracy", "", less)["layer"][0]["mark"]["interpolate"] for less in (True, False)]
    assert steps == ["step-after", "step-before"]
    json.dumps(chart, allow_nan=False)
