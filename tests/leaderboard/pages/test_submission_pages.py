"""Submit and Submissions as Streamlit runs them: who may do what, and that no text of a stranger is interpreted."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
from leaderboard import access, claims, moderation, submissions, visitor
from leaderboard.access import Actor
from protocols.spec import committed
from tests.leaderboard.html_tables import tables
from zoo.drafts import draft

PAGES = Path(leaderboard.__file__).parent / "pages"
ANA, MIA = Actor("ana", "submitter"), Actor("mia", "maintainer")
SYNTHETIC = committed()["synthetic@1"]
SCRIPT = "<img src=x onerror=alert(1)>[x](javascript:alert(1)) https://evil.example $x$ :smile:"
TEXT = draft("my-late", "late_fusion")


@pytest.fixture
def page(engine, monkeypatch):
    """Opens a page over the store of this test."""
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))

    def run(name, **query):
        at = AppTest.from_file(PAGES / f"{name}.py", default_timeout=120)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


@pytest.fixture
def at_the_machine(monkeypatch):
    monkeypatch.setattr(visitor, "_at_the_machine", lambda: True)


def said(at):
    kinds = (at.markdown, at.caption, at.header, at.subheader, at.info, at.warning, at.error, at.success)
    return "\n".join(element.value for kind in kinds for element in kind)


def labels(at):
    return [button.label for button in at.button]


def test_a_reader_checks_and_cannot_hand_in(page):
    at = page("submit", **{"from": "mult-paper"})
    assert "The spec is valid" in said(at) and "handing in needs a token" in said(at)
    assert "The same settings as mult" in said(at)
    assert labels(at) == []


@pytest.mark.usefixtures("at_the_machine")
def test_the_person_at_the_machine_hands_in(page, engine):
    at = page("submit", protocol="synthetic@1")
    (button,) = [b for b in at.button if b.label == "Submit"]
    assert not button.disabled, said(at)
    button.click().run()
    assert not at.exception
    (made,) = submissions.every(engine)
    assert made.submission in said(at) and made.owner.startswith("local:")
    at = page("submit", protocol="synthetic@1")
    assert "is there already" in said(at)
    assert [b.disabled for b in at.button if b.label == "Submit"] == [True]


@pytest.mark.parametrize("secret", ["fsb_00000000_" + "x" * 43, "nonsense", "<b>"])
def test_a_wrong_token_opens_nothing(page, engine, secret):
    submissions.submit(engine, ANA, TEXT, SYNTHETIC)
    at = page("submissions")
    at.text_input(key="token").set_value(secret).run()
    assert "not known here" in said(at) and labels(at) == []


def test_a_revoked_token_and_a_submitters_open_no_decision(page, engine):
    made = submissions.submit(engine, ANA, TEXT, SYNTHETIC)
    mine, secret = access.create(engine, MIA, "ana", "submitter")
    at = page("submissions", submission=made.submission)
    at.text_input(key="token").set_value(secret).run()
    assert "for maintainers" in said(at) and labels(at) == []
    access.revoke(engine, MIA, mine.token)
    at.run()
    assert "was revoked" in said(at)
    assert submissions.get(engine, made.submission).state == "validated"


def test_a_maintainers_token_decides(page, engine):
    made = submissions.submit(engine, ANA, TEXT, SYNTHETIC)
    _, secret = access.create(engine, MIA, "mia", "maintainer")
    at = page("submissions", submission=made.submission)
    at.text_input(key="token").set_value(secret).run()
    assert labels(at) == ["Approve", "Refuse", "Hide"]
    assert [button.disabled for button in at.button] == [False, True, True]  # the others want a reason
    at.button[0].click().run()
    assert submissions.get(engine, made.submission).state == "queued"
    at.text_input[1].set_value("a second thought").run()
    next(button for button in at.button if button.label == "Refuse").click().run()
    assert submissions.get(engine, made.submission).state == "refused"


def test_every_state_is_told_with_reason_and_log(page, engine):
    made = submissions.submit(engine, ANA, TEXT, SYNTHETIC)
    moderation.approve(engine, MIA, made.submission)
    claim = claims.take(engine, "w1")
    claims.plan(engine, claim, ["r1", "r2", "r3"], 0)
    claims.progress(engine, claim, 1, 3, "seed 0: 5 epochs", "epoch 5 of 5")
    at = page("submissions", submission=made.submission)
    assert "running seed 1/3".replace("/", r"\/") in said(at).replace("running 1", "running seed 1")
    table = tables(at)[1]
    assert list(table["State"])[-2:] == ["running", "running seed 1/3"]
    assert "epoch 5 of 5" in [code.value for code in at.code]


@pytest.mark.usefixtures("at_the_machine")
def test_text_of_strangers_is_shown_as_it_is_written(page, engine):
    hostile = TEXT.replace("title: my-late", f"title: '{SCRIPT}'") + f"# {SCRIPT}\n"
    made = submissions.submit(engine, ANA, hostile, SYNTHETIC)
    moderation.refuse(engine, MIA, made.submission, SCRIPT)
    at = page("submissions", submission=made.submission)
    assert not any(element.allow_html for element in at.markdown)
    for value in (element.value for kind in (at.markdown, at.subheader, at.caption, at.error) for element in kind):
        assert "<img" not in value and "](javascript" not in value and "https://evil" not in value
    assert SCRIPT in set(tables(at)[1]["Reason"])  # a cell is text
    assert not any(SCRIPT in element.proto.body for element in at.get("html"))  # it is escaped


def test_only_a_visit_from_this_machine_is_the_person_at_it(monkeypatch):
    """The rules one by one; a browser test visits by another name."""

    class Context:
        headers, ip_address = {"Host": "127.0.0.1:8501"}, None

    option = {"server.address": "127.0.0.1"}
    monkeypatch.setattr(visitor.st, "context", Context)
    monkeypatch.setattr(visitor.st, "get_option", option.get)
    assert visitor._at_the_machine()
    for headers in ({"Host": "localhost:8501"}, {"Host": "localhost"}, {"Host": "[::1]:8501"}):
        Context.headers = headers
        assert visitor._at_the_machine()
    for headers in (
        {},
        {"Host": "board.example"},
        {"Host": "127.0.0.1.evil.example:8501"},
        {"Host": "127.0.0.1:8501", "X-Forwarded-For": "10.0.0.1"},
        {"Host": "localhost", "Forwarded": "for=10.0.0.1"},
    ):
        Context.headers = headers
        assert not visitor._at_the_machine()
    Context.headers, option["server.address"] = {"Host": "127.0.0.1:8501"}, "0.0.0.0"
    assert not visitor._at_the_machine()


@pytest.fixture
def signed_in(page, engine, monkeypatch):
    """Opens Submissions where sign-in is configured, as somebody whom the identity provider tells of."""
    made = submissions.submit(engine, ANA, TEXT, SYNTHETIC)

    def run(**told):
        class User(dict):
            is_logged_in = bool(told)

        monkeypatch.setattr(visitor.st, "user", User(told))
        at = AppTest.from_file(PAGES / "submissions.py", default_timeout=120)
        at.secrets["auth"] = {"client_id": "x"}
        at.secrets["fuseboard"] = {"maintainers": ["mia@example.org"], "submitters": ["ana@example.org"]}
        at.query_params["submission"] = made.submission
        at.run()
        assert not at.exception
        return at

    return run


@pytest.mark.usefixtures("at_the_machine")
def test_where_sign_in_is_configured_nobody_is_the_person_at_the_machine(signed_in):
    at = signed_in()
    assert labels(at) == ["Sign in"] and "for maintainers" in said(at)


@pytest.mark.parametrize(
    ("told", "may"),
    [
        ({"email": "mia@example.org", "email_verified": True}, True),
        ({"email": "mia@example.org"}, True),
        ({"email": "mia@example.org", "email_verified": False}, False),
        ({"email": "ana@example.org", "email_verified": True}, False),
        ({"email": "eve@example.org", "email_verified": True}, False),
        ({"name": "mia@example.org"}, False),
    ],
)
def test_the_lists_say_what_an_address_may_do(signed_in, told, may):
    at = signed_in(**told)
    assert ("Approve" in labels(at)) == may
    assert any(label.startswith("Sign out") for label in labels(at))
