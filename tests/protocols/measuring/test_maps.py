"""Labels and cells by hand: how the maps of each kind of method enter the rollout."""

import numpy as np
import pytest

from protocols.measuring.maps import Cells, Flow, Label, Tokens, received, rolled
from protocols.metrics import Undefined

MODALITIES = ("audio", "video")
NONE = Tokens({"audio": 0, "video": 0}, 0)


def cells(audio=(3,), video=(2,), tokens=NONE):
    lengths = {"audio": np.array(audio), "video": np.array(video)}
    return Cells({m: np.arange(n.max()) < n[:, None] for m, n in lengths.items()}, tokens)


def maps(*told):
    """(label, rows) -> what a recorder gives for one example, heads averaged."""
    return [(Label.read(label, MODALITIES), np.array(rows, float)[None]) for label, rows in told]


def even(label, rows, keys):
    return label, np.full((rows, keys), 1 / keys)


def sums(found):
    return {m: v.sum(1).round(12).tolist() for m, v in found.items()}


def test_labels():
    label = Label.read("audio+bottleneck<-video+audio/3:modalities", MODALITIES)
    assert (label.query, label.key, label.layer) == (("audio", "bottleneck"), ("video", "audio"), "3")
    assert label.name == "audio+bottleneck<-video+audio:modalities"
    named = Label.read("audio+video pooling<-audio memory/0", MODALITIES)
    assert (named.query, named.key, named.name) == (
        ("audio+video pooling",),
        ("audio memory",),
        "audio+video pooling<-audio memory",
    )


def test_two_streams_read_each_other_at_once():
    """Both read what was there before: video does not find itself in what audio has just read."""
    found, fixed = rolled(cells(), maps(("audio<-video/0", [[1, 0]] * 3), even("video<-audio/0", 2, 3)), False)
    # audio: half itself, half video 0; video: half itself, half audio
    np.testing.assert_allclose(found["audio"], [[1 / 6] * 3])
    np.testing.assert_allclose(found["video"], [[0.375, 0.125]])
    assert fixed == "no query divides its weight between streams, so the wiring alone sets the shares"


def test_self_attention_comes_before_the_cross_attention_of_the_same_number():
    found, _ = rolled(
        cells((1,), (2,)),
        maps(("audio<-audio/0", [[1]]), ("video<-video/0", [[1, 0], [1, 0]]), ("audio<-video/0", [[0, 1]])),
        False,
    )
    # video 1 holds [1/2, 1/2] after its own layer; audio is half itself and half that. Video was read: audio decides.
    np.testing.assert_allclose(found["audio"], [[0.5]])
    np.testing.assert_allclose(found["video"], [[0.25, 0.25]])


def test_columns_side_by_side_follow_the_label():
    told = ("global<-video+audio/0", [[0.1, 0.2, 0.3, 0.2, 0.2]])
    found, fixed = rolled(cells(), maps(told), False)
    np.testing.assert_allclose(found["video"], [[0.1, 0.2]])
    np.testing.assert_allclose(found["audio"], [[0.3, 0.2, 0.2]])
    assert fixed is None
    swapped, _ = rolled(cells(), maps(("global<-audio+video/0", told[1])), False)  # the label tells the order
    assert sums(swapped) != sums(found)


def test_a_stream_joined_at_every_step_has_no_shares():
    with pytest.raises(Undefined, match=r"audio\+video are joined at every step"):
        rolled(cells(), maps(even("audio+video<-audio+video/0", 3, 3)), False)
    with pytest.raises(Undefined, match="joined at every step"):
        received(cells(), maps(even("audio+video<-audio+video/0", 3, 3)), "audio")


def test_class_tokens_bring_nothing_and_are_what_is_read():
    tokens = Tokens({"audio": 1, "video": 1}, 0)
    found, fixed = rolled(
        cells(tokens=tokens),
        maps(("audio<-audio/0", [[0.4, 0.3, 0.2, 0.1]]), ("video<-video/0", [[0.5, 0.5, 0]])),
        False,
    )
    np.testing.assert_allclose(found["audio"], np.array([[0.3, 0.2, 0.1]]) / 1.1)
    np.testing.assert_allclose(found["video"], np.array([[0.5, 0]]) / 1.1)
    assert fixed == "no map joins the modalities"
    with pytest.raises(Undefined, match="its streams have"):
        rolled(cells(), maps(even("audio<-audio/0", 4, 4)), False)  # a token that nobody explained


def test_the_bottleneck_is_the_mean_of_what_is_written_into_it():
    tokens = Tokens({"audio": 0, "video": 0}, 1)
    to_audio = np.vstack([np.eye(4)[:3], [[1, 0, 0, 0]]])  # the token reads audio 0
    to_video = np.vstack([np.eye(3)[:2], [[0, 1, 0]]])  # and video 1
    last = ("audio<-audio+bottleneck/1", [[0, 0, 0, 1]] * 3)
    told = maps(
        ("audio+bottleneck<-audio+bottleneck/0", to_audio), ("video+bottleneck<-video+bottleneck/0", to_video), last
    )
    flow = Flow(cells(tokens=tokens), told)
    assert len(flow.rounds) == 2 and flow.outlets() == ["audio", "video"]
    found, fixed = rolled(cells(tokens=tokens), told, False)
    # the token holds 1/4 audio 0 and 1/4 video 1 beside what it was; audio is half itself, half the token
    wanted = np.array([1 / 6 + 1 / 8, 1 / 6, 1 / 6, 0.5, 0.5 + 1 / 8])
    wanted /= wanted.sum()
    np.testing.assert_allclose(np.concatenate([found["audio"], found["video"]], 1)[0], wanted)
    assert fixed is None


def test_a_memory_reads_copies_so_that_others_find_the_stream_as_it_was():
    """The wiring of MulT: video reads the audio that came in, not the one that has read video."""
    told = maps(
        ("audio<-video/0", [[1.0]]),
        ("audio<-video/1", [[1.0]]),
        ("audio memory<-audio memory/0", [[1.0]]),
        ("video<-audio/0", [[1.0]]),
        ("video<-audio/1", [[1.0]]),
        ("video memory<-video memory/0", [[1.0]]),
    )
    one = cells((1,), (1,))
    assert Flow(one, told).outlets() == ["audio memory", "video memory"]
    found, _ = rolled(one, told, False)
    assert sums(found) == {"audio": [0.5], "video": [0.5]}
    state = rolled(one, told[:3], False)[0]  # of the audio side alone: 1/4 itself after two layers
    assert sums(state) == {"audio": [0.25], "video": [0.75]}


def test_one_row_of_a_memory_is_the_last_real_step():
    told = [
        (Label.read("audio<-video/0", MODALITIES), np.full((2, 3, 1), 1.0)),
        (Label.read("audio memory<-audio memory/0", MODALITIES), np.array([[[0, 0, 1.0]], [[1, 0, 0.0]]])),
    ]
    found, _ = rolled(cells((3, 2), (1, 1)), told, False)
    np.testing.assert_allclose(found["audio"], [[0, 0, 0.5], [0.25, 0.25, 0]])


def test_modalities_as_columns_read_the_step_of_the_query():
    told = maps(("fused<-audio+video/0:modalities", [[0.9, 0.1], [0.5, 0.5]]), ("fused<-fused/0", [[0, 1], [0, 1]]))
    found, fixed = rolled(cells((2,), (2,)), told, False)
    # fused 0 = half itself and half fused 1
    np.testing.assert_allclose(found["audio"], [[0.9 / 4, 0.75 * 0.5]])
    np.testing.assert_allclose(found["video"], [[0.1 / 4, 0.75 * 0.5]])
    assert fixed is None
    with pytest.raises(Undefined, match="modalities, not steps"):
        received(cells((2,), (2,)), told, "audio")


@pytest.mark.parametrize(
    ("label", "shape", "reason"),
    [
        ("audio<-audio+video/0:features", (4, 8), "mixes features"),
        ("fused<-fused/0", (3, 3), "'fused' is no modality, and no map shows"),
        ("audio<-video map/0", (3, 9), "'video map' is no modality"),
        ("audio<-audio/0", (2, 3), "has 2 cells"),
        ("audio<-video/0", (3, 7), "has 7 cells"),
    ],
)
def test_what_cannot_be_laid_out_says_why(label, shape, reason):
    with pytest.raises(Undefined, match=reason):
        rolled(cells(), maps(even(label, *shape)), False)


def test_without_a_map():
    for function in (lambda: rolled(cells(), [], False), lambda: received(cells(), [], "audio")):
        with pytest.raises(Undefined, match="no attention map"):
            function()


def test_the_predicted_step_is_the_one_that_is_read():
    told = maps(("audio<-audio/0", [[1, 0, 0], [0, 0, 1], [1, 0, 0]]))
    found, _ = rolled(cells((3,), (3,)), told, True)
    np.testing.assert_allclose(found["audio"], [[0, 0.25, 0.25]])  # step 1 of 3
    np.testing.assert_allclose(found["video"], [[0, 0.5, 0]])


def test_received_counts_real_queries_of_other_streams_only():
    both = cells((3, 1), (2, 2))
    rows = np.array([[[0.1, 0.9], [0.3, 0.7], [0.5, 0.5]], [[0.1, 0.9], [0.0, 1.0], [0.0, 1.0]]])
    own = np.array([[[1.0, 0], [1, 0]], [[1, 0], [1, 0]]])
    told = [(Label.read("video<-video/0", MODALITIES), own), (Label.read("audio<-video/0", MODALITIES), rows)]
    np.testing.assert_allclose(received(both, told, "video"), [[0.3, 0.7], [0.1, 0.9]])
    with pytest.raises(Undefined, match="no other stream attends to audio"):
        received(both, told, "audio")


def test_received_through_a_joined_sequence():
    """Rows of audio count for video's cells, rows of video do not."""
    rows = np.array([[0.2, 0.2, 0.2, 0.4, 0.0]] * 3 + [[0, 0, 0, 0, 1.0]] * 2)
    told = maps(("audio+video<-audio+video/0", rows))
    np.testing.assert_allclose(received(cells(), told, "video"), [[0.4, 0]])
    np.testing.assert_allclose(received(cells(), told, "audio"), [[0, 0, 0]])
