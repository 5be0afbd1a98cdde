"""What a person sees of work in progress where no bar can be drawn."""

from runners import console


def test_long_work_tells_how_far_it_is_and_what_is_left(capsys, monkeypatch):
    moments = iter(range(0, 10_000, 50))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(moments))
    assert list(console.each(range(5), "Decoding")) == list(range(5))
    assert capsys.readouterr().err.splitlines() == [
        "Decoding: 5 …",
        "Decoding: 1 of 5, about 7 min left",
        "Decoding: 3 of 5, about 2 min left",
        "Decoding: done",
    ]


def test_short_work_says_nothing_between(capsys):
    assert list(console.each(iter("ab"), "Decoding")) == ["a", "b"]
    assert capsys.readouterr().err.splitlines() == ["Decoding: 2 …", "Decoding: done"]


def test_hours_are_hours():
    assert console.minutes(600.0, 10, 130) == "2 h" and console.minutes(600.0, 10, 129) == "119 min"
