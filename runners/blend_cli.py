"""``fuseboard blend``: the loss weights of Gradient-Blending, from finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from runners.options import WRONG_INPUT, BundleRoot, Json
from runners.output import print_rows, say

DIGITS = 3


def blend(
    methods: Annotated[list[str], typer.Argument(help="A method of each modality alone, and the joint one.")],
    protocol: Annotated[str, typer.Option(help="name@version, under which they were run.")],
    bundle_root: BundleRoot = None,
    json: Json = False,
):
    """Estimate the loss weights of Gradient-Blending.

    From the learning curves of finished runs: what each network gains on the validation part, over the square of what
    it overfits. Weights of each seed or fold that all have, and their mean as a remedy for a spec.
    """
    from protocols.spec import load
    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root)
    try:
        rows = estimates(found.bundle_root, methods, load(protocol))
    except ValueError as error:
        say(f"Error: {error}")
        raise typer.Exit(WRONG_INPUT) from None
    mean = {head: round(sum(row[head] for row in rows) / len(rows), DIGITS) for head in rows[0] if head != "run"}
    if json:
        print_rows({"runs": rows, "weights": mean}, True)
        return
    print_rows([{k: v if k == "run" else f"{v:.{DIGITS}f}" for k, v in row.items()} for row in rows], False)
    weights = ", ".join(f"{head}: {weight}" for head, weight in mean.items())
    print(f"remedy: {{name: gradient_blending, weights: {{{weights}}}}}")


def estimates(root: Path, names: list[str], spec) -> list[dict[str, str | float]]:
    """The weights of each seed or fold: ``run``, the modalities, ``joint``.

    Args:
        root: of the bundles.
        names: of methods with finished runs, one of each modality of the joint one alone, in any order.

    Raises:
        ValueError: naming the network that is missing, stands twice, or whose curve gives no weight.
    """
    import json

    from protocols.metrics.imbalance import gradient_blending_weights
    from runners.evaluate import find_runs, learning_curves
    from zoo.remedies.keys import JOINT
    from zoo.spec import MethodSpec

    curves, fused = {}, ()
    for name in names:
        for folder in find_runs(root, [name], spec.key):
            told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            used = MethodSpec.model_validate(told["method"]).takes(spec.modalities, aligned=spec.aligned)
            head = used[0] if len(used) == 1 else JOINT
            fused = used if head == JOINT else fused
            run = f"fold {told['fold']}" if told["fold"] else f"seed {told['seed']}"
            if run in curves.setdefault(head, {}):
                raise ValueError(f"two runs of {head} with {run}; name one method for each modality and one joint one.")
            curves[head][run] = learning_curves(folder)
    if JOINT not in curves:
        raise ValueError(f"{', '.join(names)} take one modality each; name the joint method too.")
    heads = (*fused, JOINT)
    if set(curves) != set(heads):
        alone = ", ".join(head for head in curves if head != JOINT) or "no modality"
        raise ValueError(f"the joint method takes {', '.join(fused)}; the others named take {alone} alone.")
    shared = sorted(set.intersection(*(set(curves[head]) for head in heads)))
    if not shared:
        raise ValueError(f"no seed or fold of {spec.key} was run with all of {', '.join(names)}.")
    return [{"run": run, **gradient_blending_weights({head: curves[head][run] for head in heads})} for run in shared]
