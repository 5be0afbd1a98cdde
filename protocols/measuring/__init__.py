"""How the evaluation metrics are taken of a trained model: one file for each family.

Every family is a function ``measure(subject, presenter, suite) -> Iterator[Finding]``. It knows the model only as
a callable; the arithmetic of the metrics stands in ``protocols.metrics``, arrays in and numbers out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from protocols.presentation import Predict, Streams, score

Heads = Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]
# In the order in which they are taken.
FAMILIES = {
    "robustness": "protocols.measuring.robustness:measure",
    "contribution": "protocols.measuring.contribution:measure",
    "mm_shap": "protocols.measuring.mm_shap:measure",
    "imbalance": "protocols.measuring.imbalance:measure",
    "attention": "protocols.measuring.attention:measure",
    "faithfulness": "protocols.measuring.faithfulness:measure",
    "cost": "protocols.measuring.cost:measure",
}


@dataclass(frozen=True)
class Finding:
    """One number, or the reason why there is none.

    Args:
        condition: a condition, or the common part of a sweep's conditions (``audio/white_noise``).
        metric: key of METRICS, qualified after a slash.
        value: None where the metric is undefined; then ``reason`` says why.
        n: scored items behind it.
    """

    condition: str
    metric: str
    value: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Subject:
    """A trained model as the metrics see it, in evaluation mode.

    Args:
        predict: ``(inputs, masks) -> (B, K)`` or (B, T, K); differentiable outside of inference mode.
        recorder: ``with recorder() as maps: predict(...)`` fills ``maps`` with (label, (B, H, Tq, Tk)), label
            ``"query<-key/layer"``, ``":features"``, ``":modalities"`` or ``":edges"`` at its end where columns are no
            steps.
        untrained: the same architecture with its first weights.
        modalities: what it uses, in the order of the zoo.
        size: examples a batch.
        model: the module behind ``predict``, for what is counted and not computed; None for a bare callable.
        heads: ``(inputs, masks) -> modality -> (B, K)`` or (B, T, K), the scores of its uni-modal heads; None
            where it has none.
    """

    predict: Predict
    recorder: Callable[[], AbstractContextManager[list[tuple[str, Tensor]]]]
    untrained: Callable[[], "Subject"]
    modalities: tuple[str, ...]
    size: int
    model: nn.Module | None = None
    heads: Heads | None = None

    def scores(self, streams: Streams) -> np.ndarray:
        """(items, K) scores of streams that a Presenter made."""
        return score(self.predict, streams, self.size)
