"""The ledger against a model in Python: random acts by several owners, every answer and balance compared.

The database's own functions do the work; the model knows only what the documents promise.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from db.postgres import jobs_api, jobs_worker, ledger
from db.types import MICRO, Finished
from tests.conftest import Databases
from tests.records import new_job

T = TypeVar("T")
QUOTAS = {1: 60 * MICRO, 2: 10_000 * MICRO}
BY = {"actor": "machine", "reason": "test"}
PARTS = (MICRO, 2 * MICRO, 61 * MICRO, MICRO // 3)


class Model:
    """One owner's credits, as a person would keep them on paper."""

    def __init__(self, tier: int, month: int) -> None:
        self.tier, self.monthly, self.month = tier, None, month
        self.later: tuple[int, int | None] | None = None
        self.free, self.paid, self.spent = self.quota(), 0, 0
        self.closed = False
        self.holds: dict[uuid.UUID, tuple[int, int, int]] = {}  # free, paid, month
        self.posted: dict[uuid.UUID, tuple[int, int, int]] = {}

    def quota(self) -> int:
        return QUOTAS[self.tier] if self.monthly is None else self.monthly

    def roll(self, month: int) -> None:
        if month > self.month:
            self.month = month
            if self.later:
                (self.tier, self.monthly), self.later = self.later, None
            self.free = 0 if self.closed else self.quota()

    def hold(self, job: uuid.UUID, amount: int) -> str:
        if self.closed:
            return "closed"
        if amount > self.free + self.paid:
            return "insufficient_credits"
        free = min(self.free, amount)
        self.free -= free
        self.paid -= amount - free
        self.holds[job] = (free, amount - free, self.month)
        return "queued"

    def settle(self, job: uuid.UUID, price: int) -> None:
        free, paid, month = self.holds.pop(job)
        from_free = min(free, price)
        from_paid = price - from_free
        self.spent += price
        self.posted[job] = (from_free, from_paid, self.month)
        if not self.closed:
            self.free += (free - from_free) if month == self.month else 0
            self.paid += paid - from_paid

    def refund(self, job: uuid.UUID) -> str:
        if job not in self.posted or not sum(self.posted[job][:2]):
            return "not_charged"
        free, paid, month = self.posted[job]
        self.posted[job] = (0, 0, month)
        self.spent -= free + paid
        if not self.closed:
            self.paid += paid
            if month == self.month:
                self.free += free
            else:
                self.paid += free
        return "refunded"

    def terms(self, tier: int, monthly: int | None) -> str:
        if self.closed:
            return "closed"
        more = (QUOTAS[tier] if monthly is None else monthly) - self.quota()
        if more < 0:
            self.later = (tier, monthly)
            return "next_month"
        self.tier, self.monthly, self.later = tier, monthly, None
        self.free += more
        return "changed"


class Ledger(RuleBasedStateMachine):
    """Each rule does the same in both worlds and compares the answers."""

    new_database: Databases
    steps = 0
    wallets: Bundle[uuid.UUID] = Bundle("wallets")
    holds: Bundle[tuple[uuid.UUID, uuid.UUID]] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.models: dict[uuid.UUID, Model] = {}
        self.month = 0
        owner_url, app_url = type(self).new_database()
        self.app = self.run(asyncpg.connect(app_url))
        self.owner = self.run(asyncpg.connect(owner_url))
        self.worker = jobs_worker.worker_connection(app_url, application_name="machine")

    def run(self, todo: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(todo)

    def teardown(self) -> None:
        self.run(self.app.close())
        self.run(self.owner.close())
        self.worker.close()
        self.loop.close()

    @initialize(target=wallets)
    def first(self) -> uuid.UUID:
        return self.open(tier=1)

    @rule(target=wallets, tier=st.sampled_from([1, 2]))
    def open(self, tier: int) -> uuid.UUID:
        owner = uuid.uuid4()
        self.run(ledger.open_wallet(self.app, owner, kind="registered", tier=tier))
        self.models[owner] = Model(tier, self.month)
        return owner

    @rule(target=holds, owner=wallets, amount=st.sampled_from(PARTS))
    def hold(self, owner: uuid.UUID, amount: int) -> tuple[uuid.UUID, uuid.UUID]:
        job = new_job(owner, hold=amount)
        [answer] = self.run(jobs_api.submit(self.app, [job], wait_s_max=3600, open_max=10_000))
        assert answer.code == self.model(owner).hold(job.id, amount)
        return owner, job.id

    @rule(target=holds, owners=st.lists(wallets, min_size=2, max_size=6), amount=st.sampled_from(PARTS))
    def hold_many_at_once(self, owners: list[uuid.UUID], amount: int) -> tuple[uuid.UUID, uuid.UUID]:
        batch = [new_job(owner, hold=amount) for owner in owners]
        answers = self.run(jobs_api.submit(self.app, batch, wait_s_max=3600, open_max=10_000))
        for job, answer in zip(batch, answers, strict=True):
            assert answer.code == self.model(job.owner).hold(job.id, amount)
        return owners[0], batch[0].id

    @rule(held=holds, share=st.sampled_from([0.0, 0.5, 1.0]))
    def post(self, held: tuple[uuid.UUID, uuid.UUID], share: float) -> None:
        owner, job = held
        model = self.model(owner)
        if job in model.holds:
            price = int(sum(model.holds[job][:2]) * share)
            assert self.end(job, Finished(id=job, attempt=1, outcome="done", price=price)) == "completed"
            model.settle(job, price)

    @rule(held=holds)
    def void(self, held: tuple[uuid.UUID, uuid.UUID]) -> None:
        owner, job = held
        if job in self.model(owner).holds:
            assert self.end(job, Finished(id=job, attempt=1, outcome="refuse", code="no")) == "failed"
            self.model(owner).settle(job, 0)

    def end(self, job: uuid.UUID, end: Finished) -> str:
        """Claims just this job, by a lane of its own, and ends it."""
        self.run(self.owner.execute("UPDATE cv.job SET lane = id::text WHERE id = $1", job))
        claim = {
            "engine": "espeak",
            "lane": str(job),
            "mixed": True,
            "limit": 1,
            "worker": "m",
            "lease_s": 60,
        }
        assert [claimed.id for claimed in jobs_worker.claim(self.worker, **claim)] == [job]
        first, again = (
            jobs_worker.finish(self.worker, [end], worker="m", tries_max=3, keep_s=60)[job, 1]
            for _ in range(2)
        )
        assert again == "fenced"
        return first

    @rule(held=holds)
    def cancel(self, held: tuple[uuid.UUID, uuid.UUID]) -> None:
        owner, job = held
        code = self.run(jobs_api.cancel(self.app, job, owner=owner, actor="owner"))
        if job in self.model(owner).holds:
            self.model(owner).settle(job, 0)
            assert code == "cancelled"
        else:
            assert code in ("too_late", "not_found")

    @rule(held=holds)
    def refund(self, held: tuple[uuid.UUID, uuid.UUID]) -> None:
        owner, job = held
        code = self.run(ledger.refund(self.app, job, **BY))
        expected = self.model(owner).refund(job)
        assert code == expected or (expected == "not_charged" and code in ("replayed", "no_job"))

    @rule(owner=wallets, amount=st.sampled_from(PARTS), twice=st.booleans())
    def grant(self, owner: uuid.UUID, amount: int, twice: bool) -> None:
        ref, model = uuid.uuid4(), self.model(owner)
        codes = [
            self.run(ledger.grant(self.app, owner, ref=ref, amount=amount, **BY)) for _ in range(1 + twice)
        ]
        assert codes[0] == ("closed" if model.closed else "granted")
        model.paid += 0 if model.closed else amount

    @rule(owner=wallets, amount=st.sampled_from(PARTS))
    def expire(self, owner: uuid.UUID, amount: int) -> None:
        code = self.run(ledger.expire(self.app, owner, ref=uuid.uuid4(), amount=amount, **BY))
        enough = self.model(owner).paid >= amount
        assert code == ("expired" if enough else "not_enough")
        self.model(owner).paid -= amount if enough else 0

    @rule(owner=wallets, tier=st.sampled_from([1, 2]), monthly=st.sampled_from([None, 0, 70 * MICRO]))
    def terms(self, owner: uuid.UUID, tier: int, monthly: int | None) -> None:
        given = {"ref": uuid.uuid4(), "tier": tier, "monthly": monthly}
        code = self.run(ledger.set_terms(self.app, owner, **given, **BY))
        assert code == self.model(owner).terms(tier, monthly)

    @rule()
    def month_end(self) -> None:
        self.month += 1
        self.run(self.owner.execute(f"SELECT cv.shift_clock('{self.month} months')"))

    @rule(owner=wallets)
    def close(self, owner: uuid.UUID) -> None:
        if len(self.models) < 3:
            return  # enough to play with
        code = self.run(ledger.close(self.app, owner, ref=uuid.uuid4(), **BY))
        model = self.model(owner)
        assert code == ("replayed" if model.closed else "closed")
        model.closed, model.free, model.paid = True, 0, 0

    def model(self, owner: uuid.UUID) -> Model:
        self.models[owner].roll(self.month)
        return self.models[owner]

    @invariant()
    def balances_are_equal(self) -> None:
        type(self).steps += 1
        for owner in self.models:
            model, now = self.model(owner), self.run(ledger.balance(self.app, owner))
            assert now is not None
            held = sum(free + paid for free, paid, _ in model.holds.values())
            assert (now.free, now.paid, now.held, now.spent) == (model.free, model.paid, held, model.spent)
            assert (now.tier, now.monthly, now.closed) == (model.tier, model.quota(), model.closed)

    @invariant()
    def the_ledger_is_clean(self) -> None:
        assert self.run(ledger.audit(self.app)) == []


def test_the_ledger_does_what_the_model_says(new_database: Databases) -> None:
    """At least 2,000 steps, each history in a database of its own."""
    Ledger.new_database, Ledger.steps = staticmethod(new_database), 0
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=70,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Ledger.steps >= 2000
