"""Cells as LaTeX tables: methods in rows, conditions in columns, mean and half width of the interval."""

from pathlib import Path

from leaderboard import queries
from leaderboard.downloads.citation import CITATION, LICENCE
from leaderboard.downloads.levels import Source
from leaderboard.figures import interval_text, metric_title, ranks_text
from protocols.record import SCHEMA_VERSION

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "–": "--"}
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def write(path: Path, source: Source) -> int:
    """One table a metric of the protocol, best method first. Gives back the number of cells."""
    metrics = queries.metrics(source.engine, source.spec)
    head = [
        f"% {source.protocol}, schema version {SCHEMA_VERSION}. {LICENCE}",
        f"% {CITATION}",
        r"% Needs \usepackage{booktabs}; wide tables also \usepackage{graphicx}.",
    ]
    tables = [_table(source, metric) for metric in metrics]
    path.write_text("\n".join(head + [text for text, _ in tables]) + "\n", encoding="utf-8")
    return sum(count for _, count in tables)


def _table(source: Source, metric: str) -> tuple[str, int]:
    spec, conditions = source.spec, queries.conditions(source.engine, source.spec)
    board = queries.ranking(source.engine, spec, metric, conditions[0]).table
    cells = queries.cells(queries.seeds(source.engine, spec, metric))
    said = {(row["method"], row["condition"]): interval_text(row, metric) for row in cells.to_dict("records")}
    lines = [
        [escape(ranks_text(row)), escape(row["method"])]
        + [escape(said.get((row["method"], condition), "–")) for condition in conditions]
        for row in board.to_dict("records")
    ]
    header = ["Rank", "Method", *map(escape, conditions)]
    runs = "folds" if spec.folds else "seeds"
    caption = (
        f"{metric_title(metric)} under {spec.key}: mean and half width of the 95% t interval over {runs}. "
        f"Ranks under {conditions[0]}; methods that a paired test does not separate share ranks."
    )
    body = [" & ".join(line) + r" \\" for line in lines]
    text = "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{spec.name}-v{spec.version}-{metric.replace('_', '-')}}}",
            r"\centering",
            rf"\begin{{tabular}}{{@{{}}rl{'r' * len(conditions)}@{{}}}}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
    return text, len(cells)


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SPECIAL.get(character, character) for character in text)
