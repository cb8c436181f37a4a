"""Ledger functions: wallets, grants, refunds, balances, audit. The rules are in `migrations/sql/`."""

from uuid import UUID

import msgspec

from db.postgres.pool import Connection
from db.postgres.queries import query
from db.types import Balance, Finding, UserType


async def open_wallet(
    connection: Connection,
    owner: UUID,
    *,
    kind: UserType,
    tier: int,
    monthly: int | None = None,
    unlimited: bool = False,
) -> None:
    """Open an owner's wallet, with this month's free credits. `monthly` None: the plan's."""
    await connection.execute(query("open_wallet"), owner, kind, tier, monthly, unlimited)


async def grant(
    connection: Connection, owner: UUID, *, ref: UUID, amount: int, actor: str, reason: str
) -> str:
    """Grant `amount` > 0 paid micro-credits. Idempotent by `ref`.

    Returns granted, replayed, no_wallet or closed.
    """
    return str(await connection.fetchval(query("grant_credits"), owner, ref, amount, actor, reason))


async def balance(connection: Connection, owner: UUID) -> Balance | None:
    """The owner's effective balance now; None if there is no wallet. Writes nothing."""
    row = await connection.fetchrow(query("balance"), owner)
    return msgspec.convert(dict(row), Balance) if row else None


async def audit(connection: Connection) -> list[Finding]:
    """All defects of the whole ledger: sums, sequences, hash chains, jobs against credits, triggers."""
    defects = [Finding(what=row["what"], id=row["id"]) for row in await connection.fetch(query("recon"))]
    for what, name in (
        ("hash chain broken", "chain_breaks"),
        ("checkpoint differs from its transfer", "false_checkpoints"),
    ):
        rows = await connection.fetch(query(name))
        defects += [Finding(what=what, id=str(row["owner"]), detail={"seq": row["seq"]}) for row in rows]
    return defects


async def defects_since_checkpoint(
    connection: Connection, after: UUID | None = None, *, wallets_max: int = 1000
) -> tuple[list[Finding], UUID | None]:
    """Defects of the next wallets after `after`, by owner, since their last checkpoints; and the last owner.

    The quick audit: its work is bounded by `wallets_max` and by their transfers since. It locks nothing.
    """
    rows = await connection.fetch(query("defects_since_checkpoint"), after, wallets_max)
    last = await connection.fetchval(query("last_of_wallets"), after, wallets_max)
    return [Finding(what=row["what"], id=row["id"]) for row in rows], last


async def checkpoint(
    connection: Connection, after: UUID | None = None, *, wallets_max: int = 200
) -> tuple[int, UUID | None]:
    """Checkpoint the next wallets that have no defect; return how many, and the last owner (None: the end).

    Locks them until the commit: use one transaction a call.
    """
    written = int(await connection.fetchval(query("checkpoint"), after, wallets_max) or 0)
    return written, await connection.fetchval(query("last_of_wallets"), after, wallets_max)


async def totals(connection: Connection) -> dict[str, int]:
    """Counts of wallets and transfers, and sums of micro-credits by bucket."""
    row = await connection.fetchrow(query("totals"))
    return dict(row) if row else {}


async def expire(
    connection: Connection, owner: UUID, *, ref: UUID, amount: int, actor: str, reason: str
) -> str:
    """Expire `amount` > 0 paid micro-credits. Idempotent by `ref`.

    Returns expired, replayed, no_wallet or not_enough.
    """
    return str(await connection.fetchval(query("expire_credits"), owner, ref, amount, actor, reason))


async def refund(connection: Connection, job: UUID, *, actor: str, reason: str) -> str:
    """Refund what a job cost, once. Returns refunded, replayed, not_charged or no_job."""
    return str(await connection.fetchval(query("refund"), job, actor, reason))


async def set_terms(
    connection: Connection, owner: UUID, *, ref: UUID, tier: int, monthly: int | None, actor: str, reason: str
) -> str:
    """Change plan and monthly credits (None: the plan's). Higher terms apply now, with the difference as free
    credits; lower ones from next month.

    Returns changed, next_month, replayed, no_wallet, no_plan or closed.
    """
    return str(await connection.fetchval(query("set_terms"), owner, ref, tier, monthly, actor, reason))


async def set_unlimited(
    connection: Connection, owner: UUID, *, ref: UUID, unlimited: bool, actor: str, reason: str
) -> str:
    """Set or end unlimited use, from the next hold on. Returns changed, replayed, no_wallet or closed."""
    return str(await connection.fetchval(query("set_unlimited"), owner, ref, unlimited, actor, reason))


async def close(connection: Connection, owner: UUID, *, ref: UUID, actor: str, reason: str) -> str:
    """Close a wallet for good: its credits expire, open jobs go on. Returns closed, replayed, no_wallet."""
    return str(await connection.fetchval(query("close_wallet"), owner, ref, actor, reason))


async def heads(connection: Connection) -> list[tuple[UUID, int, bytes]]:
    """(owner, sequence, hash) of every wallet's last transfer; kept elsewhere, they reveal tampering."""
    return [(row["owner"], row["seq"], row["head"]) for row in await connection.fetch(query("heads"))]
