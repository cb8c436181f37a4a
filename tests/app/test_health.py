"""`GET /health`: readiness names what is missing. Also how the API server starts and terminates."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from app.settings import read_settings
from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.redis import worker_wakeup
from db.settings import SettingsError
from tests.app.api_process import SECRETS, ApiProcess, running
from tests.clock import unhurried

from .conftest import ENGINE, Person, Run
from .listeners import until

HELLO = {"text": "hello", "voice": "ryan"}


def test_the_api_is_ready_when_everything_is_up(api: ApiProcess, parrot: WorkerConnection) -> None:
    jobs_worker.publish(parrot, ENGINE, worker="w1")

    answer = api.call("GET", "/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "missing": []})


def test_readiness_names_what_is_missing(api_with: Run, tmp_path: Path, parrot: WorkerConnection) -> None:
    objects = tmp_path / "objects"
    api = api_with(REDIS_URL="redis://127.0.0.1:1/0", CODEVOICE_OBJECTS=objects.as_uri())
    shutil.rmtree(objects)
    parrot.execute("UPDATE cv.engine SET seen_at = clock_timestamp() - interval '11 s'")

    answer = api.call("GET", "/health/ready")
    jobs_worker.publish(parrot, ENGINE, worker="w1")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"status": "unavailable", "missing": ["redis", "objects", "workers"]}


def test_jobs_are_accepted_without_redis(api_with: Run, person: Person) -> None:
    api = api_with(REDIS_URL="redis://127.0.0.1:1/0")

    answers = [api.call("POST", "/v1/tts", person.key, json=HELLO).status_code for _ in range(3)]

    assert answers == [200, 200, 200]


def test_a_submitted_job_sends_a_wake_up(api: ApiProcess, person: Person, redis_url: str) -> None:
    broker = worker_wakeup.producer(redis_url)
    queue = f"dramatiq:{worker_wakeup.queue_name('parrot')}"
    with redis.Redis.from_url(redis_url) as client:
        client.delete(queue)

        api.call("POST", "/v1/tts", person.key, json=HELLO)

        assert client.blmove(queue, queue, 5, "LEFT", "LEFT")
    broker.client.close()


def test_readiness_names_an_unreachable_store(api_with: Run, parrot: WorkerConnection) -> None:
    api = api_with(CODEVOICE_OBJECTS="s3://nowhere?endpoint=http://127.0.0.1:1")
    jobs_worker.publish(parrot, ENGINE, worker="w1")

    answer = api.call("GET", "/health/ready")

    assert answer.json()["missing"] == ["objects"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_termination_signal_ends_the_process_at_once(
    environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with running(environ, tmp_path) as api:
        began = time.monotonic()
        os.kill(api.pid, number)
        while Path(f"/proc/{api.pid}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() - began < unhurried(5)
            time.sleep(0.02)

    assert "Traceback" not in api.log.read_text()


def test_a_terminating_process_answers_a_connected_client_once_more(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with running(environ, tmp_path) as api:
        kept, new = (http.client.HTTPConnection(*api.address, timeout=10) for _ in range(2))
        kept.request("GET", "/health/live")
        assert kept.getresponse().read() == b'{"status":"ok"}'
        new.connect()
        os.kill(api.pid, signal.SIGTERM)
        until(lambda: '"draining"' in api.log.read_text())
        for caller in (kept, new):
            caller.request("GET", "/health/live")
            answer = caller.getresponse()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert answer.read() == b'{"status":"ok"}'


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CODEVOICE_JWT_SECRET", ""),
        ("CODEVOICE_KEY_PEPPER", "11" * 31),
        ("CODEVOICE_URL_SECRET", "g" * 64),
        ("CODEVOICE_REGISTRATION", "perhaps"),
        ("CODEVOICE_BODY_BYTES_MAX", "0"),
        ("CODEVOICE_PORT", "x"),
        ("CODEVOICE_QUEUE_WAIT_S", "0"),
        ("CODEVOICE_LIMITS_WITHOUT_REDIS", "perhaps"),
    ],
)
def test_an_invalid_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        read_settings({**SECRETS, variable: value})


@pytest.mark.parametrize(
    ("variable", "value"), [("CODEVOICE_KEY_PEPPER", "11" * 31), ("CODEVOICE_OBJECTS", "ftp://x")]
)
def test_with_an_invalid_setting_nothing_starts(environ: dict[str, str], variable: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        env={**SECRETS, **environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 1
    assert variable in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_reported(environ: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "app"],
            env={**SECRETS, **environ, "CODEVOICE_PORT": port},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert (done.returncode, port in done.stderr) == (1, True)
