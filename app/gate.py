"""The limits at the front door: whom each counts, and what an answer says of them.

A route names its limit by `opt={"limit": …}`: `post` counts keys, the others count addresses.
"""

import time
from collections.abc import Callable
from typing import Any, Literal

from litestar.types import Scope
from msgspec import Struct

from app.clients import Clients
from app.domain.errors import RateLimited
from app.domain.limits import Breaker, BucketStore, Limit, Limiter, Standing
from app.domain.principals import Principal

STATE = "rate_limit"  # in scope["state"]: the headers, for the envelope
_QUARTER_S = 15 * 60
_HOUR_S = 3600


class Limits(Struct, frozen=True, kw_only=True):
    """The operator's numbers."""

    posts_per_minute: int
    posts_burst: int
    status_polls_per_s: int
    account_logins_per_15min: int
    address_logins_per_15min: int
    address_registrations_per_hour: int
    without_store: Literal["open", "closed"]
    wait_s: float


class Gate:
    """Lets requests pass, or refuses them with RateLimited; nothing else is asked of a refused one."""

    def __init__(
        self, limits: Limits, store: BucketStore, clients: Clients, digest: Callable[[str], bytes]
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
        self._logins = limiter(_rare("account", limits.account_logins_per_15min, _QUARTER_S))
        self._of_addresses = {
            "poll": limiter(polls),
            "login": limiter(_rare("login", limits.address_logins_per_15min, _QUARTER_S)),
            "register": limiter(_rare("register", limits.address_registrations_per_hour, _HOUR_S)),
        }

    async def before(self, opt: dict[str, Any], scope: Scope) -> None:
        """Before the caller is known: the limits of addresses."""
        limiter = self._of_addresses.get(opt.get("limit", ""))
        if limiter is not None:
            _judge(scope, await limiter.take(self._clients.counted_as(scope)))

    async def after(self, opt: dict[str, Any], scope: Scope, who: Principal) -> None:
        """When the caller is known: the limit of its key, or of its account where it came with a token."""
        if opt.get("limit") == "post":
            _judge(scope, await self._posts.take((who.key or who.account).hex))

    async def login(self, scope: Scope, email: str) -> None:
        """Before a password is looked at: the limit of the account, whether there is one or not."""
        digest = self._digest(f"login:{email.strip().lower()}")
        _judge(scope, await self._logins.take(digest.hex()))


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
