"""CMU-MOSEI at the level of words, from the computational sequences of the CMU Multimodal SDK.

Source: Zadeh et al. 2018; the SDK's folder standard_datasets/CMU_MOSEI names the files. ``csd_segments`` says what is
done with them.
"""

from collections.abc import Mapping
from pathlib import Path

from protocols.datasets import Card, Progress, Standard, csd_segments
from protocols.datasets.csd_segments import Release
from protocols.examples import Examples

FILES = {
    "text": {"glove": "CMU_MOSEI_TimestampedWordVectors.csd"},
    "audio": {"covarep": "CMU_MOSEI_COVAREP.csd"},
    "video": {"facet42": "CMU_MOSEI_VisualFacet42.csd", "openface2": "CMU_MOSEI_VisualOpenFace2.csd"},
}
LABELS = "CMU_MOSEI_Labels.csd"
FOLDS = "cmu_mosei_std_folds.py"
# Columns of the label file, in its order.
TARGETS = {
    "sentiment": (-3.0, 3.0),
    **dict.fromkeys(("happy", "sad", "anger", "surprise", "disgust", "fear"), (0.0, 3.0)),
}

CARD = Card(
    title="CMU-MOSEI, words (CMU SDK)",
    owner="Amir Zadeh and Louis-Philippe Morency, Carnegie Mellon University",
    folder="cmu_mosei_csd",
    home="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    licence="not checked: read the owner's page; the recordings are from a video site",
    citation="Zadeh, Liang, Poria, Cambria and Morency 2018, doi:10.18653/v1/P18-1208",
    inputs={modality: tuple(names) for modality, names in FILES.items()},
    targets=tuple(TARGETS),
    counts={"videos in the folds": 3227},
    layout=f"the .csd files by the SDK's own names, {LABELS}, and {FOLDS} with the standard folds",
    obtain=f"The SDK names the addresses of the .csd files; {FOLDS} is in its folder standard_datasets/CMU_MOSEI.",
    aligned=True,
    splits={"sdk-folds": Standard(f"The SDK's lists of videos in {FOLDS}: 2249 / 300 / 678 videos.")},
    traps=(
        "Read every word: released files are cut or filled to 50 words, so numbers differ a little.",
        "Which segments are left depends on the files that are lined up together: a video that one of them lacks goes. "
        "Released files have 22,856 segments, MulT's and MMSA's 16,326 / 1,871 / 4,659.",
        "Emotions are intensities from 0 to 3 and occur together; present means above 0.",
        "The folds are of videos; nobody checked whether a speaker is in two of them.",
    ),
)
RELEASE = Release(CARD, FILES, LABELS, TARGETS, (FOLDS, {"train": 2249, "validation": 300, "test": 678}))


def check(root: Path) -> list[str]:
    """What is missing or wrong, without lining anything up."""
    return csd_segments.check(root, RELEASE)


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """The segments that have words, with the number that ``target`` names; see ``csd_segments.load``."""
    return csd_segments.load(root, cache, RELEASE, target, inputs, progress)


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The SDK's standard folds, 2249 / 300 / 678 videos; there is no other split."""
    return csd_segments.split(root, RELEASE, ids)
