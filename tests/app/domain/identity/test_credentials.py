"""Who may call what: one authenticator for every protected route, tried with every kind of credential."""

import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import psycopg
import pytest

from tests.app.conftest import AddKey, OpenAccount, Person, Run
from tests.app.front import SECRETS, Front

PROTECTED = [
    ("POST", "/v1/tts"),
    ("DELETE", "/v1/jobs/7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16"),
    ("GET", "/api/auth/me"),
    ("POST", "/api/auth/logout"),
]
SECRET = bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"])
HELLO = {"text": "hello", "voice": "ryan"}


def me(front: Front, **headers: str) -> tuple[int, str]:
    """Status, and the error's code or the account's id."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = front.call("GET", "/api/auth/me", headers=named)
    found = answer.json()
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return answer.status_code, found["user"]["id"] if "user" in found else found["detail"]["error"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_credential_nothing_protected_is_done(front: Front, method: str, path: str) -> None:
    answer = front.call(method, path)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "missing_api_key")
    assert answer.json()["detail"]["user_type"] is None


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_with_a_wrong_credential_nothing_protected_is_done(front: Front, method: str, path: str) -> None:
    answer = front.call(method, path, "cv_live_nonsense", content=b"{")

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("header", ["X_API_Key", "x_api_key", "xi_api_key", "XI_API_KEY"])
def test_a_key_is_taken_from_its_headers(front: Front, person: Person, header: str) -> None:
    assert me(front, **{header: person.key}) == (200, person.id)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_or_a_token_is_taken_from_authorization(front: Front, person: Person, scheme: str) -> None:
    assert me(front, Authorization=f"{scheme} {person.key}") == (200, person.id)
    assert me(front, Authorization=f"{scheme} {person.token}") == (200, person.id)


def test_the_first_header_wins(front: Front, person: Person) -> None:
    assert me(front, X_API_Key="wrong", xi_api_key=person.key) == (401, "invalid_api_key")
    assert me(front, X_API_Key=person.key, Authorization="Bearer wrong") == (200, person.id)
    assert me(front, xi_api_key=person.key, Authorization="Bearer wrong") == (200, person.id)


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer", ""])
def test_what_is_no_credential_is_none(front: Front, value: str) -> None:
    assert me(front, Authorization=value) == (401, "missing_api_key")


def test_a_key_mistyped_is_refused(front: Front, person: Person) -> None:
    other = "a" if person.key[20] != "a" else "b"

    assert me(front, X_API_Key=person.key[:20] + other + person.key[21:]) == (401, "invalid_api_key")
    assert me(front, X_API_Key=person.key[:-1]) == (401, "invalid_api_key")
    assert me(front, X_API_Key=person.token) == (401, "invalid_api_key")
    latin = front.client.get("/api/auth/me", headers={b"Authorization": b"Bearer cv_live_\xe9"})
    assert latin.json()["detail"]["error"] == "invalid_api_key"


def test_keys_end(front: Front, person: Person, add_key: AddKey) -> None:
    past, future = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    assert me(front, X_API_Key=add_key(person.id, expires_at=past)) == (401, "expired_api_key")
    assert me(front, X_API_Key=add_key(person.id, revoked_at=past)) == (401, "revoked_api_key")
    assert me(front, X_API_Key=add_key(person.id, expires_at=future)) == (200, person.id)


def test_a_revoked_key_works_a_second_longer_at_most(
    front: Front, person: Person, owner: psycopg.Connection[Any]
) -> None:
    before = me(front, X_API_Key=person.key)
    owner.execute("UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id])
    time.sleep(1.1)

    assert before == (200, person.id)
    assert me(front, X_API_Key=person.key) == (401, "revoked_api_key")


def test_a_suspended_account_is_refused(front: Front, owner: psycopg.Connection[Any], person: Person) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert me(front, X_API_Key=person.key) == (403, "account_suspended")
    assert me(front, Authorization=f"Bearer {person.token}") == (403, "account_suspended")


def test_a_key_may_do_what_its_scopes_say(front: Front, person: Person, add_key: AddKey) -> None:
    speaker = add_key(person.id, scopes=["speech"])
    reader = add_key(person.id, scopes=["account"])

    assert front.call("POST", "/v1/tts", speaker, json=HELLO).status_code == 200
    assert me(front, X_API_Key=reader) == (200, person.id)
    assert me(front, X_API_Key=speaker) == (403, "missing_scope")
    assert front.call("POST", "/v1/tts", reader, json=HELLO).json()["detail"]["scope"] == "speech"
    in_body = front.call("POST", "/v1/tts", json={**HELLO, "api_key": reader})
    assert in_body.json()["detail"]["error"] == "missing_scope"


def test_the_body_may_carry_the_key(front: Front, person: Person) -> None:
    answer = front.call("POST", "/v1/tts", json={**HELLO, "api_key": person.key})

    assert answer.json()["message"] == "Free credit used. 59 remaining."


def test_a_header_wins_over_the_body(front: Front, person: Person) -> None:
    good = front.call("POST", "/v1/tts", person.key, json={**HELLO, "api_key": "wrong"})
    bad = front.call("POST", "/v1/tts", "wrong", json={**HELLO, "api_key": person.key})

    assert (good.status_code, bad.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing_api_key"),
        (b"{", "missing_api_key"),
        (b"[]", "missing_api_key"),
        (b'{"voice": 5}', "missing_api_key"),
        (b'{"api_key": ""}', "missing_api_key"),
        (b'{"api_key": 5}', "missing_api_key"),
        (b'{"api_key": "x"}', "invalid_api_key"),
        (b'{"api_key": "cv_live_x", "text": 5}', "invalid_api_key"),
    ],
)
def test_without_a_good_key_a_body_is_not_judged(front: Front, body: bytes, error: str) -> None:
    answer = front.call("POST", "/v1/tts", content=body)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, error)


def test_with_a_good_key_in_it_a_body_is_judged(front: Front, person: Person) -> None:
    answer = front.call("POST", "/v1/tts", json={"text": 5, "voice": "ryan", "api_key": person.key})

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, "text")
    assert answer.json()["detail"]["user_type"] == "registered"


def forged(person: Person, secret: bytes | None = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    now = datetime.now(UTC)
    payload: dict[str, object] = {
        "iss": "codevoice",
        "aud": "codevoice-api",
        "sub": person.id,
        "ver": 0,
        "iat": now,
        "exp": now + timedelta(hours=1),
        **claims,
    }
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)  # type: ignore[arg-type]


def bearer(front: Front, token: str) -> tuple[int, str]:
    return me(front, Authorization=f"Bearer {token}")


def test_a_token_made_right_is_good(front: Front, person: Person) -> None:
    assert bearer(front, forged(person)) == (200, person.id)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other"},
        {"aud": "codevoice-refresh"},
        {"aud": ["codevoice-api"]},
        {"ver": 1},
        {"ver": "0"},
        {"ver": False},
        {"sub": str(uuid.uuid4())},
        {"sub": "nobody"},
        {"iss": None},
        {"aud": None},
        {"sub": None},
        {"ver": None},
        {"iat": None},
        {"exp": None},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    ],
)
def test_a_token_made_wrong_is_refused(front: Front, person: Person, claims: dict[str, object]) -> None:
    assert bearer(front, forged(person, **claims)) == (401, "invalid_token")


def test_a_token_signed_otherwise_is_refused(front: Front, person: Person) -> None:
    assert bearer(front, forged(person, secrets.token_bytes(32))) == (401, "invalid_token")
    assert bearer(front, forged(person, secrets.token_bytes(64), "HS512")) == (401, "invalid_token")
    assert bearer(front, forged(person, None, "none")) == (401, "invalid_token")
    assert bearer(front, person.refresh_token) == (401, "invalid_token")
    assert bearer(front, person.token[:-2]) == (401, "invalid_token")
    assert bearer(front, "a.b.c") == (401, "invalid_token")


def test_a_token_past_its_end_says_so(front_with: Run, front: Front, person: Person) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)

    assert bearer(front, forged(person, exp=past)) == (401, "expired_token")


def test_one_accounts_key_never_shows_another_account(
    front: Front, person: Person, open_account: OpenAccount
) -> None:
    assert me(front, X_API_Key=open_account("api_only"))[1] != person.id
