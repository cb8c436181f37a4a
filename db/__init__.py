"""The persistence layer: Postgres, Redis and the object store, and the types they share."""
