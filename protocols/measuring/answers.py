"""What the scores of a task say: the prediction, how strongly it is made, and how good it is.

==============  ===============================  =========================================  ==========================
task            prediction                       strength                                   worth
==============  ===============================  =========================================  ==========================
classification  the class of the largest score   its probability                            accuracy
multilabel      each label, present or absent    the probability of what is said of it      the primary metric
regression      a number of each target          the number                                 the primary metric; of an
                                                                                            error the part of it that
                                                                                            is gone: 1 - error / error
                                                                                            of the mean of the targets
==============  ===============================  =========================================  ==========================

Of a worth more is better, and 1 is perfect; so it can be shared out among modalities whatever the task.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from protocols.batches import Part
from protocols.evaluation import score_of
from protocols.metrics import Undefined, metric

CLASSIFICATION, REGRESSION = "classification", "regression"
NO_CLASSES = "it is of classes, and the task is {}"


def probabilities(task: str, scores: Tensor) -> Tensor:
    """(..., K) of each class or label; in a regression the numbers themselves."""
    if task == CLASSIFICATION:
        return scores.softmax(-1)
    return scores if task == REGRESSION else scores.sigmoid()


def said(task: str, probabilities: np.ndarray) -> np.ndarray:
    """The prediction: (...) classes, (..., K) bool of labels, or (..., K) numbers."""
    if task == CLASSIFICATION:
        return probabilities.argmax(-1)
    return probabilities if task == REGRESSION else probabilities > 0.5


def strength(task: str, probabilities: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """How strongly ``prediction`` is made: (..., P), P being 1 for classes, else K.

    Args:
        prediction: of other scores, perhaps: as ``said`` gives it, of any shape that fits by broadcasting.
    """
    if task == CLASSIFICATION:
        chosen = np.broadcast_to(prediction[..., None], (*probabilities.shape[:-1], 1))
        return np.take_along_axis(probabilities, chosen, -1)
    return probabilities if task == REGRESSION else np.where(prediction, probabilities, 1 - probabilities)


@dataclass(frozen=True)
class Worth:
    """How good scores are, by the table above.

    Args:
        task: key of ``protocols.tasks.TASKS``.
        primary: the protocol's primary metric; of classes accuracy counts, whatever it is.
        targets: names of the K targets or labels.
    """

    task: str = CLASSIFICATION
    primary: str = "accuracy"
    targets: tuple[str, ...] = ()

    @classmethod
    def of(cls, part: Part) -> "Worth":
        """As the protocol of a part asks for it."""
        return cls(part.spec.task, part.spec.metrics[0], part.examples.classes)

    def items(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(items,) whose mean is the worth of (items, K) scores; (1,) where only all items together have one.

        Raises:
            Undefined: where the metric is.
        """
        if self.task == CLASSIFICATION:
            return scores.argmax(1) == labels
        return np.array([self._together(scores, labels)])

    def __call__(self, scores: np.ndarray, labels: np.ndarray) -> float:
        """The worth of (items, K) scores.

        Raises:
            Undefined: where the metric is.
        """
        return float(self.items(scores, labels).mean())

    def nothing(self, labels: np.ndarray) -> float:
        """What the answer without a model is worth: the most frequent class, the mean, no label at all.

        Raises:
            Undefined: where the metric is.
        """
        if self.task == CLASSIFICATION:
            return float(np.bincount(labels).max() / len(labels))
        return self._together(self._constant(labels), labels)

    def _together(self, scores: np.ndarray, labels: np.ndarray) -> float:
        score = score_of(self.primary, self.targets)
        if metric(self.primary).higher_is_better:
            return score(scores, labels)
        if not (without := score(self._constant(labels), labels)):
            raise Undefined("the mean of the targets makes no error, so no part of it can be gone")
        return 1 - score(scores, labels) / without

    def _constant(self, labels: np.ndarray) -> np.ndarray:
        return np.broadcast_to(labels.mean(0) if self.task == REGRESSION else np.float32(-1), labels.shape)
