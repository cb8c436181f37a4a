"""Accounts, keys, wallets, transfers, jobs: the tables of release 0.1.0."""

from db.postgres.migrations.scripts import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run("0001_tables")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
