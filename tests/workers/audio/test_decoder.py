"""Files decoded in confined children: the samples, and the outcome for a file whose child dies."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
import pytest

from db.storage.uploads import container_of
from tests.sounds import FORMATS, clips, encoded, hostile, wav
from tests.workers.speaking import children, command, ends
from workers.audio import decode_server
from workers.audio.decoder import DecodeCall, DecodeLimits, Decoder
from workers.engines.protocol import Interrupted, Refused

LIMITS = DecodeLimits(seconds_max=600)
HOUR_S = 3600


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with closing(Decoder()) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def long_file() -> bytes:
    """Silence that takes a while to decode."""
    return encoded(bytes(2 * 16_000 * HOUR_S), "flac")


def spoken() -> bytes:
    return clips()["lights"][0][44:]


def decoded(
    decoder: Decoder, content: bytes, limits: DecodeLimits = LIMITS, call: DecodeCall | None = None
) -> bytes:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        with decoder.decoded(file, limits, call or DecodeCall()) as pcm:
            return bytes(pcm.samples)


def outcome(decoder: Decoder, content: bytes) -> bytes | str:
    try:
        return decoded(decoder, content)
    except Refused as refusal:
        return refusal.code


def unconfined(content: bytes) -> bytes | str:
    """What the same codecs make of it in this process."""
    kept = bytearray()
    limits = {
        "container": container_of(io.BytesIO(content)),
        "samples_max": 600 * decode_server.RATE_HZ,
        "channels_max": 8,
        "rates_hz": (4000, 192_000),
        "errors_max": 100,
    }
    if limits["container"] is None:
        return "unsupported_audio"
    report = decode_server._report(io.BytesIO(content), limits, kept.extend)
    return report.get("refused") or bytes(kept)


def server() -> int:
    return [pid for pid in children(os.getpid()) if "decode_server" in command(pid)][-1]


class Killer(threading.Thread):
    """Kills the first children of the decode server as soon as each is seen."""

    def __init__(self, victims: int) -> None:
        super().__init__()
        self.killed = list[int]()
        self.over = threading.Event()
        self._victims = victims
        self._server = server()

    def run(self) -> None:
        while len(self.killed) < self._victims and not self.over.is_set():
            for child in children(self._server):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    self.killed.append(child)
                assert ends(child)

    def __enter__(self) -> "Killer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_confined_child_decodes_as_an_unconfined_process(decoder: Decoder, ending: str) -> None:
    content = encoded(spoken(), ending)
    assert len(decoded(decoder, content)) > 1.8 * 16_000 * 2
    assert outcome(decoder, content) == unconfined(content)
    assert outcome(decoder, content[:3000]) == unconfined(content[:3000])


def test_a_decode_closed_while_its_samples_are_in_use_is_interrupted(decoder: Decoder) -> None:
    def break_off(file: BinaryIO) -> None:
        with decoder.decoded(file, LIMITS, DecodeCall()) as pcm:
            held = np.frombuffer(pcm.samples, dtype="<i2")  # the error's traceback keeps it
            raise Interrupted(str(len(held)))

    with TemporaryFile() as file:
        file.write(clips()["station"][0])
        file.flush()
        with pytest.raises(Interrupted):
            break_off(file)


def test_a_confined_child_refuses_as_an_unconfined_process(decoder: Decoder, tmp_path: Path) -> None:
    canary = tmp_path / "canary.wav"
    canary.write_bytes(clips()["station"][0])
    odd = {
        name
        for name, content in hostile(canary, spoken())
        if "hour" not in name and outcome(decoder, content) != unconfined(content)
    }
    assert odd == set()


def test_a_file_whose_child_was_killed_is_decoded_by_another_child(
    decoder: Decoder, long_file: bytes
) -> None:
    with Killer(victims=1) as killer:
        samples = decoded(decoder, long_file, DecodeLimits(seconds_max=2 * HOUR_S))
    assert len(killer.killed) == 1
    assert len(samples) == 2 * 16_000 * HOUR_S


def test_a_file_over_which_two_children_die_is_broken(decoder: Decoder, long_file: bytes) -> None:
    with Killer(victims=2) as killer, pytest.raises(Refused, match="broken_audio"):
        decoded(decoder, long_file, DecodeLimits(seconds_max=2 * HOUR_S))
    assert len(killer.killed) == 2
    assert decoded(decoder, encoded(spoken(), "flac"))


def test_a_child_that_used_up_its_processor_time_is_not_tried_again(
    decoder: Decoder, capfd: pytest.CaptureFixture[str]
) -> None:
    four_hours = wav(bytes(2 * 4000 * 4 * HOUR_S), rate_hz=4000)  # seconds to resample
    with pytest.raises(Refused, match="audio_too_complex"):
        decoded(decoder, four_hours, DecodeLimits(seconds_max=5 * HOUR_S, cpu_s=1))
    assert "confined_child_died" not in capfd.readouterr().out


def test_a_file_that_takes_too_much_memory_is_too_complex(decoder: Decoder) -> None:
    good, comments_bytes = encoded(spoken(), "flac"), 0xFFFFF0
    head = 4 + 4 + 34  # the mark, and the block every file begins with
    block = b"\x04" + comments_bytes.to_bytes(3) + bytes(comments_bytes)
    content = good[:head] + block + good[head:]
    assert len(decoded(decoder, content)) > 60_000
    with pytest.raises(Refused, match="audio_too_complex"):
        decoded(decoder, content, DecodeLimits(seconds_max=600, memory_bytes=8 << 20))


def test_a_closed_call_is_interrupted_and_not_tried_again(decoder: Decoder, long_file: bytes) -> None:
    call = DecodeCall()
    closer = threading.Thread(target=lambda: (wait_for_child(), call.close()))
    closer.start()
    with pytest.raises(Interrupted):
        decoded(decoder, long_file, DecodeLimits(seconds_max=2 * HOUR_S), call)
    closer.join()


def wait_for_child() -> None:
    while not children(server()):
        pass


def test_a_server_killed_with_its_children_is_no_fault_of_the_file(long_file: bytes) -> None:
    with closing(Decoder()) as decoder:
        # On a busy machine the file may be decoded before the killer comes to its turn.
        assert any(is_interrupted_by_death(decoder, long_file) for _ in range(5))
        assert decoded(decoder, encoded(spoken(), "flac"))


def is_interrupted_by_death(decoder: Decoder, content: bytes) -> bool:
    """Kill the server and its children during a decode; whether that was in time."""
    killer = threading.Thread(target=lambda: (wait_for_child(), os.killpg(server(), signal.SIGKILL)))
    killer.start()
    try:
        decoded(decoder, content, DecodeLimits(seconds_max=2 * HOUR_S))
    except Interrupted:
        return True
    finally:
        killer.join()
    return False


def test_a_closed_decoder_leaves_nothing() -> None:
    decoder = Decoder()
    its_server = server()
    decoder.close()
    decoder.close()
    assert ends(its_server)


MALFORMED = (
    *(b"{", b"[" * 5000, b"\xff", b'{"refused":"\xff"}', b'"\\ud800"', b"[]", b'{"samples":"many"}'),
    *(
        b'{"refused":"sold_out"}',
        b'{"refused":"no_audio\\n"}',
        b'{"failed":"\xc3\x84"}',
        b'{"failed":"a\\n"}',
    ),
    *(b"{}", b'{"samples":0}', b'{"samples":-1}', b'{"samples":3}', b'{"samples":2,"errors":-1}'),
    *(b'{"samples":1e99}', b'{"samples":2,"errors":99999999999999999999}'),
)


@pytest.mark.parametrize("reply", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_report_is_a_broken_file(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    monkeypatch.setattr(Decoder, "_answer", planted(reply, b"\0\0\0\0"))
    with pytest.raises(Refused, match="broken_audio"):
        decoded(decoder, encoded(spoken(), "flac"))


@pytest.mark.parametrize("pcm", [b"", b"\0", b"\0\0\0", b"\0" * 6])
def test_pcm_that_is_not_what_was_reported_is_a_broken_file(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, pcm: bytes
) -> None:
    monkeypatch.setattr(Decoder, "_answer", planted(b'{"samples":2}', pcm))
    with pytest.raises(Refused, match="broken_audio"):
        decoded(decoder, encoded(spoken(), "flac"))


def test_a_consistent_report_and_its_pcm_are_accepted(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "_answer", planted(b'{"samples":2}', b"pcm!"))
    assert decoded(decoder, encoded(spoken(), "flac")) == b"pcm!"


def planted(reply: bytes, pcm: bytes) -> Callable[..., tuple[bytes, None]]:
    """In place of a child: what it answers, and what it writes."""

    def answer(_: Decoder, __: bytes, ___: BinaryIO, file: BinaryIO, *____: object) -> tuple[bytes, None]:
        file.write(pcm)
        file.flush()
        return reply, None

    return answer
