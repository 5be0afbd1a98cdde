"""The queue on both databases: what is taken in, who may decide, and that each change leaves its trace."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from leaderboard import access, audit, claims, moderation, queries, store, submissions
from leaderboard.access import AccessError, Actor
from leaderboard.submission_tables import audit as audit_table
from leaderboard.submission_tables import submission_runs
from leaderboard.submissions import SubmissionError
from protocols.spec import committed
from zoo.drafts import draft

ANA, BEN = Actor("ana", "submitter"), Actor("ben", "submitter")
MAIN = Actor("mia", "maintainer")
SYNTHETIC = committed()["synthetic@1"]
LATE = draft("my-late", "late_fusion")


@pytest.fixture
def either(database_url):
    engine = store.connect(database_url)
    yield engine
    engine.dispose()


def events(engine, submission):
    return [entry.event for entry in audit.history(engine, "submission", submission.submission)]


def taken(engine, text=LATE, worker="w1", actor=ANA):
    """An approved submission in the hands of a worker."""
    made = submissions.submit(engine, actor, text, SYNTHETIC)
    moderation.approve(engine, MAIN, made.submission)
    return made, claims.take(engine, worker)


def test_from_submitting_to_the_board(either, bundles):
    made, claim = taken(either)
    assert claim.submission == made.submission and claim.spec == LATE
    folder = bundles.add("my-late", 0, 0.9, spec=SYNTHETIC, base="compose")
    claims.plan(either, claim, [folder.name], 0)
    store.ingest(either, bundles.root)
    assert queries.protocols(either) == {}  # withheld until all is done
    claims.progress(either, claim, 1, 1, "seed 0", "epoch 1\nepoch 2")
    claims.score(either, claim, "scored", "")
    claims.rank(either, claim, "on the board")
    store.ingest(either, bundles.root)
    board = queries.ranking(either, SYNTHETIC, "accuracy", "clean").table
    assert list(board["method"]) == ["my-late"]
    assert events(either, made) == (
        ["received", "validated", "approved", "queued", "running", "running seed 1/1", "scored", "ranked"]
    )
    log = audit.history(either, "submission", made.submission)
    assert log[5].log == "epoch 1\nepoch 2" and log[2].actor == "mia" and all(entry.at for entry in log)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LATE.replace("fusion: late", "fusion: lat"), "settings.fusion: unknown part 'lat'. Did you mean 'late'"),
        (draft("mult-paper", "mult"), "preset of the zoo"),
        (draft("words", "text_only").replace("modalities: [text]", "modalities: [text, audio]"), "fusion.none"),
    ],
)
def test_a_wrong_spec_is_refused_and_nothing_is_kept(engine, text, said):
    with pytest.raises(SubmissionError) as caught:
        submissions.submit(engine, ANA, text, SYNTHETIC)
    assert said in str(caught.value)
    assert submissions.every(engine) == []


def test_a_method_that_cannot_take_part_is_told_why(engine):
    with pytest.raises(SubmissionError, match="cannot take part in grid-digit@1: it needs text"):
        submissions.submit(engine, ANA, draft("words", "text_only"), committed()["grid-digit@1"])
    replica = next(p for p in committed().values() if p.replica_of)
    with pytest.raises(SubmissionError, match="replica, which never ranks"):
        submissions.submit(engine, ANA, LATE, replica)
    own = SYNTHETIC.model_copy(update={"name": "mine"})
    with pytest.raises(SubmissionError, match="only a maintainer submits to it"):
        submissions.submit(engine, ANA, LATE, own)
    assert submissions.submit(engine, MAIN, LATE, own).protocol == "mine@1"


def test_a_name_belongs_to_one_spec_of_one_person(either):
    made = submissions.submit(either, ANA, LATE, SYNTHETIC)
    with pytest.raises(SubmissionError, match="belongs to another's submission"):
        submissions.submit(either, BEN, LATE, SYNTHETIC)
    with pytest.raises(SubmissionError, match=f"is there already: submission {made.submission}"):
        submissions.submit(either, ANA, "# said again\n" + LATE, SYNTHETIC)
    with pytest.raises(SubmissionError, match="this name and another content"):
        submissions.submit(either, ANA, LATE.replace("width: 40", "width: 48"), SYNTHETIC)
    moderation.refuse(either, MAIN, made.submission, "not now")
    again = submissions.submit(either, ANA, LATE.replace("width: 40", "width: 48"), SYNTHETIC)
    assert again.state == "validated"


@pytest.mark.parametrize(
    "act",
    [
        lambda engine, actor, made: moderation.approve(engine, actor, made),
        lambda engine, actor, made: moderation.refuse(engine, actor, made, "no"),
        lambda engine, actor, made: moderation.hide(engine, actor, made, "no"),
        lambda engine, actor, made: moderation.unhide(engine, actor, made, "no"),
        lambda engine, actor, made: moderation.rerun(engine, actor, made, "no"),
    ],
    ids=["approve", "refuse", "hide", "unhide", "rerun"],
)
def test_only_a_maintainer_decides_even_over_ones_own(engine, act):
    made = submissions.submit(engine, ANA, LATE, SYNTHETIC)
    for actor in (ANA, BEN):
        with pytest.raises(AccessError, match="a maintainer is needed"):
            act(engine, actor, made.submission)
    assert submissions.get(engine, made.submission) == made
    assert events(engine, made) == ["received", "validated"]


def test_a_decision_needs_the_right_state_and_a_real_id(engine):
    made = submissions.submit(engine, ANA, LATE, SYNTHETIC)
    with pytest.raises(SubmissionError, match="is validated; to run again, it must be failed or refused or ranked"):
        moderation.rerun(engine, MAIN, made.submission, "why")
    with pytest.raises(SubmissionError, match="no submission 'feed'"):
        moderation.approve(engine, MAIN, "feed")
    with pytest.raises(SubmissionError, match="no submission ''"):
        submissions.get(engine, "")
    assert submissions.get(engine, made.submission[:6]) == made
    with pytest.raises(SubmissionError, match="no submission '%'"):
        submissions.get(engine, "%")


def test_a_cost_beyond_the_cap_needs_a_word_more(engine, bundles):
    folder = bundles.add("late_fusion", 0, spec=SYNTHETIC, base="compose")
    store.ingest(engine, bundles.root)
    with engine.begin() as connection:
        connection.execute(sa.update(store.runs).where(store.runs.c.run == folder.name).values(fit_seconds=1e6))
    made = submissions.submit(engine, ANA, LATE, SYNTHETIC)
    assert made.estimate == len(SYNTHETIC.runs()) * 1e6
    with pytest.raises(SubmissionError, match="beyond the cap of 48.0 h"):
        moderation.approve(engine, MAIN, made.submission)
    assert moderation.approve(engine, MAIN, made.submission, over_cap=True).state == "queued"


def test_failing_never_ranks_and_never_hides_an_older_one(either, bundles):
    older = bundles.add("my-late", 0, 0.8, spec=SYNTHETIC, code="before")
    store.ingest(either, bundles.root)
    made, claim = taken(either)
    newer = bundles.add("my-late", 1, 0.9, spec=SYNTHETIC, code="after")
    claims.plan(either, claim, [older.name, newer.name], 0)
    claims.fail(either, claim, "training loss is nan in epoch 2", "log")
    store.ingest(either, bundles.root)
    assert set(queries.current_runs(either, SYNTHETIC.key)[0]["run"]) == {older.name}
    store.rebuild(either, [bundles.root])
    assert set(queries.current_runs(either, SYNTHETIC.key)[0]["run"]) == {older.name}
    assert submissions.get(either, made.submission).standing == "failed"


def test_hidden_results_leave_every_board_until_shown_again(either, bundles):
    made, claim = taken(either)
    folder = bundles.add("my-late", 0, 0.9, spec=SYNTHETIC)
    claims.plan(either, claim, [folder.name], 1)
    claims.score(either, claim, "", "")
    claims.rank(either, claim, "")
    store.ingest(either, bundles.root)
    assert len(queries.current_runs(either, SYNTHETIC.key)[0]) == 1
    moderation.hide(either, MAIN, made.submission, "asked for")
    store.rebuild(either, [bundles.root])
    assert len(queries.current_runs(either, SYNTHETIC.key)[0]) == 0
    assert submissions.get(either, made.submission).standing == "ranked, hidden"
    moderation.unhide(either, MAIN, made.submission, "a mistake")
    store.ingest(either, bundles.root)
    assert len(queries.current_runs(either, SYNTHETIC.key)[0]) == 1
    assert events(either, made)[-2:] == ["hidden", "shown again"]


def test_given_back_keeps_its_place_and_tells_the_retry(either):
    made, claim = taken(either)
    second = submissions.submit(either, ANA, draft("second", "late_fusion"), SYNTHETIC)
    moderation.approve(either, MAIN, second.submission)
    claims.give_back(either, claim, "told to stop", "log", fault=False)
    assert submissions.position(either, made.submission) == 1
    assert submissions.get(either, made.submission).attempts == 0
    for attempt in (1, 2, 3):
        claim = claims.take(either, "w2")
        assert (claim.submission, claim.attempt) == (made.submission, attempt)
        claims.give_back(either, claim, "disk full", "log", fault=True)
    assert submissions.get(either, made.submission).state == "failed"
    last = audit.history(either, "submission", made.submission)[-1]
    assert last.reason == "disk full; no attempt is left"
    assert moderation.rerun(either, MAIN, made.submission, "disk is free").attempts == 0


def test_what_a_silent_worker_held_goes_to_another(either):
    made, claim = taken(either, worker="gone")
    assert claims.reclaim(either, 60.0, "w2") == []
    with either.begin() as connection:
        connection.execute(sa.update(submissions.submissions).values(heartbeat=sa.text("heartbeat - 100")))
    deadline = time.monotonic() + 30
    while not (found := claims.reclaim(either, 1.0, "w2")) and time.monotonic() < deadline:
        time.sleep(0.2)  # silence counts from the start of the server
    assert found == [made.submission]
    assert claims.take(either, "w2").attempt == 2
    for late in (claims.beat, lambda *a: claims.rank(*a, ""), lambda *a: claims.fail(*a, "", "")):
        with pytest.raises(claims.ClaimLost):
            late(either, claim)
    said = [entry.reason for entry in audit.history(either, "submission", made.submission)]
    assert "given back: gone sent no heartbeat for 1 s (attempt 1 of 3)" in said


def test_refusing_takes_it_from_its_worker(engine):
    made, claim = taken(engine)
    moderation.refuse(engine, MAIN, made.submission, "too long")
    with pytest.raises(claims.ClaimLost):
        claims.beat(engine, claim)


def test_each_submission_is_claimed_once_however_many_ask(database_url):
    engine = store.connect(database_url)
    for number in range(12):
        made = submissions.submit(engine, ANA, draft(f"late-{number}", "late_fusion"), SYNTHETIC)
        moderation.approve(engine, MAIN, made.submission)
    engine.dispose()

    def work(worker: str) -> list[str]:
        own = store.connect(database_url)  # connections of its own, as another process has
        found = []
        while claim := claims.take(own, worker):
            found.append(claim.submission)
        own.dispose()
        return found

    with ThreadPoolExecutor(4) as pool:
        claimed = [name for found in pool.map(work, ("w1", "w2", "w3", "w4")) for name in found]
    assert len(claimed) == len(set(claimed)) == 12


def test_the_audit_log_cannot_be_changed(either):
    submissions.submit(either, ANA, LATE, SYNTHETIC)
    for change in (sa.delete(audit_table), sa.update(audit_table).values(actor="nobody")):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), either.begin() as connection:
            connection.execute(change)
    with either.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(audit_table)) == 2


def test_what_a_log_holds_can_be_stored_and_shown(either):
    made, claim = taken(either)
    claims.fail(either, claim, "bad \x00 \ud800 \x1b[31mred", "x" * 9000 + "\r\nend")
    entry = audit.history(either, "submission", made.submission)[-1]
    assert entry.reason == "bad � � �[31mred"
    assert len(entry.log) == audit.LOG and entry.log.endswith("end")


def test_runs_are_withheld_once(either):
    _, claim = taken(either)
    claims.plan(either, claim, ["r1", "r2"], 0)
    claims.plan(either, claim, ["r1", "r2"], 1)
    with either.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(submission_runs)) == 2
    assert access.is_local(either) == (either.dialect.name == "sqlite")


def test_the_queue_can_be_taken_down_and_put_up_again(either):
    from alembic import command
    from alembic.config import Config

    made = submissions.submit(either, ANA, LATE, SYNTHETIC)
    config = Config()
    config.set_main_option("script_location", str(store.records_root().parent / "migrations"))
    for step, target in ((command.downgrade, "0002"), (command.upgrade, "head")):
        with either.begin() as connection:
            config.attributes["connection"] = connection
            step(config, target)
    with pytest.raises(SubmissionError, match="no submission"):
        submissions.get(either, made.submission)
    assert submissions.submit(either, ANA, LATE, SYNTHETIC).state == "validated"
