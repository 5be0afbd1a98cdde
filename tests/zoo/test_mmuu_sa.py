"""MMUU-SA: attention stays inside the utterance. Parity with the authors' code: test_contextual.py."""

import pytest
import torch

import zoo
from zoo import spec
from zoo.layers import record_attention

WIDTHS = {"audio": 4, "video": 5, "text": 3}


@pytest.mark.parametrize("modalities", [("audio", "text"), ("audio", "video", "text")])
def test_each_modality_attends_to_all_modalities_of_its_utterance(modalities):
    settings = spec.load("mmuu_sa").settings | {"width": 6, "dense": 7}
    torch.manual_seed(0)
    model = zoo.build(
        "mmuu_sa", features={m: WIDTHS[m] for m in modalities}, outputs=2, per_step=True, **settings
    ).eval()
    inputs = {m: torch.randn(2, 5, WIDTHS[m]) for m in modalities}
    masks = dict.fromkeys(inputs, torch.arange(5) < torch.tensor([[5], [3]]))
    hidden = {}
    model.contexts.register_forward_hook(lambda _, __, y: hidden.update(y))
    with record_attention() as maps:
        model(inputs, masks)
    assert [label for label, _ in maps] == [f"{m}<-{'+'.join(hidden)}/0:modalities" for m in hidden]
    for (_, weights), query in zip(maps, hidden.values(), strict=True):
        assert weights.shape == (2, 1, 5, len(modalities))
        scores = torch.stack([(query * key).sum(-1) for key in hidden.values()], dim=-1)
        torch.testing.assert_close(weights[:, 0], scores.softmax(-1))
