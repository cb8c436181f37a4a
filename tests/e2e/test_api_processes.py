"""Two processes of the API on one address: each answers alone, and they agree on limits, keys and metrics."""

import os
import re
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from .conftest import Stack

BURST = 7
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    started = Stack(
        tmp_path_factory.mktemp("home"),
        CODEVOICE_API_PROCESSES="2",
        CODEVOICE_POSTS_BURST=str(BURST),
        CODEVOICE_POSTS_PER_MINUTE="1",
        CODEVOICE_LIMITS_WAIT_MS="5000",
    )
    yield started
    started.stop()


@contextmanager
def alone(stack: Stack, name: str) -> Generator[None]:
    """Only the process of that name takes connections."""
    (other,) = {"api", "api-2"} - {name}
    pid = stack.env()["pids"][other]
    os.kill(pid, signal.SIGSTOP)
    try:
        while is_running(pid):
            os.sched_yield()
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"


def new_key(stack: Stack) -> tuple[str, str]:
    made = requests.post(
        f"{stack.url}/api/keys",
        json={"name": "test", "scopes": ["speech"]},
        headers=stack.headers,
        timeout=10,
    )
    assert made.status_code < 300, made.text
    return made.json()["id"], made.json()["key"]


def post(stack: Stack, key: str) -> int:
    return requests.post(
        f"{stack.url}/v1/tts", json={"text": "Hi.", "voice": "ryan"}, headers={"X-API-Key": key}, timeout=10
    ).status_code


def served(stack: Stack) -> int:
    """Requests for speech that the metrics of all processes have counted."""
    text = requests.get(stack.env()["metrics_url"], timeout=10).text
    pattern = r'^codevoice_http_request_duration_seconds_count\{[^}]*route="/v1/tts"[^}]*\} ([\d.]+)'
    return sum(int(float(count)) for count in re.findall(pattern, text, re.MULTILINE))


def test_a_limit_used_up_at_one_process_is_used_up_at_the_other(stack: Stack) -> None:
    _, key = new_key(stack)
    before = served(stack)
    with alone(stack, "api"):
        first = [post(stack, key) for _ in range(BURST - 2)]
    with alone(stack, "api-2"):
        second = [post(stack, key) for _ in range(3)]
    assert first == [200] * (BURST - 2)
    assert second in ([200, 200, 429], [200, 429, 429])  # the stopped one may hold a token it took ahead
    assert served(stack) == before + BURST + 1


def test_a_key_revoked_at_one_process_is_refused_by_the_other(stack: Stack, eventually: Eventually) -> None:
    name, key = new_key(stack)
    with alone(stack, "api-2"):
        assert post(stack, key) == 200  # the process now knows the key
    with alone(stack, "api"):
        gone = requests.delete(f"{stack.url}/api/keys/{name}", headers=stack.headers, timeout=10)
        assert gone.status_code == 204
    with alone(stack, "api-2"):
        eventually(lambda: post(stack, key) == 401)


def test_one_process_serves_while_the_other_is_restarted(stack: Stack, eventually: Eventually) -> None:
    os.kill(old := stack.env()["pids"]["api-2"], signal.SIGKILL)
    assert requests.get(f"{stack.url}/health/ready", timeout=10).status_code == 200
    eventually(lambda: stack.env()["pids"].get("api-2", old) != old)
