import json

import pandas as pd
import pytest

from leaderboard.interval_charts import MODALITIES, OTHERS, dots, heat_map, lines, looks, points

CELLS = pd.DataFrame(
    {
        "method": ["late", "late", "mult"],
        "metric": ["shapley/audio", "shapley/video", "shapley/audio"],
        "of": ["audio", "video", "audio"],
        "mean": [0.3, -0.1, 0.4],
        "low": [0.25, -0.2, float("nan")],
        "high": [0.35, 0.0, float("nan")],
        "n": [5, 5, 1],
    }
)
ROWS = points(CELLS, row="method", group="of")


def test_points_say_what_people_read_and_leave_gaps():
    assert ROWS[0] == {
        "row": "late",
        "group": "audio",
        "mean": 0.3,
        "low": 0.25,
        "high": 0.35,
        "said": "30.0 ± 5.0 %",
        "n": 5,
    }
    assert (ROWS[2]["low"], ROWS[2]["said"]) == (None, "40.0 % (one run)")


def test_a_modality_looks_the_same_everywhere_and_nothing_else_begins_with_its_colour():
    assert looks(["video"]) == {"video": MODALITIES["video"]}
    assert {colour for colour, _ in MODALITIES.values()}.isdisjoint(OTHERS[:3])
    kinds = looks(["attention", "gradient", "random"])
    assert len({colour for colour, _ in kinds.values()}) == len({shape for _, shape in kinds.values()}) == 3


def test_dots_draw_every_interval_and_mark_what_is_compared_with():
    chart = dots(ROWS, "shapley", "value", ["late", "mult"], ["audio", "video"], zero=True, hollow=["video"])
    zero, rule, filled, hollow, names = chart["layer"]
    assert zero["data"]["values"] == [{"at": 0}]
    assert rule["encoding"]["x2"] == {"field": "high"}
    assert filled["transform"][0]["filter"]["oneOf"] == ["audio"]
    assert hollow["transform"][0]["filter"]["oneOf"] == ["video"]
    assert rule["encoding"]["y"]["scale"]["domain"] == ["late", "mult"]
    assert [row["row"] for row in names["data"]["values"]] == ["late", "mult"]
    json.dumps(chart, allow_nan=False)  # a browser refuses NaN


def test_lines_have_bands_dashes_and_one_scale():
    rows = [row | {"at": at} for row in ROWS[:2] for at in ("0dB", "-10dB")]
    chart = lines(rows, "drift", "drift", ["0dB", "-10dB"], ["audio", "video"], domain=(0, 1), dashed=["video"])
    band, line, dashed, _ = chart["layer"]
    assert band["encoding"]["y2"] == {"field": "high"}
    assert band["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert chart["encoding"]["x"]["sort"] == ["0dB", "-10dB"]
    assert [layer["mark"]["strokeDash"] for layer in (line, dashed)] == [[1, 0], [6, 3]]
    assert dashed["transform"][0]["filter"]["oneOf"] == ["video"]


@pytest.mark.parametrize(
    ("names", "columns"), [(["audio", "video"], 3), (["other answer"], 2), (["joint_self_attention"], 1)]
)
def test_a_legend_fits_over_the_plot_of_a_telephone(names, columns):
    chart = lines([], "drift", "drift", ["0dB"], names)
    assert chart["encoding"]["color"]["legend"]["columns"] == columns


def test_cells_of_a_heat_map_share_a_scale_around_zero():
    rows = points(CELLS, row="method", column="of")
    chart = heat_map(rows, "shapley", ["late", "mult"], ["audio", "video"], most=0.4)
    colour, text = chart["layer"]
    assert colour["encoding"]["color"]["scale"]["domain"] == [-0.4, 0.4]
    assert text["encoding"]["color"]["condition"]["test"] == f"abs(datum.mean) > {0.87 * 0.4!r}"
    assert "100 * datum.mean" in chart["transform"][0]["calculate"]
