"""`codevoice bench listeners`: gaps by arithmetic, the load generator against a small server."""

import asyncio
import sys

import msgspec
import pytest

from ops.bench.listeners import figures_of
from ops.bench.listeners.crowd import Body, Crowd, Received, ScheduledRequest, Stream
from ops.bench.listeners.player import Arrival, played
from ops.bench.listeners.texts import long_text, short_text

BYTES_PER_S = 48_000
SECOND = BYTES_PER_S


def test_bytes_that_arrive_in_time_make_no_gap() -> None:
    playback = played([Arrival(1.0, SECOND), Arrival(1.9, SECOND), Arrival(3.0, SECOND)], BYTES_PER_S)
    assert (playback.first_at_s, playback.worst_gap_s, playback.audio_s) == (1.0, 0.0, 3.0)


def test_a_gap_lasts_from_the_empty_buffer_to_the_next_byte() -> None:
    playback = played([Arrival(1.0, SECOND), Arrival(2.3, SECOND)], BYTES_PER_S)
    assert playback.worst_gap_s == pytest.approx(0.3)


def test_bytes_that_arrive_early_fill_a_later_pause() -> None:
    playback = played([Arrival(0.0, 10 * SECOND), Arrival(9.9, SECOND)], BYTES_PER_S)
    assert playback.worst_gap_s == 0.0


def test_after_a_gap_playing_goes_on_from_the_byte_that_ended_it() -> None:
    arrivals = [Arrival(0.0, SECOND), Arrival(1.5, SECOND), Arrival(2.6, SECOND), Arrival(3.4, SECOND)]
    playback = played(arrivals, BYTES_PER_S)
    assert (playback.worst_gap_s, playback.gaps_s) == pytest.approx((0.5, 0.6))


def stream(
    *arrivals: tuple[float, int], status: int = 200, is_whole: bool = True, due: float = 0.0
) -> Stream:
    found = [Arrival(at, size) for at, size in arrivals]
    return Stream(wanted_at_s=due, status=status, is_whole=is_whole, arrivals=found)


def test_a_crowds_figures_count_refusals_broken_streams_and_gaps() -> None:
    streams = [
        stream((0.05, SECOND), (1.0, SECOND)),
        stream((1.10, SECOND), (2.4, SECOND), due=1.0),
        stream(status=503),
        stream((0.1, SECOND), is_whole=False),
        stream(status=0, is_whole=False),
    ]
    figures = figures_of(Received(began_at=0, seconds=10, cpu_s=0.5, streams=streams))

    assert figures["streams"] == 5
    assert (figures["refused"], figures["broken"], figures["with_gap"]) == (2, 1, 1)
    assert figures["first_byte_ms_p50"] == pytest.approx(50)
    assert figures["first_byte_ms_max"] == pytest.approx(100)
    assert figures["worst_gap_ms"] == pytest.approx(300)
    assert figures["audio_s"] == pytest.approx(4)
    assert figures["generator_cpu_percent"] == pytest.approx(5)


ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nb\r\n0123\r\n56789\r\n0\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_the_bytes_of_a_body_are_counted_however_they_are_cut(piece: int) -> None:
    body = Body()
    sizes = [body.feed(ANSWER[at : at + piece]) for at in range(0, len(ANSWER), piece)]
    assert (body.status, body.is_whole, sum(sizes)) == (200, True, 16)


def test_a_body_without_its_last_chunk_is_not_whole() -> None:
    body = Body()
    assert body.feed(ANSWER[:-5]) == 16
    assert not body.is_whole


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the request's path asks for."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"/busy" in head:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    elif b"/cut" in head:
        writer.write(ANSWER[:-5])
    else:
        writer.write(ANSWER)
    writer.close()


async def test_the_load_generator_sends_each_request_and_reports_each_response() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    paths = ("/whole", "/busy", "/cut")
    wishes = [
        ScheduledRequest(after_s=n / 100, request=f"GET {path} HTTP/1.1\r\n\r\n")
        for n, path in enumerate(paths)
    ]
    crowd = Crowd(host="127.0.0.1", port=port, wishes=wishes, seconds_max=30)
    async with server:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.bench.listeners.crowd",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await program.communicate(msgspec.json.encode(crowd))
    received = msgspec.json.decode(output, type=Received)

    seen = [(each.status, each.is_whole, sum(a.size for a in each.arrivals)) for each in received.streams]
    assert seen == [(200, True, 16), (503, True, 0), (200, False, 16)]
    assert received.streams[1].wanted_at_s == pytest.approx(0.01)
    assert received.cpu_s > 0


def test_texts_have_the_length_they_promise_and_no_two_are_alike() -> None:
    short = [short_text(number) for number in range(220)]
    long = [long_text(number) for number in range(180)]
    assert all(80 <= len(text) <= 100 for text in short)
    assert all(1480 <= len(text) <= 1500 for text in long)
    assert len(set(short)) == 220
    assert len(set(long)) == 180
