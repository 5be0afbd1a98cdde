"""Runs, their records, and the openings of test splits."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "runs",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("base", sa.String, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("parameters", sa.BigInteger),
        sa.Column("fit_seconds", sa.Float),
        sa.Column("peak_memory_bytes", sa.BigInteger),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("comparison", sa.String, nullable=False),
        sa.Column("variant", sa.String, nullable=False),
        sa.Column("bundle", sa.String, nullable=False),
        sa.Column("manifest_sha256", sa.String, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
    )
    op.create_index("runs_of_protocol", "runs", ["protocol", "status"])
    op.create_table(
        "records",
        sa.Column("method", sa.String, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("condition", sa.String, nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.UniqueConstraint("run", "method", "protocol", "split", "condition", "metric", name="records_key"),
    )
    op.create_index("records_of_cell", "records", ["protocol", "metric", "condition"])
    op.create_table(
        "test_openings",
        sa.Column("run", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("opened", sa.String, nullable=False),
        sa.UniqueConstraint("run", "method", "protocol", "split", "seed", "opened", name="test_openings_key"),
    )
