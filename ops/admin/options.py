"""Types and options of operators' commands: amounts, the options of every operation and every list."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import rich_click as click
from msgspec import Struct

from app.domain.admin.credits import micro
from app.domain.errors import Invalid

F = TypeVar("F", bound=Callable[..., None])


class CommandContext(Struct, frozen=True, kw_only=True):
    """The options of an operation."""

    reason: str
    idempotency_key: str | None
    yes: bool
    dry_run: bool
    as_json: bool


class Paging(Struct, frozen=True, kw_only=True):
    """Which part of a list to show, and its output format."""

    limit: int
    cursor: str | None
    as_json: bool


class Credits(click.ParamType[int]):
    """Credits as a decimal number with up to six places; converts to micro-credits."""

    name = "credits"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return micro(value, zero=self._zero)
        except Invalid as error:
            self.fail(error.message, param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def acts(*, reason: str | None = None) -> Callable[[F], F]:
    """The options of an operation, passed to the command as a `CommandContext`. `reason`: the default."""

    def decorate(command: F) -> F:
        @wraps(command)
        def called(**given: Any) -> None:
            options = {name: given.pop(name) for name in CommandContext.__struct_fields__}
            command(CommandContext(**options), **given)

        return _with(called, _act_options(reason))  # type: ignore[return-value]

    return decorate


def pages(command: F) -> F:
    """The options of a list, passed to the command as one `Paging`."""

    @wraps(command)
    def called(**given: Any) -> None:
        options = {name: given.pop(name) for name in Paging.__struct_fields__}
        command(Paging(**options), **given)

    listing = [
        click.option("--limit", default=50, show_default=True, help="Maximum number of entries."),
        click.option("--cursor", help="The `next_cursor` of the previous page."),
        json_option,
    ]
    return _with(called, listing)  # type: ignore[return-value]


def _act_options(reason: str | None) -> list[Callable[[Any], Any]]:
    reason_help = "The reason; kept permanently. No personal data."
    needed: dict[str, Any] = (
        {"required": True} if reason is None else {"default": reason, "show_default": True}
    )
    return [
        click.option("--reason", help=reason_help, **needed),
        click.option("--idempotency-key", help="Repeats with the same key have no effect."),
        click.option("--dry-run", is_flag=True, help="Only show what it would write to the ledger."),
        click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
        json_option,
    ]


def _with(command: Callable[..., None], options: list[Callable[[Any], Any]]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command
