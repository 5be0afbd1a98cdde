"""Settings read off the source are those that the classes take."""

import inspect
from importlib import import_module

import pytest

import zoo
from zoo import METHODS
from zoo.signatures import GIVEN, settings_of
from zoo.spec import presets


@pytest.mark.parametrize("method", METHODS)
def test_names_are_those_of_the_constructor(method):
    module, name = METHODS[method].target.split(":")
    taken = inspect.signature(getattr(import_module(module), name)).parameters
    own = [p.name for p in taken.values() if p.kind == p.KEYWORD_ONLY and p.name != GIVEN]
    found = settings_of(method)
    assert list(found)[: len(own)] == own
    assert len(found) > len(own) or not any(p.kind == p.VAR_KEYWORD for p in taken.values())


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_is_explained(method):
    assert [name for name, setting in settings_of(method).items() if not setting.meaning] == []


@pytest.mark.parametrize("name", presets())
def test_presets_name_every_setting_with_its_type(name):
    spec = presets()[name]
    known = settings_of(spec.method)
    assert spec.settings.keys() <= known.keys()
    assert {s.name for s in known.values() if s.required} <= spec.settings.keys()
    for key, value in spec.settings.items():
        known[key].adapter.validate_python(value, strict=True)


def words():
    return [(m, s) for m in METHODS for s in settings_of(m).values() if s.choices]


@pytest.mark.parametrize(("method", "setting"), words(), ids=lambda value: getattr(value, "name", value))
def test_the_words_of_a_docstring_are_those_that_the_class_takes(method, setting):
    own = [spec for spec in presets().values() if spec.method == method]
    preset = next((spec for spec in own if not spec.settings.get("patches")), own[0])
    features = METHODS[method].sizes[0].features if preset.settings.get("patches") else {}
    data = {"features": features or dict.fromkeys(preset.card.modalities, 8), "outputs": 2}
    one_loss = {"modality_mixup": False} if "modality_mixup" in preset.settings else {}
    for word in setting.choices:
        zoo.build(method, **data, **preset.settings | one_loss | {setting.name: word})
    with pytest.raises((ValueError, KeyError)):
        zoo.build(method, **data, **preset.settings | {setting.name: "nonsense"})
