"""Postgres: connections, statements, the ledger, jobs, migrations."""
