"""A shared database from its first maintainer to the board, by the worker itself."""

import sqlalchemy as sa

from leaderboard import access, audit, claims, moderation, queries, store, submissions
from leaderboard.submission_tables import submissions as table
from protocols.spec import ProtocolSpec, load
from runners.settings import Settings
from runners.worker import Options, work
from zoo.drafts import draft


def test_a_submission_with_a_token_reaches_the_board(postgres_url, tmp_path):
    engine = store.connect(postgres_url)
    mia = access.identify(engine, access.create(engine, None, "mia", "maintainer")[1])
    ana = access.identify(engine, access.create(engine, mia, "ana", "submitter")[1])
    raw = load("synthetic@1").model_dump(mode="json")
    budget = raw["budget"] | {"epochs": 2, "batch_size": 200}
    brief = ProtocolSpec.model_validate(raw | {"name": "brief", "seeds": 2, "conditions": ["clean"], "budget": budget})
    wrong = submissions.examine(engine, ana, draft("mine", "text_only"), brief)[1]
    assert "only a maintainer submits to it" in str(wrong[0])
    made = submissions.submit(engine, mia, draft("mine", "text_only"), brief)
    moderation.approve(engine, mia, made.submission)
    folders = {name: tmp_path / name for name in ("data_root", "cache_root", "bundle_root")}
    work(Settings.resolve(**folders, database_url=postgres_url, tracking_url="off"), Options("serial", True, 60))
    told = [entry.event for entry in audit.history(engine, "submission", made.submission)]
    assert told[3:] == ["queued", "running", "running seed 1/2", "running seed 2/2", "scored", "ranked"]
    assert len(queries.current_runs(engine, "brief@1")[0]) == 2
    engine.dispose()


def test_nobody_is_silent_while_the_server_is_away(postgres_url):
    """A heartbeat of long ago counts from the start of the server, which may have been away meanwhile."""
    engine = store.connect(postgres_url)
    mia = access.identify(engine, access.create(engine, None, "mia", "maintainer")[1])
    made = submissions.submit(engine, mia, draft("mine", "text_only"), load("synthetic@1"))
    moderation.approve(engine, mia, made.submission)
    assert claims.take(engine, "one").submission == made.submission
    with engine.begin() as connection:
        connection.execute(sa.update(table).values(heartbeat=table.c.heartbeat - 1e7))
    assert claims.reclaim(engine, 1e6, "two") == []  # seconds; no server of a test is up for so long
    assert claims.reclaim(engine, 0.0, "two") == [made.submission]
    engine.dispose()
