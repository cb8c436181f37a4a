"""`/api/auth`: registration, login, refresh, logout and `GET /api/auth/me`."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from argon2 import PasswordHasher

from tests.app.api_process import SECRETS, ApiProcess
from tests.app.conftest import PASSWORD, OpenAccount, Person, Run, Say, SignUp, key_ring


def register(api: ApiProcess, **body: object) -> httpx.Response:
    return api.call("POST", "/api/auth/register", json=body)


def login(api: ApiProcess, email: str, password: str = PASSWORD) -> httpx.Response:
    return api.call("POST", "/api/auth/login", json={"email": email, "password": password})


def as_bearer(api: ApiProcess, method: str, path: str, token: str) -> httpx.Response:
    return api.call(method, path, headers={"Authorization": f"Bearer {token}"})


def test_signing_up_opens_an_account_with_key_and_credits(api: ApiProcess) -> None:
    answer = register(api, email=" New@Example.ORG ", password=PASSWORD, name="Newcomer")

    found = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert found == {
        "token": found["token"],
        "token_type": "bearer",
        "expires_in": 3600,
        "refresh_token": found["refresh_token"],
        "api_key": found["api_key"],
        "user": {
            "id": found["user"]["id"],
            "email": "new@example.org",
            "name": "Newcomer",
            "user_type": "registered",
            "tier": 1,
            "plan": "free",
            "created_at": found["user"]["created_at"],
        },
    }
    assert found["api_key"].startswith("cv_live_")
    me = api.call("GET", "/api/auth/me", found["api_key"]).json()
    assert me["user"] == found["user"]
    assert me["credits"] == {
        "free": {"limit": 60, "remaining": 60, "resets_at": me["credits"]["free"]["resets_at"]},
        "paid": {"remaining": 0},
        "held": 0,
        "total_remaining": 60,
    }


def test_the_balance_includes_held_credits(api: ApiProcess, person: Person, say: Say) -> None:
    say(person.key)

    credits = api.call("GET", "/api/auth/me", person.key).json()["credits"]

    assert (credits["free"]["remaining"], credits["held"], credits["total_remaining"]) == (59, 1, 59)


def test_an_api_only_account_sees_its_own_kind_of_credits(api: ApiProcess, open_account: OpenAccount) -> None:
    limited = api.call("GET", "/api/auth/me", open_account("api_only", monthly=2_500_000)).json()
    unlimited = api.call("GET", "/api/auth/me", open_account("api_only", unlimited=True)).json()

    assert limited["user"]["email"] is None
    assert limited["credits"]["api"] == {"limit": 2.5, "remaining": 2.5, "extra": 0, "unlimited": False}
    assert (limited["credits"]["free"]["limit"], limited["credits"]["total_remaining"]) == (0, 2.5)
    assert unlimited["credits"]["api"]["unlimited"]
    assert unlimited["credits"]["total_remaining"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "a@example.org"}, "password"),
        ({"email": "a@example.org", "password": "seven77"}, "password"),
        ({"email": "a@example.org", "password": "x" * 1025}, "password"),
        ({"email": "a@example.org", "password": PASSWORD, "name": "x" * 201}, "name"),
        *[
            ({"email": "a@example.org", "password": PASSWORD, "name": name}, "name")
            for name in ("a\0", "a\nb", "a\tb", "\x85", "a\u2028b", "\x1b[2J")
        ],
        ({"email": "a@example.org", "password": 12345678}, "password"),
        *[
            ({"email": email, "password": PASSWORD}, "email")
            for email in (
                "",
                "a",
                "@",
                "a@",
                "@b",
                "a b@example.org",
                "a@b@c.org",
                "a@example..org",
                "é@example.org",
                "a\0@example.org",
                "a@-x.org",
                "a@x-.org",
                "a@127.0.0.1",
                "a%example.org@example.org",
                "-a@example.org",
                "a" * 65 + "@example.org",
                "a@" + "b" * 253,
            )
        ],
    ],
)
def test_an_invalid_registration_names_the_field(
    api: ApiProcess, body: dict[str, object], field: str
) -> None:
    answer = register(api, **body)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


def test_concurrent_sign_ups_with_one_email_open_one_account(
    api: ApiProcess, owner: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: register(api, email="race@example.org", password=PASSWORD), range(8))
        )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    taken = next(answer for answer in answers if answer.status_code == 409).json()["detail"]
    assert (taken["error"], taken["field"]) == ("email_taken", "email")
    wallets = owner.execute(
        "SELECT count(*) FROM cv.account JOIN cv.wallet ON owner = id WHERE email = 'race@example.org'"
    ).fetchone()
    assert wallets == (1,)


def test_registration_can_be_closed(api_with: Run) -> None:
    answer = register(api_with(CODEVOICE_REGISTRATION="closed"), email="a@b.org", password=PASSWORD)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "registration_closed")


def test_login_returns_the_same_key_again(api: ApiProcess, person: Person) -> None:
    answer = login(api, person.email.upper())

    assert answer.status_code == 200
    assert answer.json()["api_key"] == person.key
    assert as_bearer(api, "GET", "/api/auth/me", answer.json()["token"]).status_code == 200


def test_login_returns_the_first_key_that_still_works(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id])

    assert login(api, person.email).json()["api_key"] is None


def test_login_returns_no_key_where_keys_are_shown_once(
    api_with: Run, owner: psycopg.Connection[Any]
) -> None:
    api = api_with(CODEVOICE_REVEAL="once")
    first = register(api, email="once@example.org", password=PASSWORD).json()

    again = login(api, "once@example.org").json()

    assert api.call("GET", "/api/auth/me", first["api_key"]).status_code == 200
    assert again["api_key"] is None
    kept = owner.execute("SELECT sealed FROM cv.api_key WHERE account = %s", [first["user"]["id"]]).fetchone()
    assert kept == (None,)


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(api: ApiProcess, person: Person) -> None:
    answers = [
        login(api, person.email, "wrong horse"),
        login(api, "nobody@example.org"),
        login(api, "no e-mail \0 at all"),
        login(api, person.email, ""),
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    assert answers[0].json()["detail"]["error"] == "invalid_credentials"


def test_an_account_without_a_password_cannot_log_in(api: ApiProcess, owner: psycopg.Connection[Any]) -> None:
    owner.execute("INSERT INTO cv.account (kind, email) VALUES ('api_only', 'program@example.org')")

    assert login(api, "program@example.org", "").status_code == 401


def test_suspension_is_reported_only_with_the_right_password(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert login(api, person.email).json()["detail"]["error"] == "account_suspended"
    assert login(api, person.email, "wrong").json()["detail"]["error"] == "invalid_credentials"
    refreshed = api.call("POST", "/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refreshed.status_code == 403


def test_an_outdated_hash_is_renewed_at_login(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    owner.execute("UPDATE cv.account SET password_hash = %s WHERE id = %s", [old, person.id])

    logged_in = login(api, person.email)

    kept = owner.execute("SELECT password_hash FROM cv.account WHERE id = %s", [person.id]).fetchone()
    assert logged_in.status_code == 200
    assert kept
    assert kept[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert login(api, person.email).status_code == 200


def test_a_refresh_token_returns_new_tokens(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/api/auth/refresh", json={"refresh_token": person.refresh_token})

    found = answer.json()
    assert answer.status_code == 200
    assert (found["api_key"], found["user"]["id"]) == (None, person.id)
    assert as_bearer(api, "GET", "/api/auth/me", found["token"]).status_code == 200


@pytest.mark.parametrize("token", ["", "a.b.c", "token"])
def test_only_a_refresh_token_refreshes(api: ApiProcess, person: Person, token: str) -> None:
    token = person.token if token == "token" else token
    answer = api.call("POST", "/api/auth/refresh", json={"refresh_token": token})

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_token")


def test_a_token_expires(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_TOKEN_S="1")
    token = login(api, person.email).json()["token"]
    time.sleep(2.1)

    answer = as_bearer(api, "GET", "/api/auth/me", token)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "expired_token")


def test_a_token_carries_no_more_than_it_must(person: Person) -> None:
    secret = bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"])
    claims = jwt.decode(person.token, secret, ["HS256"], audience="codevoice-api")

    assert set(claims) == {"iss", "aud", "sub", "ver", "sid", "iat", "exp"}


def test_a_flood_of_log_ins_is_refused_not_queued(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_PASSWORD_THREADS="1", CODEVOICE_PASSWORD_WAITING_MAX="0")

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: login(api, person.email), range(24)))

    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert refused[0].headers["Retry-After"] == "1"


def test_neither_key_nor_password_is_in_database_or_log(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    api.call("GET", "/v1/voices?api_key=" + person.key)
    row = owner.execute("SELECT k::text || a::text FROM cv.api_key k JOIN cv.account a ON a.id = k.account"
                        " WHERE a.id = %s", [person.id]).fetchone()  # fmt: skip
    log = api.log.read_text()

    assert row
    assert person.key.encode().hex() not in row[0]
    for secret in (person.key, PASSWORD, person.token):
        assert secret not in row[0]
        assert secret not in log


def test_a_sealed_key_opens_in_its_own_row_only(person: Person, owner: psycopg.Connection[Any]) -> None:
    row = owner.execute("SELECT id, sealed FROM cv.api_key WHERE account = %s", [person.id]).fetchone()

    assert row
    assert key_ring().unseal(row[1], row[0]) == person.key


def test_every_sign_up_gets_its_own_key(sign_up: SignUp) -> None:
    assert sign_up().key != sign_up().key
