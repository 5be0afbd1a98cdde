"""Tables as HTML, alike on every page: sentences wrap, links and scrolling take a keyboard, and on a telephone each row
becomes a card, or the names stay in sight while the numbers scroll.

Whatever stands in a cell is escaped. The only links are those that a page makes for a column.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

DASH = "–"
SHORT = 20  # characters
NUMBER = re.compile(r"[<>≈]? ?[+\-−]?\d[^a-z]*( [a-zA-Z%/µ]+)?")  # 83.6 ± 2.1 %; 1–3; < 0.001; 90.4 s


def show(table: pd.DataFrame, label: str, *, place: Any = st, **looks: Any) -> None:
    """Put a table on the page; arguments as of `html`."""
    place.html(html(table, label, **looks))


def html(
    table: pd.DataFrame,
    label: str,
    *,
    cards: bool = False,
    links: Mapping[str, Sequence[str]] | None = None,
    marks: pd.DataFrame | None = None,
) -> str:
    """A table whose first column, or named index, heads its rows.

    Args:
        table: texts and whole numbers; what is missing becomes a dash.
        label: what it holds, for those who do not see it.
        cards: on a telephone a row is a card, each cell with its column's name; without it the table scrolls sideways
            and the names of the rows stay. For few columns, or for sentences.
        links: column -> addresses of its cells.
        marks: of the shape of the table without its index: class of each cell, or an empty text.
    """
    if table.index.name is not None:
        table = table.reset_index()
    names = [str(name) for name in table.columns]
    cells = [[text(value) for value in table.iloc[:, column]] for column in range(len(names))]
    kinds = [kind_of(column) for column in cells]
    first = len(names) - (0 if marks is None else marks.shape[1])  # columns without marks
    head = "".join(
        f'<th scope="col" class="{kind}">{broken(name)}</th>' for name, kind in zip(names, kinds, strict=True)
    )
    rows = []
    for row in range(len(table)):
        told = []
        for column, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            said = whole(cells[column][row]) if kind.startswith("number") else broken(cells[column][row])
            if links and name in links:
                said = f'<a href="{escape(links[name][row])}">{said}</a>'
            if column == 0:
                told.append(f'<th scope="row" class="{kind}">{said}</th>')
                continue
            mark = f" {marks.iat[row, column - first]}" if marks is not None and column >= first else ""
            told.append(f'<td class="{kind}{escape(mark)}" data-term="{escape(name)}">{said}</td>')
        rows.append(f"<tr>{''.join(told)}</tr>")
    reach = "" if cards else ' tabindex="0"'
    return (
        f'<div class="board-table {"cards" if cards else "wide"}" role="region" aria-label="{escape(label)}"{reach}>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def text(value: Any) -> str:
    """What a cell says: a dash where there is nothing, thousands of whole numbers apart."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return DASH
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def kind_of(column: Sequence[str]) -> str:
    """Class of a column: numbers, with or without interval and unit, or pairs of them; short texts; or sentences."""
    said = [cell for cell in column if cell not in ("", DASH)]
    if said and all(NUMBER.fullmatch(cell) for cell in said):
        return "number pair" if any("→" in cell for cell in said) else "number"
    return "text short" if all(len(cell) <= SHORT for cell in said) else "text"


def whole(number: str) -> str:
    """Escaped, and held together but after an arrow: ``81.51 → 79.02 ± 0.26 (10)``."""
    return escape(number).replace(" ", "\u00a0").replace("→\u00a0", "→ ")


def broken(text: str) -> str:
    """Escaped, with places where a long name may break."""
    return re.sub(r"([_/@+])(?=\w)", r"\1<wbr>", escape(text))
