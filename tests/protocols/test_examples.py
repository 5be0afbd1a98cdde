import numpy as np
import pytest

from protocols.examples import DataError, Examples, check_features, fingerprint


def examples(ids=("a", "b"), labels=(0, 1)):
    return Examples(ids, np.array(labels), ("no", "yes"), {}, "0")


def test_duplicate_ids_are_refused():
    with pytest.raises(DataError, match="duplicate id 'a'"):
        examples(ids=("a", "a"))


@pytest.mark.parametrize("label", (-1, 2))
def test_a_label_out_of_range_is_refused(label):
    with pytest.raises(DataError, match="label out of range"):
        examples(labels=(0, label))


@pytest.mark.parametrize(
    ("change", "said"),
    (
        (lambda x: x[:-1], "5 rows, but the lengths add up to 6"),
        (lambda x: np.where(np.arange(12).reshape(6, 2) == 7, np.nan, x), "not finite, the first in row 3, column 1"),
        (lambda x: x * [1, 0], "column 1 is constant"),
        (lambda x: x[:, 0], "wanted \\(rows, columns\\)"),
    ),
)
def test_features_that_would_spoil_a_comparison_are_refused(change, said):
    rows = np.random.default_rng(0).standard_normal((6, 2))
    check_features("mine.npy", rows, np.array([4, 2]))
    with pytest.raises(DataError, match=f"mine.npy: .*{said}"):
        check_features("mine.npy", change(rows), np.array([4, 2]))


def test_an_empty_example_is_refused_and_a_known_constant_is_not():
    rows = np.random.default_rng(0).standard_normal((6, 2))
    with pytest.raises(DataError, match="example number 1 has no row"):
        check_features("mine.npy", rows, np.array([6, 0]))
    check_features("mine.npy", rows * [1, 0], np.array([4, 2]), frozenset({1}))


def test_the_fingerprint_sees_every_change():
    x = np.arange(6, dtype=np.float32)
    seen = {
        fingerprint(("a", "b"), x),
        fingerprint(("a", "c"), x),
        fingerprint(("a", "b"), x.reshape(2, 3)),
        fingerprint(("a", "b"), x.astype(np.float64)),
        fingerprint(("a", "b"), x + 1),
    }
    assert len(seen) == 5
    assert fingerprint(("a", "b"), x) == fingerprint(("a", "b"), x.copy())


def numbers(task, labels):
    return Examples(("a", "b"), labels, ("valence", "arousal"), {}, "0", task)


def test_numbers_and_labels_that_occur_together():
    every = np.array([[0.5, -1.0], [0.0, 2.0]], dtype=np.float32)
    assert not numbers("regression", every).per_step
    assert numbers("regression", [every, every[:1]]).per_step
    assert numbers("multilabel", (every > 0).astype(np.float32)).task == "multilabel"


@pytest.mark.parametrize(
    ("task", "labels", "said"),
    (
        ("regression", np.zeros((2, 2)), "labels are float64"),
        (
            "regression",
            np.zeros(2, np.float32),
            r"float32 \(2,\); wanted float32 \(items, 2\), one column for each of val",
        ),
        ("regression", np.array([[0, 1], [np.nan, 0]], np.float32), "valence of item 1 is nan"),
        ("regression", [np.array([[0, -100]], np.float32)] * 2, "arousal of item 0 is -100 .2 such labels"),
        ("multilabel", np.array([[0, 1], [0.5, 0]], np.float32), "valence of item 1 is 0.5 .* accepted are 0 and 1"),
    ),
)
def test_labels_that_no_loss_could_take_are_refused(task, labels, said):
    with pytest.raises(DataError, match=said):
        numbers(task, labels)
