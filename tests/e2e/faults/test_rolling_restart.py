"""Every process of a stack is restarted under load: no caller gets an error."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import CODEVOICE, Stack
from tests.e2e.load import Caller, Load, generate, speak, stream, under_load

NewStack = Callable[..., Stack]
UNLIMITED = {
    "CODEVOICE_POSTS_PER_MINUTE": "1000000",
    "CODEVOICE_POSTS_BURST": "100000",
    "CODEVOICE_ACCOUNT_POSTS_PER_MINUTE": "1000000",
    "CODEVOICE_ACCOUNT_POSTS_BURST": "100000",
}
PACED = "ops.bench.harness.paced_engine:engine"
STORES = {"supervisor", "postgres", "valkey"}


def goes_on(load: Load) -> None:
    """Returns when every caller has been answered twice more, the second time from beginning to end."""
    wanted, deadline = {name: seen + 2 for name, seen in load.answers.items()}, time.monotonic() + 60
    while any(load.answers[name] < count for name, count in wanted.items()):
        assert time.monotonic() < deadline, load.answers
        assert load.failures == []
        time.sleep(0.02)


def listen_long(stack: Stack) -> bytes:
    """Eight seconds of sound, made in four."""
    caller = Caller(stack, keeps=False)
    body = {"text": "On and on. " * 72, "voice": "paced", "format": "wav"}
    return caller.ask("POST", "/api/v1/tts/generate/stream", body)


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    patient = {
        "CODEVOICE_API_PROCESSES": "2",
        "CODEVOICE_API_DRAIN_S": "10",
    }  # a loaded machine may need more than the 2.5 s there are
    started = new_stack(CODEVOICE_ENGINES=f"espeak,{PACED}", **UNLIMITED, **patient)
    started.grant(100_000)
    return started


def test_a_rolling_restart_under_load_fails_no_request(stack: Stack) -> None:
    before = stack.env()["pids"]
    with under_load(stack, speak, generate, stream) as load, ThreadPoolExecutor() as listeners:
        goes_on(load)
        long = listeners.submit(listen_long, stack)
        done = subprocess.run([CODEVOICE, "restart"], env=stack.environ, check=False, timeout=150)
        assert done.returncode == 0
        assert len(long.result()) > 8 * 2 * 24_000 * 0.98
        goes_on(load)
        for name in ("api", "worker"):
            end(stack, name)
            goes_on(load)
    after = stack.env()["pids"]
    assert load.failures == []
    assert {name for name in before if after[name] == before[name]} == STORES
    assert stack.credits()["held"] == 0
    assert stack.audit_is_clean()


def end(stack: Stack, name: str) -> None:
    """Send TERM, as an operator would: requests in progress are answered, and new ones wait."""
    os.kill(old := stack.env()["pids"][name], signal.SIGTERM)
    deadline = time.monotonic() + 30
    while stack.env()["pids"].get(name, old) == old:
        assert time.monotonic() < deadline
        time.sleep(0.1)
