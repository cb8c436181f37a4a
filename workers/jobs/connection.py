"""A worker thread's connection to Postgres: made when needed and again when lost."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import psycopg

from db.postgres.jobs_worker import Way, WorkerConnection, worker_connection

P = ParamSpec("P")
T = TypeVar("T")


class WorkerLink:
    """Runs `db.postgres.jobs_worker` functions on a connection of its own. One thread at a time."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: WorkerConnection | None = None
        self._cursor: Way | None = None

    def run(self, function: Callable[Concatenate[Way, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)`. Raises psycopg.OperationalError when Postgres is unreachable, or is no
        longer the primary server.
        """
        if self._connection is None or self._cursor is None:
            self._connection = worker_connection(self._url, application_name=self._name)
            self._cursor = self._connection.cursor()
        try:
            return function(self._cursor, *args, **kwargs)
        except psycopg.OperationalError:
            self.close()
            raise
        except (psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
            self.close()
            raise psycopg.OperationalError(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection; the next `run` makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._cursor = None
