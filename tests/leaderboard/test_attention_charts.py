import json

import pytest

from leaderboard.attention_charts import saliency_chart, sound_chart

BEGINS, ENDS = [1.0, 1.1, 1.2], [1.1, 1.2, 1.3]


def test_bars_stand_where_their_steps_are():
    chart = saliency_chart([0.2, 0.5, 0.3], [0.5, 1.5, 2.5], [1.5, 2.5, 3.5], "share", seconds=False, mark=2)
    bars, _, mark = chart["layer"]
    assert [row["share"] for row in chart["data"]["values"]] == [0.2, 0.5, 0.3]
    assert bars["encoding"]["x"]["scale"]["domain"] == [0.5, 3.5]
    assert mark["data"]["values"] == [{"at": 2.0}]


def test_heat_lies_over_the_spectrogram():
    chart = sound_chart("data:image/png;base64,xx", [0.2, 0.5, 0.3], BEGINS, ENDS, (1.05, 1.25))
    ground, tint, line, _, word = chart["layer"]
    (picture,) = ground["data"]["values"]
    assert (picture["begin"], picture["end"], picture["url"]) == (1.0, 1.3, "data:image/png;base64,xx")
    assert [row["at"] for row in word["data"]["values"]] == [1.05, 1.25]
    assert tint["encoding"]["opacity"]["scale"]["domain"] == [0, 0.5]
    assert line["encoding"]["y"]["scale"]["domain"][1] == pytest.approx(0.525)
    json.dumps(chart, allow_nan=False)


def test_without_saliency_the_sound_is_drawn_alone():
    chart = sound_chart("data:image/png;base64,xx", None, BEGINS, ENDS, (1.05, 1.25))
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["image", "rule", "rule"]
