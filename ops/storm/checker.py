"""The verdict: the histories against the record, by a model in Python. Every answer given must bear out."""

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


def check(asked: ClientHistory, record: Record, objects: Path | None = None) -> list[Violation]:
    """Every broken promise. `objects`: the folder in which all finished audio must be."""
    books = _books(record)
    found = [violation for book in books.values() for violation in book.violations]
    found += [
        Violation("an answer that nobody promised", f"{o} {http} {code}") for o, http, code in asked.strange
    ]
    found += [Violation("an answer came late", f"{op} {ms} ms") for op, ms in asked.late]
    found += _jobs(asked, record, books)
    found += _requests(asked, record, books)
    found += _statuses(asked, record)
    found += _balances(asked, books)
    found += _grants(asked, books)
    if objects:
        found += _audio(record, objects)
    return found


def _books(record: Record) -> dict[str, Book]:
    entries: dict[str, list[Transfer]] = defaultdict(list)
    for entry in record.transfers:
        entries[entry.owner].append(entry)
    return {owner: Book(wallet).replay(entries[owner]) for owner, wallet in record.wallets.items()}


def _jobs(asked: ClientHistory, record: Record, books: dict[str, Book]) -> Iterator[Violation]:
    """Every job was asked for, has ended, and cost what its end says."""
    for job in record.jobs.values():
        if job.text not in asked.requests:
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


def _requests(asked: ClientHistory, record: Record, books: dict[str, Book]) -> Iterator[Violation]:
    """No acknowledgement is lost, nothing is done twice, and each answer was true when it was given."""
    by_text: dict[str, list[Job]] = defaultdict(list)
    by_key: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in record.jobs.values():
        by_text[job.text].append(job)
        request = asked.requests.get(job.text)
        if request and request.key:
            by_key[request.owner, request.key].append(job)
    for text, request in asked.requests.items():
        yield from _request(text, request, by_text[text], record, books)
    for (_, key), jobs in by_key.items():
        if sum(job.state == "completed" for job in jobs) > 1:
            yield Violation("a key was charged twice", key)
    for job in asked.refunded:
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


def _statuses(asked: ClientHistory, record: Record) -> Iterator[Violation]:
    """Queued, processing, over: never back, whoever looks; and the last word is the record's."""
    for job_id, looks in asked.looks.items():
        job = record.jobs.get(job_id)
        if job is None or any(look.said not in _RANK for look in looks):
            yield Violation("a known job was not found", job_id)
            continue
        end = _FINAL.get(job.state)
        if any(_RANK[look.said] == 2 and look.said != end for look in looks):
            yield Violation("a job was said to have ended otherwise", job_id)
        over_at = min(asked.cancelled.get(job_id, 1 << 62), asked.over.get(job_id, 1 << 62))
        for look in looks:
            before = [_RANK[other.said] for other in looks if other.n < look.since]
            if over_at < look.since:
                before.append(2)
            if max(before, default=0) > _RANK[look.said]:
                yield Violation("a status went back", f"{job_id} line {look.n}")
    for job_id in asked.cancelled:
        job = record.jobs.get(job_id)
        if job is None or job.state != "cancelled":
            yield Violation("a cancellation was lost", job_id)


def _balances(asked: ClientHistory, books: dict[str, Book]) -> Iterator[Violation]:
    """Balances looked at were there at some moment, and not before what the caller already knew."""
    for owner, sights in asked.sights.items():
        book, known = books[owner], _known(asked, books[owner], owner)
        for sight in sights:
            if not book.had(micro(sight.balance), since=known(sight.since)):
                yield Violation("a balance that never was, or no longer", f"{owner} line {sight.since}")


def _known(asked: ClientHistory, book: Book, owner: str) -> Callable[[int], int]:
    """The last entry that an answer received before a line had told of."""
    lines, seqs, last = list[int](), [0], 0
    for line, job in asked.told.get(owner, []):
        paid = book.jobs.get(job)
        last = max(last, paid.seq if paid else 0)
        lines.append(line)
        seqs.append(last)
    return lambda line: seqs[bisect_left(lines, line)]


def _grants(asked: ClientHistory, books: dict[str, Book]) -> Iterator[Violation]:
    for reason, grant in asked.grants.items():
        entries = books[grant.owner].grants.get(reason, [])
        if len(entries) > 1 or (grant.oks and not entries):
            yield Violation("a grant was lost, or given twice", reason)
        elif entries:
            yield from _grant(reason, grant, *entries[0], books[grant.owner])
    for book in books.values():
        yield from (
            Violation("a grant nobody gave", reason) for reason in book.grants.keys() - asked.grants.keys()
        )


def _grant(reason: str, grant: Grant, amount: int, after: State, book: Book) -> Iterator[Violation]:
    if amount != grant.amount * _MICRO:
        yield Violation("a grant of another amount", reason)
    for code, balance in grant.balances:
        told = micro(balance)
        is_first = code == "granted"
        is_true = book.is_after(after, told) if is_first else book.had(told, since=after.seq)
        if not is_true:
            yield Violation("a grant answered a balance that was not so", reason)


def _audio(record: Record, objects: Path) -> Iterator[Violation]:
    """What is said to be finished can be heard."""
    for job in record.jobs.values():
        if job.state == "completed":
            file = objects / (job.object or "none")
            if not file.is_file() or file.stat().st_size != job.audio_bytes:
                yield Violation("finished audio is not there", job.id)
