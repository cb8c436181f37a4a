"""Jobs that somebody listens to can be claimed alone, and counted."""

from db.postgres.migrations.scripts import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run("0004_live_jobs")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
