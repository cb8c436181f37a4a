"""`/api/keys`: keys are created, shown, rotated and revoked, and never exceed their creator's rights."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, AddKey, Person, Run


def create(api: ApiProcess, key: str, **body: object) -> httpx.Response:
    return api.call("POST", "/api/keys", key, json={"name": "ci", "scopes": ["speech"], **body})


def listed(api: ApiProcess, key: str) -> list[dict[str, Any]]:
    return api.call("GET", "/api/keys", key).json()["keys"]


def rotate(api: ApiProcess, key: str, key_id: str, **body: object) -> httpx.Response:
    return api.call("POST", f"/api/keys/{key_id}/rotate", key, json=body)


def works(api: ApiProcess, key: str) -> object:
    answer = api.call("DELETE", f"/v1/jobs/{uuid.uuid4()}", key)
    return True if answer.status_code == 404 else answer.json()["detail"]["error"]


def test_a_created_key_works_and_is_shown_once(api: ApiProcess, person: Person) -> None:
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    answer = create(api, person.key, name=" ci ", scopes=["usage", "speech", "speech"], expires_at=expires)

    made = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert made == {
        "id": made["id"],
        "name": "ci",
        "prefix": made["key"][:12],
        "scopes": ["speech", "usage"],
        "personal": False,
        "created_at": made["created_at"],
        "last_used_at": None,
        "expires_at": made["expires_at"],
        "revoked_at": None,
        "key": made["key"],
    }
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(expires)
    assert works(api, made["key"]) is True


def test_the_list_starts_with_the_personal_key_and_contains_no_secret(
    api: ApiProcess, person: Person
) -> None:
    create(api, person.key)

    answer = api.call("GET", "/api/keys", person.key)

    keys = answer.json()["keys"]
    assert [(key["name"], key["personal"]) for key in keys] == [("personal", True), ("ci", False)]
    assert keys[0]["prefix"] == person.key[:12]
    assert "key" not in keys[0]
    assert person.key not in answer.text


def test_a_key_is_revealed_on_request(api: ApiProcess, person: Person) -> None:
    personal = listed(api, person.key)[0]["id"]

    quiet = api.call("GET", f"/api/keys/{personal}", person.key).json()
    revealed = api.call("GET", f"/api/keys/{personal}?reveal=true", person.key).json()

    assert "key" not in quiet
    assert revealed == {**quiet, "key": person.key, "last_used_at": revealed["last_used_at"]}


def test_keys_are_not_revealed_where_they_are_shown_once(api_with: Run) -> None:
    api = api_with(CODEVOICE_REVEAL="once")
    body = {"email": f"{uuid.uuid4().hex}@example.org", "password": PASSWORD}
    key = api.call("POST", "/api/auth/register", json=body).json()["api_key"]
    made = create(api, key).json()

    assert api.call("GET", f"/api/keys/{made['id']}?reveal=true", key).json()["key"] is None
    assert works(api, made["key"]) is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": 5}, "name"),
        ({"scopes": ["fly"]}, "scopes"),
        ({"scopes": "speech"}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+12:00"}, "expires_at"),
    ],
)
def test_an_invalid_key_request_names_the_field(
    api: ApiProcess, person: Person, body: dict[str, object], field: str
) -> None:
    answer = create(api, person.key, **body)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, field)


def test_a_key_makes_and_handles_none_that_may_do_more(api: ApiProcess, person: Person) -> None:
    lease_renewer = create(api, person.key, scopes=["keys", "speech"]).json()["key"]
    personal = listed(api, person.key)[0]["id"]

    def refused(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["detail"]["error"]

    too_wide = (403, "scope_too_wide")
    assert create(api, lease_renewer, scopes=["speech"]).status_code == 201
    assert refused(create(api, lease_renewer, scopes=["speech", "account"])) == too_wide
    assert refused(create(api, lease_renewer, scopes=[])) == too_wide
    assert refused(rotate(api, lease_renewer, personal)) == too_wide
    assert refused(api.call("GET", f"/api/keys/{personal}?reveal=true", lease_renewer)) == too_wide
    assert refused(api.call("GET", f"/api/keys/{personal}", lease_renewer)) == too_wide
    assert refused(api.call("DELETE", f"/api/keys/{personal}", lease_renewer)) == too_wide
    assert [key["scopes"] for key in listed(api, lease_renewer)] == [["speech", "keys"], ["speech"]]
    within = listed(api, lease_renewer)[1]["id"]
    assert api.call("DELETE", f"/api/keys/{within}", lease_renewer).status_code == 204
    assert works(api, person.key)


def test_only_administrators_make_administrators_keys(
    api: ApiProcess, person: Person, owner: psycopg.Connection[Any]
) -> None:
    before = create(api, person.key, scopes=["admin"])
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [person.id])
    time.sleep(1.0)

    assert (before.status_code, before.json()["detail"]["error"]) == (403, "scope_too_wide")
    assert create(api, person.key, scopes=["admin"]).status_code == 201


def test_concurrent_key_creation_keeps_to_the_limit(api_with: Run, person: Person, add_key: AddKey) -> None:
    api = api_with(CODEVOICE_KEYS_MAX="4")
    past = datetime.now(UTC) - timedelta(hours=1)
    add_key(person.id, revoked_at=past)
    add_key(person.id, expires_at=past)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: create(api, person.key), range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
    refused = next(answer for answer in answers if answer.status_code == 409).json()["detail"]
    assert (refused["error"], refused["limit"]) == ("too_many_keys", 4)


def test_revoking_ends_a_key_at_once_and_is_idempotent(api: ApiProcess, person: Person) -> None:
    made = create(api, person.key).json()
    before = works(api, made["key"])

    codes = [api.call("DELETE", f"/api/keys/{made['id']}", person.key).status_code for _ in range(2)]

    assert (before, codes) == (True, [204, 204])
    assert works(api, made["key"]) == "revoked_api_key"
    assert listed(api, person.key)[-1]["revoked_at"] is not None


def test_rotating_gives_a_new_key_at_once_and_ends_the_old_one(api: ApiProcess, person: Person) -> None:
    old = listed(api, person.key)[0]["id"]

    answer = rotate(api, person.key, old)

    made = answer.json()
    assert (answer.status_code, made["name"], made["personal"]) == (201, "personal", True)
    assert works(api, person.key) == "revoked_api_key"
    assert works(api, made["key"]) is True
    body = {"email": person.email, "password": PASSWORD}
    assert api.call("POST", "/api/auth/login", json=body).json()["api_key"] == made["key"]
    again = rotate(api, made["key"], old)
    assert (again.status_code, again.json()["detail"]["error"]) == (409, "too_late")


def test_a_rotated_key_works_during_its_grace_period(api: ApiProcess, person: Person) -> None:
    old = create(api, person.key).json()

    made = rotate(api, person.key, old["id"], grace_s=2).json()

    assert (works(api, old["key"]), works(api, made["key"])) == (True, True)
    time.sleep(2.1)
    assert (works(api, old["key"]), works(api, made["key"])) == ("revoked_api_key", True)


def test_a_replaced_key_counts_among_the_accounts_keys_while_it_works(api_with: Run, person: Person) -> None:
    api = api_with(CODEVOICE_KEYS_MAX="3")
    made = [create(api, person.key).json() for _ in range(2)]

    refused = rotate(api, person.key, made[0]["id"], grace_s=60)
    still_works = works(api, made[0]["key"])
    replaced = rotate(api, person.key, made[0]["id"])

    assert (refused.status_code, refused.json()["detail"]["error"]) == (409, "too_many_keys")
    assert (still_works, replaced.status_code) == (True, 201)
    assert create(api, person.key).status_code == 409


@pytest.mark.parametrize("grace_s", [-1, 24 * 3600 + 1, "1", 0.5])
def test_the_grace_period_is_bounded(api: ApiProcess, person: Person, grace_s: object) -> None:
    answer = rotate(api, person.key, listed(api, person.key)[0]["id"], grace_s=grace_s)

    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, "grace_s")


def test_concurrent_rotations_make_one_successor(api: ApiProcess, person: Person) -> None:
    old = create(api, person.key).json()["id"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: rotate(api, person.key, old).status_code, range(8)))

    assert sorted(answers) == [201] + [409] * 7


@pytest.mark.parametrize("key_id", ["nothing", "7b1c9a52-6f0d-4c3e-9a41-2d8e5f7a0b16", "%00", "0" * 300])
def test_an_unknown_key_is_not_found(api: ApiProcess, person: Person, key_id: str) -> None:
    path = f"/api/keys/{key_id}"

    answers = [
        api.call(method, path + more, person.key)
        for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"))
    ]

    assert [answer.status_code for answer in answers] == [404] * 3


def test_the_last_use_is_recorded_in_the_background(api: ApiProcess, person: Person) -> None:
    made = create(api, person.key).json()
    for _ in range(3):
        works(api, made["key"])

    deadline = time.monotonic() + 15
    while (found := api.call("GET", f"/api/keys/{made['id']}", person.key).json())["last_used_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)

    assert found["last_used_at"] > made["created_at"]
