"""How a job ended, for callers: its audio, or the refusal that says why there is none."""

from app.domain.errors import DomainError, Gone, MissingText, NotReady, SpeechFailed, TextTooLong, Unavailable
from db.rows import JobStatus

_GONE = {
    "cancelled": "This job was cancelled; it has no audio.",
    "expired": "This job waited too long and has expired; it has no audio.",
    "failed": "This job failed; it has no audio.",
}


def check_audio(job: JobStatus) -> None:
    """Raise NotReady or Gone unless the job has audio to give."""
    if job.state in ("queued", "processing"):
        raise NotReady("The audio is not ready yet. Ask /tts/status until the job is completed.")
    if job.state != "completed":
        raise gone(_GONE[job.state])
    if job.audio_gone or job.object is None:
        raise gone("This audio was kept for its time and is gone. Generate it anew.")


def gone(error: str) -> Gone:
    """The refusal of audio that is no more, in words that pollers stop on."""
    return Gone(error, beside={"status": "failed", "error": error})


def failure(job: JobStatus) -> DomainError:
    """What a caller is told who waited for a job that came to nothing."""
    match job.state, job.code:
        case "failed", "nothing_to_say":
            return MissingText("There is nothing in the text that can be spoken.", field="text")
        case "failed", "audio_too_long":
            return TextTooLong("The audio of this text is too long. Send it in parts.", field="text")
        case "cancelled", _:
            return gone(_GONE["cancelled"])
        case "expired", _:
            return Unavailable("The request waited too long for an engine. Please send it again.")
        case _:
            return SpeechFailed(job.code or "failed")
