"""What the admin routes share: transactions, the operation's actor and reason, responses."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from litestar import Response
from msgspec import Struct

from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.admin.operations import AdminOperation, operation_by
from app.domain.database import Database
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.scopes import ADMIN
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.worker_wakeup import WorkerWakeup
from app.http.bodies import AnyRequest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncSession

READ = {"scope": ADMIN}
POST = {"scope": ADMIN, "limit": "post"}
_NO_STORE = {"Cache-Control": "no-store"}
T = TypeVar("T")


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

    def connection(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """A session in a transaction; committed at the end of the block."""
        return self.database.session()

    session = connection

    def moment(self) -> "AbstractAsyncContextManager[AsyncSession]":
        """A session that only reads, in a transaction with one snapshot of all tables."""
        return self.database.session(snapshot=True)


class Reason(Struct, frozen=True, kw_only=True):
    """The body of an operation that needs only a reason."""

    reason: str


def operation_of(request: AnyRequest, reason: str) -> AdminOperation:
    """The caller's operation; an Idempotency-Key belongs to the caller's account. Raises Invalid."""
    return operation_by(request.scope["user"], reason=reason, key=request.headers.get("idempotency-key"))


def operation_response(answer: A, status: int = 200) -> Response[A]:
    """The response to an operation."""
    replayed = {"Idempotent-Replayed": "true"} if answer.code == "replayed" else {}
    return Response(answer, status_code=status, headers={**_NO_STORE, **replayed})


def json_response(found: T) -> Response[T]:
    """The response to a query."""
    headers: dict[str, Any] = _NO_STORE
    return Response(found, headers=headers)
