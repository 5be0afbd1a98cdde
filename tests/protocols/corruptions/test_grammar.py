import pytest

from protocols.corruptions import CORRUPTIONS, Condition, parse_condition
from protocols.spec import load


@pytest.mark.parametrize(
    ("text", "condition"),
    (
        ("clean", Condition("clean")),
        ("video/missing", Condition("video/missing", "video", "missing")),
        ("audio+text/missing", Condition("audio+text/missing", "audio+text", "missing")),
        ("all/missing/30pct", Condition("all/missing/30pct", "all", "missing", 30.0)),
        ("text/conflict", Condition("text/conflict", "text", "conflict")),
        ("audio/white_noise/-5dB", Condition("audio/white_noise/-5dB", "audio", "white_noise", -5.0)),
        ("audio/white_noise/2.5dB", Condition("audio/white_noise/2.5dB", "audio", "white_noise", 2.5)),
        ("audio/band_limit/4000Hz", Condition("audio/band_limit/4000Hz", "audio", "band_limit", 4000.0)),
        ("video/jpeg/20quality", Condition("video/jpeg/20quality", "video", "jpeg", 20.0)),
        ("video/shift/40ms", Condition("video/shift/40ms", "video", "shift", 40.0)),
        ("text/advance/2steps", Condition("text/advance/2steps", "text", "advance", 2.0)),
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


@pytest.mark.parametrize(
    ("text", "nearest"),
    (
        ("clen", "clean"),
        ("audio/white_nose/-5dB", "audio/white_noise/-5dB"),
        ("audio/white_noise/-5db", "audio/white_noise/-5dB"),
        ("vido/blur/2px", "video/blur/2px"),
        ("video/jpg/20", "video/jpeg/20quality"),
        ("audio/clipping/30%", "audio/clipping/30pct"),
        ("video/shift/2step", "video/shift/2steps"),
        ("video/shift/", "video/shift/<number>ms"),
        ("audio/conflicts", "audio/conflict"),
        ("video+audio/missing", "audio+video/missing"),
        ("audio+audio/missing", "audio/missing"),
        ("all/mising", "all/missing/<number>pct"),
    ),
)
def test_the_nearest_condition_is_named(text, nearest):
    with pytest.raises(ValueError) as caught:
        parse_condition(text)
    assert f"Did you mean {nearest!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "accepted"),
    (
        ("audio/clipping/130pct", "clipping are from 0 to 100 pct"),
        ("audio/drop_out/-5pct", "drop_out are from 0 to 100 pct"),
        ("video/blur/-1px", "blur are from 0 to 1000 px"),
        ("video/jpeg/0quality", "jpeg are whole numbers from 1 to 100 quality"),
        ("video/jpeg/20.5quality", "jpeg are whole numbers from 1 to 100 quality"),
        ("text/shift/0steps", "shift are whole numbers from 1 to 100000 ms or steps"),
        ("audio/reverberation/0ms", "reverberation are from 1 to 20000 ms"),
        ("all/missing/100pct", "at least one modality stays"),
    ),
)
def test_a_severity_that_cannot_be_is_answered_with_those_that_can(text, accepted):
    with pytest.raises(ValueError, match="Accepted: clean") as caught:
        parse_condition(text)
    assert accepted in str(caught.value)


@pytest.mark.parametrize("text", ("audio/white_noise/-2.5dB", "video/shift/40ms", "audio/missing", "clean"))
def test_units(text):
    assert parse_condition(text).unit == {"a": "dB", "v": "ms"}.get(text[0] if "/m" not in text else "", "")


def test_what_a_condition_touches():
    assert parse_condition("all/missing/10pct").touches("text")
    pair = parse_condition("audio+video/missing")
    assert [m for m in ("audio", "video", "text") if pair.touches(m)] == ["audio", "video"]
    assert not parse_condition("clean").touches("audio")


def test_a_protocol_takes_what_needs_one_example_only():
    inputs = {"audio": "x", "video": "x"}
    spec = load("synthetic@1")
    type(spec).model_validate(spec.model_dump() | {"inputs": inputs, "conditions": ("clean", "audio/clipping/30pct")})
    for text in ("audio/babble/0dB", "audio/conflict", "video/shift/1steps"):
        with pytest.raises(ValueError, match="belongs in a suite"):
            type(spec).model_validate(spec.model_dump() | {"inputs": inputs, "conditions": ("clean", text)})


def test_every_corruption_has_its_function():
    for corruption in CORRUPTIONS.values():
        text = f"audio/{corruption.name}/{max(1, corruption.bounds[0]):g}{corruption.units[0]}"
        assert parse_condition(text).corruption == corruption.name
        module, _, name = corruption.target.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))
