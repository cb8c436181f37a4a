"""Sign up, log in, renew, log out, look at oneself: rows 9 to 11."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from argon2 import PasswordHasher

from app.domain.identity.tokens import Claims, Tokens
from tests.app.conftest import PASSWORD, OpenAccount, Person, Run, Say, SignUp, key_ring
from tests.app.front import SECRETS, Front
from tests.clock import unhurried


def register(front: Front, **body: object) -> httpx.Response:
    return front.call("POST", "/api/auth/register", json=body)


def login(front: Front, email: str, password: str = PASSWORD) -> httpx.Response:
    return front.call("POST", "/api/auth/login", json={"email": email, "password": password})


def as_bearer(front: Front, method: str, path: str, token: str) -> httpx.Response:
    return front.call(method, path, headers={"Authorization": f"Bearer {token}"})


def test_signing_up_opens_an_account_with_key_and_credits(front: Front) -> None:
    answer = register(front, email=" New@Example.ORG ", password=PASSWORD, name="Newcomer")

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
    shown = front.call("GET", "/api/auth/me", found["api_key"]).json()
    assert shown["user"] == found["user"]
    assert shown["credits"] == {
        "free": {"limit": 60, "remaining": 60, "resets_at": shown["credits"]["free"]["resets_at"]},
        "paid": {"remaining": 0},
        "held": 0,
        "total_remaining": 60,
    }


def test_held_credits_are_shown(front: Front, person: Person, say: Say) -> None:
    say(person.key)

    credits = front.call("GET", "/api/auth/me", person.key).json()["credits"]

    assert (credits["free"]["remaining"], credits["held"], credits["total_remaining"]) == (59, 1, 59)


def test_an_api_only_account_sees_its_own_kind_of_credits(front: Front, open_account: OpenAccount) -> None:
    limited = front.call("GET", "/api/auth/me", open_account("api_only", monthly=2_500_000)).json()
    unlimited = front.call("GET", "/api/auth/me", open_account("api_only", unlimited=True)).json()

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
def test_what_cannot_be_an_account_is_named(front: Front, body: dict[str, object], field: str) -> None:
    answer = register(front, **body)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


def test_an_email_has_one_account_however_many_ask_at_once(
    front: Front, owner: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: register(front, email="race@example.org", password=PASSWORD), range(8))
        )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    taken = next(answer for answer in answers if answer.status_code == 409).json()["detail"]
    assert (taken["error"], taken["field"]) == ("email_taken", "email")
    wallets = owner.execute(
        "SELECT count(*) FROM cv.account JOIN cv.wallet ON owner = id WHERE email = 'race@example.org'"
    ).fetchone()
    assert wallets == (1,)


def test_sign_up_may_be_closed(front_with: Run) -> None:
    answer = register(front_with(CODEVOICE_REGISTRATION="closed"), email="a@b.org", password=PASSWORD)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "registration_closed")


def test_logging_in_shows_the_same_key_again(front: Front, person: Person) -> None:
    answer = login(front, person.email.upper())

    assert answer.status_code == 200
    assert answer.json()["api_key"] == person.key
    assert as_bearer(front, "GET", "/api/auth/me", answer.json()["token"]).status_code == 200


def test_the_first_key_that_still_works_is_shown(
    front: Front, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id])

    assert login(front, person.email).json()["api_key"] is None


def test_an_operator_may_show_keys_once_only(front_with: Run, owner: psycopg.Connection[Any]) -> None:
    front = front_with(CODEVOICE_REVEAL="once")
    first = register(front, email="once@example.org", password=PASSWORD).json()

    again = login(front, "once@example.org").json()

    assert front.call("GET", "/api/auth/me", first["api_key"]).status_code == 200
    assert again["api_key"] is None
    kept = owner.execute("SELECT sealed FROM cv.api_key WHERE account = %s", [first["user"]["id"]]).fetchone()
    assert kept == (None,)


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(front: Front, person: Person) -> None:
    answers = [
        login(front, person.email, "wrong horse"),
        login(front, "nobody@example.org"),
        login(front, "no e-mail \0 at all"),
        login(front, person.email, ""),
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    assert answers[0].json()["detail"]["error"] == "invalid_credentials"


def test_an_account_without_a_password_has_no_log_in(front: Front, owner: psycopg.Connection[Any]) -> None:
    owner.execute("INSERT INTO cv.account (kind, email) VALUES ('api_only', 'program@example.org')")

    assert login(front, "program@example.org", "").status_code == 401


def test_a_suspended_person_learns_so_with_the_right_password_only(
    front: Front, person: Person, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert login(front, person.email).json()["detail"]["error"] == "account_suspended"
    assert login(front, person.email, "wrong").json()["detail"]["error"] == "invalid_credentials"
    refreshed = front.call("POST", "/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refreshed.status_code == 403


def test_an_old_hash_is_renewed_at_log_in(
    front: Front, person: Person, owner: psycopg.Connection[Any]
) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    owner.execute("UPDATE cv.account SET password_hash = %s WHERE id = %s", [old, person.id])

    logged_in = login(front, person.email)

    kept = owner.execute("SELECT password_hash FROM cv.account WHERE id = %s", [person.id]).fetchone()
    assert logged_in.status_code == 200
    assert kept
    assert kept[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert login(front, person.email).status_code == 200


def test_a_refresh_token_gets_fresh_tokens(front: Front, person: Person) -> None:
    answer = front.call("POST", "/api/auth/refresh", json={"refresh_token": person.refresh_token})

    found = answer.json()
    assert answer.status_code == 200
    assert (found["api_key"], found["user"]["id"]) == (None, person.id)
    assert as_bearer(front, "GET", "/api/auth/me", found["token"]).status_code == 200


@pytest.mark.parametrize("token", ["", "a.b.c", "token"])
def test_nothing_else_refreshes(front: Front, person: Person, token: str) -> None:
    token = person.token if token == "token" else token
    answer = front.call("POST", "/api/auth/refresh", json={"refresh_token": token})

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_token")


def test_logging_out_ends_this_log_in_and_all_that_came_of_it(front: Front, person: Person) -> None:
    def refresh(token: str) -> httpx.Response:
        return front.call("POST", "/api/auth/refresh", json={"refresh_token": token})

    def me(token: str) -> int:
        return as_bearer(front, "GET", "/api/auth/me", token).status_code

    other = login(front, person.email).json()
    renewed = refresh(person.refresh_token).json()
    again = refresh(renewed["refresh_token"]).json()

    assert as_bearer(front, "POST", "/api/auth/logout", renewed["token"]).status_code == 204
    assert [me(token) for token in (person.token, renewed["token"], again["token"])] == [401] * 3
    assert [refresh(token).status_code for token in (person.refresh_token, again["refresh_token"])] == [
        401
    ] * 2
    assert (me(other["token"]), refresh(other["refresh_token"]).status_code) == (200, 200)
    assert front.call("GET", "/api/auth/me", person.key).status_code == 200


def test_logging_out_everywhere_ends_every_log_in_but_no_key(front: Front, person: Person) -> None:
    other = login(front, person.email).json()

    assert as_bearer(front, "POST", "/api/auth/logout/everywhere", other["token"]).status_code == 204
    for token in (person.token, other["token"]):
        assert as_bearer(front, "GET", "/api/auth/me", token).status_code == 401
    for token in (person.refresh_token, other["refresh_token"]):
        refused = front.call("POST", "/api/auth/refresh", json={"refresh_token": token})
        assert refused.status_code == 401
    assert front.call("GET", "/api/auth/me", person.key).status_code == 200


def test_a_log_out_is_heard_of_by_every_front_door_within_a_second(
    front: Front, front_with: Run, person: Person
) -> None:
    elsewhere = front_with(CODEVOICE_TOKEN_S="3601")
    other = login(front, person.email).json()["token"]
    assert as_bearer(elsewhere, "GET", "/api/auth/me", person.token).status_code == 200

    as_bearer(front, "POST", "/api/auth/logout", person.token)

    deadline = time.monotonic() + unhurried(2)
    while as_bearer(elsewhere, "GET", "/api/auth/me", person.token).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert as_bearer(elsewhere, "GET", "/api/auth/me", other).status_code == 200


def test_a_key_has_no_log_in_to_end(front: Front, person: Person) -> None:
    refused = front.call("POST", "/api/auth/logout", person.key)

    assert (refused.status_code, refused.json()["detail"]["error"]) == (400, "bad_request")
    assert "/api/auth/logout/everywhere" in refused.json()["detail"]["message"]
    assert as_bearer(front, "GET", "/api/auth/me", person.token).status_code == 200


def test_a_token_of_before_names_no_log_in_and_ends_all(front: Front, person: Person) -> None:
    tokens = Tokens(
        bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"]), token_s=60, refresh_token_s=60, session_s=60
    )
    old = Claims(uuid.UUID(person.id), 0)
    refreshed = front.call("POST", "/api/auth/refresh", json={"refresh_token": tokens.issue_refresh(old)})

    assert refreshed.status_code == 200
    assert as_bearer(front, "POST", "/api/auth/logout", refreshed.json()["token"]).status_code == 204
    assert as_bearer(front, "GET", "/api/auth/me", person.token).status_code == 401


def test_an_account_keeps_so_many_ended_log_ins_and_no_more(
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


def test_a_token_ends_by_itself(front_with: Run, person: Person) -> None:
    front = front_with(CODEVOICE_TOKEN_S="1")
    token = login(front, person.email).json()["token"]
    time.sleep(2.1)

    answer = as_bearer(front, "GET", "/api/auth/me", token)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "expired_token")


def test_a_token_says_no_more_than_it_must(person: Person) -> None:
    secret = bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"])
    claims = jwt.decode(person.token, secret, ["HS256"], audience="codevoice-api")

    assert set(claims) == {"iss", "aud", "sub", "ver", "sid", "iat", "exp"}


def test_a_flood_of_log_ins_is_refused_not_queued(front_with: Run, person: Person) -> None:
    front = front_with(CODEVOICE_PASSWORD_THREADS="1", CODEVOICE_PASSWORD_WAITING_MAX="0")

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: login(front, person.email), range(24)))

    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert refused[0].headers["Retry-After"] == "1"


def test_neither_key_nor_password_is_in_database_or_log(
    front: Front, person: Person, owner: psycopg.Connection[Any]
) -> None:
    front.call("GET", "/v1/voices?api_key=" + person.key)
    row = owner.execute("SELECT k::text || a::text FROM cv.api_key k JOIN cv.account a ON a.id = k.account"
                        " WHERE a.id = %s", [person.id]).fetchone()  # fmt: skip
    log = front.log.read_text()

    assert row
    assert person.key.encode().hex() not in row[0]
    for secret in (person.key, PASSWORD, person.token):
        assert secret not in row[0]
        assert secret not in log


def test_a_sealed_key_opens_in_its_own_row_only(person: Person, owner: psycopg.Connection[Any]) -> None:
    row = owner.execute("SELECT id, sealed FROM cv.api_key WHERE account = %s", [person.id]).fetchone()

    assert row
    assert key_ring().unseal(row[1], row[0]) == person.key


def test_every_sign_up_has_another_key(sign_up: SignUp) -> None:
    assert sign_up().key != sign_up().key
