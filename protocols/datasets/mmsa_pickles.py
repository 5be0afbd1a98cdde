"""The word-level files of MMSA: CMU-MOSI and CMU-MOSEI with BERT text, aligned with the words or not.

Source: thuiar/MMSA at a94e65d0: src/MMSA/data_loader.py. Text is what a frozen BERT says of each token, 768 numbers;
numbers of these files are not those of the MulT files.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from protocols.datasets import Card, Standard
from protocols.datasets.split_pickles import PARTS, SplitPickle, real_rows, sentiment, without_padding
from protocols.examples import DataError

HOME = "https://github.com/thuiar/MMSA"
TRAPS = (
    "Text is BERT of width 768: numbers of GloVe files, such as MulT's, are of another data set.",
    "-inf in the audio is set to 0, as in the released loader; NaN and other infinities are refused. The released "
    "loader sets NaN to 0 only for methods that average over time.",
    "Padding is cut off: text after its mask, audio and video after their lengths where the file has them, else after "
    "the last step that is not zero throughout.",
)


def _labels(where: str, part: Mapping[str, Any]) -> np.ndarray:
    return sentiment(where, part.get("regression_labels"))


def _text_stops(where: str, part: Mapping[str, Any], steps: int) -> np.ndarray:
    """(N,) tokens of each text, by the mask in ``text_bert`` (N, 3, T): token ids, mask, segments."""
    told = part.get("text_bert")
    if not isinstance(told, np.ndarray) or told.ndim != 3 or told.shape[1:] != (3, steps):
        came = told.shape if isinstance(told, np.ndarray) else type(told).__name__
        raise DataError(f"{where}: text_bert is {came}; wanted (examples, 3, {steps}), whose second row is the mask.")
    return np.maximum(told[:, 1].astype(np.int64).sum(1), 1)


def _together(where: str, values: Mapping[str, np.ndarray], part: Mapping[str, Any]) -> dict:
    """Every modality has the steps of the text.

    Raises:
        DataError: for unequal lengths: unaligned sequences in the file of the aligned ones.
    """
    lengths = {modality: array.shape[1] for modality, array in values.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{where}: sequences of {lengths} steps; wanted equal ones, these are not aligned.")
    stops = _text_stops(where, part, lengths["text"])
    return dict.fromkeys(values, (np.zeros_like(stops), stops))


def _each(where: str, values: Mapping[str, np.ndarray], part: Mapping[str, Any]) -> dict:
    stops = _text_stops(where, part, values["text"].shape[1])
    spans = {"text": (np.zeros_like(stops), stops)}
    for modality, field in (("audio", "audio_lengths"), ("video", "vision_lengths")):
        real = real_rows(values[modality])
        if field not in part:
            spans[modality] = without_padding(real)
            continue
        stops = np.asarray(part[field], dtype=np.int64)
        if stops.shape != (len(real),) or stops.max(initial=0) > real.shape[1]:
            raise DataError(f"{where}: {field} is {stops.shape}, up to {stops.max(initial=0)}; wanted one length each.")
        stops = np.maximum(stops, 1)
        spans[modality] = (np.zeros_like(stops), stops)
    return spans


def _data_set(
    about: Mapping[str, Any], widths: Mapping[str, int], counts: Mapping[str, int], *, aligned: bool
) -> SplitPickle:
    """The aligned or the unaligned file of a corpus.

    Args:
        about: fields of its card.
    """
    file = "Processed/aligned_50.pkl" if aligned else "Processed/unaligned_50.pkl"
    card = Card(
        **about | {"title": f"{about['title']}, {'words aligned' if aligned else 'unaligned'}, BERT (MMSA)"},
        home="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
        licence="not checked: read the owner's page; the recordings are from a video site",
        owner="MultiComp Lab, Carnegie Mellon University",
        inputs={"text": ("bert",), "audio": ("covarep",), "video": ("facet",)},
        targets=("sentiment",),
        counts={"utterances": sum(counts.values())},
        layout=(
            f"{file}: dict of {', '.join(PARTS)}, each a dict of text, audio and vision (examples, steps, columns), "
            f"{widths['text']}, {widths['audio']} and {widths['video']} columns, text_bert, regression_labels."
        ),
        obtain=f"The links are in {HOME}.",
        aligned=aligned,
        traps=TRAPS,
        splits={"official": Standard("the parts of the file", {PARTS[part]: n for part, n in counts.items()})},
    )
    return SplitPickle(
        card,
        file,
        counts=counts,
        totals=(sum(counts.values()),),
        widths=widths,
        task="regression",
        names=("sentiment",),
        labels=_labels,
        spans=_together if aligned else _each,
    )


_MOSI = (
    {
        "title": "CMU-MOSI",
        "folder": "mmsa/MOSI",
        "citation": "Zadeh, Zellers, Pincus and Morency 2016, arXiv:1606.06259; files: MMSA",
    },
    {"text": 768, "audio": 5, "video": 20},
    {"train": 1284, "valid": 229, "test": 686},
)
_MOSEI = (
    {
        "title": "CMU-MOSEI",
        "folder": "mmsa/MOSEI",
        "citation": "Zadeh et al. 2018, ACL, doi:10.18653/v1/P18-1208; files: MMSA",
    },
    {"text": 768, "audio": 74, "video": 35},
    {"train": 16326, "valid": 1871, "test": 4659},
)

MOSI = _data_set(*_MOSI, aligned=True)
MOSI_UNALIGNED = _data_set(*_MOSI, aligned=False)
MOSEI = _data_set(*_MOSEI, aligned=True)
MOSEI_UNALIGNED = _data_set(*_MOSEI, aligned=False)
