"""A part of the stack whose processes are all frozen is a clear refusal within five seconds (A2).

What does not need the part goes on; when the part goes on, all is well again without a restart.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from msgspec import Struct

from tests.clock import unhurried
from tests.dialects import STREAMS, WHOLES, Call
from tests.sounds import CLIPS
from tests.stack import Running

from .accounts import FINAL, Account
from .frozen import frozen

WITHIN_S = 5.0
PATIENCE_S = 30
TEXT = "Are you still there?"


class Timed(Struct, frozen=True):
    """A response and how long it took."""

    status: int
    seconds: float
    body: bytes = b""


def timed(send: Callable[[], requests.Response]) -> Timed:
    began = time.monotonic()
    try:
        answer = send()
        return Timed(answer.status_code, time.monotonic() - began, answer.content)
    except requests.RequestException:
        return Timed(0, time.monotonic() - began)


def spoken(account: Account, call: Call) -> Timed:
    url = account.url + call.path_of("ryan")
    body, headers = call.body(TEXT, "ryan"), call.key(account.key)
    return timed(lambda: requests.post(url, json=body, headers=headers, timeout=PATIENCE_S))


def transcribed(account: Account, path: str) -> Timed:
    sound = (CLIPS / "lights.wav").read_bytes()
    headers = {"X-API-Key": account.key, "Authorization": f"Bearer {account.key}"}
    fields = {"model": "whisper-1"} if path.startswith("/v1") else {}

    def send() -> requests.Response:
        files = {"file": ("a.wav", sound, "audio/wav")}
        return requests.post(
            account.url + path, files=files, data=fields, headers=headers, timeout=PATIENCE_S
        )

    return timed(send)


def requested(account: Account, method: str, path: str, body: Any = None) -> Timed:
    return timed(lambda: account.ask(method, path, body))


def all_at_once(calls: Sequence[Callable[[], Timed]]) -> list[Timed]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(call) for call in calls]]


def error_code(path: str, body: bytes) -> str:
    """The error's code, read as a program of the path's dialect reads it."""
    found = json.loads(body)
    if path.startswith("/api/v1"):
        assert found["success"] is False
        return found["error"]["code"].lower()
    if path.startswith("/v1/audio"):
        return found["error"]["code"]
    if path.startswith("/v1/text-to-speech"):
        return found["detail"]["status"]
    return found["detail"]["error"]


def test_a_frozen_postgres_is_refused_in_time_on_every_route_and_recovers(
    target: Running, target_pids: dict[str, int], account: Account
) -> None:
    job = account.queue(TEXT)
    assert account.ended(job)["status"] == "completed"
    login = {"email": account.email, "password": account.password}
    plain: list[tuple[str, str, Any]] = [
        ("POST", "/v1/tts", {"text": TEXT, "voice": "ryan"}),
        ("GET", f"/tts/status/{job}", None),
        ("GET", f"/tts/audio/{job}", None),
        ("GET", f"/tts/stream/{job}", None),
        ("GET", "/v1/jobs", None),
        ("GET", f"/v1/jobs/{job}", None),
        ("DELETE", f"/v1/jobs/{job}", None),
        ("GET", "/api/auth/me", None),
        ("POST", "/api/auth/login", login),
        ("POST", "/api/auth/register", {"email": f"x{account.email}", "password": account.password}),
        ("GET", "/api/user/dashboard", None),
    ]
    calls: dict[str, Callable[[], Timed]] = {
        call.path_of("ryan"): lambda call=call: spoken(account, call) for call in (*WHOLES, *STREAMS)
    }
    calls |= {
        path: lambda path=path: transcribed(account, path)
        for path in ("/transcribe", "/v1/audio/transcriptions")
    }
    calls |= {f"{one[1]} {one[0]}": lambda one=one: requested(account, *one) for one in plain}

    with frozen(target_pids["postgres"]):
        answers = dict(zip(calls, all_at_once(list(calls.values())), strict=True))
        again = dict(zip(calls, all_at_once(list(calls.values())), strict=True))
        live, ready = requested(account, "GET", "/health/live"), requested(account, "GET", "/health/ready")
    began = time.monotonic()

    for outcome in (answers, again):
        assert {name: each.status for name, each in outcome.items()} == dict.fromkeys(calls, 503)
        assert {error_code(name, each.body) for name, each in outcome.items()} == {"service_unavailable"}
        slow = {name: each.seconds for name, each in outcome.items() if each.seconds > unhurried(WITHIN_S)}
        assert slow == {}
    assert (live.status, live.seconds < unhurried(1)) == (200, True)
    assert (ready.status, "postgres" in json.loads(ready.body)["missing"]) == (503, True)
    assert ready.seconds < unhurried(WITHIN_S)
    goes_on(account)
    assert time.monotonic() - began < unhurried(15)
    assert target.env()["pids"] == target_pids


def goes_on(account: Account) -> None:
    """A job and an answer are made as if nothing had been."""
    deadline = time.monotonic() + unhurried(15)
    while (outcome := spoken(account, WHOLES[0])).status != 200:
        assert outcome.status == 503
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert account.ended(account.queue(TEXT))["status"] == "completed"


def test_a_frozen_redis_delays_speech_and_refuses_none(
    target: Running, target_pids: dict[str, int], account: Account
) -> None:
    calls = [lambda call=call: spoken(account, call) for call in (*WHOLES, *STREAMS)]
    others = [("GET", "/v1/jobs"), ("GET", "/api/auth/me"), ("GET", "/health/live"), ("GET", "/v1/voices")]
    calls += [lambda one=one: requested(account, *one) for one in others]

    with frozen(target_pids["valkey"]):
        answers = all_at_once(calls)
        ready = requested(account, "GET", "/health/ready")
        queued = account.queue(TEXT)
        assert account.ended(queued)["status"] == "completed"

    assert [each.status for each in answers] == [200] * len(calls)
    assert max(each.seconds for each in answers) < unhurried(8)
    assert (ready.status, json.loads(ready.body)["missing"]) == (503, ["redis"])
    assert ready.seconds < unhurried(WITHIN_S)
    goes_on(account)
    deadline = time.monotonic() + unhurried(15)
    while requested(account, "GET", "/health/ready").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert target.env()["pids"] == target_pids


@pytest.mark.parametrize("part", ["worker"])
def test_a_job_continues_when_its_frozen_worker_does(
    target: Running, target_pids: dict[str, int], account: Account, part: str
) -> None:
    with frozen(target_pids[part]):
        job = account.queue(TEXT)
        assert account.ask("GET", f"/v1/jobs/{job}").json()["status"] not in FINAL

    assert account.ended(job)["status"] == "completed"
    assert target.env()["pids"] == target_pids
