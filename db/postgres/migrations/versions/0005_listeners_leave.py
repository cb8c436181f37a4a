"""A job whose last listener has left counts as live no longer."""

from db.postgres.migrations.scripts import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run("0005_listeners_leave")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
