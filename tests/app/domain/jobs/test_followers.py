"""Followers of a job's events: counted as streams, one poll per job, ended with their credential."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.api_process import ApiProcess
from tests.app.conftest import ENGINE, AddKey, Person, Run, Say
from tests.app.listeners import FakeWorker, Listen, Listener, fake_worker, listen, until
from tests.clock import unhurried

__all__ = ["fake_worker", "listen"]  # fixtures

_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cv.job'::regclass"
Act = Callable[[ApiProcess, Person, "psycopg.Connection[Any]"], None]


def event(listener: Listener) -> tuple[str, dict[str, Any]]:
    name, data, _ = (listener.answer.readline().decode().rstrip("\n") for _ in range(3))
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def the_end(listener: Listener) -> tuple[float, str]:
    """How long the stream goes on, and the code of its last event."""
    began = time.monotonic()
    name, error = event(listener)
    assert (name, listener.answer.read()) == ("refused", b"")
    return time.monotonic() - began, error["error"]


def test_followers_are_counted_as_the_keys_streams(
    api_with: Run, listen: Listen, person: Person, say: Say
) -> None:
    api = api_with(CODEVOICE_STREAMS_MAX="2")
    job = say(person.key)
    path = f"/v1/jobs/{job}/events"
    followers = [listen(path, on=api) for _ in range(2)]
    assert [event(follower)[1]["status"] for follower in followers] == ["queued"] * 2

    refused = api.call("GET", path, person.key)
    followers[0].leave()

    assert (refused.status_code, refused.json()["detail"]["error"]) == (429, "too_many_streams")
    assert refused.json()["detail"]["limit"] == 2
    until(lambda: event(listen(path, on=api))[1]["status"] == "queued")


def test_the_stream_limit_of_an_account_spans_keys_and_processes(
    api_with: Run, listen: Listen, person: Person, say: Say, add_key: AddKey
) -> None:
    fronts = [api_with(CODEVOICE_ACCOUNT_STREAMS_MAX="3", CODEVOICE_TOKEN_S=str(3600 + n)) for n in (0, 1)]
    path = f"/v1/jobs/{say(person.key)}/events"
    keys = [person.key, add_key(person.id), add_key(person.id)]
    followers = [listen(path, on=fronts[n % 2], X_API_Key=key) for n, key in enumerate(keys)]
    for follower in followers:
        event(follower)

    refused = [api.call("GET", path, add_key(person.id)).status_code for api in fronts]

    assert refused == [429, 429]


def revoke(api: ApiProcess, person: Person, owner: psycopg.Connection[Any]) -> None:
    [key] = api.call("GET", "/api/keys", person.key).json()["keys"]
    assert api.call("DELETE", f"/api/keys/{key['id']}", person.key).status_code == 204


def log_out(api: ApiProcess, person: Person, owner: psycopg.Connection[Any]) -> None:
    bearer = {"Authorization": f"Bearer {person.token}"}
    assert api.call("POST", "/api/auth/logout", headers=bearer).status_code == 204


def suspend(api: ApiProcess, person: Person, owner: psycopg.Connection[Any]) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])


@pytest.mark.parametrize(
    ("act", "by_token", "code"),
    [
        (revoke, False, "revoked_api_key"),
        (log_out, True, "invalid_token"),
        (suspend, False, "account_suspended"),
        (suspend, True, "account_suspended"),
    ],
)
def test_who_may_not_follow_any_longer_hears_no_more_within_a_second(
    api: ApiProcess,
    api_with: Run,
    listen: Listen,
    person: Person,
    say: Say,
    owner: psycopg.Connection[Any],
    act: Act,
    by_token: bool,
    code: str,
) -> None:
    other = api_with(
        CODEVOICE_PRINCIPAL_CACHE_S="600"
    )  # another process than the one that receives the request
    headers = {"X_API_Key": "", "Authorization": f"Bearer {person.token}"} if by_token else {}
    follower = listen(f"/v1/jobs/{say(person.key)}/events", on=other, **headers)
    event(follower)

    act(api, person, owner)

    took_s, error = the_end(follower)
    assert error == code
    assert took_s <= unhurried(1.0)


def test_a_revoked_key_does_not_receive_an_end_that_comes_at_once(
    api: ApiProcess,
    listen: Listen,
    person: Person,
    say: Say,
    fake_worker: FakeWorker,
    owner: psycopg.Connection[Any],
) -> None:
    job = say(person.key)
    follower = listen(f"/v1/jobs/{job}/events")
    event(follower)
    fake_worker.say(job)
    event(follower)

    revoke(api, person, owner)
    fake_worker.complete(job, b"audio")

    assert the_end(follower)[1] == "revoked_api_key"


def test_strangers_take_none_of_the_owners_streams(
    api_with: Run, listen: Listen, person: Person, say: Say, fake_worker: FakeWorker
) -> None:
    api = api_with(CODEVOICE_STREAMS_MAX="1", CODEVOICE_ADDRESS_STREAMS_MAX="2")
    job, anybodys = say(person.key), {"X_API_Key": ""}
    path = f"/tts/stream/{job}"
    fake_worker.say(job, b"first")
    strangers = [listen(path, on=api, **anybodys) for _ in range(2)]
    assert [stranger.read(5) for stranger in strangers] == [b"first"] * 2

    refused = api.call("GET", path)
    mine = listen(path, on=api)

    assert (refused.status_code, refused.json()["detail"]["error"]) == (429, "too_many_streams")
    assert mine.read(5) == b"first"
    assert api.call("GET", path, person.key).status_code == 429  # one of its own is all it may have
    fake_worker.complete(job, b"first and last")


def test_readiness_waits_for_no_request(
    api_with: Run, owner: psycopg.Connection[Any], person: Person, parrot: WorkerConnection
) -> None:
    api = api_with(CODEVOICE_POOL_CONNECTIONS="1", CODEVOICE_DATABASE_WAIT_S="30")
    jobs_worker.publish(parrot, ENGINE, worker="w1")
    with ThreadPoolExecutor(1) as thread:
        with owner.transaction():
            owner.execute("LOCK TABLE cv.job")
            listing = thread.submit(api.call, "GET", "/v1/jobs", person.key)
            until(lambda: owner.execute(_WAITING).fetchone() == (1,))
            ready = api.call("GET", "/health/ready")

        assert ready.json() == {"status": "ok", "missing": []}
        assert listing.result().status_code == 200
