"""MU-SA: who attends to whom. Parity with the authors' code: test_contextual.py."""

import pytest
import torch

import zoo
from zoo import spec
from zoo.layers import record_attention

WIDTHS = {"audio": 4, "video": 5, "text": 3}


@pytest.mark.parametrize("modalities", [("text",), ("audio", "video"), ("audio", "video", "text")])
def test_each_modality_attends_to_its_own_real_utterances(modalities):
    settings = spec.load("mu_sa").settings | {"width": 6, "dense": 7}
    model = zoo.build("mu_sa", features={m: WIDTHS[m] for m in modalities}, outputs=2, per_step=True, **settings).eval()
    inputs = {m: torch.randn(2, 5, WIDTHS[m]) for m in modalities}
    masks = dict.fromkeys(inputs, torch.arange(5) < torch.tensor([[5], [3]]))
    with record_attention() as maps:
        scores = model(inputs, masks)
    assert scores.shape == (2, 5, 2)
    assert [label for label, _ in maps] == [f"{m}<-{m}/0" for m in modalities]
    assert all(not weights[1, :, :, 3:].any() for _, weights in maps)
    assert model.head.in_features == 14 * len(modalities)
