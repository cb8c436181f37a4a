"""People's accounts: sign up, log in, refresh tokens, log out, read one's account. One session each."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.api_keys import personal_key
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.invites import check_invite, use_invite
from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.accounts.registration import (
    FREE_TIER,
    check_name,
    check_password,
    clean_email,
    create_account,
    is_email,
)
from app.domain.database import Database
from app.domain.errors import (
    BadRequest,
    DomainError,
    InvalidToken,
    InviteRequired,
    RegistrationClosed,
    Suspended,
    WrongLogin,
)
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principal, Principals, is_log_in_ended, lock_caller
from app.domain.identity.tokens import Claims, Tokens
from db.postgres import ledger, pool
from db.postgres.models import Account
from db.postgres.queries import query
from db.postgres.repositories import AccountRepository, lock_account
from db.types import Balance, UserType

_ENDED_SESSIONS_MAX = 1000  # of an account; beyond that, ending one ends all


class User(Struct, frozen=True, kw_only=True):
    """An account as its owner sees it."""

    id: UUID
    email: str | None
    name: str | None
    user_type: UserType
    tier: int
    plan: str
    created_at: datetime
    verification_due: bool = False  # its free credits wait until the e-mail is verified


class LoggedIn(Struct, frozen=True, kw_only=True):
    """New tokens; `api_key` if it may be shown."""

    token: str
    refresh_token: str
    expires_in_s: int
    api_key: str | None
    user: User


class Accounts:
    """Sign-up, log-in and log-out."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        passwords: PasswordHasher,
        tokens: Tokens,
        principals: Principals,
        verification: EmailVerification,
        *,
        registration: Literal["open", "invite", "closed"],
        reveal: Literal["always", "once"],
    ) -> None:
        self._database = database
        self._keys = keys
        self._passwords = passwords
        self._tokens = tokens
        self._principals = principals
        self._verification = verification
        self.registration: Literal["open", "invite", "closed"] = registration
        self._reveal: Literal["always", "once"] = reveal

    async def register(
        self, email: str, password: str, name: str | None, invite: str | None = None
    ) -> LoggedIn:
        """Create an account with wallet and personal key, and use the invitation up, in one commit.

        If the e-mail must be verified, the free credits wait for that, and a mail is sent, unless too many
        are under way; the owner can request another.
        Raises Invalid, EmailTaken, RegistrationClosed, InviteRequired and InvalidInvite.
        """
        if self.registration == "closed":
            raise RegistrationClosed("Sign-up is closed here. Ask the operator for an account.")
        if self.registration == "invite" and invite is None:
            raise InviteRequired("Sign-up needs an invitation. Ask the operator for one.", field="invite")
        email = clean_email(email)
        check_password(password)
        check_name(name)
        await self._check_invite(invite)
        password_hash = await self._passwords.hash(password)
        async with self._database.session() as session:
            tier = FREE_TIER if invite is None else await use_invite(session, self._keys, invite)
            account, key = await create_account(
                session,
                self._keys,
                email=email,
                password_hash=password_hash,
                name=name,
                keep_sealed=self._reveal == "always",
                tier=tier,
                verification_due=self._verification.is_required,
            )
            balance = await _balance(session, account.id)
        if account.verification_due:
            self._ask_to_verify(account.id, email)
        return self._logged_in(account, balance, key, uuid4())

    def _ask_to_verify(self, account: UUID, email: str) -> None:
        """Send the verification mail. If that fails, the account is kept; another mail can be requested."""
        try:
            self._verification.send(account, email)
        except DomainError as error:
            structlog.get_logger().warning("verification_not_sent", reason=str(error) or type(error).__name__)

    async def _check_invite(self, invite: str | None) -> None:
        """Checked before the password is hashed, so that a guessed code costs only this query."""
        if invite is not None:
            async with self._database.session() as session:
                await check_invite(session, self._keys, invite)

    async def login(self, email: str, password: str) -> LoggedIn:
        """Log in. An unknown e-mail and a wrong password raise the same error, in the same time.

        So does an account whose tokens were ended during the verification. Raises WrongLogin and Suspended.
        """
        async with self._database.session() as session:
            cleaned = email.strip().lower()
            wanted = cleaned if is_email(cleaned) else ""
            account = await AccountRepository(session=session).get_one_or_none(email=wanted)
        kept = account.password_hash if account else None
        if not await self._passwords.verify(kept, password) or account is None:
            raise WrongLogin
        if account.suspended:
            raise Suspended
        new_hash = await self._passwords.hash(password) if self._passwords.is_outdated(kept or "") else None
        async with self._database.session() as session:
            if new_hash is not None:
                now = await lock_account(session, account.id)
                if now is not None and now.password_hash == kept:  # it was not changed in the meantime
                    now.password_hash = new_hash
            is_shown = self._reveal == "always"
            key = await personal_key(session, self._keys, account.id) if is_shown else None
            balance = await _balance(session, account.id)
            now = await session.get(Account, account.id)
            if now is None or now.token_epoch != account.token_epoch:
                raise WrongLogin  # the password was changed meanwhile, and the key may be a new one
        return self._logged_in(account, balance, key, uuid4())

    async def refresh(self, refresh_token: str) -> LoggedIn:
        """New tokens of the same log-in, for a refresh token of the account's current epoch.

        Raises InvalidToken, ExpiredToken and Suspended.
        """
        claims = self._tokens.read_refresh(refresh_token)
        async with self._database.session() as session:
            account = await session.get(Account, claims.account)
            if account is None or account.token_epoch != claims.epoch:
                raise InvalidToken
            if await is_log_in_ended(session, account.id, claims.session):
                raise InvalidToken
            balance = await _balance(session, account.id)
        if account.suspended:
            raise Suspended
        return self._logged_in(account, balance, None, claims.session)

    async def fresh(self, account: UUID, *, api_key: str | None = None) -> LoggedIn:
        """Tokens of a new log-in, of the account's current epoch. Raises InvalidToken without an account."""
        async with self._database.session() as session:
            found = await session.get(Account, account)
            if found is None:
                raise InvalidToken
            balance = await _balance(session, account)
        return self._logged_in(found, balance, api_key, uuid4())

    async def logout(self, who: Principal) -> None:
        """End this log-in: the caller's token, and all others of the same log-in.

        A token issued before 0.2 names no log-in: then all log-ins end. Raises BadRequest for an API key.
        """
        if who.key is not None:
            raise BadRequest(
                "An API key has no log-in to end. Revoke the key, or POST /api/auth/logout/everywhere."
            )
        if who.session is None:
            await self.logout_everywhere(who)
            return
        life = timedelta(seconds=self._tokens.longest_s)
        async with self._database.connection() as connection:
            await connection.execute(
                query("end_session"), who.account, who.session, life, _ENDED_SESSIONS_MAX
            )
        self._principals.forget(who.account)

    async def logout_everywhere(self, who: Principal) -> None:
        """End every token of the account."""
        async with self._database.session() as session:
            account = await lock_caller(session, who)
            account.token_epoch += 1
        self._principals.forget(who.account)

    async def me(self, who: Principal) -> tuple[User, Balance]:
        """The account, and its current balance."""
        async with self._database.session() as session:
            account = await session.get(Account, who.account)
            balance = await _balance(session, who.account)
        if account is None:
            raise InvalidToken
        return _user(account, balance), balance

    def _logged_in(
        self, account: Account, balance: Balance, api_key: str | None, session: UUID | None
    ) -> LoggedIn:
        claims = Claims(account.id, account.token_epoch, session)
        return LoggedIn(
            token=self._tokens.issue(claims),
            refresh_token=self._tokens.issue_refresh(claims),
            expires_in_s=self._tokens.token_s,
            api_key=api_key,
            user=_user(account, balance),
        )


async def _balance(session: AsyncSession, account: UUID) -> Balance:
    balance = await ledger.balance(await pool.raw(session), account)
    if balance is None:
        raise LookupError(f"account {account} has no wallet")
    return balance


def _user(account: Account, balance: Balance) -> User:
    return User(
        id=account.id,
        email=account.email,
        name=account.name,
        user_type=balance.kind,
        tier=account.tier,
        plan=balance.plan,
        created_at=account.created_at,
        verification_due=account.verification_due,
    )
