"""An SMTP server on loopback, as small as the protocol allows, and readers of what was mailed."""

import asyncio
import email
import re
import threading
import time
from collections.abc import Callable
from email.message import Message
from email.policy import default
from pathlib import Path

TOKEN = re.compile(r"^(cvr_\S+)\s*$", re.MULTILINE)


class SmtpServer:
    """Accepts every mail; `mails` has them."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.url = f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).strip().upper():
            if line == b"DATA":
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(
                    email.message_from_bytes(content[:-3].replace(b"\r\n..", b"\r\n."), policy=default)
                )
            writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 fine\r\n")
            if line == b"QUIT":
                break
        writer.close()


def in_folder(folder: Path) -> list[Message]:
    """The mails of a folder."""
    return [
        email.message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))
    ]


def mail_to(address: str, mails: Callable[[], list[Message]], *, number: int = 1) -> Message:
    """The mail to that address, once `number` of them have arrived."""
    deadline = time.monotonic() + 30
    while len(found := [mail for mail in mails() if mail["To"] == address]) < number:
        assert time.monotonic() < deadline, f"no mail to {address}"
        time.sleep(0.02)
    assert len(found) == number
    return found[-1]


def token_in(mail: Message) -> str:
    found = TOKEN.search(str(mail.get_payload(decode=True), "utf-8"))
    assert found
    return found[1]
