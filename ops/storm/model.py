"""An owner's credits replayed entry by entry, as on paper. Implements the promises, without SQL."""

from collections import Counter
from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from ops.storm.record import Transfer, Wallet

HOLDS = {10: "free", 11: "paid", 12: "issued"}
_IN_FLIGHT_MAX = 100  # per owner: every client's request and a worker's fullest batch


class Violation(Struct, frozen=True):
    """A broken promise, and the account or job concerned."""

    what: str
    id: str


class Paid(Struct):
    """The credits of one job."""

    holds: dict[str, tuple[int, date]]  # bucket → amount, month
    left: Counter[str]  # bucket → not resolved yet
    spent: Counter[str]
    refunded: Counter[str]
    seq: int = 0  # of its last hold
    bucket: str = ""  # the last it was taken from
    remaining: int = 0  # the balance after that hold and all before it


class State(Struct, frozen=True):
    """The balances after an entry."""

    seq: int
    free: int
    paid: int
    held: int


class Book:
    """One owner's journal replayed: `violations`, and what every answer can be compared with."""

    def __init__(self, wallet: Wallet) -> None:
        self.violations: list[Violation] = []
        self.jobs: dict[str, Paid] = {}
        self.grants: dict[str, list[tuple[int, State]]] = {}  # reason → amount, and the balances after it
        self.states = [State(0, 0, 0, 0)]
        self._month_ends: set[int] = set()  # entries after which the next records a new month
        self._last_time: dict[tuple[int, int, int], int] = {}
        if not wallet.monthly:  # what a read before the first entry sees
            self._last_time[0, 0, 0] = 0
        # As a read after the month's end may show them while older requests are still to be recorded.
        self._last_ahead: dict[tuple[int, int, int], int] = {}
        self._month_since = 0  # entry
        self._wallet = wallet
        self._sum: Counter[str] = Counter()
        self._seen: set[tuple[str, int]] = set()
        self._period: date | None = None

    def replay(self, transfers: Iterable[Transfer]) -> "Book":
        """Enter everything, then compare with the wallet."""
        for entry in transfers:
            self._enter(entry)
        self._close()
        return self

    def had(self, balance: tuple[int, int, int], *, since: int) -> bool:
        """Whether the balances (free, paid, held) were these after entry `since`, or any later one.

        A read after the end of a month sees the new month's credits at once, though requests that began
        before it are still to be recorded.
        """
        last = max(self._last_time.get(balance, -1), self._last_ahead.get(balance, -1))
        return last >= since or self._is_new_month_of(self.states[-1], balance)

    def is_after(self, state: State, balance: tuple[int, int, int]) -> bool:
        """Whether these are the balances right after an entry, or as a month that ended then left them."""
        return balance == (state.free, state.paid, state.held) or self._is_new_month_of(state, balance)

    def _is_new_month_of(self, state: State, balance: tuple[int, int, int]) -> bool:
        """A new month is visible at once, and is recorded with the next transfer."""
        wallet, is_last = self._wallet, state is self.states[-1]
        has_ended = wallet.month > wallet.period if is_last else state.seq in self._month_ends
        return has_ended and balance == (wallet.monthly, state.paid, state.held)

    def _enter(self, entry: Transfer) -> None:
        if entry.seq != self.states[-1].seq + 1:
            self._complain("gap in the sequence", entry)
        if (entry.ref, entry.slot) in self._seen:
            self._complain("a step was taken twice", entry)
        self._seen.add((entry.ref, entry.slot))
        if not self._is_promised(entry):
            self._complain("an entry that nobody promised", entry)
        self._sum[entry.src] -= entry.amount
        self._sum[entry.dst] += entry.amount
        if entry.amount <= 0 or any(value < 0 for name, value in self._sum.items() if name != "issued"):
            self._complain("more was taken than there was", entry)
        balance = self._sum["free"], self._sum["paid"], self._sum["held"]
        self.states.append(State(entry.seq, *balance))
        self._last_time[balance] = entry.seq
        self._note(entry)

    def _is_promised(self, entry: Transfer) -> bool:
        slot, way = entry.slot, (entry.src, entry.dst)
        if slot in (3, 4):
            self._month_ends.add(entry.seq - 1)
            self._look_ahead(entry.seq)
        if slot == 3:
            return self._is_new_month(entry) and way == ("issued", "free")
        if slot == 4:
            return way == ("free", "expired") and entry.amount == self._sum["free"]
        if not self._is_this_month(entry):
            return False
        if slot == 0:
            return way == ("issued", "paid")
        if slot in HOLDS:
            return way == (HOLDS[slot], "held") and self._is_next(slot)
        if 20 <= slot <= 22 or 30 <= slot <= 32:
            return self._resolves(entry, HOLDS[slot % 10 + 10])
        return 40 <= slot <= 42 and self._refunds(entry, HOLDS[slot - 30])

    def _look_ahead(self, seq: int) -> None:
        first = max(self._month_since, seq - _IN_FLIGHT_MAX)
        for state in self.states[first:]:
            self._last_ahead[self._wallet.monthly, state.paid, state.held] = state.seq
        self._month_since = seq

    def _is_new_month(self, entry: Transfer) -> bool:
        is_later = self._period is None or entry.period > self._period
        self._period = entry.period
        return is_later and entry.amount == self._wallet.monthly and self._sum["free"] == 0

    def _is_this_month(self, entry: Transfer) -> bool:
        """If no monthly credits are due, nothing is entered at a month's beginning."""
        if not self._wallet.monthly and (self._period is None or entry.period > self._period):
            self._period = entry.period
        return entry.period == self._period

    def _is_next(self, slot: int) -> bool:
        """Free credits before paid ones; the unlimited bucket only for accounts without a limit."""
        return self._wallet.unlimited == (slot == 12) and (slot != 11 or self._sum["free"] == 0)

    def _resolves(self, entry: Transfer, bucket: str) -> bool:
        """A hold is posted, or returned to its bucket: once, and never more than it was."""
        job = self.jobs.get(entry.ref)
        if job is None or entry.src != "held" or job.left[bucket] < entry.amount:
            return False
        _, month = job.holds[bucket]
        is_old = bucket == "free" and month != self._period
        return entry.dst in ("spent", "expired" if is_old else bucket)

    def _refunds(self, entry: Transfer, bucket: str) -> bool:
        job = self.jobs.get(entry.ref)
        if job is None or entry.src != "spent" or job.spent[bucket] != entry.amount:
            return False
        return entry.dst in (bucket, "paid") and not job.refunded[bucket]

    def _note(self, entry: Transfer) -> None:
        if entry.slot == 0:
            self.grants.setdefault(entry.reason, []).append((entry.amount, self.states[-1]))
        elif bucket := HOLDS.get(entry.slot):
            job = self.jobs.setdefault(entry.ref, Paid({}, Counter(), Counter(), Counter()))
            job.holds[bucket] = entry.amount, entry.period
            job.left[bucket] += entry.amount
            job.seq, job.bucket = entry.seq, bucket
            job.remaining = {
                "free": self._sum["free"], "paid": self._sum["free"] + self._sum["paid"], "issued": 0
            }[bucket]  # fmt: skip
        elif (job := self.jobs.get(entry.ref)) and entry.slot >= 20:
            bucket = HOLDS[entry.slot % 10 + 10]
            if entry.slot >= 40:
                job.refunded[bucket] += entry.amount
                return
            job.left[bucket] -= entry.amount
            job.spent[bucket] += entry.amount if entry.dst == "spent" else 0

    def _close(self) -> None:
        owner, wallet = self._wallet.owner, self._wallet
        for ref, job in self.jobs.items():
            if any(job.left.values()):
                self.violations.append(Violation("a hold was never resolved", ref))
        if self._sum["held"]:
            self.violations.append(Violation("credit is still held", owner))
        told = (
            wallet.free, wallet.paid, wallet.held, wallet.spent, wallet.expired, -wallet.issued, wallet.seq,
        )  # fmt: skip
        sums = tuple(self._sum[name] for name in ("free", "paid", "held", "spent", "expired", "issued"))
        if told != (*sums, self.states[-1].seq):
            self.violations.append(Violation("the wallet is not what its entries come to", owner))

    def _complain(self, what: str, entry: Transfer) -> None:
        self.violations.append(Violation(what, f"{entry.owner} {entry.seq}"))
