"""The authors' checkpoints -> ours, by an explicit key map: one module a method.

A method's module holds ``FORMATS``: the kinds of file that can be read for it. A format's ``translate`` takes
tensors out of a ``Source`` by the names that the authors gave them and returns ours. What it neither takes nor
drops is unmatched, and an import with an unmatched tensor on either side is refused.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import zoo
from zoo.spec import MethodSpec

# method -> the module of its key maps
KEY_MAPS = {
    "joint_cross_attention": "zoo.weights.joint_cross_attention",
    "mbt": "zoo.weights.mbt",
    "mult": "zoo.weights.mult",
    "dense_coattention": "zoo.weights.dense_coattention",
    "recursive_joint_attention": "zoo.weights.recursive_joint_attention",
    "rjcma": "zoo.weights.rjcma",
    "s_cmrl": "zoo.weights.s_cmrl",
    "contextual_fusion": "zoo.weights.contextual",
    "mu_sa": "zoo.weights.contextual",
    "mmuu_sa": "zoo.weights.contextual",
    "mmmu_ba": "zoo.weights.contextual",
    "tfn": "zoo.weights.tfn",
    "mfn": "zoo.weights.mfn",
    "graph_mfn": "zoo.weights.graph_mfn",
}


class WeightsError(ValueError):
    """A checkpoint that cannot become ours: what came, what is accepted, what to do."""


class Source(Mapping[str, Tensor]):
    """The tensors of a foreign checkpoint by their own names; remembers which were used.

    Reading (``source[name]``) does not count as use: ``take`` and ``drop`` do.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self._tensors = dict(tensors)
        self._used: set[str] = set()
        self.dropped: dict[str, str] = {}
        self.missing: list[str] = []

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def take(self, name: str) -> Tensor:
        """A tensor that becomes one of ours, or a part of one.

        One that the file does not hold is noted in ``missing`` and answered with a stand-in of no size, so that an
        import can name all of them before it is refused.
        """
        if name not in self._tensors:
            self.missing.append(name)
            return torch.empty(0)
        self._used.add(name)
        return self._tensors[name]

    def drop(self, name: str, why: str) -> None:
        """A tensor that is known and has no counterpart; does nothing where the file lacks it."""
        if name in self._tensors:
            self._used.add(name)
            self.dropped[name] = why

    @property
    def unmatched(self) -> list[str]:
        """Names that were neither taken nor dropped."""
        return [name for name in self._tensors if name not in self._used]


@dataclass(frozen=True)
class Format:
    """One kind of checkpoint.

    Args:
        name: short, e.g. "released code".
        source: repository, commit and the object whose tensors these are.
        recognises: whether a file is of this kind, by its names and shapes.
        sizes: features and outputs that the shapes tell; ``{}`` and None where they do not.
        translate: tensors by our names, for a model built with the spec. Layouts are turned into torch's here.
        keeps: why our other tensors keep their initial values; empty where the file must fill every one.
    """

    name: str
    source: str
    recognises: Callable[[Source], bool]
    sizes: Callable[[Source], tuple[dict[str, Any], int | None]]
    translate: Callable[[Source, nn.Module], dict[str, Tensor]]
    keeps: str = ""


@dataclass(frozen=True)
class Imported:
    """What became of a checkpoint: ``model`` holds it; ``provenance`` is what the written file says of itself."""

    model: nn.Module
    provenance: dict[str, Any]


def import_weights(
    spec: MethodSpec,
    path: Path,
    *,
    features: Mapping[str, int | tuple[int, ...]] | None = None,
    outputs: int | None = None,
    per_step: bool = False,
) -> Imported:
    """Build the method of a spec and fill it from an authors' checkpoint.

    Args:
        spec: method and settings; its settings must be those the checkpoint was made with.
        path: ``.safetensors``, ``.npz``, ``.pt``, ``.pth``, ``.bin`` or a Flax ``.msgpack``: tensors only.
        features, outputs: D_m and K where the file does not tell them.

    Raises:
        WeightsError: for a file with code in it, of an unknown kind, or with a tensor that finds no counterpart
            on the other side; every one of them is named.
    """
    source = Source(read_tensors(path))
    kind = recognise(spec.method, source)
    found_features, found_outputs = kind.sizes(source)
    features, outputs = features or found_features, outputs or found_outputs
    if not features or outputs is None:
        raise WeightsError(
            f"{path.name} ({kind.name}) does not tell the feature widths or the number of outputs; give both "
            "(--features audio=40,video=432 --outputs 10)."
        )
    model = zoo.build(spec.method, features=dict(features), outputs=outputs, per_step=per_step, **spec.settings)
    try:
        state = kind.translate(source, model)
    except (RuntimeError, ValueError, IndexError, KeyError) as error:
        # A stand-in cannot be joined or reshaped like the tensor that it stands for.
        why = "; ".join(f"the file has no {name}" for name in source.missing) or str(error)
        raise WeightsError(f"{path.name} ({kind.name}) does not fit the spec: {why}.") from None
    _match(path, kind, source, state, model)
    model.load_state_dict({**model.state_dict(), **state})
    kept = [name for name in model.state_dict() if name not in state]
    provenance = {
        "spec": spec.model_dump(mode="json"),
        "features": {m: list(d) if isinstance(d, tuple) else d for m, d in features.items()},
        "outputs": outputs,
        "per_step": per_step,
        "format": kind.name,
        "source": kind.source,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "dropped": source.dropped,
        "initial": {"why": kind.keeps, "tensors": kept} if kept else {},
        "imported": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Imported(model, provenance)


def recognise(method: str, source: Source) -> Format:
    """The format of a file, by what it holds.

    Raises:
        WeightsError: naming the formats that the method can be imported from.
    """
    if method not in KEY_MAPS:
        raise WeightsError(f"there is no key map for {method!r}; there is one for {', '.join(KEY_MAPS)}.")
    formats = import_module(KEY_MAPS[method]).FORMATS
    for kind in formats:
        if kind.recognises(source):
            return kind
    known = "; ".join(f"{kind.name}: {kind.source}" for kind in formats)
    some = ", ".join(list(source)[:6])
    raise WeightsError(f"not a checkpoint of {method} that we know (it holds {some}, ...). Known are {known}.")


def _match(path: Path, kind: Format, source: Source, state: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse an import with anything left over on either side, or of another shape."""
    ours = model.state_dict()
    said = [f"the file has no {name}" for name in source.missing]
    said += [f"the file's {name} {tuple(source[name].shape)} has no counterpart" for name in source.unmatched]
    said += [f"the key map gives {name}, which the model lacks" for name in state if name not in ours]
    if not kind.keeps:
        said += [f"our {name} {tuple(ours[name].shape)} is not in the file" for name in ours if name not in state]
    said += [
        f"{name} is {tuple(tensor.shape)} in the file, {tuple(ours[name].shape)} in the model"
        for name, tensor in state.items()
        if name in ours and tensor.numel() and tensor.shape != ours[name].shape
    ]
    if said:
        raise WeightsError(
            f"{path.name} ({kind.name}) does not fit the spec: {'; '.join(said)}. Use the settings it was trained with."
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name; nested dictionaries are joined by ``/`` (Flax) or ``.`` (torch).

    Raises:
        WeightsError: if it is not there, cannot be read, or would have to run code to be read.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    kind = path.suffix.lower()
    try:
        if kind == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if kind == ".npz":
            import numpy as np

            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if kind in (".pt", ".pth", ".bin"):
            return _flat(torch.load(path, map_location="cpu", weights_only=True), ".")
        if kind == ".msgpack" or path.name.startswith("checkpoint"):  # as Flax names its files
            from zoo.weights.flax_msgpack import read

            return _flat(read(path), "/")
    except WeightsError:
        raise
    except Exception as error:  # every reader has its own
        why = str(error).splitlines()[0]
        if kind in (".pt", ".pth", ".bin"):
            raise WeightsError(
                f"{path.name} holds more than tensors, and reading it would run code that it brings ({why}). In the "
                "authors' environment: torch.save(model.state_dict(), 'weights.pt'), and import that file."
            ) from None
        raise WeightsError(f"{path.name} cannot be read as {kind}: {why}") from None
    raise WeightsError(f"{path.name}: accepted are .safetensors, .npz, .pt, .pth, .bin and .msgpack.")


def _flat(content: Any, joint: str, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of nested dictionaries under joined names. Numbers beside them (epochs, rates) are left out."""
    if isinstance(content, Tensor):
        return {prefix: content}
    if not isinstance(content, Mapping):
        return {}
    found: dict[str, Tensor] = {}
    for name, value in content.items():
        found |= _flat(value, joint, f"{prefix}{joint}{name}" if prefix else str(name))
    return found


def write(imported: Imported, path: Path) -> None:
    """Write the filled model as safetensors with its provenance; beside and renamed, so never half a file."""
    from safetensors.torch import save_file

    beside = path.with_name(f".{path.name}.writing")
    state = {name: tensor.detach().contiguous() for name, tensor in imported.model.state_dict().items()}
    save_file(state, beside, metadata={"fuseboard": json.dumps(imported.provenance, sort_keys=True)})
    os.replace(beside, path)


def open_model(path: Path) -> nn.Module:
    """The model of a file that ``write`` made, in evaluation mode.

    Raises:
        WeightsError: for any other file.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    with safe_open(path, "pt") as file:
        told = (file.metadata() or {}).get("fuseboard")
    if told is None:
        raise WeightsError(f"{path.name} does not say how to build its model; it was not written by an import.")
    provenance = json.loads(told)
    spec = MethodSpec.model_validate(provenance["spec"])
    features = {m: tuple(d) if isinstance(d, list) else d for m, d in provenance["features"].items()}
    model = zoo.build(
        spec.method,
        features=features,
        outputs=provenance["outputs"],
        per_step=provenance["per_step"],
        **spec.settings,
    )
    model.load_state_dict(load_file(path))
    return model.eval()
