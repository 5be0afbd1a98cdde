"""What scores say, task by task, by hand."""

import numpy as np
import pytest
import torch

from protocols.measuring.answers import Worth, probabilities, said, strength
from protocols.metrics import Undefined


def of(task, scores):
    return probabilities(task, torch.tensor(scores, dtype=torch.float64)).numpy()


def test_a_class_is_said_with_its_probability():
    told = of("classification", [[np.log(3.0), 0.0], [0.0, np.log(4.0)]])
    assert said("classification", told).tolist() == [0, 1]
    assert strength("classification", told, np.array([0, 0])) == pytest.approx(np.array([[0.75], [0.2]]))
    assert strength("classification", told, np.int64(1)) == pytest.approx(np.array([[0.25], [0.8]]))


def test_each_label_is_said_to_be_there_or_not():
    told = of("multilabel", [[np.log(3.0), -np.log(4.0)]])
    assert said("multilabel", told).tolist() == [[True, False]]
    assert strength("multilabel", told, np.array([[True, False]])) == pytest.approx(np.array([[0.75, 0.8]]))
    assert strength("multilabel", told, np.array([True, True])) == pytest.approx(np.array([[0.75, 0.2]]))


def test_a_number_is_its_own_strength():
    told = of("regression", [[0.5, -2.0]])
    assert said("regression", told) is told and strength("regression", told, told) is told


def test_classes_are_worth_their_accuracy_whatever_the_primary_metric():
    scores, labels = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0, 0, 0])
    worth = Worth("classification", "macro_f1")
    assert worth.items(scores, labels).tolist() == [True, False, True] and worth(scores, labels) == pytest.approx(2 / 3)
    assert worth.nothing(labels) == 1.0


def test_an_error_is_worth_the_part_of_it_that_is_gone():
    labels = np.array([[-1.0], [1.0], [3.0]], np.float32)  # mean 1: absolute errors 2, 0, 2
    worth = Worth("regression", "mae", ("sentiment",))
    assert worth(labels, labels) == 1 and worth.nothing(labels) == 0
    assert worth(labels + 1, labels) == pytest.approx(1 - 1 / (4 / 3))
    assert worth(labels + 2, labels) < 0
    with pytest.raises(Undefined, match="the mean of the targets makes no error"):
        worth(labels, np.ones_like(labels))


def test_a_score_of_numbers_is_its_own_worth():
    labels = np.array([[0.0, 0.0], [1.0, 5.0]], np.float32)
    scores = np.array([[0.0, 5.0], [1.0, 0.0]], np.float32)
    assert Worth("regression", "ccc", ("valence", "arousal"))(scores, labels) == pytest.approx(0.0)
    assert Worth("regression", "ccc/valence", ("valence", "arousal"))(scores, labels) == pytest.approx(1.0)
    assert Worth("regression", "ccc/arousal", ("valence", "arousal")).nothing(labels) == 0.0


def test_labels_are_worth_the_primary_metric():
    labels = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    worth = Worth("multilabel", "binary_accuracy", ("happy", "sad"))
    assert worth(np.array([[1.0, 1.0], [-1.0, -1.0]], np.float32), labels) == 0.75
    assert worth.nothing(labels) == 0.75
