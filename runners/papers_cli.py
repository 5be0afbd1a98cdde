"""``fuseboard papers``: published tables, and what becomes of each of their numbers. Imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from runners.options import Json
from runners.output import print_card, print_rows

COLUMNS_WIDTH = 90  # characters for the columns of a table, beside row names and how a row is re-run
NAMED_COLUMNS = 7


def papers(
    key: Annotated[str | None, typer.Argument(help="A paper; all papers when none is named.")] = None,
    table: Annotated[str | None, typer.Option(help="Print one table: its number, or the id of one part.")] = None,
    json: Json = False,
):
    """List the papers, the tables of one, or one table as published and how each row is re-run.

    Every published number is in one of four states: runnable now, runnable with data that you bring, not comparable
    (the reason is printed), or blank, because nobody could check it.
    """
    from protocols.paper import PaperError
    from protocols.papers import paper

    if key is None:
        if table is not None:
            raise PaperError("--table needs a paper: fuseboard papers KEY --table N")
        _list_papers(json)
    elif table is None:
        _show_paper(paper(key), json)
    else:
        found = paper(key)
        shown = found.chosen(table)
        if json:
            print_rows([table_data(found, part) for part in shown], True)
        else:
            for part in shown:
                _show_table(found, part)


def method_spec(method: str, settings: Mapping[str, Any], modalities: tuple[str, ...] | None):
    """The spec that a run of a paper's row trains: a preset, its changed settings, its modality set.

    Raises:
        ValueError: for a method, a setting or a modality that does not exist, with the nearest name.
    """
    from difflib import get_close_matches

    from zoo import METHODS
    from zoo.spec import MethodSpec, load

    preset = load(method)
    for name in settings:
        if name not in preset.settings:
            near = get_close_matches(name, preset.settings, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{method} has no setting {name!r}.{hint} Known: {', '.join(preset.settings)}.")
    raw = preset.model_dump() | {"settings": {**preset.settings, **settings}}
    card = METHODS[preset.method]
    if modalities is not None:
        if foreign := [m for m in modalities if m not in card.modalities]:
            raise ValueError(f"{method} takes {card.inputs}, not {foreign[0]}.")
        if len(modalities) < card.at_least:
            raise ValueError(f"{method} takes {card.inputs}; {', '.join(modalities)} is too few.")
        if set(modalities) < set(preset.card.modalities):
            raw |= {"modalities": modalities, "name": f"{preset.name}.{'-'.join(modalities)}"}
    return MethodSpec.model_validate(raw)


def refusal(
    method: str, settings: Mapping[str, Any], modalities: tuple[str, ...] | None, protocol: str | None
) -> str | None:
    """Why a method cannot be re-run so, or None: what ``protocols.papers.problems`` asks about the zoo."""
    try:
        spec = method_spec(method, settings, modalities)
        if protocol is not None:
            from protocols.spec import load

            wanted = load(protocol)
            spec.takes(wanted.modalities, aligned=wanted.aligned)
    except ValueError as error:
        return str(error)
    return None


def _list_papers(as_json: bool) -> None:
    from protocols.paper import STATES
    from protocols.papers import keys, paper

    rows = []
    for key in keys():
        found = paper(key)
        counts = found.coverage()
        row = {"key": key, "paper": found.short, "venue": found.venue or "", "tables": len(found.tables)}
        rows.append(row | {"cells": sum(counts.values())} | _headed(counts, as_json))
    if as_json:
        print_rows(rows, True)
        return
    whole = {"key": "all", "paper": f"{len(rows)} papers", "venue": ""}
    print_rows([*rows, whole | {name: sum(row[name] for row in rows) for name in rows[0] if name not in whole}], False)
    print(f"\ncells: published numbers; {STATES['blank']}: nobody could check them. fuseboard papers KEY says more.")


def _headed(counts: dict[str, int], as_json: bool) -> dict[str, int]:
    """Counts under the words of a heading, or under their keys in JSON."""
    from protocols.paper import STATES

    return counts if as_json else {STATES[state]: count for state, count in counts.items()}


def _show_paper(found, as_json: bool) -> None:
    rows = []
    for table in found.tables:
        counts = table.coverage()
        row = {"table": table.id, "printed": table.printed} | ({"caption": table.caption} if as_json else {})
        rows.append(row | {"data": table.data, "cells": sum(counts.values())} | _headed(counts, as_json))
    if as_json:
        head = {"key": found.key, "title": found.title, "authors": found.authors, "year": found.year}
        head |= {"venue": found.venue, "doi": found.doi, "arxiv": found.arxiv, "notes": found.notes}
        print_rows(head | {"tables": rows, "bring": _bring(found.tables)}, True)
        return
    print_card(_heading(found), False)
    print()
    print_rows(rows, False)
    print_bring(found.tables)
    now = [row["table"] for row, table in zip(rows, found.tables, strict=True) if table.coverage()["now"]]
    print(f"\nOne table: fuseboard papers {found.key} --table {(now or [rows[0]['table']])[0]}")


def _heading(found) -> dict[str, str | list[str]]:
    place = ", ".join(part for part in (found.venue, str(found.year or "")) if part)
    doi = f"doi:{found.doi}" if found.doi else ""
    arxiv = f"arXiv:{found.arxiv}" if found.arxiv else ""
    card = {"paper": found.key, "title": found.title, "authors": ", ".join(found.authors)}
    card["published"] = ", ".join(part for part in (place, doi, arxiv) if part) or "not known"
    card["read in"] = [_source(source) for source in found.sources.values()]
    return card | ({"notes": list(found.notes)} if found.notes else {})


def _source(source) -> str:
    place = f"{source.where} at {source.commit}" if source.commit else source.where
    return f"{source.kind}: {place}" + (f", {source.file}" if source.file else "")


def _bring(tables) -> list[dict]:
    """The data that a person brings, each once, with the tables that wait for it."""
    from protocols.papers import datasets
    from runners.brought import places

    waiting: dict[str, list] = {}
    for table in tables:
        for cell in table.cells:
            if cell.state == "data":
                waiting.setdefault(cell.needs, []).append(cell)
    found = []
    for key, cells in waiting.items():
        ids = dict.fromkeys(cell.table.id for cell in cells)
        entry = {"data set": datasets()[key].title, "for tables": ", ".join(ids)}
        entry |= datasets()[key].model_dump(exclude={"title"})
        found.append(entry | {"put": places(cells) or ["nothing reads these files yet"]})
    return found


def print_bring(tables) -> None:
    """A card for each data set that these tables wait for."""
    for entry in _bring(tables):
        print()
        print_card(entry, False)


def table_data(found, table) -> dict:
    """A table as JSON: what stands over it, and one entry for each published number."""
    from protocols.paper import replicas

    cells = []
    for cell in table.cells:
        row, column, run = cell.row, cell.column, cell.run
        entry = {"row": row.name, "group": row.group, "labels": dict(row.labels), "by": row.by}
        entry |= {"column": column.title, "printed": cell.printed, "spread": cell.spread, "unit": column.unit}
        entry |= {"metric": column.metric, "direction": column.direction, "value": cell.value}
        entry |= {"tolerance": cell.tolerance, "state": cell.state, "reason": cell.reason, "needs": cell.needs}
        entry |= {"modalities": cell.modalities, "run": run.model_dump() if run else None}
        entry |= {"replicas": replicas(found, run) if run else (), "evidence": [e.model_dump() for e in cell.evidence]}
        cells.append(entry)
    head = table.model_dump(exclude={"columns", "rows"})
    return {"paper": found.key} | head | {"bring": _bring([table]), "cells": cells}


def _show_table(found, table) -> None:
    """The printed layout, one more column for how each row is re-run, and the notes that this needs."""
    reasons: list[str] = []
    ways = [_how([cell for cell in table.cells if cell.row is row], reasons) for row in table.rows]
    print_card(_table_heading(found, table), False)
    pieces = _pieces(table)
    for piece in pieces:
        print()
        print_rows(_layout(table, piece, ways if piece is pieces[-1] else None), False)
    for number, reason in enumerate(reasons, 1):
        print_card({f"[{number}]": reason}, False)
    print_bring([table])
    print()


def _pieces(table) -> list[list[int]]:
    """Columns that go side by side: a table of very many columns is printed in pieces, each with the row names."""
    pieces, room = [[]], 0
    for index, heading in enumerate(_headings(table)):
        values = [_number(row, index) for row in table.rows]
        room += 2 + max(len(text) for text in (*heading.split("\n"), *values))
        if room > COLUMNS_WIDTH and pieces[-1]:
            pieces.append([])
            room = 0
        pieces[-1].append(index)
    return pieces


def _layout(table, piece: list[int], ways: list[str] | None) -> list[dict[str, str]]:
    headings = _headings(table)
    names = [
        "row",
        *table.rows[0].labels,
        "by",
        *(headings[index] for index in piece),
        *(["re-run as"] if ways else []),
    ]
    rows, group = [], None
    for place, row in enumerate(table.rows):
        if row.group != group and row.group:
            rows.append(dict.fromkeys(names, "") | {"row": f"[{row.group}]"})
        group = row.group
        told = [row.name, *row.labels.values(), row.by, *(_number(row, index) for index in piece)]
        rows.append(dict(zip(names, told + ([ways[place]] if ways else []), strict=True)))
    return rows


def _headings(table) -> list[str]:
    """Column titles, the group above the name; an asterisk where no metric of ours is the same quantity."""
    told = [f"{column.group}\n{column.name}" if column.group else column.name for column in table.columns]
    return [f"{title}{'' if column.metric else '*'}" for title, column in zip(told, table.columns, strict=True)]


def _number(row, index: int) -> str:
    return _printed(row.values[index], row.spread[index] if row.spread else None)


def _printed(value: str | None, spread: str | None) -> str:
    if value is None:
        return "?"
    return f"{value} ± {spread}" if spread and spread != "-" else value


def _how(cells, reasons: list[str]) -> str:
    """How the cells of one row are re-run: each way once, with its columns where there are several ways.

    The way of the most cells comes last, as that of the others, where their names would be a long list.
    """
    ways: dict[str, list[str]] = {}
    for cell in cells:
        ways.setdefault(_way(cell, reasons), []).append(cell.column.title)
    if len(ways) < 2:
        return next(iter(ways), "nothing printed")
    told = sorted(ways.items(), key=lambda item: len(item[1]) > NAMED_COLUMNS)
    return "; ".join(f"{', '.join(names) if len(names) <= NAMED_COLUMNS else 'others'}: {way}" for way, names in told)


def _way(cell, reasons: list[str]) -> str:
    def note(reason: str) -> str:
        if reason not in reasons:
            reasons.append(reason)
        return f"[{reasons.index(reason) + 1}]"

    if cell.state == "blank":
        return f"blank {note(cell.reason)}"
    if cell.state == "not_comparable":
        return f"not comparable {note(cell.reason)}"
    from protocols.papers import datasets

    run = cell.run
    what = run.method
    if run.settings:
        what += f" with {_flow(run.settings)}"
    told = (
        f"under {run.protocol}" if run.protocol else "",
        f"needs {datasets()[cell.needs].title}" if cell.needs else "",
    )
    where = ", ".join(part for part in told if part)
    return f"{what}, {where}{' ' + note(run.note) if run.note else ''}"


def _flow(settings: Mapping[str, Any]) -> str:
    """``heads: 10, kernels: {text: 3}``."""
    import yaml

    return yaml.safe_dump(dict(settings), default_flow_style=True, sort_keys=False, width=1000).strip()[1:-1]


def _table_heading(found, table) -> dict[str, str | list[str]]:
    from protocols.paper import TRIVIAL, replicas

    card = {"table": f"{table.id} of {found.key} ({found.short}), {table.printed}", "caption": table.caption}
    card |= {"data": table.data, "split": table.split, "epoch chosen": _selection(table)}
    if table.origin == "others":
        card["origin"] = "somebody else's run of this method; the paper does not print it"
    card["tolerance"] = f"{table.tolerance:g} in the table's unit, unless the paper gives a spread"
    own = {column.title: column.tolerance for column in table.columns if column.tolerance}
    if own:
        card["tolerance"] += "; " + ", ".join(f"{title} {value:g}" for title, value in own.items())
    if table.read_off:
        card["read off"] = f"from a drawing, plus or minus {table.read_off:g}"
    if table.beside:
        card["beside"] = [TRIVIAL[name] + ", computed" for name in table.beside]
    runs = [cell.run for cell in table.cells if cell.run]
    if also := sorted({key for run in runs for key in replicas(found, run)}):
        card["replica"] = f"{', '.join(also)}: the paper's own selection rule, to explain a gap; never ranked"
    if presets := sorted({name for run in runs for name in run.also}):
        card["also"] = f"{', '.join(presets)}, to explain a gap"
    if table.omitted:
        card["left out"] = table.omitted
    card["evidence"] = [f"{item.source}: {item.at}" for item in table.evidence] or ["by row"]
    notes = [*table.notes, *(f"{row.heading}: {row.note}" for row in table.rows if row.note)]
    if any(value is None for row in table.rows for value in row.values):
        notes.append("? a number that nobody could check")
    if any(column.metric is None for column in table.columns):
        notes.append("* no metric of ours is this quantity yet")
    return card | ({"notes": notes} if notes else {})


def _selection(table) -> str:
    return {"validation": "on validation", "test": "on the part that is scored", "unknown": "not said"}[table.selection]
