"""What a trained model is shown: every example of a part, under any condition, with any modality taken away.

Corrupted media are made on the fly and their features kept for the next method: all methods and seeds meet
the same draws, which are the draws of the runs' own conditions too.
"""

from collections.abc import Callable, Collection, Iterator

import numpy as np
import torch
from torch import Tensor

from protocols.batches import Part, pad
from protocols.corruptions import Condition

Streams = dict[str, list[np.ndarray]]  # modality -> N arrays (T_i, D), standardised
Predict = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]
ABSENCE = ("mean", "raw_zeros", "other_sample")


class Presenter:
    """The examples of one part as streams of standardised features.

    Args:
        part: usually the test part, opened through the ledger.
    """

    def __init__(self, part: Part):
        self.part = part

    def streams(self, modalities: Collection[str], condition: Condition) -> Streams:
        """Features of every example under a condition, examples in the order of the part.

        Raises:
            ValueError: where the condition is not defined for these streams.
        """
        return {m: self.part.sequences(m, [condition] * len(self.part), "test") for m in modalities}

    def without(self, streams: Streams, absent: Collection[str], rule: str, draw: int = 0) -> Streams:
        """The same streams with some modalities taken away; lengths stay, masks stay full.

        Args:
            rule: ``mean``: the training mean, which is zero after standardisation (the absence rule of the
                protocols). ``raw_zeros``: digital silence, black frames or zero features, sent through feature
                extraction and standardisation. ``other_sample``: the stream of another example, drawn by ``draw``,
                cut or repeated to the length that it replaces.
        """
        if rule != "mean":
            raise NotImplementedError(rule)
        return {m: [np.zeros_like(x) for x in s] if m in absent else s for m, s in streams.items()}


def batches(streams: Streams, size: int) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Inputs and masks of ``size`` examples at a time, in order."""
    count = len(next(iter(streams.values())))
    for start in range(0, count, size):
        padded = {m: pad(sequences[start : start + size]) for m, sequences in streams.items()}
        yield {m: x for m, (x, _) in padded.items()}, {m: mask for m, (_, mask) in padded.items()}


def score(predict: Predict, streams: Streams, size: int) -> np.ndarray:
    """(items, K) scores: one row an example, or a step where the model scores each step."""
    found = []
    with torch.inference_mode():
        for inputs, masks in batches(streams, size):
            scores = predict(inputs, masks)
            if scores.ndim == 3:
                scores = scores[next(iter(masks.values()))]
            found.append(scores.float().cpu().numpy())
    return np.concatenate(found)
