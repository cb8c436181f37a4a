"""`just audit` finds what it should, and reports what it could not look up."""

import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from ops.safety import advisories, is_secret, secrets
from tests.app.conftest import key_ring


def commit(repository: Path, name: str, text: str) -> None:
    (repository / name).write_text(text)
    for arguments in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", name]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)


def test_a_secret_of_any_commit_is_found(tmp_path: Path) -> None:
    key = key_ring().make(uuid4()).text
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path, "a.txt", "nothing here\n")
    before = secrets(tmp_path)
    commit(tmp_path, "b.txt", f"key = {key}\n")
    commit(tmp_path, "b.txt", "taken out again\n")

    after = secrets(tmp_path)

    assert (before.is_good, before.lines) == (True, ["1 commits read"])
    assert (after.is_good, after.lines[-1]) == (False, "3 commits read")
    assert after.lines[0].endswith(" b.txt")
    assert key not in str(after.lines)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-----BEGIN " + "RSA PRIVATE KEY-----", True),
        ("aws = AKIA" + "IOSFODNN7EXAMPLE", True),
        ("token: ghp_" + "a" * 36, True),
        ("cv_live_" + "0" * 49, False),  # its checksum is wrong: not a real key
        ("password = getpass()", False),
    ],
)
def test_a_secret_is_recognised_by_its_form(line: str, expected: bool) -> None:
    assert is_secret(line) is expected


def test_what_could_not_be_looked_up_is_said() -> None:
    known = {"name": "a", "version": "1", "vulns": []}
    holed = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
    unknown = {"name": "c", "skip_reason": "not found"}

    assert advisories([known]) == (True, ["1 packages looked up"])
    assert advisories([known, holed]) == (False, ["b 2: PYSEC-1", "2 packages looked up"])
    assert advisories([known, unknown]) == (
        True,
        ["1 packages looked up", "NOT LOOKED UP: 1, of which this index serves no advisories"],
    )
