"""Functions, views and rights of release 0.1.0, created by a revision like everything else.

Also takes databases made before 0.1.0 whose tables are the same: what only they have is dropped.
"""

from alembic import op

from db.postgres.migrations.scripts import check_tables_of_0001, run

revision = "0002"
down_revision = "0001"

# Of before 0.1.0: single-job functions, and the digest by which all functions were once made anew.
_LEFT_OVER = """
DROP FUNCTION IF EXISTS cv.submit_one, cv.finish_one, cv.claim_early;
DROP TABLE cv.routines;
"""


def upgrade() -> None:
    check_tables_of_0001(op.get_bind())
    for part in ("ledger", "prices", "jobs", "audit", "rights"):
        run(f"0002_{part}")
    op.execute(_LEFT_OVER)


def downgrade() -> None:
    raise RuntimeError("an append-only record is not taken back; restore a backup instead")
