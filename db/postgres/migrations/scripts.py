"""The frozen SQL of revisions, and the check that a database is one they can start from.

A revision's text never changes once it is released. A function whose signature or meaning changes gets a new
name (`finish_v2`) in a new revision; the old one is dropped a release later, so that old and new workers
overlap.
"""

from pathlib import Path

from alembic import op
from sqlalchemy import Connection, text

from db.postgres.migrations.errors import SchemaError

SQL = Path(__file__).with_name("sql")
_COLUMNS = """
SELECT md5(string_agg(c.relname || '.' || a.attname || ':' || format_type(a.atttypid, a.atttypmod), ','
                      ORDER BY c.relname COLLATE "C", a.attname COLLATE "C"))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'cv'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
  AND a.attnum > 0 AND NOT a.attisdropped
"""
_COLUMNS_0001 = "56155301393977cb31a0a3a9a65c6da2"  # what `_COLUMNS` gives after 0001_tables.sql


def run(name: str) -> None:
    """Execute `sql/<name>.sql` in the migration's transaction."""
    statements = (SQL / f"{name}.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements.replace("%", "%%"))


def check_tables_of_0001(connection: Connection) -> None:
    """Raise SchemaError where the tables are not those of 0.1.0: before it they were edited in place."""
    if connection.scalar(text(_COLUMNS)) != _COLUMNS_0001:
        raise SchemaError(
            "This data was written by a version before 0.1.0, whose tables cannot be upgraded. Nothing was"
            " changed: run that version on it, or start with an empty CODEVOICE_HOME or database."
        )
