"""The error that a caller waiting for a failed job receives."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace

from app.domain.speech.outcomes import failure
from db.types import JobStatus

FAILED = JobStatus(
    id=UUID(int=1),
    owner=UUID(int=2),
    engine="espeak",
    state="failed",
    attempt=1,
    code="worker_lost",
    created_at=datetime(2026, 11, 30, tzinfo=UTC),
    finished_at=datetime(2026, 11, 30, tzinfo=UTC),
    object=None,
    content_type=None,
    audio_bytes=None,
    duration_ms=None,
    sha256=None,
    audio_gone=None,
    format="wav",
    spent=0,
    refunded=0,
)


@pytest.mark.parametrize(
    ("code", "reported", "status"),
    [
        ("unspeakable_text", "unspeakable_text", 422),
        ("unsupported_script", "unsupported_script", 422),
        ("nothing_to_say", "missing_text", 422),
        ("worker_lost", "speech_failed", 503),
    ],
)
def test_a_failure_code_becomes_its_error_and_status(code: str, reported: str, status: int) -> None:
    error = failure(replace(FAILED, code=code))
    assert (error.code, error.status) == (reported, status)
    assert error.job_has_ended
