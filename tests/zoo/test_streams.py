"""Who attends to whom, against what the methods are known to do."""

import torch

import zoo
from zoo.spec import load
from zoo.streams import Stream, attended


def model_and_batch(name, *modalities):
    spec = load(name)
    model = zoo.build(spec.method, features=dict.fromkeys(modalities, 8), outputs=2, **spec.settings)
    masks = dict.fromkeys(modalities, torch.ones(1, 4, dtype=torch.bool))
    return model, dict.fromkeys(modalities, torch.zeros(1, 4, 8)), masks


def test_mult_crosses_every_ordered_pair_and_keeps_memories():
    streams = attended(*model_and_batch("mult-paper", "audio", "video"))
    assert set(streams) == {
        Stream("audio", "video", 4, 8, "steps"),
        Stream("video", "audio", 4, 8, "steps"),
        Stream("audio memory", "audio memory", 4, 8, "steps"),
        Stream("video memory", "video memory", 4, 8, "steps"),
    }


def test_looking_leaves_the_model_as_it_was():
    model, inputs, masks = model_and_batch("late_fusion", "audio", "video")
    model.train()
    found = attended(model, inputs, masks)
    assert model.training
    assert [str(stream) for stream in found] == [f"{m} <- {m}, 2 x 4 maps over steps" for m in ("audio", "video")]
