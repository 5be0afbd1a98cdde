"""Key maps of the methods that follow the utterances of a video.

Source   soujanyaporia/contextual-multimodal-fusion at fe759b3, trimodal_attention_models.py. Keras writes HDF5,
         which is not read here: save the arrays under ``<layer>/<weight>``, the layers called ``rnn_<modality>``
         (with ``forward`` and ``backward`` below), ``dense_<modality>`` and ``output``.

Keras keeps inputs in rows and the gates side by side in columns: update, reset, candidate.
"""

import torch
from torch import Tensor, nn

from zoo.weights import Format, Source

MODALITIES = ("text", "audio", "video")
PARTS = {"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"}  # ours, theirs


def _recognises(source: Source) -> bool:
    return all(f"{layer}/kernel" in source for layer in ("output", "rnn_text/forward", "dense_text"))


def _sizes(source: Source) -> tuple[dict[str, int], int]:
    return {m: len(source[f"rnn_{m}/forward/kernel"]) for m in MODALITIES}, len(source["output/bias"])


def _translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    state = _dense(source, "head", "output")
    for m in MODALITIES:
        state |= _both_directions(source, f"contexts.gru.{m}", f"rnn_{m}", gates=3)
        state |= _dense(source, f"contexts.dense.{m}", f"dense_{m}")
    return state


def _dense(source: Source, ours: str, theirs: str) -> dict[str, Tensor]:
    kernel = source.take(f"{theirs}/kernel")  # (in, out)
    return {f"{ours}.weight": kernel.T.contiguous(), f"{ours}.bias": source.take(f"{theirs}/bias")}


def _both_directions(source: Source, ours: str, theirs: str, *, gates: int) -> dict[str, Tensor]:
    state = {}
    for part, name in PARTS.items():
        both = torch.stack([source.take(f"{theirs}/{way}/{name}") for way in ("forward", "backward")])
        both = both.unflatten(-1, (gates, -1))  # (2, in, G, H), or (2, G, H) for the bias
        state[f"{ours}.{part}"] = (both.transpose(1, 2) if both.ndim == 4 else both).contiguous()
    return state


FORMATS: tuple[Format, ...] = (
    Format(
        name="released code",
        source="soujanyaporia/contextual-multimodal-fusion at fe759b3: weights of contextual_attention_model",
        recognises=_recognises,
        sizes=_sizes,
        translate=_translate,
    ),
)
