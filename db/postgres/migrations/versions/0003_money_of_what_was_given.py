"""What was given is paid for, however a job ends; streams that our failures cut off are counted."""

from db.postgres.migrations.scripts import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run("0003_money_of_what_was_given")


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
