"""Authentication: one authenticator for every protected route, tried with every kind of credential."""

import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import psycopg
import pytest

from tests.app.api_process import SECRETS, ApiProcess
from tests.app.conftest import AddKey, OpenAccount, Person, Run

PROTECTED = [
    ("POST", "/v1/tts"),
    ("DELETE", "/v1/jobs/7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16"),
    ("GET", "/api/auth/me"),
    ("POST", "/api/auth/logout"),
]
SECRET = bytes.fromhex(SECRETS["CODEVOICE_JWT_SECRET"])
HELLO = {"text": "hello", "voice": "ryan"}


def me(api: ApiProcess, **headers: str) -> tuple[int, str]:
    """Status, and the error's code or the account's id."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = api.call("GET", "/api/auth/me", headers=named)
    found = answer.json()
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return answer.status_code, found["user"]["id"] if "user" in found else found["detail"]["error"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_credential_nothing_protected_is_done(api: ApiProcess, method: str, path: str) -> None:
    answer = api.call(method, path)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "missing_api_key")
    assert answer.json()["detail"]["user_type"] is None


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_with_a_wrong_credential_nothing_protected_is_done(api: ApiProcess, method: str, path: str) -> None:
    answer = api.call(method, path, "cv_live_nonsense", content=b"{")

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("header", ["X_API_Key", "x_api_key", "xi_api_key", "XI_API_KEY"])
def test_a_key_is_taken_from_its_headers(api: ApiProcess, person: Person, header: str) -> None:
    assert me(api, **{header: person.key}) == (200, person.id)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_or_a_token_is_taken_from_authorization(api: ApiProcess, person: Person, scheme: str) -> None:
    assert me(api, Authorization=f"{scheme} {person.key}") == (200, person.id)
    assert me(api, Authorization=f"{scheme} {person.token}") == (200, person.id)


def test_the_first_header_wins(api: ApiProcess, person: Person) -> None:
    assert me(api, X_API_Key="wrong", xi_api_key=person.key) == (401, "invalid_api_key")
    assert me(api, X_API_Key=person.key, Authorization="Bearer wrong") == (200, person.id)
    assert me(api, xi_api_key=person.key, Authorization="Bearer wrong") == (200, person.id)


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer", ""])
def test_an_authorization_header_without_a_credential_counts_as_none(api: ApiProcess, value: str) -> None:
    assert me(api, Authorization=value) == (401, "missing_api_key")


def test_a_mistyped_key_is_refused(api: ApiProcess, person: Person) -> None:
    other = "a" if person.key[20] != "a" else "b"

    assert me(api, X_API_Key=person.key[:20] + other + person.key[21:]) == (401, "invalid_api_key")
    assert me(api, X_API_Key=person.key[:-1]) == (401, "invalid_api_key")
    assert me(api, X_API_Key=person.token) == (401, "invalid_api_key")
    latin = api.client.get("/api/auth/me", headers={b"Authorization": b"Bearer cv_live_\xe9"})
    assert latin.json()["detail"]["error"] == "invalid_api_key"


def test_expired_and_revoked_keys_are_refused(api: ApiProcess, person: Person, add_key: AddKey) -> None:
    past, future = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    assert me(api, X_API_Key=add_key(person.id, expires_at=past)) == (401, "expired_api_key")
    assert me(api, X_API_Key=add_key(person.id, revoked_at=past)) == (401, "revoked_api_key")
    assert me(api, X_API_Key=add_key(person.id, expires_at=future)) == (200, person.id)


def test_a_revoked_key_works_a_second_longer_at_most(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    before = me(api, X_API_Key=person.key)
    owner.execute("UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id])
    time.sleep(1.1)

    assert before == (200, person.id)
    assert me(api, X_API_Key=person.key) == (401, "revoked_api_key")


def test_a_suspended_account_is_refused(
    api: ApiProcess, owner: psycopg.Connection[Any], person: Person
) -> None:
    owner.execute("UPDATE cv.account SET suspended = true WHERE id = %s", [person.id])

    assert me(api, X_API_Key=person.key) == (403, "account_suspended")
    assert me(api, Authorization=f"Bearer {person.token}") == (403, "account_suspended")


def test_a_key_is_limited_to_its_scopes(api: ApiProcess, person: Person, add_key: AddKey) -> None:
    speaker = add_key(person.id, scopes=["speech"])
    reader = add_key(person.id, scopes=["account"])

    assert api.call("POST", "/v1/tts", speaker, json=HELLO).status_code == 200
    assert me(api, X_API_Key=reader) == (200, person.id)
    assert me(api, X_API_Key=speaker) == (403, "missing_scope")
    assert api.call("POST", "/v1/tts", reader, json=HELLO).json()["detail"]["scope"] == "speech"
    in_body = api.call("POST", "/v1/tts", json={**HELLO, "api_key": reader})
    assert in_body.json()["detail"]["error"] == "missing_scope"


def test_the_body_may_carry_the_key(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/v1/tts", json={**HELLO, "api_key": person.key})

    assert answer.json()["message"] == "Free credit used. 59 remaining."


def test_a_header_wins_over_the_body(api: ApiProcess, person: Person) -> None:
    good = api.call("POST", "/v1/tts", person.key, json={**HELLO, "api_key": "wrong"})
    bad = api.call("POST", "/v1/tts", "wrong", json={**HELLO, "api_key": person.key})

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
def test_a_body_is_not_validated_without_a_valid_key(api: ApiProcess, body: bytes, error: str) -> None:
    answer = api.call("POST", "/v1/tts", content=body)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, error)


def test_a_body_with_a_valid_key_in_it_is_validated(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/v1/tts", json={"text": 5, "voice": "ryan", "api_key": person.key})

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


def bearer(api: ApiProcess, token: str) -> tuple[int, str]:
    return me(api, Authorization=f"Bearer {token}")


def test_a_well_formed_token_is_accepted(api: ApiProcess, person: Person) -> None:
    assert bearer(api, forged(person)) == (200, person.id)


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
def test_a_token_made_wrong_is_refused(api: ApiProcess, person: Person, claims: dict[str, object]) -> None:
    assert bearer(api, forged(person, **claims)) == (401, "invalid_token")


def test_a_token_signed_otherwise_is_refused(api: ApiProcess, person: Person) -> None:
    assert bearer(api, forged(person, secrets.token_bytes(32))) == (401, "invalid_token")
    assert bearer(api, forged(person, secrets.token_bytes(64), "HS512")) == (401, "invalid_token")
    assert bearer(api, forged(person, None, "none")) == (401, "invalid_token")
    assert bearer(api, person.refresh_token) == (401, "invalid_token")
    assert bearer(api, person.token[:-2]) == (401, "invalid_token")
    assert bearer(api, "a.b.c") == (401, "invalid_token")


def test_an_expired_token_is_reported_as_expired(api_with: Run, api: ApiProcess, person: Person) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)

    assert bearer(api, forged(person, exp=past)) == (401, "expired_token")


def test_one_accounts_key_never_shows_another_account(
    api: ApiProcess, person: Person, open_account: OpenAccount
) -> None:
    assert me(api, X_API_Key=open_account("api_only"))[1] != person.id
