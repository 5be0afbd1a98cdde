"""Suite files: one for a protocol or for several, and refusals that name what is wrong."""

import pytest
import yaml

from protocols import suite as module
from protocols.datasets import dataset
from protocols.spec import SpecError, committed
from protocols.suite import SUITES, read, suites


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A writer of suite files into a folder of their own, from the embedded benchmark's; suites are read from there."""
    told = yaml.safe_load((SUITES / "synthetic.yaml").read_text())
    monkeypatch.setattr(module, "SUITES", tmp_path)

    def write(name, **changed):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(told | changed))
        return path

    suites.cache_clear()
    yield write
    suites.cache_clear()


def test_several_protocols_share_a_file(written):
    path = written("both", protocol=["synthetic@1", "mosi-utterance@1"])
    first, second = read(path)
    assert first.key == "synthetic@1/suite1" and second.key == "mosi-utterance@1/suite1"
    assert first.model_copy(update={"protocol": second.protocol}) == second
    assert list(suites()) == ["synthetic@1", "mosi-utterance@1"]


def test_a_protocol_has_one_suite(written):
    written("one")
    path = written("two", protocol=["mosi-utterance@1", "synthetic@1"])
    with pytest.raises(SpecError, match=f"{path}: synthetic@1 has a suite already"):
        suites()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"protocol": ["synthetic@1", "nowhere@1"]}, "no protocol 'nowhere@1'. Known: "),
        ({"protocol": [3]}, "protocol: Input should be a valid string"),
        ({"sweep": {}}, "sweep: Extra inputs are not permitted"),
        ({"conditions": ["audio/mising"]}, "Did you mean 'audio/missing'"),
    ],
)
def test_what_is_wrong_is_named(written, changed, message):
    path = written("wrong", **changed)
    with pytest.raises(SpecError, match=message) as caught:
        suites()
    assert str(path) in str(caught.value)


def test_no_list_is_no_suite(tmp_path):
    (tmp_path / "list.yaml").write_text("- synthetic@1\n")
    with pytest.raises(SpecError, match="list.yaml: top level"):
        read(tmp_path / "list.yaml")


def test_every_protocol_on_data_that_a_person_brings_has_a_suite():
    without = {key for key in committed() if key not in suites()}
    assert without == {"grid-digit@1", "grid-letter@1"} | {k for k, spec in committed().items() if spec.replica_of}


@pytest.mark.parametrize("key", suites())
def test_conditions_are_of_modalities_that_the_protocol_gives(key):
    suite, spec = suites()[key], committed()[key]
    named = [*suite.sweeps, *suite.conditions, *suite.contribution.conditions, *suite.attention.conditions]
    given = {m for text in named if "/" in text for m in text.partition("/")[0].split("+")} - {"all"}
    assert given <= set(spec.modalities)
    assert dataset(spec.dataset.partition("/")[0]) is not None


@pytest.mark.parametrize("key", suites())
def test_every_measured_condition_is_scored_too(key):
    """So that a page can hold a contribution or a map beside the score under the same condition."""
    suite = suites()[key]
    assert {*suite.contribution.conditions, *suite.attention.conditions} <= {*suite.all_conditions()}
