"""One paper: its tables as printed, where each number was read, and what our runs say to it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import streamlit as st

from leaderboard import published, tables
from leaderboard.published import Number
from leaderboard.session import choose, plain
from leaderboard.site.paper_page import link
from protocols.paper import STATES, Paper, Table
from protocols.papers import keys, paper

SELECTION = {"validation": "on validation", "test": "on the part that is scored", "unknown": "not said"}


def main() -> None:
    every = {key: paper(key) for key in keys()}
    order = sorted(every, key=lambda key: (not reported(every[key]), every[key].short))
    left, right = st.columns([3, 2])
    found = every[choose("Paper", order, "paper", lambda key: paper_label(every[key]), left)]
    own = {table.id: table for table in found.tables}
    table = own[choose("Table", list(own), "table", lambda name: table_label(found, own[name]), right)]
    show_paper(found)
    numbers = published.numbers(found.key, table)
    show_table(table, numbers)
    place = published.report(found.key, table.id)
    if place:
        show_verdicts(numbers)
        show_claims(place)
        show_files(found, table, place)
    show_needed(found, table, numbers, place)
    with st.expander(f"Every number, who ran it and where it was read: {len(numbers)}"):
        tables.show(published.every(numbers), "Every number", cards=True)


def reported(found: Paper) -> list[str]:
    """Tables with a report."""
    return [table.id for table in found.tables if published.report(found.key, table.id)]


def paper_label(found: Paper) -> str:
    return f"{found.short}{' (recomputed)' if reported(found) else ''}: {found.title}"


def table_label(found: Paper, table: Table) -> str:
    return f"{table.printed}{' (recomputed)' if table.id in reported(found) else ''}: {table.caption}"


def show_paper(found: Paper) -> None:
    st.title(plain(found.title))
    where = ", ".join(str(part) for part in (found.venue, found.year) if part)
    st.markdown(plain(f"{', '.join(found.authors)}. {where}." if where else f"{', '.join(found.authors)}."))
    address = link(found)
    if address:
        st.markdown(f"<{address}>")
    counts = found.coverage()
    told = ", ".join(f"{count} {STATES[state]}" for state, count in counts.items() if count)
    st.caption(f"{sum(counts.values())} published numbers in {len(found.tables)} tables: {told}.")
    if found.notes:
        with st.expander(f"Notes on the paper: {len(found.notes)}"):
            st.markdown("\n".join(f"- {plain(note)}" for note in found.notes))


def show_table(table: Table, numbers: Sequence[Number]) -> None:
    st.header(plain(f"{table.printed}: {table.caption}"))
    facts = {
        "Data": table.data,
        "Split": table.split,
        "Epoch chosen": SELECTION[table.selection],
        "Read at": "; ".join(map(published.place, table.evidence)),
        "Tolerance": f"{table.tolerance:g} in the unit of a column, where the paper prints no spread",
    }
    st.markdown("\n".join(f"- **{term}**: {plain(text)}" for term, text in facts.items() if text))
    texts, verdicts = published.layout(table, numbers)
    tables.show(texts, table.printed, marks=verdicts.map(lambda verdict: (verdict or "").replace(" ", "-")))
    if any(number.ours for number in numbers):
        st.caption(
            "Laid out as in the paper: published → ours, mean ± half width of the 95% t interval (runs), the epoch "
            "chosen on validation. ✓ reproduced, ✗ not reproduced, ? inconclusive. Arrows say which way is better."
        )
    else:
        st.caption("As printed; nothing here was measured by us. Arrows say which way is better.")
    notes = [*([table.caution] if table.caution else []), *table.notes]
    if notes:
        st.markdown("\n".join(f"- {plain(note)}" for note in notes))


def show_verdicts(numbers: Sequence[Number]) -> None:
    st.header("Does it hold?")
    judged = [number for number in numbers if number.ours]
    counts = Counter(number.verdict for number in judged)
    st.markdown("**" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "**")
    rows, findings = [], {}
    for number in judged:
        name = f"{number.cell.row.heading}, {number.cell.column.title}"
        why, finding = number.apart
        if finding:
            findings.setdefault(finding, []).append(name)
        rows.append(
            {
                "Number": name,
                "Published": number.printed,
                "Ours": number.ours,
                "Verdict": f"{published.SIGNS.get(number.verdict, '')} {number.verdict}".strip(),
                "Because": f"{why[0].upper()}{why[1:]}." if why else "",
                "Epoch chosen on the test part, which leaks": number.on_test,
            }
        )
    tables.show(pd.DataFrame(rows), "Verdicts", cards=True)
    st.caption(
        "Reproduced: the interval of our mean lies inside the published number ± tolerance; not reproduced: outside; "
        "inconclusive: it straddles an end. Rule and tolerance were fixed before the first run."
    )
    if findings:
        st.markdown("**What running it again showed**")
        st.markdown("\n".join(f"- {plain('; '.join(names))}: {plain(says)}" for says, names in findings.items()))


def show_claims(place: Path) -> None:
    """What the paper compares, compared run by run."""
    told = published.claims(place)
    if told.empty:
        return
    st.header("Do the paper's conclusions hold?")
    tables.show(told, "What the paper concludes", cards=True)
    st.caption(
        "Differences of our runs with one seed, the better number of the paper less the worse one, mean ± half width "
        "of the 95% t interval: ✓ above 0, ✗ below, ? not told apart. No correction is made for their number."
    )


def show_files(found: Paper, table: Table, place: Path) -> None:
    told = published.manifest(place)
    runs = ", ".join(f"[{plain(key)}](protocol?protocol={quote(key)})" for key in told["protocols"])
    st.markdown(f"{len(told['runs'])} runs under {runs}; {told['test_openings']} openings of the test part. Again:")
    st.code(told["command"], language=None, wrap_lines=True)
    st.markdown("**The report**")
    offered = [(file, *about) for file, about in published.FILES.items() if (place / file).is_file()]
    for start in range(0, len(offered), 3):  # in rows, so that they keep their order on a telephone
        for column, (file, label, kind) in zip(st.columns(3), offered[start : start + 3], strict=False):
            content, name = (place / file).read_bytes(), f"{found.key}-{table.id}-{file}"
            column.download_button(label, content, name, kind, on_click="ignore", width="stretch")


def show_needed(found: Paper, table: Table, numbers: Sequence[Number], place: Path | None) -> None:
    rows = published.needed(numbers)
    if not rows:
        return
    st.header("The other numbers: what they would need" if place else "Not recomputed yet: what it would need")
    told = pd.DataFrame(rows, columns=["What", "Numbers", "How, or why not"])
    tables.show(told, "What numbers would need", cards=True)
    if place is None and any(number.cell.state in ("now", "data") for number in numbers):
        st.code(f"fuseboard reproduce {found.key} --table {table.id}", language=None, wrap_lines=True)


main()
