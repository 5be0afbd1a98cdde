"""CATF-LSTM as described: its equations written out, the places of a video, and that the levels learn apart."""

import pytest
import torch
from torch.nn import functional as F

import zoo
from zoo import spec
from zoo.layers import record_attention

WIDTHS = {"audio": 4, "video": 5, "text": 3}
LABELS = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 1, -100, -100]])


def model(modalities=tuple(WIDTHS), per_step=True, **changed):
    torch.manual_seed(0)
    settings = spec.load("catf_lstm-paper").settings | {"width": 6, "steps": 5} | changed
    return zoo.build("catf_lstm", features={m: WIDTHS[m] for m in modalities}, outputs=2, per_step=per_step, **settings)


def batch(modalities=tuple(WIDTHS), steps=5):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, steps, WIDTHS[m], generator=generator) for m in modalities}
    return inputs, dict.fromkeys(inputs, torch.arange(steps) < torch.tensor([[steps], [3]]))


def criterion(scores, labels):
    return F.cross_entropy(scores.flatten(0, -2), labels.flatten(), ignore_index=-100)


def test_contextual_attention_equals_the_equations():
    net, (inputs, masks) = model().unimodal["text"], batch()
    x = inputs["text"][1:, :3]  # the shorter video alone
    h = net.lstm(x)[0][0]  # (T, d)
    starred = []
    for t in range(3):
        p = torch.tanh(net.look[t].T @ h.T)  # (10)
        alpha = torch.softmax(net.score[t].T @ p, dim=-1)  # (11)
        r = h.T @ alpha[0]  # (12)
        starred.append(torch.tanh(net.seen[t].T @ r + net.own[t].T @ h[t]))  # (13)
    ours = net(inputs["text"], masks["text"])[1, :3]
    torch.testing.assert_close(ours, torch.stack(starred))
    scores = torch.stack([s @ net.head[t] + net.bias[t] for t, s in enumerate(starred)])
    torch.testing.assert_close(net.scores(ours[None])[0], scores)


def test_fusion_equals_the_equations():
    fuse = model(multi_level=False).fuse
    x = {m: torch.randn(2, 3, d) for m, d in WIDTHS.items()}
    b = torch.stack([fuse.equalise[m](x[m])[1, 2] for m in WIDTHS], dim=1)  # (d, 3), one utterance
    alpha = torch.softmax(fuse.score.weight @ torch.tanh(fuse.look.weight @ b), dim=-1)
    torch.testing.assert_close(fuse(x)[1, 2], b @ alpha[0])


def test_who_attends_to_whom():
    with record_attention() as maps:
        model()(*batch())
    labels = [label for label, _ in maps]
    assert labels == [
        "audio<-audio/0",
        "video<-video/0",
        "text<-text/0",
        "fused<-audio+video+text/0:modalities",
        "fused<-fused/0",
    ]
    assert maps[3][1].shape == (2, 1, 5, 3)
    assert all(not weights[1, :, :, 3:].any() for label, weights in maps if "+" not in label)


def test_a_place_has_weights_of_its_own():
    net, (inputs, masks) = model(multi_level=False).eval(), batch()
    before = net(inputs, masks)
    with torch.no_grad():
        net.fused.own[2] += 1.0
    moved = (net(inputs, masks) - before).abs().amax(-1)
    assert (moved[:, 2] > 0).all() and not moved[:, [0, 1, 3, 4]].any()


def test_a_video_longer_than_the_places_is_refused():
    net = model()
    with pytest.raises(ValueError, match="a video has 6 utterances, and there are weights for 5 places.*steps=6"):
        net(*batch(steps=6))
    inputs, masks = batch(steps=9)
    scores = net(inputs, {m: k & (torch.arange(9) < 5) for m, k in masks.items()})  # padding takes no place
    assert scores.shape == (2, 9, 2) and not scores[:, 5:].any()


def test_the_fused_loss_does_not_move_the_unimodal_networks():
    both, first = model(), model()
    inputs, masks = batch()
    both.training_loss(inputs, masks, LABELS, criterion).backward()
    sum(criterion(net.scores(net(inputs[m], masks[m])), LABELS) for m, net in first.unimodal.items()).backward()
    for name, p in first.unimodal.named_parameters():
        torch.testing.assert_close(both.unimodal.get_parameter(name).grad, p.grad)
    assert all(p.grad.any() for p in both.parameters())


@pytest.mark.parametrize(
    ("modalities", "multi_level"), [(("text",), True), (("text",), False), (("audio", "text"), False)]
)
def test_levels_that_are_built(modalities, multi_level):
    net = model(modalities, multi_level=multi_level)
    assert len(net.unimodal) == (1 if len(modalities) == 1 else 0)
    assert (net.fused is None) == (len(modalities) == 1)
    assert net(*batch(modalities)).shape == (2, 5, 2)


@pytest.mark.parametrize(("changed", "said"), [({"width": 7}, "width is 7"), ({"steps": 0}, "steps is 0")])
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        model(**changed)
