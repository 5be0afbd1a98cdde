"""Losses: what padding may not change, and what each is worth by hand."""

import pytest
import torch
from torch.nn import functional as F

from protocols.batches import IGNORED
from protocols.evaluation import labelled
from protocols.examples import UNLABELLED
from protocols.tasks import TASKS
from runners.criteria import CRITERIA
from zoo.concordance import concordance_loss

NUMBERS = [name for task in TASKS.values() for name in task.losses if name != "cross_entropy"]


def test_every_loss_that_a_task_names_exists():
    assert list(CRITERIA) == [name for task in TASKS.values() for name in task.losses]
    assert UNLABELLED == IGNORED


@pytest.mark.parametrize("name", NUMBERS)
def test_padded_steps_take_no_part(name):
    torch.manual_seed(0)
    scores, labels = torch.randn(3, 4, 2), torch.rand(3, 4, 2).round()
    padded = torch.cat([labels, torch.full((3, 2, 2), float(UNLABELLED))], 1)
    more = torch.cat([scores, torch.full((3, 2, 2), 1e6)], 1).requires_grad_()
    assert labelled(padded).tolist() == [[True] * 4 + [False] * 2] * 3
    loss = CRITERIA[name](more, padded)
    torch.testing.assert_close(loss, CRITERIA[name](scores, labels))
    loss.backward()
    assert more.grad[:, :4].abs().sum() > 0 and not more.grad[:, 4:].any()


def test_values():
    scores, labels = torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert CRITERIA["l1"](scores, labels) == 1.0
    assert CRITERIA["mse"](scores, labels) == 1.5
    expected = (concordance_loss(scores[:, 0], labels[:, 0]) + concordance_loss(scores[:, 1], labels[:, 1])) / 2
    torch.testing.assert_close(CRITERIA["ccc"](scores, labels), expected)
    # One logit of presence says what two logits and a softmax say of present and absent.
    pairs = torch.stack([torch.zeros_like(scores), scores], -1)
    two = F.cross_entropy(pairs.flatten(0, 1), labels.flatten().long())
    torch.testing.assert_close(CRITERIA["binary_cross_entropy"](scores, labels), two)


@pytest.mark.parametrize("name", NUMBERS)
def test_another_shape_is_refused(name):
    with pytest.raises(ValueError, match=r"scores \(3, 1\) and labels \(3,\); wanted one shape"):
        CRITERIA[name](torch.zeros(3, 1), torch.zeros(3))
