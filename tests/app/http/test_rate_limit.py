"""Which outcomes of a password check count against the limit."""

import asyncio
from typing import Any, cast

import pytest
from litestar.types import Scope

from app.domain.errors import RateLimited, Unauthenticated
from app.http.client_address import ClientAddresses
from app.http.rate_limit import RateLimitGuard, RateLimits
from tests.app.domain.test_rate_limiting import Clock, Shelf

LIMITS = RateLimits(
    posts_per_minute=1,
    posts_burst=1,
    account_posts_per_minute=1,
    account_posts_burst=1,
    status_polls_per_s=1,
    account_logins_per_15min=1,
    address_logins_per_15min=1,
    email_logins_per_15min=1,
    login_slow_s=0,
    resets_per_15min=1,
    address_registrations_per_hour=1,
    limits_wait_ms=60_000,
)


def scope() -> Scope:
    return cast("Scope", {"client": ("192.0.2.1", 1), "headers": [], "state": {}})


async def is_refused(rate_limit: RateLimitGuard) -> bool:
    try:
        async with rate_limit.count_wrong_attempt(scope(), "somebody@example.org"):
            return False
    except RateLimited:
        return True


@pytest.mark.parametrize(("end", "counts"), [("leaves", False), ("is wrong", True), ("is right", False)])
async def test_only_a_password_that_was_wrong_is_counted(end: str, counts: bool) -> None:
    rate_limit = RateLimitGuard(LIMITS, Shelf(Clock()), ClientAddresses(()), str.encode)
    looking = asyncio.Event()

    async def guess() -> Any:
        async with rate_limit.count_wrong_attempt(scope(), "somebody@example.org"):
            looking.set()
            if end == "leaves":
                await asyncio.Event().wait()
            if end == "is wrong":
                raise Unauthenticated("wrong")

    guessing = asyncio.create_task(guess())
    await looking.wait()
    if end == "leaves":
        guessing.cancel()
    await asyncio.gather(guessing, return_exceptions=True)

    assert await is_refused(rate_limit) == counts
