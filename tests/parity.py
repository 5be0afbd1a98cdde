"""What the authors' own code gave: the numeric fixtures that tests hold ours against."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


def parity_root() -> Path:
    """Where the fixtures lie, or a skip that says why."""
    if not (root := os.environ.get("FUSEBOARD_PARITY_ROOT")):
        pytest.skip("FUSEBOARD_PARITY_ROOT is not set: no outputs of the authors' code to compare with")
    return Path(root)


def told(file: str) -> dict:
    """One JSON file of the metrics' fixtures."""
    return json.loads((parity_root() / "metrics" / file).read_text(encoding="utf-8"))


def case(method: str, variant: str) -> tuple[dict, dict[str, dict[str, torch.Tensor]]]:
    """The case of a variant of a method, and its tensors by group: weights, inputs, outputs, grads."""
    found = json.loads((parity_root() / method / "case.json").read_text(encoding="utf-8"))["variants"][variant]
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in load_file(parity_root() / method / found["file"]).items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    return found, groups


def close(ours: torch.Tensor, golden: torch.Tensor, tolerance: float) -> bool:
    """Of one shape, and no element farther apart than a part of the largest; where that is below 0.01, of 0.01."""
    assert ours.shape == golden.shape
    return (ours - golden).abs().max().item() <= tolerance * max(0.01, golden.abs().max().item())
