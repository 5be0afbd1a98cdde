"""fuseboard bench: what a method costs."""

from typing import Annotated, Literal

import typer

from runners.options import FAILED, WRONG_INPUT, Json, sizes_by_modality
from runners.output import print_card, say

# Widths of CMU-MOSEI's features as most papers use them, aligned to words.
WIDTHS = {"audio": 74, "video": 35, "text": 300}
STEPS = 50


def bench(
    method: Annotated[str, typer.Argument(help="Method, preset or YAML file.")],
    batch: Annotated[int, typer.Option(min=1, help="Clips in a batch.")] = 32,
    steps: Annotated[
        str | None, typer.Option(help=f"Steps of a clip, {STEPS} where not given: audio=300,video=75.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Modalities and widths, or shapes of one step: audio=40,video=432 or video=224x224x3. Those of "
            "CMU-MOSEI if not given: audio=74,video=35,text=300."
        ),
    ] = None,
    outputs: Annotated[int, typer.Option(min=1, help="Classes.")] = 6,
    per_step: Annotated[bool, typer.Option(help="One row of scores for each step.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is timed, in turns.")] = 9,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds trained at once, where there is a GPU.")] = 5,
    metric: Annotated[
        Literal["mm_shap"] | None,
        typer.Option(
            help="Time this metric in place of training, one clip a round, against the shap library, which is asked "
            "for one coalition at a time. --batch and --seeds have no part in it."
        ),
    ] = None,
    json: Json = False,
):
    """Measure a training step and an evaluation.

    CPU time of one thread, throughput, FLOPs of matrix products, the memory of a step in a fresh process, and the
    distance from the matrix product that the machine reaches in the same rounds. MulT is measured in turns with a
    plain implementation of its published layers. Where there is a GPU: bfloat16, CUDA graphs and several seeds at once.
    """
    import torch

    from runners.bench import cuda, measure, mm_shap
    from runners.console import each
    from zoo.spec import load

    spec = load(method)
    try:
        case = _case(
            spec,
            batch,
            sizes_by_modality(steps, "--steps"),
            sizes_by_modality(features, "--features"),
            outputs,
            per_step,
        )
        timed = mm_shap.measure if metric else measure
        report = timed(case, rounds=rounds, progress=each)
        if torch.cuda.is_available() and not metric:
            report["gpu"] = cuda.measure(case, rounds=rounds, seeds=seeds, progress=each)
    except ValueError as error:
        say(f"Error: {spec.name}: {error} Give other streams with --features and --steps.")
        raise typer.Exit(WRONG_INPUT) from None
    except RuntimeError as error:
        say(f"Error: {spec.name}: {error}")
        raise typer.Exit(FAILED) from None
    print_card(report if json else (_metric_card if metric else _card)(report), json)


def _case(spec, batch: int, steps: dict, features: dict, outputs: int, per_step: bool):
    """The case of the options, with the defaults that the method can use.

    Raises:
        ValueError: for streams that the method does not take.
    """
    from runners.bench import Case

    given = features or WIDTHS
    if unknown := [m for m in steps if m not in given]:
        raise ValueError(f"--steps names {unknown[0]}; the streams are {', '.join(given)}.")
    if many := [m for m, n in steps.items() if not isinstance(n, int)]:
        raise ValueError(f"--steps {many[0]}: wanted one number.")
    counts = {m: steps.get(m, STEPS) for m in given}
    used = spec.takes(tuple(given), aligned=len(set(counts.values())) == 1)
    if ignored := [m for m in features if m not in used]:
        raise ValueError(f"--features names {ignored[0]}; the method takes {', '.join(spec.card.modalities)}.")
    return Case(spec, {m: given[m] for m in used}, {m: counts[m] for m in used}, batch, outputs, per_step)


def _card(report: dict) -> dict[str, str | list[str]]:
    """The report for people."""
    card = {
        "method": f"{report['method']}, {report['parameters']:,} parameters",
        "clips": f"{report['batch']} of {_streams(report)}",
        "gemm peak": f"{report['gemm_peak_gflop_per_second']:.0f} GFLOP/s, one thread, torch {report['torch']}",
    }
    for name in ("training step", "evaluation"):
        told = report[name]
        card[name] = [
            f"{told['cpu_ms']:.1f} ms CPU time, {told['fastest_ms']:.1f} to {told['slowest_ms']:.1f} in "
            f"{report['rounds']} rounds; {told['clips_per_second']:,.0f} clips a second",
            f"{told['gflop']:.2f} GFLOP of matrix products at {told['gflop_per_second']:.1f} GFLOP/s"
            + (f": {told['times_gemm']:.1f} times the time at the peak" if told["times_gemm"] else ""),
        ]
    card["memory"] = f"{report['peak_memory_mb']:,.0f} MB for a training step, in a fresh process"
    if told := report.get("plain"):
        card["plain layers"] = [
            f"training step {told['training step ratio']:.2f} times as long, evaluation "
            f"{told['evaluation ratio']:.2f} times, in the same rounds",
            f"{told['peak_memory_mb']:,.0f} MB; ours needs {100 * told['memory share']:.0f} %",
        ]
    if told := report.get("gpu"):
        card["gpu"] = [told["device"], *(_way(row) for row in told["ways"]), f"most clips a second: {told['wins']}"]
    return card


def _streams(report: dict) -> str:
    streams = ", ".join(
        f"{m} {steps} x {d if isinstance(d, int) else 'x'.join(map(str, d))}"
        for m, (steps, d) in report["streams"].items()
    )
    return f"{streams}; {report['outputs']} outputs" + " a step" * report["per_step"]


def _metric_card(report: dict) -> dict[str, str | list[str]]:
    """The report on a metric for people."""

    def times(name: str) -> str:
        told = report[name]
        return f"{told['cpu_ms']:,.0f} ms CPU time a clip, {told['fastest_ms']:,.0f} to {told['slowest_ms']:,.0f}"

    players = ", ".join(f"{m} {count}" for m, count in report["players"].items())
    return {
        "method": f"{report['method']}, {report['parameters']:,} parameters",
        "clips": f"{report['rounds']} of {_streams(report)}",
        "MM-SHAP": f"players: {players}; {report['pairs of orders']} pairs of orders",
        "ours": times("ours"),
        "shap": f"{times('shap')}, one coalition at a time; ours is {report['times as fast']:.1f} times as fast",
        "estimates": [
            f"mean difference of a player's credit from shap's {report['mean difference from shap']:.2g}, of two of "
            f"ours {report['mean difference of two of ours']:.2g}",
            *(f"share of {m}: {told['ours']:.3f}, shap {told['shap']:.3f}" for m, told in report["shares"].items()),
        ],
    }


def _way(row: dict) -> str:
    if "not possible" in row:
        return f"{row['way']}: not possible ({row['not possible']})"
    return (
        f"{row['way']}: {row['ms']:.2f} ms ({row['fastest_ms']:.2f} to {row['slowest_ms']:.2f}), "
        f"{row['clips_per_second']:,.0f} clips a second"
    )
