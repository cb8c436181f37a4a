"""A lost machine comes back: a backup is restored elsewhere, with its money, keys, audio and jobs."""

import os
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import requests

from ops.stack import embedded
from tests.e2e.clients.programs import download, poll
from tests.e2e.conftest import Stack
from tests.stack import CODEVOICE, CommandLine

PERSON = {"email": "lost@example.org", "password": "correct horse battery"}
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "first", CODEVOICE_ENGINES="espeak")
    yield stack
    if stack.process.poll() is None:
        stack.stop()
    elif stack.process.stdout:
        stack.process.stdout.close()


@pytest.fixture
def restored(tmp_path: Path) -> Generator[Callable[[], Stack]]:
    """Starts the home `second`."""
    started: list[Stack] = []

    def start() -> Stack:
        started.append(Stack(tmp_path / "second", CODEVOICE_ENGINES="espeak"))
        return started[-1]

    yield start
    for stack in started:
        stack.stop()


def second(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "second")


def test_a_lost_machine_comes_back_with_its_accounts_audio_and_queued_jobs(
    running: Stack, restored: Callable[[], Stack], tmp_path: Path
) -> None:
    opened = requests.post(f"{running.url}/api/auth/register", json=PERSON | {"name": "L"}, timeout=30)
    assert opened.status_code < 300, opened.text
    done = poll(running, spoken := running.speak("Kept for a week."))
    audio = download(running, done)
    os.kill(running.env()["pids"]["worker"], signal.SIGSTOP)  # what is queued now stays so
    queued = running.speak("Still to be said.")
    credits = running.credits()

    made = running.run("backup", str(tmp_path / "backup"))
    assert made.returncode == 0, made.stderr
    after_the_backup = running.speak("This one is lost.")
    running.process.kill()  # all else dies with it
    running.process.wait(30)

    back = second(tmp_path).run("restore", str(tmp_path / "backup"))
    assert back.returncode == 0, back.stdout + back.stderr
    assert "audit: clean" in back.stdout
    stack = restored()
    assert stack.headers == running.headers
    assert download(stack, poll(stack, spoken)) == audio
    assert poll(stack, queued)["status"] == "completed"
    assert requests.get(f"{stack.url}/tts/status/{after_the_backup}", timeout=10).status_code == 404
    assert stack.credits()["held"] == 0
    assert credits["held"] > 0
    entered = requests.post(f"{stack.url}/api/auth/login", json=PERSON, timeout=30)
    assert entered.status_code == 200, entered.text
    assert stack.audit_is_clean()


def test_a_stopped_stack_is_backed_up_and_nothing_is_overwritten(running: Stack, tmp_path: Path) -> None:
    poll(running, running.speak("One."))
    running.stop()
    folder = str(tmp_path / "backup")
    assert running.run("backup", folder).returncode == 0
    again = running.run("backup", folder)
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)

    onto_itself = running.run("restore", folder)
    assert (onto_itself.returncode, "has a database" in onto_itself.stderr) == (1, True)
    assert second(tmp_path).run("restore", folder).returncode == 0
    twice = second(tmp_path).run("restore", folder)
    assert (twice.returncode, "has a database" in twice.stderr) == (1, True)

    (tmp_path / "backup" / "backup.json").unlink()
    broken_off = CommandLine(tmp_path / "third").run("restore", folder)
    assert (broken_off.returncode, "broken off" in broken_off.stderr) == (1, True)


def test_a_dump_that_cannot_be_read_leaves_the_home_empty(running: Stack, tmp_path: Path) -> None:
    running.stop()
    folder = tmp_path / "backup"
    assert running.run("backup", str(folder)).returncode == 0
    whole = (folder / "database.dump").read_bytes()
    (folder / "database.dump").write_bytes(whole[: len(whole) // 2])
    failed = second(tmp_path).run("restore", str(folder))
    assert (failed.returncode, "pg_restore" in failed.stderr) == (1, True)
    (folder / "database.dump").write_bytes(whole)
    assert second(tmp_path).run("restore", str(folder)).returncode == 0


def own(urls: tuple[str, str], home: Path) -> Mapping[str, str]:
    """The environment of an operator whose Postgres is another's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "CODEVOICE_DATABASE_OWNER_URL": urls[0],
        "DATABASE_URL": urls[1],
        "CODEVOICE_HOME": str(home),
        "CODEVOICE_OBJECTS": (home / "objects").as_uri(),
        **{f"CODEVOICE_{name}": 64 * "a" for name in ("KEY_PEPPER", "KEY_ENCRYPTION_KEY")},
    }


def codevoice(environ: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [CODEVOICE, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_an_operators_own_database_is_restored_into_an_empty_one(
    database: tuple[str, str], tmp_path: Path
) -> None:
    source = own(database, tmp_path / "home")
    (tmp_path / "home" / "objects").mkdir(parents=True)
    created = codevoice(source, "users", "create", "own@example.org", "--yes", "--json")
    assert created.returncode == 0, created.stderr
    made = codevoice(source, "backup", str(tmp_path / "backup"))
    assert made.returncode == 0, made.stderr
    assert "keep the four of your environment" in made.stderr

    onto_itself = codevoice(source, "restore", str(tmp_path / "backup"))
    assert (onto_itself.returncode, "empty one" in onto_itself.stderr) == (1, True)
    name = f"{database[0].rpartition('/')[2]}_restored"
    with psycopg.connect(database[0], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    there = own((f"{database[0]}_restored", f"{database[1]}_restored"), tmp_path / "there")
    back = codevoice(there, "restore", str(tmp_path / "backup"))
    assert back.returncode == 0, back.stdout + back.stderr
    assert "audit: clean" in back.stdout
    user = codevoice(there, "users", "show", "own@example.org", "--json")
    assert user.returncode == 0, user.stderr
    with psycopg.connect(f"{database[0]}_restored") as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.Error):
            connection.execute("DELETE FROM cv.transfer")


def documented() -> str:
    """The commands of docs/operations.md for a restore without `codevoice restore`."""
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    return next(block for block in text.split("```")[1::2] if "pg_restore" in block)


def test_the_documented_commands_restore_into_a_new_server(database: tuple[str, str], tmp_path: Path) -> None:
    source = own(database, tmp_path / "home")
    (tmp_path / "home" / "objects").mkdir(parents=True)
    assert codevoice(source, "users", "create", "own@example.org", "--yes").returncode == 0
    assert codevoice(source, "backup", str(tmp_path / "backup")).returncode == 0
    with embedded.postgres(tmp_path / "new", password="new", durable=False) as owner_url:
        app_url = owner_url.replace("//codevoice:new@", "//application:app@")
        there = own((owner_url, app_url), tmp_path / "there")
        programs = (CODEVOICE.parent, embedded.postgres_binary("psql").parent)
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-euc", documented()],
            env={**there, "PATH": path},
            cwd=tmp_path / "backup",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("clean\n")
        assert codevoice(there, "users", "show", "own@example.org").returncode == 0
