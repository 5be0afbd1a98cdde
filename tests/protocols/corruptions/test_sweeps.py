"""The committed suites: every condition is understood, every sweep runs from mild to severe."""

import pytest

from protocols.corruptions import parse_condition
from protocols.suite import suites

LOWER_IS_WORSE = ("dB", "Hz", "quality")
SHARE_LEFT = ("low_light", "feature_scaling")
SWEEPS = [(key, name) for key, suite in suites().items() for name in suite.sweeps]


@pytest.mark.parametrize(("key", "name"), SWEEPS)
def test_mild_to_severe(key, name):
    conditions = suites()[key].sweep(name)
    falling = conditions[0].unit in LOWER_IS_WORSE or conditions[0].corruption in SHARE_LEFT
    severities = [condition.severity for condition in conditions]
    assert severities == sorted(set(severities), reverse=falling)
    assert len({condition.unit for condition in conditions}) == 1


@pytest.mark.parametrize("suite", suites().values(), ids=lambda suite: suite.key)
def test_every_condition_is_understood(suite):
    assert all(parse_condition(text).text == text for text in suite.all_conditions())
