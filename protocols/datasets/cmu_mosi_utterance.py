"""CMU-MOSI as the utterance features of the bc-LSTM paper: a video is a sequence of labelled utterances.

Source: Zadeh et al. 2016 (the recordings and their sentiment), Poria et al. 2017 (the features: text
convolutions 100, openSMILE 73, three-dimensional convolutions 100 numbers per utterance), published at
declare-lab/multimodal-deep-learning. The three modalities are aligned: step t of each is utterance t.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress
from protocols.datasets.checks import changed_files, check_request, missing_files
from protocols.examples import DataError, Examples, Stream, check_features, fingerprint

PARTS = {"train": 1447, "test": 752}
WIDTHS = {"text": 100, "audio": 73, "video": 100}
# Units of the video network that never fire; constant in the data as published.
DEAD_VIDEO_UNITS = frozenset(
    (0, 7, 16, 18, 19, 21, 25, 27, 31, 32, 33, 36, 37, 40, 42, 48)
    + (50, 54, 56, 61, 64, 65, 67, 69, 72, 75, 81, 83, 86, 90, 93, 99)
)
FILES = {
    "audio/audio_test0.csv": "ddd17eeefd3d951d51d4e2ef8a0d132652d8161e1886f71eb7262b7a14bffff6",
    "audio/audio_train0.csv": "5435398a54664e7b00304587dc59ae84a438852be033c2a2fba779588624a2a1",
    "labels_merged.csv": "acd6db17333a0bb7d19488ad177845c7f8cd93e8ec9ccb1a1727839a0285960e",
    "text/text_test0.csv": "a343e22272919d1384c2075dbcdd5fef5aa9f9366b0552a83f7c3147b64b047a",
    "text/text_train0.csv": "cc327045db6cc361a08b4037b97bb24de4ddb5efb381468c4835cc4a60674668",
    "text_test.csv": "f3b735070bf07ceff7a6ef6c8f4c32757e988de484e35bd6d38b2aecef851a59",
    "text_train.csv": "73770b6302ad0f7a51f4eddcae6788efde4d0b6802e09f78249d5b538d1c1d67",
    "transcripts.csv": "e7689e6d70720addd2a6b316419d245a68839c32b014ff426c406063ee777466",
    "video/video_test0.csv": "cab836253d81100f59d533fa2ff65cd53c486be3ec9fd82203c5e25a7a77265f",
    "video/video_train0.csv": "b6efc0413132d627efd06f67f1706830e775e90af9a75696f535c48dbc73f12f",
}

CARD = Card(
    title="CMU-MOSI utterance features (bc-LSTM)",
    folder="cmu_mosi_utterance",
    home="https://github.com/declare-lab/multimodal-deep-learning (at 111b401d)",
    licence="features: MIT; CMU-MOSI: research use",
    citation="Zadeh, Zellers, Pincus and Morency 2016, arXiv:1606.06259; features: Poria et al. 2017, ACL (bc-LSTM)",
    inputs={"text": ("text_cnn",), "audio": ("opensmile",), "video": ("cnn3d",)},
    targets=("sentiment",),
    counts={"videos": 93, "utterances": 2199},
    layout=(
        "{text,audio,video}/{text,audio,video}_{train,test}0.csv: 100, 73, 100 numbers and the binary label; "
        "text_{train,test}.csv: row of transcripts.csv (the order of all feature rows) and the 100 text numbers; "
        "transcripts.csv: id, words, number, label; "
        "labels_merged.csv: id, video, segment, sdk_fold, sentiment in [-3, 3], bclstm_split, text."
    ),
    obtain=(
        "The feature files are in https://github.com/declare-lab/multimodal-deep-learning (at 111b401d); "
        "labels_merged.csv joins their ids with the sentiment of the CMU-MOSI release."
    ),
    aligned=True,
    traps=(
        "The text and video vectors were trained with the labels of the bc-LSTM training videos: use the bc-LSTM "
        "split only. On the folds of the CMU SDK, 558 of 686 test utterances leak.",
        "Take validation videos out of the training videos; released code selects on the test videos.",
        "32 of the 100 video numbers are constant: units that never fire.",
        "Neutral utterances (sentiment 0) count as positive.",
    ),
)


@dataclass(frozen=True)
class Utterances:
    """The rows of the data set, sorted by video and by segment.

    Args:
        ids: (U,) ``<video>_<segment>``.
        labels: (U,) int64, 1 = positive.
        features: modality -> (U, D) float32.
        sentiment: (U,) in [-3, 3].
        parts: (U,) ``train`` or ``test`` of the bc-LSTM split.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    features: dict[str, np.ndarray]
    sentiment: np.ndarray
    parts: tuple[str, ...]


def check(root: Path) -> list[str]:
    """What is missing or differs from the published files, one sentence each."""
    if found := missing_files(root, CARD, FILES):
        return found
    if found := changed_files(root, CARD, FILES):
        return found
    try:
        read_utterances(root)
    except DataError as error:
        return [str(error)]
    return []


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """93 videos with one label per utterance: 0 negative, 1 positive. ``cache`` is not needed.

    Raises:
        DataError: for an unknown request, missing files, or files that contradict each other.
    """
    check_request(CARD, target, inputs)
    if found := missing_files(root, CARD, FILES):
        raise DataError(found[0])
    rows = read_utterances(root)
    videos = [name.rpartition("_")[0] for name in rows.ids]
    ids, starts, lengths = np.unique(videos, return_index=True, return_counts=True)
    stops = starts + lengths
    streams = {}
    for modality in (m for m in WIDTHS if m in inputs):
        known = DEAD_VIDEO_UNITS if modality == "video" else frozenset()
        check_features(f"{CARD.title}, {modality}", rows.features[modality], lengths, known)
        streams[modality] = Stream(rows.features[modality], starts, stops, WIDTHS[modality])
    names = tuple(ids.tolist())
    labels = [rows.labels[start:stop] for start, stop in zip(starts, stops, strict=True)]
    arrays = [stream.values for stream in streams.values()]
    mark = fingerprint(names, stops, rows.labels, *arrays)
    return Examples(names, labels, ("negative", "positive"), streams, mark)


def read_utterances(root: Path) -> Utterances:
    """All rows of both parts, cross-checked between the files and sorted by video and segment.

    Raises:
        DataError: naming file and row for a wrong column count, a value that is no number, labels or text
            features that disagree between files, or a sentiment whose sign contradicts the label.
    """
    folder = root / CARD.folder
    names = [row[0] for row in _rows(folder / "transcripts.csv", 4)]
    merged = {row[0]: row for row in _rows(folder / "labels_merged.csv", 7)[1:]}
    ids, labels, sentiment, parts = [], [], [], []
    features: dict[str, list[np.ndarray]] = {modality: [] for modality in WIDTHS}
    for part, expected in PARTS.items():
        order = _numbers(folder / f"text_{part}.csv", 1 + WIDTHS["text"], expected)
        part_ids = [_row_name(names, int(index), folder / f"text_{part}.csv") for index in order[:, 0]]
        tables = {m: _numbers(folder / m / f"{m}_{part}0.csv", w + 1, expected) for m, w in WIDTHS.items()}
        if not np.allclose(tables["text"][:, :-1], order[:, 1:], rtol=0, atol=1e-6):
            raise DataError(
                f"{folder}/text/text_{part}0.csv and text_{part}.csv hold other features, so the order of the rows "
                f"is not certain. {CARD.obtain}"
            )
        part_labels = _agreed_labels(folder, part, part_ids, {m: table[:, -1] for m, table in tables.items()}, merged)
        ids += part_ids
        labels += part_labels.tolist()
        sentiment += [float(merged[name][4]) for name in part_ids]
        parts += [part] * expected
        for modality, table in tables.items():
            features[modality].append(table[:, :-1])
    if len(set(ids)) != len(ids):
        raise DataError(f"{folder}: text_train.csv and text_test.csv name an utterance twice. {CARD.obtain}")
    order = sorted(range(len(ids)), key=lambda row: (ids[row].rpartition("_")[0], int(ids[row].rpartition("_")[2])))
    return Utterances(
        tuple(ids[row] for row in order),
        np.array(labels, dtype=np.int64)[order],
        {m: np.concatenate(blocks)[order].astype(np.float32) for m, blocks in features.items()},
        np.array(sentiment)[order],
        tuple(parts[row] for row in order),
    )


def _agreed_labels(
    folder: Path, part: str, ids: list[str], columns: dict[str, np.ndarray], merged: dict[str, list[str]]
) -> np.ndarray:
    """(U,) int64 label on which the three feature files and the sign of the sentiment agree."""
    labels = columns["text"]
    for row, name in enumerate(ids):
        where = f"{folder}, {part} row {row} ({name})"
        if labels[row] not in (0, 1):
            raise DataError(f"{where}: label {labels[row]:g} is out of range; accepted are 0 and 1.")
        for modality, column in columns.items():
            if column[row] != labels[row]:
                raise DataError(f"{where}: label {column[row]:g} in {modality}, {labels[row]:g} in text. {CARD.obtain}")
        if name not in merged:
            raise DataError(f"{where}: the id is not in labels_merged.csv. {CARD.obtain}")
        if merged[name][5] != part:
            raise DataError(f"{where}: labels_merged.csv puts it into {merged[name][5]!r}. {CARD.obtain}")
        if (float(merged[name][4]) >= 0) != bool(labels[row]):
            raise DataError(
                f"{where}: sentiment {merged[name][4]} contradicts the label {labels[row]:g}; "
                f"0 and above is positive. {CARD.obtain}"
            )
    return labels.astype(np.int64)


def _rows(path: Path, columns: int) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise DataError(f"{path}:{number}: {len(row)} columns; wanted {columns}. {CARD.obtain}")
    return rows


def _numbers(path: Path, columns: int, rows: int) -> np.ndarray:
    """(rows, columns) float64."""
    text = _rows(path, columns)
    if len(text) != rows:
        raise DataError(f"{path}: {len(text)} rows; wanted {rows}. {CARD.obtain}")
    try:
        return np.array(text, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}: a value is not a number ({error}). {CARD.obtain}") from None


def _row_name(names: list[str], index: int, path: Path) -> str:
    if not 0 <= index < len(names):
        raise DataError(f"{path}: row {index} of transcripts.csv is named; it has {len(names)}. {CARD.obtain}")
    return names[index]
