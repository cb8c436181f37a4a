"""Bytes that each account keeps in the store, and those that its large open jobs will add."""

from db.postgres.migrations.scripts import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run("0007_bounds")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
