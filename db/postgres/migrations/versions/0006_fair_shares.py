"""An account has its share of an engine's slots while others wait; its queue time is what its jobs took."""

from db.postgres.migrations.scripts import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run("0006_fair_shares")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
