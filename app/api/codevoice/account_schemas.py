"""Converts accounts, log-ins, storage and credits to their response schemas."""

import msgspec
from msgspec import UNSET

from app.api.codevoice.schemas import (
    ApiCredits,
    Credits,
    FreeCredits,
    LoginView,
    PaidCredits,
    StorageView,
    UserView,
)
from app.domain.accounts.service import LoggedIn, User
from app.domain.billing.credits import credits, spendable
from app.domain.storage_quotas import Stored
from db.types import Balance


def user_view(user: User) -> UserView:
    """The account as its owner sees it."""
    view = msgspec.convert(user, UserView, from_attributes=True)
    return msgspec.structs.replace(view, email_verified=False) if user.verification_due else view


def login_view(found: LoggedIn) -> LoginView:
    """The new tokens of a log-in."""
    return LoginView(
        token=found.token,
        expires_in=found.expires_in_s,
        refresh_token=found.refresh_token,
        api_key=found.api_key,
        user=user_view(found.user),
    )


def storage_view(kept: Stored) -> StorageView:
    """What an account stores, and its limit, in bytes."""
    return StorageView(stored_bytes=kept.stored_bytes, limit_bytes=kept.limit_bytes)


def credits_view(balance: Balance) -> Credits:
    """Credits by kind. For an API-only account, `api` holds its credits, and `free` and `paid` are zero."""
    is_api_only = balance.kind == "api_only"
    free, paid, monthly = credits(balance.free), credits(balance.paid), credits(balance.monthly)
    total = spendable(balance)
    api = ApiCredits(limit=monthly, remaining=free, extra=paid, unlimited=balance.unlimited)
    return Credits(
        free=FreeCredits(
            limit=0 if is_api_only else monthly,
            remaining=0 if is_api_only else free,
            resets_at=balance.resets_at,
        ),
        paid=PaidCredits(remaining=0 if is_api_only else paid),
        api=api if is_api_only else UNSET,
        held=credits(balance.held),
        total_remaining=None if total is None else credits(total),
    )
