"""The outcome of a speech job for its caller: whether it has audio, else the error that says why not."""

from app.domain.billing.settlement import Settled, settled_in_words
from app.domain.errors import (
    DomainError,
    Gone,
    MissingText,
    NotReady,
    SpeechFailed,
    TextTooLong,
    Unavailable,
    UnspeakableText,
    UnsupportedScript,
)
from db.types import JobStatus

_GONE = {
    "cancelled": "This job was cancelled; it has no audio.",
    "expired": "This job waited too long and has expired; it has no audio.",
    "failed": "This job failed; it has no audio.",
}


def check_audio(job: JobStatus) -> None:
    """Raise NotReady or Gone unless the job has audio."""
    if job.state in ("queued", "processing"):
        raise NotReady("The audio is not ready yet. Ask /tts/status until the job is completed.")
    if job.state != "completed":
        raise gone(_GONE[job.state])
    if job.audio_gone or job.object is None:
        raise gone("This audio was kept for its time and is gone. Generate it anew.")


def gone(error: str) -> Gone:
    """The error for audio that does not exist any more, with the body that ends clients' polling."""
    return Gone(error, beside={"status": "failed", "error": error})


def failure(job: JobStatus) -> DomainError:
    """The error for a caller who waited for a job that has no audio; it says whether it was charged."""
    error = _failure(job)
    error.job_has_ended = True
    return error


def outcome_in_words(code: str, job: Settled) -> str:
    """How a job that did not complete has ended, and what was charged: for status polls."""
    return f"{_OUTCOMES.get(code, _FAILED)} {settled_in_words(job)}"


_FAILED = "It could not be made."
_OUTCOMES = {
    "cancelled": "The job was cancelled.",
    "expired": "The job waited too long and has expired.",
    "worker_lost": "The engine broke down over this job; please try again.",
    "broken_off": "A failure of ours cut off the audio; please try again.",
    "nothing_to_say": "There is nothing in the text that can be spoken.",
    "audio_too_long": "The audio of this text is too long; send it in parts.",
    "unspeakable_text": "The engine cannot speak this text; change it, or send it in parts.",
    "unsupported_script": "This voice does not read the text's script; choose a voice of its language.",
}


def _failure(job: JobStatus) -> DomainError:
    match job.state, job.code:
        case "failed", "unspeakable_text":
            words = outcome_in_words("unspeakable_text", job)
            return UnspeakableText(words, field="text")
        case "failed", "unsupported_script":
            words = outcome_in_words("unsupported_script", job)
            return UnsupportedScript(words, field="text")
        case "failed", "nothing_to_say":
            return MissingText(outcome_in_words("nothing_to_say", job), field="text")
        case "failed", "audio_too_long":
            words = outcome_in_words("audio_too_long", job)
            return TextTooLong(words, field="text")
        case "cancelled", _:
            return gone(f"{_GONE['cancelled']} {settled_in_words(job)}")
        case "expired", _:
            settled = settled_in_words(job)
            return Unavailable(f"The request waited too long for an engine. {settled} Please send it again.")
        case _:
            return SpeechFailed(job.code or "failed", settled_in_words(job))
