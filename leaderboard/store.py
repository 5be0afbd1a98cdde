"""The SQL index over result bundles. Bundles are the truth; `rebuild` makes the same rows again."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from leaderboard.bundles import (
    EVALUATION,
    Bundle,
    BundleError,
    Evaluation,
    find_bundles,
    read_bundle,
    read_evaluation,
    read_ledger,
)
from leaderboard.submission_tables import metadata, submission_runs
from protocols.record import KEY, Record

HEAD = "0003"  # newest file in migrations/versions
LOCK = 0x66757365  # advisory lock that migrations of one PostgreSQL database queue for
BUSY_SECONDS = 30  # how long a SQLite writer waits for another
CHECKPOINT_PAGES = 16_000  # of 4 KiB: a first ingest writes each page of an index once, not once a bundle
# Names compare byte by byte on both databases, so that all metrics of one prefix stand together in an index.
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
TYPES = {"value": sa.Double, "n": sa.BigInteger, "seed": sa.BigInteger, "metric": NAME}

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("status", sa.String, nullable=False),  # "completed" or "failed"
    sa.Column("reason", sa.String),
    sa.Column("method", sa.String, nullable=False),  # name of the method spec
    sa.Column("base", sa.String, nullable=False),  # key of zoo.METHODS
    sa.Column("protocol", sa.String, nullable=False),
    sa.Column("split", sa.String, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("parameters", sa.BigInteger),
    sa.Column("fit_seconds", sa.Float),
    sa.Column("peak_memory_bytes", sa.BigInteger),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("comparison", sa.String, nullable=False),  # hash of protocol and data: equal = may share a board
    sa.Column("variant", sa.String, nullable=False),  # hash of method, settings and code: equal = may share a mean
    sa.Column("bundle", sa.String, nullable=False),  # folder below the bundle root
    sa.Column("manifest_sha256", sa.String, nullable=False),
    sa.Column("manifest", sa.Text, nullable=False),
    sa.Index("runs_of_protocol", "protocol", "status"),
)
records = sa.Table(
    "records",
    metadata,
    *(sa.Column(f.name, TYPES.get(f.name, sa.String), nullable=f.name == "seed") for f in fields(Record)),
    # seed stays out: it is NULL for published rows, and no two NULLs are equal.
    sa.UniqueConstraint(*KEY, name="records_key"),
    sa.Index("records_of_cell", "protocol", "metric", "condition"),
)
# Numbers of an evaluation stand among the records, beside those that the run itself wrote.
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("suite", sa.String, nullable=False),
    sa.Column("code", sa.String, nullable=False),  # hash of what measured
    sa.Column("created", sa.String, nullable=False),
    sa.Column("evaluation_sha256", sa.String, nullable=False),
    sa.Column("evaluation", sa.Text, nullable=False),
)
undefined = sa.Table(
    "undefined",
    metadata,
    *(
        sa.Column(name, TYPES.get(name, sa.String), nullable=False)
        for name in ("run", "method", "protocol", "split", "seed", "condition", "metric", "reason")
    ),
    sa.UniqueConstraint("run", "condition", "metric", name="undefined_key"),
    sa.Index("undefined_of_metric", "protocol", "metric"),
)
OPENING = ("run", "method", "protocol", "split", "seed", "opened")
test_openings = sa.Table(
    "test_openings",
    metadata,
    *(sa.Column(name, sa.BigInteger if name == "seed" else sa.String, nullable=False) for name in OPENING),
    sa.UniqueConstraint(*OPENING, name="test_openings_key"),
)


class StoreError(RuntimeError):
    """The database cannot be used: which, what happened, what to do."""


@dataclass(frozen=True)
class Ingested:
    """What one call of `ingest` did.

    Args:
        runs, records: new or replaced rows.
        skipped: bundles whose rows were there already.
        evaluations: runs whose measurements are new or were replaced; their numbers count as records.
        failed: ``(bundle, why)`` of each bundle that was refused.
    """

    runs: int = 0
    records: int = 0
    skipped: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    evaluations: int = 0

    def __add__(self, other: "Ingested") -> "Ingested":
        return Ingested(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def records_root() -> Path:
    """The results that the package carries, laid out as a bundle root."""
    return Path(__file__).parent / "records"


def connect(url: str) -> sa.Engine:
    """Open the store, creating or migrating its tables where needed.

    Args:
        url: ``sqlite:///folder/board.db`` or ``postgresql://user:password@host/database``.

    Raises:
        StoreError: if the address is wrong, the database is down, or a newer version wrote it.
    """
    try:
        address = sa.make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        engine = _sqlite(address) if address.get_backend_name() == "sqlite" else _postgresql(address)
        with reporting(engine.url):
            _migrate(engine)
    except sa.exc.ArgumentError as error:
        raise StoreError(
            f"The database address is not understood ({error}). Accepted: sqlite:///folder/board.db or "
            "postgresql://user:password@host/database."
        ) from None
    except ModuleNotFoundError as error:
        raise StoreError(f"{_shown(address)} needs {error.name}. Run: pip install 'fuseboard[postgres]'") from None
    except OSError as error:
        raise StoreError(f"{_shown(address)}: {error}. Nothing is lost: the bundles remain.") from None
    return engine


def ingest(engine: sa.Engine, root: Path, progress: Callable[[int, int], None] | None = None) -> Ingested:
    """Bring the bundles below a root into the index. Twice is as good as once.

    Runs of a submission that is not ranked, or hidden, are left out. Each bundle is one transaction, and its
    evaluation another. Of two bundles with one run id a completed one is preferred, then the newer, so the order of
    calls does not matter; the same holds for two evaluations of one bundle.

    Args:
        root: ``<protocol>/<method>/<run>/`` folders and ``ledger.jsonl``.
        progress: called with bundles done and bundles in all.

    Raises:
        StoreError: if the database goes away; call again, what is there is kept.
    """
    total, folders = Ingested(), find_bundles(root)
    with reporting(engine.url):
        known = _fingerprints(engine, runs.c.manifest_sha256)
        evaluated = _fingerprints(engine, evaluations.c.evaluation_sha256)
        # Read after the folders: a run is withheld before its bundle is there.
        withheld = _fingerprints(engine, submission_runs.c.run, submission_runs.c.withheld)
        for done, folder in enumerate(folders, 1):
            where = folder.relative_to(root).as_posix()
            try:
                bundle = None if folder.name in withheld else read_bundle(folder, unless=known)
            except BundleError as error:
                total += Ingested(failed=((where, str(error)),))
            else:
                total += _write(engine, bundle, where) if bundle else Ingested(skipped=1)
                if folder.name not in withheld:
                    total += _evaluation(engine, bundle, folder, f"{where}/{EVALUATION}", evaluated)
            if progress:
                progress(done, len(folders))
        openings, broken = read_ledger(root, OPENING)
        if openings:
            with engine.begin() as connection:
                connection.execute(_insert(engine, test_openings).on_conflict_do_nothing(), openings)
    return total + Ingested(failed=broken)


def rebuild(engine: sa.Engine, roots: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> Ingested:
    """Empty the index and read every bundle again.

    Raises:
        StoreError: if none of the roots is there, before anything is emptied.
    """
    if not any(Path(root).is_dir() for root in roots):
        raise StoreError(
            f"No bundle root at {', '.join(map(str, roots))}; the index stays as it is. "
            "Set FUSEBOARD_BUNDLE_ROOT to the folder that holds the bundles."
        )
    with reporting(engine.url), engine.begin() as connection:
        for table in (records, undefined, evaluations, runs, test_openings):
            connection.execute(sa.delete(table))
    return sum((ingest(engine, Path(root), progress) for root in roots), Ingested())


def _write(engine: sa.Engine, bundle: Bundle, where: str) -> Ingested:
    """One bundle in one transaction that begins with a write, so that writers queue instead of failing."""
    row = {**bundle.row, "bundle": where}
    with engine.begin() as connection:
        if connection.scalar(_insert(engine, runs).on_conflict_do_nothing().returning(runs.c.run), row) is None:
            there = connection.execute(
                sa.select(runs.c.status, runs.c.created, runs.c.manifest_sha256)
                .where(runs.c.run == row["run"])
                .with_for_update()
            ).one()
            if _preference(row) <= _preference(there._asdict()):
                return Ingested(skipped=1)
            # What was measured of the other bundle goes with it: its model was another one.
            _forget_numbers(connection, row["run"])
            connection.execute(sa.update(runs).where(runs.c.run == row["run"]), row)
        _write_numbers(engine, connection, bundle)
    return Ingested(runs=1, records=len(bundle.records))


def _evaluation(engine: sa.Engine, bundle: Bundle | None, folder: Path, where: str, known: frozenset[str]) -> Ingested:
    """What was measured of a bundle, if it is new. A refused evaluation leaves the rows of its run as they are."""
    try:
        evaluation = read_evaluation(folder, unless=known)
        if evaluation is None:
            return Ingested()
        return _write_evaluation(engine, bundle or read_bundle(folder), evaluation)
    except BundleError as error:
        return Ingested(failed=((where, str(error)),))


def _write_evaluation(engine: sa.Engine, bundle: Bundle, evaluation: Evaluation) -> Ingested:
    """All that was measured of one bundle, in place of what was measured of it before."""
    run, row = bundle.row["run"], evaluation.row
    ours = sa.and_(runs.c.run == run, runs.c.manifest_sha256 == bundle.row["manifest_sha256"])
    whose = {name: bundle.row[name] for name in ("run", "method", "protocol", "split", "seed")}
    said = {**whose, "origin": "measured", "source": evaluation.source, "created": row["created"]}
    with engine.begin() as connection:
        # A write that changes nothing: it waits for other writers, and tells if the index holds another bundle.
        if connection.execute(sa.update(runs).where(ours).values(run=run)).rowcount == 0:
            return Ingested()
        found = sa.select(evaluations.c.created, evaluations.c.evaluation_sha256).where(evaluations.c.run == run)
        there = connection.execute(found).one_or_none()
        if there is not None:
            if (row["created"], row["evaluation_sha256"]) <= tuple(there):
                return Ingested()
            _forget_numbers(connection, run)
            _write_numbers(engine, connection, bundle)
        connection.execute(sa.insert(evaluations), row)
        if evaluation.values:
            # What the run itself wrote under the same name stays.
            into = _insert(engine, records).on_conflict_do_nothing()
            connection.execute(into, [{**said, **value} for value in evaluation.values])
        if evaluation.reasons:
            into = _insert(engine, undefined).on_conflict_do_nothing()
            connection.execute(into, [{**whose, **reason} for reason in evaluation.reasons])
    return Ingested(records=len(evaluation.values), evaluations=1)


def _write_numbers(engine: sa.Engine, connection: sa.Connection, bundle: Bundle) -> None:
    """What the run itself measured, and why some of it has no number."""
    if bundle.records:
        connection.execute(_insert(engine, records).on_conflict_do_nothing(), bundle.records)
    if bundle.reasons:
        whose = {name: bundle.row[name] for name in ("run", "method", "protocol", "split", "seed")}
        into = _insert(engine, undefined).on_conflict_do_nothing()
        connection.execute(into, [{**whose, **reason} for reason in bundle.reasons])


def _preference(run: dict[str, Any]) -> tuple[bool, str, str]:
    """A failed run never hides a completed one; the hash settles what time leaves open."""
    return run["status"] == "completed", run["created"], run["manifest_sha256"]


def forget(connection: sa.Connection, run: str) -> None:
    """Take a run and all that was measured of it out of the index; its bundle stays."""
    _forget_numbers(connection, run)
    connection.execute(sa.delete(runs).where(runs.c.run == run))


def _forget_numbers(connection: sa.Connection, run: str) -> None:
    for table in (records, undefined, evaluations):
        connection.execute(sa.delete(table).where(table.c.run == run))


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that may read before it writes: on SQLite it holds the only write lock from its start."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            yield connection
        return
    # The driver begins late and not at all before CREATE TABLE; said in SQL, the lock comes first.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection, connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _fingerprints(engine: sa.Engine, column: sa.Column, *where: sa.ColumnElement[bool]) -> frozenset[str]:
    with engine.connect() as connection:
        return frozenset(connection.scalars(sa.select(column).where(*where)))


def _insert(engine: sa.Engine, table: sa.Table):
    """INSERT of the dialect at hand: both databases know ON CONFLICT, each in a module of its own."""
    return (sqlite if engine.dialect.name == "sqlite" else postgresql).insert(table)


def _sqlite(address: sa.URL) -> sa.Engine:
    if address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _(connection, _record):
        # Readers go on while one writer writes; NORMAL is safe with it, and the index can be rebuilt anyway.
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log: once in the life of a file, and no timeout waits for the lock it needs."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _postgresql(address: sa.URL) -> sa.Engine:
    if address.get_backend_name() != "postgresql":
        raise sa.exc.ArgumentError(f"no support for {address.get_backend_name()!r}")
    # A board that stays open outlives a restart of the server: connections are tried before use.
    return sa.create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": 10})


def _migrate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with _alone(engine) as connection:
        version = _version(connection)  # another process may have been first
        if version is not None and version > HEAD:
            raise StoreError(
                f"{_shown(engine.url)} has schema {version}; this fuseboard knows up to {HEAD}. Update fuseboard, or "
                "set FUSEBOARD_DATABASE_URL to another database and run: fuseboard ingest"
            )
        if version != HEAD:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other process migrates beside."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        yield connection


@contextmanager
def reporting(address: sa.URL) -> Iterator[None]:
    """Turn the driver's complaint into one that says which database and what to do."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        said = " ".join(str(error.orig).split())
        raise StoreError(
            f"{_shown(address)}: {said}. Check that the database runs and that FUSEBOARD_DATABASE_URL names it, "
            "then run: fuseboard ingest. Nothing is lost: the bundles remain."
        ) from error


def _shown(address: sa.URL) -> str:
    """The address without its secrets, wherever they stand in it."""
    secret = [key for key in address.query if "pass" in key.lower() or "secret" in key.lower()]
    return address.difference_update_query(secret).render_as_string(hide_password=True)
