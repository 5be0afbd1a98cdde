"""The committed splits hold what their README files say."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import cmu_mosi_utterance as mosi
from protocols.datasets import dataset, synthetic
from protocols.datasets import ravdess_vectors as ravdess
from protocols.split import SPLITS, read_split


def rows(name: str) -> list[tuple[str, str]]:
    """(id, part or fold) of every row."""
    with open(SPLITS / name, newline="", encoding="utf-8") as stream:
        return [tuple(row) for row in csv.reader(stream)][1:]


def data_root(module) -> Path:
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not root or not (Path(root) / module.CARD.folder).is_dir():
        pytest.skip(f"FUSEBOARD_DATA_ROOT with {module.CARD.folder} is not set: the ids are not at hand.")
    return Path(root)


@pytest.mark.parametrize(
    "name", ["synthetic/default", "cmu_mosi_utterance/bclstm", "ravdess/actors", "ravdess/fixed-actors"]
)
def test_every_id_stands_once_and_the_folder_says_how_the_split_was_made(name):
    ids = [row[0] for row in rows(f"{name}.csv")]
    assert len(ids) == len(set(ids)) and ids == sorted(ids)
    assert f"{Path(name).name}.csv" in (SPLITS / name).with_name("README.md").read_text()


def test_synthetic_parts():
    assert Counter(part for _, part in rows("synthetic/default.csv")) == {"train": 1200, "validation": 300, "test": 600}
    inputs = dict.fromkeys(synthetic.SHAPES, "features")
    ids = synthetic.load(Path("."), Path("."), "bits", inputs, lambda items, _: items).ids
    parts = read_split(SPLITS / "synthetic/default.csv", ids, folds=None, fold=None)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(synthetic.EXAMPLES))


def test_mosi_counts():
    parts = Counter(part for _, part in rows("cmu_mosi_utterance/bclstm.csv"))
    assert parts == {"train": 49, "validation": 13, "test": 31}


def test_mosi_is_the_bclstm_split_and_validation_comes_out_of_its_training_videos():
    utterances = mosi.read_utterances(data_root(mosi))
    positive: dict[str, list[int]] = {}
    published = {}
    for name, label, part in zip(utterances.ids, utterances.labels, utterances.parts, strict=True):
        video = name.rpartition("_")[0]
        assert published.setdefault(video, part) == part  # no video in both
        positive.setdefault(video, []).append(int(label))
    ours = dict(rows("cmu_mosi_utterance/bclstm.csv"))
    assert ours.keys() == published.keys()
    assert {video for video, part in ours.items() if part == "test"} == {v for v, p in published.items() if p == "test"}
    train = sorted((v for v, p in published.items() if p == "train"), key=lambda v: (np.mean(positive[v]), v))
    assert {video for video, part in ours.items() if part == "validation"} == set(train[1::5])


def test_mosi_validation_has_the_positive_rate_of_training():
    utterances = mosi.read_utterances(data_root(mosi))
    ours = dict(rows("cmu_mosi_utterance/bclstm.csv"))
    labels: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for name, label in zip(utterances.ids, utterances.labels, strict=True):
        labels[ours[name.rpartition("_")[0]]].append(int(label))
    assert {part: len(own) for part, own in labels.items()} == {"train": 1117, "validation": 330, "test": 752}
    assert abs(np.mean(labels["train"]) - np.mean(labels["validation"])) < 0.01
    assert np.mean(labels["test"]) == pytest.approx(0.621, abs=5e-4)


def test_ravdess_folds_are_balanced():
    folds = rows("ravdess/actors.csv")
    assert Counter(fold for _, fold in folds) == {str(k): 240 for k in range(1, 7)}
    speakers = {fold: {ravdess.speaker(name) for name, own in folds if own == fold} for fold in "123456"}
    for own in speakers.values():
        assert sorted(gender for _, gender in own) == ["female", "female", "male", "male"]
    assert len(set.union(*speakers.values())) == 24  # four in each of six folds: no actor in two
    for fold in speakers:
        emotions = Counter(ravdess.NAME.fullmatch(name)[1] for name, own in folds if own == fold)
        assert emotions == {"01": 16, **{f"0{k}": 32 for k in range(2, 9)}}


@pytest.mark.parametrize("fold", range(1, 7))
def test_ravdess_actors_never_cross_parts(fold):
    ids = tuple(name for name, _ in rows("ravdess/actors.csv"))
    parts = read_split(SPLITS / "ravdess/actors.csv", ids, folds=6, fold=fold)
    actors = {part: {ravdess.speaker(ids[at])[0] for at in own} for part, own in parts.items()}
    assert {part: len(own) for part, own in actors.items()} == {"train": 16, "validation": 4, "test": 4}
    assert len(set.union(*actors.values())) == 24


@pytest.mark.parametrize(
    ("name", "split", "target", "folds"),
    [
        ("cmu_mosi_utterance", "cmu_mosi_utterance/bclstm.csv", "sentiment", None),
        ("ravdess_vectors", "ravdess/actors.csv", "emotion", 6),
    ],
)
def test_every_real_id_is_placed(name, split, target, folds):
    module = dataset(name)
    root = data_root(module)
    inputs = {modality: names[0] for modality, names in module.CARD.inputs.items()}
    ids = module.load(root, root, target, inputs, lambda items, _: items).ids
    parts = read_split(SPLITS / split, ids, folds=folds, fold=folds and 1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(ids)))
