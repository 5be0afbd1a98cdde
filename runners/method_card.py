"""The card of a spec in full: what its table says, and what its model shows when it runs."""

from zoo.spec import MethodSpec

STEPS, WIDTH, OUTPUTS = 4, 8, 2  # of the small model that shows who attends to whom


def card_rows(spec: MethodSpec) -> dict[str, str | list[str]]:
    """Field -> text, or a list of texts."""
    import yaml

    card = spec.card
    return {
        "name": spec.name,
        "title": card.title,
        "method": spec.method,
        "paper": card.paper,
        "summary": card.summary,
        "takes": card.inputs,
        "fusion stage": card.fusion_stage,
        "attention": card.attention,
        "attends": _streams(spec),
        "equations": card.equations,
        "code": card.code or "none was read",
        "differs": list(card.differs) or ["nothing known"],
        "evidence": card.evidence,
        "parameters": [str(size) for size in card.sizes] or ["no published or computed count"],
        "settings": yaml.safe_dump(dict(spec.settings), sort_keys=False, default_flow_style=False).splitlines(),
        **_remedy(spec),
    }


def _remedy(spec: MethodSpec) -> dict[str, list[str]]:
    """Of modality imbalance, where the spec has one: its keys, its source, how it differs from that."""
    if spec.remedy is None:
        return {}
    keys = ", ".join(f"{name}: {value}" for name, value in spec.remedy.model_dump().items())
    return {"remedy": [keys, spec.remedy.paper, *spec.remedy.differs]}


def _streams(spec: MethodSpec) -> list[str]:
    """Who attends to whom, read off a small model; queries first, keys and values from the same stream."""
    import torch

    import zoo
    from zoo.streams import attended

    modalities, steps = spec.card.modalities, spec.settings.get("steps", STEPS)
    try:
        model = zoo.build(spec.method, features=dict.fromkeys(modalities, WIDTH), outputs=OUTPUTS, **spec.settings)
        inputs = {m: torch.zeros(1, steps, WIDTH) for m in modalities}
        found = attended(model, inputs, {m: torch.ones(1, steps, dtype=torch.bool) for m in modalities})
    except ValueError as error:
        return [f"it takes inputs of its own shape ({error})"]
    return [str(stream) for stream in found] or ["nobody: it has no attention"]
