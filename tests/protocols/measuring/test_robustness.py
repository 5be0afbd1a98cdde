"""Robustness curves of models whose curve is known in closed form, through the same ``measure`` as a run's.

Each class is one of two opposite patterns of D signs, so every example has mean square 1 and noise at s dB has the
variance 10^(-s / 10). A matched filter then errs with the probability Phi(-sqrt(D) 10^(s / 20)).
"""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from protocols import batches as batching
from protocols import presentation
from protocols.batches import Division
from protocols.corruptions import features as columns
from protocols.examples import Examples, Stream
from protocols.measuring import Subject
from protocols.measuring.robustness import measure
from protocols.metrics.robustness import area, worst
from protocols.presentation import Presenter
from protocols.spec import load
from protocols.suite import suites

WIDTH = 4
SNR = (10, 0, -5, -10, -20)
NOISE = {"audio/feature_noise": tuple(f"{s}dB" for s in SNR)}
SIGNS = np.array([1, -1, 1, 1], np.float32)


def presenter(conditions=("clean",), tested=200):
    labels = np.arange(100 + tested) % 2
    patterns = ((2 * labels[:, None] - 1) * SIGNS).astype(np.float32)
    starts = np.arange(len(labels))
    streams = {m: Stream(patterns, starts, starts + 1, WIDTH) for m in ("audio", "video")}
    parts = {"train": starts[:60], "validation": starts[60:100], "test": starts[100:]}
    spec = load("synthetic@1").model_copy(update={"inputs": {"audio": "x", "video": "x"}, "conditions": conditions})
    examples = Examples(tuple(f"e{i}" for i in starts), labels, ("no", "yes"), streams, "0")
    return Presenter(Division(spec, examples, parts).open_test(lambda: None))


def suite(sweeps=NOISE, conditions=()):
    return suites()["synthetic@1"].model_copy(update={"sweeps": sweeps, "conditions": conditions})


def matched_filter(inputs, masks):
    evidence = inputs["audio"][:, 0] @ torch.from_numpy(SIGNS)
    return torch.stack([-evidence, evidence], 1)


def subject(predict=matched_filter, modalities=("audio", "video")):
    return Subject(predict, recorder=None, untrained=None, modalities=modalities, size=512)


def found(made, asked, whom=None, **kept):
    return {(f.condition, f.metric): f for f in measure(whom or subject(), made, asked, **kept)}


def follows_the_closed_form(whom=None):
    made = presenter(tested=1500)
    findings = found(made, suite(), whom)
    expected = norm.cdf(np.sqrt(WIDTH) * 10 ** (np.array(SNR) / 20))
    assert expected[0] > 0.9999 and expected[-1] == pytest.approx(0.579, abs=1e-3)
    spread = 4 * np.sqrt(expected * (1 - expected) / len(made.part)) + 1 / len(made.part)
    curve = np.array([findings[f"audio/feature_noise/{s}dB", "accuracy"].value for s in SNR])
    assert (np.abs(curve - expected) < spread).all(), f"{curve} is not {expected}"
    assert len(set(curve)) == len(SNR)
    of_sweep = {
        name: findings["audio/feature_noise", f"{name}/accuracy"].value for name in ("area", "worst", "retention")
    }
    assert of_sweep["area"] == pytest.approx(area(expected, 1.0), abs=spread.mean())
    assert of_sweep["worst"] == pytest.approx(worst(expected), abs=spread[-1])
    assert of_sweep["retention"] == pytest.approx(expected.mean(), abs=spread.mean())
    assert of_sweep["area"] == area(curve, 1.0)
    for s, value in zip(SNR, curve, strict=True):
        assert findings[f"audio/feature_noise/{s}dB", "retention/accuracy"].value == value


def test_the_curve_of_a_matched_filter():
    follows_the_closed_form()


def test_clips_filled_with_zeros_are_found_out(monkeypatch):
    def mostly_zeros(rows, severity, rng):
        noisy = noise(rows, severity, rng)
        return noisy if rng.random() < 0.9 else np.zeros_like(noisy)

    noise = columns.feature_noise
    monkeypatch.setattr(columns, "feature_noise", mostly_zeros)
    with pytest.raises(AssertionError):
        follows_the_closed_form()


def test_a_stale_cache_is_found_out(monkeypatch):
    streams, stale = Presenter.streams, {}

    def first_forever(self, modalities, condition):
        if condition.text == "clean":
            return streams(self, modalities, condition)
        return stale.setdefault("noisy", streams(self, modalities, condition))

    monkeypatch.setattr(Presenter, "streams", first_forever)
    with pytest.raises(AssertionError):
        follows_the_closed_form()


def test_noise_that_ignores_the_example_is_found_out(monkeypatch):
    seeded = batching.seeded
    for module in (batching, presentation):
        monkeypatch.setattr(module, "seeded", lambda *key: seeded(*key[:-1]))
    with pytest.raises(AssertionError):
        follows_the_closed_form()


def test_a_constant_is_found_out():
    constant = subject(lambda inputs, masks: torch.tensor([[0.0, 1.0]]).expand(len(inputs["audio"]), 2))
    with pytest.raises(AssertionError):
        follows_the_closed_form(constant)


def test_what_a_model_of_one_stream_does_without_it_and_against_it():
    made = presenter(tested=1500)
    asked = suite({"all/missing": ("30pct",)}, ("audio/missing", "video/missing", "audio/conflict", "video/conflict"))
    findings = found(made, asked)
    accuracy = {condition: f.value for (condition, name), f in findings.items() if name == "accuracy"}
    # A model that hears nothing answers the first class: half of what it hears nothing of is right.
    assert accuracy["audio/missing"] == 0.5 and accuracy["video/missing"] == 1
    assert accuracy["audio/conflict"] == 0 and accuracy["video/conflict"] == 1
    absent = 0.3 - 0.3**2 / 2
    assert accuracy["all/missing/30pct"] == pytest.approx(1 - absent / 2, abs=0.03)
    assert findings["audio/conflict", "retention/accuracy"].value == 0


def test_the_runs_own_conditions_are_used_and_not_said_again():
    noise = tuple(f"audio/feature_noise/{s}dB" for s in SNR)
    own, all_of_them = found(presenter(("clean", *noise)), suite()), found(presenter(), suite())
    assert set(all_of_them) - set(own) == {(text, name) for text in noise for name in ("accuracy", "macro_f1")}
    assert all(own[key].value == all_of_them[key].value for key in own)
    assert ("clean", "accuracy") not in all_of_them and ("clean", "retention/accuracy") not in all_of_them


def test_scores_are_kept_and_taken_from_there():
    made, kept, calls = presenter(), {}, []

    def counting(inputs, masks):
        calls.append(len(masks["audio"]))
        return matched_filter(inputs, masks)

    first = found(made, suite(), subject(counting), keep=kept)
    assert set(kept) == set(suite().all_conditions()) and sum(calls) == len(made.part) * len(kept)
    for scores in kept.values():
        assert scores.shape == (len(made.part), 2) and scores.dtype == np.float32
    assert found(made, suite(), subject(counting), keep=kept) == first
    assert sum(calls) == len(made.part) * len(kept)


def test_what_a_model_does_not_see_is_not_computed_again():
    calls = []

    def counting(inputs, masks):
        calls.append(len(masks["audio"]))
        return matched_filter(inputs, masks)

    made = presenter()
    asked = suite({"video/feature_noise": ("0dB", "-10dB")}, ("video/missing",))
    findings = found(made, asked, subject(counting, ("audio",)))
    assert sum(calls) == len(made.part)
    assert findings["video/feature_noise", "area/accuracy"].value == 1


def test_what_has_no_meaning_here_is_a_reason():
    asked = suite(
        {"audio/shift": ("1steps",), "text/feature_noise": ("0dB",), "audio/feature_noise": ("0dB",)},
        ("audio+video/missing",),
    )
    for whom in (subject(), subject(modalities=("audio",))):
        findings = found(presenter(), asked, whom)
        for condition, name, said in (
            ("audio/shift/1steps", "accuracy", "no example has 2 steps"),
            ("audio/shift/1steps", "retention/macro_f1", "no example has 2 steps"),
            ("audio/shift", "area/accuracy", "no example has 2 steps"),
            ("audio/shift", "worst/accuracy", "no example has 2 steps"),
            ("text/feature_noise/0dB", "accuracy", "has no text"),
            ("audio+video/missing", "accuracy", "nothing would be left"),
        ):
            finding = findings[condition, name]
            assert finding.value is None and said in finding.reason and finding.n == 200
        assert findings["audio/feature_noise", "area/accuracy"].reason is None


def test_a_clean_score_of_zero_keeps_no_share():
    wrong = subject(lambda inputs, masks: -matched_filter(inputs, masks))
    findings = found(presenter(), suite(), wrong)
    finding = findings["audio/feature_noise", "retention/accuracy"]
    assert finding.value is None and "clean score is 0" in finding.reason
    assert findings["audio/feature_noise", "area/accuracy"].value > 0


def test_scores_that_are_not_finite_are_a_reason():
    def broken(inputs, masks):
        scores = matched_filter(inputs, masks)
        return torch.where(inputs["audio"][:, 0].abs().amax(1, keepdim=True) > 3, torch.nan, scores)

    findings = found(presenter(), suite(), subject(broken))
    assert findings["audio/feature_noise/10dB", "accuracy"].reason is None
    assert "items are not finite" in findings["audio/feature_noise/-20dB", "accuracy"].reason
    assert "items are not finite" in findings["audio/feature_noise", "area/accuracy"].reason
