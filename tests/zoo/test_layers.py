"""Layers against PyTorch and against hand-worked values."""

import math

import pytest
import torch
from torch import nn

from zoo.layers import Attention, Encoder, attention_bias, masked_mean, nearest_step, positions, record_attention


def test_attention_equals_torch():
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3, dropout=0.0, label="a"), nn.MultiheadAttention(12, 3, batch_first=True)
    for p in ours.parameters():
        nn.init.normal_(p)
    theirs.load_state_dict(ours.state_dict())
    q, k, v = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    bias = attention_bias(mask.unsqueeze(1), q)
    for key, value in ((k, v), (k, k)):
        expected, weights = theirs(q, key, value, key_padding_mask=~mask, average_attn_weights=False)
        torch.testing.assert_close(ours(q, key, value, bias), expected, atol=1e-5, rtol=1e-5)
        with record_attention() as maps:
            torch.testing.assert_close(ours(q, key, value, bias), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(maps[0][1], weights)
        assert maps[0][0] == "a"
    torch.testing.assert_close(ours(k, k, k), theirs(k, k, k, need_weights=False)[0], atol=1e-5, rtol=1e-5)


def test_attention_starts_like_torch():
    torch.manual_seed(0)
    ours = Attention(40, 4, dropout=0.0, label="a")
    bound = math.sqrt(6 / (40 + 120))
    assert bound * 0.98 < ours.in_proj_weight.abs().max() <= bound
    assert not ours.in_proj_bias.any() and not ours.out_proj.bias.any()


@pytest.mark.parametrize("record", [False, True])
def test_attention_dropout_keeps_the_mean(record):
    torch.manual_seed(0)
    layer, x = Attention(4, 1, dropout=0.5, label="a").train(), torch.randn(1, 6, 4)
    with torch.no_grad():
        if record:
            with record_attention():
                draws = torch.stack([layer(x, x, x) for _ in range(4000)])
        else:
            draws = torch.stack([layer(x, x, x) for _ in range(4000)])
        assert draws.std(0).min() > 0
        torch.testing.assert_close(draws.mean(0), layer.eval()(x, x, x), atol=0.05, rtol=0)


def test_recordings_do_not_mix():
    layer, x = Attention(4, 1, dropout=0.0, label="a"), torch.randn(1, 3, 4)
    with record_attention() as outer:
        layer(x, x, x)
        with record_attention() as inner:
            layer(x, x, x)
            layer(x, x, x)
    layer(x, x, x)
    assert (len(outer), len(inner)) == (1, 2)
    assert not outer[0][1].requires_grad


def test_positions():
    table = positions(torch.zeros(1, 3, 6))
    for row, place in zip(table, (1, 2, 3), strict=True):
        rates = [1, 1e-2, 1e-4]
        wanted = [math.sin(place * r) for r in rates] + [math.cos(place * r) for r in rates]
        torch.testing.assert_close(row, torch.tensor(wanted))
    assert torch.equal(positions(torch.zeros(1, 2, 6)), table[:2])
    odd = positions(torch.zeros(1, 4, 7))
    assert not odd[:, 6].any() and odd[:, 5].all()
    assert positions(torch.zeros(1, 4, 2)).isfinite().all()
    assert positions(torch.zeros(2, 5, 6)).data_ptr() == positions(torch.zeros(1, 6, 6)).data_ptr(), "rebuilt"


def test_masked_mean():
    x = torch.tensor([[[1.0], [3.0], [float("nan")]], [[5.0], [9.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_mean(x, mask).tolist() == [[2.0], [5.0]]


def test_attention_bias():
    like = torch.zeros(1)
    assert attention_bias(torch.ones(2, 1, 3, dtype=torch.bool), like) is None
    bias = attention_bias(torch.tensor([[[True, False]]]), like)
    assert bias.tolist() == [[[[0.0, -math.inf]]]]


def test_encoder_equals_torch():
    torch.manual_seed(0)
    encoder = Encoder(8, 2, 1, dropout=0.0, label="a").eval()
    layer, ours = nn.TransformerEncoderLayer(8, 2, 32, 0.0, batch_first=True, norm_first=True), encoder.layers[0]
    for there, here in (
        (layer.self_attn, ours.attention),
        (layer.norm1, ours.norm1),
        (layer.norm2, ours.norm2),
        (layer.linear1, ours.feed_forward[0]),
        (layer.linear2, ours.feed_forward[3]),
    ):
        there.load_state_dict(here.state_dict())
    x, mask = torch.randn(2, 4, 8), torch.tensor([[True] * 4, [True, True, False, False]])
    expected = encoder.norm(layer(x, src_key_padding_mask=~mask))
    torch.testing.assert_close(encoder(x, mask)[mask], expected[mask], atol=1e-5, rtol=1e-5)


def test_nearest_step_by_hand():
    x = torch.arange(4.0).reshape(1, 4, 1).repeat(3, 1, 1)
    lengths, target = torch.tensor([2, 4, 3]), torch.tensor([4, 4, 5])
    picked = nearest_step(x, lengths, target, 5).squeeze(-1)
    assert picked[0, :4].tolist() == [0, 0, 1, 1]
    assert picked[1, :4].tolist() == [0, 1, 2, 3]
    assert picked[2].tolist() == [0, 0, 1, 2, 2]  # floor(0.3, 0.9, 1.5, 2.1, 2.7)
