"""The board in a real browser: every page opens, filters work, downloads hold the records."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

import leaderboard
from leaderboard import store
from leaderboard.contents import PAGES
from protocols.record import FIELDS, KEY, read_jsonl

pytestmark = pytest.mark.browser

GRID = "grid-digit-noisy@1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MULT_COST = ("91.0 ± 2.5 %", "9.10 ± 0.25")  # accuracy on clean input, milliseconds
INTERVAL = re.compile(r"\d\s±\s\d")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: apt-get install -y chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def results(bundles_at, tmp_path_factory):
    """Made-up results of two methods."""
    bundles = bundles_at(tmp_path_factory.mktemp("board") / "bundles")
    for seed in range(3):
        bundles.add("mult-test", seed, 0.70 + seed / 100, base="mult")
        bundles.add("audio-test", seed, 0.40 + seed / 100, base="audio_only")
    return bundles.root


@pytest.fixture(scope="module")
def evaluations(bundles_at, evaluate, tmp_path_factory):
    """Made-up evaluations under the names of a real protocol, its suite, and methods."""
    bundles = bundles_at(tmp_path_factory.mktemp("evaluated") / "bundles")
    evaluate(bundles, GRID)
    return bundles.root


@pytest.fixture(scope="module")
def board(results):
    """Address of a board over these results."""
    with served(results) as address:
        yield address


@pytest.fixture(scope="module")
def evaluated_board(evaluations):
    with served(evaluations) as address:
        yield address


@contextmanager
def served(results):
    url, log_path = f"sqlite:///{results.parent}/board.db", results.parent / "server.log"
    engine = store.connect(url)
    store.ingest(engine, results)
    engine.dispose()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        "FUSEBOARD_DATABASE_URL": url,
        "FUSEBOARD_BUNDLE_ROOT": str(results),
        "PYTHONPATH": str(Path(leaderboard.__file__).parents[1]),
    }
    with open(log_path, "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "leaderboard", f"--server.port={port}"],
            env=os.environ | places,
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/_stcore/health", server, log_path)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(url, server, log):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the board did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def page(browser, board):
    """A page that must neither complain nor ask another machine for anything."""
    with opened(browser, board) as page:
        yield page


@pytest.fixture
def evaluated_page(browser, evaluated_board):
    with opened(browser, evaluated_board) as page:
        yield page


@contextmanager
def opened(browser, board):
    page = browser.new_page(viewport={"width": 1280, "height": 1800}, accept_downloads=True)
    page.set_default_timeout(60_000)
    trouble = []

    def hear(message):
        # Opened below its root, a page first tries the server's own addresses below that place, too.
        if message.type == "error" and "/_stcore/" not in message.location["url"]:
            trouble.append(f"{message.text} {message.location['url']}")

    def watch(request):
        if not request.url.startswith((board, "data:", "blob:")):
            trouble.append(f"asked for {request.url}")

    page.on("console", hear)
    page.on("request", watch)
    page.board = board
    yield page
    page.close()
    assert trouble == []


def choose(page, label, option):
    """Open a select box and take an option, once the page has come to rest: a list closes when it moves."""
    page.locator("[data-test-script-state=notRunning]").wait_for()
    box, wanted = (
        page.get_by_role("combobox", name=re.compile(label)),
        page.get_by_role("option", name=option, exact=True),
    )
    deadline = time.monotonic() + 60
    while not wanted.is_visible() and time.monotonic() < deadline:
        box.click()
        page.wait_for_timeout(1000)
    wanted.click()


def follow(page, name, heading):
    """Go to a page by its name in the bar on top; a click is lost where the bar is laid out anew under it."""
    shown = page.locator("#root")  # not the first paint, which has the same links
    wanted = shown.get_by_role("heading", name=heading)
    deadline = time.monotonic() + 60
    while not wanted.is_visible() and time.monotonic() < deadline:
        page.locator("[data-test-script-state=notRunning]").wait_for()
        shown.get_by_role("link", name=name, exact=True).click()
        page.wait_for_timeout(3000)
    wanted.wait_for()


def column(page, place, number=0):
    """Texts of a column of a table of the page, not of the first paint."""
    table = page.locator("#root .board-table table").nth(number)
    table.locator("td").first.wait_for(state="attached")
    cells = table.locator(f"tbody tr > :nth-child({place})").all_text_contents()
    return [text.replace("\u00a0", " ") for text in cells]


def soon(read, wanted):
    """Wait until what the page shows is what is wanted; a page is drawn piece by piece, and drawn again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            found = read()
        except (IndexError, KeyError, ValueError) as error:  # a table that has not got its rows yet
            found = repr(error)
        if found == wanted or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert found == wanted


def test_ranking_shows_filters_and_shares(page):
    page.goto(page.board)
    page.locator("#root").get_by_role("heading", name="A protocol of the tests").wait_for()
    soon(lambda: column(page, 2), ["mult-test", "audio-test"])
    soon(lambda: column(page, 3), ["71.0 ± 2.5 %", "41.0 ± 2.5 %"])
    choose(page, "Condition", "audio/missing")
    soon(lambda: column(page, 3), ["63.9 ± 2.2 %", "36.9 ± 2.2 %"])
    page.wait_for_url(re.compile("condition=audio%2Fmissing"))
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    page.locator("#root").get_by_role("heading", name="A protocol of the tests").wait_for()
    soon(lambda: column(page, 3), ["63.9 ± 2.2 %", "36.9 ± 2.2 %"])
    choose(page, "Sort by", "Name")
    soon(lambda: column(page, 2), ["audio-test", "mult-test"])


def test_a_name_in_the_ranking_leads_to_its_method_without_a_mouse(page):
    page.goto(page.board)
    page.locator("#root .board-table").first.wait_for()
    page.locator("[data-test-script-state=notRunning]").wait_for()
    focused = "document.activeElement.matches('.board-table a[href*=audio-test]')"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(focused):
            break
    assert page.evaluate(focused)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # its focus is seen
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Results under unit-test@1").wait_for()
    assert "method=audio-test" in page.url
    page.wait_for_function("document.title === 'Method · Fuseboard'")


TABS = """() => { const e = document.activeElement; if (!e || e === document.body) return null;
  const edged = (x) => { const c = getComputedStyle(x);
    return c.outlineStyle !== "none" && parseFloat(c.outlineWidth) > 0 || c.boxShadow !== "none" };
  let seen = false;  // Streamlit draws the ring of a field around it
  for (let x = e, up = 0; x && up < 4; x = x.parentElement, up++) seen = seen || edged(x);
  return [e.getAttribute("aria-label") || e.innerText, seen] }"""


def test_every_control_of_the_ranking_is_reached_by_a_keyboard_and_shows_it(page):
    page.goto(page.board)
    page.locator("#root .board-table").first.wait_for()
    page.locator("[data-test-script-state=notRunning]").wait_for()
    seen = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        if told := page.evaluate(TABS):
            seen.setdefault(told[0], told[1])
    names = " ".join(seen)
    wanted = [*(page.title for page in PAGES), "Protocol", "Metric", "Condition", "Sort by", "Filter by", "mult-test"]
    assert [name for name in wanted if name not in names] == []
    assert [name for name, visible in seen.items() if not visible] == []


def test_the_method_page_shows_every_run(page):
    page.goto(f"{page.board}/method?method=mult-test&protocol=unit-test%401")
    page.get_by_role("heading", name="Results under unit-test@1").wait_for()
    page.get_by_test_id("stVegaLiteChart").nth(3).locator("svg.marks").wait_for()
    soon(lambda: column(page, 2)[0], "71.0 ± 2.5 %")
    soon(lambda: column(page, 4, number=1), ["completed"] * 3)


def test_the_first_paint_needs_no_program(browser, board):
    """The document alone has the page's name, the ranking's rows, and the ways to the other pages."""
    with opened(browser, board) as page:
        page.goto(board)  # so that the ranking was read once
        page.locator("#root .board-table").first.wait_for()
        assert page.locator("#first-paint").count() == 0  # it leaves when the page is there
        page.route("**/static/js/*", lambda route: route.fulfill(body="", content_type="text/javascript"))
        page.goto(board)
        rows = page.locator("#first-paint .board-table tbody tr")
        soon(rows.count, 2)
        assert page.title() == "Ranking · Fuseboard"
        page.locator("#first-paint nav").get_by_text("Compare").click()
        page.get_by_role("heading", name="Compare").wait_for()
        assert page.title() == "Compare · Fuseboard"
        shown = page.evaluate("performance.getEntriesByName('first-contentful-paint').length")
        assert shown == 1 and page.evaluate("document.querySelector('#root').childElementCount") == 0


@pytest.mark.parametrize("name", [page.file for page in PAGES[1:]])
def test_a_page_has_a_title_a_language_a_heading_and_fits_a_telephone(page, name):
    page.goto(f"{page.board}/{name}")
    page.locator("[data-testid=stMain] h1").first.wait_for()
    title = next(page.title for page in PAGES if page.file == name)
    soon(page.title, f"{title} · Fuseboard")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("[data-testid=stMain] h1").count() == 1
    page.set_viewport_size({"width": 390, "height": 1800})
    soon(lambda: page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390, True)


def test_navigation_reaches_every_page(page):
    page.goto(page.board)
    page.locator("#root").get_by_role("heading", name="A protocol of the tests").wait_for()
    follow(page, "Method", "Settings")
    follow(page, "Download", "What the columns mean")
    follow(page, "Ranking", "Every condition")


@pytest.mark.parametrize("format", ["csv", "parquet", "json"])
def test_the_download_holds_the_records(page, results, tmp_path, format):
    page.goto(f"{page.board}/download?format={format}")
    button = page.get_by_role("button", name=re.compile("Download unit-test.* rows"))
    button.wait_for()
    with page.expect_download() as waiting:
        button.click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    assert path.name == f"unit-test-v1-seeds.{format}"
    page.get_by_text(hashlib.sha256(path.read_bytes()).hexdigest()).wait_for()
    if format == "csv":
        frame = pd.read_csv(path, converters={"value": float})
    else:
        frame = pd.read_parquet(path) if format == "parquet" else pd.read_json(path, precise_float=True)
    assert tuple(frame.columns) == FIELDS
    found = frame.set_index(list(KEY))["value"].to_dict()
    wanted = [record for file in results.glob("*/*/*/records.jsonl") for record in read_jsonl(file)]
    assert found == {tuple(getattr(record, name) for name in KEY): record.value for record in wanted}


def test_robustness_shows_measured_values_and_shares(evaluated_page):
    page = evaluated_page
    page.goto(f"{page.board}/robustness?protocol={GRID}")
    page.get_by_role("heading", name="With the severity of a corruption").wait_for()
    page.get_by_test_id("stVegaLiteChart").first.locator("svg.marks").get_by_text("signal-to-noise ratio").wait_for()
    soon(lambda: column(page, 1)[:2], ["cross_attention", "mult-paper"])
    soon(lambda: column(page, 3)[1], "73.0 ± 2.5 %")  # from 91 % on clean input to 55 %
    for number in range(6):  # each moves what stands below it
        page.get_by_test_id("stVegaLiteChart").nth(number).locator("svg.marks").wait_for()
    choose(page, "Score", "Corruption error")
    soon(lambda: column(page, 4, number=1)[0], "100.0 ± 0.0 %")  # late fusion against itself
    page.wait_for_url(re.compile("score=corruption_error"))
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    page.get_by_role("heading", name="Every sweep").wait_for()
    soon(lambda: column(page, 4, number=1)[0], "100.0 ± 0.0 %")


def test_cost_shows_measured_values_with_intervals(evaluated_page):
    page = evaluated_page
    page.goto(f"{page.board}/cost?protocol={GRID}&condition=clean")
    page.get_by_role("heading", name="Where it was measured").wait_for()
    page.get_by_text("On the front, from the left:").filter(has_text="late_fusion").wait_for()
    soon(lambda: (column(page, 1)[0], column(page, 2)[0], column(page, 5)[0]), ("mult-paper", *MULT_COST))
    choose(page, "Cost", "Throughput (examples/s)")
    page.get_by_text("Better is right and up").wait_for()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Address of a board that opens on the results which come with the package, as a fresh clone does."""
    root = tmp_path_factory.mktemp("published") / "bundles"
    shutil.copytree(store.records_root(), root)
    with served(root) as address:
        yield address


@pytest.mark.parametrize("name", ["robustness", "contribution", "attention", "cost"])
def test_a_fresh_clone_shows_measured_values_with_intervals(browser, published, name):
    with opened(browser, published) as page:
        page.goto(f"{page.board}/{name}?protocol={GRID}&methods=mbt-small")
        page.get_by_test_id("stVegaLiteChart").first.locator("svg.marks").wait_for(timeout=120_000)
        page.get_by_text(INTERVAL).first.wait_for(state="attached")
        page.get_by_text("mbt-small").first.wait_for(state="attached")


def test_compare_protocol_and_paper_open_on_the_committed_records(browser, published):
    with opened(browser, published) as page:
        page.goto(f"{page.board}/compare?protocol={GRID}&compare=late_fusion&compare=audio_only")
        page.get_by_role("heading", name="What tells them apart").wait_for()
        soon(lambda: column(page, 1), ["late_fusion", "audio_only"])
        soon(lambda: [bool(re.match(r"[+-][\d.]+ \[", text)) for text in column(page, 4, number=1)], [True])
        soon(lambda: column(page, 1, number=2)[:2], ["zero", "one"])
        page.goto(f"{page.board}/protocol?protocol={GRID}")
        page.get_by_role("heading", name="Ledger: who opened the test part").wait_for()
        soon(lambda: column(page, 2, number=1), ["600", "150", "250"])
        page.goto(f"{page.board}/paper?paper=hfusion2018&table=2-mosi")
        page.get_by_role("heading", name="Does it hold?").wait_for()
        audio_and_video = ["56.1 → 52.63 ± 0.91 (10) ✗", "56.8 → 56.58 ± 0.29 (10) ✓"]
        soon(lambda: [text for text in column(page, 7) if "→" in text], audio_and_video)
        page.set_viewport_size({"width": 390, "height": 1800})
        soon(lambda: page.evaluate("document.documentElement.scrollWidth") <= 390, True)
        button = page.get_by_role("button", name="Its cells (CSV)")
        with page.expect_download() as waiting:
            button.click()
        assert waiting.value.suggested_filename == "hfusion2018-2-mosi-table.csv"
