"""What breaks: processes killed, messages lost. Every job still ends once, and credits are exact."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import redis
import requests

from tests.e2e.clients.programs import poll
from tests.e2e.conftest import Stack

NewStack = Callable[..., Stack]
LONG = "All work and no play makes a long sentence longer. " * 60


def started_again(stack: Stack, name: str, old: int) -> int:
    """The process id of the program the supervisor started in place of `old`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (pid := stack.env()["pids"].get(name, old)) != old:
            return pid
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started again")


def ends_of(stack: Stack, jobs: list[str]) -> list[str]:
    with ThreadPoolExecutor(10) as pollers:
        return [status["status"] for status in pollers.map(lambda job: poll(stack, job), jobs)]


def attempts(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT max(attempt) FROM cv.job").fetchone()
    assert row is not None
    return row[0]


def test_a_worker_killed_in_mid_batch_costs_no_credit(new_stack: NewStack) -> None:
    stack = new_stack(CODEVOICE_LEASE_S="2")
    environment = stack.env()  # now: to ask for it takes longer than some jobs do
    pid, url = environment["pids"]["worker"], environment["database_url"]
    jobs = [stack.speak(LONG * 6) for _ in range(12)]
    while attempts(url) < 1:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    started_again(stack, "worker", pid)
    assert set(ends_of(stack, jobs)) == {"completed"}
    credits = stack.credits()
    assert (credits["total_remaining"], credits["held"]) == (60 - 12, 0)
    assert attempts(url) == 2
    assert stack.audit_is_clean()


def test_an_api_killed_after_its_commits_loses_no_job(new_stack: NewStack) -> None:
    stack = new_stack()
    acknowledged = [stack.speak(f"Before the fall, number {n}.") for n in range(10)]
    os.kill(stack.env()["pids"]["api"], signal.SIGKILL)
    after = [speak_with_patience(stack, f"After the fall, number {n}.") for n in range(3)]
    assert set(ends_of(stack, acknowledged + after)) == {"completed"}
    assert stack.credits()["held"] == 0
    assert stack.audit_is_clean()


def speak_with_patience(stack: Stack, text: str) -> str:
    """As a client with retries: one key for all tries, so that it is one job."""
    headers = {**stack.headers, "Idempotency-Key": text}
    body = {"text": text, "voice": "ryan"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = requests.post(f"{stack.url}/v1/tts", json=body, headers=headers, timeout=10)
        except requests.ConnectionError:
            time.sleep(0.1)
            continue
        if answer.status_code == 200:
            return answer.json()["job_id"]
        assert answer.status_code == 503, answer.text
        time.sleep(min(0.5, float(answer.headers["Retry-After"])))
    raise AssertionError("the API did not come back")


def test_a_flushed_or_killed_redis_loses_no_job(new_stack: NewStack) -> None:
    stack = new_stack()
    jobs: list[str] = []
    with redis.Redis.from_url(stack.env()["redis_url"]) as client:
        for n in range(10):
            jobs.append(stack.speak(f"Flushed, number {n}."))
            client.flushall()
    os.kill(stack.env()["pids"]["valkey"], signal.SIGKILL)
    jobs += [stack.speak(f"Killed, number {n}.") for n in range(5)]
    assert set(ends_of(stack, jobs)) == {"completed"}
    assert stack.audit_is_clean()


def test_with_the_wake_up_switched_off_all_jobs_still_finish(new_stack: NewStack) -> None:
    stack = new_stack(CODEVOICE_WAKE="0")
    jobs = [stack.speak(f"Unheard, number {n}.") for n in range(10)]
    assert set(ends_of(stack, jobs)) == {"completed"}


def test_a_killed_postgres_comes_back_with_all_it_acknowledged(new_stack: NewStack) -> None:
    stack = new_stack()
    jobs = [stack.speak(f"Written down, number {n}.") for n in range(5)]
    os.kill(stack.env()["pids"]["postgres"], signal.SIGKILL)
    jobs += [speak_with_patience(stack, f"Again, number {n}.") for n in range(2)]
    assert set(ends_of(stack, jobs)) == {"completed"}
    assert stack.audit_is_clean()


def test_pollers_stop_on_an_expired_job(new_stack: NewStack) -> None:
    stack = new_stack(CODEVOICE_QUEUE_WAIT_S="1")
    worker = stack.env()["pids"]["worker"]
    os.kill(worker, signal.SIGSTOP)  # no worker claims; the other engine's worker sweeps
    ended = poll(stack, stack.speak("Too late."))
    os.kill(worker, signal.SIGCONT)
    assert ended["reason"] == "expired"
    assert stack.credits()["held"] == 0


def test_a_restart_keeps_everything(new_stack: NewStack) -> None:
    first = new_stack()
    job = first.speak("Remember me.")
    status = poll(first, job)
    left = first.credits()
    first.stop()
    second = new_stack()
    assert second.headers == first.headers
    assert second.credits() == left
    audio = requests.get(f"{second.url}/tts/audio/{job}", timeout=10)
    assert len(audio.content) == int(audio.headers["Content-Length"]) > status["duration_ms"] * 44


def test_the_audit_of_a_tampered_ledger_fails(new_stack: NewStack) -> None:
    stack = new_stack()
    assert stack.audit_is_clean()
    with psycopg.connect(stack.env()["database_owner_url"], autocommit=True) as connection:
        connection.execute("ALTER TABLE cv.transfer DISABLE TRIGGER ALL")
        connection.execute("UPDATE cv.transfer SET amount = amount + 1 WHERE seq = 1")
        connection.execute("ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_rows")
        connection.execute("ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_table")
    done = stack.run("ledger", "audit", "--json")
    assert done.returncode == 1
    assert '"hash chain broken"' in done.stdout
