"""The submission queue: submissions, their runs, tokens, and an audit log that nothing can change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

REFUSAL = "the audit log is append-only"


def upgrade():
    op.create_table(
        "submissions",
        sa.Column("submission", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("protocol_spec", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("planned", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("estimate", sa.Float),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("queued", sa.Float),
        sa.Column("worker", sa.String),
        sa.Column("heartbeat", sa.Float),
    )
    op.create_index("submissions_of_state", "submissions", ["state", "queued"])
    op.create_index("submissions_of_name", "submissions", ["name"])
    op.create_table(
        "submission_runs",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("submission", sa.String, primary_key=True),
        sa.Column("withheld", sa.Boolean, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("log", sa.Text),
    )
    op.create_index("audit_of_subject", "audit", ["kind", "subject"])
    op.create_table(
        "tokens",
        sa.Column("token", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("revoked", sa.String),
        sa.Column("window_start", sa.Float, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()"
        )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_stays_{event.lower()} BEFORE {event} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )


def downgrade():
    for table in ("tokens", "audit", "submission_runs", "submissions"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_stays()")
