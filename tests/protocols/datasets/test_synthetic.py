"""The planted information is there, is as much as the enumeration says, and is nowhere else."""

from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import synthetic
from protocols.examples import DataError

FLIP = synthetic.FLIP
INPUTS = dict.fromkeys(synthetic.SHAPES, "features")
SUBSETS = list(chain.from_iterable(combinations(synthetic.SHAPES, size) for size in range(4)))
# Column of each bit among the directions of its modality.
CARRIED = {
    "audio": {"redundant": 0, "half": 1},
    "video": {"redundant": 0, "other half": 1},
    "text": {"redundant": 0, "unique": 1},
}


def load(inputs=INPUTS, target="bits"):
    return synthetic.load(Path("nowhere"), Path("nowhere"), target, inputs, lambda items, description: items)


def read_bits(stream, modality: str) -> np.ndarray:
    """(N, D) bits along every direction: the sign of the sum over the steps."""
    along = stream.values @ synthetic.directions(modality)
    return np.add.reduceat(along, stream.starts) > 0


def oracle(examples, modalities) -> np.ndarray:
    """(N,) label of the decoder that knows the directions; a bit that cannot be known is guessed as 0."""
    bits = {m: read_bits(examples.streams[m], m) for m in modalities}
    votes = [b[:, 0].astype(int) for b in bits.values()]
    # With two voters that disagree either guess is as good.
    redundant = np.sum(votes, axis=0) * 2 > len(votes)
    nothing = np.zeros(len(examples.ids), bool)
    unique = bits["text"][:, 1] if "text" in bits else nothing
    synergistic = bits["audio"][:, 1] ^ bits["video"][:, 1] if {"audio", "video"} <= set(bits) else nothing
    return 4 * redundant + 2 * unique + synergistic


@pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
def test_bayes_accuracy_has_its_closed_form(modalities):
    right = 1 - FLIP
    redundant = {0: 0.5, 1: right, 2: right, 3: right**3 + 3 * right**2 * FLIP}[len(modalities)]
    unique = right if "text" in modalities else 0.5
    synergistic = right**2 + FLIP**2 if {"audio", "video"} <= set(modalities) else 0.5
    assert synthetic.bayes_accuracy(modalities) == pytest.approx(redundant * unique * synergistic, abs=1e-12)


@pytest.mark.parametrize("modalities", SUBSETS[1:], ids="+".join)
def test_the_oracle_reaches_the_bayes_accuracy_and_no_more(modalities):
    examples = load()
    test = slice(1500, None)
    accuracy = (oracle(examples, modalities) == examples.labels)[test].mean()
    best = synthetic.bayes_accuracy(modalities)
    # 99.9 % binomial interval over 600 examples
    assert abs(accuracy - best) < 3.3 * np.sqrt(best * (1 - best) / 600)


def test_reading_a_written_bit_is_practically_exact():
    examples = synthetic.generate(20000, seed=1, flip=0.0)
    assert (oracle(examples, tuple(synthetic.SHAPES)) != examples.labels).mean() < 2e-4


def test_one_of_the_pair_says_nothing_about_the_synergistic_bit():
    examples = synthetic.generate(20000, seed=2, flip=0.0)
    synergistic = examples.labels & 1
    for modality in ("audio", "video"):
        half = read_bits(examples.streams[modality], modality)[:, 1]
        assert abs((half == synergistic).mean() - 0.5) < 3.3 * 0.5 / np.sqrt(20000)


@pytest.mark.parametrize(
    ("planted", "classes", "single", "best"),
    [
        ({"unique": None, "synergistic": None}, 2, 0.95, 0.95**3 + 3 * 0.95**2 * 0.05),
        ({"redundant": None, "synergistic": None, "unique": "video"}, 2, 0.5, 0.95),
        ({"redundant": None, "unique": None, "synergistic": ("text", "audio")}, 2, 0.5, 0.905),
        ({"redundant": ("audio", "video"), "unique": None}, 4, 0.95 / 2, 0.95 * 0.905),
    ],
)
def test_other_shares_can_be_planted(planted, classes, single, best):
    examples = synthetic.generate(64, seed=3, **planted)
    assert len(examples.classes) == classes == len(np.unique(examples.labels))
    assert synthetic.bayes_accuracy(("audio",), **planted) == pytest.approx(single)
    assert synthetic.bayes_accuracy(synthetic.SHAPES, **planted) == pytest.approx(best)


def test_classes_are_balanced_overall_and_present_in_every_part():
    labels = load().labels
    assert np.ptp(np.bincount(labels)) == 1
    for part in (labels[:1200], labels[1200:1500], labels[1500:]):
        spread = 3.3 * np.sqrt(len(part) * 1 / 8 * 7 / 8)
        assert np.abs(np.bincount(part, minlength=8) - len(part) / 8).max() < spread


def test_sequences_are_of_unequal_length():
    for modality, stream in load().streams.items():
        (shortest, longest), width = synthetic.SHAPES[modality]
        lengths = stream.stops - stream.starts
        assert set(lengths) == set(range(shortest, longest + 1))
        assert stream.values.shape == (lengths.sum(), width) and stream.values.dtype == np.float32


def test_the_same_numbers_every_time():
    first = load()
    assert first.fingerprint == load().fingerprint
    # Whoever changes this changes every number on the synthetic protocol: raise its version.
    assert first.fingerprint == "2d8bf7743dd0aa6f941846a769f12f5e4d256ab0a9b1c19170e1d2ced16398d0"
    assert synthetic.generate(64, seed=4).fingerprint != synthetic.generate(64, seed=5).fingerprint


def test_a_stream_does_not_depend_on_which_others_are_asked_for():
    everything, alone = load(), load({"video": "features"})
    assert list(alone.streams) == ["video"]
    np.testing.assert_array_equal(alone.streams["video"].values, everything.streams["video"].values)
    np.testing.assert_array_equal(alone.labels, everything.labels)


def test_nothing_can_be_missing():
    assert synthetic.check(Path("nowhere")) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load(target="bit"), "no target 'bit'. Did you mean 'bits'? Accepted: bits"),
        (
            lambda: load({"vidoe": "features"}),
            "no modality 'vidoe'. Did you mean 'video'? Accepted: audio, video, text",
        ),
        (lambda: load({"audio": "logmel"}), "no audio input 'logmel'. Accepted: features"),
        (lambda: load({}), "no modality asked for. Accepted: audio, video, text"),
        (lambda: synthetic.generate(8, seed=0, unique="smell"), "no modality 'smell' for the unique bit"),
        (lambda: synthetic.generate(8, seed=0, synergistic=("text", "text")), "two different modalities"),
        (lambda: synthetic.generate(8, seed=0, redundant=None, unique=None, synergistic=None), "no bit is planted"),
        (lambda: synthetic.bayes_accuracy(["sound"]), "no modality 'sound'. Accepted: audio"),
    ],
)
def test_a_wrong_request_says_what_is_accepted(call, said):
    with pytest.raises(DataError) as error:
        call()
    assert said in str(error.value)
