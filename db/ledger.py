"""Credits: wallets, grants, balances, audit. The rules are in `sql/ledger.sql`."""

from uuid import UUID

import msgspec

from db.engine import Connection
from db.queries import query
from db.rows import Balance, Finding, UserType


async def open_wallet(
    connection: Connection,
    owner: UUID,
    *,
    kind: UserType,
    tier: int,
    monthly: int | None = None,
    unlimited: bool = False,
) -> None:
    """Open an owner's wallet; this month's free credits are in it at once. `monthly` None: the plan's."""
    await connection.execute(query("open_wallet"), owner, kind, tier, monthly, unlimited)


async def grant(
    connection: Connection, owner: UUID, *, ref: UUID, amount: int, actor: str, reason: str
) -> str:
    """Give `amount` > 0 micro-credits of the paid kind, once a `ref`.

    Returns granted, replayed, no_wallet or closed.
    """
    return str(await connection.fetchval(query("grant_credits"), owner, ref, amount, actor, reason))


async def balance(connection: Connection, owner: UUID) -> Balance | None:
    """The owner's effective balance now; None where there is no wallet. Writes nothing."""
    row = await connection.fetchrow(query("balance"), owner)
    return msgspec.convert(dict(row), Balance) if row else None


async def audit(connection: Connection) -> list[Finding]:
    """Every defect found in the whole record: sums, sequence, hash chain, jobs against credit, guards."""
    defects = [Finding(what=row["what"], id=row["id"]) for row in await connection.fetch(query("recon"))]
    breaks = await connection.fetch(query("chain_breaks"))
    return defects + [
        Finding(what="hash chain broken", id=str(row["owner"]), detail={"seq": row["seq"]}) for row in breaks
    ]


async def totals(connection: Connection) -> dict[str, int]:
    """Counts of wallets and transfers, and sums of micro-credits by bucket."""
    row = await connection.fetchrow(query("totals"))
    return dict(row) if row else {}
