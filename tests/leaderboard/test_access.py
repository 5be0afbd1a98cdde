"""Tokens and roles on a shared database, and the person at the machine of a local one."""

import pytest
import sqlalchemy as sa

from leaderboard import access, audit, store, submissions
from leaderboard.access import MAINTAINER, RATE, SUBMITTER, AccessError
from leaderboard.submission_tables import tokens
from protocols.spec import committed
from zoo.drafts import draft

SYNTHETIC = committed()["synthetic@1"]


@pytest.fixture
def shared(postgres_url):
    engine = store.connect(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def maintainer(shared):
    """The first of a shared database: its secret."""
    return access.create(shared, None, "mia", MAINTAINER)[1]


def test_a_shared_database_asks_for_a_token(shared, maintainer):
    for secret in (None, "", "fsb_", "fsb_00000000_" + "x" * 43, maintainer[:-1] + "!", maintainer[:-1], "'; --", "\0"):
        with pytest.raises(AccessError, match="token"):
            access.identify(shared, secret)
    actor = access.identify(shared, maintainer)
    assert (actor.name, actor.role) == ("mia", MAINTAINER)


def test_the_person_at_the_machine_of_a_file_is_its_maintainer(engine):
    actor = access.identify(engine, None)
    assert actor.maintains and actor.name.startswith("local:")
    with pytest.raises(AccessError, match="not known"):
        access.identify(engine, "fsb_00000000_" + "x" * 43)


def test_only_the_first_maintainer_comes_without_one(shared):
    with pytest.raises(AccessError, match="Only a maintainer makes tokens"):
        access.create(shared, None, "eve", SUBMITTER)
    access.create(shared, None, "mia", MAINTAINER)
    with pytest.raises(AccessError, match="Only a maintainer makes tokens"):
        access.create(shared, None, "eve", MAINTAINER)
    _, secret = access.create(shared, access.Actor("mia", MAINTAINER), "ana", SUBMITTER)
    with pytest.raises(AccessError, match="ana is a submitter"):
        access.create(shared, access.identify(shared, secret), "eve", MAINTAINER)


def test_a_revoked_token_ends_at_once(shared, maintainer):
    mia = access.identify(shared, maintainer)
    made, secret = access.create(shared, mia, "ana", SUBMITTER)
    ana = access.identify(shared, secret)
    with pytest.raises(AccessError, match="another's token"):
        access.revoke(shared, ana, mia.token)
    with pytest.raises(AccessError, match="another's token"):
        access.revoke(shared, ana, "feedfeed")
    access.revoke(shared, mia, made.token)
    with pytest.raises(AccessError, match=f"Token {made.token} of ana was revoked"):
        access.identify(shared, secret)
    with pytest.raises(AccessError, match="was revoked at"):
        access.revoke(shared, mia, made.token)
    log = audit.history(shared, "token", made.token)
    assert [(entry.actor, entry.event) for entry in log] == [("mia", "created"), ("mia", "revoked")]


def test_the_secret_is_not_in_the_database(shared, maintainer):
    with shared.connect() as connection:
        row = connection.execute(sa.select(tokens)).one()
    assert maintainer not in str(row) and maintainer.rpartition("_")[2] not in str(row)
    assert len(row.sha256) == 64
    assert access.listed(shared, access.identify(shared, maintainer))[0].owner == "mia"


def test_a_list_shows_others_tokens_to_maintainers_only(shared, maintainer):
    mia = access.identify(shared, maintainer)
    ana = access.identify(shared, access.create(shared, mia, "ana", SUBMITTER)[1])
    assert [t.owner for t in access.listed(shared, mia)] == ["mia", "ana"]
    assert [t.owner for t in access.listed(shared, ana)] == ["ana"]


def test_submissions_of_a_token_are_limited_in_time(shared, maintainer):
    ana = access.identify(shared, access.create(shared, access.identify(shared, maintainer), "ana", SUBMITTER)[1])
    submissions.submit(shared, ana, draft("a-late", "late_fusion"), SYNTHETIC)
    for _ in range(RATE - 1):
        with pytest.raises(submissions.SubmissionError):
            submissions.submit(shared, ana, "name: [", SYNTHETIC)
    with pytest.raises(AccessError, match="Try again in (at most )?(59|60) minutes"):
        submissions.submit(shared, ana, "name: [", SYNTHETIC)
    with shared.begin() as connection:
        connection.execute(sa.update(tokens).values(window_start=tokens.c.window_start - access.WINDOW))
    access.spend(shared, ana)


def test_who_signed_in_is_limited_too(engine):
    mia = access.Actor("mia@example.org", MAINTAINER)
    for number in range(RATE):
        submissions.submit(engine, mia, draft(f"late-{number}", "late_fusion"), SYNTHETIC)
    with pytest.raises(AccessError, match="20 submissions within an hour"):
        submissions.submit(engine, mia, draft("one-more", "late_fusion"), SYNTHETIC)
    submissions.submit(engine, access.person_at_the_machine(), draft("one-more", "late_fusion"), SYNTHETIC)


@pytest.mark.parametrize("owner", ["", "local:root", "a b", "<b>", "x" * 65, "a\n", "é"])
def test_an_owner_is_a_plain_name(engine, owner):
    with pytest.raises(AccessError, match="wanted 1 to 64"):
        access.create(engine, access.person_at_the_machine(), owner, SUBMITTER)


def test_an_unknown_role_is_refused(engine):
    with pytest.raises(AccessError, match="known are submitter, maintainer"):
        access.create(engine, access.person_at_the_machine(), "ana", "owner")
