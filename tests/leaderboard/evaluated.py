"""Made-up evaluations with the names that real ones have, for the tests of the pages that show them."""

import numpy as np

from protocols.spec import ProtocolSpec
from protocols.suite import Suite

ONE = "the model uses one modality, so there is nothing to share out."
NO_ATTENTION = "the model has no attention."
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def contribution(
    suite: Suite, modalities: tuple[str, ...], seed: int, lean: float = 0.7, classes: tuple[str, ...] = DIGITS
) -> dict[tuple[str, str], float | str]:
    """Findings on contribution and imbalance; the first modality has the share ``lean`` when all is clean."""
    rng = np.random.default_rng(seed)
    if len(modalities) == 1:
        return {("clean", f"shapley/{modalities[0]}"): ONE, ("clean", "intershap"): ONE}
    found = {}
    for place, condition in enumerate(suite.contribution.conditions):
        first = lean - 0.18 * place + 0.02 * rng.standard_normal()
        rest = (1 - first) / (len(modalities) - 1)
        for m, share in zip(modalities, [first] + [rest] * (len(modalities) - 1), strict=True):
            value = (0.8 - 0.15 * place) * share + 0.01 * rng.standard_normal()
            own = {f"shapley/{m}": value, f"shapley_share/{m}": share, f"shape/{m}": value / 0.9}
            own |= {f"shapley/{m}/class={c}": value + 0.2 * rng.standard_normal() for c in classes}
            own |= {f"{name}/{rule}": v + 0.05 for name, v in own.items() for rule in suite.contribution.rules[1:]}
            own |= {f"absence_gap/{m}": 0.05, f"utilisation/{m}": share / 2, f"perceptual/{m}": share / 2}
            own |= {f"perceptual/{m}/{kind}": share / 3 for kind in ("within", "across")}
            own |= {f"mm_shap/{m}": share, f"mm_shap/{m}/mean": share}
            found |= {(condition, name): number for name, number in own.items()}
        joint = {"shape_cooperation": 0.04, "shape_cooperation/raw": 0.03, "intershap": 0.12, "intershap/local": 0.15}
        joint |= {"emap_gap": 0.02 + 0.005 * rng.standard_normal(), "intershap/raw_zeros": 0.2}
        joint |= {f"shapley_interaction/{modalities[0]}+{m}": 0.05 for m in modalities[1:]}
        pid = ["pid/redundant", "pid/synergistic", *(f"pid/unique/{m}" for m in modalities)]
        if len(modalities) == 2:
            joint |= {name: 0.2 + 0.02 * rng.standard_normal() for name in pid}
            joint |= {f"{name}/shuffled": 0.05 for name in pid}
        else:
            joint |= dict.fromkeys(pid, f"defined for two modalities; the model uses {len(modalities)}.")
        found |= {(condition, name): number for name, number in joint.items()}
    imbalance = {f"inside/{m}": 0.9 - 0.4 * place + 0.02 * rng.standard_normal() for place, m in enumerate(modalities)}
    imbalance |= {f"discrepancy/{m}": "the model has no uni-modal heads." for m in modalities}
    imbalance |= {f"discrepancy/{m}/absent": 1.4 if m == modalities[0] else 0.7 for m in modalities}
    imbalance |= {"entropy_gap/absent": 0.3, "ogr": 0.8 + 0.05 * rng.standard_normal()}
    return found | {("clean", name): number for name, number in imbalance.items()}


def attention(suite: Suite, modalities: tuple[str, ...], seed: int, maps: bool = True) -> dict:
    """Findings on attention and faithfulness; without ``maps`` the model has none."""
    rng = np.random.default_rng(seed)
    found = {}
    for condition in suite.attention.conditions:
        for query in modalities:
            for key in modalities:
                link = f"{query}<-{key}"
                entropy = 0.7 + 0.05 * rng.standard_normal()
                found[condition, f"attention_entropy/{link}"] = entropy if maps else NO_ATTENTION
                found[condition, f"attention_cells/{link}"] = 13 * entropy if maps else NO_ATTENTION
                found[condition, f"attention_sparsity/{link}"] = 0.01 if maps else NO_ATTENTION
        for m in modalities:
            found[condition, f"attention_share/{m}"] = 1 / len(modalities) if maps else NO_ATTENTION
        for place, saliency in enumerate(("attention", "gradient", "random")):
            none = not maps and saliency == "attention"
            for name, best in {"comprehensiveness": 0.4, "insertion_auc": 0.7}.items():
                value = best - 0.1 * place + 0.02 * rng.standard_normal()
                found[condition, f"{name}/{saliency}"] = NO_ATTENTION if none else value
            for name, best in {"sufficiency": 0.2, "deletion_auc": 0.3}.items():
                value = best + 0.1 * place + 0.02 * rng.standard_normal()
                found[condition, f"{name}/{saliency}"] = NO_ATTENTION if none else value
        found[condition, "gradient_tau"] = 0.2 if maps else NO_ATTENTION
        found[condition, "random_tau/attention"] = 0.6 if maps else NO_ATTENTION
        found[condition, "random_tau/gradient"] = 0.05
    for sweep in suite.attention.drifts:
        disturbed = sweep.partition("/")[0]
        for m in modalities:
            if m != disturbed:
                found |= drifts(suite, sweep, m, rng, maps)
    return found


def drifts(suite: Suite, sweep: str, watched: str, rng: np.random.Generator, maps: bool) -> dict:
    """The drift of one modality over a sweep that disturbs another, and its controls."""
    found = {(sweep, f"drift_area/{watched}"): 0.08 if maps else NO_ATTENTION}
    found["clean", f"drift/{watched}/retest"] = 0.0 if maps else NO_ATTENTION
    for place, severity in enumerate(suite.sweeps[sweep]):
        value = 0.02 + 0.03 * place + 0.004 * rng.standard_normal()
        kinds = {"": value, "/unchanged": value * 0.8, "/changed": value * 1.3, "/random": 0.01}
        for kind, number in kinds.items():
            found[f"{sweep}/{severity}", f"drift/{watched}{kind}"] = number if maps else NO_ATTENTION
        found[f"{sweep}/{severity}", f"drift/{sweep.partition('/')[0]}/same"] = value * 2 if maps else NO_ATTENTION
        found[f"{sweep}/{severity}", f"drift/{watched}/gradient"] = value * 1.5
        found[f"{sweep}/{severity}", "share_drift"] = 0.06 if maps else NO_ATTENTION
    return found


def exhibits(suite: Suite, steps: dict[str, int], examples: dict[str, str], seed: int, maps: bool = True) -> list[dict]:
    """Saliency of some examples (id -> class) over so many steps of each modality."""
    rng = np.random.default_rng(seed)
    return [
        {
            "id": name,
            "condition": condition,
            "label": label,
            "predicted": label if rng.random() < 0.7 else "nine",
            "probability": float(rng.uniform(0.3, 0.99)),
            "modalities": {
                m: {"attention": _peak(rng, count) if maps else None, "gradient": _peak(rng, count)}
                for m, count in steps.items()
            },
            "share": {m: 1 / len(steps) for m in steps} if maps else None,
        }
        for condition in suite.attention.conditions
        for name, label in examples.items()
    ]


def _peak(rng: np.random.Generator, count: int) -> list[float]:
    place = np.arange(count) / max(count - 1, 1)
    weights = 0.1 * rng.random(count) + np.exp(-(((place - rng.uniform(0.3, 0.8)) / 0.15) ** 2))
    return (weights / weights.sum()).tolist()


def fill(bundles, spec: ProtocolSpec, suite: Suite, methods: dict[str, dict], seeds: int = 5) -> None:
    """Runs of a protocol, each with its evaluation.

    Args:
        methods: name -> ``base``, ``accuracy``, ``modalities``, ``maps``, and ``exhibits`` (what `exhibits` takes).
    """
    for place, (name, told) in enumerate(methods.items()):
        for number, (seed, fold) in enumerate(spec.runs(seeds)):
            values = {}
            for condition in dict.fromkeys([*spec.conditions, *suite.contribution.conditions]):
                values[condition, "accuracy"] = told["accuracy"] + 0.01 * (number % 3)
                values[condition, "accuracy/majority_class"] = 0.1
            folder = bundles.add(
                name, seed, base=told["base"], spec=spec, fold=fold, settings=told.get("settings"), values=values
            )
            modalities = told["modalities"]
            findings = contribution(suite, modalities, 100 * place + number, lean=0.5 + 0.05 * place)
            findings |= attention(suite, modalities, 100 * place + number, told["maps"])
            shown = told.get("exhibits")
            kept = exhibits(suite, *shown, seed=100 * place + number, maps=told["maps"]) if shown else []
            bundles.measure(folder, findings, n=250, suite=suite.key, exhibits=kept)
