"""Alembic's entry: runs versions over the connection `db.postgres.migrate` passes, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="cv")
context.run_migrations()
