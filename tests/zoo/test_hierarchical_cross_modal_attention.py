"""Hierarchical cross-modal attention: two audio paths, their gate, and who attends to whom."""

import pytest
import torch

import zoo
from zoo import spec
from zoo.hierarchical_cross_modal_attention import ConvolutionPath, Gate
from zoo.layers import record_attention

NAME = "hierarchical_cross_modal_attention"
FEATURES = {"audio": 3, "video": 4, "text": 5}
STEPS = {"audio": 7, "video": 4, "text": 5}


def build(modalities=tuple(FEATURES), **changed):
    torch.manual_seed(0)
    settings = {**spec.load(NAME).settings, **changed}
    return zoo.build(NAME, features={m: FEATURES[m] for m in modalities}, outputs=2, **settings).eval()


def clips(modalities=tuple(FEATURES)):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, STEPS[m], FEATURES[m], generator=generator) for m in modalities}
    masks = {m: torch.arange(STEPS[m]) < torch.tensor([[STEPS[m]], [2]]) for m in modalities}
    return inputs, masks


@pytest.mark.parametrize(("bias", "expected"), [(30.0, 1.0), (-30.0, 5.0), (0.0, 3.0)])
def test_gate_mixes_two_paths(bias, expected):
    gate = Gate(4)
    torch.nn.init.zeros_(gate.gate.weight)
    torch.nn.init.constant_(gate.gate.bias, bias)
    mixed = gate(torch.full((2, 3, 4), 1.0), torch.full((2, 3, 4), 5.0))
    torch.testing.assert_close(mixed, torch.full((2, 3, 4), expected))


def test_gate_follows_the_audio():
    """Dynamic: another clip, step or channel has another mixture."""
    torch.manual_seed(0)
    gate = Gate(4)
    first, second = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    g = (gate(first, second) - second) / (first - second)
    assert (0 < g).all() and (g < 1).all()
    assert g.flatten().unique().numel() == g.numel()


def test_convolutions_see_their_neighbours_and_no_padding():
    torch.manual_seed(0)
    path = ConvolutionPath(3, 8, 3, dropout=0.0).eval()
    x, mask = torch.randn(1, 9, 3), torch.ones(1, 9, dtype=torch.bool)
    changed = x.clone()
    changed[0, 4] += 1.0
    reached = (path(changed, mask) - path(x, mask)).abs().amax(-1) > 1e-7
    assert reached.nonzero()[:, 1].tolist() == [2, 3, 4, 5, 6]  # two layers of size 3
    short = torch.arange(9) < 5
    torch.testing.assert_close(
        path(x.masked_fill(~short[:, None], 0.0), short[None])[:, :5], path(x[:, :5], mask[:, :5])
    )


def test_both_audio_paths_reach_the_scores():
    model, (inputs, masks) = build(), clips()
    model(inputs, masks).sum().backward()
    for part in (model.convolution, model.stream["audio"], model.gate):
        assert all(p.grad.abs().sum() > 0 for p in part.parameters())


def test_who_attends_to_whom():
    inputs, masks = clips()
    with record_attention() as maps:
        build()(inputs, masks)
    assert [label for label, _ in maps] == [
        "audio<-audio/0",
        "video<-video/0",
        "text<-text/0",
        "audio+video+text<-audio+video+text/0",
    ]
    assert maps[-1][1].shape == (2, 4, 16, 16)


def test_without_audio_there_is_no_gate():
    model = build(("video", "text"))
    assert not [name for name, _ in model.named_parameters() if "gate" in name or "convolution" in name]
    assert model(*clips(("video", "text"))).shape == (2, 2)


def test_parameters():
    layer, embedding = 12 * 40**2 + 13 * 40, 40 * (3 + 4 + 5 + 3)
    encoders = 4 * (layer + 80)  # three streams and the crossing one, each with a last norm
    audio = (3 * 3 * 40 + 40) + (3 * 40 * 40 + 40) + 80 + (80 * 40 + 40)
    assert sum(p.numel() for p in build().parameters()) == encoders + embedding + audio + 3 * 40 + 2 * 121


@pytest.mark.parametrize("kernel", [0, 2])
def test_kernel_must_be_odd(kernel):
    with pytest.raises(ValueError, match=f"kernel is {kernel}; wanted an odd number"):
        build(kernel=kernel)


def test_a_stream_needs_a_layer():
    with pytest.raises(ValueError, match="layers is 0; wanted 1 or more"):
        build(layers=0)
