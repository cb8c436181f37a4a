"""The verdict: checks the histories against the database, by a model in Python. Every response must hold."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from ops.storm.client_history import ClientHistory, Grant, Request, micro
from ops.storm.model import Book, Paid, State, Violation
from ops.storm.record import Job, Record, Transfer

_FINAL = {"completed": "completed", "failed": "failed", "cancelled": "failed", "expired": "failed"}
_RANK = {"queued": 0, "processing": 1, "completed": 2, "failed": 2}
_MICRO = 1_000_000


def check(history: ClientHistory, record: Record, objects: Path | None = None) -> list[Violation]:
    """Every broken promise. `objects`: the folder that must contain all finished audio."""
    books = _books(record)
    found = [violation for book in books.values() for violation in book.violations]
    found += [
        Violation("an answer that nobody promised", f"{o} {http} {code}") for o, http, code in history.strange
    ]
    found += [Violation("an answer came late", f"{op} {ms} ms") for op, ms in history.late]
    found += _jobs(history, record, books)
    found += _requests(history, record, books)
    found += _statuses(history, record)
    found += _balances(history, books)
    found += _grants(history, books)
    if objects:
        found += _audio(record, objects)
    return found


def _books(record: Record) -> dict[str, Book]:
    entries: dict[str, list[Transfer]] = defaultdict(list)
    for entry in record.transfers:
        entries[entry.owner].append(entry)
    return {owner: Book(wallet).replay(entries[owner]) for owner, wallet in record.wallets.items()}


def _jobs(history: ClientHistory, record: Record, books: dict[str, Book]) -> Iterator[Violation]:
    """Every job was requested, has ended, and cost what its end state says."""
    for job in record.jobs.values():
        if job.text not in history.requests:
            yield Violation("a job nobody asked for", job.id)
        if job.state not in _FINAL:
            yield Violation("a job never ended", job.id)
        paid = books[job.owner].jobs.get(job.id)
        if paid is None or sum(amount for amount, _ in paid.holds.values()) != job.hold:
            yield Violation("a job without its hold", job.id)
        elif sum(paid.spent.values()) != (job.hold if job.state == "completed" else 0):
            yield Violation("a job's end and its price differ", job.id)
    for owner, book in books.items():
        yield from (
            Violation("a hold without a job", f"{owner} {ref}")
            for ref in book.jobs.keys() - record.jobs.keys()
        )


def _requests(history: ClientHistory, record: Record, books: dict[str, Book]) -> Iterator[Violation]:
    """No acknowledgement is lost, nothing is done twice, and each response was true when it was given."""
    by_text: dict[str, list[Job]] = defaultdict(list)
    by_key: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in record.jobs.values():
        by_text[job.text].append(job)
        request = history.requests.get(job.text)
        if request and request.key:
            by_key[request.owner, request.key].append(job)
    for text, request in history.requests.items():
        yield from _request(text, request, by_text[text], record, books)
    for (_, key), jobs in by_key.items():
        if sum(job.state == "completed" for job in jobs) > 1:
            yield Violation("a key was charged twice", key)
    for job in history.refunded:
        found = record.jobs.get(job)
        paid = books[found.owner].jobs.get(job) if found else None
        if paid is None or paid.refunded != paid.spent:
            yield Violation("a refund was lost", job)


def _request(
    text: str, request: Request, jobs: list[Job], record: Record, books: dict[str, Book]
) -> Iterator[Violation]:
    if len(jobs) > request.sends - len(request.refused):
        yield Violation("more jobs than were asked for", text)
    done_at = [line for job, line in request.known_at.items() if _is_done(record.jobs.get(job))]
    if done_at and max(request.refused, default=0) > min(done_at):
        yield Violation("what had been done was refused when it was asked for again", text)
    for job_id, message in request.answers:
        job = record.jobs.get(job_id)
        if job is None:
            yield Violation("an acknowledged job is lost", job_id)
        elif (job.text, job.owner) != (text, request.owner):
            yield Violation("the answer to another's request", job_id)
        else:
            paid = books[job.owner].jobs.get(job_id)
            if paid and message not in _messages(paid):
                yield Violation("an answered balance is not the replayed one", f"{job_id}: {message}")


def _is_done(job: Job | None) -> bool:
    return job is not None and job.state == "completed"


def _messages(paid: Paid) -> tuple[str, ...]:
    left = f"{paid.remaining // _MICRO} remaining."
    return {
        "free": (f"Free credit used. {left}", f"Monthly API credit used. {left}"),
        "paid": (f"Paid credit used. {left}", f"Extra credit used. {left}"),
        "issued": ("Unlimited account.",),
    }.get(paid.bucket, ())


def _statuses(history: ClientHistory, record: Record) -> Iterator[Violation]:
    """Queued, processing, over: never back, whichever client polls; the final state is the database's."""
    for job_id, reads in history.status_reads.items():
        job = record.jobs.get(job_id)
        if job is None or any(read.said not in _RANK for read in reads):
            yield Violation("a known job was not found", job_id)
            continue
        end = _FINAL.get(job.state)
        if any(_RANK[read.said] == 2 and read.said != end for read in reads):
            yield Violation("a job was said to have ended otherwise", job_id)
        over_at = min(history.cancelled.get(job_id, 1 << 62), history.over.get(job_id, 1 << 62))
        for read in reads:
            before = [_RANK[other.said] for other in reads if other.n < read.since]
            if over_at < read.since:
                before.append(2)
            if max(before, default=0) > _RANK[read.said]:
                yield Violation("a status went back", f"{job_id} line {read.n}")
    for job_id in history.cancelled:
        job = record.jobs.get(job_id)
        if job is None or job.state != "cancelled":
            yield Violation("a cancellation was lost", job_id)


def _balances(history: ClientHistory, books: dict[str, Book]) -> Iterator[Violation]:
    """Balances read existed at some moment, and not before what the caller already knew."""
    for owner, reads in history.balance_reads.items():
        book, known = books[owner], _known(history, books[owner], owner)
        for read in reads:
            if not book.had(micro(read.balance), since=known(read.since)):
                yield Violation("a balance that never was, or no longer", f"{owner} line {read.since}")


def _known(history: ClientHistory, book: Book, owner: str) -> Callable[[int], int]:
    """The last entry known to the caller from a response received before a line."""
    lines, seqs, last = list[int](), [0], 0
    for line, job in history.acknowledged.get(owner, []):
        paid = book.jobs.get(job)
        last = max(last, paid.seq if paid else 0)
        lines.append(line)
        seqs.append(last)
    return lambda line: seqs[bisect_left(lines, line)]


def _grants(history: ClientHistory, books: dict[str, Book]) -> Iterator[Violation]:
    for reason, grant in history.grants.items():
        entries = books[grant.owner].grants.get(reason, [])
        if len(entries) > 1 or (grant.oks and not entries):
            yield Violation("a grant was lost, or given twice", reason)
        elif entries:
            yield from _grant(reason, grant, *entries[0], books[grant.owner])
    for book in books.values():
        yield from (
            Violation("a grant nobody gave", reason) for reason in book.grants.keys() - history.grants.keys()
        )


def _grant(reason: str, grant: Grant, amount: int, after: State, book: Book) -> Iterator[Violation]:
    if amount != grant.amount * _MICRO:
        yield Violation("a grant of another amount", reason)
    for code, balance in grant.balances:
        answered = micro(balance)
        is_first = code == "granted"
        is_true = book.is_after(after, answered) if is_first else book.had(answered, since=after.seq)
        if not is_true:
            yield Violation("a grant answered a balance that was not so", reason)


def _audio(record: Record, objects: Path) -> Iterator[Violation]:
    """Audio of completed jobs exists in the store."""
    for job in record.jobs.values():
        if job.state == "completed":
            file = objects / (job.object or "none")
            if not file.is_file() or file.stat().st_size != job.audio_bytes:
                yield Violation("finished audio is not there", job.id)
