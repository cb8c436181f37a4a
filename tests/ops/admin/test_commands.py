"""Operators' commands in common: idempotency keys, dry runs, confirmations, exit statuses; and the ledger."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.ops.conftest import WHY, Owner, Run, RunJson

CODEVOICE = str(Path(sys.executable).with_name("codevoice"))


def transfers(owner: Owner) -> int:
    return owner.execute("SELECT count(*) FROM cv.transfer").fetchone()[0]  # type: ignore[index]


def test_a_terminal_is_prompted_and_gets_tables(database: tuple[str, str], tmp_path: Path, ann: str) -> None:
    environ = {"PATH": os.environ["PATH"], "CODEVOICE_HOME": str(tmp_path), "DATABASE_URL": database[1]}
    environ |= {"TERM": "xterm", "COLUMNS": "200", "NO_COLOR": "1"}

    def at_terminal(*arguments: str, typed: bytes = b"") -> tuple[int, str]:
        here, there = pty.openpty()
        os.write(here, typed)
        done = subprocess.run(
            [CODEVOICE, *arguments],
            env=environ,
            stdin=there,
            stdout=there,
            stderr=there,
            timeout=60,
            check=False,
        )
        os.close(there)
        output = os.read(here, 65536).decode()
        os.close(here)
        return done.returncode, output

    grant = ("credits", "grant", ann, "5", "--reason", "test")
    declined, confirmed = at_terminal(*grant, typed=b"n\n"), at_terminal(*grant, typed=b"y\n")
    assert [(status, "Give" in output) for status, output in (declined, confirmed)] == [(1, True), (0, True)]
    status, table = at_terminal("users", "list")
    assert (status, "│" in table, "65" in table, "\x1b[3" in table) == (0, True, True, False)


def test_lists_without_a_terminal_are_lines(run: Run, ann: str) -> None:
    lines = run("users", "list").stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["account", "email", "name"]
    assert lines[1].split("\t")[:3] == [ann, "ann@example.org", "-"]


def test_control_characters_in_a_name_do_not_reach_the_terminal(
    run: Run, run_json: RunJson, owner: Owner
) -> None:
    account = run_json("users", "create", "x@y.org", "--yes")["account"]
    # From before such names were refused.
    owner.execute("UPDATE cv.account SET name = %s WHERE id = %s", ["a\x1b[2Jb\tc", account])
    assert "a�[2Jb�c" in run("users", "list").stdout


def test_an_idempotency_key_grants_once_and_is_refused_for_another_operation(
    run_json: RunJson, run: Run, ann: str
) -> None:
    keyed = ("--idempotency-key", "order-1", *WHY)
    codes = [run_json("credits", "grant", ann, "5", *keyed)["code"] for _ in range(2)]
    other = run("credits", "grant", ann, "6", *keyed)
    run_json("users", "create", "bob@example.org", "--yes")

    assert codes == ["granted", "replayed"]
    assert (other.returncode, other.stdout) == (5, "")
    assert "used for another act" in other.stderr
    assert run("credits", "grant", "bob@example.org", "5", *keyed).returncode == 5
    assert run_json("users", "show", ann)["paid"] == 5


@pytest.mark.parametrize(
    "act",
    [
        ("users", "create", "new@example.org"),
        ("accounts", "create-api-only", "kiosk", "--limit", "2"),
        ("accounts", "limit", "ann@example.org", "70", "--reason", "test"),
        ("accounts", "unlimited", "ann@example.org", "--reason", "test"),
        ("accounts", "close", "ann@example.org", "--reason", "test"),
        ("credits", "expire", "ann@example.org", "1", "--reason", "test"),
        ("keys", "create", "ann@example.org", "ci", "--reason", "test"),
        ("plans", "set", "ann@example.org", "pro", "--reason", "test"),
        ("users", "suspend", "ann@example.org", "--reason", "test"),
        ("users", "reset-link", "ann@example.org"),
    ],
    ids=lambda act: " ".join(act[:2]),
)
def test_any_operation_is_done_once_per_idempotency_key(
    run_json: RunJson, ann: str, owner: Owner, act: tuple[str, ...]
) -> None:
    run_json("credits", "grant", ann, "5", *WHY)
    first = run_json(*act, "--yes", "--idempotency-key", "k")
    before = transfers(owner)
    again = run_json(*act, "--yes", "--idempotency-key", "k")

    assert again["code"] == "replayed" != first["code"]
    assert (again["account"], transfers(owner)) == (first["account"], before)
    assert [again.get(secret) for secret in ("key", "api_key", "password", "token", "url")] == [None] * 5


@pytest.mark.parametrize(
    ("act", "entries"),
    [
        (("users", "create", "new@example.org"), [("free", 60), ("issued", -60)]),
        (("accounts", "create-api-only", "kiosk", "--limit", "2"), [("free", 2), ("issued", -2)]),
        (("credits", "grant", "ann@example.org", "5", "--reason", "x"), [("issued", -5), ("paid", 5)]),
        (("credits", "expire", "ann@example.org", "1", "--reason", "x"), [("expired", 1), ("paid", -1)]),
        (("plans", "set", "ann@example.org", "2", "--reason", "x"), [("free", 9940), ("issued", -9940)]),
        (("users", "suspend", "ann@example.org", "--reason", "x"), []),
        (("keys", "create", "ann@example.org", "ci", "--reason", "x"), []),
    ],
    ids=lambda given: " ".join(given[:2]) if given and isinstance(given[0], str) else "",
)
def test_a_dry_run_shows_both_legs_and_writes_nothing(
    run_json: RunJson, ann: str, owner: Owner, act: tuple[str, ...], entries: list[tuple[str, int]]
) -> None:
    run_json("credits", "grant", ann, "5", *WHY)
    count = "SELECT (SELECT count(*) FROM cv.transfer), (SELECT count(*) FROM cv.admin_act),"
    count += " (SELECT count(*) FROM cv.account), (SELECT count(*) FROM cv.api_key)"
    before = owner.execute(count.encode()).fetchone()

    output = run_json(*act, "--dry-run")

    assert output["dry_run"]
    assert sorted((leg["bucket"], leg["amount"]) for leg in output["entries"]) == entries
    assert not {"key", "api_key", "password"} & output.keys()
    assert owner.execute(count.encode()).fetchone() == before


def test_creating_keys_needs_the_apis_secrets(run: Run, ann: str) -> None:
    done = run("keys", "create", ann, "ci", *WHY, CODEVOICE_KEY_PEPPER="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CODEVOICE_KEY_PEPPER is not set" in done.stderr


def test_an_audit_is_clean_and_counts(run_json: RunJson, ann: str) -> None:
    assert run_json("ledger", "audit") == {
        "clean": True,
        "wallets": 1,
        "transfers": 1,
        "credits": {"free": 60, "paid": 0, "held": 0, "spent": 0},
        "findings": [],
    }


def test_ledger_heads_kept_elsewhere_reveal_a_rewritten_history(
    run_json: RunJson, run: Run, ann: str, tmp_path: Path
) -> None:
    run_json("credits", "grant", ann, "5", *WHY)
    kept = tmp_path / "heads.jsonl"
    kept.write_text(run("ledger", "heads").stdout)
    assert run_json("ledger", "audit", "--heads", str(kept))["clean"]

    head = json.loads(kept.read_text())
    lies = [{**head, "seq": 3}, {**head, "hash": "00" * 32}, {**head, "owner": str(uuid.uuid4())}]
    kept.write_text("".join(json.dumps(lie) + "\n" for lie in lies))
    done = run("ledger", "audit", "--heads", str(kept), "--json")

    found = {finding["what"] for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found == {"sequence shrank", "another transfer at this head", "wallet is gone"}


def test_invalid_ledger_heads_are_wrong_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "heads").write_text('{"owner": "x"}\n')
    done = run("ledger", "audit", "--heads", str(tmp_path / "heads"))
    assert (done.returncode, "line 1" in done.stderr) == (2, True)


def test_an_export_contains_every_transfer(run_json: RunJson, run: Run, ann: str) -> None:
    run_json("accounts", "create-api-only", "kiosk", "--limit", "2", *WHY)
    everything = [json.loads(line) for line in run("ledger", "export").stdout.splitlines()]
    hers = list(csv.DictReader(io.StringIO(run("ledger", "export", ann, "--format", "csv").stdout)))
    (head,) = [json.loads(line) for line in run("ledger", "heads").stdout.splitlines() if ann in line]

    assert sorted(row["amount_micro"] for row in everything) == [2_000_000, 60_000_000]
    assert [(row["account"], row["amount_micro"], row["hash"]) for row in hers] == [
        (ann, "60000000", head["hash"])
    ]


@pytest.mark.parametrize(
    "act",
    [
        ("credits", "grant", "ann@example.org", "1", "--reason", "x"),
        ("users", "create", "new@example.org"),
        ("accounts", "close", "ann@example.org", "--reason", "x"),
    ],
)
def test_without_a_terminal_nothing_is_done_without_confirmation(
    run: Run, ann: str, owner: Owner, act: tuple[str, ...]
) -> None:
    before = transfers(owner)
    done = run(*act, stdin="y\n")
    assert (done.returncode, done.stdout, transfers(owner)) == (2, "", before)
    assert "--yes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("credits", "grant", "nobody@example.org", "1", *WHY), 4),
        (("credits", "grant", "no account", "1", *WHY), 4),
        (("credits", "grant", "ann@example.org", "0", *WHY), 2),
        (("credits", "grant", "ann@example.org", "-1", *WHY), 2),
        (("credits", "grant", "ann@example.org", "0.0000001", *WHY), 2),
        (("credits", "grant", "ann@example.org", "nan", *WHY), 2),
        (("credits", "grant", "ann@example.org", "1e99999999", *WHY), 2),
        (("credits", "grant", "ann@example.org", "1", "--yes"), 2),
        (("credits", "grant", "ann@example.org", "1", "--yes", "--reason", " "), 2),
        (("credits", "grant", "ann@example.org", "1", "--yes", "--reason", "x" * 201), 2),
        (("credits", "grant", "ann@example.org", "1", *WHY, "--idempotency-key", "é"), 2),
        (("accounts", "limit", "ann@example.org", "-1", *WHY), 2),
        (("accounts", "create-api-only", " ", "--yes"), 2),
        (("users", "create", "no e-mail", "--yes"), 2),
        (("users", "create", "ann@example.org", "--yes"), 5),
        (("users", "show", "nobody@example.org"), 4),
        (("users", "list", "--limit", "0"), 2),
        (("users", "list", "--cursor", "x"), 2),
        (("credits", "history", "ann@example.org", "--cursor", "x"), 2),
        (("keys", "create", "ann@example.org", "ci", "--scope", "all", *WHY), 2),
        (("keys", "rotate", "x", *WHY), 4),
        (("jobs", "show", "x"), 4),
        (("jobs", "list", "--state", "lost"), 2),
        (("jobs", "retry", str(uuid.uuid4()), *WHY), 4),
        (("ledger", "export", "nobody@example.org"), 4),
    ],
)
def test_a_refused_operation_prints_the_reason(
    run: Run, ann: str, arguments: tuple[str, ...], status: int
) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_an_unreachable_database_is_an_error_message(run: Run) -> None:
    away = "postgresql://x:y@127.0.0.1:9/z"
    for act in (("users", "list"), ("users", "create", "a@b.org", "--yes")):
        done = run(*act, DATABASE_URL=away)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("codevoice: the database does not answer")


@pytest.mark.parametrize(("shell", "says"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete")])
def test_shell_completion_covers_our_commands(run: Run, shell: str, says: str) -> None:
    done = run("completion", shell)
    assert (done.returncode, says in done.stdout) == (0, True)
    completed = run(COMP_WORDS="codevoice credits gr", COMP_CWORD="2", _CODEVOICE_COMPLETE="bash_complete")
    assert completed.stdout == "plain,grant\n"
