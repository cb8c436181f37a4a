"""What changed of an account is heard by every front door within a second, though each remembers for long."""

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
from tests.app.conftest import PASSWORD, Person, Run
from tests.app.front import Front
from tests.app.proxy import Wire
from tests.clock import unhurried

HEARD_S_MAX = 1.0
LONG = "600"


@pytest.fixture
def doors(front_with: Run) -> tuple[Front, Front]:
    """Two processes that would remember for ten minutes."""
    return front_with(CODEVOICE_PRINCIPAL_CACHE_S=LONG), front_with(
        CODEVOICE_PRINCIPAL_CACHE_S=LONG, CODEVOICE_LOG_LEVEL="debug"
    )


@pytest.fixture
def wire(database_url: str) -> Generator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()


def ask(front: Front, credential: str) -> object:
    """A call that needs nothing of the database but the caller: True, or the error's code."""
    headers = {"Authorization": f"Bearer {credential}"}
    answer = front.call("DELETE", "/v1/jobs/nothing", headers=headers)
    return True if answer.status_code == 404 else answer.json()["detail"]["error"]


def seconds_until(condition: Callable[[], bool], most: float = 30.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < most
        time.sleep(0.01)
    return time.monotonic() - began


def personal_key(front: Front, person: Person) -> str:
    return str(front.call("GET", "/api/keys", person.key).json()["keys"][0]["id"])


def test_a_key_revoked_at_one_door_is_refused_at_the_other(
    doors: tuple[Front, Front], person: Person
) -> None:
    here, there = doors
    before = [ask(door, person.key) for door in doors]

    here.call("DELETE", f"/api/keys/{personal_key(here, person)}", person.key)

    assert before == [True, True]
    assert ask(here, person.key) == "revoked_api_key"
    assert seconds_until(lambda: ask(there, person.key) == "revoked_api_key") <= unhurried(HEARD_S_MAX)


def test_suspension_and_its_end_are_heard(
    doors: tuple[Front, Front], person: Person, owner: psycopg.Connection[Any]
) -> None:
    def set_suspended(suspended: bool) -> None:
        owner.execute("UPDATE cv.account SET suspended = %s WHERE id = %s", [suspended, person.id])

    def everywhere() -> set[object]:
        return {ask(door, credential) for door in doors for credential in (person.key, person.token)}

    before = everywhere()

    set_suspended(True)
    heard = seconds_until(lambda: everywhere() == {"account_suspended"})
    set_suspended(False)
    again = seconds_until(lambda: everywhere() == {True})

    assert before == {True}
    assert max(heard, again) <= unhurried(HEARD_S_MAX)


def test_logging_out_at_one_door_ends_that_log_in_at_the_other_within_a_second(
    doors: tuple[Front, Front], person: Person
) -> None:
    here, there = doors
    body = {"email": person.email, "password": PASSWORD}
    other = here.call("POST", "/api/auth/login", json=body).json()["token"]
    before = ask(there, person.token)

    here.call("POST", "/api/auth/logout", headers={"Authorization": f"Bearer {person.token}"})

    assert before is True
    assert seconds_until(lambda: ask(there, person.token) == "invalid_token") <= unhurried(HEARD_S_MAX)
    assert ask(there, other) is True


def test_logging_out_everywhere_ends_tokens_at_the_other_door_and_new_ones_work_there_at_once(
    doors: tuple[Front, Front], person: Person
) -> None:
    here, there = doors
    before = ask(there, person.token)

    here.call("POST", "/api/auth/logout/everywhere", headers={"Authorization": f"Bearer {person.token}"})
    body = {"email": person.email, "password": PASSWORD}
    fresh = here.call("POST", "/api/auth/login", json=body).json()["token"]

    assert (before, ask(there, fresh)) == (True, True)
    assert seconds_until(lambda: ask(there, person.token) == "invalid_token") <= unhurried(HEARD_S_MAX)


def test_a_change_that_commits_late_is_heard_when_it_does(
    doors: tuple[Front, Front], person: Person, owner_url: str
) -> None:
    _, there = doors
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "UPDATE cv.api_key SET revoked_at = clock_timestamp() WHERE account = %s", [person.id]
        )
        time.sleep(2)
        before = ask(there, person.key)

    assert before is True
    assert seconds_until(lambda: ask(there, person.key) == "revoked_api_key") <= unhurried(HEARD_S_MAX)


def test_without_its_database_a_door_believes_nobody_and_hears_all_when_it_is_back(
    front_with: Run, person: Person, wire: Wire, front: Front
) -> None:
    there = front_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S=LONG)
    before = seconds_until(lambda: ask(there, person.key) is True)

    wire.cut()
    unheard = seconds_until(lambda: ask(there, person.key) == "service_unavailable")
    front.call("DELETE", f"/api/keys/{personal_key(front, person)}", person.key)
    time.sleep(1.5)
    away = ask(there, person.key)
    wire.mend()
    answers: set[object] = set()
    seconds_until(lambda: answers.add(ask(there, person.key)) or "revoked_api_key" in answers, 20)

    assert before < unhurried(1)
    assert unheard <= unhurried(HEARD_S_MAX)
    assert away == "service_unavailable"
    assert answers <= {"service_unavailable", "revoked_api_key"}


def test_nobody_asks_who_it_is_while_nothing_changes(front_with: Run, person: Person, wire: Wire) -> None:
    front = front_with(DATABASE_URL=wire.url, CODEVOICE_PRINCIPAL_CACHE_S=LONG)
    seconds_until(lambda: ask(front, person.key) is True)
    time.sleep(3)  # every connection has prepared its statements
    before = wire.round_trips

    began = time.monotonic()
    answers = {ask(front, person.key) for _ in range(100)}
    looks = (time.monotonic() - began) / 0.4 + 1

    assert answers == {True}
    assert wire.round_trips - before <= 3 * looks


class Somebody(Struct, frozen=True):
    account: uuid.UUID


async def test_an_answer_on_its_way_while_its_account_changes_is_not_kept() -> None:
    somebody, asked, answer = Somebody(uuid.uuid4()), 0, asyncio.Event()
    remembered = PrincipalCache[Somebody](600)

    async def ask() -> Somebody:
        nonlocal asked
        asked += 1
        await answer.wait()
        return somebody

    first = asyncio.create_task(remembered.get(b"x", ask))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    remembered.invalidate({somebody.account}, at=time.monotonic())
    answer.set()
    found = [await first, await remembered.get(b"x", ask), await remembered.get(b"x", ask)]

    assert (found, asked) == ([somebody] * 3, 2)


@pytest.mark.parametrize(("changed", "asked_again"), [(set[uuid.UUID](), 0), (None, 1)])
async def test_news_of_another_database_empties_the_memory(
    changed: set[uuid.UUID] | None, asked_again: int
) -> None:
    somebody, asked = Somebody(uuid.uuid4()), 0
    remembered = PrincipalCache[Somebody](600)

    async def ask() -> Somebody:
        nonlocal asked
        asked += 1
        return somebody

    await remembered.get(b"x", ask)
    remembered.invalidate(changed, at=time.monotonic())
    await remembered.get(b"x", ask)

    assert asked == 1 + asked_again


def test_a_use_is_given_out_once_a_minute() -> None:
    uses, one, other = KeyUsageLog(), uuid.uuid4(), uuid.uuid4()
    for key in (one, one, other):
        uses.add(key)
    first = set(uses.take())

    uses.add(one)

    assert (first, uses.take()) == ({one, other}, [])


def test_marks_from_the_future_are_not_heard(
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
