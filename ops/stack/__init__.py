"""One machine's stack: Postgres, Valkey, API and workers, prepared, started, renewed."""
