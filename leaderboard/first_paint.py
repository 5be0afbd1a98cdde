"""What a browser shows before Streamlit's program has started: the page's name, what it is for, where else to go.

Streamlit sends every visitor the same empty document, then more than a megabyte of JavaScript, and draws nothing until
that has started. This stands before it, as ASGI middleware of `st.App`: it writes the first paint into that document,
and sends the JavaScript compressed, compressed once. A document that it does not know, of a later Streamlit, passes
as it is; `tests/leaderboard/test_first_paint.py` tells.
"""

import gzip
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from pathlib import Path
from typing import Any

from anyio import to_thread

from leaderboard.contents import NAME, PAGES, Page

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HERE = Path(__file__).parent
TITLE, HEAD, ROOT = "<title>Streamlit</title>", "</head>", '<div id="root"></div>'  # in Streamlit's document
PACKED = (".js", ".css")
KINDS = (b"text/css", b"text/javascript", b"application/javascript")
LEVEL = 6  # of gzip: 2.6 MB of JavaScript become 0.8 MB
LEAST = 1000  # bytes that are worth compressing


class FirstPaint:
    """Middleware; keeps what it compressed, a few megabytes."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]):
        self.app = app
        self.packed: dict[str, tuple[list, bytes]] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"]) if scope["type"] == "http" and scope["method"] == "GET" else {}
        packs = b"gzip" in asked.get(b"accept-encoding", b"")
        if b"text/html" in asked.get(b"accept", b""):
            await self.document(scope, receive, send, packs)
        elif packs and "/static/" in scope["path"] and scope["path"].endswith(PACKED) and b"if-none-match" not in asked:
            await self.asset(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def document(self, scope: Message, receive: Receive, send: Send, packs: bool) -> None:
        """Streamlit's document with the first paint in it."""
        # Whole, as it is, and now: what comes back is changed here.
        unwanted = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
        kept = [(name, value) for name, value in scope["headers"] if name not in unwanted]
        status, headers, body = await answer(self.app, scope | {"headers": kept}, receive)
        if status == 200 and headers.get(b"content-type", b"").startswith(b"text/html"):
            body = painted(body.decode(), page_at(scope["path"])).encode()
            for name in (b"etag", b"last-modified", b"accept-ranges"):
                headers.pop(name, None)
            headers[b"vary"] = b"Accept-Encoding"
            if packs and len(body) > LEAST:
                body, headers[b"content-encoding"] = gzip.compress(body, LEVEL, mtime=0), b"gzip"
        await say(send, status, list(headers.items()), body)

    async def asset(self, scope: Message, receive: Receive, send: Send) -> None:
        """A file of Streamlit's program, compressed; its name changes with its content, so that it may be kept."""
        path = scope["path"]
        if path not in self.packed:
            status, headers, body = await answer(self.app, scope, receive)
            kind = headers.get(b"content-type", b"")
            if status != 200 or b"content-encoding" in headers or not kind.startswith(KINDS):
                await say(send, status, list(headers.items()), body)
                return
            headers |= {b"content-encoding": b"gzip", b"vary": b"Accept-Encoding"}
            headers.pop(b"accept-ranges", None)
            self.packed[path] = (list(headers.items()), await to_thread.run_sync(gzip.compress, body, LEVEL))
        await say(send, 200, *self.packed[path])


async def answer(app, scope: Message, receive: Receive) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and the whole body of what an application says."""
    said: list[Message] = []

    async def keep(message: Message) -> None:
        said.append(message)

    await app(scope | {"extensions": {}}, receive, keep)
    body = b"".join(message.get("body", b"") for message in said[1:])
    return said[0]["status"], dict(said[0]["headers"]), body


async def say(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = [(b"content-length", str(len(body)).encode())]
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    await send({"type": "http.response.start", "status": status, "headers": kept + length})
    await send({"type": "http.response.body", "body": body})


def page_at(path: str) -> Page:
    """The page of an address; what is none is the home page, as it is for Streamlit."""
    name = path.rstrip("/").rpartition("/")[2]
    return next((page for page in PAGES if page.file == name), PAGES[0])


def painted(document: str, page: Page) -> str:
    """Streamlit's document with a page's first paint; unchanged where it is not the one that is known."""
    if any(document.count(mark) != 1 for mark in (TITLE, HEAD, ROOT)):
        return document
    title = f"<title>{escape(page.title)} · {NAME}</title>"
    style = f"<style>{(HERE / 'first_paint.css').read_text()}</style>"
    script = f"<script>{(HERE / 'first_paint.js').read_text()}</script>"
    about = f'<meta name="description" content="{escape(page.says)}">'
    return (
        document.replace(TITLE, title).replace(HEAD, about + style + HEAD).replace(ROOT, ROOT + body_of(page) + script)
    )


def body_of(page: Page) -> str:
    links = "".join(
        f'<a href="./{"" if other is PAGES[0] else other.file}"{" aria-current=page" if other is page else ""}>'
        f"{escape(other.title)}</a>"
        for other in PAGES
    )
    logo = (HERE / "logo.svg").read_text()
    return (
        f'<div id="first-paint"><header>{logo}<nav aria-label="Pages">{links}</nav></header>'
        f'<main aria-busy="true"><h1>{escape(page.title)}</h1><p>{escape(page.says)}</p>'
        "<p class=wait>Loading the results …</p></main></div>"
    )
