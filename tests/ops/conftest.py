"""Fixtures shared by the tests of `ops`."""

import json
import os
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from msgspec import Struct

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.types import Finished
from ops import cli

SECRETS = {"CODEVOICE_KEY_PEPPER": "11" * 32, "CODEVOICE_KEY_ENCRYPTION_KEY": "22" * 32}
WHY = ("--reason", "test", "--yes")


class Done(Struct, frozen=True):
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
RunJson = Callable[..., Any]
Owner = psycopg.Connection[Any]


@pytest.fixture
def run(database: tuple[str, str], tmp_path: Path) -> Run:
    """Runs `codevoice` here, on the test's own database, without a terminal; keywords are variables."""
    given: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CODEVOICE_")}
    given |= {"CODEVOICE_HOME": str(tmp_path), "DATABASE_URL": database[1], "COLUMNS": "400", **SECRETS}

    def run_it(*arguments: str, stdin: str = "", **environ: str) -> Done:
        done = CliRunner().invoke(cli.codevoice, arguments, env={**given, **environ}, input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return run_it


@pytest.fixture
def run_json(run: Run) -> RunJson:
    """Runs a command with --json that must succeed; its parsed output."""

    def run_it(*arguments: str, **options: str) -> Any:
        done = run(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_it


@pytest.fixture
def owner(database: tuple[str, str]) -> Generator[Owner]:
    with psycopg.connect(database[0], autocommit=True) as connection:
        yield connection


@pytest.fixture
def worker(database: tuple[str, str]) -> Generator[WorkerConnection]:
    connection = worker_connection(database[1], application_name="test-worker")
    yield connection
    connection.close()


@pytest.fixture
def ann(run_json: RunJson) -> str:
    """An account with 60 free credits; its id."""
    return str(run_json("users", "create", "ann@example.org", "--yes")["account"])


Job = Callable[..., str]


@pytest.fixture
def job(owner: Owner, worker: WorkerConnection, ann: str) -> Job:
    """A job of ann's that has ended in `outcome`, or is still queued; its id."""

    def one(outcome: str | None) -> str:
        job_id = uuid.uuid4()
        owner.execute(
            "SELECT cv.submit(ARRAY[%s], ARRAY[%s]::uuid[], '{speech}', '{espeak}', '{ryan}', ARRAY[%s],"
            " '{1000000}', '{5}', '{1000}', '{null}'::text[], '{null}'::bytea[], interval '1 h', 9)",
            [job_id, ann, '{"text": "secret", "voice": "ryan", "language": "en-US"}'],
        )
        if outcome is not None:
            jobs_worker.claim(worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w", lease_s=10)
            ended = Finished(id=job_id, attempt=1, outcome=outcome)  # type: ignore[arg-type]
            jobs_worker.finish(worker, [ended], worker="w", tries_max=3, keep_s=60)
        return str(job_id)

    return one
