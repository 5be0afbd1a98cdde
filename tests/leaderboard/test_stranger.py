"""A stranger who has the address of a shared board reads and downloads everything and changes nothing.

The requests are a browser's own, made by hand, so that they can also say what no page would let a browser say: that a
button was pressed which the visitor never saw.
"""

import asyncio
import io
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pandas as pd
import pytest
import sqlalchemy as sa

from leaderboard import access, store, submissions
from leaderboard.access import Actor
from leaderboard.submission_tables import audit
from protocols.spec import committed
from tests.leaderboard.test_load import serving
from zoo.drafts import draft

PAGES = ("", "compare", "method", "robustness", "contribution", "attention", "cost", "protocol", "paper", "review")
PAGES += ("download", "submit", "submissions")
SYNTHETIC = committed()["synthetic@1"]
TEXT = draft("anas-fusion", "late_fusion")


@dataclass
class Seen:
    """What a page answered: ids of its buttons and of the field for a token, addresses of files, what went wrong."""

    buttons: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


async def _visit(
    port: int, page: str, query: dict[str, str], texts: dict[str, str], pressed: str | None = None
) -> Seen:
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.asyncio.client import connect

    asked = BackMsg()
    asked.rerun_script.page_name = page
    asked.rerun_script.query_string = urlencode(query)
    for key, value in texts.items():
        asked.rerun_script.widget_states.widgets.add(id=key, string_value=value)
    if pressed:
        asked.rerun_script.widget_states.widgets.add(id=pressed, trigger_value=True)
    seen = Seen()
    async with connect(
        f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None, open_timeout=120
    ) as stream:
        await stream.send(asked.SerializeToString())
        while True:
            said = ForwardMsg()
            said.ParseFromString(await stream.recv())
            kind = said.WhichOneof("type")
            if kind == "script_finished":
                return seen
            if kind != "delta" or said.delta.WhichOneof("type") != "new_element":
                continue
            element = said.delta.new_element
            match element.WhichOneof("type"):
                case "button":
                    seen.buttons[element.button.label] = element.button.id
                case "text_input" if element.text_input.label == "Token":
                    seen.token = element.text_input.id
                case "download_button":
                    seen.files[element.download_button.label] = element.download_button.url
                case "exception":
                    seen.trouble.append(f"{page}: {element.exception.message}")


def visit(
    port: int, page: str, query: dict[str, str] | None = None, *, token: str | None = None, pressed: str | None = None
) -> Seen:
    """Open a page, say a token if there is one, and say that a button was pressed."""
    texts = {}
    if token:
        texts = {asyncio.run(_visit(port, page, query or {}, {})).token: token}
    return asyncio.run(_visit(port, page, query or {}, texts, pressed))


@pytest.fixture
def shared(postgres_url, bundles):
    """A board over PostgreSQL with results, tokens, and a submission of Ana's: engine, port, tokens, submission."""
    for seed in range(3):
        bundles.add("mult-test", seed, 0.7, base="mult")
        bundles.add("audio-test", seed, 0.4, base="audio_only")
    engine = store.connect(postgres_url)
    store.ingest(engine, bundles.root)
    mia = access.identify(engine, access.create(engine, None, "mia", "maintainer")[1])
    tokens = {}
    for name, role in (
        ("maintainer", "maintainer"),
        ("ana", "submitter"),
        ("bob", "submitter"),
        ("gone", "maintainer"),
    ):
        made, tokens[name] = access.create(engine, mia, name, role)
    access.revoke(engine, mia, made.token)
    made = submissions.submit(engine, Actor("ana", "submitter"), TEXT, SYNTHETIC)
    with serving(postgres_url, bundles.root) as server:
        yield engine, server.port, tokens, made
    engine.dispose()


def events(engine) -> list:
    """Everything that was ever changed."""
    with engine.connect() as connection:
        return connection.execute(sa.select(audit)).all()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stranger_reads_and_downloads_everything_and_changes_nothing(shared):
    engine, port, tokens, made = shared
    before = events(engine)
    for page in PAGES:
        assert visit(port, page).trouble == [], page
    files = visit(port, "download", {"protocol": "unit-test@1", "level": "seeds", "format": "csv"}).files
    (address,) = [url for label, url in files.items() if "rows" in label]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{address}", timeout=60) as answer:
        frame = pd.read_csv(io.BytesIO(answer.read()))
    with engine.connect() as connection:
        assert len(frame) == connection.scalar(sa.select(sa.func.count()).select_from(store.records)) > 0

    at = {"submission": made.submission}
    approve = visit(port, "submissions", at, token=tokens["maintainer"]).buttons["Approve"]
    assert visit(port, "submissions", at).buttons == {}
    for who in (None, "x", tokens["gone"], tokens["ana"], tokens["bob"]):
        seen = visit(port, "submissions", at, token=who, pressed=approve)
        assert seen.trouble == [] and seen.buttons == {}
        assert submissions.get(engine, made.submission).state == "validated"
    assert events(engine) == before

    hand_in = visit(port, "submit", token=tokens["bob"]).buttons["Submit"]
    for who in (None, "x", tokens["gone"]):
        assert visit(port, "submit", token=who, pressed=hand_in).trouble == []
    assert len(submissions.every(engine)) == 1 and events(engine) == before

    visit(port, "submissions", at, token=tokens["maintainer"], pressed=approve)  # the same request with the right
    assert submissions.get(engine, made.submission).state == "queued"
