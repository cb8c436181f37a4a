"""The base class of domain errors: an HTTP status, a stable code, and a message with the next step."""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """A refused request. `fields` are details of the error; `beside` goes next to it in CodeVoice's shape."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None
    job_has_ended: bool = False  # the error is the outcome of a job that has ended: its price is settled

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
        """The response headers that belong to the status."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
