"""Sign-up by invitation."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from app.domain.accounts.invites import create_invite
from app.domain.errors import Invalid
from db.postgres import pool
from tests.app.api_process import ApiProcess
from tests.app.conftest import PASSWORD, Run, key_ring


@pytest.fixture
def by_invitation(api_with: Run) -> ApiProcess:
    return api_with(CODEVOICE_REGISTRATION="invite")


async def invite(database_url: str, **options: Any) -> str:
    opened = pool.open_engine(database_url)
    try:
        async with pool.session(opened) as session:
            made = await create_invite(session, key_ring(), **({"created_by": "test", "tier": 1} | options))
        return made.code
    finally:
        await opened.dispose()


def register(api: ApiProcess, invite: object = None, email: str | None = None) -> httpx.Response:
    body = {"email": email or f"{secrets.token_hex(6)}@example.org", "password": PASSWORD, "invite": invite}
    return api.call("POST", "/api/auth/register", json=body)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]["error"]


async def test_an_invitation_opens_an_account_of_its_tier(
    by_invitation: ApiProcess, database_url: str
) -> None:
    answer = register(by_invitation, await invite(database_url, tier=2))

    user = answer.json()["user"]
    assert (answer.status_code, user["tier"], user["plan"]) == (201, 2, "pro")
    me = by_invitation.call("GET", "/api/auth/me", answer.json()["api_key"]).json()
    assert me["credits"]["free"]["limit"] == 10_000


async def test_without_an_invitation_there_is_no_account(by_invitation: ApiProcess) -> None:
    assert error(register(by_invitation)) == (403, "invite_required")


@pytest.mark.parametrize("code", ["", "nothing", "cvi_nothing", "cvi_é", "cvi_\0", "x" * 10_000])
def test_an_unknown_invitation_code_opens_no_account(by_invitation: ApiProcess, code: str) -> None:
    assert error(register(by_invitation, code)) == (403, "invalid_invite")


async def test_concurrent_sign_ups_keep_to_the_invitations_limit(
    by_invitation: ApiProcess, database_url: str, owner: psycopg.Connection[Any]
) -> None:
    code = await invite(database_url, uses=3)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: register(by_invitation, code), range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 5
    left = owner.execute(
        "SELECT uses_left FROM cv.invite WHERE digest = %s", [key_ring().digest(code)]
    ).fetchone()
    assert left == (0,)


async def test_a_failed_sign_up_does_not_use_the_invitation(
    by_invitation: ApiProcess, database_url: str
) -> None:
    first, code = await invite(database_url), await invite(database_url)
    email = f"{secrets.token_hex(6)}@example.org"
    register(by_invitation, first, email)

    taken = register(by_invitation, code, email)

    assert error(taken) == (409, "email_taken")
    assert register(by_invitation, code).status_code == 201


async def test_an_invitation_expires(
    by_invitation: ApiProcess, database_url: str, owner: psycopg.Connection[Any]
) -> None:
    code = await invite(database_url, expires_at=datetime.now(UTC) + timedelta(hours=1))
    owner.execute("UPDATE cv.invite SET expires_at = clock_timestamp() WHERE expires_at IS NOT NULL")

    assert error(register(by_invitation, code)) == (403, "invalid_invite")


async def test_an_invitation_gives_its_tier_under_open_registration(
    api: ApiProcess, database_url: str
) -> None:
    assert register(api, await invite(database_url, tier=2)).json()["user"]["tier"] == 2


async def test_an_invitation_opens_no_account_under_closed_registration(
    api_with: Run, database_url: str
) -> None:
    closed = api_with(CODEVOICE_REGISTRATION="closed")

    assert error(register(closed, await invite(database_url))) == (403, "registration_closed")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"uses": 0}, "uses"),
        ({"uses": 100_001}, "uses"),
        ({"tier": 99}, "tier"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expires_at"),
    ],
)
async def test_an_invalid_invitation_names_the_field(
    database_url: str, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await invite(database_url, **options)

    assert refused.value.fields["field"] == field
