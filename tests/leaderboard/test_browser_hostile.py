"""Text of strangers in a real browser: names, labels, reasons, titles and specs that try to be more than text."""

import json

import pytest

from leaderboard import store, submissions
from leaderboard.access import person_at_the_machine
from leaderboard.contents import PAGES
from protocols.spec import committed
from tests.leaderboard.conftest import protocol
from tests.leaderboard.test_browser import browser, opened, served  # noqa: F401
from zoo.drafts import draft

pytestmark = pytest.mark.browser

SCRIPT = "<script>window.hurt=1</script><img src=x onerror=window.hurt=1>"
MARKDOWN = "[click](javascript:window.hurt=1) ![i](http://evil.example/i.png) $x$ :smile: `a` **b** www.evil.example"
BACKWARDS = "\u202egnp.exe\u2066 left"
LONG = "very_long_name_" * 12
HOSTILE = " ".join((SCRIPT, MARKDOWN, "me@evil.example", BACKWARDS, LONG))
ADDRESSES = """() => [...document.querySelectorAll("a[href]")].map((a) => new URL(a.href))
  .filter((url) => !/^https?:$/.test(url.protocol) || /evil/.test(url.hostname)).map(String)"""
WIDER = """() => { const main = document.querySelector("[data-testid=stMain]");
  return Math.max(document.documentElement.scrollWidth, main.scrollWidth) - window.innerWidth }"""


@pytest.fixture(scope="module")
def hostile_board(bundles_at, tmp_path_factory):
    """Address of a board whose every text is hostile."""
    root = tmp_path_factory.mktemp("hostile") / "bundles"
    bundles = bundles_at(root)
    spec = protocol(title=HOSTILE, description=HOSTILE)
    names = (SCRIPT.replace("/", ""), MARKDOWN.replace("/", ""), BACKWARDS, LONG)
    for place, name in enumerate(names):
        for seed in range(3):
            folder = bundles.add(name, seed, 0.5 + place / 10 + seed / 100, base="mult", spec=spec)
            told = json.loads((folder / "manifest.json").read_text())
            told["method"]["label"] = {"title": HOSTILE, "summary": HOSTILE}
            told["hardware"]["device"] = HOSTILE
            (folder / "manifest.json").write_text(json.dumps(told))
            bundles.opened(folder.name, name, spec.key, seed=seed)
        bundles.add(name, 9, base="mult", spec=spec, status="failed", reason=HOSTILE)
    url = f"sqlite:///{root.parent}/board.db"
    engine = store.connect(url)
    store.ingest(engine, root)
    text = draft("my-late", "late_fusion") + f"# {SCRIPT} {MARKDOWN}\n"  # marks of direction are refused there
    submissions.submit(engine, person_at_the_machine(), text, committed()["synthetic@1"])
    engine.dispose()
    with served(root) as address:
        yield address


@pytest.mark.parametrize("page", ["", *(page.file for page in PAGES[1:])])
def test_nothing_but_text_comes_of_it(browser, hostile_board, page):  # noqa: F811
    with opened(browser, hostile_board) as tab:
        tab.on("dialog", lambda dialog: pytest.fail(f"{page}: {dialog.message}"))
        tab.goto(f"{hostile_board}/{page}")
        tab.locator("[data-testid=stMain] h1").first.wait_for()
        tab.locator("[data-test-script-state=notRunning]").wait_for()
        for width in (1280, 390):
            tab.set_viewport_size({"width": width, "height": 1800})
            tab.wait_for_timeout(1500)  # charts are drawn anew
            assert tab.evaluate(WIDER) <= 0, f"{width} pixels"
        assert tab.evaluate("window.hurt") is None
        assert tab.evaluate(ADDRESSES) == []
        assert tab.get_by_test_id("stException").count() == 0
        assert tab.locator("[data-testid=stMain] img[src*=evil]").count() == 0
