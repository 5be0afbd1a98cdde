"""CATF-LSTM as released: one cell both ways, modalities added up, and that the levels learn apart."""

import torch
from torch.nn import functional as F

import zoo
from zoo import spec
from zoo.catf_lstm_code import SharedGRU, UtteranceAttention
from zoo.layers import record_attention

WIDTHS = {"audio": 4, "video": 5, "text": 3}
LABELS = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 1, -100, -100]])
MASK = torch.arange(5) < torch.tensor([[5], [3]])


def model(modalities=tuple(WIDTHS), **changed):
    torch.manual_seed(0)
    small = {"width": 6, "unimodal_dense": 7, "fused_dense": [8, 9]}
    settings = spec.load("catf_lstm-code").settings | small | changed
    features = {m: WIDTHS[m] for m in modalities}
    return zoo.build("catf_lstm_code", features=features, outputs=2, per_step=True, **settings)


def batch(modalities=tuple(WIDTHS)):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, 5, WIDTHS[m], generator=generator) for m in modalities}
    return inputs, dict.fromkeys(inputs, MASK)


def criterion(scores, labels):
    return F.cross_entropy(scores.flatten(0, -2), labels.flatten(), ignore_index=-100)


def test_one_cell_reads_both_ways():
    torch.manual_seed(0)
    net, x = SharedGRU(4, 3, output_dropout=0.0), torch.randn(2, 5, 4)

    def read(steps):
        h, said = torch.zeros(3), []
        for step in steps:
            u, r = net.gates(torch.cat((step, h))).sigmoid().chunk(2)
            h = u * h + (1 - u) * net.candidate(torch.cat((step, r * h))).tanh()
            said.append(h)
        return torch.stack(said)

    short = x[1, :3]
    wanted = torch.cat((read(short), read(short.flip(0)).flip(0)), dim=-1)
    ours = net(x, MASK)
    torch.testing.assert_close(ours[1, :3], wanted)
    assert not ours[1, 3:].any()


def test_utterance_attention_equals_the_equation():
    torch.manual_seed(0)
    net, h = UtteranceAttention(4), torch.randn(2, 5, 4)
    torch.nn.init.normal_(net.look.weight)
    video, ours = h[1, :3], net(h, MASK)
    for t in range(3):
        alpha = torch.softmax(torch.tanh(net.look(video) @ video[t]), dim=0)
        torch.testing.assert_close(ours[1, t], alpha @ video)


def test_modalities_are_added_up():
    net, (inputs, masks) = model().eval(), batch()
    read = []
    net.fused.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    with record_attention() as maps:
        net(inputs, masks)
    wanted = sum(level(inputs[m], MASK) for m, level in net.unimodal.items())
    torch.testing.assert_close(read[0], wanted)
    assert [label for label, _ in maps] == ["fused<-fused/0"]


def test_the_second_level_learns_from_features_without_dropout():
    net, (inputs, masks) = model().train(), batch()
    read = []
    net.fused.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    for _ in range(2):
        net.training_loss(inputs, masks, LABELS, criterion).backward()
    assert torch.equal(*read) and not read[0].requires_grad
    assert all(level.training for level in net.unimodal.values())
    assert all(p.grad.any() for p in net.parameters())


def test_one_modality_is_classified_by_the_first_level():
    net = model(("text",), utterance_attention=False)
    assert net.fused is None
    assert net(*batch(("text",))).shape == (2, 5, 2)
