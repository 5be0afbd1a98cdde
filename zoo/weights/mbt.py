"""Key maps of MBT: the released parameter tree, and image ViTs to start both encoders from.

Source   google-research/scenic at 4a38d475, scenic/projects/mbt: model.py for the tree, model_utils.py for what the
         release does with an image ViT; timm and Hugging Face transformers for the names of their ViTs.

The start from a ViT follows the release: every encoder gets the blocks; the spectrogram's patches get the RGB kernel,
a tubelet gets it in its central frame; positions are resized by linear interpolation from corner to corner, those of
frames repeated over time; the bottleneck is overwritten by the positions resized to B points.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.weights import Format, Source, WeightsError

SUFFIX = {"video": "", "audio": "_spectrogram", "shared": ""}  # of blocks, embeddings and positions in the release
# Beside the parameters in a released training state.
STATE = re.compile(r"(optimizer/state/|opt_state/|model_state/|metadata/|(global_)?step$|rng$|accum_train_time$)")


def dense(x: Tensor) -> Tensor:
    """Flax (inputs, outputs) -> torch (outputs, inputs)."""
    return x.T


def heads_out(x: Tensor) -> Tensor:
    """Query, key or value: (D, H, D / H) -> (D, D), (H, D / H) -> (D,)."""
    return x.flatten(1).T if x.ndim == 3 else x.flatten()


def heads_in(x: Tensor) -> Tensor:
    """Output of an attention: (H, D / H, D) -> (D, D)."""
    return x.flatten(0, 1).T


def kernel(x: Tensor) -> Tensor:
    """Of patches: (steps, rows, columns, 3, D) -> (D, 3, steps, rows, columns); 2-D alike."""
    return x.movedim((-1, -2), (0, 1))


def frame_kernel(x: Tensor) -> Tensor:
    """Of video patches; those of single frames become tubelets of one step."""
    return kernel(x if x.ndim == 5 else x.unsqueeze(0))


def same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Entry:
    """Our tensor, the reference's tensors that make it up along the first axis, and the change of layout of each."""

    ours: str
    references: tuple[str, ...]
    layout: Callable[[Tensor], Tensor] = same


def scenic_entries(model: nn.Module) -> Iterator[Entry]:
    """Every tensor of a model and where the released tree has it.

    Raises:
        WeightsError: for a model with an input that the release does not take.
    """
    for m in model.features:
        if m not in model.shapes:
            raise WeightsError(
                f"the spec reads {m} as feature vectors; the release takes raw frames and spectrograms. Start from the "
                "preset mbt-scenic or mbt-paper."
            )
        embedding = f"embedding{SUFFIX[m]}"
        layout = frame_kernel if m == "video" else kernel
        yield Entry(f"embed.{m}.project.weight", (f"{embedding}/kernel",), layout)
        yield Entry(f"embed.{m}.project.bias", (f"{embedding}/bias",))
        yield Entry(f"positions.{m}", (f"Transformer/posembed_input{SUFFIX[m]}/pos_embedding",))
        if m in model.cls:
            alone = len(model.features) == 1
            yield Entry(f"cls.{m}", ("clsspectrogram" if m == "audio" and not alone else "cls",))
    if model.bottleneck is not None:
        yield Entry("bottleneck", ("bottleneck",))
    for i, layer in enumerate(model.layers):
        for encoder in layer:
            yield from _scenic_block(f"layers.{i}.{encoder}", f"Transformer/encoderblock_{i}{SUFFIX[encoder]}")
    yield from _norm("norm", "Transformer/encoder_norm")
    if not isinstance(model.represent, nn.Identity):
        yield from _linear("represent.0", "pre_logits")
    yield from _linear("head", "output_projection")


def _norm(ours: str, theirs: str) -> Iterator[Entry]:
    yield Entry(f"{ours}.weight", (f"{theirs}/scale",))
    yield Entry(f"{ours}.bias", (f"{theirs}/bias",))


def _linear(ours: str, theirs: str) -> Iterator[Entry]:
    yield Entry(f"{ours}.weight", (f"{theirs}/kernel",), dense)
    yield Entry(f"{ours}.bias", (f"{theirs}/bias",))


def _scenic_block(ours: str, theirs: str) -> Iterator[Entry]:
    attention = f"{theirs}/MultiHeadDotProductAttention_0"
    for kind in ("weight", "bias"):
        name = {"weight": "kernel", "bias": "bias"}[kind]
        parts = tuple(f"{attention}/{part}/{name}" for part in ("query", "key", "value"))
        yield Entry(f"{ours}.attention.in_proj_{kind}", parts, heads_out)
    yield Entry(f"{ours}.attention.out_proj.weight", (f"{attention}/out/kernel",), heads_in)
    yield Entry(f"{ours}.attention.out_proj.bias", (f"{attention}/out/bias",))
    for n in (0, 1):
        yield from _norm(f"{ours}.norm{n + 1}", f"{theirs}/LayerNorm_{n}")
        yield from _linear(f"{ours}.fc{n + 1}", f"{theirs}/MlpBlock_0/Dense_{n}")


def _tree(source: Source) -> dict[str, str]:
    """Path of a parameter in the tree -> its name in the file, whatever joins names there and stands before them."""
    paths = {name: name.replace(".", "/") for name in source}
    return {re.sub(r"^(optimizer/target/)?(params/)?", "", path): name for name, path in paths.items()}


def _is_scenic(source: Source) -> bool:
    return {"Transformer/encoder_norm/scale", "output_projection/bias"} <= _tree(source).keys()


def _scenic(source: Source, model: nn.Module) -> dict[str, Tensor]:
    tree = _tree(source)
    for path, name in tree.items():
        if STATE.match(path):
            source.drop(name, "state of the training, not of the model")
    if model.bottleneck is None and "bottleneck" in tree:
        source.drop(tree["bottleneck"], "no layer reads it: the modalities do not exchange through it")
    return {
        entry.ours: torch.cat([entry.layout(source.take(tree.get(r, r))) for r in entry.references])
        for entry in scenic_entries(model)
    }


# Ours, within a block or outside of one -> theirs.
TIMM_BLOCK = {
    "norm1": ("norm1",),
    "attention.in_proj": ("attn.qkv",),
    "attention.out_proj": ("attn.proj",),
    "norm2": ("norm2",),
    "fc1": ("mlp.fc1",),
    "fc2": ("mlp.fc2",),
}
HF_BLOCK = {
    "norm1": ("layernorm_before",),
    "attention.in_proj": tuple(f"attention.attention.{part}" for part in ("query", "key", "value")),
    "attention.out_proj": ("attention.output.dense",),
    "norm2": ("layernorm_after",),
    "fc1": ("intermediate.dense",),
    "fc2": ("output.dense",),
}
TIMM_REST = {"kernel": "patch_embed.proj", "positions": "pos_embed", "cls": "cls_token", "norm": "norm"}
HF_REST = {
    "kernel": "embeddings.patch_embeddings.projection",
    "positions": "embeddings.position_embeddings",
    "cls": "embeddings.cls_token",
    "norm": "layernorm",
}
UNUSED = re.compile(r"(vit\.)?(head|head_dist|pre_logits|fc_norm|classifier|pooler)\.")


def _is_timm(source: Source) -> bool:
    return "blocks.0.attn.qkv.weight" in source and TIMM_REST["positions"] in source


def _is_hf(source: Source) -> bool:
    return f"{_hf_prefix(source)}encoder.layer.0.attention.attention.query.weight" in source


def _hf_prefix(source: Source) -> str:
    return "vit." if any(name.startswith("vit.") for name in source) else ""


def _timm(source: Source, model: nn.Module) -> dict[str, Tensor]:
    return _from_vit(source, model, "blocks.{}.", TIMM_BLOCK, TIMM_REST)


def _hf(source: Source, model: nn.Module) -> dict[str, Tensor]:
    prefix = _hf_prefix(source)
    rest = {ours: prefix + theirs for ours, theirs in HF_REST.items()}
    return _from_vit(source, model, prefix + "encoder.layer.{}.", HF_BLOCK, rest)


def _from_vit(
    source: Source, model: nn.Module, block: str, names: dict[str, tuple[str, ...]], rest: dict[str, str]
) -> dict[str, Tensor]:
    """Encoders, patch kernels, positions, bottleneck and last norm of MBT from one image ViT.

    Raises:
        WeightsError: if the model takes feature vectors, or positions cannot be made to fit.
    """
    state = {}
    for name in source:
        if UNUSED.match(name):
            source.drop(name, "head of the image classifier")
    for i, layer in enumerate(model.layers):
        for ours, theirs in names.items():
            for kind in ("weight", "bias"):
                tensor = torch.cat([source.take(f"{block.format(i)}{t}.{kind}").float() for t in theirs])
                joint = "_" if ours.endswith("in_proj") else "."
                state |= {f"layers.{i}.{encoder}.{ours}{joint}{kind}": tensor for encoder in layer}
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = source.take(f"{rest['norm']}.{kind}").float()
    weight, bias = (source.take(f"{rest['kernel']}.{kind}").float() for kind in ("weight", "bias"))
    first, grid = _grid(source.take(rest["positions"]).float(), len(model.cls) > 0)
    for m in model.features:
        if m not in model.shapes:
            raise WeightsError(f"the spec reads {m} as feature vectors; a ViT's weights are for patches of raw input.")
        patches = model.embed[m]
        state[f"embed.{m}.project.weight"] = (
            _inflate(weight, patches.project.weight.shape[2]) if m == "video" else weight
        )
        state[f"embed.{m}.project.bias"] = bias
        frames = patches.grid[0] if m == "video" else 1
        state[f"positions.{m}"] = torch.cat([first, resize(grid, patches.grid[-2:]).repeat(1, frames, 1)], 1)
    if model.bottleneck is not None:
        state["bottleneck"] = torch.cat([first, resize(grid, _factors(model.bottleneck.shape[1] - first.shape[1]))], 1)
    if model.cls:
        # The release looks for the spectrogram's class token under another name than it has: that one stays zero.
        state[f"cls.{'video' if 'video' in model.cls else 'audio'}"] = source.take(rest["cls"]).float()
    else:
        source.drop(rest["cls"], "the spec pools tokens: there is no class token")
    return state


def _grid(positions: Tensor, classes: bool) -> tuple[Tensor, Tensor]:
    """(1, [1 +] g g, D) -> the class token's position (1, 0 or 1, D), and the square grid (g, g, D)."""
    count = positions.shape[1]
    before = next((n for n in (1, 0) if math.isqrt(count - n) ** 2 == count - n > 0), None)
    if before is None or before < classes:
        raise WeightsError(
            f"the ViT has {count} positions; wanted those of a square grid"
            + (", with one more for the class token. Use classifier: gap." if before == 0 else ".")
        )
    side = math.isqrt(count - before)
    return positions[:, : int(classes)], positions[0, before:].unflatten(0, (side, side))


def _inflate(weight: Tensor, frames: int) -> Tensor:
    """A 2-D kernel in the central frame of a tubelet: (D, 3, rows, columns) -> (D, 3, frames, rows, columns)."""
    inflated = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    inflated[:, :, frames // 2] = weight
    return inflated


def resize(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Linear interpolation that keeps the corners: (g, g', D) -> (1, size[0] size[1], D)."""
    x = grid.movedim(-1, 0).unsqueeze(0)
    if x.shape[2:] != tuple(size):
        x = F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
    return x.flatten(2).transpose(1, 2)


def _factors(bottlenecks: int) -> tuple[int, int]:
    rows = math.isqrt(bottlenecks)
    if bottlenecks % rows:
        raise WeightsError(
            f"{bottlenecks} bottleneck tokens are no grid of {rows} rows, which positions are resized to. Use a number "
            "that its square root, rounded down, divides."
        )
    return rows, bottlenecks // rows


_VIT_KEEPS = (
    "the head, and a layer before it, are new, as in the release; so is the spectrogram's class token, which the "
    "release does not restore"
)
FORMATS = (
    Format(
        name="Scenic",
        source="google-research/scenic at 4a38d475, scenic/projects/mbt/model.py: parameters of MBT",
        recognises=_is_scenic,
        sizes=lambda source: ({}, len(source[_tree(source)["output_projection/bias"]])),
        translate=_scenic,
    ),
    Format(
        name="timm ViT",
        source="timm, vision_transformer.py: an image ViT as the start of every encoder",
        recognises=_is_timm,
        sizes=lambda source: ({}, None),
        translate=_timm,
        keeps=_VIT_KEEPS,
    ),
    Format(
        name="Hugging Face ViT",
        source="transformers, ViTModel or ViTForImageClassification: an image ViT as the start of every encoder",
        recognises=_is_hf,
        sizes=lambda source: ({}, None),
        translate=_hf,
        keeps=_VIT_KEEPS,
    ),
)
