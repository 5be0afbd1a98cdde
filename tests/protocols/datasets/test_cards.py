"""Cards of data sets that people bring: whole, and their leaks told by every protocol that has them."""

import pytest

from protocols.datasets import DATASETS, dataset
from protocols.datasets.clips import ABSENT, ClipSet
from protocols.spec import committed

WITH_SPLITS = [name for name in DATASETS if dataset(name).CARD.splits]


@pytest.mark.parametrize("name", WITH_SPLITS)
def test_a_card_says_whose_it_is_and_how_it_is_split(name):
    card = dataset(name).CARD
    assert (
        card.owner and card.home.startswith("http") and card.licence and card.citation and card.layout and card.obtain
    )
    for standard in card.splits.values():
        assert standard.rule and standard.leak in ("", "shared-actor", "shared-video")
        if standard.counts and "clips" in card.counts:
            assert sum(standard.counts.values()) == card.counts["clips"] or name == "crema_d" and standard.leak


@pytest.mark.parametrize("name", WITH_SPLITS)
def test_every_split_has_a_protocol_and_a_leak_is_told_there(name):
    folder = dataset(name).CARD.folder
    for split, standard in dataset(name).CARD.splits.items():
        using = [spec for spec in committed().values() if spec.dataset == name and spec.split.endswith(f"/{split}")]
        assert using, f"no protocol splits {folder} by {split}"
        for spec in using:
            assert standard.leak in spec.description
            assert not standard.leak or standard.leak.split("-")[0] in spec.title.lower()


@pytest.mark.parametrize(
    "name", [name for name in DATASETS if isinstance(getattr(dataset(name), "CLIPS", None), ClipSet)]
)
def test_what_is_missing_is_told_with_where_it_belongs(name, tmp_path):
    found = dataset(name)
    (told,) = found.check(tmp_path)
    assert found.CARD.layout in told and found.CARD.obtain in told and found.CARD.home in told
    (tmp_path / found.CARD.folder).mkdir()
    (tmp_path / found.CARD.folder / ABSENT).touch()
    assert found.check(tmp_path), "a folder with nothing in it is not complete"
