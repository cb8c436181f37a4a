"""Operators' account operations, as the accounts' owners see them."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.accounts import provisioning
from app.domain.errors import EmailTaken, Invalid, NotFound
from db.postgres import pool
from db.types import MICRO
from tests.app.api_process import ApiProcess
from tests.app.conftest import End, Person, Say, key_ring

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

HELLO = {"text": "hello", "voice": "ryan"}


@pytest.fixture
async def opened(database_url: str) -> "AsyncGenerator[AsyncEngine]":
    opened = pool.open_engine(database_url)
    yield opened
    await opened.dispose()


async def create(opened: "AsyncEngine", **options: Any) -> str:
    given = {"name": "a program", "monthly": 0, "actor": "test", "reason": "test"} | options
    async with pool.session(opened) as session:
        return (await provisioning.create_api_only(session, key_ring(), **given))[1]


async def suspend(opened: "AsyncEngine", account: str | uuid.UUID, suspended: bool = True) -> None:
    async with pool.session(opened) as session:
        await provisioning.suspend(session, uuid.UUID(str(account)), suspended)


async def test_an_api_only_account_with_a_limit_of_two_is_refused_the_third_time(
    api: ApiProcess, opened: "AsyncEngine"
) -> None:
    key = await create(opened, monthly=2 * MICRO)

    answers = [api.call("POST", "/v1/tts", key, json=HELLO) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 402]
    assert answers[0].json()["message"] == "Monthly API credit used. 1 remaining."
    assert answers[2].json() == {
        "detail": {
            "error": "insufficient_credits",
            "message": "Monthly API credit limit reached. Please contact admin or enable unlimited access.",
            "user_type": "api_only",
            "required": 1,
            "remaining": 0,
        }
    }


async def test_an_api_only_account_shows_its_own_kind_of_credits(
    api: ApiProcess, opened: "AsyncEngine"
) -> None:
    email = f"{uuid.uuid4().hex}@example.org"
    key = await create(opened, name=" Bot ", email=email.upper(), monthly=2 * MICRO, extra=3 * MICRO)

    me = api.call("GET", "/api/auth/me", key).json()

    assert (me["user"]["name"], me["user"]["email"], me["user"]["user_type"]) == (
        "Bot",
        email,
        "api_only",
    )
    assert me["credits"]["api"] == {"limit": 2, "remaining": 2, "extra": 3, "unlimited": False}
    assert me["credits"]["total_remaining"] == 5
    login = api.call("POST", "/api/auth/login", json={"email": email, "password": ""})
    assert login.status_code == 401


async def test_after_the_monthly_credits_come_the_extra_ones(api: ApiProcess, opened: "AsyncEngine") -> None:
    key = await create(opened, monthly=1 * MICRO, extra=1 * MICRO)

    messages = [api.call("POST", "/v1/tts", key, json=HELLO).json().get("message") for _ in range(3)]

    assert messages == ["Monthly API credit used. 0 remaining.", "Extra credit used. 0 remaining.", None]


async def test_an_unlimited_api_only_account_is_never_refused(api: ApiProcess, opened: "AsyncEngine") -> None:
    key = await create(opened, unlimited=True)

    assert api.call("POST", "/v1/tts", key, json=HELLO).json()["message"] == "Unlimited account."


@pytest.mark.parametrize(
    "options", [{"name": " "}, {"name": "x" * 201}, {"monthly": -1}, {"extra": -1}, {"email": "nobody"}]
)
async def test_an_invalid_api_only_account_names_the_field(
    opened: "AsyncEngine", options: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as refused:
        await create(opened, **options)

    assert refused.value.fields["field"] == next(iter(options))


async def test_an_api_only_account_cannot_take_an_email_in_use(opened: "AsyncEngine", person: Person) -> None:
    with pytest.raises(EmailTaken):
        await create(opened, email=person.email)


async def test_a_suspended_account_is_refused_everywhere_while_its_job_goes_on(
    api: ApiProcess, opened: "AsyncEngine", person: Person, say: Say, end: End
) -> None:
    job = say(person.key)

    await suspend(opened, person.id)
    await asyncio.sleep(1)
    bearer = {"headers": {"Authorization": f"Bearer {person.token}"}}
    answers = [
        api.call("POST", "/v1/tts", person.key, json=HELLO),
        api.call("POST", "/v1/tts", json={**HELLO, "api_key": person.key}),
        api.call("GET", "/api/auth/me", **bearer),
        api.call("GET", "/api/keys", person.key),
        api.call("DELETE", f"/v1/jobs/{job}", person.key),
    ]
    end(job)

    refused = {(answer.status_code, answer.json()["detail"]["error"]) for answer in answers}
    assert refused == {(403, "account_suspended")}
    assert api.call("GET", f"/tts/status/{job}").json()["status"] == "completed"


async def test_suspension_ends(api: ApiProcess, opened: "AsyncEngine", person: Person) -> None:
    await suspend(opened, person.id)
    await suspend(opened, person.id, suspended=False)

    assert api.call("GET", "/api/keys", person.key).status_code == 200


async def test_suspending_an_unknown_account_is_an_error(opened: "AsyncEngine") -> None:
    with pytest.raises(NotFound):
        await suspend(opened, uuid.uuid4())
