"""Submit and Submissions in a real browser: checked while one types, handed in, approved."""

import os

import pytest

from leaderboard import store, submissions
from tests.leaderboard import test_browser as plain

pytestmark = pytest.mark.browser
browser, results, board, page = plain.browser, plain.results, plain.board, plain.page


def shot(page, name):
    """A picture to look at, where a folder for them is named."""
    if folder := os.environ.get("FUSEBOARD_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_a_spec_is_checked_while_it_is_typed_then_submitted_and_approved(page, results):
    page.goto(f"{page.board}/submit?from=late_fusion&protocol=synthetic@1")
    page.get_by_text("The spec is valid.").wait_for()
    editor = page.get_by_label("Spec (YAML)")
    plain.soon(lambda: "name: my_fusion" in editor.input_value(), True)
    text = editor.input_value()
    shot(page, "submit")

    line = text.splitlines().index("  pooling: mean") + 1
    editor.fill(text.replace("pooling: mean", "pooling: meen"))  # the area keeps the focus
    page.get_by_text("unknown part 'meen'. Did you mean 'mean'?").wait_for()
    page.get_by_text(f"Line {line}, settings.pooling").wait_for()
    page.get_by_role("button", name="Submit", exact=True).wait_for(state="detached")
    shot(page, "submit-wrong")

    title = "<img src=x onerror=document.title='owned'>"
    editor.fill(text.replace("width: 40", "width: 48").replace("title: my_fusion", f'title: "{title}"'))
    page.get_by_text("+  width: 48").wait_for()  # against the parent
    page.get_by_role("button", name="Submit", exact=True).click()
    page.get_by_text("A maintainer approves it next").wait_for()

    engine = store.connect(f"sqlite:///{results.parent}/board.db")
    (made,) = submissions.every(engine)
    page.goto(f"{page.board}/submissions?submission={made.submission}")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("heading", name="my_fusion under synthetic@1: queued").wait_for()
    page.get_by_text("Place 1 in the queue.").wait_for()
    page.get_by_text(title).first.wait_for()
    assert page.title() != "owned"
    shot(page, "submissions")
    assert submissions.get(engine, made.submission).owner.startswith("local:")
    engine.dispose()
