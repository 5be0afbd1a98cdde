"""The HTML tables of a page as frames of texts, for tests."""

from html.parser import HTMLParser

import pandas as pd


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tables: list[tuple[list[str], list[list[str]]]] = []
        self.links: list[str] = []
        self.head, self.cell = False, None

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append(([], []))
        elif tag == "thead":
            self.head = True
        elif tag == "tr" and not self.head:
            self.tables[-1][1].append([])
        elif tag in ("th", "td"):
            self.cell = []
        elif tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_endtag(self, tag):
        if tag == "thead":
            self.head = False
        elif tag in ("th", "td"):
            names, rows = self.tables[-1]
            (names if self.head else rows[-1]).append("".join(self.cell).replace("\u00a0", " "))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)


def tables_of(body: str) -> list[pd.DataFrame]:
    """Every table of a piece of HTML, its rows by their names; ``attrs["links"]`` has the addresses in it."""
    reader = _Reader()
    reader.feed(body)
    frames = [pd.DataFrame(rows, columns=names) for names, rows in reader.tables]
    for frame in frames:
        frame.index = frame.iloc[:, 0]
        frame.attrs["links"] = reader.links
    return frames


def tables(at) -> list[pd.DataFrame]:
    """Every table of a page that Streamlit ran without a browser, in its order."""
    return [frame for element in at.get("html") for frame in tables_of(element.proto.body)]
