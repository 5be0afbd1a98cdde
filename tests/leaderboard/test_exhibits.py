import json

import pytest

from leaderboard import exhibits
from leaderboard.bundles import BundleError

TOLD = {
    "id": "bbaf2n",
    "condition": "clean",
    "label": "two",
    "predicted": "nine",
    "probability": 0.4,
    "modalities": {
        "audio": {"attention": [0.2, 0.2], "gradient": [1, 3]},
        "video": {"attention": None, "gradient": [0, 0]},
    },
    "share": None,
}


@pytest.fixture
def folder(bundles):
    return bundles.add()


def test_saliency_sums_to_one_or_is_not_there(bundles, folder):
    bundles.measure(folder, {}, exhibits=[TOLD, TOLD | {"step": 3, "share": {"audio": 1.0}}])
    place = str(folder.relative_to(bundles.root))
    first, second = exhibits.read([bundles.root / "elsewhere", bundles.root], place)
    assert first.saliency == {"attention": {"audio": [0.5, 0.5]}, "gradient": {"audio": [0.25, 0.75]}}
    assert (first.label, first.predicted, first.share, first.step) == ("two", "nine", {}, None)
    assert (second.share, second.step) == ({"audio": 1.0}, 3)


def test_a_run_without_an_evaluation_has_none(bundles, folder):
    assert exhibits.read([bundles.root], str(folder.relative_to(bundles.root))) == []


def test_altered_exhibits_are_refused(bundles, folder):
    place = bundles.measure(folder, {}, exhibits=[TOLD])
    (place / "exhibits.json").write_text(json.dumps([TOLD | {"predicted": "two"}]))
    with pytest.raises(BundleError, match="exhibits.json"):
        exhibits.read([bundles.root], str(folder.relative_to(bundles.root)))
