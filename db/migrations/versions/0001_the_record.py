"""Accounts, keys, wallets, transfers, jobs: the tables of `db/sql/schema.sql`."""

from alembic import op

from db.queries import script

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(script("schema"))


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
