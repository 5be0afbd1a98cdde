import numpy as np
import pytest

from protocols.corruptions.conflict import partner, partner_steps
from protocols.metrics import Undefined


def test_a_partner_is_of_another_class_and_each_is_as_likely():
    labels = np.array([0, 0, 1, 1, 2])
    drawn = [partner(labels, 0, np.random.default_rng(k)) for k in range(600)]
    assert np.bincount(drawn, minlength=5) == pytest.approx([0, 0, 200, 200, 200], abs=50)


def test_one_class_cannot_contradict():
    with pytest.raises(Undefined, match="one class"):
        partner(np.zeros(4, int), 0, np.random.default_rng(0))
    with pytest.raises(Undefined, match="one class"):
        partner_steps([np.array([0, 1]), np.array([0])], 0, np.random.default_rng(0))


def test_steps_meet_the_same_step_of_another_class_where_there_is_one():
    labels = [np.array([0, 1, 0, 0]), np.array([1, 1]), np.array([1, 0, 0])]
    for k in range(50):
        found = partner_steps(labels, 0, np.random.default_rng(k))
        assert found[0] in ((1, 0), (2, 0)) and found[1] == (2, 1)
        for (row, step), own in zip(found, labels[0], strict=True):
            assert row != 0 and labels[row][step] != own
    # Nothing of another class stands at steps 2 and 3: any step of another example will do.
    assert {pairs[3] for k in range(50) for pairs in [partner_steps(labels, 0, np.random.default_rng(k))]} == {
        (1, 0),
        (1, 1),
        (2, 0),
    }
