"""What every refusal is: a status, a stable code, and a message that says the next step."""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """A request refused. `fields` help the caller; `beside` stands next to the error in CodeVoice's shape."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None
    job_has_ended: bool = False  # told of a job that is over: its price is settled

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: int | None = None,
        beside: Mapping[str, str] | None = None,
        **fields: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        self.beside = dict(beside or {})
        self.fields = fields

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the status."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
