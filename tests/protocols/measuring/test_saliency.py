"""How the attention of real methods is read, with random weights and clips of unequal lengths."""

import numpy as np
import pytest
import torch

import zoo
from protocols.measuring import Subject
from protocols.measuring.maps import middle
from protocols.measuring.saliency import Observer, learned_tokens, spread, take
from zoo.layers import record_attention
from zoo.spec import entries

FEATURES = {"audio": 6, "video": 5}
WIRED = "no query divides its weight between streams, so the wiring alone sets the shares"
# method -> why it has no share, or None where it has one; of what received saliency there is
READ = {
    "late_fusion": ("no map joins the modalities", ()),
    "early_fusion": ("audio+video are joined at every step: a map over the steps does not tell them apart", ()),
    "joint_self_attention": (None, ("audio", "video")),
    "cross_attention": (WIRED, ("audio", "video")),
    "co_attention": (WIRED, ("audio", "video")),
    "mult-paper": (WIRED, ("audio", "video")),
    "bottleneck_transformer": (None, ("audio", "video")),
    "mbt-small": (None, ("audio", "video")),
    "mbt-small-full": (None, ("audio", "video")),
    "mbt-small-late": ("no map joins the modalities", ()),
    "halnet": (None, ("audio", "video")),
    "hierarchical_cross_modal_attention": (None, ("audio", "video")),
    "rja-length-free": ("video<-video+audio mixes features, not steps", ()),
    "bilstm": ("the model computes no attention map", ()),
}
TOKENS = {
    "mbt-small": (1, 5),
    "mbt-small-full": (1, 0),
    "bottleneck_transformer": (0, 4),
    "joint_self_attention": (0, 0),
}


def built(name, features=FEATURES, outputs=3, per_step=False):
    torch.manual_seed(0)
    entry = entries()[name]
    return zoo.build(entry.method, features=features, outputs=outputs, per_step=per_step, **entry.settings).eval()


def subject(model, size=3, modalities=("audio", "video")):
    return Subject(lambda inputs, masks: model(inputs, masks), record_attention, None, modalities, size)


def streams(audio=(9, 7, 8, 5, 9), video=(4, 4, 2, 3, 5), features=FEATURES):
    rng = np.random.default_rng(0)
    lengths = {"audio": audio, "video": video, "text": audio}
    return {m: [rng.standard_normal((n, d)).astype(np.float32) for n in lengths[m]] for m, d in features.items()}


@pytest.mark.parametrize("name", READ)
def test_every_kind_of_method_is_read(name):
    given, (no_share, watched) = streams(), READ[name]
    seen = Observer(subject(built(name))).see(given, describe=True)
    assert (seen.share if isinstance(seen.share, str) else None) == no_share
    assert tuple(m for m, x in seen.received.items() if not isinstance(x, str)) == watched
    if not isinstance(seen.rollout, str):
        np.testing.assert_allclose(sum(x.sum(1) for x in seen.rollout.values()), 1, atol=1e-12)
        for m, x in seen.rollout.items():
            for row, sequence in zip(x, given[m], strict=True):
                assert (row[len(sequence) :] == 0).all()
    for m, x in seen.gradient.items():
        for row, sequence in zip(x, given[m], strict=True):
            assert (row[len(sequence) :] == 0).all()
    for kept in seen.described.values():
        for values in kept.values():
            assert isinstance(values, str) or np.isfinite(values).all()


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_that_are_no_steps_are_found(name):
    tokens = learned_tokens(subject(built(name)), streams())
    assert (tokens.classes["audio"], tokens.classes["video"], tokens.bottleneck) == (
        *[TOKENS[name][0]] * 2,
        TOKENS[name][1],
    )


@pytest.mark.parametrize("name", ["mbt-small", "mult-paper", "joint_self_attention", "halnet"])
def test_padding_changes_nothing(name):
    observer, given = Observer(subject(built(name))), streams()
    together = observer.see(given, describe=True)
    alone = observer.see(take(given, [3]), describe=True)  # the shortest
    for m in FEATURES:
        steps = len(given[m][3])
        for kind in ("rollout", "received", "gradient"):
            ours, own = getattr(together, kind)[m][3, :steps], getattr(alone, kind)[m][0]
            np.testing.assert_allclose(ours, own, rtol=1e-4, atol=1e-6)
    for label, kept in alone.described.items():
        for metric, values in kept.items():
            assert together.described[label][metric][3] == pytest.approx(values[0], abs=1e-5), (label, metric)


@pytest.mark.parametrize("name", ["mmuu_sa", "catf_lstm-small", "mult-paper", "mbt-small", "cross_attention", "mfn"])
def test_steps_that_are_predicted(name):
    features = {"audio": 4, "video": 5, "text": 6}
    model = built(name, features, 2, per_step=True)
    seen = Observer(subject(model, modalities=tuple(features))).see(streams(video=(9, 7, 8, 5, 9), features=features))
    assert seen.probabilities.shape == (5, 2)
    np.testing.assert_allclose(sum(x.sum(1) for x in seen.rollout.values()), 1, atol=1e-12)


def test_a_stream_of_unknown_origin_has_no_rollout():
    features = {"audio": 4, "video": 5, "text": 6}
    model = built("catf_lstm-code", features, 2, per_step=True)
    seen = Observer(subject(model, modalities=tuple(features))).see(streams(video=(9, 7, 8, 5, 9), features=features))
    assert seen.rollout == seen.share == "'fused' is no modality, and no map shows what it is made of"


def test_the_edges_of_a_graph_are_described_and_lead_to_no_steps():
    features = {"audio": 4, "video": 5, "text": 6}
    graph = subject(built("graph_mfn", features, 2, per_step=True), modalities=tuple(features))
    seen = Observer(graph).see(streams(video=(9, 7, 8, 5, 9), features=features), describe=True)
    assert seen.rollout == seen.share == "'vertices' is no modality, and no map shows what it is made of"
    ((name, kept),) = seen.described.items()
    assert name == "graph<-vertices:edges"
    assert ((kept["attention_cells"] > 1) & (kept["attention_cells"] <= 19)).all()


def test_three_modalities_divide_keys_that_stand_side_by_side():
    features = {"audio": 4, "video": 5, "text": 6}
    seen = Observer(subject(built("cross_attention", features), modalities=tuple(features))).see(
        streams(features=features)
    )
    assert seen.share.shape == (5, 3) and np.ptp(seen.share[:, 0]) > 0


def test_scores_are_those_of_the_model_without_a_recorder():
    model, given = built("mbt-small"), streams()
    sub = subject(model)
    np.testing.assert_allclose(
        Observer(sub).see(given).probabilities, torch.from_numpy(sub.scores(given)).softmax(-1), atol=1e-6
    )


def test_places():
    assert spread(250, 5) == [0, 62, 124, 187, 249]
    assert spread(3, 64) == [0, 1, 2]
    assert [middle(n) for n in (1, 2, 3, 4)] == [0, 1, 1, 2]
