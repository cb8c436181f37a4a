"""What the admin routes share: transactions, the operation's actor and reason, responses."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from app.api.fields import ReasonText
from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.admin.operations import AdminOperation, operation_by
from app.domain.database import Database
from app.domain.errors import DomainError, Invalid, KeyReused
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principal
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.worker_wakeup import WorkerWakeup
from app.http.api_request import ApiRequest
from app.http.json_response import JsonResponse, replayed
from app.openapi.parameters import IdempotencyKey

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncSession


class OperationResult(Protocol):
    """The result of every admin operation; `code` says what happened."""

    @property
    def code(self) -> str: ...


A = TypeVar("A", bound=OperationResult)


class AdminContext(NamedTuple):
    """The components that admin operations need."""

    database: Database
    keys: KeyRing
    passwords: PasswordHasher
    wakeup: WorkerWakeup
    signals: JobNotifications
    keep_sealed: bool
    keys_max: int
    queue_wait_s: int
    jobs_waiting_max: int
    public_url: str  # the base URL of the pages; empty if not known

    def session(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """A session in a transaction; committed at the end of the block."""
        return self.database.session()

    def moment(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """A session that only reads, in a transaction with one snapshot of all tables."""
        return self.database.session(snapshot=True)


class Reason(Struct, frozen=True, kw_only=True):
    """The body of an operation that needs only a reason."""

    reason: ReasonText


class Operator(Struct, frozen=True):
    """The administrator who calls, with the Idempotency-Key, which belongs to the caller's account."""

    who: Principal
    key: str | None

    def operation(self, reason: str) -> AdminOperation:
        """The operation for this reason. Raises Invalid."""
        return operation_by(self.who, reason=reason, key=self.key)


async def operator(request: ApiRequest, idempotency_key: IdempotencyKey = None) -> Operator:
    """The dependency `operator` of each route that changes something."""
    return Operator(request.user, idempotency_key)


def changes(*errors: type[DomainError]) -> dict[str, Any]:
    """The `opt` of a route that changes something."""
    return {"limit": "post", "errors": (KeyReused, Invalid, *errors)}


def operation_response(answer: A) -> JsonResponse[A]:
    """The response to an operation."""
    return JsonResponse(answer, headers=replayed(answer.code == "replayed"))
