"""`codevoice users erase` and `users export`: nothing is left of a person but what they paid."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psycopg
import pytest
from click.testing import CliRunner, Result
from msgspec import Struct
from redis import Redis

from db.redis.live_audio import LiveAttempt
from db.storage.objects import Objects
from db.storage.personal_data import RedisTraces
from ops import cli
from tests.app.api_process import PASSWORD, SECRETS, ApiProcess
from tests.app.conftest import End, Person, Say, SignUp

WHY = ("--yes", "--reason", "ticket 12")
# Tables without personal data, or with it under the account's id alone; every other table has a test.
KEPT = {
    "transfer",
    "wallet",
    "checkpoint",
    "admin_act",
    "broken_stream",
    "lost_worker",
    "stored",
    "expected_store",
    "correction",
}
IMPERSONAL = {"plan", "price", "engine", "invite", "alembic_version"}


class Traces(Struct, frozen=True):
    """What a person has left behind."""

    person: Person
    jobs: list[str]
    mails: Path
    text: str
    key_name: str
    order: str

    @property
    def words(self) -> list[str]:
        return [self.person.email, self.text, self.key_name, self.order, self.person.key[:12]]


class Killed(BaseException):
    """Ends like a killed process: no handler catches it."""


Run = Callable[..., Result]


@pytest.fixture
def variables(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    mails = tmp_path / "mails"
    mails.mkdir()
    return {**environ, **SECRETS, "CODEVOICE_HOME": str(tmp_path), "CODEVOICE_MAIL_FOLDER": str(mails)}


@pytest.fixture
def run(variables: dict[str, str]) -> Run:
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CODEVOICE_")}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.codevoice, arguments, env=unset | variables)

    return run


@pytest.fixture
def redis(redis_url: str) -> Generator["Redis[bytes]"]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def traces(
    api: ApiProcess, sign_up: SignUp, say: Say, end: End, store: Objects, redis: "Redis[bytes]",
    tmp_path: Path, variables: dict[str, str],
) -> Traces:  # fmt: skip
    """Texts, audio made and half made, an upload, live audio, a key, a mail, an open job."""
    person, mark = sign_up(), uuid.uuid4().hex
    text, key_name, order = f"the heron {mark} stands still", f"laptop {mark}", f"order-{mark}"
    made = api.call("POST", "/api/keys", person.key, json={"name": key_name, "scopes": []}).json()["key"]
    headers = {"Idempotency-Key": order, "X-API-Key": made}
    keyed = api.call("POST", "/v1/tts", headers=headers, json={"text": text, "voice": "ryan"}).json()[
        "job_id"
    ]
    end(keyed)
    open_one = say(person.key, text=text)
    for key in (f"jobs/{keyed}-7.mp3", f"uploads/{open_one}/audio"):
        store.put(key, io.BytesIO(text.encode()))
    redis.xadd(LiveAttempt(uuid.UUID(open_one), 1).key, {"b": text.encode()})
    mail = EmailMessage()
    mail["To"], mail["Subject"] = person.email, "Your new CodeVoice password"
    mails = Path(variables["CODEVOICE_MAIL_FOLDER"])
    (mails / "1.eml").write_bytes(mail.as_bytes())
    mail.replace_header("To", "somebody@example.org")
    (mails / "2.eml").write_bytes(mail.as_bytes())
    return Traces(person, [keyed, open_one], mails, text, key_name, order)


def found_in_database(owner: psycopg.Connection[Any], words: list[str]) -> set[tuple[str, str]]:
    """Of those words, which are in which table: in any column of any row."""
    tables = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'cv'").fetchall()
    return {
        (table, word)
        for (table,) in tables
        for word in words
        if owner.execute(
            f'SELECT 1 FROM cv."{table}" t WHERE t::text LIKE %s'.encode(), [f"%{word}%"]
        ).fetchone()
    }


def left_outside(traces: Traces, store: Objects, redis: "Redis[bytes]") -> list[str]:
    keys = [key for page in store.old("", -60) for key in page] + [
        key.decode() for key in redis.scan_iter("*")
    ]
    ids = [*traces.jobs, traces.person.id, uuid.UUID(traces.person.id).hex]
    return [key for key in keys if any(one in key for one in ids)]


def audit(owner: psycopg.Connection[Any]) -> list[Any]:
    return [
        *owner.execute("SELECT what, id FROM cv.recon").fetchall(),
        *owner.execute("SELECT owner, seq FROM cv.chain_breaks").fetchall(),
    ]


def test_nothing_is_left_of_a_person_but_what_was_paid(
    api: ApiProcess,
    run: Run,
    traces: Traces,
    owner: psycopg.Connection[Any],
    store: Objects,
    redis: "Redis[bytes]",
) -> None:
    person = traces.person
    before = owner.execute("SELECT count(*) FROM cv.transfer WHERE owner = %s", [person.id]).fetchone()
    assert {word for _, word in found_in_database(owner, traces.words)} == set(traces.words)
    assert len(left_outside(traces, store, redis)) >= 4

    done = run("users", "erase", person.email, *WHY, "--json")

    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report | {"redis_keys_deleted": 0, "log_rewritten": True} == {
        "code": "erased", "account": person.id, "jobs_cancelled": 1, "jobs_erased": 2, "objects_deleted": 3,
        "redis_keys_deleted": 0, "mails_deleted": 1, "api_keys_deleted": 2, "log_rewritten": True,
    }  # fmt: skip
    assert found_in_database(owner, traces.words) == set()
    assert left_outside(traces, store, redis) == []
    assert [path.name for path in traces.mails.iterdir()] == ["2.eml"]
    after = owner.execute("SELECT count(*) FROM cv.transfer WHERE owner = %s", [person.id]).fetchone()
    assert before
    assert after
    assert (audit(owner), after[0] > before[0]) == ([], True)
    acts = owner.execute(
        "SELECT actor, reason FROM cv.admin_act WHERE act = 'erase' AND owner = %s", [person.id]
    )
    assert acts.fetchall() == [(f"cli:{os.getuid()}", "ticket 12")]


def test_an_erased_person_has_no_access_and_may_register_again(
    api: ApiProcess, run: Run, traces: Traces
) -> None:
    person = traces.person
    run("users", "erase", person.email, *WHY)
    bearer = {"Authorization": f"Bearer {person.token}"}
    login = {"email": person.email, "password": PASSWORD}

    assert api.call("POST", "/api/auth/login", json=login).status_code == 401
    refused = api.call("POST", "/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refused.status_code == 401
    assert api.call("GET", f"/tts/audio/{traces.jobs[0]}").status_code == 410
    assert api.call("GET", f"/tts/status/{traces.jobs[1]}").json()["status"] == "failed"
    assert run("users", "erase", person.email, *WHY).exit_code == 4
    assert api.call("POST", "/api/auth/register", json=login).status_code == 201
    deadline = time.monotonic() + 5  # the promise is one second
    while api.call("GET", "/api/auth/me", person.key).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert api.call("GET", "/api/auth/me", headers=bearer).status_code == 401


@pytest.mark.parametrize(
    "step", ["publish_cancelled", "delete", "rewrite", "objects", "mails"], ids=lambda step: f"at {step}"
)
def test_whoever_is_stopped_in_the_middle_goes_on_by_the_same_command(
    run: Run, traces: Traces, owner: psycopg.Connection[Any], store: Objects, redis: "Redis[bytes]",
    step: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if step == "objects":
            patched.setattr("app.domain.admin.erasure.delete_objects", die)
        elif step == "mails":
            patched.setattr("app.domain.admin.erasure.forget_mails", die)
        else:
            patched.setattr(RedisTraces, step, die)
        with pytest.raises(Killed):
            run("users", "erase", traces.person.email, *WHY)

    assert audit(owner) == []
    assert run("users", "erase", traces.person.email, *WHY).exit_code == 0
    assert found_in_database(owner, traces.words) == set()
    assert left_outside(traces, store, redis) == []
    assert audit(owner) == []


def test_an_erasure_killed_midway_is_completed_by_the_next(
    run: Run, traces: Traces, variables: dict[str, str], owner: psycopg.Connection[Any], store: Objects,
    redis: "Redis[bytes]",
) -> None:  # fmt: skip
    program = Path(sys.executable).with_name("codevoice")
    process = subprocess.Popen(
        [program, "users", "erase", traces.person.email, *WHY],
        env={"PATH": os.defpath, **variables},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline()  # no credential is accepted any more
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()

    assert run("users", "erase", traces.person.id, *WHY).exit_code == 0
    assert found_in_database(owner, traces.words) == set()
    assert left_outside(traces, store, redis) == []
    assert audit(owner) == []


def test_a_dry_run_and_a_key_used_before_erase_nothing(run: Run, traces: Traces) -> None:
    keyed = ("--idempotency-key", uuid.uuid4().hex, "--json")

    assert run("users", "erase", traces.person.email, *WHY, "--dry-run").exit_code == 0
    codes = [
        json.loads(run("users", "erase", traces.person.id, *WHY, *keyed).stdout)["code"] for _ in range(2)
    ]
    assert codes == ["erased", "replayed"]


def test_the_last_administrator_is_not_erased(
    run: Run, owner: psycopg.Connection[Any], person: Person
) -> None:
    with owner.transaction():
        owner.execute("CREATE TEMP TABLE others AS SELECT id FROM cv.account WHERE admin")
        owner.execute(
            "UPDATE cv.account SET admin = (id = %s) WHERE admin OR id = %s", [person.id, person.id]
        )
    refused = run("users", "erase", person.email, *WHY)
    owner.execute("UPDATE cv.account SET admin = true WHERE id IN (SELECT id FROM pg_temp.others)")

    assert (refused.exit_code, "only administrator" in refused.stderr) == (5, True)


def test_every_table_is_erased_or_kept_for_a_reason(owner: psycopg.Connection[Any]) -> None:
    """A new table with anything of a person belongs into cv.erase_account, or into KEPT with a reason."""
    tables = {
        table
        for (table,) in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'cv'").fetchall()
    }
    erased = {"account", "api_key", "job", "idempotency", "password_reset", "ended_session"}
    assert tables - KEPT - IMPERSONAL == erased


def test_an_export_contains_everything(run: Run, traces: Traces, tmp_path: Path) -> None:
    file = tmp_path / "person.zip"

    done = run("users", "export", traces.person.email, "-o", str(file), "--json")

    assert json.loads(done.stdout) == {"account": traces.person.id, "jobs": 2, "transfers": 4, "objects": 3}
    assert file.stat().st_mode & 0o777 == 0o600
    with ZipFile(file) as archive:
        names = set(archive.namelist())
        account = json.loads(archive.read("account.json"))
        jobs = [json.loads(line) for line in archive.read("jobs.jsonl").splitlines()]
        ledger = archive.read("ledger.jsonl").splitlines()
        upload = archive.read(f"objects/uploads/{traces.jobs[1]}/audio")
    assert names >= {"account.json", "jobs.jsonl", "ledger.jsonl", f"objects/jobs/{traces.jobs[0]}-7.mp3"}
    assert (account["account"]["email"], account["account"]["has_password"]) == (traces.person.email, True)
    assert [key["name"] for key in account["api_keys"]] == ["personal", traces.key_name]
    assert [(job["params"]["text"], job["idempotency_key"]) for job in jobs] == [
        (traces.text, traces.order),
        (traces.text, None),
    ]
    assert (len(ledger), upload) == (4, traces.text.encode())
    everything = json.dumps(account) + json.dumps(jobs)
    assert not [secret for secret in ("digest", "sealed", "password_hash") if f'"{secret}"' in everything]
