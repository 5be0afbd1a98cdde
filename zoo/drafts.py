"""Specs to begin from, and the JSON Schema that gives them completion in an editor. Costs no torch."""

import json
import re
import textwrap
from pathlib import Path

import yaml

from zoo import EVIDENCE, METHODS, MODALITIES, STAGES
from zoo.signatures import Setting, settings_of
from zoo.spec import MethodSpec, SpecError, load

SCHEMA = Path(__file__).with_name("method-spec.schema.json")
NAME = re.compile(MethodSpec.model_fields["name"].metadata[0].pattern.strip("^$"))


def draft(name: str, base: str) -> str:
    """A commented spec under a new name, with all settings of a method or preset.

    Raises:
        SpecError: for a name that a spec cannot have, or a base that is not known.
    """
    if not NAME.fullmatch(name):
        raise SpecError(f"name {name!r}: wanted 1 to 64 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit.")
    parent = load(base)
    card = parent.card
    lines = [
        *_comment(f"{name}, begun from {parent.name}: {card.title}. {card.summary}"),
        *([] if card.paper == "ours" else _comment(f"Follows {card.paper}")),
        *_comment(
            "For completion in an editor: fuseboard schema --out method-spec.schema.json, beside this file.",
        ),
        f"# yaml-language-server: $schema={SCHEMA.name}",
        f"name: {name}",
        f"method: {parent.method}",
        *_comment("Modalities that it uses; all that a protocol gives if this is left out."),
        _modalities(parent),
        *_comment("What a board says of it; moves no number."),
        *_block({"label": _label(parent, name)}),
        "settings:",
    ]
    known = settings_of(parent.method)
    for key, value in parent.settings.items():
        lines += _comment(_meaning(known[key]) if key in known else key, indent="  ")
        lines += ["  " + line for line in _block({key: value})]
    if parent.remedy:
        lines += _block({"remedy": parent.remedy.model_dump(mode="json")})
    return "\n".join(lines) + "\n"


def _modalities(parent: MethodSpec) -> str:
    if parent.modalities:
        return f"modalities: [{', '.join(parent.modalities)}]"
    return f"# modalities: [{', '.join(parent.card.modalities)}]"


def _label(parent: MethodSpec, name: str) -> dict[str, str]:
    """A title of its own, and the taxonomy of the parent where its spec tells it."""
    told = parent.label.model_dump(exclude_none=True) if parent.label else {}
    told.pop("evidence", None)  # it holds for the parent's sizes
    return told | {"title": name}


def _meaning(setting: Setting) -> str:
    kind = " or ".join(setting.choices) if setting.choices else setting.annotation
    return f"{setting.name} ({kind}): {setting.meaning}" if setting.meaning else f"{setting.name} ({kind})"


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ")


def _block(entry: dict) -> list[str]:
    """One key and its value: what holds only words and numbers stands on one line."""
    (value,) = entry.values()
    flow = None if isinstance(value, dict | list) else False
    return yaml.safe_dump(entry, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=110).splitlines()


def schema() -> dict:
    """JSON Schema of a method spec: each method's settings stand in a branch of their own."""
    told = MethodSpec.model_json_schema()
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **told, "title": "Fuseboard method spec"}
    fields = told["properties"]
    fields["method"]["enum"] = list(METHODS)
    fields["modalities"]["anyOf"][0]["items"]["enum"] = list(MODALITIES)
    for field, words in (("fusion_stage", STAGES), ("evidence", EVIDENCE)):
        told["$defs"]["Label"]["properties"][field]["anyOf"][0]["enum"] = list(words)
    told["allOf"] = [
        {
            "if": {"properties": {"method": {"const": method}}, "required": ["method"]},
            "then": {"properties": {"settings": _settings_schema(settings_of(method))}},
        }
        for method in METHODS
    ]
    return told


def _settings_schema(known: dict[str, Setting]) -> dict:
    return {
        "additionalProperties": False,
        "required": [name for name, setting in known.items() if setting.required],
        "properties": {
            name: {**setting.adapter.json_schema(), "description": setting.meaning} for name, setting in known.items()
        },
    }


def schema_text() -> str:
    """The schema as its file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
