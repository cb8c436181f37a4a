"""A first utterance without a listener, so that the first caller does not wait for kernels and caches."""

import uuid

from workers.engines.protocol import Engine, Utterance

_TEXT = "One, two."


def warm_up(engine: Engine) -> None:
    """Speak a few words to their end. Exceptions pass through: what fails here would fail every job."""
    voice = engine.capabilities.voices[0]
    utterance = Utterance(job_id=uuid.UUID(int=0), text=_TEXT, voice=voice.id, language=voice.languages[0])
    [speech] = engine.begin([utterance])
    try:
        for _ in speech:
            pass
    finally:
        speech.close()
