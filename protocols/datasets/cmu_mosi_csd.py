"""CMU-MOSI at the level of words, from the computational sequences of the CMU Multimodal SDK.

Source: Zadeh et al. 2016; the SDK's folder standard_datasets/CMU_MOSI names the files. ``csd_segments`` says what is
done with them.
"""

from collections.abc import Mapping
from pathlib import Path

from protocols.datasets import Card, Progress, Standard, csd_segments
from protocols.datasets.csd_segments import Release
from protocols.examples import Examples

FILES = {
    "text": {"glove": "CMU_MOSI_TimestampedWordVectors.csd"},
    "audio": {
        "covarep": "CMU_MOSI_COVAREP.csd",
        "opensmile": "CMU_MOSI_openSMILE_IS09.csd",
    },
    "video": {
        "facet42": "CMU_MOSI_Visual_Facet_42.csd",
        "facet41": "CMU_MOSI_Visual_Facet_41.csd",
        "openface2": "CMU_MOSI_Visual_OpenFace_2.csd",
    },
}
LABELS = "CMU_MOSI_Opinion_Labels.csd"
FOLDS = "cmu_mosi_std_folds.py"

CARD = Card(
    title="CMU-MOSI, words (CMU SDK)",
    owner="Amir Zadeh and Louis-Philippe Morency, Carnegie Mellon University",
    folder="cmu_mosi_csd",
    home="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    licence="not checked: read the owner's page; the recordings are from a video site",
    citation="Zadeh, Zellers, Pincus and Morency 2016, arXiv:1606.06259",
    inputs={modality: tuple(names) for modality, names in FILES.items()},
    targets=("sentiment",),
    counts={"videos": 93, "segments": 2199},
    layout=f"the .csd files by the SDK's own names, {LABELS}, and {FOLDS} with the standard folds",
    obtain=f"The SDK names the addresses of the .csd files; {FOLDS} is in its folder standard_datasets/CMU_MOSI.",
    aligned=True,
    splits={"sdk-folds": Standard(f"The SDK's lists of videos in {FOLDS}: 52 / 10 / 31 videos.")},
    traps=(
        "Read every word: released files are cut or filled to 20, 25 or 50 words, so numbers differ a little.",
        "Which segments are left depends on the files that are lined up together: a video that one of them lacks goes.",
        "These are not the utterance vectors published with bc-LSTM, and these folds are not its split.",
        "Speakers: 89 people in 93 videos; the folds are of videos.",
    ),
)
RELEASE = Release(CARD, FILES, LABELS, {"sentiment": (-3.0, 3.0)}, (FOLDS, {"train": 52, "validation": 10, "test": 31}))


def check(root: Path) -> list[str]:
    """What is missing or wrong, without lining anything up."""
    return csd_segments.check(root, RELEASE)


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """The segments that have words, one sentiment from -3 to 3 each; see ``csd_segments.load``."""
    return csd_segments.load(root, cache, RELEASE, target, inputs, progress)


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The SDK's standard folds, 52 / 10 / 31 videos; there is no other split."""
    return csd_segments.split(root, RELEASE, ids)
