"""The pages Contribution and Attention in a real browser: numbers, choices, and an exhibit over its clip."""

import os
import re

import pytest

import zoo.spec
from leaderboard.contributions import score_name
from protocols.spec import committed
from protocols.suite import suites
from tests.leaderboard import test_browser as plain
from tests.leaderboard.evaluated import fill

pytestmark = pytest.mark.browser
browser, board, page = plain.browser, plain.board, plain.page

KEY = "grid-digit-noisy@1"
TWO = ("audio", "video")
SHOWN = ({"audio": 50, "video": 13}, {"bbaf2n": "two"})


@pytest.fixture(scope="module")
def results(bundles_at, tmp_path_factory):
    """Made-up evaluations of two methods and a baseline; `board` serves them."""
    bundles = bundles_at(tmp_path_factory.mktemp("board") / "bundles")
    entries = zoo.spec.entries()
    methods = {
        name: {
            "base": entries[name].method,
            "settings": dict(entries[name].settings),
            "accuracy": 0.6 - place / 10,
            "modalities": TWO if maps else ("audio",),
            "maps": maps,
            "exhibits": SHOWN if maps else None,
        }
        for place, (name, maps) in enumerate({"mult-paper": True, "mbt-small": True, "audio_only": False}.items())
    }
    fill(bundles, committed()[KEY], suites()[KEY], methods, seeds=3)
    return bundles.root


def texts(page, number):
    """First two columns of a table, as rows."""
    return dict(zip(plain.column(page, 1, number), plain.column(page, 2, number), strict=True))


def charts(page, text):
    return page.get_by_test_id("stVegaLiteChart").locator("svg.marks").filter(has_text=text)


def test_contribution_shows_shares_with_intervals(page):
    page.goto(f"{page.board}/contribution")
    page.get_by_role("heading", name="Share of the prediction").wait_for()
    charts(page, "mbt-small").first.wait_for()
    page.get_by_role("heading", name="Every score").scroll_into_view_if_needed()
    share = score_name("shapley_share/audio")
    plain.soon(lambda: bool(re.fullmatch(r"[\d.]+ ± [\d.]+ %", texts(page, 0)[share])), True)
    plain.soon(lambda: texts(page, 0)["Fusion gain over audio_only"][:4], "20.0")
    scores = texts(page, 0)
    plain.choose(page, "Condition", "audio/white_noise/-10dB")
    page.wait_for_url(re.compile("condition=audio%2Fwhite_noise%2F-10dB"))
    plain.soon(lambda: texts(page, 0)[share] == scores[share], False)


def test_attention_shows_maps_drift_and_faithfulness(page):
    page.goto(f"{page.board}/attention?methods=mult-paper")
    page.get_by_role("heading", name="Where attention goes").wait_for()
    page.get_by_role("heading", name="Does saliency say why the model decides?").wait_for()
    charts(page, "audio/white_noise, mild to severe").first.wait_for()
    plain.soon(lambda: texts(page, 0)[score_name("attention_share/audio")], "50.0 ± 0.0 %")
    box = page.get_by_role("combobox", name=re.compile("Disturbed by"))
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # its list closes when the page still scrolls under it
    plain.choose(page, "Disturbed by", "video/sensor_noise")
    charts(page, "video/sensor_noise, mild to severe").first.wait_for()


def test_an_exhibit_is_shown_over_its_clip_and_the_clip_plays(page):
    if not os.environ.get("FUSEBOARD_DATA_ROOT"):
        pytest.skip("FUSEBOARD_DATA_ROOT names no folder with GRID")
    pytest.importorskip("av", reason="PyAV is not installed")
    page.goto(f"{page.board}/attention?condition=audio%2Fwhite_noise%2F-10dB")
    page.get_by_role("heading", name="mult-paper, seed 0").wait_for()
    page.get_by_role("heading", name="mbt-small, seed 0").wait_for()
    page.get_by_text("bin blue at f two now").wait_for()
    pictures = page.get_by_test_id("stImage").locator("img")
    drawn = "images => images.map(image => image.complete && image.naturalWidth > 900)"
    plain.soon(lambda: pictures.evaluate_all(drawn), [True, True])
    spectrograms = page.get_by_test_id("stVegaLiteChart").locator("svg.marks image")
    held = "images => images.map(image => image.getAttribute('href').slice(0, 22))"
    plain.soon(lambda: spectrograms.evaluate_all(held), ["data:image/png;base64,"] * 2)
    video = page.locator("video")
    plain.soon(lambda: video.evaluate("video => video.readyState >= 2 && video.duration > 2.5"), True)
    video.evaluate("video => { video.muted = true; return video.play(); }")
    plain.soon(lambda: video.evaluate("video => video.currentTime > 1"), True)
    plain.soon(lambda: page.locator("audio").evaluate("sound => Math.abs(sound.duration - 0.52) < 0.01"), True)


@pytest.mark.parametrize("name", ["contribution", "attention"])
def test_a_telephone_shows_a_page_without_scrolling_sideways(page, name):
    page.set_viewport_size({"width": 390, "height": 1800})
    page.goto(f"{page.board}/{name}")
    page.get_by_test_id("stVegaLiteChart").locator("svg.marks").first.wait_for()
    plain.soon(lambda: page.evaluate("document.documentElement.scrollWidth") <= 390, True)
