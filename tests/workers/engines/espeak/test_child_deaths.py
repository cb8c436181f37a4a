"""A text whose child dies is begun again once; a second death is the text's fault, or ours."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.workers.speaking import LONG, begin, children, ends, say, server, utterance
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Interrupted, Refused
from workers.process.launcher import limit_waits

POISON = "a." * 250  # it overflows a buffer on the stack of eSpeak NG 1.52


@pytest.fixture
def engine() -> Iterator[EspeakEngine]:
    with closing(EspeakEngine()) as engine:
        yield engine


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert ends(pid)


def test_a_text_over_which_two_children_die_is_unspeakable(engine: EspeakEngine) -> None:
    for _ in range(3):
        with pytest.raises(Refused, match="unspeakable_text"):
            say(engine, utterance(POISON))
    assert say(engine, utterance())


def test_text_before_the_poison_is_spoken_once(engine: EspeakEngine) -> None:
    text = f"The quick brown fox.\n\n{'U.S.A.' * 150}"
    received = list[bytes]()
    with pytest.raises(Refused, match="unspeakable_text"):
        received.extend(begin(engine, utterance(text)))  # extend keeps what came before an error
    fox = say(engine, utterance("The quick brown fox.\n\n"))[:20_000]
    assert b"".join(received).startswith(fox)
    assert b"".join(received).count(fox[10_000:]) == 1


def test_a_text_whose_child_was_killed_is_spoken_whole_by_another(engine: EspeakEngine) -> None:
    whole = say(engine, utterance(LONG))
    audio = iter(begin(engine, utterance(LONG)))
    received = [next(audio), next(audio), next(audio)]
    for child in children(server()):
        kill(child)
    received += audio
    assert b"".join(received) == whole


def test_a_text_whose_children_are_killed_twice_is_unspeakable(engine: EspeakEngine) -> None:
    killed = (kill(child) for _ in begin(engine, utterance(LONG)) for child in children(server()))
    with pytest.raises(Refused, match="unspeakable_text"):
        list(killed)
    assert say(engine, utterance())


def test_a_server_killed_with_its_children_is_no_fault_of_the_text(engine: EspeakEngine) -> None:
    audio = iter(begin(engine, utterance(LONG)))
    next(audio)
    os.killpg(server(), signal.SIGKILL)
    with pytest.raises(Interrupted):
        list(audio)
    assert say(engine, utterance())


def test_a_child_that_dies_after_its_server_is_no_fault_of_the_text(engine: EspeakEngine) -> None:
    audio = iter(begin(engine, utterance(LONG)))
    next(audio)
    its_server = server()
    (child,) = children(its_server)
    os.kill(its_server, signal.SIGSTOP)  # or it would take its child along when it ends
    os.kill(its_server, signal.SIGKILL)
    assert ends(its_server)
    kill(child)
    with pytest.raises(Interrupted):
        list(audio)


def test_a_child_that_dies_of_being_closed_is_no_fault_of_the_text(engine: EspeakEngine) -> None:
    speech = begin(engine, utterance(LONG))
    audio = iter(speech)
    next(audio)
    (child,) = children(server())
    speech.close()
    assert ends(child)
    with pytest.raises(Interrupted):
        list(audio)


def test_a_text_whose_child_stops_in_the_middle_is_spoken_whole_by_another() -> None:
    with closing(EspeakEngine()) as other:
        whole = say(other, utterance(LONG))
    with closing(EspeakEngine(stall_s_max=2)) as engine:
        audio = iter(begin(engine, utterance(LONG)))
        received = [next(audio)]
        (child,) = children(server())
        os.kill(child, signal.SIGSTOP)
        received += audio
    assert b"".join(received) == whole


def test_a_text_over_which_two_children_stop_is_unspeakable() -> None:
    with closing(EspeakEngine(stall_s_max=2)) as engine:
        audio = begin(engine, utterance(LONG))
        stopped = (os.kill(child, signal.SIGSTOP) for _ in audio for child in children(server()))
        with pytest.raises(Refused, match="unspeakable_text"):
            list(stopped)


def test_a_child_that_never_begins_is_no_fault_of_the_text(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    limit_waits(ours, 0.1)
    monkeypatch.setattr(engine._server, "ask", lambda *_: ours)
    with theirs, pytest.raises(Interrupted):
        say(engine, utterance())


@pytest.mark.parametrize("frame", [b"\x03\0\0\0abc", b"\xff\xff\xff\xff", b"\x04\0\0\0ab", b"\x01\0"])
def test_a_malformed_frame_counts_as_a_childs_death(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch, frame: bytes
) -> None:
    def ask(*_: object) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(frame)
        return ours

    monkeypatch.setattr(engine._server, "ask", ask)
    with pytest.raises(Refused, match="unspeakable_text"):
        say(engine, utterance())
