"""Text of users in places that read Markdown."""

import re

import pytest

from leaderboard.session import plain


def unescaped(text):
    """What Markdown makes of it: escapes go, word joiners show nothing."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\u2060", "")


@pytest.mark.parametrize(
    "text", ["**a** `b` <b>", "[x](javascript:alert(1))", "$x$ :smile:", "http://a.b/c?d", "é\u202e"]
)
def test_plain_text_is_shown_as_it_is_written(text):
    assert unescaped(plain(text)) == text
    assert re.search(r"(?<!\\)[*`<\[$:]", plain(text)) is None


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "me@evil.example"])
def test_addresses_do_not_become_links(text):
    """What GitHub's Markdown makes links of stands there no more."""
    shown = re.sub(r"\\(.)", r"\1", plain(text))
    assert re.search(r"(https?://|www(?=\.))[-.\w]|[-.\w+]@[-\w]+\.[-\w]", shown) is None


def test_a_protocol_keeps_its_name():
    assert "\u2060" not in plain("grid-digit-noisy@1 under audio/missing")
