"""Messages of the admin pages: the question before an operation, and its result with the new balance."""

import msgspec
from msgspec import Struct

from app.dashboard.rendering import Question
from app.domain.admin.credits import micro
from app.domain.admin.users import Amount, User
from app.domain.billing.credits import in_words as micro_in_words
from db.types import MICRO


class OperationForm(Struct, frozen=True, kw_only=True):
    """The fields of all operation forms. `key`: idempotency key, so that a form sent twice acts once."""

    reason: str = ""
    key: str | None = None
    undo: bool = False
    amount: str = ""
    monthly: str | None = None
    plan: str = ""


def done_in_words(name: str, form: OperationForm, code: str, now: User) -> str:
    """What the operation `name` did; `now` is the account after it."""
    if code == "replayed":
        return f"That was done already. {_standing(now)}"
    later = ", from next month" if code == "next_month" else ""
    return f"{_done(name, form, named(now))}{later}. {_standing(now)}"


def question(name: str, form: OperationForm, account: User) -> Question:
    """The question to confirm before the operation. Raises Invalid for an amount that is not valid."""
    title, text = _question(name, form, account)
    fields = {field: value for field, value in msgspec.to_builtins(form).items() if value}
    return Question(
        title=title,
        text=text,
        button=title.partition(" ")[0],
        back=f"/admin/users/{account.account}",
        fields=fields | ({"undo": "true"} if form.undo else {}),
    )


def named(account: User) -> str:
    """The display name of an account: its e-mail, name or id."""
    return account.email or account.name or str(account.account)


def _question(name: str, form: OperationForm, account: User) -> tuple[str, str]:
    who = named(account)
    match name:
        case "expire":
            amount = _credits(micro(form.amount))
            return (
                f"Remove {amount} from {who}?",
                f"It has {_credits(_micro(account.paid))} beside the monthly ones.",
            )
        case "limit":
            limit = (
                _credits(micro(form.monthly, field="monthly", zero=True)) if form.monthly else "its plan's"
            )
            return (
                f"Change the monthly limit of {who} to {limit}?",
                f"It is {_credits(_micro(account.monthly))} now.",
            )
        case "unlimited" if form.undo:
            return (
                f"End unlimited use for {who}?",
                "Its requests are paid with its credits again from now on.",
            )
        case "unlimited":
            return (
                f"Make {who} unlimited?",
                "Its requests will cost none of its credits, however many there are.",
            )
        case "plan":
            return f"Change the plan of {who} to {form.plan}?", f"It is {account.plan} now."
        case _ if form.undo:
            return f"Reactivate {who}?", "Its keys and its log-in work again at once."
        case _:
            return (
                f"Suspend {who}?",
                "Everything it asks for is refused at once. Its credits and its jobs stay.",
            )


def _done(name: str, form: OperationForm, who: str) -> str:
    match name:
        case "grant":
            return f"Granted {_credits(micro(form.amount))} to {who}"
        case "expire":
            return f"Removed {_credits(micro(form.amount))} from {who}"
        case "limit" if form.monthly:
            limit = _credits(micro(form.monthly, field="monthly", zero=True))
            return f"Set the monthly limit of {who} to {limit}"
        case "limit":
            return f"Set the monthly limit of {who} to that of its plan"
        case "unlimited":
            return f"Ended unlimited use for {who}" if form.undo else f"Made {who} unlimited"
        case "plan":
            return f"Set the plan of {who} to {form.plan}"
        case _:
            return f"Reactivated {who}" if form.undo else f"Suspended {who}"


def _standing(now: User) -> str:
    if now.total_remaining is None:
        return "The account is unlimited."
    return f"Balance now: {_credits(_micro(now.total_remaining))}."


def _credits(amount: int) -> str:
    text = micro_in_words(amount)
    return f"{text} credit{'' if text == '1' else 's'}"


def _micro(amount: Amount) -> int:
    return round(amount * MICRO)
