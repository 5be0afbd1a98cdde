"""Key map of MulT: the released code's state dict.

Source   yaohungt/Multimodal-Transformer at a670936, src/models.py: MULTModel. The released training saves the
         whole pickled module; its ``state_dict()`` is what can be imported.

"text_from_audio" is theirs "trans_l_with_a": text is the target, audio the source. Letters as in the code.
"""

import torch
from torch import Tensor, nn

from zoo.weights import Format, Source

LETTERS = {"text": "l", "audio": "a", "video": "v"}
# One layer of an encoder, ours -> theirs. Queries, keys and values are rows of one matrix on both sides.
LAYER = {
    "attention.in_proj_weight": "self_attn.in_proj_weight",
    "attention.in_proj_bias": "self_attn.in_proj_bias",
    "attention.out_proj.weight": "self_attn.out_proj.weight",
    "attention.out_proj.bias": "self_attn.out_proj.bias",
    "norm0.weight": "layer_norms.0.weight",
    "norm0.bias": "layer_norms.0.bias",
    "norm1.weight": "layer_norms.1.weight",
    "norm1.bias": "layer_norms.1.bias",
    "feed_forward.0.weight": "fc1.weight",
    "feed_forward.0.bias": "fc1.bias",
    "feed_forward.3.weight": "fc2.weight",
    "feed_forward.3.bias": "fc2.bias",
}
HEAD = {"residual1": "proj1", "residual2": "proj2", "head": "out_layer"}


def key_map(model: nn.Module) -> dict[str, str]:
    """Our name -> theirs, for every tensor that is used by both."""
    names = {f"project.{m}.weight": f"proj_{LETTERS[m]}.weight" for m in model.project if not _bypassed(model, m)}
    encoders = {f"memory.{m}": f"trans_{LETTERS[m]}_mem" for m in model.memory}
    for pair in model.crossmodal:
        target, other = pair.split("_from_")
        encoders[f"crossmodal.{pair}"] = f"trans_{LETTERS[target]}_with_{LETTERS[other]}"
    for ours, theirs in encoders.items():
        for i in range(len(model.get_submodule(ours).layers)):
            names |= {f"{ours}.layers.{i}.{a}": f"{theirs}.layers.{i}.{b}" for a, b in LAYER.items()}
        names |= {f"{ours}.norm.{kind}": f"{theirs}.layer_norm.{kind}" for kind in ("weight", "bias")}
    for ours, theirs in HEAD.items():
        names |= {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias")}
    return names


def _bypassed(model: nn.Module, modality: str) -> bool:
    """Whether the released code skips a projection: where the feature width is the model width already."""
    return model.features[modality] == model.project[modality].out_channels


def _recognises(source: Source) -> bool:
    # The code has kernels of size 1. MMSA's network has the same names with wider ones, and no positions.
    kernels = [source[name].shape[2:] for name in (f"proj_{x}.weight" for x in LETTERS.values()) if name in source]
    return "out_layer.weight" in source and [*map(tuple, kernels)] == [(1,)] * len(LETTERS)


def _sizes(source: Source) -> tuple[dict[str, int], int]:
    features = {m: source[f"proj_{x}.weight"].shape[1] for m, x in LETTERS.items()}
    return features, len(source["out_layer.weight"])


def _translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    state = {ours: source.take(theirs) for ours, theirs in key_map(model).items()}
    for m in model.project:
        if _bypassed(model, m):
            weight = model.project[m].weight
            state[f"project.{m}.weight"] = torch.zeros(weight.shape)
            state[f"project.{m}.weight"][:, :, weight.shape[2] // 2] = torch.eye(len(weight))
            source.drop(
                f"proj_{LETTERS[m]}.weight",
                f"the released code skips it, because {m} is as wide as the model; our convolution is the identity",
            )
    for name in source:
        if name.endswith((".version", ".embed_positions._float_tensor")):
            source.drop(name, "a buffer without information")
    for m, letter in LETTERS.items():
        if m not in model.memory:
            for name in source:
                if name.startswith(f"trans_{letter}_mem."):
                    source.drop(name, f"the released code builds the memory of {m} but does not run it: not a target")
    return state


FORMATS: tuple[Format, ...] = (
    Format(
        name="released code",
        source="yaohungt/Multimodal-Transformer at a670936: state_dict() of src/models.py MULTModel",
        recognises=_recognises,
        sizes=_sizes,
        translate=_translate,
    ),
)
