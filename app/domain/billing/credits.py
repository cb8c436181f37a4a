"""Formats micro-credits for people, and the error for a refused charge."""

from app.domain.errors import Closed, DomainError, InsufficientCredits, Internal, KeyReused
from db.types import MICRO, Balance, UserType

LIMIT_REACHED = "Monthly API credit limit reached. Please contact admin or enable unlimited access."


def credits(micro: int) -> int | float:
    """An amount in credits: a whole number where it is one."""
    return micro // MICRO if micro % MICRO == 0 else micro / MICRO


def in_words(micro: int) -> str:
    """`59`, `59.5`: up to six decimals, no trailing zeros."""
    whole, rest = divmod(micro, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)


def used(kind: UserType, bucket: str | None, remaining: int) -> str:
    """The message for a caller who has just spent from `bucket`."""
    if bucket == "issued":
        return "Unlimited account."
    names = (
        {"free": "Monthly API credit", "paid": "Extra credit"}
        if kind == "api_only"
        else {"free": "Free credit", "paid": "Paid credit"}
    )
    name = names.get(bucket or "")
    return f"{name} used. {in_words(remaining)} remaining." if name else "No credit used."


def spendable(balance: Balance) -> int | None:
    """All that can be spent now, in micro-credits; None: unlimited."""
    return None if balance.unlimited else balance.free + balance.paid


def refusal(code: str, *, kind: UserType, price: int, remaining: int) -> DomainError:
    """The error for a request the database refused with `code`. `remaining`: spendable micro-credits."""
    if code == "key_reused":
        return KeyReused("This Idempotency-Key was used with another request. Use a new key.")
    if code == "closed":
        return Closed("This account is closed.")
    if code != "insufficient_credits":  # a row the database cannot store, or an account without a wallet
        return Internal()
    message = (
        f"Not enough credits: this request needs {in_words(price)}, you have {in_words(remaining)}."
        " Buy credits, or wait for next month's free ones."
    )
    return InsufficientCredits(
        LIMIT_REACHED if kind == "api_only" else message,
        required=credits(price),
        remaining=credits(remaining),
    )
