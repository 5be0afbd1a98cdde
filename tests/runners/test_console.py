"""What a person reads of work in progress, off a terminal."""

import pytest

from protocols.spec import load as load_protocol
from runners import console, trial
from runners.backends import Outcome, _reached_file, execute
from zoo.spec import load as load_method


@pytest.fixture
def planned(short, settings):
    """Three runs of four epochs: one is there, one has two epochs behind it, one has not begun."""
    runs, _ = trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=3)
    (_,) = execute(runs[:1], settings, "serial", lambda e, epoch: None)
    begun = _reached_file(settings.bundle_root, runs[1])
    begun.parent.mkdir(parents=True)
    begun.write_text("2")
    return runs


def test_progress_counts_what_is_left_to_do_and_what_failed(planned, settings, monkeypatch, capsys):
    monkeypatch.setattr(console, "EVERY", -1.0)
    there, begun, new = planned
    with console.run_progress(planned, settings.bundle_root) as progress:
        progress.outcome(Outcome(there, settings.bundle_root / there.folder), "not told again", failed=False)
        progress.epoch(begun, 3)
        progress.outcome(Outcome(begun, None, "lost"), "seed 1: failed, lost", failed=True)
        progress.epoch(new, 3)
        progress.epoch(new, 3)  # a look at a run that is no farther
    assert capsys.readouterr().err.splitlines() == [
        "Of 3 runs: 1 there already, 1 to go on with from a checkpoint.",
        "2 runs to do, 6 epochs at most",
        "1 of 3 runs, epochs 1 of 6, about 0 min left",
        "2 of 3 runs, 1 failed, epochs 2 of 6, about 0 min left",
        "[2/3] seed 1: failed, lost",
        "2 of 3 runs, 1 failed, epochs 5 of 6, about 0 min left",
        "2 of 3 runs, 1 failed, epochs 5 of 6, about 0 min left",
    ]


def test_an_interruption_says_what_is_kept(planned, settings):
    with pytest.raises(KeyboardInterrupt) as interrupted:
        with console.run_progress(planned, settings.bundle_root):
            raise KeyboardInterrupt
    said = "1 of 3 runs have ended; those under way keep the epochs that they finished."
    assert str(interrupted.value) == said


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
