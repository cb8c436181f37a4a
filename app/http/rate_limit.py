"""The limits at the front door: whom each counts, and what an answer says of them.

A route names its limit by `opt={"limit": …}`: `post` counts keys and accounts, the others count addresses.
`login` is for routes that look at passwords and tokens; those that were right are given back (`guess`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from litestar.types import Scope
from msgspec import Struct

from app.domain.errors import InvalidReset, InvalidVerification, RateLimited, Unauthenticated
from app.domain.identity.principals import Principal
from app.domain.rate_limiting import Breaker, BucketStore, Limit, Limiter, Standing
from app.http.client_address import ClientAddresses

STATE = "rate_limit"  # in scope["state"]: the headers, for the envelope
_QUARTER_S = 15 * 60
_HOUR_S = 3600


class Limits(Struct, frozen=True, kw_only=True):
    """The operator's numbers."""

    posts_per_minute: int
    posts_burst: int
    account_posts_per_minute: int
    account_posts_burst: int
    status_polls_per_s: int
    account_logins_per_15min: int
    address_logins_per_15min: int
    email_logins_per_15min: int
    login_slow_s: float
    resets_per_15min: int
    address_registrations_per_hour: int
    without_store: Literal["open", "closed"]
    wait_s: float


class RateLimitGuard:
    """Lets requests pass, or refuses them with RateLimited; nothing else is asked of a refused one."""

    def __init__(
        self, limits: Limits, store: BucketStore, clients: ClientAddresses, digest: Callable[[str], bytes]
    ) -> None:
        breaker = Breaker(time.monotonic, wait_s=limits.wait_s)

        def limiter(limit: Limit) -> Limiter:
            without = limits.without_store
            return Limiter(limit, store, breaker, without_store=without, clock=time.monotonic)

        self._clients = clients
        self._digest = digest
        posts = Limit(name="post", per_s=limits.posts_per_minute / 60, burst=limits.posts_burst)
        polls = Limit(name="poll", per_s=limits.status_polls_per_s, burst=limits.status_polls_per_s)
        self._posts = limiter(posts)
        self._account_posts = limiter(
            Limit(
                name="account_post",
                per_s=limits.account_posts_per_minute / 60,
                burst=limits.account_posts_burst,
            )
        )
        self._logins = limiter(_rare("account", limits.account_logins_per_15min, _QUARTER_S))
        self._emails = limiter(_rare("email", limits.email_logins_per_15min, _QUARTER_S))
        self._slow_s = limits.login_slow_s
        self._resets = limiter(_rare("mail", limits.resets_per_15min, _QUARTER_S))
        self._of_addresses = {
            "poll": limiter(polls),
            "login": limiter(_rare("login", limits.address_logins_per_15min, _QUARTER_S)),
            "reset": limiter(_rare("reset", limits.address_logins_per_15min, _QUARTER_S)),
            "register": limiter(_rare("register", limits.address_registrations_per_hour, _HOUR_S)),
        }

    async def before(self, opt: dict[str, Any], scope: Scope) -> None:
        """Before the caller is known: the limits of addresses."""
        limiter = self._of_addresses.get(opt.get("limit", ""))
        if limiter is not None:
            _judge(scope, await limiter.take(self._clients.counted_as(scope)))

    async def after(self, opt: dict[str, Any], scope: Scope, who: Principal) -> None:
        """When the caller is known: the limits of its account, and of its key where it came with one."""
        if opt.get("limit") == "post":
            _judge(scope, await self._posts.take((who.key or who.account).hex))
            _judge(scope, await self._account_posts.take(who.account.hex))

    def address(self, scope: Scope) -> str:
        """What a caller without a credential is counted by."""
        return self._clients.counted_as(scope)

    @asynccontextmanager
    async def guess(self, scope: Scope, name: str | None = None) -> AsyncGenerator[None]:
        """Around a look at a password or token, on a route of the limit `login`: counted where it was wrong.

        `name`: the e-mail or account whose password it is, whether there is one or not. After too many wrong
        ones from a network that network is refused; after too many from anywhere each is looked at later, as
        whoever guesses must not keep the owner out. Taken before the look: many at once get no further.
        """
        taken = [(self._of_addresses["login"], self._clients.counted_as(scope))]
        if name is not None:
            taken += await self._count_guess(scope, self._digest(f"login:{name.strip().lower()}").hex())
        try:
            yield
        except (Unauthenticated, InvalidReset, InvalidVerification):
            raise
        except asyncio.CancelledError:  # its caller has left, and learns nothing of it
            await asyncio.shield(asyncio.create_task(_give_back(taken)))
            raise
        except Exception:
            await _give_back(taken)
            raise
        await _give_back(taken)

    async def _count_guess(self, scope: Scope, name: str) -> list[tuple[Limiter, str]]:
        by_network = f"{name}:{self._clients.network(scope)}"
        _judge(scope, await self._logins.take(by_network))
        taken = [(self._logins, by_network)]
        if (await self._emails.take(name)).retry_after_s:
            await asyncio.sleep(self._slow_s)
        else:
            taken.append((self._emails, name))
        return taken

    async def mail(self, scope: Scope, email: str) -> None:
        """Before a mail is sent to somebody who may not have asked for it."""
        digest = self._digest(f"mail:{email.strip().lower()}")
        _judge(scope, await self._resets.take(digest.hex()))


async def _give_back(taken: list[tuple[Limiter, str]]) -> None:
    for limiter, who in taken:
        await limiter.give_back(who)


def _rare(name: str, times: int, within_s: int) -> Limit:
    """Few and far between: a process holds none of them back."""
    return Limit(name=name, per_s=times / within_s, burst=times, exact=True)


def _judge(scope: Scope, standing: Standing) -> None:
    """Of two limits the answer shows the tighter one."""
    state: dict[str, Any] = scope["state"]
    shown: tuple[int, Any] | None = state.get(STATE)
    if shown is None or standing.retry_after_s or standing.remaining < shown[0]:
        state[STATE] = standing.remaining, _headers(standing)
    if standing.retry_after_s:
        raise RateLimited(standing.retry_after_s)


def _headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-limit", b"%d" % standing.limit),
        (b"ratelimit-remaining", b"%d" % standing.remaining),
        (b"ratelimit-reset", b"%d" % standing.full_in_s),
    ]
