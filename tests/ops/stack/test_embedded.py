"""Postgres and Valkey from wheels: they start anywhere, keep what they are given, leave nothing behind."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from ops.stack import embedded
from ops.stack.embedded import EmbeddedError

PASSWORD = "5e" * 32
LONG = Path(*["a folder with a long name, and spaces"] * 6)  # over 200 characters


def write_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS visit (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO visit DEFAULT VALUES")
        row = connection.execute("SELECT count(*) FROM visit").fetchone()
        assert row
        return row[0]


def processes_in(folder: Path) -> list[str]:
    """Process ids of what works in the folder: both servers change to their data's."""
    return [p.parent.name for p in Path("/proc").glob("[0-9]*/cwd") if str(folder) in working_folder(p)]


def working_folder(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # gone meanwhile, or another user's
        return ""


def command_lines() -> str:
    found: list[bytes] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return b"\n".join(found).decode(errors="replace")


def test_postgres_keeps_its_rows_over_a_restart(tmp_path: Path) -> None:
    counts: list[int] = []
    for _ in range(2):
        with embedded.postgres(tmp_path / "postgres", password=PASSWORD, durable=False) as url:
            counts.append(write_rows(url))
    assert counts == [1, 2]
    assert processes_in(tmp_path) == []


def test_a_session_that_survived_its_killed_postgres_blocks_no_restart(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded.postgres(folder, password=PASSWORD, durable=False) as url:
        session = psycopg.connect(url)
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert processes_in(folder) == [str(session.info.backend_pid)]
    with embedded.postgres(folder, password=PASSWORD, durable=False) as url:
        assert write_rows(url) == 1
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT")
    session.close()
    assert processes_in(tmp_path) == []


def test_postgres_is_durable_by_default(tmp_path: Path) -> None:
    with (
        embedded.postgres(tmp_path / "postgres", password=PASSWORD) as url,
        psycopg.connect(url) as connection,
    ):
        shown = connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        ).fetchone()
    assert shown == ("on", "on", "127.0.0.1", "")


def test_postgres_refuses_a_wrong_password(tmp_path: Path) -> None:
    with embedded.postgres(tmp_path / "postgres", password=PASSWORD, durable=False) as url:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(PASSWORD, "wrong"))


def test_both_start_under_a_long_path_in_a_closed_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / LONG
    with (
        embedded.postgres(home / "postgres", password=PASSWORD, durable=False) as database_url,
        embedded.valkey(home / "valkey", password=PASSWORD) as redis_url,
    ):
        assert write_rows(database_url) == 1
        with redis.Redis.from_url(redis_url) as client:
            assert client.ping()
    assert len(str(home)) > 200


def test_valkey_keeps_its_keys_over_a_restart_and_its_password_to_itself(tmp_path: Path) -> None:
    counts: list[object] = []
    for _ in range(2):
        with (
            embedded.valkey(tmp_path / "valkey", password=PASSWORD) as url,
            redis.Redis.from_url(url) as client,
        ):
            counts.append(client.incr("visits"))
            assert PASSWORD not in command_lines()
    assert counts == [1, 2]
    assert stat.S_IMODE((tmp_path / "valkey" / "valkey.conf").stat().st_mode) == 0o600


def test_a_half_created_database_is_created_again(tmp_path: Path) -> None:
    left = tmp_path / "postgres.new.killed" / "data"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18")
    with embedded.postgres(tmp_path / "postgres", password=PASSWORD, durable=False) as url:
        assert write_rows(url) == 1
    assert not left.exists()


def foreign(folder: Path) -> None:
    (folder / "photo.jpg").touch()


def of_another_version(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("9\n")
    (folder / "global").mkdir()
    (folder / "global" / "pg_control").touch()


def damaged(folder: Path) -> None:
    (folder / "PG_VERSION").write_text("18\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(foreign, "no Postgres database"), (of_another_version, "made by Postgres 9"), (damaged, "damaged")],
)
def test_a_folder_that_cannot_be_used_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(EmbeddedError, match=said) as raised:
        embedded.prepare_postgres(folder, password=PASSWORD)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(EmbeddedError, match=str(tmp_path / "home")):
        embedded.prepare_postgres(tmp_path / "home" / "postgres", password=PASSWORD)


HOLDER = """
import sys, time
from pathlib import Path
from ops.stack import embedded
home = Path(sys.argv[1])
postgres = embedded.postgres(home / "postgres", password="5e")
with postgres as url, embedded.valkey(home / "valkey", password="5e"):
    print(url, flush=True)
    sys.stdin.read()
"""


def test_kill_9_of_the_holder_leaves_nothing_and_loses_no_row(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert write_rows(holder.stdout.readline().strip()) == 1
        assert len(processes_in(tmp_path)) >= 2
        os.kill(holder.pid, signal.SIGKILL)
    eventually(lambda: processes_in(tmp_path) == [])
    with embedded.postgres(tmp_path / "postgres", password="5e") as url:
        assert write_rows(url) == 2
