"""The storm's checker: a small consistent history passes, and every forgery of it is found, by name."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from ops.storm import client_history, history
from ops.storm.checker import check
from ops.storm.history import Event, History
from ops.storm.model import Book
from ops.storm.record import Job, Record, Transfer, Wallet
from tests.e2e.faults.storm_mutants import MUTANTS, SQL

ANN, MONTH, CREDIT = "ann", date(2026, 11, 1), 1_000_000
SPOKEN, CANCELLED, FAILED = "job-1", "job-2", "job-3"


class World(Struct):
    """What clients saw, and what the database has."""

    events: list[Event]
    jobs: list[Job]
    transfers: list[Transfer]
    wallet: Wallet

    def verdict(self, objects: Path | None = None) -> set[str]:
        record = Record({job.id: job for job in self.jobs}, self.transfers, {ANN: self.wallet})
        return {violation.what for violation in check(client_history.gather(self.events), record, objects)}


def entry(seq: int, ref: str, slot: int, src: str, dst: str, **more: Any) -> Transfer:
    given = {"amount": CREDIT, "bucket": "free", "period": MONTH, "reason": "hold"} | more
    return Transfer(owner=ANN, seq=seq, ref=ref, slot=slot, src=src, dst=dst, **given)


def job(name: str, text: str, state: str) -> Job:
    price, is_done = (CREDIT, True) if state == "completed" else (0, False)
    return Job(
        name, ANN, text, state, CREDIT, price, f"{name}.wav" if is_done else None, 4 if is_done else None
    )


def world() -> World:
    """Three jobs (done, cancelled, failed) and a grant; two status queries and one balance query."""
    free = {"http": 200, "said": "Free credit used. 59 remaining."}
    then = {"http": 200, "said": "Free credit used. 58 remaining."}
    answers: Sequence[dict[str, Any]] = (
        {"kind": "invoke", "op": "submit", "owner": ANN, "text": "one", "key": "key"},
        {"kind": "ok", "op": "submit", "of": 1, "job": SPOKEN} | free,
        {"kind": "invoke", "op": "grant", "owner": ANN, "text": "grant 1", "amount": 5},
        {"kind": "ok", "op": "grant", "of": 3, "http": 200, "said": "granted", "balance": (59, 5, 1)},
        {"kind": "invoke", "op": "submit", "owner": ANN, "text": "two"},
        {"kind": "ok", "op": "submit", "of": 5, "job": CANCELLED} | then,
        {"kind": "saw", "op": "status", "job": SPOKEN, "since": 7, "said": "processing", "http": 200},
        {"kind": "saw", "op": "status", "job": SPOKEN, "since": 8, "said": "completed", "http": 200},
        {"kind": "invoke", "op": "cancel", "job": CANCELLED},
        {"kind": "ok", "op": "cancel", "of": 9, "http": 200},
        {"kind": "invoke", "op": "submit", "owner": ANN, "text": "three"},
        {"kind": "unknown", "op": "submit", "of": 11},
        {"kind": "saw", "op": "balance", "owner": ANN, "since": 13, "balance": (58, 5, 1)},
    )  # fmt: skip
    return World(
        events=[Event(n=n, **line) for n, line in enumerate(answers, 1)],
        jobs=[
            job(SPOKEN, "one", "completed"),
            job(CANCELLED, "two", "cancelled"),
            job(FAILED, "three", "failed"),
        ],
        transfers=[
            entry(1, "month", 3, "issued", "free", amount=60 * CREDIT),
            entry(2, SPOKEN, 10, "free", "held"),
            entry(3, "ref", 0, "issued", "paid", amount=5 * CREDIT, bucket="paid", reason="grant 1"),
            entry(4, CANCELLED, 10, "free", "held"),
            entry(5, SPOKEN, 20, "held", "spent"),
            entry(6, CANCELLED, 20, "held", "free"),
            entry(7, FAILED, 10, "free", "held"),
            entry(8, FAILED, 20, "held", "free"),
        ],
        wallet=Wallet(
            owner=ANN, unlimited=False, monthly=60 * CREDIT, period=MONTH, month=MONTH, seq=8,
            issued=65 * CREDIT, free=59 * CREDIT, paid=5 * CREDIT, held=0, spent=CREDIT, expired=0,
        ),
    )  # fmt: skip


def test_a_sound_history_has_no_violation(tmp_path: Path) -> None:
    (tmp_path / f"{SPOKEN}.wav").write_bytes(b"RIFF")
    assert world().verdict(tmp_path) == set()


@pytest.mark.parametrize(("monthly", "was_there"), [(0, True), (60 * CREDIT, False)])
def test_an_account_without_monthly_credits_begins_with_none(monthly: int, was_there: bool) -> None:
    wallet = replace(world().wallet, unlimited=True, monthly=monthly)
    book = Book(wallet).replay([entry(1, SPOKEN, 12, "issued", "held", bucket="issued")])

    assert book.had((0, 0, 0), since=0) is was_there
    assert not book.had((0, 0, 0), since=1)


def test_a_month_may_end_between_an_entry_and_the_balance_that_reports_it() -> None:
    """A grant's answer shows the new month's credits, though the entry that brings them comes after."""
    seen, later = world(), date(2026, 12, 1)
    seen.transfers[4:] = [
        entry(5, "month 2", 4, "free", "expired", amount=58 * CREDIT),
        entry(6, "month 2", 3, "issued", "free", amount=60 * CREDIT, period=later),
        entry(7, SPOKEN, 20, "held", "spent", period=later),
        entry(8, CANCELLED, 20, "held", "expired", period=later),
        entry(9, FAILED, 10, "free", "held", period=later),
        entry(10, FAILED, 20, "held", "free", period=later),
    ]
    wallet = replace(seen.wallet, period=later, month=later, seq=10, issued=125 * CREDIT, free=60 * CREDIT)
    seen.wallet = replace(wallet, expired=59 * CREDIT)
    grant, hold = seen.transfers[2:4]
    seen.transfers[2:4] = [replace(hold, seq=3), replace(grant, seq=4)]
    event(4, balance=(60, 5, 2))(seen)
    event(13, balance=(60, 5, 2))(seen)
    assert seen.verdict() == set()
    event(13, balance=(60, 0, 2))(seen)  # the grant, begun before, is written after the balance query
    assert seen.verdict() == set()
    event(13, balance=(60, 0, 1))(seen)  # the second hold had been answered before
    assert seen.verdict() == {"a balance that never was, or no longer"}
    event(13, balance=(60, 5, 2))(seen)
    event(4, balance=(61, 5, 2))(seen)
    assert seen.verdict() == {"a grant answered a balance that was not so"}


Forgery = Callable[[World], object]


def event(n: int, **change: Any) -> Forgery:
    return lambda w: w.events.__setitem__(n - 1, replace(w.events[n - 1], **change))


def entry_at(seq: int, **change: Any) -> Forgery:
    return lambda w: w.transfers.__setitem__(seq - 1, replace(w.transfers[seq - 1], **change))


def job_at(n: int, **change: Any) -> Forgery:
    return lambda w: w.jobs.__setitem__(n, replace(w.jobs[n], **change))


REFUSED_AGAIN = (
    Event(n=14, kind="invoke", op="submit", owner=ANN, text="one", key="key"),
    Event(n=15, kind="fail", op="submit", of=14, http=402),
)
FORGERIES: dict[str, Forgery] = {
    "an acknowledged job is lost": lambda w: w.jobs.pop(0),
    "an acknowledged job is lost with its credit": lambda w: (w.jobs.pop(0), w.transfers.clear()),
    "the answer to another's request": event(2, job=CANCELLED),
    "more jobs than were asked for": lambda w: w.jobs.append(job("job-4", "two", "failed")),
    "more jobs than were asked for: refused": event(12, kind="fail", http=402),
    "a key was charged twice": lambda w: w.jobs.append(job("job-4", "one", "completed")),
    "a job nobody asked for": lambda w: w.jobs.append(job("job-4", "four", "failed")),
    "a job never ended": job_at(2, state="processing"),
    "a job without its hold": job_at(0, hold=2 * CREDIT),
    "a job's end and its price differ": job_at(0, state="failed"),
    "a hold without a job": lambda w: w.jobs.pop(2),
    "a hold was never resolved": lambda w: w.transfers.pop(),
    "credit is still held": lambda w: w.transfers.pop(),
    "a step was taken twice": entry_at(6, ref=SPOKEN),
    "an entry that nobody promised: given back elsewhere": entry_at(6, dst="paid"),
    "an entry that nobody promised: paid before free": entry_at(7, slot=11, src="paid", bucket="paid"),
    "an entry that nobody promised: another month's hold": entry_at(7, period=date(2026, 12, 1)),
    "an entry that nobody promised: taken twice": entry_at(8, ref=SPOKEN, slot=30),
    "more was taken than there was": entry_at(7, amount=90 * CREDIT),
    "gap in the sequence": lambda w: w.transfers.pop(2),
    "the wallet is not what its entries come to": lambda w: setattr(w, "wallet", replace(w.wallet, free=0)),
    "an answered balance is not the replayed one": event(2, said="Free credit used. 58 remaining."),
    "a balance that never was, or no longer": event(13, balance=(60, 5, 0)),
    "a balance that never was, or no longer: stale": event(13, balance=(59, 5, 1)),
    "a grant was lost, or given twice": entry_at(3, reason="grant 2"),
    "a grant nobody gave": entry_at(3, reason="grant 2"),
    "a grant of another amount": event(3, amount=6),
    "an answer came late": lambda w: w.events.append(Event(n=14, kind="late", op="POST v1", ms=8001)),
    "a grant answered a balance that was not so": event(4, balance=(60, 5, 1)),
    "a status went back": event(8, said="queued"),
    "what had been done was refused when it was asked for again": lambda w: w.events.extend(REFUSED_AGAIN),
    "a status went back: after a cancellation": event(13, op="status", job=CANCELLED, said="queued"),
    "a job was said to have ended otherwise": event(8, said="failed"),
    "a known job was not found": event(8, said="gone"),
    "a cancellation was lost": job_at(1, state="completed"),
    "a refund was lost": event(9, op="refund", job=SPOKEN),
    "an answer that nobody promised": event(2, kind="unknown", http=500),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_found(what: str) -> None:
    forged = world()
    FORGERIES[what](forged)
    assert what.partition(":")[0].removesuffix(" with its credit") in forged.verdict()


def test_finished_audio_that_is_gone_or_short_is_found(tmp_path: Path) -> None:
    assert world().verdict(tmp_path) == {"finished audio is not there"}
    (tmp_path / f"{SPOKEN}.wav").write_bytes(b"RI")
    assert world().verdict(tmp_path) == {"finished audio is not there"}


def test_a_history_goes_on_over_lives_and_forgets_a_line_cut_short(tmp_path: Path) -> None:
    first = History(tmp_path)
    n = first.add("invoke", "submit", owner=ANN, text="one")
    first.close()
    with next(tmp_path.glob("history-*")).open("ab") as file:
        file.write(b'{"n":2,"kind":"ok","op":"sub')  # killed while it wrote
    second = History(tmp_path)
    second.add("unknown", "submit", of=n)
    second.close()
    assert [(event.n, event.kind) for event in history.read(tmp_path)] == [(1, "invoke"), (2, "unknown")]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_storm_still_changes_the_sql(name: str) -> None:
    for file, was, becomes in MUTANTS[name].edits:
        assert was in (SQL / f"{file}.sql").read_text(encoding="utf-8")
        assert was != becomes
