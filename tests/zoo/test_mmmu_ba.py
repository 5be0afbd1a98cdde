"""MMMU-BA: its attention, who attends to whom, what padding may do. Parity of the network: test_contextual.py."""

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tests import parity
from zoo import spec
from zoo.layers import record_attention
from zoo.mmmu_ba import gated_attention

WIDTHS = {"audio": 4, "video": 5, "text": 3}


def model(modalities=tuple(WIDTHS), **changed):
    torch.manual_seed(0)
    settings = spec.load("mmmu_ba-code").settings | {"width": 6, "dense": 7} | changed
    features = {m: WIDTHS[m] for m in modalities}
    return zoo.build("mmmu_ba", features=features, outputs=2, per_step=True, **settings).eval()


def batch(modalities=tuple(WIDTHS), steps=5):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(2, steps, WIDTHS[m], generator=generator) for m in modalities}
    return inputs, dict.fromkeys(inputs, torch.arange(steps) < torch.tensor([[5], [3]]))


def test_attention_equals_the_authors():
    tensors = load_file(parity.parity_root() / "mmmu_ba" / "attention_only.safetensors")
    x, y = tensors["inputs/x"], tensors["inputs/y"]
    both = torch.cat([gated_attention(x, y, None, "x<-y/0"), gated_attention(y, x, None, "y<-x/0")], dim=-1)
    for ours, golden in ((both, "bi_modal_attention"), (gated_attention(x, x, None, "x<-x/0"), "self_attention")):
        golden = tensors[f"outputs/{golden}"]
        assert (ours - golden).abs().max() <= 1e-5 * max(0.01, golden.abs().max())


@pytest.mark.parametrize(
    ("modalities", "labels"),
    [
        (tuple(WIDTHS), ["video<-text/0", "text<-video/0", "audio<-video/0", "video<-audio/0", "text<-audio/0"]),
        (("audio", "text"), ["text<-audio/0", "audio<-text/0"]),
    ],
    ids=["three", "two"],
)
def test_every_pair_attends_both_ways(modalities, labels):
    net = model(modalities)
    with record_attention() as maps:
        net(*batch(modalities))
    assert [label for label, _ in maps][: len(labels)] == labels
    assert len(maps) == len(modalities) * (len(modalities) - 1)
    assert all(not weights[1, :, :, 3:].any() for _, weights in maps)  # no padded utterance is looked at
    assert net.head.in_features == 7 * (len(maps) + len(modalities))


def test_padded_utterances_are_keys_only_where_the_setting_says_so():
    inputs, masks = batch()
    longer = {m: torch.nn.functional.pad(x, (0, 0, 0, 4)) for m, x in inputs.items()}
    more = {m: torch.nn.functional.pad(k, (0, 4)) for m, k in masks.items()}
    real = masks["text"]
    ranked, released = model(), model(attend_padding=True)
    torch.testing.assert_close(ranked(longer, more)[:, :5][real], ranked(inputs, masks)[real])
    moved = (released(longer, more)[:, :5][real] - released(inputs, masks)[real]).abs().max()
    assert moved > 1e-3


def test_one_modality_makes_no_pair():
    with pytest.raises(ValueError, match="features names 1 modalities .text.; wanted 2 to 3"):
        model(("text",))
