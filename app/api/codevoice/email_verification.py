"""The routes under /api/auth/verify: e-mail verification."""

from typing import Literal

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.domain import errors as e
from app.domain.accounts.email_verification import EmailVerification
from app.domain.identity.scopes import ACCOUNT
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from app.http.rate_limit import RateLimitGuard


class VerifyBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/verify."""

    token: str


class VerifiedView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/verify: the address is verified."""

    status: Literal["verified"] = "verified"


class SentView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/verify/resend: a mail with a token will be sent."""

    status: Literal["accepted"] = "accepted"


class VerificationController(Controller):
    """The verification of the account's e-mail address."""

    path = "/api/auth/verify"
    response_headers = NO_STORE

    @post(status_code=200, opt={"public": True, "limit": "login", "errors": (e.InvalidVerification,)})
    async def verify_email(
        self,
        data: JSONBody[VerifyBody],
        request: ApiRequest,
        verification: NamedDependency[EmailVerification],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> VerifiedView:
        """Verify an address with the token that was mailed to it."""
        async with rate_limit.count_wrong_attempt(request.scope):
            await verification.confirm(data.token)
        return VerifiedView()

    @post(
        "/resend",
        status_code=202,
        opt={"scope": ACCOUNT, "limit": "reset", "errors": (e.NothingToVerify, e.MailNotSetUp)},
    )
    async def resend_verification(
        self,
        request: ApiRequest,
        verification: NamedDependency[EmailVerification],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> SentView:
        """Mail a new token."""
        await rate_limit.mail(request.scope, str(request.user.account))
        await verification.send_again(request.user)
        return SentView()
