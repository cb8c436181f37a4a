"""The errors for transcription jobs that ended without a transcript."""

from app.domain.billing.settlement import settled_in_words
from app.domain.errors import AudioTooLong, BrokenAudio, Cancelled, DomainError, Unavailable, UnsupportedAudio
from db.storage.uploads import CONTAINERS
from db.types import TranscriptionJob

_BROKEN = {
    "broken_audio": "The file is damaged: no sound in it can be decoded.",
    "no_audio": "The file has no audio.",
    "external_reference": "The file refers to other files. Send one that holds its audio itself.",
    "sample_rate_not_supported": "The audio's sample rate must be from 4,000 to 192,000 Hz.",
    "too_many_channels": "The audio has too many channels; at most 8 are taken.",
    "audio_too_complex": "The file takes too much memory or time to decode.",
}


def unsupported() -> UnsupportedAudio:
    """The error for a file that does not begin like any supported audio file."""
    kinds = list(CONTAINERS)
    return UnsupportedAudio(
        f"This is not audio of a kind we take: {', '.join(kinds)}.", field="file", formats=kinds
    )


def of_transcription(job: TranscriptionJob, *, seconds_max: int) -> DomainError:
    """The error for a job that has ended without a transcript; it says what was charged."""
    settled = settled_in_words(job)
    if job.state == "cancelled":
        return Cancelled(f"The job was cancelled. {settled}")
    if job.state == "expired":
        return Unavailable(f"The job waited too long and has expired. {settled}")
    if job.code == "audio_too_long":
        message = f"The audio is longer than {seconds_max} seconds. Send it in parts. {settled}"
        return AudioTooLong(message, field="file", limit=seconds_max)
    if job.code == "unsupported_audio":
        return unsupported()
    if job.code in _BROKEN:
        return BrokenAudio(f"{_BROKEN[job.code]} {settled}", field="file", reason=job.code)
    return Unavailable(f"The transcript could not be made. {settled} Please try again.")
