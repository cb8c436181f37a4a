"""Compares what every interface reports of a job, and what the ledger has, with what is due."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.findings.accounts import FREE
from tests.stack import Running

from .cases import Cell, due
from .customer import Customer, Line
from .driver import Outcome

_NOT_CHARGED = re.compile(
    r"returned|not charged|(nothing|no credit) (was|is|will be) charged|costs? nothing|is free", re.IGNORECASE
)
_CHARGED = re.compile(r"(was|were|is) (charged|paid|spent)|costs? (its|the) (price|credit)", re.IGNORECASE)
_CREDITS = re.compile(r"Credits (\d+) Id")


class Violation(Struct, frozen=True):
    """Something that is not as it should be. `job` is empty where it is about an account as a whole."""

    cell: str
    what: str
    job: str = ""


def booked(stack: Running) -> dict[str, int]:
    """What each job cost by the ledger, in micro-credits: posted, less what was refunded."""
    done = stack.run("ledger", "export", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = defaultdict(int)
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        found[entry["ref"]] += entry["amount_micro"] * ((entry["dst"] == "spent") - (entry["src"] == "spent"))
    return found


def check_account(
    customer: Customer, outcomes: Sequence[Outcome], ledger: dict[str, int]
) -> Iterator[Violation]:
    """What is wrong about one customer's jobs, and about all of them together."""
    if not outcomes:
        return
    customer.all_ended()
    lines, charged = customer.history(), 0
    for outcome in outcomes:
        cell, line = outcome.case.cell, lines.get(outcome.case.token)
        if line is None:
            yield Violation(name(cell), "no such job in the history")
            continue
        charged += due(cell, outcome.given_bytes).charged
        for what in _check_job(customer, outcome, line, ledger):
            yield Violation(name(cell), what, line.job)
    for what in _check_balance(customer, charged):
        yield Violation(f"{outcomes[0].case.cell.dialect}, all of an account", what)


def name(cell: Cell) -> str:
    return f"{cell.dialect} {cell.ending} {'with audio' if cell.has_audio else 'without audio'}"


def _check_job(customer: Customer, outcome: Outcome, line: Line, ledger: dict[str, int]) -> Iterator[str]:
    cell = outcome.case.cell
    if cell.has_audio != (outcome.given_bytes > 0):
        yield f"{outcome.given_bytes} bytes came, with status {outcome.status}: {outcome.words[:200]}"
    wanted = due(cell, outcome.given_bytes)
    own = customer.ask("GET", f"/v1/jobs/{line.job}").json()
    seen = {
        "the job": (own["status"], own["credits"]),
        "the history page": (line.state, float(line.credits)),
        "the ledger": (wanted.state, ledger.get(line.job, 0) / 1e6),
    }
    for place, found in seen.items():
        if found != (wanted.state, wanted.charged):
            yield f"{place} says {found}, due is {(wanted.state, wanted.charged)}"
    if not _is_reported(own.get("settlement", ""), state=own["status"], micro=ledger.get(line.job, 0)):
        yield f"the job says: {own.get('settlement')}"
    yield from _check_status(customer, line.job, own["settlement"], charged=wanted.charged)
    yield from _check_page(customer, line.job, own["settlement"], charged=wanted.charged)
    if _contradicts(outcome.words, charged=wanted.charged):
        yield f"the answer says: {outcome.words[:200]}"


def _is_reported(sentence: str, *, state: str, micro: int) -> bool:
    """Whether that is what the ledger has of the job. Each costs a credit, or nothing."""
    if not micro:
        return sentence.startswith("Nothing was charged") and "1 credit" not in sentence
    assert micro == 1_000_000
    due = "1 credit was charged" + (
        "" if state == "completed" else " for the audio that was given to a listener"
    )
    return sentence == f"{due}."


def _check_status(customer: Customer, job: str, settlement: str, *, charged: bool) -> Iterator[str]:
    status = customer.status(job)
    if status.get("credits") != charged:
        yield f"the status says credits: {status.get('credits')}"
    if status["status"] == "failed" and not status["error"].endswith(f" {settlement}"):
        yield f"the status says: {status['error']}"
    if status.get("charged") is not charged:
        yield f"the status says charged: {status.get('charged')}"
    if _contradicts(status.get("error", ""), charged=charged):
        yield f"the status says: {status['error']}"
    if status["status"] == "failed" and not status.get("error"):
        yield "the status says no error"


def _check_page(customer: Customer, job: str, settlement: str, *, charged: bool) -> Iterator[str]:
    page = customer.page_of(job)
    if settlement not in page:
        yield f"the job's page says: {page[:200]}"
    credits = _CREDITS.search(page)
    if credits is None or int(credits[1]) != charged:
        yield f"the job's page shows other credits: {page[:200]}"
    if _contradicts(page, charged=charged):
        yield f"the job's page says: {page[:200]}"


def _contradicts(words: str, *, charged: bool) -> bool:
    if _NOT_CHARGED.search(words):
        return charged
    return bool(_CHARGED.search(words)) and not charged


def _check_balance(customer: Customer, charged: int) -> Iterator[str]:
    credits = customer.credits()
    usage = customer.ask("GET", "/api/user/dashboard").json()["usage"]
    yourvoic = customer.ask("GET", "/api/v1/credits").json()["credits"]
    seen = {
        "credits": FREE - credits["total_remaining"],
        "YourVoic's credits": FREE - yourvoic["balance"],
        "usage": sum(day["credits"] for day in usage["by_day"]),
    }
    for place, spent in seen.items():
        if spent != charged:
            yield f"{place} say {spent} spent, due is {charged}"
    if credits["held"]:
        yield f"{credits['held']} credits are still held"
