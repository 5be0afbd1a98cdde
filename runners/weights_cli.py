"""fuseboard weights: the authors' checkpoints become ours."""

from pathlib import Path
from typing import Annotated

import typer

from runners.options import WRONG_INPUT, Json, sizes_by_modality
from runners.output import print_card, say

app = typer.Typer(
    help="Import the authors' checkpoints.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def weights() -> None:
    """Import the authors' checkpoints: by an explicit key map, with provenance, never by running what they bring."""


@app.command("import")
def import_(
    method: Annotated[str, typer.Argument(help="Method, preset or YAML file with the checkpoint's settings.")],
    file: Annotated[Path, typer.Argument(help="A state dict: .safetensors, .npz, .pt, .pth, .bin or .msgpack.")],
    out: Annotated[Path | None, typer.Option(help="File to write; <FILE>.fuseboard.safetensors if not given.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Widths, where the file does not tell: audio=40,video=432.")
    ] = None,
    outputs: Annotated[int | None, typer.Option(min=1, help="Outputs, where the file does not tell.")] = None,
    per_step: Annotated[bool, typer.Option(help="One row of scores for each step.")] = False,
    json: Json = False,
):
    """Turn an authors' checkpoint into ours.

    Every tensor must find its counterpart; what is left over on either side is named and nothing is written. Files
    that would have to run code to be read are refused.
    """
    from zoo.spec import load
    from zoo.weights import import_weights, write

    if out is None:
        out = file.with_name(f"{file.stem}.fuseboard.safetensors")
    if out.resolve() == file.resolve():
        say(f"Error: --out {out} is the file to read. Name another one.")
        raise typer.Exit(WRONG_INPUT)
    try:
        widths = sizes_by_modality(features, "--features")
    except ValueError as error:
        say(f"Error: {error}")
        raise typer.Exit(WRONG_INPUT) from None
    imported = import_weights(load(method), file, features=widths, outputs=outputs, per_step=per_step)
    write(imported, out)
    told = imported.provenance
    initial = told["initial"]
    card = {
        "wrote": str(out),
        "method": f"{told['spec']['name']} ({', '.join(f'{m} {d}' for m, d in told['features'].items())}; "
        f"{told['outputs']} outputs)",
        "from": f"{told['file']}, {told['format']}: {told['source']}",
        "sha256": told["sha256"],
        "parameters": f"{sum(p.numel() for p in imported.model.parameters()):,}",
        "dropped": [f"{name}: {why}" for name, why in told["dropped"].items()],
        "initial": [f"{name}: {initial['why']}" for name in initial.get("tensors", ())],
    }
    print_card(told if json else card, json)
