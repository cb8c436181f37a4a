"""`codevoice prices …`: list the price book, set a new version of a price."""

from datetime import UTC, datetime

import rich_click as click

from app.domain.admin import prices
from app.domain.admin.prices import UNITS, NewPrice, Priced, Unit
from app.domain.billing.credits import in_words
from ops.admin import output
from ops.admin.execution import ask, do, query
from ops.admin.options import CommandContext, Credits, Paging, acts, pages


@click.command()
@pages
def list_(paging: Paging) -> None:
    """List every version of every price, the newest first."""
    found = query(lambda session: prices.list_prices(session, limit=paging.limit, cursor=paging.cursor))
    output.page(
        found, "version", "kind", "engine", "unit", "price", "valid_from", "in_force", in_json=paging.as_json
    )


@click.command("set")
@click.argument("kind")
@click.argument("unit", type=click.Choice(UNITS))
@click.argument("price", type=Credits(zero=True))
@click.option("--engine", default="*", show_default=True, help="Only for this engine.")
@click.option("--from", "valid_from", type=click.DateTime(), help="UTC; by default now.")
@acts()
def set_(
    context: CommandContext, kind: str, unit: Unit, price: int, engine: str, valid_from: datetime | None
) -> None:
    """From now or later, a KIND of job costs PRICE credits per UNIT; jobs queued by then keep their quote.

    Kinds are speech, transcription, live_transcript and others; * is any.
    """
    ask(context, f"Set {kind} ({engine}) to {in_words(price)} credits a {unit}?")
    at = valid_from.replace(tzinfo=UTC) if valid_from else None
    wanted = NewPrice(kind=kind, engine=engine, unit=unit, amount=price, valid_from=at)
    do(context, lambda session, act: prices.set_price(session, act, wanted), _in_short)


def _in_short(priced: Priced) -> str:
    return f"{priced.code}: version {priced.version}"
