"""Cross-attention of FG 2021: its equations by plain loops, its size, and what the data ask of it."""

import pytest
import torch
from torch.nn import functional as F

import zoo
from zoo import METHODS, spec
from zoo.layers import record_attention

WIDTHS = {"audio": 12, "video": 9}


def build(preset="ca-fg2021", features=None, outputs=3, per_step=False, **settings):
    said = spec.load(preset)
    settings = {**said.settings, **settings}
    return zoo.build(said.method, features=features or WIDTHS, outputs=outputs, per_step=per_step, **settings).eval()


def full(audio: int, video: int, widths=WIDTHS, clips: int = 2):
    steps = {"audio": audio, "video": video}
    inputs = {m: torch.randn(clips, steps[m], widths[m]) for m in widths}
    return inputs, {m: torch.ones(clips, steps[m], dtype=torch.bool) for m in widths}


def by_hand(model, audio, video):
    """The paper's orientation, features by steps, for one clip of equal steps."""
    a, v = F.normalize(audio, dim=1).T, F.normalize(video, dim=1).T  # (d, L)
    c = a.T @ model.correlation @ v
    attended_audio = a @ c.softmax(0)
    attended_video = v @ c.T.softmax(0)
    return model.head((attended_audio + attended_video).amax(1))


def test_equations_of_the_paper():
    torch.manual_seed(0)
    widths = {"audio": 8, "video": 8}
    model = build("ca-fg2021-code", widths, hidden=[6, 5])
    inputs, masks = full(4, 4, widths)
    ours = model(inputs, masks)
    for i in range(2):
        torch.testing.assert_close(ours[i], by_hand(model, inputs["audio"][i], inputs["video"][i]))


def test_size():
    (size,) = METHODS["audio_visual_cross_attention"].sizes
    said = spec.load(size.preset)
    with torch.device("meta"):
        model = zoo.build(said.method, features=size.features, outputs=size.outputs, **said.settings)
    assert sum(p.numel() for p in model.parameters()) == size.parameters


def test_maps_have_a_row_for_every_reading_step():
    inputs, masks = full(5, 3)
    masks["audio"] = torch.arange(5) < torch.tensor([[5], [2]])
    with record_attention() as maps:
        build()(inputs, masks)
    shapes = {label: tuple(weights.shape) for label, weights in maps}
    assert shapes == {"audio<-video/0": (2, 1, 5, 3), "video<-audio/0": (2, 1, 3, 5)}
    over_audio = dict(maps)["video<-audio/0"]
    torch.testing.assert_close(over_audio.sum(-1), torch.ones(2, 1, 3))
    assert not over_audio[1, :, :, 2:].any()


def test_scores_are_bounded_only_where_asked():
    torch.manual_seed(0)
    bounded, free = build(final_tanh=True), build()
    free.load_state_dict(bounded.state_dict())
    inputs, masks = full(4, 4)
    torch.testing.assert_close(bounded(inputs, masks), free(inputs, masks).tanh())


def test_unit_norm_forgets_scale():
    torch.manual_seed(0)
    widths = {"audio": 8, "video": 8}
    model = build("ca-fg2021-code", widths)
    inputs, masks = full(4, 4, widths)
    torch.testing.assert_close(model({**inputs, "video": 5 * inputs["video"]}, masks), model(inputs, masks))


def test_widths_without_encoders_must_agree():
    with pytest.raises(ValueError, match=r"\{'audio': 12, 'video': 9\} differ in width; give a width"):
        build("ca-fg2021-code")
    with pytest.raises(ValueError, match="every width must be 1 or more"):
        build(hidden=[4, 0])
