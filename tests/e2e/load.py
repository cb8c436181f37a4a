"""Continuous load: what callers request, over which connections, and every failure."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import product
from urllib.parse import urlsplit

from .conftest import Stack

TEXT = "Somebody always wants to hear something."
PAUSE_S = 0.1  # of a caller between requests: two cores are also to start processes
Ask = Callable[["Caller"], None]


class Caller:
    """One client. `keeps` its connection as long as the server does; an error of any kind is a failure."""

    def __init__(self, stack: Stack, *, keeps: bool) -> None:
        self._headers = {**stack.headers, "Content-Type": "application/json"}
        self._keeps = keeps
        self._connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=60)

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The whole body of a 200 response. Does not check whether a kept connection is still open."""
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, path, sent, self._headers)
        answer = self._connection.getresponse()
        received = answer.read()
        assert answer.status == 200, (path, answer.status, received[:200])
        if not self._keeps:
            self._connection.close()
        return received

    def close(self) -> None:
        self._connection.close()


def speak(caller: Caller) -> None:
    """Submit, poll, download."""
    job = json.loads(caller.ask("POST", "/v1/tts", {"text": TEXT, "voice": "ryan"}))["job_id"]
    while (status := json.loads(caller.ask("GET", f"/tts/status/{job}")))["status"] != "completed":
        assert status["status"] in ("queued", "processing"), status
    check_wav(caller.ask("GET", status["audio_url"]))


def generate(caller: Caller) -> None:
    body = {"text": TEXT, "voice": "ryan", "format": "wav"}
    check_wav(caller.ask("POST", "/api/v1/tts/generate", body))


def stream(caller: Caller) -> None:
    """A chunked answer that is cut short is an error of its own: IncompleteRead."""
    body = {"text": TEXT, "voice": "ryan", "format": "wav"}
    check_wav(caller.ask("POST", "/api/v1/tts/generate/stream", body))


def check_wav(audio: bytes) -> None:
    assert audio.startswith(b"RIFF"), audio[:20]
    assert len(audio) > 20_000, len(audio)


class Load:
    """What all callers saw."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stopping = threading.Event()

    def repeat(self, stack: Stack, ask: Ask, name: str, *, keeps: bool) -> None:
        """Ask again and again; what went wrong goes into `failures`."""
        caller = Caller(stack, keeps=keeps)
        while not self.stopping.wait(PAUSE_S):
            try:
                ask(caller)
                self.answers[name] += 1
            except Exception as error:
                self.failures.append(f"{name}: {error!r}")
                caller.close()
        caller.close()


@contextmanager
def under_load(stack: Stack, *asks: Ask) -> Generator[Load]:
    """Each of `asks` again and again by two callers: one keeps its connection, one opens new ones."""
    load, callers = Load(), []
    for ask, keeps in product(asks, (True, False)):
        name = f"{ask.__name__}, {'kept' if keeps else 'new'} connections"
        load.answers[name] = 0
        given = {"target": load.repeat, "args": (stack, ask, name), "kwargs": {"keeps": keeps}}
        callers.append(threading.Thread(**given))
    for caller in callers:
        caller.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for caller in callers:
            caller.join(60)
