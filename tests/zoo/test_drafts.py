"""Drafts can be submitted as they are; the published schema says what the checks say."""

import json

import jsonschema
import pytest
import yaml

from zoo import drafts
from zoo.spec import SpecError, check, presets


@pytest.mark.parametrize("base", presets())
def test_a_draft_is_its_base_under_another_name(base):
    spec, problems = check(drafts.draft("mine", base))
    assert problems == []
    parent = presets()[base]
    assert (spec.method, spec.settings, spec.remedy) == (parent.method, parent.settings, parent.remedy)
    assert spec.name == "mine" and spec.card.title == "mine"


def test_a_draft_explains_its_settings():
    text = drafts.draft("my_fusion", "mbt")
    assert "  # fusion (bottleneck or full): " in text and "Nagrani et al. 2021" in text
    assert "\n  width: 40\n" in text


@pytest.mark.parametrize("name", ["../escape", "Upper", "", "-x", "a" * 65, "a/b", "a\n"])
def test_a_name_that_no_spec_can_have_is_refused(name):
    with pytest.raises(SpecError, match="wanted 1 to 64"):
        drafts.draft(name, "mbt")


def test_the_committed_schema_is_that_of_the_code():
    assert drafts.SCHEMA.read_text(encoding="utf-8") == drafts.schema_text()


@pytest.fixture(scope="module")
def validator():
    told = json.loads(drafts.SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(told)
    return jsonschema.Draft202012Validator(told)


@pytest.mark.parametrize("name", presets())
def test_presets_are_valid_by_the_schema(validator, name):
    raw = yaml.safe_load(drafts.draft("mine", name))
    assert list(validator.iter_errors(raw)) == []


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nmethod: mbtt\n",
        "name: a b\nmethod: mult\n",
        "name: a\nmethod: hfusion\nsettings: {width: wide}\n",
        "name: a\nmethod: hfusion\nsettings: {widht: 3}\n",
        "name: a\nmethod: hfusion\nsetings: {width: 3}\n",
        "name: a\nmethod: hfusion\nmodalities: [smell]\nsettings: {width: 3}\n",
    ],
)
def test_schema_and_check_refuse_alike(validator, text):
    assert list(validator.iter_errors(yaml.safe_load(text)))
    assert check(text)[1]
