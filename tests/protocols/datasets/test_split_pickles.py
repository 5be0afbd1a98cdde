"""Pickles with the keys, types and counts of the MulT and MMSA files, tiny in their steps."""

import pickle

import numpy as np
import pytest

from protocols.datasets import dataset
from protocols.datasets.split_pickles import FIELDS, without_padding
from protocols.examples import DataError

STEPS = {True: (4, 4, 4), False: (3, 6, 5)}  # aligned or not -> text, audio, video


def part_of(data, name, rng):
    """One part: zeros on the left, as MulT's files have them, or on the right for MMSA."""
    count, mmsa = data.counts.get(name, 3), "mmsa" in data.CARD.folder
    told, lengths = {}, {}
    for (modality, field), steps in zip(FIELDS.items(), STEPS[data.CARD.aligned], strict=True):
        x = rng.standard_normal((count, steps, data.widths[modality])).astype(np.float64)
        lengths[modality] = lengths["text"] if data.CARD.aligned and lengths else rng.integers(1, steps + 1, count)
        stands = np.arange(steps) >= steps - lengths[modality][:, None]
        told[field] = x * (stands[:, ::-1] if mmsa else stands)[..., None]
    told["audio"][0, 0 if mmsa else -1, 1] = -np.inf
    told["id"] = np.array([[f"v{row}", "0.5", "1.5"] for row in range(count)], dtype=object)
    if mmsa:
        steps = told["text"].shape[1]
        told["text"] = rng.standard_normal(told["text"].shape)  # BERT says something of padding, too
        mask = np.arange(steps) < lengths["text"][:, None]
        told["text_bert"] = np.stack([mask * 7.0, mask, mask * 0], 1)
        told["regression_labels"] = rng.uniform(-3, 3, count)
        told["raw_text"] = np.array(["some words"] * count)
        if not data.CARD.aligned:
            told |= {"audio_lengths": lengths["audio"].tolist(), "vision_lengths": lengths["video"].tolist()}
    elif data.task == "multilabel":
        present = rng.integers(0, 2, (count, 4))
        told["labels"] = np.stack([1 - present, present], -1)
    else:
        told["labels"] = np.round(rng.uniform(-3, 3, (count, 1, 1)), 1)
    return told, lengths


def write(root, name, change=lambda content: None):
    """The file of a data set, and its content."""
    data, rng = dataset(name), np.random.default_rng(0)
    made = {part: part_of(data, part, rng) for part in ("train", "valid", "test")}
    content = {part: told for part, (told, _) in made.items()}
    change(content)
    path = root / data.CARD.folder / data.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return content, {part: lengths for part, (_, lengths) in made.items()}


def load(name, root, cache):
    data = dataset(name)
    inputs = {modality: names[0] for modality, names in data.CARD.inputs.items()}
    return data.load(root, cache, data.CARD.targets[0], inputs, lambda items, _: items)


@pytest.mark.parametrize("name", ("mult_mosi", "mult_mosi_unaligned", "mmsa_mosi", "mmsa_mosi_unaligned"))
def test_sentiment_comes_without_padding_and_with_its_split(tmp_path, name):
    content, lengths = write(tmp_path, name)
    data, examples = dataset(name), load(name, tmp_path, tmp_path / "cache")
    assert data.check(tmp_path) == []
    assert (examples.task, examples.classes, examples.aligned) == ("regression", ("sentiment",), data.CARD.aligned)
    assert examples.labels.shape == (2199, 1) and examples.labels.dtype == np.float32
    key = "regression_labels" if name.startswith("mmsa") else "labels"
    expected = np.concatenate([content[part][key].ravel() for part in content]).astype(np.float32)
    assert np.array_equal(examples.labels[:, 0], expected)
    row = examples.ids.index("valid/00007")
    for modality, field in FIELDS.items():
        whole, count = content["valid"][field][7], lengths["valid"][modality][7]
        real = whole[:count] if name.startswith("mmsa") else whole[-count:]
        assert np.array_equal(examples.streams[modality].raw(row), real.astype(np.float32))
    first = examples.streams["audio"].raw(0)
    assert first[0 if name.startswith("mmsa") else -1, 1] == 0 and np.isfinite(first).all()
    split = data.split(tmp_path, "official", examples.ids)
    assert [list(split.values()).count(part) for part in ("train", "validation", "test")] == [1284, 229, 686]
    again = load(name, tmp_path, tmp_path / "cache")
    assert again.fingerprint == examples.fingerprint and isinstance(again.streams["text"].values, np.memmap)


def test_four_emotions_are_present_or_absent_each_by_itself(tmp_path):
    content, _ = write(tmp_path, "mult_iemocap")
    examples = load("mult_iemocap", tmp_path, tmp_path / "cache")
    assert (examples.task, examples.classes) == ("multilabel", ("neutral", "happy", "sad", "angry"))
    assert np.array_equal(examples.labels[:2717], content["train"]["labels"].argmax(-1))


def set_to(part, field, index, value):
    def change(content):
        content[part][field][index] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    (
        (
            "mult_mosi",
            lambda c: c["test"].update(text=c["test"]["text"][:-1]),
            r"test: text is \(685, 4, 300\)",
        ),
        (
            "mult_mosi",
            lambda c: c["test"].update(audio=c["test"]["audio"][..., :4]),
            r"\(686, 4, 4\); .* 5 col",
        ),
        ("mult_mosi", set_to("train", "text", (3, -1, 0), np.nan), "train, text: 1 values are not finite"),
        ("mult_mosi", set_to("train", "vision", (3, -1, 0), -np.inf), "train, vision: 1 values are not finite"),
        ("mult_mosi", set_to("valid", "labels", (5, 0, 0), 3.5), "label 3.5 of example 5; wanted a sentiment"),
        ("mult_mosi", lambda c: c["valid"].update(labels=None), "labels are object .*; wanted one number"),
        ("mult_mosi", lambda c: c.pop("valid"), "no part 'valid'; wanted a dict of train, valid, test"),
        ("mult_mosi", lambda c: c["train"].pop("vision"), "vision is NoneType; wanted numbers"),
        ("mult_mosei", lambda c: None, "9 examples in all; wanted 22856 or 22777"),
        ("mult_iemocap", set_to("test", "labels", (3, 1), 1), "test: 1 labels are as absent as they are present"),
        ("mmsa_mosi", lambda c: c["train"].pop("text_bert"), "text_bert is NoneType; wanted"),
        ("mmsa_mosi_unaligned", set_to("test", "audio_lengths", 0, 99), "audio_lengths is .*, up to 99"),
    ),
)
def test_what_is_not_as_the_card_says_is_refused(tmp_path, name, change, said):
    write(tmp_path, name, change)
    [sentence] = dataset(name).check(tmp_path)
    with pytest.raises(DataError, match=said) as caught:
        load(name, tmp_path, tmp_path / "cache")
    assert str(caught.value) == sentence and dataset(name).file in sentence


def test_unaligned_sequences_in_the_aligned_file_are_refused(tmp_path):
    def longer(content):
        for part in content.values():
            part["audio"] = np.repeat(part["audio"], 2, 1)

    write(tmp_path, "mult_mosi", longer)
    assert "these are not aligned" in dataset("mult_mosi").check(tmp_path)[0]


def test_without_the_file_it_says_where_to_get_it_and_where_to_put_it(tmp_path):
    for name in ("mult_mosi", "mult_mosei_unaligned", "mult_iemocap", "mmsa_mosi", "mmsa_mosei_unaligned"):
        [sentence] = dataset(name).check(tmp_path)
        assert str(tmp_path / dataset(name).CARD.folder) in sentence
        assert "The links are in https://github.com/" in sentence and dataset(name).file in sentence
        with pytest.raises(DataError, match="does not exist"):
            load(name, tmp_path, tmp_path / "cache")


def test_the_rows_between_the_zeros():
    real = np.array([[0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=bool)
    starts, stops = without_padding(real)
    assert list(zip(starts.tolist(), stops.tolist(), strict=True)) == [(1, 4), (0, 5), (4, 5), (4, 5)]


def test_another_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="no split 'random'. Accepted: official"):
        dataset("mult_mosi").split(tmp_path, "random", ())
