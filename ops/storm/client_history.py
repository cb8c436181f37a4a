"""The clients' requests and their responses, gathered from the histories by request, job and account."""

from collections.abc import Iterable

from msgspec import Struct, field

from ops.storm.history import Event


class Request(Struct):
    """One request as its caller intends it: sent once, or several times under one key."""

    owner: str
    key: str
    sends: int = 0
    refused: list[int] = field(default_factory=list)  # lines of sends that certainly had no effect
    known_at: dict[str, int] = field(default_factory=dict)  # job → line of its first answer
    answers: set[tuple[str, str]] = field(default_factory=set)  # job, message


class Grant(Struct):
    """One grant as the operator intends it."""

    owner: str
    amount: int
    oks: int = 0
    balances: list[tuple[str, tuple[int, int, int]]] = field(default_factory=list)  # code, and the balances


class StatusRead(Struct, frozen=True):
    """A status read, sent before line `since` and answered at line `n`."""

    n: int
    since: int
    said: str


class BalanceRead(Struct, frozen=True):
    """A read of an account's balances."""

    since: int
    balance: tuple[int, int, int]


class ClientHistory(Struct):
    """Everything the checker needs from the histories."""

    requests: dict[str, Request] = field(default_factory=dict)  # by text
    grants: dict[str, Grant] = field(default_factory=dict)  # by reason
    cancelled: dict[str, int] = field(default_factory=dict)  # job → line of the answer
    over: dict[str, int] = field(default_factory=dict)  # job too late to be cancelled → line of the response
    refunded: set[str] = field(default_factory=set)
    status_reads: dict[str, list[StatusRead]] = field(default_factory=dict)  # by job
    balance_reads: dict[str, list[BalanceRead]] = field(default_factory=dict)  # by owner
    acknowledged: dict[str, list[tuple[int, str]]] = field(
        default_factory=dict
    )  # owner → line and job of each ack
    late: list[tuple[str, int]] = field(default_factory=list)  # op, milliseconds
    strange: list[tuple[str, int, str]] = field(
        default_factory=list
    )  # op, status, code: not among the promised ones


# Every response that the storm's requests may get: anything else is a broken promise.
_PROMISED = {
    "submit": {200, 402, 429, 503, 0},
    "speak": {200, 402, 409, 422, 429, 503, 0},
    "cancel": {200, 409, 503, 0},
    "grant": {200, 503, 0},
    "refund": {200, 503, 0},
}
_MISUSED = 422  # a key reused for another request


def gather(events: Iterable[Event]) -> ClientHistory:
    """Read all histories, once."""
    gathered = ClientHistory()
    invokes: dict[int, Event] = {}
    for event in events:
        if event.kind == "invoke":
            invokes[event.n] = event
            _invoked(gathered, event)
        elif event.kind == "saw":
            _saw(gathered, event)
        elif event.kind == "late":
            gathered.late.append((event.op, event.ms))
        elif event.kind != "fault":
            _ended(gathered, invokes.pop(event.of), event)
    return gathered


def _invoked(gathered: ClientHistory, event: Event) -> None:
    if event.op in ("submit", "speak"):
        gathered.requests.setdefault(event.text, Request(event.owner, event.key)).sends += 1
    elif event.op == "grant":
        gathered.grants.setdefault(event.text, Grant(event.owner, event.amount))


def _saw(gathered: ClientHistory, event: Event) -> None:
    if event.op == "status":
        gathered.status_reads.setdefault(event.job, []).append(StatusRead(event.n, event.since, event.said))
    elif event.balance is not None:
        gathered.balance_reads.setdefault(event.owner, []).append(BalanceRead(event.since, event.balance))


def _ended(gathered: ClientHistory, invoke: Event, event: Event) -> None:
    if event.http not in _PROMISED[invoke.op] and not (invoke.op == "submit" and _is_misuse(event)):
        gathered.strange.append((invoke.op, event.http, event.said))
    match invoke.op:
        case "submit":
            _submitted(gathered, invoke, event)
        case "grant" if event.kind == "ok":
            grant = gathered.grants[invoke.text]
            grant.oks += 1
            if event.balance is not None:
                grant.balances.append((event.said, event.balance))
        case "cancel" if event.kind == "ok":
            gathered.cancelled.setdefault(invoke.job, event.n)
        case "cancel" if event.http == 409:
            gathered.over.setdefault(invoke.job, event.n)
        case "refund" if event.kind == "ok":
            gathered.refunded.add(invoke.job)
        case _:
            pass


def _is_misuse(event: Event) -> bool:
    return (event.http, event.said) == (_MISUSED, "idempotency_key_reused")


def _submitted(gathered: ClientHistory, invoke: Event, event: Event) -> None:
    request = gathered.requests[invoke.text]
    if event.kind == "ok":
        request.answers.add((event.job, event.said))
        request.known_at.setdefault(event.job, event.n)
        gathered.acknowledged.setdefault(invoke.owner, []).append((event.n, event.job))
    elif event.kind == "fail":
        request.refused.append(invoke.n)


def micro(balance: tuple[int, int, int]) -> tuple[int, int, int]:
    """Decimal credits, in micro-credits."""
    free, paid, held = (round(part * 1_000_000) for part in balance)
    return free, paid, held
