"""DATASETS: every data set by name, and what declares and reads it. Imports no torch.

A data set's module, or its object ``module:OBJECT`` where one file reads a family of them, holds

- ``CARD``: home, licence, citation, expected counts and files (a ``Card``);
- ``check(root) -> list[str]``: one sentence for each thing that is missing or wrong, empty if all is well;
- ``load(root, cache, target, inputs, progress) -> Examples``: decodes into ``cache`` where decoding is slow;
- where the lists of a split came with the data, ``split(root, name, ids) -> {id: part or fold}``: a protocol names it
  ``<data set>/<name>``, and no file in ``protocols/splits`` has that name;
- where several data sets share a folder, ``present(root) -> bool``: whether the files of this one are in it.

``root`` is the folder that the data-root setting names; a data set lives in ``root / CARD.folder``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

# progress(items, description) -> the same items, drawn as they pass
Progress = Callable[[Iterable, str], Iterable]


@dataclass(frozen=True)
class Standard:
    """A split that papers use, or that this data set should be split by.

    Args:
        rule: who made it, and how.
        counts: part -> examples of the whole data set, where they are known; a list that says otherwise is refused.
        leak: what training and test part share: ``shared-actor``, ``shared-video``; empty where nothing is known of it.
    """

    rule: str
    counts: dict[str, int] = field(default_factory=dict)
    leak: str = ""


@dataclass(frozen=True)
class Card:
    """What a person needs to know before using a data set.

    Args:
        folder: below the data root; empty for embedded data.
        inputs: modality -> names of the representations that a protocol may ask for, default first.
        targets: label sets that a protocol may ask for.
        counts: what ``check`` expects, e.g. ``{"clips": 1000}``.
        layout: the files, as they must lie below ``folder``.
        obtain: where to get them.
        aligned: whether all modalities have the same steps; True also where that depends on what a user brings.
        traps: what has misled people before.
        owner: who made it and may be asked.
        splits: name of a split, without the folder -> what it is.
    """

    title: str
    folder: str
    home: str
    licence: str
    citation: str
    inputs: dict[str, tuple[str, ...]]
    targets: tuple[str, ...]
    counts: dict[str, int]
    layout: str
    obtain: str
    aligned: bool
    traps: tuple[str, ...] = field(default=())
    owner: str = ""
    splits: dict[str, Standard] = field(default_factory=dict)


DATASETS = {
    "synthetic": "protocols.datasets.synthetic",
    "grid": "protocols.datasets.grid",
    "cmu_mosi_utterance": "protocols.datasets.cmu_mosi_utterance",
    "cmu_mosi_csd": "protocols.datasets.cmu_mosi_csd",
    "cmu_mosei_csd": "protocols.datasets.cmu_mosei_csd",
    "affwild2": "protocols.datasets.affwild2",
    "afew_va": "protocols.datasets.afew_va",
    "iemocap": "protocols.datasets.iemocap",
    "ravdess_vectors": "protocols.datasets.ravdess_vectors",
    "crema_d": "protocols.datasets.crema_d",
    "ravdess": "protocols.datasets.ravdess",
    "kinetics_sounds": "protocols.datasets.kinetics_sounds",
    "ave": "protocols.datasets.ave",
    "ave_segments": "protocols.datasets.ave_segments",
    "savee": "protocols.datasets.savee",
    "ucf51": "protocols.datasets.ucf51",
    "vggsound": "protocols.datasets.vggsound",
    "audioset_balanced": "protocols.datasets.audioset:BALANCED",
    "audioset_500k": "protocols.datasets.audioset:LARGE",
    "mult_mosi": "protocols.datasets.mult_pickles:MOSI",
    "mult_mosi_unaligned": "protocols.datasets.mult_pickles:MOSI_UNALIGNED",
    "mult_mosei": "protocols.datasets.mult_pickles:MOSEI",
    "mult_mosei_unaligned": "protocols.datasets.mult_pickles:MOSEI_UNALIGNED",
    "mult_iemocap": "protocols.datasets.mult_pickles:IEMOCAP",
    "mult_iemocap_unaligned": "protocols.datasets.mult_pickles:IEMOCAP_UNALIGNED",
    "mmsa_mosi": "protocols.datasets.mmsa_pickles:MOSI",
    "mmsa_mosi_unaligned": "protocols.datasets.mmsa_pickles:MOSI_UNALIGNED",
    "mmsa_mosei": "protocols.datasets.mmsa_pickles:MOSEI",
    "mmsa_mosei_unaligned": "protocols.datasets.mmsa_pickles:MOSEI_UNALIGNED",
    "features": "protocols.datasets.features",
}


def dataset(name: str) -> Any:
    """The module of a data set, or the object in its family's module.

    Raises:
        KeyError: naming the nearest known data set.
    """
    if name not in DATASETS:
        near = get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"No data set {name!r}.{hint} Known: {', '.join(DATASETS)}.")
    module, _, item = DATASETS[name].partition(":")
    found = import_module(module)
    return getattr(found, item) if item else found
