"""Postgres's own client programs, in a version that suits a server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops.stack import embedded

_CONNECT_S = 10


class ClientError(Exception):
    """There is no such program, or it failed; the message has its output."""


def run(name: str, url: str, *options: str) -> None:
    """Run `pg_dump` or a similar program on the database at `url`; no command line contains the password.

    Uses the oldest installed version that is not older than the server: an older one refuses, and an older
    server may not read the output of a newer one. Raises ClientError, psycopg.OperationalError.
    """
    at = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    password = {"PGPASSWORD": at.pop("password")} if "password" in at else {}
    done = subprocess.run(
        [_program(name, _server(url)), *options, "-d", make_conninfo(**at)],
        env={"PATH": os.defpath, **password},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClientError(f"{name}: {done.stderr.strip()[-500:]}")


def _server(url: str) -> int:
    with psycopg.connect(url, connect_timeout=_CONNECT_S) as connection:
        return connection.info.server_version // 10_000


def _program(name: str, major: int) -> Path:
    found = [(version, path) for path in _installed(name) if (version := _major(path)) >= major]
    if not found:
        raise ClientError(f"no {name} for Postgres {major} here: install postgresql-client-{major}")
    return min(found)[1]


def _installed(name: str) -> Iterator[Path]:
    if on_path := shutil.which(name):
        yield Path(on_path)
    yield from Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    try:
        yield embedded.postgres_binary(name)
    except embedded.EmbeddedError:
        return


def _major(program: Path) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\b(\d+)(?:\.\d+)*", said.partition(")")[2])
    return int(number[1]) if number else 0
