"""The 1 - CCC loss and the smoothing rule: the authors' numbers, and cases worked by hand."""

import math

import pytest
import torch

from tests import parity
from zoo.concordance import concordance_loss, smooth


def test_loss_of_the_authors_code():
    fixture = parity.told("ccc.json")
    for case in fixture["cases"]:
        prediction, target = (torch.tensor(case[name], dtype=torch.float64) for name in ("prediction", "target"))
        loss = concordance_loss(prediction, target).item()
        assert loss == pytest.approx(case["loss_ccc"], abs=fixture["tolerance"]), case["name"]
        if len(target) % 2 == 0:  # the batch is flattened: its shape is nothing
            folded = concordance_loss(prediction.view(2, -1), target.view(2, -1)).item()
            assert folded == pytest.approx(loss, abs=1e-12)


def test_loss_by_hand():
    """t = 0, 1, 2 has variance 1; p = 2, 1, 0 mirrors it: CCC = 2 (-1) / (1 + 1 + 0) = -1."""
    target = torch.tensor([0.0, 1.0, 2.0])
    assert concordance_loss(target, target).item() == pytest.approx(0.0, abs=1e-6)
    assert concordance_loss(target.flip(0), target).item() == pytest.approx(2.0, abs=1e-6)
    # Shifted by 1: covariance 1, gap 1: CCC = 2 / (1 + 1 + 1).
    assert concordance_loss(target + 1, target).item() == pytest.approx(1 / 3, abs=1e-6)
    # Halved: covariance 1/2, variances 1/4 and 1, gap 1/2 squared: CCC = 1 / 1.5.
    assert concordance_loss(target / 2, target).item() == pytest.approx(1 / 3, abs=1e-6)


def test_constant_prediction_has_loss_one_and_a_finite_gradient():
    prediction = torch.full((5,), 0.3, requires_grad=True)
    loss = concordance_loss(prediction, torch.linspace(-1, 1, 5))
    loss.backward()
    assert loss.item() == 1.0
    assert prediction.grad.isfinite().all()
    assert concordance_loss(torch.ones(3), torch.ones(3)).item() == 1.0


def test_gradient_is_that_of_the_value():
    torch.manual_seed(0)
    prediction, target = torch.randn(2, 4, dtype=torch.float64, requires_grad=True), torch.randn(2, 4).double()
    assert torch.autograd.gradcheck(lambda p: concordance_loss(p, target), (prediction,))


@pytest.mark.parametrize(("prediction", "target"), [((1,), (1,)), ((3,), (4,)), ((2, 1), (2,))])
def test_loss_refuses_what_has_no_variance(prediction, target):
    with pytest.raises(ValueError, match="one shape, of two or more labelled steps"):
        concordance_loss(torch.zeros(prediction), torch.zeros(target))


def test_smoothing_by_hand():
    series = torch.tensor([3.0, -0.5, 0.5, -9.0])  # clipped to 1, -0.5, 0.5, -1
    assert smooth(series, 1).tolist() == [1.0, -0.5, 0.5, -1.0]
    # window 2: the step before and the step itself; window 3: one on either side
    assert smooth(series, 2).tolist() == [0.5, 0.25, 0.0, -0.25]
    torch.testing.assert_close(smooth(series, 3), torch.tensor([0.5, 1.0, -1.0, -0.5]) / 3)
    torch.testing.assert_close(smooth(torch.ones(100), 20)[[0, 50, 99]], torch.tensor([0.5, 1.0, 11 / 20]))


@pytest.mark.parametrize("window", [5, 20, 50])
def test_smoothing_is_a_uniform_filter(window):
    scipy = pytest.importorskip("scipy.ndimage")
    series = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    golden = scipy.uniform_filter1d(series.clamp(-1, 1).numpy(), size=window, mode="constant")
    assert math.isclose((smooth(series, window) - torch.from_numpy(golden)).abs().max().item(), 0.0, abs_tol=1e-12)


def test_smoothing_refuses_a_batch():
    with pytest.raises(ValueError, match=r"prediction \(2, 3\), window 2; wanted \(T,\)"):
        smooth(torch.zeros(2, 3), 2)
