"""An API server as a separate process on its own port, as an operator runs it."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import httpx
from msgspec import Struct

START_S = 60
PASSWORD = "correct horse"
SECRETS = {
    "CODEVOICE_KEY_PEPPER": "11" * 32,
    "CODEVOICE_KEY_ENCRYPTION_KEY": "22" * 32,
    "CODEVOICE_JWT_SECRET": "33" * 32,
    "CODEVOICE_URL_SECRET": "44" * 32,
}
# All tests come from one address, and the machine's disk may be nearly full.
GENEROUS = {
    "CODEVOICE_POSTS_PER_MINUTE": "600000",
    "CODEVOICE_POSTS_BURST": "100000",
    "CODEVOICE_ACCOUNT_POSTS_PER_MINUTE": "600000",
    "CODEVOICE_ACCOUNT_POSTS_BURST": "100000",
    "CODEVOICE_STATUS_POLLS_PER_S": "100000",
    "CODEVOICE_ADDRESS_STREAMS_MAX": "1000",
    "CODEVOICE_STORE_FREE_BYTES_MIN": "0",
    "CODEVOICE_STORE_FREE_PERCENT_MIN": "0",
    "CODEVOICE_ACCOUNT_LOGINS_PER_15MIN": "100000",
    "CODEVOICE_ADDRESS_LOGINS_PER_15MIN": "100000",
    "CODEVOICE_EMAIL_LOGINS_PER_15MIN": "100000",
    "CODEVOICE_RESETS_PER_15MIN": "100000",
    "CODEVOICE_ADDRESS_REGISTRATIONS_PER_HOUR": "100000",
}


class ApiProcess(Struct, frozen=True):
    """A running API server."""

    url: str
    pid: int
    log: Path
    client: httpx.Client  # without credentials

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def call(self, method: str, path: str, key: str | None = None, **options: object) -> httpx.Response:
        """One request, with an API key where given."""
        headers = dict(options.pop("headers", {}))  # type: ignore[call-overload]
        if key is not None:
            headers["X-API-Key"] = key
        return self.client.request(method, path, headers=headers, **options)  # type: ignore[arg-type]

    def raw(self, sent: bytes) -> bytes:
        """The bytes received until the API server closes the connection."""
        with socket.create_connection(self.address, timeout=10) as connection:
            connection.sendall(sent)
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionResetError:
                pass
            return received


@contextmanager
def running(environ: Mapping[str, str], folder: Path) -> Generator[ApiProcess]:
    """`python -m app` with these variables, stopped at the end."""
    with socket.socket() as listening, (folder / f"api-{secrets.token_hex(4)}.log").open("wb") as log:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        fd = str(listening.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            env={"PATH": os.defpath, **SECRETS, **GENEROUS, "CODEVOICE_LISTEN_FD": fd, **environ},
            pass_fds=[listening.fileno()],
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))  # keeps none
                _wait(client, process)
                yield ApiProcess(url, process.pid, Path(log.name), client)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            assert client.get("/health/live", timeout=START_S).json() == {"status": "ok"}
            return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError("the API server does not respond")
