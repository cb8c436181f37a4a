"""The engine under many callers: right answers, early sound, order, second takes, ends of all kinds."""

import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from db.settings import SettingsError
from workers.engines.protocol import DeviceLost, Interrupted, Refused, Utterance
from workers.engines.registry import load
from workers.engines.xtts.engine import XttsEngine
from workers.xtts.decode import Decoder, Row
from workers.xtts.loop import Loop
from workers.xtts.prefix import Voice
from workers.xtts.sample import Sampling
from workers.xtts.script import Broken, Lost, Piece, Script
from workers.xtts.text import Texts
from workers.xtts.vocode import Part, Vocoder
from workers.xtts.weights import Gpt, Speaker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Generator[XttsEngine]:
    made = XttsEngine(checkpoint, rows=8)
    yield made
    made.close()


def utterance(text: str, **more: Any) -> Utterance:
    return Utterance(
        **{"job_id": uuid.uuid4(), "text": text, "voice": "ann-random", "language": "en", **more}
    )


def is_same(a: bytes, b: bytes) -> bool:
    """But for the last bit: sums in a larger batch are taken in another order."""
    one, other = (numpy.frombuffer(pcm, "<i2").astype(int) for pcm in (a, b))
    return len(one) == len(other) and bool(numpy.abs(one - other).max() <= 1)


def say(engine: XttsEngine, text: str, **more: Any) -> bytes:
    return b"".join(engine.begin([utterance(text, **more)])[0])


def test_every_speaker_is_a_voice_in_all_languages(engine: XttsEngine) -> None:
    ann, bob = engine.capabilities.voices
    assert (ann.id, ann.name, ann.gender, bob.gender) == ("ann-random", "Ann Random", "female", "male")
    assert ann.languages == bob.languages
    assert {"en", "de", "hi", "ru", "ar", "ko"} <= set(ann.languages)
    assert engine.capabilities.sample_rate_hz == 24_000


def test_slower_speech_is_longer(engine: XttsEngine) -> None:
    assert len(say(engine, "One two.", speed=0.5)) == pytest.approx(
        2 * len(say(engine, "One two.")), rel=0.02
    )


def test_voices_differ(engine: XttsEngine) -> None:
    assert say(engine, "One two.") != say(engine, "One two.", voice="bob-random")


@pytest.mark.parametrize("text", ["", "“”", "..."])
def test_nothing_to_say_is_refused(engine: XttsEngine, text: str) -> None:
    with pytest.raises(Refused, match="nothing_to_say"):
        say(engine, text)


def test_a_closed_speech_ends_at_once_and_frees_its_rows(engine: XttsEngine) -> None:
    [speech] = engine.begin([utterance("One two three four. " * 60, live=True)])
    audio = iter(speech)
    next(audio)
    speech.close()
    with pytest.raises(Interrupted):
        list(audio)
    speech.close()
    assert say(engine, "Yes.")  # after which the loop has seen the closing
    assert engine._loop._decoder.rows == []


def test_a_worker_without_weights_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_XTTS_WEIGHTS is not set"):
        load("xtts")
    monkeypatch.setenv("CODEVOICE_XTTS_WEIGHTS", str(tmp_path))
    with pytest.raises(SettingsError, match=r"CODEVOICE_XTTS_WEIGHTS: .* no config\.json"):
        load("xtts")


Starts = Callable[..., Loop]


class HummingVocoder(Vocoder):
    """Quick, and yet of each row's own latents: these tests are about rows."""

    def waves(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        return [self._hum(part) for part in parts]

    def _hum(self, part: Part) -> torch.Tensor:
        frames = (
            torch.arange(part.start, part.stop)
            * (part.first + len(part.latents))
            // self.frames(part.first + len(part.latents))
        )
        return part.latents[frames - part.first, 0].repeat_interleave(256) / 4


@pytest.fixture
def loop(gpt: Gpt, model: Any, speakers: dict[str, Speaker]) -> Generator[Starts]:
    """Starts loops that never speak for long."""
    started: list[Loop] = []

    def start(
        *, rows: int = 4, decoder: type[Decoder] = Decoder, vocoder: type[Vocoder] = HummingVocoder
    ) -> Loop:
        sound = vocoder(model, device=CPU, batched=False)
        started.append(Loop(decoder(gpt, rows_max=rows, how=Sampling()), sound, speakers, report=report))
        return started[-1]

    reports.clear()
    yield start
    for each in started:
        each.close()


reports: list[tuple[str, dict[str, object]]] = []


def report(event: str, fields: dict[str, object]) -> None:
    reports.append((event, fields))


def script(*caps: int, live: bool = False) -> Script:
    """Each piece ends at its cap: its seeds never draw a stop so soon."""
    return Script([Piece((5, 6, 7), cap, 4) for cap in caps], "Ann Random", live=live)


def test_four_clients_with_twelve_texts_at_once_get_48_right_answers(loop: Starts, texts: Texts) -> None:
    running, voices = loop(rows=8), ("Ann Random", "Bob Random")

    def ask(client: int, n: int) -> Script:
        voice = voices[n % 2]
        request = Script(texts.pieces(f"Client {client} says {n}.", "en", voice), voice)
        running.speak(request)
        return request

    alone = [b"".join(ask(client, n)) for client in range(4) for n in range(12)]
    with ThreadPoolExecutor(48) as clients:
        requests = list(clients.map(lambda k: ask(k // 12, k % 12), range(48)))
        got = list(clients.map(b"".join, requests))
    assert sum(is_same(a, b) for a, b in zip(alone, got, strict=True)) == 48
    assert len(set(alone)) == 48


def test_the_pieces_of_a_text_are_returned_in_order(loop: Starts) -> None:
    running = loop(rows=4)
    pieces = [Piece((5 + n, 6, 7), 30, n) for n in range(7)]
    apart = [Script([piece], "Ann Random") for piece in pieces]
    together = Script(pieces, "Ann Random")
    for each in (together, *apart):
        running.speak(each)
    assert is_same(b"".join(together), b"".join(b"".join(each) for each in apart))


def test_a_live_listener_receives_the_stored_audio_early(loop: Starts, gpt: Gpt, voices: list[Voice]) -> None:
    rows = [Row((5, 6, 7), voices[0], cap=40, seed=seed) for seed in range(12)]
    decoder = Decoder(gpt, rows_max=12, how=Sampling())
    decoder.join(rows)
    while decoder.rows:
        decoder.step()
        for row in [row for row in decoder.rows if row.over]:
            decoder.leave(row)
    seed = max(row.seed for row in rows if 16 < len(row.tokens) < 40)
    running = loop(vocoder=Vocoder)
    stored, live = (Script([Piece((5, 6, 7), 40, seed)], "Ann Random", live=live) for live in (False, True))
    running.speak(stored)
    running.speak(live)
    parts = list(live)
    assert len(parts) > 1
    assert is_same(b"".join(parts), b"".join(stored))


def test_a_row_at_its_cap_is_tried_once_more_and_then_taken(loop: Starts) -> None:
    running, request = loop(), script(2)
    running.speak(request)
    assert len(b"".join(request)) == 2 * 256 * running._vocoder.frames(2)
    assert reports == [
        ("xtts_runaway", {"tokens": 2, "again": True}),
        ("xtts_runaway", {"tokens": 2, "again": False}),
    ]


def test_texts_share_the_rows_whichever_came_first(loop: Starts) -> None:
    running, long, short = loop(rows=2), script(*[2] * 40), script(2)
    running.speak(long)
    running.speak(short)
    assert b"".join(short)
    assert len(long.waiting) > 20
    long.close()


def test_accounts_share_the_rows_whatever_the_number_of_their_texts(loop: Starts) -> None:
    one = [Script([Piece((5, 6, 7), 2, 4)] * 9, "Ann Random", owner="one") for _ in range(3)]
    other = Script([Piece((5, 6, 7), 2, 4)] * 9, "Ann Random", owner="other")
    running = loop(rows=8)
    running._scripts = [*one, other]  # its thread sleeps until it is notified of a text
    chosen = [script.owner for script, _, _ in running._chosen(8)]
    assert chosen.count("other") == 4


class LostDecoder(Decoder):
    """A device whose kernels fail from the second step on."""

    steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > 1:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered", 710)
        super().step()


def test_a_lost_device_ends_everything_that_runs_and_all_that_comes(loop: Starts) -> None:
    running, scripts = loop(decoder=LostDecoder), [script(30), script(30)]
    for each in scripts:
        running.speak(each)
    for each in scripts:
        with pytest.raises(Lost):
            b"".join(each)
    late = script(3)
    running.speak(late)
    with pytest.raises(Lost):
        b"".join(late)


class LostVocoder(Vocoder):
    def waves(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_device_lost_during_vocoding_is_reported_as_lost(loop: Starts) -> None:
    running, request = loop(vocoder=LostVocoder), script(3)
    running.speak(request)
    with pytest.raises(Lost):
        b"".join(request)


class ClumsyVocoder(HummingVocoder):
    """Fails once, by a fault of its own."""

    failed = False

    def waves(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        if not self.failed:
            self.failed = True
            raise ValueError
        return super().waves(parts)


def test_a_fault_breaks_the_affected_texts_and_the_loop_continues(loop: Starts) -> None:
    running, first, second = loop(vocoder=ClumsyVocoder), script(3), script(3)
    running.speak(first)
    with pytest.raises(Broken):
        b"".join(first)
    running.speak(second)
    assert b"".join(second)


def test_the_engine_reports_a_lost_device(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.engines.xtts.engine.Decoder", LostDecoder)
    lost = XttsEngine(checkpoint, rows=2)
    with pytest.raises(DeviceLost):
        say(lost, "One two three four five six seven.")
    lost.close()


def test_closing_interrupts_every_reader(loop: Starts) -> None:
    running, request, has_audio = loop(), script(*[30] * 40, live=True), threading.Event()

    def read() -> str:
        try:
            for _ in request:
                has_audio.set()
        except Broken as error:
            return str(error)
        return "complete"

    with ThreadPoolExecutor(1) as reader:
        outcome = reader.submit(read)
        running.speak(request)
        assert has_audio.wait(20)
        running.close()
        assert outcome.result() == "closed"
