"""Logging out, of one session and of all: `POST /api/auth/logout` and `/logout/everywhere`."""

import time
import uuid
from typing import Any

import httpx
import psycopg

from app.domain.identity.tokens import Claims, Tokens
from tests.app.api.codevoice.test_accounts import as_bearer, login
from tests.app.api_process import SECRETS, ApiProcess
from tests.app.conftest import Person, Run
from tests.clock import unhurried


def test_logging_out_ends_the_session_and_every_token_refreshed_from_it(
    api: ApiProcess, person: Person
) -> None:
    def refresh(token: str) -> httpx.Response:
        return api.call("POST", "/api/auth/refresh", json={"refresh_token": token})

    def me(token: str) -> int:
        return as_bearer(api, "GET", "/api/auth/me", token).status_code

    other = login(api, person.email).json()
    renewed = refresh(person.refresh_token).json()
    again = refresh(renewed["refresh_token"]).json()

    assert as_bearer(api, "POST", "/api/auth/logout", renewed["token"]).status_code == 204
    assert [me(token) for token in (person.token, renewed["token"], again["token"])] == [401] * 3
    assert [refresh(token).status_code for token in (person.refresh_token, again["refresh_token"])] == [
        401
    ] * 2
    assert (me(other["token"]), refresh(other["refresh_token"]).status_code) == (200, 200)
    assert api.call("GET", "/api/auth/me", person.key).status_code == 200


def test_logging_out_everywhere_ends_every_session_but_no_key(api: ApiProcess, person: Person) -> None:
    other = login(api, person.email).json()

    assert as_bearer(api, "POST", "/api/auth/logout/everywhere", other["token"]).status_code == 204
    for token in (person.token, other["token"]):
        assert as_bearer(api, "GET", "/api/auth/me", token).status_code == 401
    for token in (person.refresh_token, other["refresh_token"]):
        refused = api.call("POST", "/api/auth/refresh", json={"refresh_token": token})
        assert refused.status_code == 401
    assert api.call("GET", "/api/auth/me", person.key).status_code == 200


def test_a_log_out_reaches_every_api_process_within_a_second(
    api: ApiProcess, api_with: Run, person: Person
) -> None:
    elsewhere = api_with(CODEVOICE_TOKEN_S="3601")
    other = login(api, person.email).json()["token"]
    assert as_bearer(elsewhere, "GET", "/api/auth/me", person.token).status_code == 200

    as_bearer(api, "POST", "/api/auth/logout", person.token)

    deadline = time.monotonic() + unhurried(2)
    while as_bearer(elsewhere, "GET", "/api/auth/me", person.token).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert as_bearer(elsewhere, "GET", "/api/auth/me", other).status_code == 200


def test_logging_out_with_an_api_key_is_a_bad_request(api: ApiProcess, person: Person) -> None:
    refused = api.call("POST", "/api/auth/logout", person.key)

    assert (refused.status_code, refused.json()["detail"]["error"]) == (400, "bad_request")
    assert "/api/auth/logout/everywhere" in refused.json()["detail"]["message"]
    assert as_bearer(api, "GET", "/api/auth/me", person.token).status_code == 200


def test_logging_out_with_a_token_that_names_no_session_ends_every_session(
    api: ApiProcess, person: Person
) -> None:
    tokens = Tokens(
        bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"]), token_s=60, refresh_token_s=60, session_s=60
    )
    old = Claims(uuid.UUID(person.id), 0)
    refreshed = api.call("POST", "/api/auth/refresh", json={"refresh_token": tokens.issue_refresh(old)})

    assert refreshed.status_code == 200
    assert as_bearer(api, "POST", "/api/auth/logout", refreshed.json()["token"]).status_code == 204
    assert as_bearer(api, "GET", "/api/auth/me", person.token).status_code == 401


def test_an_account_keeps_a_bounded_number_of_ended_sessions(
    person: Person, owner: psycopg.Connection[Any]
) -> None:
    epoch, kept = "SELECT token_epoch FROM cv.account WHERE id = %s", list[int]()
    for _ in range(4):
        owner.execute("SELECT cv.end_session(%s, gen_random_uuid(), '1 h', 3)", [person.id])
        kept += owner.execute(
            "SELECT count(*) FROM cv.ended_session WHERE account = %s", [person.id]
        ).fetchone()
    assert kept == [1, 2, 3, 0]
    assert owner.execute(epoch, [person.id]).fetchone() == (1,)
