"""A site is whole, links only to itself and to http(s), runs nothing, and replaces only a site."""

import functools
import hashlib
import http.server
import shutil
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from leaderboard import store
from leaderboard.downloads.levels import ExportError
from leaderboard.downloads.verify import verify
from leaderboard.review import reports_root
from leaderboard.site.publish import publish
from leaderboard.site.render import slug, web_address

HOSTILE = "<img src=x onerror=alert(1)>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def site(bundles_at, evaluate, tmp_path_factory):
    """A site of evaluated runs, one of a method whose name is an attack."""
    place = tmp_path_factory.mktemp("publish")
    bundles, engine = bundles_at(place / "bundles"), store.connect(f"sqlite:///{place}/board.db")
    evaluate(bundles)
    bundles.add(HOSTILE, base=HOSTILE, reason=HOSTILE)
    bundles.add("late-test", 1, status="failed", reason=f"loss is {HOSTILE}")
    store.ingest(engine, bundles.root)
    publish(engine, place / "site", [bundles.root])
    engine.dispose()
    return place / "site"


class Addresses(HTMLParser):
    """Every address of a page, the tags that it has, and the ids that a link may point at."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.ids = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.append(value)
            if name == "id":
                self.ids.add(value)
            assert not name.startswith("on")


def pages(site):
    return {path: Addresses(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_link_leads_somewhere_and_nothing_runs(site):
    found = pages(site)
    assert len(found) > 40
    for path, page in found.items():
        assert not {"script", "iframe", "object", "img"} & page.tags
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment:
                assert parts.fragment in found[target].ids, f"{path.name}: {link}"


def test_text_of_users_is_escaped(site):
    told = (site / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in told and "&lt;img src=x" in told
    failed = (site / "methods" / "late-test.html").read_text(encoding="utf-8")
    assert "loss is &lt;img" in failed


def test_names_become_file_names_that_never_meet():
    assert slug("grid-digit@1") == "grid-digit-v1"
    assert "/" not in slug("../../etc") and not slug("..").startswith(".")
    assert slug("a/b") != slug("a-b") != slug("a b")


def test_only_web_addresses_become_links():
    assert web_address("https://doi.org/10.1") == "https://doi.org/10.1"
    assert [web_address(bad) for bad in ("javascript:alert(1)", "data:text/html,x", "//x", "http://[", None)] == [
        None
    ] * 5


def test_the_page_shows_the_ranking_with_intervals_and_files(site):
    text = (site / "protocols" / "grid-digit-noisy-v1.html").read_text(encoding="utf-8")
    cells = pd.read_parquet(site / "downloads" / "grid-digit-noisy-v1-cells.parquet")
    first = text[text.index("<tbody>") : text.index("</tr>", text.index("<tbody>"))]
    assert ">cross_attention</a>" in first and "± 2.5 %" in first
    for path in (site / "downloads").glob("grid-digit-noisy-v1-*.parquet"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert len(cells) and "samples" not in {path.name.split("-")[-1] for path in (site / "downloads").iterdir()}


def test_a_paper_has_the_verdicts_of_its_report_and_the_report(site):
    text = (site / "papers" / "hfusion2018.html").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if "own features: HFusion</th>" in line)
    assert '<td class="number reproduced" title="reproduced">56.8<br><strong>56.58 ± 0.29 (10) ✓</strong></td>' in row
    assert "Not reproduced: the interval lies below the tolerance" in text
    assert "fuseboard reproduce hfusion2018 --table 2-mosi --seeds 10" in text
    assert 'href="../reports/hfusion2018-table-2-mosi/report.html"' in text
    copied = site / "reports" / "hfusion2018-table-2-mosi" / "table.csv"
    assert copied.read_bytes() == (reports_root() / "hfusion2018" / "table-2-mosi" / "table.csv").read_bytes()
    assert "nothing here was measured by us" in (site / "papers" / "mbt2021.html").read_text(encoding="utf-8")


def test_sums_and_means_hold(site):
    lines = (site / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert {*sums} == {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()} - {
        "SHA256SUMS",
        "fuseboard-site.json",
    }
    for name, wanted in sums.items():
        assert hashlib.sha256((site / name).read_bytes()).hexdigest() == wanted
    found = verify(site)
    assert len(found) > 10 and {verdict.said for verdict in found} == {"holds"}


@pytest.fixture
def small(engine, bundles):
    for seed in range(3):
        bundles.add(seed=seed, accuracy=0.5 + seed / 10)
    store.ingest(engine, bundles.root)
    return engine


def test_a_second_site_takes_the_place_of_the_first(small, bundles, tmp_path):
    place = tmp_path / "site"
    first = publish(small, place, [bundles.root])
    told = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert "unit-test@1: samples" in first.without and "unit-test@1: curves" in first.without
    (place / "left-over.html").write_text("old")
    publish(small, place, [bundles.root])
    assert {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()} == told
    assert [path.name for path in tmp_path.glob("*site*")] == ["site"]


def test_a_folder_that_is_no_site_is_left_alone(small, bundles, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    with pytest.raises(ExportError, match="no published site"):
        publish(small, tmp_path / "photos", [bundles.root])
    assert (tmp_path / "photos" / "one.jpg").read_bytes() == b"x"
    assert not list(tmp_path.glob(".photos*"))


def test_an_empty_store_publishes_nothing(engine, tmp_path):
    with pytest.raises(ExportError, match="fuseboard run all"):
        publish(engine, tmp_path / "site", [])
    assert not (tmp_path / "site").exists()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_screen_without_a_request_elsewhere(site, width):
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: apt-get install -y chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, playwright.sync_playwright() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 844})
        trouble = []
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(root) else trouble.append(request.url))
        for path in (
            "index.html",
            "protocols/grid-digit-noisy-v1.html",
            "methods/mult-paper.html",
            "papers/hfusion2018.html",
            "downloads.html",
        ):
            page.goto(f"{root}/{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        page.get_by_role("link", name="Fuseboard").click()
        page.get_by_role("link", name="GRID digits in noise").click()
        page.get_by_role("heading", name="Ranking").wait_for()
        browser.close()
        server.shutdown()
    assert [line for line in trouble if "favicon" not in line] == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
