"""Drift, shares and descriptions of models whose attention is planted, through the measurement that a run uses."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from protocols.batches import Part, Standardiser
from protocols.examples import Examples, Stream
from protocols.measuring import Subject, attention, maps
from protocols.presentation import Presenter
from protocols.spec import load
from protocols.suite import suites

N = 12
SWEEP, SAME, NEGATED = "video/feature_noise", "video/feature_noise/20dB", "video/feature_noise/0dB"
ZERO_THEN_NEGATED = ("20dB", "0dB")


def part(audio=(4, 3), video=(2,), seed=0, per_step=False):
    """Two modalities of two features; lengths repeat in turn."""
    rng = np.random.default_rng(seed)
    streams = {}
    for m, lengths in (("audio", audio), ("video", video)):
        counts = np.resize(lengths, N)
        values = rng.standard_normal((counts.sum(), 2)).astype(np.float32)
        streams[m] = Stream(values, counts.cumsum() - counts, counts.cumsum(), 2)
    labels = [rng.integers(2, size=n) for n in np.resize(audio, N)] if per_step else rng.integers(2, size=N)
    examples = Examples(tuple(f"e{i}" for i in range(N)), labels, ("no", "yes"), streams, "0")
    spec = load("synthetic@1").model_copy(update={"conditions": ("clean",), "inputs": {"audio": "x", "video": "x"}})
    as_it_is = Standardiser(np.zeros(2, np.float32), np.ones(2, np.float32))
    return Part(spec, examples, np.arange(N), {m: as_it_is for m in streams})


class Negating(Presenter):
    """The mild severity changes nothing, the severe one turns the sign of video."""

    def streams(self, modalities, condition):
        found = super().streams(modalities, replace(condition, modality=None))
        if condition.text == NEGATED and "video" in found:
            found = found | {"video": [-x for x in found["video"]]}
        return found


def suite(**changes):
    wanted = {"items": N, "conditions": ("clean",), "drifts": (SWEEP,), "exhibits": 0} | changes
    found = suites()["synthetic@1"]
    return found.model_copy(
        update={
            "sweeps": {SWEEP: ZERO_THEN_NEGATED},
            "attention": found.attention.model_copy(update=wanted),
        }
    )


class Planted:
    """A model whose maps and scores are functions of its input; counts how often it is asked."""

    def __init__(self, maps, scores):
        self.maps, self.scores, self.open, self.calls = maps, scores, None, 0

    @contextmanager
    def recorder(self):
        self.open = []
        try:
            yield self.open
        finally:
            self.open = None

    def __call__(self, inputs, masks):
        self.calls += 1
        if self.open is not None:
            self.open += self.maps(inputs, masks)
        return self.scores(inputs, masks)

    def subject(self, untrained=None, modalities=("audio", "video"), size=5):
        other = untrained or self
        return Subject(self, self.recorder, lambda: other.subject(), modalities, size)


def one_hot(place, rows, like):
    """(B,) places -> (B, 1, rows, width) maps."""
    return torch.eye(like.shape[1])[place][:, None, None].expand(-1, 1, rows, -1)


def by_video(inputs, masks):
    """Video looks at audio 0 if its first value is positive, else at audio 1."""
    place = (inputs["video"][:, 0, 0] <= 0).long()
    return [("video<-audio/0", one_hot(place, inputs["video"].shape[1], inputs["audio"]))]


def by_audio(inputs, masks):
    """Video looks where audio says, whatever video is: a path that carries nothing of video."""
    place = (inputs["audio"][:, 0, 0] <= 0).long()
    return [("video<-audio/0", one_hot(place, inputs["video"].shape[1], inputs["audio"]))]


def video_decides(inputs, masks):
    x = inputs["video"][:, 0, 0] + 0.0 * inputs["audio"].sum((1, 2))
    return torch.stack([-x, x], 1)


def audio_decides(inputs, masks):
    x = inputs["audio"][:, 0, 0]
    return torch.stack([-x, x], 1)


def measured(model, presenter=None, wanted=None, **given):
    found = list(attention.measure(model.subject(**given), presenter or Negating(part()), wanted or suite()))
    names = [(f.condition, f.metric) for f in found]
    assert len(set(names)) == len(names)
    assert all((f.value is None) == bool(f.reason) for f in found)
    return {(f.condition, f.metric): f for f in found}


def values(found, name):
    return [found[condition, name].value for condition in (SAME, NEGATED)]


def test_the_planted_drift_is_found():
    found = measured(Planted(by_video, video_decides))
    assert values(found, "drift/audio") == [0.0, 1.0]  # nothing moves, then everything
    assert found[SWEEP, "drift_area/audio"].value == 0.25
    assert found[NEGATED, "drift/audio/changed"].value == 1.0 and found[NEGATED, "drift/audio/changed"].n == N
    assert found[NEGATED, "drift/audio/unchanged"].reason == "no example keeps its prediction"
    assert found[SAME, "drift/audio/changed"].reason == "no example changes its prediction"
    assert found[SAME, "drift/audio/unchanged"].n == N


def test_drift_without_a_change_of_mind():
    found = measured(Planted(by_video, audio_decides))
    assert found[NEGATED, "drift/audio/unchanged"].value == 1.0


def test_retest_is_exactly_zero():
    found = measured(Planted(by_video, video_decides))
    for name in ("drift/audio/retest", "drift/video/gradient/retest"):
        assert found["clean", name].value == 0.0
    assert "no other stream attends to video" in found["clean", "drift/video/retest"].reason


def test_a_model_that_draws_lots_fails_the_retest():
    def drawn(inputs, masks):
        return [("video<-audio/0", torch.rand(len(inputs["audio"]), 1, 2, inputs["audio"].shape[1]))]

    assert measured(Planted(drawn, video_decides))["clean", "drift/audio/retest"].value > 0.01


def test_the_blind_spot_a_dead_path_does_not_drift():
    """Video decides everything, and no drift tells; the documented limit."""
    found = measured(Planted(by_audio, video_decides))
    assert values(found, "drift/audio") == [0.0, 0.0]
    assert found[NEGATED, "drift/audio/changed"].n == N


def test_controls():
    found = measured(Planted(by_video, video_decides), untrained=Planted(by_audio, video_decides))
    assert values(found, "drift/audio/random") == [0.0, 0.0]
    looks_back = Planted(
        lambda i, m: [("audio<-video/0", one_hot((i["video"][:, 0, 0] <= 0).long(), i["audio"].shape[1], i["video"]))],
        video_decides,
    )
    found = measured(looks_back)
    assert values(found, "drift/video/same") == [0.0, 1.0]
    assert "no other stream attends to audio" in found[SWEEP, "drift/audio"].reason


def test_gradients_drift_where_there_is_no_attention():
    """The gradient of audio 0 is weighted by a sign of video: it moves from one cell to the other."""

    def switched(inputs, masks):
        first = (inputs["video"][:, 0, 0] > 0).float()
        x = (first * inputs["audio"][:, 0, 0] + (1 - first) * inputs["audio"][:, 1, 0]).abs()
        return torch.stack([-x, x], 1)

    found = measured(Planted(lambda i, m: [], switched))
    assert values(found, "drift/audio/gradient") == [0.0, 1.0]
    assert found[SWEEP, "drift_area/audio/gradient"].value == 0.25
    for name in ("drift/audio", "drift/audio/random", "share_drift"):
        assert (NEGATED, name) not in found  # told once
        assert found[SWEEP, name].reason == "the model computes no attention map"
    for name in ("attention_entropy", "attention_cells", "attention_sparsity", "attention_share/audio"):
        assert found["clean", name].reason == "the model computes no attention map"


def test_a_modality_that_is_not_used_has_no_gradient_saliency():
    found = measured(Planted(lambda i, m: [], video_decides))
    assert "nothing of the modality is used" in found[SWEEP, "drift/audio/gradient"].reason


def gathered(audio_share):
    """A global query divides its weight between the streams, evenly inside each; real steps only."""

    def recorded(inputs, masks):
        rows = []
        share = audio_share(inputs) if callable(audio_share) else torch.full((len(inputs["audio"]),), audio_share)
        for m, part in (("audio", share), ("video", 1 - share)):
            real = masks[m].float()
            rows.append(part[:, None] * real / real.sum(1, keepdim=True))
        return [("global<-audio+video/0", torch.cat(rows, 1)[:, None, None])]

    return recorded


def test_a_planted_share_is_found():
    found = measured(Planted(gathered(0.7), video_decides))
    assert found["clean", "attention_share/audio"].value == pytest.approx(0.7, abs=1e-6)
    assert found["clean", "attention_share/video"].value == pytest.approx(0.3, abs=1e-6)
    assert found[NEGATED, "share_drift"].value == 0.0
    # every clip's own columns: 4 or 3 steps of audio, 2 of video
    wanted = [-(0.7 * np.log(0.7 / n) + 0.3 * np.log(0.15)) for n in (4, 3)]
    share = np.mean([h / np.log(n + 2) for h, n in zip(wanted, (4, 3), strict=True)])
    assert found["clean", "attention_entropy/global<-audio+video"].value == pytest.approx(share, abs=1e-6)
    assert found["clean", "attention_cells/global<-audio+video"].value == pytest.approx(np.exp(wanted).mean(), abs=1e-5)
    assert found["clean", "attention_sparsity/global<-audio+video"].value == 0.0


def test_metrics_that_count_padding_are_caught(monkeypatch):
    monkeypatch.setattr(maps.Cells, "real_of", lambda self, side, width: np.ones((self.count, width), bool))
    with pytest.raises(AssertionError):
        test_a_planted_share_is_found()


def test_labels_in_the_wrong_order_are_caught(monkeypatch):
    read = maps.Label.read.__func__

    def shuffled(cls, text, modalities):
        label = read(cls, text, modalities)
        return replace(label, key=label.key[::-1])

    monkeypatch.setattr(maps.Label, "read", classmethod(shuffled))
    with pytest.raises(AssertionError):
        test_a_planted_share_is_found()


def test_a_planted_share_drift_is_found():
    of_video = gathered(lambda inputs: torch.where(inputs["video"][:, 0, 0] > 0, 0.9, 0.5))
    found = measured(Planted(of_video, video_decides))
    assert values(found, "share_drift") == [0.0, pytest.approx(0.4, abs=1e-6)]


def test_the_wiring_is_no_share():
    found = measured(Planted(by_video, video_decides))
    assert "the wiring alone" in found["clean", "attention_share/audio"].reason
    assert "the wiring alone" in found[SWEEP, "share_drift"].reason


def test_one_step_has_no_drift():
    one = Planted(lambda i, m: [("video<-audio/0", torch.ones(len(i["audio"]), 1, 1, 1))], video_decides)
    found = measured(one, Negating(part(audio=(1,), video=(1,))))
    assert "one step" in found[SWEEP, "drift/audio"].reason
    assert "one step" in found[SWEEP, "drift_area/audio"].reason
    assert "one key" in found["clean", "attention_entropy/video<-audio"].reason
    assert found["clean", "attention_cells/video<-audio"].value == 1.0


def test_one_modality_has_no_drift():
    alone = Planted(
        lambda i, m: [("audio<-audio/0", torch.full((len(i["audio"]), 1, 4, 4), 0.25))],
        lambda i, m: i["audio"].sum(1),
    )
    found = measured(alone, Negating(part(audio=(4,))), modalities=("audio",))
    assert "audio alone" in found[SWEEP, "drift/audio"].reason
    assert "one modality" in found["clean", "attention_share/audio"].reason
    assert found["clean", "attention_entropy/audio<-audio"].value == pytest.approx(1.0)


def test_a_sweep_of_a_modality_that_the_model_does_not_take():
    wanted = suite(drifts=("text/feature_noise",))
    wanted = wanted.model_copy(update={"sweeps": {"text/feature_noise": ("0dB",)}})
    found = measured(Planted(by_video, video_decides), wanted=wanted)
    assert found["text/feature_noise", "drift/audio"].reason == "the model does not take text"


def test_a_condition_that_cannot_be_shown_gives_its_reason():
    wanted = suite(conditions=("clean", "audio/white_noise/0dB"))
    found = measured(Planted(by_video, video_decides), Presenter(part()), wanted)
    for name in ("attention_entropy", "attention_share"):
        assert "defined for waveform" in found["audio/white_noise/0dB", name].reason


def test_every_step_predicted():
    steps = Planted(
        lambda i, m: [("video<-audio/0", torch.ones(len(i["audio"]), 1, *[i["audio"].shape[1]] * 2) / 3)],
        lambda i, m: i["video"] + 0 * i["audio"],
    )
    found = measured(steps, Negating(part(audio=(3,), video=(3,), per_step=True)))
    assert values(found, "drift/audio") == [0.0, 0.0]
    assert found[NEGATED, "drift/audio/changed"].n == N
    # the score of step 1 rests on video's step 1 alone
    assert found[SWEEP, "drift/video/same"].reason


def test_the_same_numbers_for_any_size_of_a_batch():
    whole, parted = (measured(Planted(by_video, video_decides), size=size) for size in (N, 5))
    assert {k: f.value for k, f in whole.items()} == {k: f.value for k, f in parted.items()}


def test_batched_not_looped():
    model = Planted(by_video, video_decides)
    measured(model, size=N)
    # one batch each: the condition, clean twice, two severities; as much for random weights; two probes each
    assert model.calls <= 2 * (1 + 2 + 2 + 4)
