import pytest

from protocols.corruptions import CORRUPTIONS, Condition, parse_condition


@pytest.mark.parametrize(
    ("text", "condition"),
    (
        ("clean", Condition("clean")),
        ("video/missing", Condition("video/missing", "video", "missing")),
        ("audio/white_noise/-5dB", Condition("audio/white_noise/-5dB", "audio", "white_noise", -5.0)),
        ("audio/white_noise/2.5dB", Condition("audio/white_noise/2.5dB", "audio", "white_noise", 2.5)),
    ),
)
def test_conditions(text, condition):
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    "text", ("", "noisy", "audio/white_noise", "audio/white_noise/3", "smell/missing", "audio/rain/3dB")
)
def test_what_is_not_understood_is_answered_with_what_is(text):
    with pytest.raises(ValueError, match="Accepted: clean, <modality>/missing") as caught:
        parse_condition(text)
    assert all(name in str(caught.value) for name in CORRUPTIONS)
