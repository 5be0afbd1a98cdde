"""bc-LSTM: the recurrence, the published sizes, and that the levels learn apart."""

import pytest
import torch
from torch.nn import functional as F

import zoo
from zoo import spec
from zoo.bc_lstm import lstm
from zoo.recurrence import hard_sigmoid

UTTERANCES = {"text": 100, "audio": 73, "video": 100}
WIDTHS = {"audio": 4, "video": 5, "text": 3}


def model(preset="bc_lstm", modalities=tuple(WIDTHS), per_step=True, **changed):
    torch.manual_seed(0)
    settings = spec.load(preset).settings | {"width": 6} | changed
    return zoo.build("bc_lstm", features={m: WIDTHS[m] for m in modalities}, outputs=2, per_step=per_step, **settings)


def batch(modalities=tuple(WIDTHS)):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, 5, WIDTHS[m], generator=generator) for m in modalities}
    return inputs, dict.fromkeys(inputs, torch.arange(5) < torch.tensor([[5], [3]]))


def criterion(scores, labels):
    return F.cross_entropy(scores.flatten(0, -2), labels.flatten(), ignore_index=-100)


LABELS = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 1, -100, -100]])


def test_recurrence_and_its_gradients_equal_the_equations():
    torch.manual_seed(0)
    projected = torch.randn(4, 2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    real = torch.rand(4, 2, 3, 1) < 0.7
    plain = torch.zeros(4, 2, 3, 5, dtype=torch.float64)
    for n in range(2):
        h = c = torch.zeros(3, 5, dtype=torch.float64)
        for t in range(4):
            i, f, g, o = (projected[t, n, k] + h @ recurrent[n, k] for k in range(4))
            after = hard_sigmoid(f) * c + hard_sigmoid(i) * g.tanh()
            h = torch.where(real[t, n], hard_sigmoid(o) * after.tanh(), h)
            c = torch.where(real[t, n], after, c)
            plain[t, n] = h * real[t, n]
    ours, cotangent = lstm(projected, recurrent, real), torch.randn(4, 2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(ours, plain)
    got, wanted = (torch.autograd.grad((y * cotangent).sum(), (projected, recurrent)) for y in (ours, plain))
    torch.testing.assert_close(got, wanted)


def test_sizes_of_the_levels():
    with torch.device("meta"):
        net = zoo.build("bc_lstm", features=UTTERANCES, outputs=2, **spec.load("bc_lstm").settings)
    assert sum(p.numel() for p in net.fused.parameters()) == 1_743_902
    assert sum(p.numel() for p in net.unimodal.parameters()) == 2 * 1_022_702 + 957_902


def test_the_forget_gate_starts_open_and_other_biases_at_zero():
    bias = model().unimodal.lstm["text"].bias
    assert bias[:, 1].eq(1).all() and not bias[:, [0, 2, 3]].any()


@pytest.mark.parametrize(
    ("preset", "width"), [("bc_lstm", 100), ("sc_lstm", 100), ("h_lstm", 6), ("bc_lstm-flat", None)]
)
def test_what_the_second_level_reads(preset, width):
    net = model(preset)
    read = sum(WIDTHS.values()) if width is None else 3 * width
    assert net.fused.lstm["fused"].kernel.shape[2] == read
    assert (net.unimodal is None) == (width is None)
    assert net(*batch()).shape == (2, 5, 2)


def test_one_modality_is_classified_by_the_first_level():
    for preset in ("bc_lstm", "bc_lstm-flat"):
        net = model(preset, ("text",))
        assert net.fused is None
        assert net(*batch(("text",))).shape == (2, 5, 2)


def test_the_second_levels_loss_does_not_move_the_first():
    level = {"dense": 7, "activation": "tanh", "input_dropout": 0.0}
    first, both = (model(dropout=0.0, unimodal=level, fused=level) for _ in range(2))
    inputs, masks = batch()
    both.training_loss(inputs, masks, LABELS, criterion).backward()
    scores = first.unimodal.scores(first.unimodal(inputs, masks["text"]))
    sum(criterion(y, LABELS) for y in scores.values()).backward()
    for name, p in first.unimodal.named_parameters():
        torch.testing.assert_close(both.unimodal.get_parameter(name).grad, p.grad)
    assert all(p.grad.any() for p in both.parameters())


def test_the_second_level_learns_from_features_without_dropout():
    net, (inputs, masks) = model().train(), batch()
    seen = []
    net.fused.register_forward_pre_hook(lambda _, args: seen.append(args[0]["fused"]))
    for _ in range(2):
        net.training_loss(inputs, masks, LABELS, criterion)
    assert torch.equal(*seen) and not seen[0].requires_grad
    assert net.unimodal.training


def test_the_loss_is_the_sum_of_all_classifiers():
    level = {"dense": 7, "activation": "tanh", "input_dropout": 0.0}
    net = model(dropout=0.0, unimodal=level, fused=level, per_step=False)
    inputs, masks = batch()
    calls = []
    net.training_loss(inputs, masks, torch.tensor([0, 1]), lambda s, y: calls.append(criterion(s, y)) or calls[-1])
    assert len(calls) == 4
    torch.testing.assert_close(calls[3], criterion(net.eval()(inputs, masks), torch.tensor([0, 1])))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"directions": 3}, "directions is 3"),
        ({"fused": {"dense": 0, "activation": "relu", "input_dropout": 0.0}}, "dense 0"),
        ({"fused": {"dense": 5, "activation": "gelu", "input_dropout": 0.0}}, "'gelu'; accepted are tanh, relu"),
    ],
)
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        model(**changed)
