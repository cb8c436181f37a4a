"""How the parts of a response are written to the socket."""

import asyncio
from typing import cast

from app.http.connection.write_buffer import BufferedTransport


class Wire:
    """A transport that records its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def buffered() -> tuple[Wire, BufferedTransport]:
    wire = Wire()
    return wire, BufferedTransport(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_head_and_body_are_one_write() -> None:
    wire, transport = buffered()
    transport.write(b"head")
    transport.write(b"body")
    await asyncio.sleep(0)

    assert wire.writes == [b"headbody"]


async def test_responses_of_one_loop_turn_are_sent_together() -> None:
    (wire, transport), (other_wire, other) = buffered(), buffered()
    for answered in (transport, other):
        answered.write(b"head")
        answered.write(b"body")
    sent_meanwhile = [*wire.writes, *other_wire.writes]
    await asyncio.sleep(0)

    assert (sent_meanwhile, wire.writes, other_wire.writes) == ([], [b"headbody"], [b"headbody"])


async def test_the_head_of_a_stream_does_not_wait_for_its_audio() -> None:
    wire, transport = buffered()
    transport.write(b"head")
    await asyncio.sleep(0)

    assert wire.writes == [b"head"]


async def test_the_buffer_is_bounded() -> None:
    wire, transport = buffered()
    chunks = [b"a" * 20_000, b"b", b"c" * 20_000]
    for chunk in chunks:
        transport.write(chunk)

    assert wire.writes == [chunks[0], chunks[1] + chunks[2]]


async def test_nothing_is_sent_to_a_transport_that_is_closing() -> None:
    wire, transport = buffered()
    wire.close()
    transport.write(b"little")
    transport.write(b"a" * 20_000)
    await asyncio.sleep(0)

    assert wire.writes == []


async def test_buffered_bytes_are_sent_before_the_end_and_nothing_after_it() -> None:
    wire, transport = buffered()
    transport.write(b"the last")
    transport.close()
    transport.write(b"too late")
    await asyncio.sleep(0)

    assert (wire.writes, transport.is_closing()) == ([b"the last"], True)
