"""The first paint: in Streamlit's document as it is now, with the ranking's rows, and never in the way of the page."""

import asyncio
import gzip
import random
from pathlib import Path

import pytest
import streamlit as st
from starlette.staticfiles import StaticFiles

from leaderboard import first_paint, first_ranking, store
from leaderboard.contents import PAGES
from leaderboard.first_paint import CHARTS, ELEMENTS, FirstPaint, modules, page_at, painted
from tests.leaderboard.html_tables import tables_of

STATIC = Path(st.__file__).parent / "static"
DOCUMENT = b'<head><title>Streamlit</title></head><body><div id="root"></div></body>'
COMPARE = PAGES[1]


def application(body=DOCUMENT, kind=b"text/html; charset=utf-8", status=200):
    """An ASGI application that says one thing, and keeps what it was asked."""

    async def say(scope, receive, send):
        say.asked.append(scope)
        headers = [(b"content-type", kind), (b"etag", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body[:10], "more_body": True})
        await send({"type": "http.response.body", "body": body[10:]})

    say.asked = []
    return say


async def leave():
    """What a visitor says who has left."""
    return {"type": "http.disconnect"}


def get(app, path="/", accept=b"text/html", query=b"", method="GET", receive=None, **headers):
    """Status, headers and body of a request."""
    said = []

    async def send(message):
        said.append(message)

    told = [(b"accept", accept), *((name.replace("_", "-").encode(), value) for name, value in headers.items())]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": told}
    asyncio.run(app(scope, receive, send))
    return said[0]["status"], said[0]["headers"], b"".join(message.get("body", b"") for message in said[1:])


@pytest.fixture(autouse=True)
def no_store(monkeypatch):
    monkeypatch.delenv("FUSEBOARD_DATABASE_URL", raising=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_the_document_of_this_streamlit_is_known(page):
    document = (STATIC / "index.html").read_text(encoding="utf-8")
    found = painted(document, page)
    assert found.count('id="first-paint"') == 1
    assert f"<title>{page.title} · Fuseboard</title>" in found and page.says in found
    assert '<html lang="en">' in found
    assert found.index('<div id="root"></div>') < found.index('id="first-paint"')
    for other in PAGES:
        assert f">{other.title}</a>" in found


def test_a_document_that_is_not_known_passes_as_it_is():
    document = '<head><title>Another</title></head><div id="root"></div>'
    assert painted(document, COMPARE) == document


@pytest.mark.parametrize("element", [*ELEMENTS, *CHARTS])
def test_elements_of_this_streamlit_are_found_with_what_they_import(element):
    found = modules((element,))
    assert found[0].startswith(f"{element}.") and len(found) > 3
    assert all((STATIC / "static" / "js" / name).is_file() for name in found)


def test_pages_are_told_apart_from_what_else_is_served():
    assert page_at("/") is page_at("") is PAGES[0]
    assert page_at("/compare") is page_at("/compare/") is COMPARE
    assert [page_at(path) for path in ("/media/a.csv", "/_stcore/health", "/nowhere", "/static/compare")] == [None] * 4


def test_only_what_asks_for_a_page_gets_a_first_paint():
    app = application()
    for asked in ({"path": "/nowhere"}, {"accept": b"*/*"}, {"method": "HEAD"}):
        assert get(FirstPaint(app), **asked)[2] == DOCUMENT
    assert b"first-paint" in get(FirstPaint(app), "/compare")[2]


def test_the_document_is_asked_for_whole_and_its_cookies_pass():
    app = application()
    status, headers, body = get(
        FirstPaint(app), "/compare", accept_encoding=b"gzip", if_none_match=b"1", range=b"bytes=0-"
    )
    assert {name for name, _ in app.asked[0]["headers"]} == {b"accept"}
    assert status == 200 and [value for name, value in headers if name == b"set-cookie"] == [b"a=1", b"b=2"]
    told = dict(headers)
    assert b"etag" not in told and told[b"content-encoding"] == b"gzip"
    assert told[b"content-length"] == str(len(body)).encode()
    assert b"Two to four methods" in gzip.decompress(body)


@pytest.mark.parametrize("app", [application(status=404), application(b"{}", b"application/json")])
def test_what_is_no_document_passes_as_it_is(app):
    body = get(app)[2]
    assert get(FirstPaint(app))[2] == body


def test_a_file_is_compressed_once():
    app = application(b"let a = 1;" * 1000, b"application/javascript")
    paint = FirstPaint(app)
    for _ in range(2):
        _, headers, body = get(paint, "/static/js/a.js", b"*/*", accept_encoding=b"gzip, br")
        assert gzip.decompress(body) == b"let a = 1;" * 1000
        assert (b"content-encoding", b"gzip") in headers and (b"vary", b"Accept-Encoding") in headers
    assert len(app.asked) == 1
    assert get(paint, "/static/js/a.js", b"*/*")[2] == b"let a = 1;" * 1000  # as it is for who takes no gzip


def test_what_is_no_file_is_not_kept():
    paint = FirstPaint(application(status=404))
    assert get(paint, "/static/js/a.js", b"*/*", accept_encoding=b"gzip")[0] == 404
    assert paint.packed == {}


def test_who_leaves_half_way_leaves_whole_files_for_the_others(tmp_path):
    content = random.Random(0).randbytes(2**20)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.js").write_bytes(content)
    files = StaticFiles(directory=tmp_path)
    assert len(get(files, "/static/a.js", b"*/*", receive=leave)[2]) < len(content)  # it is cut for who has left
    paint = FirstPaint(files)
    for receive in (leave, None):
        assert (
            gzip.decompress(get(paint, "/static/a.js", b"*/*", receive=receive, accept_encoding=b"gzip")[2]) == content
        )


@pytest.fixture
def filled(engine, bundles, monkeypatch):
    for seed in range(3):
        bundles.add("late-test", seed, 0.70 + seed / 100)
        bundles.add("<b>other", seed, 0.40 + seed / 100)
    store.ingest(engine, bundles.root)
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    monkeypatch.setattr(first_paint, "PATIENCE", 60)


@pytest.mark.usefixtures("filled")
def test_the_ranking_comes_with_its_rows():
    body = get(FirstPaint(application()), "/")[2].decode()
    (found,) = tables_of(body)
    assert found["Accuracy"].tolist() == ["71.0 ± 2.5 %", "41.0 ± 2.5 %"]
    assert "<b>" not in body and 'data-until=".board-table"' in body
    body = get(FirstPaint(application()), "/", query=b"condition=audio/missing&sort=name&metric=nonsense")[2].decode()
    assert tables_of(body)[0]["Method"].tolist()[0] == "<b>other"
    assert "audio/missing" in body


@pytest.mark.usefixtures("filled")
def test_rows_that_are_filtered_wait_for_the_page():
    assert first_ranking.html({"stage": ["late"]}) is None


@pytest.mark.usefixtures("filled")
def test_rows_that_take_long_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(first_paint, "PATIENCE", 0)
    body = get(FirstPaint(application()), "/")[2]
    assert b"Loading" in body and b"<table" not in body


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/x", "nonsense"])
def test_without_a_store_the_first_paint_has_no_rows(monkeypatch, url):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", url)
    monkeypatch.setattr(first_paint, "PATIENCE", 60)
    assert b"Loading" in get(FirstPaint(application()), "/")[2]


def test_an_empty_store_has_no_rows(engine, monkeypatch):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    assert first_ranking.html({}) is None
