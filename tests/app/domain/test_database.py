"""The API server and its database: round trips per request, and outages."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from db.postgres import jobs_worker, migrate
from ops.stack import embedded
from tests.app.api_process import ApiProcess, running
from tests.app.conftest import ENGINE, PASSWORD, Person, Run
from tests.app.proxy import Wire

HELLO = {"text": "hello", "voice": "ryan"}


@pytest.fixture
def wire(database_url: str) -> Generator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()


def until(api: ApiProcess, status: int, person: Person, seconds: float = 20) -> httpx.Response:
    """Ask for speech until the answer has that status."""
    deadline = time.monotonic() + seconds
    while (answer := api.call("POST", "/v1/tts", person.key, json=HELLO)).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer


def test_a_request_for_speech_is_one_round_trip(api_with: Run, person: Person, wire: Wire) -> None:
    api = api_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S="600")
    for _ in range(3):
        api.call("POST", "/v1/tts", person.key, json=HELLO)
    before, began = wire.round_trips, time.monotonic()

    answers = [api.call("POST", "/v1/tts", person.key, json=HELLO).status_code for _ in range(30)]

    seconds = time.monotonic() - began
    # The catalog; changed principals, prepared once a connection; the heartbeat.
    beside = int(seconds) + 1 + 3 * int(seconds / 0.4 + 1) + int(seconds / 0.5 + 1)
    assert answers == [200] * 30
    assert 30 <= wire.round_trips - before <= 30 + beside


def test_a_burst_with_one_key_is_authenticated_once(api_with: Run, person: Person, wire: Wire) -> None:
    api = api_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S="600")
    api.call("GET", "/v1/voices")
    before = wire.round_trips

    with ThreadPoolExecutor(16) as threads:
        codes = set(
            threads.map(
                lambda _: api.call("DELETE", f"/v1/jobs/{uuid.uuid4()}", person.key).status_code, range(16)
            )
        )

    assert codes == {404}
    # sixteen cancellations, each prepared once a connection; the key is looked up in one place
    assert wire.round_trips - before <= 16 * 4 + 3


def test_a_response_lost_on_the_way_is_retried_and_charged_once(
    api_with: Run, person: Person, wire: Wire, api: ApiProcess
) -> None:
    through = api_with(
        DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S="600", CODEVOICE_POOL_CONNECTIONS="2"
    )
    for _ in range(4):
        through.call("POST", "/v1/tts", person.key, json=HELLO)
    remaining = api.call("GET", "/api/auth/me", person.key).json()["credits"]["total_remaining"]
    time.sleep(0.1)
    through.call("GET", "/v1/voices")
    time.sleep(0.1)

    wire.lose_next_answer = True
    answer = through.call("POST", "/v1/tts", person.key, json=HELLO)

    assert (answer.status_code, answer.json()["message"]) == (
        200,
        f"Free credit used. {remaining - 1} remaining.",
    )
    assert api.call("GET", "/api/auth/me", person.key).json()["credits"]["total_remaining"] == remaining - 1


def test_without_its_database_the_api_reports_it_and_recovers(
    api_with: Run, person: Person, wire: Wire
) -> None:
    api = api_with(DATABASE_URL=wire.url)
    until(api, 200, person)

    wire.cut()
    refused = until(api, 503, person)
    login = api.call("POST", "/api/auth/login", json={"email": person.email, "password": PASSWORD})
    others = [api.call("GET", path) for path in ("/tts/status/" + str(uuid.uuid4()), "/health/ready")]
    live, voices = api.call("GET", "/health/live"), api.call("GET", "/v1/voices")
    wire.mend()
    until(api, 200, person)

    assert (refused.json()["detail"]["error"], refused.headers["Retry-After"]) == ("service_unavailable", "1")
    assert [answer.status_code for answer in (login, *others)] == [503, 503, 503]
    assert others[1].json() == {"status": "unavailable", "missing": ["postgres", "workers"]}
    assert (live.status_code, voices.json()["total_count"]) == (200, 19)
    until_login(api, person)


def until_login(api: ApiProcess, person: Person) -> None:
    for _ in range(3):
        body = {"email": person.email, "password": PASSWORD}
        if api.call("POST", "/api/auth/login", json=body).status_code == 200:
            return
    raise AssertionError("log-in did not recover")


def test_an_api_started_before_its_database_serves_when_it_is_up(
    api_with: Run, person: Person, wire: Wire
) -> None:
    wire.cut()
    api = api_with(DATABASE_URL=wire.url)
    before = api.call("POST", "/v1/tts", person.key, json=HELLO)
    wire.mend()

    assert before.status_code == 503
    assert until(api, 200, person)


class Postgres:
    """A Postgres that can be killed and restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pg"
        account = embedded.prepare_postgres(self._folder, password="pw")
        port = embedded.free_port()
        self._program = embedded.postgres_program(
            self._folder, account, port=port, log=folder / "log", durable=True
        )
        self.url = embedded.postgres_url(embedded.OWNER, "pw", port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._program.argv,
            env=dict(self._program.env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while not self._program.is_ready(self._process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        assert self._process
        os.killpg(self._process.pid, how) if how == signal.SIGKILL else self._process.send_signal(how)
        self._process.wait(20)


@pytest.fixture
def postgres(tmp_path: Path) -> Generator[Postgres]:
    postgres = Postgres(tmp_path)
    postgres.start()
    yield postgres
    postgres.kill(signal.SIGINT)


def test_the_api_recovers_when_postgres_is_killed_and_restarted(
    postgres: Postgres, environ: dict[str, str], tmp_path: Path
) -> None:
    app_url = postgres.url.replace("codevoice:pw", "cvapp:app")
    migrate.upgrade(postgres.url, app_url)
    with jobs_worker.worker_connection(app_url, application_name="test") as connection:
        jobs_worker.publish(connection, ENGINE, worker="w1")
    with running({**environ, "DATABASE_URL": app_url}, tmp_path) as api:
        body = {"email": "a@example.org", "password": PASSWORD}
        found = api.call("POST", "/api/auth/register", json=body).json()
        person = Person("a@example.org", found["api_key"], found["token"], found["refresh_token"], "")
        jobs = [until(api, 200, person).json()["job_id"]]

        for _ in range(2):
            postgres.kill()
            refused = until(api, 503, person)
            postgres.start()
            jobs.append(until(api, 200, person).json()["job_id"])

        me: Any = api.call("GET", "/api/auth/me", person.key).json()
        assert refused.headers["Retry-After"] == "1"
        assert api.call("GET", f"/tts/status/{jobs[0]}").json()["status"] == "queued"
    with psycopg.connect(postgres.url) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM cv.job").fetchone() or (0,)
        assert connection.execute("SELECT what FROM cv.recon").fetchall() == []
    assert kept >= len(jobs)
    assert me["credits"]["total_remaining"] == 60 - kept
