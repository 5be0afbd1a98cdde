"""``fuseboard tune``: better settings for a method, found with a budget that every method can have."""

from pathlib import Path
from typing import Annotated

import typer

from runners.options import BundleRoot, CacheRoot, Cluster, DataRoot, Gpus, Json
from runners.output import print_rows, say


def tune(
    method: Annotated[str, typer.Argument(help="A method, a preset or a YAML file.")],
    protocol: Annotated[str, typer.Option(help="name@version, or a YAML file of your own.")],
    trials: Annotated[int, typer.Option(min=2, help="Settings that are tried; the first are those that stand there.")],
    budget: Annotated[int, typer.Option(min=2, help="Epochs that all trials may take together.")],
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn, of first weights and of orders.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for what was found; .fuseboard/tune by default.")] = None,
    gpus: Gpus = None,
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    cluster: Cluster = None,
    json: Json = False,
):
    """Search learning rate, weight decay, batch size and drop-out on the validation part.

    Methods that are to be compared get the same --trials, --budget and --seed: the same settings are tried for each,
    for at most as many epochs in all. The test part is not opened. Ray does the trials, and ASHA ends early those
    that fall behind. The same command goes on where it was interrupted.
    """
    from protocols.spec import load as load_protocol
    from runners.settings import SETTINGS, Settings
    from zoo.spec import load as load_method

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    spec, chosen = load_protocol(protocol), load_method(method)
    from runners.backends import device
    from runners.console import counter, each
    from runners.trial import plan
    from runners.tune import Search, search, specs, write

    planned, skipped = plan([chosen], spec, found, seeds=1, device=device("ray", gpus), progress=each)
    for name, reason in skipped.items():
        raise typer.BadParameter(f"{name} cannot take part in {spec.key}: {reason}")
    wanted = Search(planned[0], trials, budget, seed)
    say(f"{chosen.name} under {spec.key}: {trials} trials, at most {budget} epochs together, seed {seed}.")
    epochs = 0
    with counter("epochs") as progress:
        progress(0, budget)

        def on_epoch() -> None:
            nonlocal epochs
            epochs += 1
            progress(epochs, budget)

        try:
            tried = search(wanted, found, gpus, on_epoch)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{epochs} epochs of at most {budget} are kept.") from None
    place = (out or Path(".fuseboard/tune")) / spec.key / chosen.name
    write(tried, place / "trials.csv")
    tuned = dict(zip(("method.yaml", "protocol.yaml"), specs(wanted, tried[0]), strict=True))
    for name, best in tuned.items():
        (place / name).write_text(_yaml(best), encoding="utf-8")
    print_rows([vars(trial) for trial in tried], json)
    say(f"{sum(trial.epochs for trial in tried)} of {budget} epochs were taken. The test part was not opened.")
    say(f"Train with the best: fuseboard run {place / 'method.yaml'} --protocol {place / 'protocol.yaml'}")


def _yaml(spec) -> str:
    import yaml

    return yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
