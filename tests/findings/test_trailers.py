"""S6: fields behind a chunked body never become headers. The stack believes its own machine as a proxy."""

import json
from uuid import uuid4

import pytest

from tests.stack import Running
from tests.wire import Connection, Head, Headers, chunked

from .accounts import Account, some_address

ADDRESS_LIMIT = 100  # refreshes of an address in 15 minutes
TEXT = json.dumps({"text": "Hello.", "voice": "ryan"}).encode()


def sent(url: str, path: str, body: bytes, headers: Headers, trailers: Headers) -> tuple[Head, bytes]:
    with Connection(url) as connection:
        connection.send(chunked("POST", path, headers, body, trailers))
        head = connection.head()
        return head, connection.read(head)


def test_an_address_in_a_trailer_is_not_believed(target: Running) -> None:
    headers = {"X-Forwarded-For": some_address()}
    body = json.dumps({"refresh_token": "none"}).encode()
    statuses = [
        sent(target.url, "/api/auth/refresh", body, headers, {"X-Forwarded-For": some_address()})[0].status
        for _ in range(ADDRESS_LIMIT + 10)
    ]
    assert statuses.count(429) >= 10


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "Authorization", "xi-api-key"])
def test_a_key_in_a_trailer_replaces_none(account: Account, name: str) -> None:
    head, answer = sent(account.url, "/v1/tts", TEXT, account.headers, {name: "zzz"})
    assert head.status == 200, answer


@pytest.mark.parametrize("name", ["X-API-Key", "Authorization"])
def test_a_key_in_a_trailer_lets_nobody_in(account: Account, name: str) -> None:
    key = account.key if name == "X-API-Key" else f"Bearer {account.key}"
    head, _ = sent(account.url, "/v1/tts", TEXT, {}, {name: key})
    assert head.status == 401


def test_an_idempotency_key_in_a_trailer_joins_no_jobs(account: Account) -> None:
    trailers = {"Idempotency-Key": uuid4().hex}
    jobs = {
        json.loads(sent(account.url, "/v1/tts", TEXT, account.headers, trailers)[1])["job_id"]
        for _ in range(3)
    }
    assert len(jobs) == 3


def test_a_request_id_in_a_trailer_is_not_the_requests(account: Account) -> None:
    head, _ = sent(account.url, "/v1/tts", TEXT, account.headers, {"X-Request-ID": "from-a-trailer"})
    assert head.headers["x-request-id"] != "from-a-trailer"


def test_a_body_with_trailers_is_read_as_any_other(account: Account) -> None:
    head, answer = sent(account.url, "/v1/tts", TEXT, account.headers, {"X-Checksum": "1234"})
    assert head.status == 200, answer
    assert account.ended(json.loads(answer)["job_id"])["status"] == "completed"
