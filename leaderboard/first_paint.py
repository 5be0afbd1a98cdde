"""What a browser shows before Streamlit's program has started: the page's name, what it is for, where else to go.

Streamlit sends every visitor the same empty document, then megabytes of JavaScript, and draws nothing until that has
started. This stands before it, as ASGI middleware of `st.App`: it writes the first paint into that document, of the
ranking with its rows, and sends the JavaScript compressed, compressed once. A document that it does not know, of a
later Streamlit, passes as it is; `tests/leaderboard/test_first_paint.py` tells.
"""

import gzip
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import streamlit as st
from anyio import CapacityLimiter, move_on_after, sleep_forever, to_thread

from leaderboard import first_ranking
from leaderboard.contents import NAME, PAGES, Page
from leaderboard.store import StoreError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HERE = Path(__file__).parent
TITLE, HEAD, ROOT = "<title>Streamlit</title>", "</head>", '<div id="root"></div>'  # in Streamlit's document
PACKED = (".js", ".css")
KINDS = (b"text/css", b"text/javascript", b"application/javascript")
LEVEL = 6  # of gzip: 2.6 MB of JavaScript become 0.8 MB
# What the pages are made of, by Streamlit's names: fetched with the rest, not when the first of them is to be drawn.
ELEMENTS, CHARTS = ("Html", "Selectbox", "Multiselect"), ("ArrowVegaLiteChart",)
IMPORTED = re.compile(r"""(?:from|import) ?["']\./([\w.-]+\.js)["']""")
PATIENCE = 0.5  # seconds that a first paint waits for its rows
AT_ONCE = 4  # first paints that read the store


class FirstPaint:
    """Middleware; keeps what it compressed, a few megabytes."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]):
        self.app = app
        self.packed: dict[str, Answer] = {}
        self.readers = CapacityLimiter(AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"]) if scope["type"] == "http" and scope["method"] == "GET" else {}
        packs = b"gzip" in asked.get(b"accept-encoding", b"")
        page = page_at(scope["path"]) if b"text/html" in asked.get(b"accept", b"") else None
        if page:
            await say(send, await self.document(scope, page, packs))
        elif packs and "/static/" in scope["path"] and scope["path"].endswith(PACKED) and b"if-none-match" not in asked:
            await say(send, await self.asset(scope))
        else:
            await self.app(scope, receive, send)

    async def document(self, scope: Message, page: Page, packs: bool) -> "Answer":
        """Streamlit's document with the first paint in it."""
        # Whole, as it is, and now: what comes back is changed here.
        plain = without(scope["headers"], b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
        told = await answer(self.app, scope | {"headers": plain})
        if told.status != 200 or not told.kind.startswith(b"text/html"):
            return told
        rows = await self.rows(scope) if page is PAGES[0] else None
        body = painted(told.body.decode(), page, rows).encode()
        headers = [*without(told.headers, b"etag", b"last-modified", b"accept-ranges"), (b"vary", b"Accept-Encoding")]
        if packs:
            body, headers = gzip.compress(body, LEVEL), [*headers, (b"content-encoding", b"gzip")]
        return Answer(told.status, headers, body)

    async def rows(self, scope: Message) -> str | None:
        """The ranking, where it is there soon."""
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        with move_on_after(PATIENCE):
            try:
                return await to_thread.run_sync(first_ranking.html, asked, abandon_on_cancel=True, limiter=self.readers)
            except StoreError:
                return None  # the page says what is wrong
        return None

    async def asset(self, scope: Message) -> "Answer":
        """A file of Streamlit's program, compressed; its name changes with its content, so that it may be kept."""
        path = scope["path"]
        if path not in self.packed:
            told = await answer(self.app, scope)
            if told.status != 200 or not told.kind.startswith(KINDS):
                return told
            headers = [*without(told.headers, b"accept-ranges"), (b"vary", b"Accept-Encoding")]
            body = await to_thread.run_sync(gzip.compress, told.body, LEVEL)
            self.packed[path] = Answer(200, [*headers, (b"content-encoding", b"gzip")], body)
        return self.packed[path]


class Answer(NamedTuple):
    """What an application says, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def kind(self) -> bytes:
        """Of its content; empty where it is compressed already."""
        told = dict(self.headers)
        return b"" if b"content-encoding" in told else told.get(b"content-type", b"")


async def answer(app, scope: Message) -> Answer:
    """All of it, even where the visitor has left: what is kept for others must not end where one of them left."""
    said: list[Message] = []
    asked: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def stay() -> Message:
        if not asked:
            await sleep_forever()
        return asked.pop()

    async def keep(message: Message) -> None:
        said.append(message)

    await app(scope | {"extensions": {}}, stay, keep)  # without extensions a file comes as its bytes
    body = b"".join(message.get("body", b"") for message in said[1:])
    return Answer(said[0]["status"], list(said[0]["headers"]), body)


async def say(send: Send, told: Answer) -> None:
    length = (b"content-length", str(len(told.body)).encode())
    headers = [*without(told.headers, b"content-length"), length]
    await send({"type": "http.response.start", "status": told.status, "headers": headers})
    await send({"type": "http.response.body", "body": told.body})


def without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in names]


def page_at(path: str) -> Page | None:
    """The page of an address; None for what is no page."""
    home = (st.get_option("server.baseUrlPath") or "").strip("/")
    name = path.strip("/").removeprefix(home).strip("/")
    return next((page for page in PAGES if page.file == (name or PAGES[0].file)), None)


def painted(document: str, page: Page, rows: str | None = None) -> str:
    """Streamlit's document with a page's first paint; unchanged where it is not the one that is known.

    Args:
        rows: HTML to show until the page has a table of its own.
    """
    if any(document.count(mark) != 1 for mark in (TITLE, HEAD, ROOT)):
        return document
    style = "".join((HERE / name).read_text() for name in ("first_paint.css", *(["board.css"] if rows else [])))
    head = f'<meta name="description" content="{escape(page.says)}"><style>{style}</style>'
    wanted = modules((*ELEMENTS, *CHARTS) if page.charts else ELEMENTS)
    head += "".join(f'<link rel="modulepreload" href="./static/js/{name}">' for name in wanted if name not in document)
    links = "".join(
        f'<a href="./{"" if other is PAGES[0] else other.file}"{" aria-current=page" if other is page else ""}>'
        f"{escape(other.title)}</a>"
        for other in PAGES
    )
    waiting = f"<h1>{escape(page.title)}</h1><p>{escape(page.says)}</p><p>Loading …</p>"
    paint = (
        f'<div id="first-paint" data-until="{".board-table" if rows else "h1"}">'
        f'<header>{(HERE / "logo.svg").read_text()}<nav aria-label="Pages">{links}</nav></header>'
        f'<main aria-busy="true">{rows or waiting}</main></div>'
        f"<script>{(HERE / 'first_paint.js').read_text()}</script>"
    )
    document = document.replace(TITLE, f"<title>{escape(page.title)} · {NAME}</title>")
    return document.replace(HEAD, head + HEAD).replace(ROOT, ROOT + paint)


@cache
def modules(elements: tuple[str, ...]) -> list[str]:
    """Files of some of Streamlit's elements and of all that they import; those that are not there are left out."""
    place = Path(st.__file__).parent / "static" / "static" / "js"
    found = [path.name for element in elements for path in place.glob(f"{element}.*.js")]
    for name in found:  # grows while it is read
        imported = IMPORTED.findall((place / name).read_text(encoding="utf-8"))
        found += [other for other in dict.fromkeys(imported) if other not in found]
    return found
