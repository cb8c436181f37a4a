"""`codevoice prices …`: the price book, and a new version of it."""

from datetime import UTC, datetime

import rich_click as click

from app.domain.admin import prices
from app.domain.admin.prices import UNITS, NewPrice, Priced, Unit
from app.domain.billing.credits import in_words
from ops.admin import output
from ops.admin.execution import ask, do, look
from ops.admin.options import CommandContext, Credits, Paging, acts, pages


@click.command()
@pages
def list_(paging: Paging) -> None:
    """Every version of every price, the last first."""
    found = look(lambda connection: prices.list_prices(connection, limit=paging.limit, cursor=paging.cursor))
    output.page(
        found, "version", "kind", "engine", "unit", "price", "valid_from", "in_force", in_json=paging.as_json
    )


@click.command("set")
@click.argument("kind")
@click.argument("unit", type=click.Choice(UNITS))
@click.argument("price", type=Credits(zero=True))
@click.option("--engine", default="*", show_default=True, help="Of this engine alone.")
@click.option("--from", "valid_from", type=click.DateTime(), help="UTC; without it: now.")
@acts()
def set_(
    doing: CommandContext, kind: str, unit: Unit, price: int, engine: str, valid_from: datetime | None
) -> None:
    """From now or later, a KIND of job costs PRICE credits a UNIT; what is queued by then, as it was quoted.

    Kinds are speech, transcription, live_transcript and others; * is any.
    """
    ask(doing, f"Set {kind} ({engine}) to {in_words(price)} credits a {unit}?")
    at = valid_from.replace(tzinfo=UTC) if valid_from else None
    wanted = NewPrice(kind=kind, engine=engine, unit=unit, amount=price, valid_from=at)
    do(doing, lambda connection, act: prices.set_price(connection, act, wanted), _in_short)


def _in_short(priced: Priced) -> str:
    return f"{priced.code}: version {priced.version}"
