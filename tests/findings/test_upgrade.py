"""S4, A1: what a data folder of before this issue holds is there under this version; others get a sentence.

The old versions come out of this repository's own history; CODEVOICE_FINDINGS_OLD names a checkout instead.
"""

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Lack
from tests.stack import CommandLine, Stack

from .accounts import Account
from .conftest import PROGRAM

BEFORE = "eda9d11"  # before confined engines and the money rule
OLDER = "00e4b3d"  # nine days before: other tables under the same revision
REPOSITORY = Path(__file__).parents[2]
Release = Callable[[str], Path]
SENTENCE_CHARACTERS_MAX = 600
STEP = re.compile(r"codevoice: [a-z ,]+ +\d+\.\d\d s$")  # a line with the time a step took


@pytest.fixture
def release(tmp_path: Path, lack: Lack) -> Release:
    """The `codevoice` of a commit, run by this checkout's Python."""

    def program(commit: str) -> Path:
        given = os.environ.get("CODEVOICE_FINDINGS_OLD")
        if given and commit == BEFORE:
            return Path(given) / ".venv" / "bin" / "codevoice"
        folder = tmp_path / commit
        archive = subprocess.run(
            ["git", "archive", commit], cwd=REPOSITORY, capture_output=True, check=False, timeout=60
        )
        if archive.returncode:
            lack(f"the commit {commit} (CODEVOICE_FINDINGS_OLD)", may_be_absent=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        found = folder / "codevoice"
        run = f'exec {sys.executable} -c "from ops.cli import main; main()" "$@"'
        found.write_text(f"#!/bin/sh\ncd {folder} && PYTHONPATH={folder} {run}\n")
        found.chmod(0o755)
        return found

    return program


def refusal(home: Path) -> str:
    """What `codevoice up` prints when it does not start."""
    here = CommandLine(home, PROGRAM)
    command = [here.program, "up", "--json"]
    with subprocess.Popen(
        command, env=here.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as up:
        assert up.stdout is not None
        ready = up.stdout.readline()
        up.terminate()
        output = up.communicate(timeout=60)[1]
    assert ready == "", "it started"
    assert up.returncode != 0
    return output


def check_sentence(output: str) -> None:
    words = [line for line in output.splitlines() if not STEP.match(line)]
    assert "Traceback" not in output
    assert 0 < sum(map(len, words)) < SENTENCE_CHARACTERS_MAX, output


def test_a_data_folder_of_the_version_before_keeps_all(tmp_path: Path, release: Release) -> None:
    home = tmp_path / "home"
    old = Stack(home, release(BEFORE), CODEVOICE_TRUSTED_PROXIES="127.0.0.1")
    account = Account(old)
    job = account.queue("Remember me.")
    account.ended(job)
    audio = account.ask("GET", f"/tts/audio/{job}").content
    old.stop()
    new = Stack(home, PROGRAM)
    account.url = new.url

    assert account.spent() == 1
    assert account.ask("GET", f"/tts/audio/{job}").content == audio
    assert account.ended(account.queue("And now this."))["credits"] == 1
    assert new.audit_is_clean()
    new.stop()


def test_a_data_folder_older_than_any_release_gets_one_sentence(tmp_path: Path, release: Release) -> None:
    home = tmp_path / "home"
    Stack(home, release(OLDER)).stop()
    check_sentence(refusal(home))


def test_a_data_folder_of_a_newer_version_gets_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    newer = Stack(home, PROGRAM)
    with psycopg.connect(newer.env()["database_owner_url"], autocommit=True) as connection:
        table = connection.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'alembic_version'"
        ).fetchone()
        assert table is not None
        connection.execute(f"UPDATE {table[0]}.alembic_version SET version_num = '9999'".encode())
    newer.stop()
    check_sentence(refusal(home))
