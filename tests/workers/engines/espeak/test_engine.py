"""The espeak engine, speaking: real servers, real children, real signals."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib.util import find_spec
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from tests.workers.speaking import LONG, begin, children, command, ends, say, server, utterance
from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Interrupted, Refused, Synthesis

SECOND_BYTES = 22_050 * 2


@pytest.fixture
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


def loudness(pcm: bytes) -> float:
    samples = array("h", pcm)
    return sqrt(sum(sample * sample for sample in samples) / len(samples))


def test_the_engine_speaks(engine: EspeakEngine) -> None:
    pcm = say(engine, utterance())
    assert 2 < len(pcm) / SECOND_BYTES < 4
    assert loudness(pcm) > 1000


def test_the_capabilities_are_complete(engine: EspeakEngine) -> None:
    can = engine.capabilities
    assert can.texts_broken_up
    assert (can.engine, can.kind, can.sample_rate_hz) == ("espeak", "speech", 22_050)
    assert can.formats == ("mp3", "wav", "ogg", "opus", "flac", "aac", "pcm")
    assert 4 <= engine.slots <= 16
    ids = [voice.id for voice in can.voices]
    assert len(ids) == len(set(ids)) > 200
    assert all(re.fullmatch(r"[a-z0-9-]+", voice_id) for voice_id in ids)


def test_every_voice_speaks_each_of_its_languages(engine: EspeakEngine) -> None:
    pairs = [(voice.id, language) for voice in engine.capabilities.voices for language in voice.languages]
    speeches = (begin(engine, utterance("1 2 3", *pair)) for pair in pairs)
    silent = [pair for pair, speech in zip(pairs, speeches, strict=True) if loudness(b"".join(speech)) < 300]
    assert silent == []


def test_each_language_has_one_man_and_one_woman_of_its_own(engine: EspeakEngine) -> None:
    local = [voice.languages for voice in engine.capabilities.voices if len(voice.languages) == 1]
    assert len(local) == 2 * len(set(local))


@pytest.mark.parametrize("voice", ["ryan", "emma"])  # emma's breath is random noise
def test_the_same_request_sounds_the_same_from_any_server(engine: EspeakEngine, voice: str) -> None:
    first, second = (say(engine, utterance(voice=voice)) for _ in range(2))
    with closing(EspeakEngine()) as other:
        third = say(other, utterance(voice=voice))
    assert first == second == third


def test_the_named_voices_differ(engine: EspeakEngine) -> None:
    assert len({say(engine, utterance(voice=voice)) for voice in ("ryan", "peter", "emma", "james")}) == 4


def test_accents_differ(engine: EspeakEngine) -> None:
    (ryan,) = (voice for voice in engine.capabilities.voices if voice.id == "espeak-ryan")
    spoken = {say(engine, utterance("Bath water for the bird", language=accent)) for accent in ryan.languages}
    assert len(spoken) == len(ryan.languages) == 8


FOX = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while in the warm sun."


@pytest.mark.parametrize("speed", [0.5, 0.75, 1.5, 2.0, 3.0, 4.0])
def test_speed_changes_the_audio_over_its_whole_range(engine: EspeakEngine, speed: float) -> None:
    can = engine.capabilities
    assert can.speed_min <= speed <= can.speed_max
    normal, other = (len(say(engine, utterance(FOX, speed=each))) for each in (1.0, speed))
    assert normal / other == pytest.approx(speed, rel=0.08)


def test_pitch_changes_the_audio_over_its_whole_range(engine: EspeakEngine) -> None:
    steps = [hertz(say(engine, utterance(FOX, pitch=pitch))) for pitch in (-20, -10, 0, 10, 20)]
    assert steps == sorted(steps)
    assert steps[0] < 0.75 * steps[2] < 0.75 * 0.75 * steps[4]


def hertz(pcm: bytes) -> float:
    """The voice's median pitch, by autocorrelation of its voiced parts."""
    samples, found = np.frombuffer(pcm, "<i2").astype(float), list[float]()
    for start in range(0, len(samples) - 1024, 512):
        part = samples[start : start + 1024]
        alike = np.correlate(part, part, "full")[1023:]
        lag = 49 + int(np.argmax(alike[49:441]))  # 450 Hz to 50 Hz
        if part.std() > 1000 and alike[lag] > 0.4 * alike[0]:
            found.append(22_050 / lag)
    return float(np.median(found))


def test_the_first_audio_comes_before_the_whole(engine: EspeakEngine) -> None:
    frames = [len(pcm) for pcm in begin(engine, utterance())]
    assert frames[0] < SECOND_BYTES / 10 < frames[1]


def test_a_long_text_is_spoken_to_its_end(engine: EspeakEngine) -> None:
    assert sum(map(len, begin(engine, utterance(LONG)))) / SECOND_BYTES > 15 * 60


@pytest.mark.parametrize(
    "text",
    [
        "🎙️👩‍👩‍👧",
        "مرحبا ‏123",
        "<speak>hello</speak>",
        "hello <break",
        "\u200b\u200d",
        "[[h@'loU]]",
        "x" * 5000,
    ],
)
def test_odd_text_is_spoken(engine: EspeakEngine, text: str) -> None:
    assert len(say(engine, utterance(text))) % 2 == 0


def test_markup_is_text(engine: EspeakEngine) -> None:
    assert len(say(engine, utterance("<speak>hello</speak>"))) > len(say(engine, utterance("hello")))


def test_nul_does_not_end_a_text(engine: EspeakEngine) -> None:
    assert say(engine, utterance("one\0two")) == say(engine, utterance("one two"))


@pytest.mark.parametrize("text", ["", " ", "...", "\n\n", "?!", "\u200b"])
def test_a_text_with_nothing_to_say_gives_no_audio(engine: EspeakEngine, text: str) -> None:
    assert list(begin(engine, utterance(text))) == []


def test_an_utterance_that_cannot_be_spoken_is_refused_alone(engine: EspeakEngine) -> None:
    stranger, foreign, good = engine.begin(
        [utterance(voice="nobody"), utterance(language="de"), utterance(voice="peter")]
    )
    with pytest.raises(Refused, match="unknown_voice"):
        list(stranger)
    with pytest.raises(Refused, match="unknown_language"):
        list(foreign)
    assert list(good)


def test_too_much_audio_is_refused() -> None:
    with closing(EspeakEngine(audio_bytes_max=SECOND_BYTES)) as engine:
        with pytest.raises(Refused, match="audio_too_long"):
            say(engine, utterance())


def test_closing_a_speech_ends_its_child() -> None:
    with closing(EspeakEngine()) as engine:
        speech = begin(engine, utterance(LONG))
        audio = iter(speech)
        next(audio)
        (child,) = children(server())
        speech.close()
        assert ends(child)
        with pytest.raises(Interrupted):
            list(audio)


def test_closing_wakes_a_reader_that_waits() -> None:
    with closing(EspeakEngine(stall_s_max=60)) as engine, ThreadPoolExecutor() as threads:
        os.kill(server(), signal.SIGSTOP)
        speech = begin(engine, utterance())
        reading = threads.submit(list, speech)
        speech.close()
        assert isinstance(reading.exception(timeout=5), Interrupted)


def test_a_speech_may_be_closed_unread_and_twice(engine: EspeakEngine) -> None:
    speech = begin(engine, utterance())
    speech.close()
    speech.close()
    with pytest.raises(Interrupted):
        list(speech)


def test_a_killed_server_is_replaced_for_the_next_request(engine: EspeakEngine) -> None:
    whole = say(engine, utterance())
    under_way, killed = begin(engine, utterance()), server()
    os.kill(killed, signal.SIGKILL)
    assert ends(killed)
    with suppress(Interrupted):  # where its child was not forked yet
        assert b"".join(under_way) == whole
    assert say(engine, utterance()) == whole


def test_a_voice_used_twice_in_a_row_sounds_the_same() -> None:
    with closing(EspeakEngine()) as engine:
        ryan, other, again = (say(engine, utterance(voice=voice)) for voice in ("ryan", "emma", "ryan"))
        assert say(engine, utterance()) == ryan == again
        assert say(engine, utterance(voice="emma")) == other


def test_a_server_that_hangs_is_replaced() -> None:
    with closing(EspeakEngine(stall_s_max=0.3)) as engine:
        hanging = server()
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(Interrupted):
            say(engine, utterance())
        assert say(engine, utterance())
        assert server() != hanging


def test_a_server_that_does_not_even_take_the_text_is_replaced_at_once() -> None:
    with closing(EspeakEngine(stall_s_max=0.3)) as engine:
        os.kill(server(), signal.SIGSTOP)
        speech = begin(engine, utterance(LONG * 20))  # more than a socket holds
        assert next(iter(speech))


def test_a_closed_engine_leaves_nothing() -> None:
    engine = EspeakEngine()
    audio = iter(begin(engine, utterance(LONG)))
    next(audio)
    processes = [server(), *children(server())]
    engine.close()
    engine.close()
    assert len(processes) == 2
    assert all(ends(pid) for pid in processes)
    with pytest.raises(Interrupted):
        list(audio)
    with pytest.raises(Interrupted):
        say(engine, utterance())


WORKER = f"""
import signal
import time
from uuid import UUID
from workers.engines.protocol import Utterance
from workers.engines.espeak.engine import EspeakEngine
engine = EspeakEngine()
long = Utterance(job_id=UUID(int=1), text={LONG!r}, voice="ryan", language="en-US")
audio = iter(engine.begin([long])[0])
next(audio)
print("speaking", flush=True)
signal.pause()
"""


def test_a_killed_worker_leaves_nothing() -> None:
    house = Path(__file__).parents[4]
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, cwd=house) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"speaking\n"
        (its_server,) = children(worker.pid)
        (its_child,) = children(its_server)
        worker.kill()
        assert ends(its_server)
        assert ends(its_child)


def test_the_engine_works_in_a_deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("espeakng_loader")
    assert spec
    assert spec.origin
    deep = tmp_path / ("deep" * 50)
    deep.mkdir()
    (deep / "espeakng_loader").symlink_to(Path(spec.origin).parent)
    monkeypatch.syspath_prepend(deep)
    with closing(EspeakEngine()) as engine:
        assert str(deep) in command(server())
        assert say(engine, utterance())


def test_concurrent_utterances_each_get_their_own_audio(engine: EspeakEngine) -> None:
    texts = [f"This is sentence number {number}." for number in range(8)]
    alone = {text: hashlib.sha256(say(engine, utterance(text))).digest() for text in texts}

    def speak(speech: Synthesis) -> bytes:
        return hashlib.sha256(b"".join(speech)).digest()

    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            together = threads.map(speak, engine.begin([utterance(text) for text in texts]))
            assert dict(zip(texts, together, strict=True)) == alone
