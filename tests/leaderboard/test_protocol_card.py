"""What is known of a protocol without its data."""

import pandas as pd
import pytest

from leaderboard import protocol_card
from protocols.corruptions import parse_condition
from protocols.spec import committed


@pytest.mark.parametrize("key", list(committed()))
def test_every_protocol_has_a_card(key):
    spec = committed()[key]
    told = protocol_card.facts(spec)
    assert all(told.values()) and protocol_card.home(spec)
    table = protocol_card.conditions(spec)
    assert list(table["Condition"]) == list(spec.conditions)
    for text, unit in zip(table["Condition"], table["Measured as"], strict=True):
        assert (unit == "–") == (parse_condition(text).severity is None)
    assert bool(protocol_card.leaks(spec)) == (spec.leaks or "shared" in spec.split or spec.split.endswith("/order"))


def test_parts_and_classes_by_the_id_lists():
    digits = protocol_card.counts(committed()["grid-digit@1"])
    assert list(digits["Examples"]) == [600, 150, 250]
    assert list(digits.columns)[1:3] == ["zero", "one"]
    assert digits.drop(columns="Examples").loc["test"].eq(25).all()
    emotions = protocol_card.counts(committed()["ravdess-actors@1"])
    assert list(emotions.index) == [f"fold {k}" for k in range(1, 7)]
    assert set(emotions["neutral"]) == {16} and set(emotions["angry"]) == {32}
    videos = protocol_card.counts(committed()["mosi-utterance@1"])
    assert videos["Examples"].to_dict() == {"train": 49, "validation": 13, "test": 31}
    assert list(videos.columns) == ["Examples"]  # the name of a video tells no sentiment


def test_lists_that_come_with_the_data_are_not_guessed():
    assert protocol_card.counts(committed()["vggsound@1"]) is None
    declared = protocol_card.counts(committed()["crema-d-shared-actor@1"])
    assert declared["Examples"].to_dict() == {"train": 6698, "test": 744}
    assert "OGM-GE" in protocol_card.rule(committed()["crema-d-shared-actor@1"])


def test_conditions_tell_stream_size_and_unit():
    table = protocol_card.conditions(committed()["grid-digit-noisy@1"]).set_index("Condition")
    row = table.loc["audio/white_noise/-15dB"]
    assert (row["Stream"], row["What happens"], row["How much"]) == ("audio", "white noise", "-15 dB")
    assert (row["Measured as"], row["In training"]) == ("signal-to-noise ratio (dB)", "no")
    assert table["Role"].to_dict()["audio/white_noise/-10dB"] == "primary"
    assert isinstance(table, pd.DataFrame)
