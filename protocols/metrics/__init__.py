"""METRICS: name -> direction, bounds and the function that computes it. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from protocols.tasks import TASKS


class Undefined(ValueError):
    """A metric that has no value here, and why: the reason takes the number's place."""


@dataclass(frozen=True)
class Metric:
    """A number and how to read it.

    Args:
        target: ``"module:function"``; the function takes whole-split arrays and returns one float.
        higher_is_better: None for a size that is neither good nor bad.
        bounds: of the value, in its own unit.
        unit: ``"fraction"`` is drawn as percent; anything else is drawn as is.
    """

    name: str
    title: str
    target: str
    higher_is_better: bool | None
    bounds: tuple[float, float]
    unit: str = "fraction"

    def score(self) -> Callable:
        """The function, imported on first use."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


INF = float("inf")
ROBUSTNESS, CONTRIBUTION = "protocols.metrics.robustness", "protocols.metrics.contribution"
IMBALANCE, ATTENTION = "protocols.metrics.imbalance", "protocols.metrics.attention"
FAITHFULNESS, COST = "protocols.metrics.faithfulness", "protocols.metrics.cost"
COUNTED = "protocols.measuring.cost"  # of a pass itself, not of an array
REGRESSION, MULTILABEL = "protocols.metrics.regression", "protocols.metrics.multilabel"
METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", "Accuracy", "protocols.metrics.task:accuracy", True, (0.0, 1.0)),
        Metric("macro_f1", "Macro F1", "protocols.metrics.task:macro_f1", True, (0.0, 1.0)),
        Metric("weighted_f1", "Weighted F1", "protocols.metrics.task:weighted_f1", True, (0.0, 1.0)),
        # Regression; a qualifier names the target.
        Metric("mae", "Mean absolute error", f"{REGRESSION}:mae", False, (0.0, INF), "label units"),
        Metric("pearson", "Correlation", f"{REGRESSION}:pearson", True, (-1.0, 1.0), "r"),
        Metric("ccc", "Concordance correlation", f"{REGRESSION}:ccc", True, (-1.0, 1.0), "CCC"),
        Metric("acc7", "Accuracy, 7 levels", f"{REGRESSION}:acc7", True, (0.0, 1.0)),
        Metric("acc5", "Accuracy, 5 levels", f"{REGRESSION}:acc5", True, (0.0, 1.0)),
        Metric("acc2_nonzero", "Accuracy of the sign, non-zero", f"{REGRESSION}:acc2_nonzero", True, (0.0, 1.0)),
        Metric("f1_nonzero", "F1 of the sign, non-zero", f"{REGRESSION}:f1_nonzero", True, (0.0, 1.0)),
        Metric(
            "f1_nonzero_by_prediction",
            "F1 of the sign, non-zero, as MulT's code weighs it",
            f"{REGRESSION}:f1_nonzero_by_prediction",
            True,
            (0.0, 1.0),
        ),
        Metric("acc2_with_zero", "Accuracy of the sign, with zero", f"{REGRESSION}:acc2_with_zero", True, (0.0, 1.0)),
        Metric("f1_with_zero", "F1 of the sign, with zero", f"{REGRESSION}:f1_with_zero", True, (0.0, 1.0)),
        # Labels that may occur together; a qualifier names the label.
        Metric("binary_accuracy", "Accuracy of present or absent", f"{MULTILABEL}:binary_accuracy", True, (0.0, 1.0)),
        Metric("binary_f1", "Weighted F1 of present and absent", f"{MULTILABEL}:binary_f1", True, (0.0, 1.0)),
        Metric("map", "Mean average precision", f"{MULTILABEL}:mean_average_precision", True, (0.0, 1.0)),
        # Robustness; the condition of a score over a sweep is the sweep: audio/white_noise.
        # Area and worst are in the unit of their score, and as good as it is.
        Metric("area", "Area under the robustness curve", f"{ROBUSTNESS}:area", True, (0.0, 1.0)),
        Metric("worst", "Score at the worst severity", f"{ROBUSTNESS}:worst", True, (0.0, 1.0)),
        Metric("retention", "Share of the clean score kept", f"{ROBUSTNESS}:retention", True, (-INF, INF)),
        Metric("corruption_error", "Corruption error", f"{ROBUSTNESS}:corruption_error", False, (0.0, INF)),
        Metric("effective", "Effective robustness", f"{ROBUSTNESS}:effective_robustness", True, (-INF, INF)),
        # Contribution; qualified by modality, then by absence rule or class.
        Metric("shapley", "Shapley value of the score", f"{CONTRIBUTION}:shapley", None, (-INF, INF)),
        Metric("shapley_share", "Shapley share, label-free", f"{CONTRIBUTION}:shapley_share", None, (0.0, 1.0)),
        Metric("shapley_interaction", "Shapley interaction", f"{CONTRIBUTION}:interaction", None, (-INF, INF)),
        Metric("shape", "SHAPE contribution", f"{CONTRIBUTION}:shape", None, (-INF, INF)),
        Metric("shape_cooperation", "SHAPE cooperation", f"{CONTRIBUTION}:shape_cooperation", None, (-INF, INF)),
        Metric("intershap", "InterSHAP, interaction share", f"{CONTRIBUTION}:intershap", None, (0.0, 1.0)),
        Metric("emap_gap", "EMAP gap, model - additive projection", f"{CONTRIBUTION}:emap_gap", None, (-INF, INF)),
        Metric("perceptual", "Perceptual score", f"{CONTRIBUTION}:perceptual", None, (-INF, INF)),
        Metric("utilisation", "Conditional utilisation rate", f"{CONTRIBUTION}:utilisation", None, (-INF, INF)),
        Metric("absence_gap", "Disagreement of absence rules", f"{CONTRIBUTION}:absence_gap", None, (0.0, 1.0)),
        Metric("mm_shap", "MM-SHAP share", "protocols.metrics.mm_shap:share", None, (0.0, 1.0)),
        Metric("pid", "PID", "protocols.metrics.pid:decompose", None, (0.0, INF), "bits"),
        # Imbalance.
        Metric("discrepancy", "OGM-GE discrepancy ratio", f"{IMBALANCE}:discrepancy_ratio", None, (0.0, INF), "ratio"),
        Metric("inside", "Score of a modality inside the model", f"{IMBALANCE}:inside", None, (-INF, 1.0)),
        Metric("entropy_gap", "Prediction-entropy gap", f"{IMBALANCE}:entropy_gap", None, (0.0, INF), "nats"),
        Metric("ogr", "Overfitting-to-generalisation ratio", f"{IMBALANCE}:ogr", False, (-INF, INF), "ratio"),
        # Attention behaviour and faithfulness.
        Metric("attention_entropy", "Attention entropy / log n", f"{ATTENTION}:entropy", None, (0.0, 1.0)),
        Metric("attention_cells", "Effective cells", f"{ATTENTION}:effective_cells", None, (1.0, INF), "cells"),
        Metric("attention_sparsity", "Share of zero weights", f"{ATTENTION}:sparsity", None, (0.0, 1.0)),
        Metric("attention_share", "Modality share by rollout", f"{ATTENTION}:modality_share", None, (0.0, 1.0)),
        Metric("drift", "Cross-modal saliency drift (ours, v1)", f"{ATTENTION}:drift", None, (0.0, 1.0)),
        Metric("drift_area", "Area of saliency drift (ours, v1)", f"{ATTENTION}:drift_area", None, (0.0, 1.0)),
        Metric("share_drift", "Drift of modality shares (ours, v1)", f"{ATTENTION}:share_drift", None, (0.0, 1.0)),
        Metric("comprehensiveness", "Comprehensiveness", f"{FAITHFULNESS}:comprehensiveness", True, (-1.0, 1.0)),
        Metric("sufficiency", "Sufficiency", f"{FAITHFULNESS}:sufficiency", False, (-1.0, 1.0)),
        Metric("deletion_auc", "Deletion AUC", f"{FAITHFULNESS}:curve_area", False, (0.0, 1.0)),
        Metric("insertion_auc", "Insertion AUC", f"{FAITHFULNESS}:curve_area", True, (0.0, 1.0)),
        Metric("gradient_tau", "Rank agreement with gradients", f"{FAITHFULNESS}:kendall", None, (-1.0, 1.0), "tau"),
        Metric("random_tau", "Rank agreement with random weights", f"{FAITHFULNESS}:kendall", None, (-1.0, 1.0), "tau"),
        # Cost.
        Metric("parameters", "Parameters", f"{COST}:parameters", None, (0.0, INF), "parameters"),
        Metric("flops", "FLOPs of one example", f"{COUNTED}:flops", False, (0.0, INF), "FLOPs"),
        Metric("latency_p50", "Median latency at batch 1", f"{COST}:latency", False, (0.0, INF), "s"),
        Metric("latency_p95", "95th percentile of latency at batch 1", f"{COST}:latency", False, (0.0, INF), "s"),
        Metric("throughput", "Throughput", f"{COST}:throughput", True, (0.0, INF), "examples/s"),
        Metric("peak_memory", "Peak memory of a pass", f"{COUNTED}:peak_memory", False, (0.0, INF), "bytes"),
        Metric("energy", "Measured energy of one example", f"{COST}:energy", False, (0.0, INF), "J"),
        Metric("spiking_energy", "Spiking energy, an estimate", f"{COST}:spiking_energy", False, (0.0, INF), "J"),
    )
}


IN_ITS_UNIT = ("area", "worst", "effective")  # of the score that follows the slash
# What a protocol may name for its task: whole-split scores and labels in, one number out.
OF_TASK = {
    name: tuple(metric for metric, card in METRICS.items() if card.target.startswith(f"{task.metrics}:"))
    for name, task in TASKS.items()
}


def metric(name: str) -> Metric:
    """The metric of a record. What follows a slash only qualifies it, but ``area/mae`` is in the unit of ``mae``.

    Raises:
        KeyError: listing what is known.
    """
    base, _, of = name.partition("/")
    if base not in METRICS:
        raise KeyError(f"No metric {base!r}. Known: {', '.join(METRICS)}.")
    score = METRICS.get(of.partition("/")[0])
    if base in IN_ITS_UNIT and score:
        way = {} if base == "effective" else {"higher_is_better": score.higher_is_better, "bounds": score.bounds}
        return replace(METRICS[base], unit=score.unit, **way)
    return METRICS[base]
