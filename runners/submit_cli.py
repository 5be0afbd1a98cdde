"""A method of one's own, from a draft to the queue: new, validate, try, schema, submit, submissions."""

import os
from pathlib import Path
from typing import Annotated

import typer

from runners.options import FAILED, WRONG_INPUT, BundleRoot, DatabaseUrl, Json
from runners.output import print_card, print_rows, say

SpecFile = Annotated[Path, typer.Argument(help="YAML file of the spec.")]


def new(
    name: Annotated[str, typer.Argument(help="Of the method: a-z, 0-9, and _ . - after the first character.")],
    start: Annotated[str, typer.Option("--from", help="Method or preset to begin from; see 'fuseboard methods'.")],
):
    """Write a commented spec into the current folder, with every setting of a method or preset.

    Nothing is overwritten. The comments say what each setting is, and the first lines what to call next.
    """
    from zoo.drafts import draft

    path = Path(f"{name}.yaml")
    text = draft(name, start)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        say(f"Error: {path} is there already; nothing was written. Choose another name, or remove it.")
        raise typer.Exit(WRONG_INPUT) from None
    except OSError as error:
        say(f"Error: {path}: {error.strerror}; nothing was written.")
        raise typer.Exit(FAILED) from None
    print(f"{path} is written. Change it, then:")
    for verb, why in (
        ("validate", "names, types, the nearest name"),
        ("try", "shapes, gradients, cost, on this CPU"),
        ("submit", "--protocol synthetic@1"),
    ):
        print(f"  fuseboard {verb} {path}{' ' + why if verb == 'submit' else f'   # {why}'}")


def validate(file: SpecFile, json: Json = False):
    """Check a spec: line, field, what is accepted, the nearest name. Takes no torch and no database."""
    from zoo.spec import check

    spec, problems = check(_text(file))
    problems = [problem.at(file) for problem in problems]
    if json:
        rows = [{"file": str(p.file), "line": p.line, "field": p.field, "message": p.message} for p in problems]
        print_rows(rows, True)
    elif spec is None:
        for problem in problems:
            say(str(problem))
        say(f"Problems: {len(problems)}. A spec with every setting explained: fuseboard new <name> --from <method>")
    else:
        print(f"{file}: {spec.name} is a valid spec of {spec.method}. Next: fuseboard try {file}")
    if spec is None:
        raise typer.Exit(WRONG_INPUT)


def try_(
    file: SpecFile,
    protocol: Annotated[str, typer.Option(help="Whose cost is estimated: name@version.")] = "synthetic@1",
    database_url: DatabaseUrl = None,
    json: Json = False,
):
    """Try a spec on the embedded data, on this CPU: shapes, gradients, missing modalities, determinism, cost.

    The cost of a protocol is estimated from the time of a training step, held against the step of a method whose
    training time under that protocol is known.
    """
    from dataclasses import asdict

    from protocols.spec import load

    spec, target = _checked(file), load(protocol)
    from runners import trying

    try:
        trial = trying.prepare(spec)
    except ValueError as error:
        say(f"{file}: {spec.name} cannot be tried: {error}")
        raise typer.Exit(WRONG_INPUT) from None
    found = []
    for finding in trying.findings(trial):
        found.append(finding)
        if not json:
            print(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.check:18}{finding.said}", flush=True)
    good = all(finding.passed for finding in found)
    cost = _cost(trial, target, database_url) if good else None
    if json:
        print_rows({"findings": [asdict(f) for f in found], "cost": cost, "protocol": target.key}, True)
    elif cost:
        print(f"cost  {target.key:18}{cost}\nNext: fuseboard submit {file} --protocol {target.key}")
    if not good:
        raise typer.Exit(FAILED)


def _cost(trial, target, database_url: str | None) -> str:
    """In words: training time of all runs of a protocol, and what that comes from."""
    from leaderboard import store
    from leaderboard.estimate import duration, reference
    from runners import trying
    from runners.settings import Settings

    step = trying.step_seconds(trial)
    if target.key == trying.EMBEDDED:
        seconds = step * trying.embedded_steps()
        return f"about {duration(seconds)} of training on this CPU ({1e3 * step:.0f} ms a step)"
    known = reference(store.connect(Settings.resolve(database_url=database_url).database_url), trial.spec, target)
    if known is None:
        return f"unknown: no run of {target.key} is indexed here ({1e3 * step:.0f} ms a step on the embedded data)"
    try:
        ratio = step / trying.step_seconds(trying.prepare(known.spec))
    except ValueError:  # it takes inputs of another shape: told without the ratio
        ratio = 1.0
    seconds = known.seconds * ratio * len(target.runs())
    return (
        f"about {duration(seconds)} of training for {len(target.runs())} runs: a step takes {ratio:.1f} times that of "
        f"{known.spec.name}, whose runs took {duration(known.seconds)} (median of {known.runs})"
    )


def schema(out: Annotated[Path | None, typer.Option(help="File to write; standard output if not given.")] = None):
    """Print the JSON Schema of method specs, for completion in an editor."""
    from zoo.drafts import SCHEMA

    text = SCHEMA.read_text(encoding="utf-8")
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")


def submit(
    file: SpecFile,
    protocol: Annotated[str, typer.Option(help="name@version; a maintainer may name a YAML file.")],
    database_url: DatabaseUrl = None,
    bundle_root: BundleRoot = None,
    json: Json = False,
):
    """Hand a spec in. A maintainer approves it, a worker runs it, and every step is told by 'submissions'.

    A shared database asks for a token in FUSEBOARD_TOKEN; on a local one the person at the machine is the maintainer.
    """
    from leaderboard import submissions
    from leaderboard.access import is_local
    from protocols.spec import load
    from runners.indexing import fill
    from runners.settings import Settings

    text, target = _text(file), load(protocol)
    settings = Settings.resolve(database_url=database_url, bundle_root=bundle_root)
    engine, actor = identified(database_url)
    if is_local(engine):
        fill(settings)  # the cost is estimated from what is indexed
    made = submissions.submit(engine, actor, text, target)
    if json:
        print_rows(_row(made), True)
        return
    print(f"{made.submission}  {made.name} under {made.protocol}: {made.standing}")
    if actor.maintains:
        print(f"Next: fuseboard moderate approve {made.submission}, then: fuseboard worker --drain")
    else:
        print(f"It waits for a maintainer. See: fuseboard submissions {made.submission}")


def submissions(
    submission: Annotated[str | None, typer.Argument(help="Id of one, or its first digits; all if not given.")] = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
):
    """List submissions, or tell all about one: every state with time, actor, reason and the end of its log."""
    from leaderboard import store
    from leaderboard import submissions as queue
    from runners.settings import Settings

    engine = store.connect(Settings.resolve(database_url=database_url).database_url)
    if submission is None:
        rows = [_row(made) for made in queue.every(engine)]
        if not rows and not json:
            say("No submission yet. Begin with: fuseboard new my_fusion --from mbt")
            return
        print_rows(rows, json)
        return
    from dataclasses import asdict

    from leaderboard import audit

    made = queue.get(engine, submission)
    place = queue.position(engine, made.submission)
    card = _row(made) | ({"position": str(place)} if place else {})
    told = audit.history(engine, queue.KIND, made.submission)
    if json:
        print_rows(
            {**card, "history": [asdict(entry) for entry in told], "spec": queue.text_of(engine, made.submission)}, True
        )
        return
    print_card({name: str(value) for name, value in card.items()}, False)
    print()
    print_rows([{"time": e.at, "state": e.event, "by": e.actor, "reason": e.reason} for e in told], False)
    if log := next((entry.log for entry in reversed(told) if entry.log), None):
        print(f"\nEnd of the log:\n{log}")


def identified(database_url: str | None):
    """The store, and who the person is: by FUSEBOARD_TOKEN, or at the machine of a local store."""
    from leaderboard import access, store
    from runners.settings import Settings

    engine = store.connect(Settings.resolve(database_url=database_url).database_url)
    return engine, access.identify(engine, os.environ.get(access.VARIABLE))


def _row(made) -> dict:
    from leaderboard.estimate import duration

    return {
        "submission": made.submission,
        "name": made.name,
        "protocol": made.protocol,
        "state": made.standing,
        "attempts": made.attempts,
        "owner": made.owner,
        "estimate": duration(made.estimate) if made.estimate is not None else "unknown",
        "created": made.created,
        "worker": made.worker,
    }


def _text(file: Path) -> str:
    """The spec as it is written.

    Raises:
        SpecError: for a file that is not there or not one of a few KiB of text.
    """
    from zoo.guarded_yaml import YamlError, read_text
    from zoo.spec import Problem, SpecError

    try:
        return read_text(file)
    except YamlError as error:
        raise SpecError(str(Problem("", error.message, error.line).at(file))) from None
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror}. Write one with: fuseboard new my_fusion --from mbt") from None


def _checked(file: Path):
    from zoo.spec import SpecError, check

    spec, problems = check(_text(file))
    if spec is None:
        raise SpecError("\n".join(str(problem.at(file)) for problem in problems))
    return spec
