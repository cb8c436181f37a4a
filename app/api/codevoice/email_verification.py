"""The routes under /api/auth/verify: e-mail verification."""

from typing import Literal

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.domain.accounts.email_verification import EmailVerification
from app.domain.identity.scopes import ACCOUNT
from app.http.bodies import AnyRequest, read_json
from app.http.rate_limit import RateLimitGuard
from app.openapi.bodies import request_body

_NO_STORE = {"Cache-Control": "no-store"}


class VerifyBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/verify."""

    token: str


class VerifiedView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/verify: the address is verified."""

    status: Literal["verified"] = "verified"


class SentView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/verify/resend: a mail with a token will be sent."""

    status: Literal["accepted"] = "accepted"


_VERIFY = msgspec.json.Decoder(VerifyBody)


def verification_routes(
    verification: EmailVerification, rate_limit: RateLimitGuard, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """The routes that verify an address and send the token again."""
    return [_verify_route(verification, rate_limit, body_bytes_max), _resend_route(verification, rate_limit)]


def _verify_route(
    verification: EmailVerification, rate_limit: RateLimitGuard, bytes_max: int
) -> HTTPRouteHandler:
    opt = {"public": True, "limit": "login"}

    @post("/api/auth/verify", status_code=200, opt=opt, operation_class=request_body(VerifyBody))
    async def verify_email(request: AnyRequest) -> Response[VerifiedView]:
        body = await read_json(request, _VERIFY, bytes_max=bytes_max)
        async with rate_limit.count_wrong_attempt(request.scope):
            await verification.confirm(body.token)
        return Response(VerifiedView(), headers=_NO_STORE)

    return verify_email


def _resend_route(verification: EmailVerification, rate_limit: RateLimitGuard) -> HTTPRouteHandler:
    @post("/api/auth/verify/resend", status_code=202, opt={"scope": ACCOUNT, "limit": "reset"})
    async def resend_verification(request: AnyRequest) -> Response[SentView]:
        who = request.scope["user"]
        await rate_limit.mail(request.scope, str(who.account))
        await verification.send_again(who)
        return Response(SentView(), headers=_NO_STORE)

    return resend_verification
