"""The neural engines' common part, with a scripted model in real confined children."""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from db.settings import SettingsError
from db.types import Capabilities
from tests.workers.conftest import VOICE
from tests.workers.speaking import children, command, ends
from workers.engines.neural import engine as neural
from workers.engines.neural.children import Child, Program
from workers.engines.neural.engine import NeuralEngine, live_max
from workers.engines.neural.model import Hello, Piece
from workers.engines.protocol import Interrupted, Refused, Synthesis, Utterance


class Scripted:
    """A family whose texts are pieces apart by `|`."""

    slots = 8
    capabilities = Capabilities(
        engine="scripted",
        kind="speech",
        voices=(VOICE,),
        sample_rate_hz=1000,
        formats=("pcm",),
        characters_max=1000,
        cost_us_per_character=1,
    )

    def __init__(
        self,
        *,
        children: int = 1,
        idle_s: float | None = None,
        folders: Mapping[str, str] | None = None,
        kind: str = "hibari",
        **program: Any,
    ) -> None:
        self.children = self.files_at_once = children
        self.idle_s = idle_s
        self.program = Program(
            kind=kind, module="tests.workers.scripted_model", folders=lambda: folders or {}, **program
        )

    def pieces(self, utterance: Utterance) -> Iterator[Piece]:
        for text in utterance.text.split("|"):
            yield Piece(text=text, voice=utterance.voice, language=utterance.language)


@contextmanager
def started(**how: Any) -> Generator[NeuralEngine]:
    engine = NeuralEngine(Scripted(**how))
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[NeuralEngine]:
    with started() as engine:
        yield engine


def begin(engine: NeuralEngine, text: str, *, live: bool = False) -> Synthesis:
    utterance = Utterance(job_id=UUID(int=1), text=text, voice="v", language="en", live=live)
    (speech,) = engine.begin([utterance])
    return speech


def say(engine: NeuralEngine, text: str) -> bytes:
    return b"".join(begin(engine, text))


def given(speech: Synthesis) -> tuple[bytes, str]:
    """The audio, and the refusal or interruption it ended with."""
    audio = b""
    try:
        for pcm in speech:
            audio += pcm
    except (Refused, Interrupted) as error:
        return audio, str(error)
    return audio, "complete"


def servers() -> list[int]:
    return [pid for pid in children(os.getpid()) if "neural_server" in command(pid)]


def child_of(server: int) -> int:
    deadline = time.monotonic() + 20
    while not (found := children(server)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found[-1]


def test_pieces_are_spoken_in_order_and_independently_of_earlier_ones(engine: NeuralEngine) -> None:
    alone = say(engine, "say 250|say 30")
    assert len(alone) == 2 * 280
    assert alone == say(engine, "say 250") + say(engine, "say 30")
    with started(children=2) as other:
        assert say(other, "say 250|say 30") == alone


def test_a_model_that_cannot_be_forked_speaks_in_its_server(engine: NeuralEngine) -> None:
    with started(kind="cuda", folders={"alone": ""}) as alone:
        assert say(alone, "say 250|say 30") == say(engine, "say 250|say 30")
        server = servers()[-1]
        assert children(server) == []
        assert given(begin(alone, "say 10|say 10 refuse nothing_to_say"))[1] == "nothing_to_say"
        os.kill(server, signal.SIGKILL)
        assert say(alone, "say 30") == say(engine, "say 30")


def test_one_child_speaks_many_pieces(engine: NeuralEngine) -> None:
    say(engine, "say 10")
    before = child_of(servers()[-1])
    say(engine, "say 10|say 10|say 10")
    assert children(servers()[-1]) == [before]


@pytest.mark.parametrize("deed", ["die", "raise"])
def test_a_piece_that_ends_two_fresh_children_is_refused_after_what_was_given(
    engine: NeuralEngine, deed: str
) -> None:
    other = begin(engine, "say 40")
    assert given(begin(engine, f"say 10|say 250 {deed}|say 10")) == (
        say(engine, "say 10|say 250"),
        "unspeakable_text",
    )
    assert b"".join(other) == say(engine, "say 40")


def test_the_death_of_a_used_child_is_not_attributed_to_the_piece(engine: NeuralEngine) -> None:
    text = "say 10|say 250|say 250 tire|say 30"
    assert given(begin(engine, text)) == (say(engine, "say 10|say 250|say 250|say 30"), "complete")


def test_a_child_that_stops_responding_is_given_up(engine: NeuralEngine) -> None:
    with started(stall_s=0.3) as stalling:
        assert given(begin(stalling, "say 10 hang")) == (say(engine, "say 10"), "unspeakable_text")
        assert len(say(stalling, "say 20")) == 40


@pytest.mark.parametrize(
    ("code", "ending"),
    [("nothing_to_say", "nothing_to_say"), ("rm -rf", "unspeakable_text"), ("x" * 99, "unspeakable_text")],
)
def test_a_childs_refusal_is_accepted_only_with_a_known_code(
    engine: NeuralEngine, code: str, ending: str
) -> None:
    text = f"say 10 refuse {code.replace(' ', '_')}"
    assert given(begin(engine, text)) == (say(engine, "say 10"), ending)


@pytest.mark.parametrize(
    "frame", [(1 << 30).to_bytes(4, "little"), b"\x03\0\0\0abc", b"\x05\0"], ids=["huge", "odd", "cut"]
)
def test_a_child_that_sends_malformed_frames_is_rejected(
    engine: NeuralEngine, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nonsense(self: Child, count: int) -> bytes:
        return frame[:count] if count == 4 else b""

    whole = say(engine, "say 10")
    with monkeypatch.context() as patch:
        patch.setattr(Child, "_received", nonsense)
        patch.setattr(os, "pidfd_open", lambda _: os.open(os.devnull, os.O_RDONLY))
        patch.setattr(signal, "pidfd_send_signal", lambda *_: None)
        assert given(begin(engine, "say 10")) == (b"", "unspeakable_text")
    assert say(engine, "say 10") == whole


def test_a_server_that_died_is_replaced_and_no_audio_is_lost_or_twice() -> None:
    with started() as engine:
        whole = say(engine, "say 250|say 30")
        audio = iter(begin(engine, "say 250|say 30"))
        received = next(audio)
        os.kill(servers()[-1], signal.SIGKILL)
        assert received + b"".join(audio) == whole
        assert say(engine, "say 250|say 30") == whole


def test_closing_during_a_long_piece_ends_its_child() -> None:
    with started(ends_unwanted=True, stall_s=60) as engine:
        speech = begin(engine, "say 10 hang")
        audio = iter(speech)
        next(audio)
        child = child_of(servers()[-1])
        threading.Timer(0.05, speech.close).start()
        with pytest.raises(Interrupted, match="closed"):
            next(audio)
        assert ends(child)
        assert len(say(engine, "say 10")) == 20


def test_a_child_is_replaced_before_its_limits_end_it(
    engine: NeuralEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(engine, "say 10")
    before = child_of(servers()[-1])
    monkeypatch.setattr(Child, "is_spent", lambda self: True)
    assert len(say(engine, "say 10|say 10")) == 40
    assert ends(before)


def test_an_unused_model_is_unloaded_and_loaded_again() -> None:
    others = set(servers())
    with started(idle_s=0.05, children=2) as engine:
        whole = say(engine, "say 30")
        for server in set(servers()) - others:  # unless it has ended already
            assert ends(server, 20)
        assert set(servers()) == others
        assert say(engine, "say 30") == whole


def test_closing_the_engine_interrupts_and_leaves_no_process() -> None:
    with started(stall_s=60) as engine:
        audio = iter(begin(engine, "say 10 hang"))
        next(audio)
        server = servers()[-1]
        child = child_of(server)
        engine.close()
        with pytest.raises(Interrupted):
            next(audio)
        assert ends(server)
        assert ends(child)
        assert given(begin(engine, "say 10")) == (b"", "closed")


@pytest.mark.parametrize(("cpu_s", "streams"), [(0.0, 8), (0.1, 8), (1.5, 2), (6.0, 1)])
def test_the_number_of_live_streams_is_what_stays_in_real_time(cpu_s: float, streams: int) -> None:
    hello = Hello(sample_rate_hz=1000, cpu_s=cpu_s, audio_s=2.0)
    assert live_max(Scripted(children=2), hello) == streams


def test_a_model_that_cannot_be_loaded_fails_the_engine() -> None:
    with pytest.raises(ConnectionError, match="server did not start"):
        NeuralEngine(Scripted(folders={"broken": "here"}))


def test_an_engine_without_its_packages_names_the_setting_to_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"the engine scripted needs codevoice\[voice\]"):
        NeuralEngine(Scripted())
