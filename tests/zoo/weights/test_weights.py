"""The importer: what it refuses, what it names, what it writes."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import zoo
from zoo.spec import MethodSpec, load
from zoo.weights import WeightsError, import_weights, open_model, read_tensors, write
from zoo.weights import mult as key_map

FEATURES, OUTPUTS = {"text": 6, "audio": 4, "video": 5}, 3


@pytest.fixture
def spec() -> MethodSpec:
    preset = load("mult-code")
    return preset.model_copy(update={"settings": {**preset.settings, "width": 10, "layers": 1}})


@pytest.fixture
def released(spec, tmp_path):
    """A state dict under the names of the released code, made from a model of ours."""
    torch.manual_seed(0)
    ours = zoo.build("mult", features=FEATURES, outputs=OUTPUTS, **spec.settings).state_dict()
    source = {reference_name(name): tensor for name, tensor in ours.items()}
    assert len(source) == len(ours)
    return ours, source


def reference_name(ours: str) -> str:
    """The other way round than the key map, written from the names in the facts."""
    letter = {"text": "l", "audio": "a", "video": "v"}
    first, _, rest = ours.partition(".")
    if first in ("residual1", "residual2", "head"):
        return {"residual1": "proj1", "residual2": "proj2", "head": "out_layer"}[first] + f".{rest}"
    place, _, rest = rest.partition(".")
    if first == "project":
        return f"proj_{letter[place]}.{rest}"
    if first == "memory":
        name = f"trans_{letter[place]}_mem"
    else:
        target, source = place.split("_from_")
        name = f"trans_{letter[target]}_with_{letter[source]}"
    for part, reference in (
        ("attention.", "self_attn."),
        ("feed_forward.0.", "fc1."),
        ("feed_forward.3.", "fc2."),
        ("norm0.", "layer_norms.0."),
        ("norm1.", "layer_norms.1."),
    ):
        rest = rest.replace(part, reference)
    return f"{name}.{rest}" if rest.startswith("layers.") else f"{name}.{rest.replace('norm.', 'layer_norm.')}"


@pytest.mark.parametrize("kind", [".safetensors", ".npz", ".pt"])
def test_a_checkpoint_becomes_ours_and_says_where_it_came_from(spec, released, tmp_path, kind):
    ours, source = released
    path, out = tmp_path / f"weights{kind}", tmp_path / "ours.safetensors"
    if kind == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in source.items()}, path)
    elif kind == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in source.items()})
    else:
        torch.save(source, path)
    write(import_weights(spec, path), out)
    written = load_file(out)
    assert written.keys() == ours.keys()
    assert all(torch.equal(written[name], ours[name]) for name in ours)
    with safe_open(out, "pt") as file:
        told = json.loads(file.metadata()["fuseboard"])
    assert told["features"] == FEATURES and told["outputs"] == OUTPUTS
    assert "yaohungt/Multimodal-Transformer" in told["source"] and told["file"] == path.name
    assert len(told["sha256"]) == 64 and told["spec"]["settings"]["width"] == 10
    assert not list(tmp_path.glob(".*"))
    model = open_model(out)
    assert not model.training
    assert all(torch.equal(tensor, ours[name]) for name, tensor in model.state_dict().items())


def test_every_unmatched_tensor_is_named_and_nothing_is_written(spec, released, tmp_path):
    _, source = released
    path = tmp_path / "weights.safetensors"
    gone = ["proj1.bias", "trans_l_mem.layers.0.fc1.weight"]
    changed = {name: tensor for name, tensor in source.items() if name not in gone}
    changed |= {"extra.weight": torch.zeros(2), "proj_x.weight": torch.zeros(3)}
    save_file(changed, path)
    with pytest.raises(WeightsError) as caught:
        import_weights(spec, path)
    for name in ("extra.weight", "proj_x.weight", *gone):
        assert name in str(caught.value)


def test_settings_that_do_not_fit_are_named_by_tensor(spec, released, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(released[1], path)
    other = spec.model_copy(update={"settings": {**spec.settings, "width": 20}})
    with pytest.raises(
        WeightsError, match=r"project\.text\.weight is \(10, 6, 1\) in the file, \(20, 6, 1\) in the model"
    ):
        import_weights(other, path)


class Trap:
    def __reduce__(self):
        return (open, ("trap", "w"))


def test_a_file_with_code_in_it_is_refused_and_not_run(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Trap()}, tmp_path / "whole.pt")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"weights": Trap()}))
    for name in ("whole.pt", "bare.pth"):
        with pytest.raises(WeightsError, match=r"would run code.*state_dict"):
            import_weights(spec, tmp_path / name)
    np.savez(tmp_path / "objects.npz", a=np.array([Trap()], dtype=object))
    with pytest.raises(WeightsError, match="cannot be read"):
        import_weights(spec, tmp_path / "objects.npz")
    assert not (tmp_path / "trap").exists()


def test_other_files_are_told_what_is_accepted(spec, tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"x")
    (tmp_path / "cut.safetensors").write_bytes(b"x" * 20)
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        import_weights(spec, tmp_path / "missing.pt")
    with pytest.raises(WeightsError, match="accepted are .safetensors"):
        import_weights(spec, tmp_path / "weights.h5")
    with pytest.raises(WeightsError, match="cannot be read as .safetensors"):
        import_weights(spec, tmp_path / "cut.safetensors")
    with pytest.raises(WeightsError, match=r"not a checkpoint of mult.*conv\.weight.*Known are"):
        import_weights(spec, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="was not written by an import"):
        open_model(tmp_path / "other.safetensors")
    composed = MethodSpec(name="x", method="compose")
    with pytest.raises(WeightsError, match="there is no key map for 'compose'"):
        import_weights(composed, tmp_path / "other.safetensors")


def test_a_flax_checkpoint_is_read_as_a_tree(tmp_path):
    import msgpack

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    packed = msgpack.ExtType(1, msgpack.packb(((2, 3), "float32", array.tobytes())))
    for name in ("checkpoint_10", "weights.msgpack"):
        (tmp_path / name).write_bytes(msgpack.packb({"target": {"dense": {"kernel": packed}}}))
        read = read_tensors(tmp_path / name)
        assert list(read) == ["target/dense/kernel"]
        assert np.array_equal(read["target/dense/kernel"].numpy(), array)
    (tmp_path / "cut.msgpack").write_bytes(b"\x81")
    with pytest.raises(WeightsError, match=r"cannot be read as \.msgpack"):
        read_tensors(tmp_path / "cut.msgpack")


def test_nested_names_are_joined(tmp_path):
    torch.save({"net": {"a": torch.ones(1)}, "epoch": 3}, tmp_path / "nested.pt")
    assert list(read_tensors(tmp_path / "nested.pt")) == ["net.a"]
    assert key_map.FORMATS
