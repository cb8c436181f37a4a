"""Many callers at once: nothing mixed up, nothing charged twice, nothing lost."""

import hashlib
import struct
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from ops.bench.duplicates import duplicates_in
from ops.stack.running import running_stack
from tests.e2e.clients.programs import download, poll
from workers.audio.encoder import wav_header
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Utterance

from .conftest import Stack

VOICES = ("espeak-ryan", "espeak-peter", "espeak-emma", "espeak-james")
JOBS = 200
CLIENTS = 20


def spoken(engine: EspeakEngine, text: str, voice: str) -> bytes:
    """The file this text and voice must give: the engine is deterministic."""
    language = next(v.languages[0] for v in engine.capabilities.voices if v.id == voice)
    utterance = Utterance(job_id=uuid.uuid4(), text=text, voice=voice, language=language)
    pcm = b"".join(engine.begin([utterance])[0])
    return wav_header(len(pcm), 22050) + pcm


def test_200_jobs_of_20_clients_each_return_their_own_audio(stack: Stack) -> None:
    stack.grant(JOBS)
    before = stack.credits()
    wanted = [(f"This is sentence number {n}.", VOICES[n % 4]) for n in range(JOBS)]

    def client(text: str, voice: str) -> bytes:
        return download(stack, poll(stack, stack.speak(text, voice)))

    with ThreadPoolExecutor(CLIENTS) as clients:
        got = list(clients.map(lambda want: client(*want), wanted))
    with closing(EspeakEngine()) as engine:
        mixed_up = [want for want, file in zip(wanted, got, strict=True) if file != spoken(engine, *want)]
    after = stack.credits()
    assert mixed_up == []
    assert len({hashlib.sha256(file).digest() for file in got}) == JOBS
    assert before["total_remaining"] - after["total_remaining"] == JOBS
    assert after["held"] == 0
    assert stack.audit_is_clean()


def test_a_wav_header_has_the_length_of_its_audio() -> None:
    assert struct.unpack("<I", wav_header(100, 22050)[40:])[0] == 100


def test_copies_of_a_request_sent_at_once_are_one_job_a_key(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(
        CODEVOICE_POSTS_PER_MINUTE="60000",
        CODEVOICE_POSTS_BURST="10000",
        CODEVOICE_ACCOUNT_POSTS_PER_MINUTE="60000",
        CODEVOICE_ACCOUNT_POSTS_BURST="10000",
    )
    figures = duplicates_in(running_stack(stack.environ), keys=10, copies=20, clients=40)

    assert (figures["requests"], figures["replayed"]) == (200, 190)
    assert figures["answers"] == figures["jobs"] == figures["holds"] == 10
