"""The ledger's inner functions by names that say what they do; the old ones stay for one release."""

from db.postgres.migrations.scripts import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for part in ("ledger", "jobs"):
        run(f"0010_{part}")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
