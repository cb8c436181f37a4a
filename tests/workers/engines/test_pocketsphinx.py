"""PocketSphinx in confined children: the transcript, and the outcome for a recording whose child dies."""

import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from db.storage.transcripts import Segment
from tests.sounds import clips
from tests.workers.speaking import children, command, ends
from workers.engines.pocketsphinx import engine
from workers.engines.pocketsphinx.engine import ITEMS_A_SECOND, ITEMS_LEAST, PocketsphinxTranscriber, _read
from workers.engines.protocol import Interrupted, Refused
from workers.engines.transcriber import TranscriptionOptions

PAUSE = bytes(2 * 16_000)


@pytest.fixture(scope="module")
def transcriber() -> Iterator[PocketsphinxTranscriber]:
    with closing(PocketsphinxTranscriber()) as transcriber:
        yield transcriber


def recording(times: int = 1) -> bytes:
    """Stretches of speech, with pauses: a segment each."""
    return (clips()["lights"][0][44:] + PAUSE) * times


def segments(
    transcriber: PocketsphinxTranscriber, pcm: bytes, stopped: threading.Event | None = None
) -> Iterator[Segment]:
    return transcriber.transcribe(
        memoryview(pcm), TranscriptionOptions(), stopped or threading.Event()
    ).segments


def server() -> int:
    return [pid for pid in children(os.getpid()) if "pocketsphinx_server" in command(pid)][-1]


def kill_child() -> None:
    (child,) = children(server())
    os.kill(child, signal.SIGKILL)
    assert ends(child)


def test_speech_is_transcribed(transcriber: PocketsphinxTranscriber) -> None:
    [segment] = segments(transcriber, recording())
    assert segment.text == "please turn off the lights"


def test_a_recording_is_transcribed_alike_whatever_came_before(transcriber: PocketsphinxTranscriber) -> None:
    first = list(segments(transcriber, recording(2)))
    list(segments(transcriber, clips()["station"][0][44:]))
    assert list(segments(transcriber, recording(2))) == first


def test_a_recording_whose_child_was_killed_is_transcribed_whole_by_another(
    transcriber: PocketsphinxTranscriber,
) -> None:
    whole = list(segments(transcriber, recording(3)))
    found = segments(transcriber, recording(3))
    received = [next(found)]
    kill_child()
    received += found
    assert len(received) == 3
    assert received == whole


def test_a_recording_over_which_two_children_die_is_broken(transcriber: PocketsphinxTranscriber) -> None:
    received = list[Segment]()
    killed = ((received.append(segment), kill_child()) for segment in segments(transcriber, recording(6)))
    with pytest.raises(Refused, match="broken_audio"):
        list(killed)
    assert [segment.id for segment in received] == [0, 1]
    assert list(segments(transcriber, recording()))


def test_a_recording_that_is_stopped_is_interrupted(transcriber: PocketsphinxTranscriber) -> None:
    stopped = threading.Event()
    found = segments(transcriber, recording(6), stopped)
    next(found)
    (child,) = children(server())
    stopped.set()
    with pytest.raises(Interrupted):
        list(found)
    assert ends(child, within_s=60)  # at its next answer


def test_a_server_killed_with_its_children_is_no_fault_of_the_recording(
    transcriber: PocketsphinxTranscriber,
) -> None:
    found = segments(transcriber, recording(3))
    next(found)
    os.killpg(server(), signal.SIGKILL)
    with pytest.raises(Interrupted):
        list(found)
    assert list(segments(transcriber, recording()))


def test_a_closed_transcriber_leaves_nothing() -> None:
    transcriber = PocketsphinxTranscriber()
    found = segments(transcriber, recording(3))
    next(found)
    processes = [server(), *children(server())]
    transcriber.close()
    assert all(ends(pid) for pid in processes)
    with pytest.raises(Interrupted):
        list(found)
    with pytest.raises(Interrupted):
        list(segments(transcriber, recording()))


def test_a_recording_over_which_two_children_hang_is_refused() -> None:
    with closing(PocketsphinxTranscriber(stall_s_least=-60)) as transcriber:
        with pytest.raises(Refused, match="broken_audio"):
            list(segments(transcriber, recording(9)))


def test_a_child_that_hangs_is_given_up_and_another_one_transcribes_the_rest() -> None:
    with closing(PocketsphinxTranscriber(stall_s_least=5)) as transcriber:
        found = segments(transcriber, recording(3))
        received = [next(found)]
        (child,) = children(server())
        os.kill(child, signal.SIGSTOP)
        received += found
    assert [segment.text for segment in received] == ["please turn off the lights"] * 3


def answers(*lines: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(b"".join(line + b"\n" for line in lines)))


def spoken(words: int, text: str = "word", at: float = 1.0) -> bytes:
    return json.dumps({"start": 0, "end": 2, "words": [(text, at, at)] * words}).encode()


def test_no_more_words_are_accepted_than_can_have_been_spoken() -> None:
    most = ITEMS_LEAST + ITEMS_A_SECOND * 3
    assert len(list(_read(answers(*[spoken(1)] * (most // 2), b""), 3))) == most // 2
    for lines in ([spoken(1)] * most, [spoken(0)] * (most + 1), [spoken(most)], [spoken(0) + b" " * 70_000]):
        with pytest.raises(ConnectionError):
            list(_read(answers(*lines, b""), 3))


MALFORMED = (
    *(b"{", b"[" * 5000, b"\xff", b'{"start":0,"end":1,"words":[["\xff",0,0]]}', b'"\\ud800"', b"nan"),
    *(spoken(1, "w" * 51), spoken(1, ""), spoken(1, "a\0b"), spoken(1, "a\n"), spoken(1, at=-1.0)),
    *(spoken(1, at=1e9), b'{"start":0,"end":1e999,"words":[]}'),
)


@pytest.mark.parametrize("line", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_answer_counts_as_a_childs_death(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_read", lambda _, seconds: _read(answers(line, b""), seconds))
    with closing(PocketsphinxTranscriber()) as transcriber:
        with pytest.raises(Refused, match="broken_audio"):
            list(segments(transcriber, recording()))
