"""Imbalance arithmetic: the authors' own numbers, hand-worked curves, an outside entropy, and what has no value."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from protocols.metrics import METRICS, Undefined
from protocols.metrics.imbalance import discrepancy_ratio, entropy_gap, gradient_blending_weights, inside, ogr
from tests import parity


def fixture() -> dict:
    return parity.told("ogm_ge.json")


@pytest.mark.parametrize("place", range(3))
def test_the_ratio_is_that_of_the_authors_code(place):
    told = fixture()
    case = told["cases"][place]
    scores = {m: np.array(case[f"logits_{m}"], dtype=np.float32) for m in ("audio", "video")}
    found = discrepancy_ratio(scores, np.array(case["labels"]))
    for m in scores:
        assert found[m] == pytest.approx(case[f"ratio_{m}"], abs=told["tolerance"])


def test_with_three_modalities_each_is_held_against_the_mean_of_the_others():
    labels = np.zeros(4, dtype=np.int64)
    probabilities = {"audio": 0.8, "video": 0.4, "text": 0.2}
    scores = {m: np.log([[p, 1 - p]] * 4) for m, p in probabilities.items()}
    found = discrepancy_ratio(scores, labels)
    assert found == pytest.approx({"audio": 0.8 / 0.3, "video": 0.4 / 0.5, "text": 0.2 / 0.6}, rel=1e-12)


def test_inside_is_an_accuracy():
    assert inside(np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_the_entropy_gap_is_in_nats_and_of_single_predictions():
    rng = np.random.default_rng(0)
    scores = {m: scale * rng.standard_normal((50, 6)) for m, scale in (("audio", 0.1), ("video", 3.0), ("text", 1.0))}
    means = {m: entropy(softmax(z, axis=1), axis=1).mean() for m, z in scores.items()}
    assert entropy_gap(scores) == pytest.approx(means["audio"] - means["video"], abs=1e-12)
    two = {m: scores[m] for m in ("video", "text")}
    assert entropy_gap(two) == pytest.approx(abs(means["video"] - means["text"]), abs=1e-12)
    certain = np.array([[0.0, -1e4], [-1e4, 0.0]])  # each sure, together even: the mean prediction would say ln 2
    assert entropy_gap({"audio": certain, "video": np.zeros((2, 2))}) == pytest.approx(np.log(2), abs=1e-12)


def test_ogr_by_hand():
    """Validation falls 1.0 -> 0.6 at epoch 3, training 0.9 -> 0.3: the gap grows from 0.1 to 0.3."""
    training, validation = np.array([0.9, 0.6, 0.3, 0.1]), np.array([1.0, 0.7, 0.6, 0.8])
    assert ogr(training, validation) == pytest.approx(0.2 / 0.4, abs=1e-12)
    assert ogr(validation - 0.5, validation) == pytest.approx(0.0, abs=1e-12)  # both fall alike


def test_a_modality_that_overfits_twice_as_much_gets_a_quarter_of_the_weight():
    validation = np.array([1.0, 0.6])
    joint, audio, video = (np.array([1.0, 0.6 - gap]) for gap in (0.4, 0.2, 0.1))
    found = gradient_blending_weights({"joint": (joint, validation), "audio": (audio, validation)})
    assert found == pytest.approx({"joint": 0.2, "audio": 0.8}, abs=1e-12)
    found = gradient_blending_weights({m: (t, validation) for m, t in (("a", joint), ("b", audio), ("c", video))})
    assert found == pytest.approx({"a": 1 / 21, "b": 4 / 21, "c": 16 / 21}, abs=1e-12)


def test_a_network_that_gains_nothing_gets_no_weight():
    learns, still = (np.array([1.0, 0.4]), np.array([1.0, 0.6])), (np.array([1.0, 0.5]), np.array([1.0, 1.2]))
    assert gradient_blending_weights({"audio": learns, "text": still}) == {"audio": 1.0, "text": 0.0}
    with pytest.raises(Undefined, match="no network lowers its validation loss"):
        gradient_blending_weights({"text": still})
    with pytest.raises(Undefined, match="audio: no overfitting was measured"):
        gradient_blending_weights({"audio": (learns[1], learns[1]), "joint": learns})


def test_less_gain_means_less_weight():
    """Same growth of the gap, half the fall of the validation loss: half the weight."""
    one = (np.array([1.0, 0.4]), np.array([1.0, 0.6]))
    other = (np.array([1.0, 0.6]), np.array([1.0, 0.8]))
    assert gradient_blending_weights({"audio": one, "joint": other}) == pytest.approx({"audio": 2 / 3, "joint": 1 / 3})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: discrepancy_ratio({"audio": np.zeros((2, 2))}, np.zeros(2, int)), "one only"),
        (lambda: entropy_gap({"audio": np.zeros((2, 2))}), "one only"),
        (
            lambda: discrepancy_ratio(
                {"audio": np.zeros((1, 2)), "video": np.array([[-1e9, 0.0]])}, np.zeros(1, dtype=int)
            ),
            "beside audio give the true classes a probability of zero",
        ),
        (lambda: ogr(np.ones(1), np.ones(1)), "two epochs"),
        (lambda: ogr(np.array([1.0, 0.5]), np.array([1.0, 1.1])), "nothing was gained"),
        (lambda: gradient_blending_weights({"audio": (np.ones(1), np.ones(1))}), "audio: a change needs two"),
    ],
)
def test_what_has_no_value_says_why(call, said):
    with pytest.raises(Undefined, match=said):
        call()


def test_curves_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        ogr(np.ones(3), np.ones(2))


def test_the_table_names_functions_that_are_there():
    assert METRICS["discrepancy"].score() is discrepancy_ratio and METRICS["inside"].score() is inside
    assert METRICS["entropy_gap"].score() is entropy_gap and METRICS["ogr"].score() is ogr
