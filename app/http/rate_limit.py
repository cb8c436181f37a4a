"""Rate limits: what each one counts, and the RateLimit headers of responses.

A route names its limit with `opt={"limit": …}`: `post` counts keys and accounts, the others count addresses.
`login` is for routes that check passwords and tokens: only wrong attempts stay counted (see `guess`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from litestar.types import Scope
from msgspec import Meta, Struct

from app.domain.errors import InvalidReset, InvalidVerification, RateLimited, Unauthenticated
from app.domain.identity.principals import Principal
from app.domain.rate_limiting import Breaker, BucketStore, Limit, Limiter, Standing
from app.http.client_address import ClientAddresses
from db.settings import PositiveInt

STATE = "rate_limit"  # in scope["state"]: the headers that the request middleware adds
_QUARTER_S = 15 * 60
_HOUR_S = 3600


class RateLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits."""

    posts_per_minute: PositiveInt = 600  # for one key
    posts_burst: PositiveInt = 300  # of these at once
    account_posts_per_minute: PositiveInt = 1200  # for one account with all of its keys
    account_posts_burst: PositiveInt = 600
    status_polls_per_s: PositiveInt = 1000  # for one address
    account_logins_per_15min: PositiveInt = 10  # wrong ones, for an e-mail (known or not) and network
    address_logins_per_15min: PositiveInt = 100  # wrong log-ins, refreshes and the like; also reset requests
    email_logins_per_15min: PositiveInt = 100  # wrong ones, for an e-mail: beyond, each is delayed
    login_slow_s: Annotated[float, Meta(ge=0)] = 1.0  # the delay
    resets_per_15min: PositiveInt = 10  # mails to one e-mail address
    address_registrations_per_hour: PositiveInt = 60
    limits_without_redis: Literal["open", "closed"] = "open"  # open: each process counts alone; closed: 503
    limits_wait_ms: PositiveInt = 50  # for Redis, before it counts as unavailable

    @property
    def wait_s(self) -> float:
        return self.limits_wait_ms / 1000


class RateLimitGuard:
    """Applies the limits. Raises RateLimited for a request over a limit, before any other work is done."""

    def __init__(
        self, limits: RateLimits, store: BucketStore, clients: ClientAddresses, digest: Callable[[str], bytes]
    ) -> None:
        breaker = Breaker(time.monotonic, wait_s=limits.wait_s)

        def limiter(limit: Limit) -> Limiter:
            without = limits.limits_without_redis
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
        """Apply the limits for addresses, before the caller is authenticated."""
        limiter = self._of_addresses.get(opt.get("limit", ""))
        if limiter is not None:
            _apply(scope, await limiter.take(self._clients.counted_as(scope)))

    async def after(self, opt: dict[str, Any], scope: Scope, who: Principal) -> None:
        """Apply the limits of the authenticated caller: of its account, and of its key if it used one."""
        if opt.get("limit") == "post":
            _apply(scope, await self._posts.take((who.key or who.account).hex))
            _apply(scope, await self._account_posts.take(who.account.hex))

    def address(self, scope: Scope) -> str:
        """The key that counts a caller without a credential."""
        return self._clients.counted_as(scope)

    @asynccontextmanager
    async def count_wrong_attempt(self, scope: Scope, name: str | None = None) -> AsyncGenerator[None]:
        """Wrap the check of a password or token on a route with the limit `login`: wrong ones are counted.

        `name`: the e-mail or account whose password is checked, whether it exists or not. After too many
        wrong attempts from one network, that network is refused. After too many from anywhere, each attempt
        is delayed but not refused, so that an attacker cannot lock the owner out. Attempts are counted before
        the check, so that concurrent ones cannot exceed the limit.
        """
        taken = [(self._of_addresses["login"], self._clients.counted_as(scope))]
        if name is not None:
            taken += await self._count_guess(scope, self._digest(f"login:{name.strip().lower()}").hex())
        try:
            yield
        except (Unauthenticated, InvalidReset, InvalidVerification):
            raise
        except asyncio.CancelledError:  # the client disconnected, and learns nothing from it
            await asyncio.shield(asyncio.create_task(_give_back(taken)))
            raise
        except Exception:
            await _give_back(taken)
            raise
        await _give_back(taken)

    async def _count_guess(self, scope: Scope, name: str) -> list[tuple[Limiter, str]]:
        by_network = f"{name}:{self._clients.network(scope)}"
        _apply(scope, await self._logins.take(by_network))
        taken = [(self._logins, by_network)]
        if (await self._emails.take(name)).retry_after_s:
            await asyncio.sleep(self._slow_s)
        else:
            taken.append((self._emails, name))
        return taken

    async def mail(self, scope: Scope, email: str) -> None:
        """Apply the limit on mails to an address whose owner may not have requested them."""
        digest = self._digest(f"mail:{email.strip().lower()}")
        _apply(scope, await self._resets.take(digest.hex()))


async def _give_back(taken: list[tuple[Limiter, str]]) -> None:
    for limiter, who in taken:
        await limiter.give_back(who)


def _rare(name: str, times: int, within_s: int) -> Limit:
    """A limit on rare requests: exact, as processes do not lease blocks of its tokens."""
    return Limit(name=name, per_s=times / within_s, burst=times, exact=True)


def _apply(scope: Scope, standing: Standing) -> None:
    """Note the limit for the response's headers, which show the tighter of two. Raises RateLimited."""
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
