"""Changes of an account reach every API process within a second, although each caches principals for long."""

import asyncio
import time
import uuid
from collections.abc import Callable, Generator
from typing import Any

import psycopg
import pytest
from msgspec import Struct

from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from db.postgres.queries import query
from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, Person, Run
from tests.app.proxy import Wire
from tests.clock import unhurried

INVALIDATION_S_MAX = 1.0
LONG = "600"


@pytest.fixture
def two_apis(api_with: Run) -> tuple[ApiProcess, ApiProcess]:
    """Two processes that would cache principals for ten minutes."""
    return api_with(CODEVOICE_PRINCIPAL_CACHE_S=LONG), api_with(
        CODEVOICE_PRINCIPAL_CACHE_S=LONG, CODEVOICE_LOG_LEVEL="debug"
    )


@pytest.fixture
def wire(database_url: str) -> Generator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()


def ask(api: ApiProcess, credential: str) -> object:
    """A call that reads only the caller from the database: True, or the error's code."""
    headers = {"Authorization": f"Bearer {credential}"}
    answer = api.call("DELETE", "/v1/jobs/nothing", headers=headers)
    return True if answer.status_code == 404 else answer.json()["detail"]["error"]


def seconds_until(condition: Callable[[], bool], most: float = 30.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < most
        time.sleep(0.01)
    return time.monotonic() - began


def personal_key(api: ApiProcess, person: Person) -> str:
    return str(api.call("GET", "/api/keys", person.key).json()["keys"][0]["id"])


def test_a_key_revoked_in_one_process_is_refused_in_the_other(
    two_apis: tuple[ApiProcess, ApiProcess], person: Person
) -> None:
    here, there = two_apis
    before = [ask(api, person.key) for api in two_apis]

    here.call("DELETE", f"/api/keys/{personal_key(here, person)}", person.key)

    assert before == [True, True]
    assert ask(here, person.key) == "revoked_api_key"
    assert seconds_until(lambda: ask(there, person.key) == "revoked_api_key") <= unhurried(INVALIDATION_S_MAX)


def test_suspension_and_its_end_reach_every_process_within_a_second(
    two_apis: tuple[ApiProcess, ApiProcess], person: Person, owner: psycopg.Connection[Any]
) -> None:
    def set_suspended(suspended: bool) -> None:
        owner.execute("UPDATE cv.account SET suspended = %s WHERE id = %s", [suspended, person.id])

    def everywhere() -> set[object]:
        return {ask(api, credential) for api in two_apis for credential in (person.key, person.token)}

    before = everywhere()

    set_suspended(True)
    suspended_s = seconds_until(lambda: everywhere() == {"account_suspended"})
    set_suspended(False)
    restored_s = seconds_until(lambda: everywhere() == {True})

    assert before == {True}
    assert max(suspended_s, restored_s) <= unhurried(INVALIDATION_S_MAX)


def test_logging_out_in_one_process_ends_the_session_in_the_other_within_a_second(
    two_apis: tuple[ApiProcess, ApiProcess], person: Person
) -> None:
    here, there = two_apis
    body = {"email": person.email, "password": PASSWORD}
    other = here.call("POST", "/api/auth/login", json=body).json()["token"]
    before = ask(there, person.token)

    here.call("POST", "/api/auth/logout", headers={"Authorization": f"Bearer {person.token}"})

    assert before is True
    assert seconds_until(lambda: ask(there, person.token) == "invalid_token") <= unhurried(INVALIDATION_S_MAX)
    assert ask(there, other) is True


def test_logging_out_everywhere_ends_tokens_in_the_other_process_where_new_ones_work_at_once(
    two_apis: tuple[ApiProcess, ApiProcess], person: Person
) -> None:
    here, there = two_apis
    before = ask(there, person.token)

    here.call("POST", "/api/auth/logout/everywhere", headers={"Authorization": f"Bearer {person.token}"})
    body = {"email": person.email, "password": PASSWORD}
    fresh = here.call("POST", "/api/auth/login", json=body).json()["token"]

    assert (before, ask(there, fresh)) == (True, True)
    assert seconds_until(lambda: ask(there, person.token) == "invalid_token") <= unhurried(INVALIDATION_S_MAX)


def test_a_change_that_commits_late_takes_effect_after_the_commit(
    two_apis: tuple[ApiProcess, ApiProcess], person: Person, owner_url: str
) -> None:
    _, there = two_apis
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id]
        )
        time.sleep(2)
        before = ask(there, person.key)

    assert before is True
    assert seconds_until(lambda: ask(there, person.key) == "revoked_api_key") <= unhurried(INVALIDATION_S_MAX)


def test_without_its_database_a_process_authenticates_nobody_and_catches_up_when_it_is_back(
    api_with: Run, person: Person, wire: Wire, api: ApiProcess
) -> None:
    there = api_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S=LONG)
    before = seconds_until(lambda: ask(there, person.key) is True)

    wire.cut()
    unavailable_s = seconds_until(lambda: ask(there, person.key) == "service_unavailable")
    api.call("DELETE", f"/api/keys/{personal_key(api, person)}", person.key)
    time.sleep(1.5)
    away = ask(there, person.key)
    wire.mend()
    answers: set[object] = set()
    seconds_until(lambda: answers.add(ask(there, person.key)) or "revoked_api_key" in answers, 20)

    assert before < unhurried(1)
    assert unavailable_s <= unhurried(INVALIDATION_S_MAX)
    assert away == "service_unavailable"
    assert answers <= {"service_unavailable", "revoked_api_key"}


def test_cached_principals_are_not_looked_up_while_nothing_changes(
    api_with: Run, person: Person, wire: Wire
) -> None:
    api = api_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S=LONG)
    seconds_until(lambda: ask(api, person.key) is True)
    time.sleep(3)  # every connection has prepared its statements
    before = wire.round_trips

    began = time.monotonic()
    answers = {ask(api, person.key) for _ in range(100)}
    polls = (time.monotonic() - began) / 0.4 + 1

    assert answers == {True}
    assert wire.round_trips - before <= 3 * polls


class Somebody(Struct, frozen=True):
    account: uuid.UUID


async def test_a_lookup_during_a_change_of_its_account_is_not_cached() -> None:
    somebody, lookups, answer = Somebody(uuid.uuid4()), 0, asyncio.Event()
    principal_cache = PrincipalCache[Somebody](600)

    async def ask() -> Somebody:
        nonlocal lookups
        lookups += 1
        await answer.wait()
        return somebody

    first = asyncio.create_task(principal_cache.get(b"x", ask))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    principal_cache.invalidate({somebody.account}, at=time.monotonic())
    answer.set()
    found = [await first, await principal_cache.get(b"x", ask), await principal_cache.get(b"x", ask)]

    assert (found, lookups) == ([somebody] * 3, 2)


@pytest.mark.parametrize(("changed", "lookups_after"), [(set[uuid.UUID](), 0), (None, 1)])
async def test_changes_of_another_database_empty_the_cache(
    changed: set[uuid.UUID] | None, lookups_after: int
) -> None:
    somebody, lookups = Somebody(uuid.uuid4()), 0
    principal_cache = PrincipalCache[Somebody](600)

    async def ask() -> Somebody:
        nonlocal lookups
        lookups += 1
        return somebody

    await principal_cache.get(b"x", ask)
    principal_cache.invalidate(changed, at=time.monotonic())
    await principal_cache.get(b"x", ask)

    assert lookups == 1 + lookups_after


def test_a_key_use_is_logged_once_a_minute() -> None:
    uses, one, other = KeyUsageLog(), uuid.uuid4(), uuid.uuid4()
    for key in (one, one, other):
        uses.add(key)
    first = set(uses.take())

    uses.add(one)

    assert (first, uses.take()) == ({one, other}, [])


def test_change_marks_from_the_future_are_ignored(
    database_url: str, owner: psycopg.Connection[Any], person: Person
) -> None:
    """A copy restored elsewhere has marks of transactions that are yet to come."""
    owner.execute("UPDATE cv.account SET changed = '900000000000' WHERE id = %s", [person.id])

    with psycopg.connect(database_url, cursor_factory=psycopg.RawCursor) as connection:
        rows = [
            connection.execute(query("changed_principals"), [since]).fetchone() or () for since in (None, "3")
        ]

    assert rows[0][1] == []
    assert uuid.UUID(person.id) not in rows[1][1]
