"""The word-level files of MulT: CMU-MOSI, CMU-MOSEI and IEMOCAP, aligned with the words or not.

Source: Tsai et al. 2019; yaohungt/Multimodal-Transformer at a670936: src/dataset.py. Sequences are padded with zeros on
the left there; here they come without padding.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from protocols.datasets import Card, Standard
from protocols.datasets.split_pickles import PARTS, SplitPickle, real_rows, sentiment, without_padding
from protocols.examples import DataError

HOME = "https://github.com/yaohungt/Multimodal-Transformer"
EMOTIONS = ("neutral", "happy", "sad", "angry")  # in the order of the released evaluation
TRAPS = (
    "-inf in the audio is set to 0, as in the released loader; NaN and other infinities are refused.",
    "Padding is cut off: zeros before the first and after the last step that is not zero throughout.",
    "Numbers of aligned and unaligned files are often printed under each other's name.",
)


def _sentiment(where: str, part: Mapping[str, Any]) -> np.ndarray:
    return sentiment(where, part.get("labels"))


def _emotions(where: str, part: Mapping[str, Any]) -> np.ndarray:
    """(N, 4) float32: each of EMOTIONS is a pair of absent and present, of which the larger counts."""
    pairs = part.get("labels")
    if not isinstance(pairs, np.ndarray) or pairs.ndim != 3 or pairs.shape[1:] != (len(EMOTIONS), 2):
        came = f"{pairs.dtype} {pairs.shape}" if isinstance(pairs, np.ndarray) else type(pairs).__name__
        raise DataError(f"{where}: labels are {came}; wanted (examples, {len(EMOTIONS)}, 2), absent and present.")
    absent, present = pairs[..., 0], pairs[..., 1]
    if undecided := int((~((absent < present) | (absent > present))).sum()):
        raise DataError(f"{where}: {undecided} labels are as absent as they are present, or no numbers.")
    return (absent < present).astype(np.float32)


def _each(where: str, values: Mapping[str, np.ndarray], part: Mapping[str, Any]) -> dict:
    return {modality: without_padding(real_rows(array)) for modality, array in values.items()}


def _together(where: str, values: Mapping[str, np.ndarray], part: Mapping[str, Any]) -> dict:
    """A step is padding where no modality has anything, so that the steps of all stay the same.

    Raises:
        DataError: for unequal lengths: unaligned sequences in the file of the aligned ones.
    """
    lengths = {modality: array.shape[1] for modality, array in values.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{where}: sequences of {lengths} steps; wanted equal ones, these are not aligned.")
    spans = without_padding(np.logical_or.reduce([real_rows(array) for array in values.values()]))
    return dict.fromkeys(values, spans)


def _data_set(about: Mapping[str, Any], holds: Mapping[str, Any], stem: str, *, aligned: bool) -> SplitPickle:
    """The aligned or the unaligned file of a corpus.

    Args:
        about: fields of its card.
        holds: fields of ``SplitPickle``.
    """
    file = f"{stem}_data.pkl" if aligned else f"{stem}_data_noalign.pkl"
    text, audio, video = holds["widths"].values()
    card = Card(
        **about | {"title": f"{about['title']}, {'words aligned' if aligned else 'unaligned'} (MulT)"},
        folder="mult",
        inputs={"text": ("glove",), "audio": ("covarep",), "video": ("facet",)},
        counts={"utterances": holds["totals"][0]},
        layout=(
            f"{file}: dict of {', '.join(PARTS)}, each a dict of text, audio and vision (examples, steps, columns), "
            f"{text}, {audio} and {video} columns, and labels."
        ),
        obtain=f"The links are in {HOME}.",
        aligned=aligned,
        splits={"official": Standard("the parts of the file", {PARTS[p]: n for p, n in holds["counts"].items()})},
    )
    return SplitPickle(card, file, spans=_together if aligned else _each, **holds)


_MOSI = {
    "title": "CMU-MOSI",
    "owner": "MultiComp Lab, Carnegie Mellon University",
    "home": "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    "licence": "not checked: read the owner's page; the recordings are from a video site",
    "citation": "Zadeh, Zellers, Pincus and Morency 2016, arXiv:1606.06259; files: Tsai et al. 2019, ACL",
    "targets": ("sentiment",),
    "traps": ("Audio has 5 and video 20 columns, chosen ones; the appendix of the paper says 74 and 35.", *TRAPS),
}
_MOSI_HOLDS = {
    "counts": {"train": 1284, "valid": 229, "test": 686},
    "totals": (2199,),
    "widths": {"text": 300, "audio": 5, "video": 20},
    "task": "regression",
    "names": ("sentiment",),
    "labels": _sentiment,
}
_MOSEI = _MOSI | {
    "title": "CMU-MOSEI",
    "citation": "Zadeh et al. 2018, ACL, doi:10.18653/v1/P18-1208; files: Tsai et al. 2019, ACL",
    "traps": (
        "22,856 and 22,777 examples are both told of these files; either is accepted, and the fingerprint of a run "
        "tells them apart.",
        *TRAPS,
    ),
}
_MOSEI_HOLDS = _MOSI_HOLDS | {
    "counts": {},  # of each part: not known for certain
    "totals": (22856, 22777),
    "widths": {"text": 300, "audio": 74, "video": 35},
}
_IEMOCAP = {
    "title": "IEMOCAP",
    "owner": "SAIL, University of Southern California",
    "home": "https://sail.usc.edu/iemocap/",
    "licence": "research use, after a signed release form",
    "citation": "Busso et al. 2008, Language Resources and Evaluation 42; files: Tsai et al. 2019, ACL",
    "targets": ("emotions",),
    "traps": (
        "Each of four emotions is present or absent by itself, and mostly absent: finding none scores high.",
        "The files do not say who speaks, so whether a speaker is in two parts cannot be checked.",
        *TRAPS,
    ),
}
_IEMOCAP_HOLDS = {
    "counts": {"train": 2717, "valid": 789, "test": 938},
    "totals": (4444,),
    "widths": {"text": 300, "audio": 74, "video": 35},
    "task": "multilabel",
    "names": EMOTIONS,
    "labels": _emotions,
}

MOSI = _data_set(_MOSI, _MOSI_HOLDS, "mosi", aligned=True)
MOSI_UNALIGNED = _data_set(_MOSI, _MOSI_HOLDS, "mosi", aligned=False)
MOSEI = _data_set(_MOSEI, _MOSEI_HOLDS, "mosei_senti", aligned=True)
MOSEI_UNALIGNED = _data_set(_MOSEI, _MOSEI_HOLDS, "mosei_senti", aligned=False)
IEMOCAP = _data_set(_IEMOCAP, _IEMOCAP_HOLDS, "iemocap", aligned=True)
IEMOCAP_UNALIGNED = _data_set(_IEMOCAP, _IEMOCAP_HOLDS, "iemocap", aligned=False)
