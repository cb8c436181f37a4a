"""The routes under /api/auth that register, log in, refresh tokens, log out and show the account."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.api.codevoice.account_schemas import credits_view, login_view, storage_view, user_view
from app.api.codevoice.schemas import LoginBody, LoginView, MeView, RefreshBody, RegisterBody
from app.domain import errors as e
from app.domain.accounts.service import Accounts
from app.domain.identity.scopes import ACCOUNT
from app.domain.storage_quotas import StorageQuotas
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from app.http.rate_limit import RateLimitGuard

_REGISTER = {
    "public": True,
    "limit": "register",
    "errors": (e.EmailTaken, e.RegistrationClosed, e.InviteRequired, e.InvalidInvite),
}
_LOGIN = {"public": True, "limit": "login", "errors": (e.WrongLogin, e.Suspended)}
_REFRESH = {"public": True, "limit": "login", "errors": (e.InvalidToken, e.ExpiredToken, e.Suspended)}
_LOGOUT = {"scope": ACCOUNT, "limit": "post"}


class AccountController(Controller):
    """Accounts of people."""

    path = "/api/auth"
    response_headers = NO_STORE

    @post("/register", opt=_REGISTER)
    async def register(self, data: JSONBody[RegisterBody], accounts: NamedDependency[Accounts]) -> LoginView:
        """Create an account, and log in."""
        return login_view(await accounts.register(data.email, data.password, data.name, data.invite))

    @post("/login", status_code=200, opt=_LOGIN)
    async def login(
        self,
        data: JSONBody[LoginBody],
        request: ApiRequest,
        accounts: NamedDependency[Accounts],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> LoginView:
        """Log in with e-mail and password."""
        async with rate_limit.count_wrong_attempt(request.scope, data.email):
            return login_view(await accounts.login(data.email, data.password))

    @post("/refresh", status_code=200, opt=_REFRESH)
    async def refresh(
        self,
        data: JSONBody[RefreshBody],
        request: ApiRequest,
        accounts: NamedDependency[Accounts],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> LoginView:
        """Exchange a refresh token for new tokens."""
        async with rate_limit.count_wrong_attempt(request.scope):
            return login_view(await accounts.refresh(data.refresh_token))

    @post("/logout", status_code=204, opt=_LOGOUT)
    async def logout(self, request: ApiRequest, accounts: NamedDependency[Accounts]) -> None:
        """Revoke the tokens of this log-in."""
        await accounts.logout(request.user)

    @post("/logout/everywhere", status_code=204, opt=_LOGOUT)
    async def logout_everywhere(self, request: ApiRequest, accounts: NamedDependency[Accounts]) -> None:
        """Revoke the tokens of every log-in of the account."""
        await accounts.logout_everywhere(request.user)

    @get("/me", opt={"scope": ACCOUNT})
    async def me(
        self,
        request: ApiRequest,
        accounts: NamedDependency[Accounts],
        storage: NamedDependency[StorageQuotas],
    ) -> MeView:
        """Show the account, its credits and what it stores."""
        user, balance = await accounts.me(request.user)
        kept = storage_view(await storage.stored(request.user))
        return MeView(user=user_view(user), credits=credits_view(balance), storage=kept)
