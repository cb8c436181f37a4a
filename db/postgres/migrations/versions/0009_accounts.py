"""Addresses verified, sessions ended one by one, invitations that have names, people erased."""

from db.postgres.migrations.scripts import run

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    run("0009_accounts")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
