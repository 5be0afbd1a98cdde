"""What was measured of finished runs: evaluations, and metrics that are undefined for a run with the reason why."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    name = sa.String()
    if op.get_bind().dialect.name == "postgresql":
        # Compared byte by byte, as SQLite does: all metrics of one prefix stand together in an index.
        name = sa.String(collation="C")
        op.alter_column("records", "metric", type_=name)
    op.create_table(
        "evaluations",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("suite", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("evaluation_sha256", sa.String, nullable=False),
        sa.Column("evaluation", sa.Text, nullable=False),
    )
    op.create_table(
        "undefined",
        sa.Column("run", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("condition", sa.String, nullable=False),
        sa.Column("metric", name, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.UniqueConstraint("run", "condition", "metric", name="undefined_key"),
    )
    op.create_index("undefined_of_metric", "undefined", ["protocol", "metric"])


def downgrade():
    op.drop_table("undefined")
    op.drop_table("evaluations")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("records", "metric", type_=sa.String(collation="default"))
