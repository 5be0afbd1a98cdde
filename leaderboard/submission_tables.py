"""Tables of the submission queue. They live in the database alone; the index of bundles beside them can be rebuilt."""

import sqlalchemy as sa

metadata = sa.MetaData()  # of the whole store

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("submission", sa.String, primary_key=True),  # 12 hexadecimal digits
    sa.Column("name", sa.String, nullable=False),  # of the method spec
    sa.Column("method", sa.String, nullable=False),  # key of zoo.METHODS
    sa.Column("protocol", sa.String, nullable=False),
    sa.Column("protocol_spec", sa.Text, nullable=False),  # JSON, as it was when submitted
    sa.Column("spec", sa.Text, nullable=False),  # YAML as it came
    sa.Column("content", sa.String, nullable=False),  # SHA-256 of what the spec says, comments and label aside
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),  # runs finished
    sa.Column("planned", sa.BigInteger, nullable=False),  # runs in all
    sa.Column("attempts", sa.BigInteger, nullable=False),  # claims that ended in a fault or are under way
    sa.Column("hidden", sa.Boolean, nullable=False),
    sa.Column("estimate", sa.Float),  # seconds of training for all runs
    sa.Column("created", sa.String, nullable=False),
    sa.Column("queued", sa.Float),  # when it joined the queue, seconds by the database's clock
    sa.Column("worker", sa.String),  # who holds it
    sa.Column("heartbeat", sa.Float),  # of the holder, seconds by the database's clock
    sa.Index("submissions_of_state", "state", "queued"),
    sa.Index("submissions_of_name", "name"),
)
# Runs that belong to a submission. While one is withheld no ingest indexes it, so it is on no board.
submission_runs = sa.Table(
    "submission_runs",
    metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("submission", sa.String, primary_key=True),
    sa.Column("withheld", sa.Boolean, nullable=False),
)
# Append-only: triggers refuse to change or delete a row.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # "submission" or "token"
    sa.Column("subject", sa.String, nullable=False),  # its id
    sa.Column("event", sa.String, nullable=False),  # the state that was reached, or what was done
    sa.Column("reason", sa.Text),
    sa.Column("log", sa.Text),  # the last lines of the work that ended here
    sa.Index("audit_of_subject", "kind", "subject"),
)
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token", sa.String, primary_key=True),  # public part, which names it
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),  # of the whole secret
    sa.Column("created", sa.String, nullable=False),
    sa.Column("revoked", sa.String),
    sa.Column("window_start", sa.Float, nullable=False),  # of the rate limit, seconds by the database's clock
    sa.Column("used", sa.BigInteger, nullable=False),  # submissions in it
)
