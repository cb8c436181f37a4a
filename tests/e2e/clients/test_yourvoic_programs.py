"""YourVoic's published programs, written anew: the same calls in the same way, in Python, Node, a browser."""

import subprocess
import sys
from collections.abc import Generator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import av
import pytest
from playwright.sync_api import Browser

from tests.conftest import Need
from tests.e2e.conftest import Stack
from tests.e2e.test_answers import seconds_of

HELLO_BYTES_MIN = 5000
_SAVE = """
import requests

response = requests.post(
    "HOST/api/v1/tts/generate",
    headers={"X-API-Key": "KEY"},
    json={"text": "Hello, world!", "voice": "VOICE", "language": "en-US"},
)
if response.status_code == 200:
    with open("output.mp3", "wb") as file:
        file.write(response.content)
    print(response.headers.get("X-Credits-Used"), response.headers.get("X-Duration-Ms"))
else:
    error = response.json()
    print(error["success"], error["error"]["code"], error["error"]["details"]["provided"])
"""
_STREAM = """
import sys
import requests

response = requests.post(
    "HOST/api/v1/tts/generate/stream",
    headers={"X-API-Key": "KEY"},
    json={"text": "Streaming audio...", "voice": "VOICE"},
    stream=True,
)
for chunk in response.iter_content(chunk_size=4096):
    if chunk:
        sys.stdout.buffer.write(chunk)
"""
_SCRIPT = """
const response = await fetch('HOST/api/v1/tts/generate', {
  method: 'POST',
  headers: { 'X-API-Key': 'KEY', 'Content-Type': 'application/json' },
  body: JSON.stringify({ text: 'Hello, world!', voice: 'VOICE', language: 'en-US' }),
});
let result;
if (response.ok) {
  const blob = await response.blob();
  const audio = new Audio(URL.createObjectURL(blob));
  await audio.play();
  const header = (name) => response.headers.get(name);
  result = [header('X-Credits-Used'), header('X-Duration-Ms'), blob.type, blob.size, audio.duration];
} else {
  const { success, error } = await response.json();
  result = [success, error.code, error.details.available.includes('Peter')];
}
"""
# Node can do all of it but play.
_NODE = (
    "globalThis.Audio = class { duration = 1; async play() {} };" + _SCRIPT + "console.log(result.join(' '));"
)


def program(text: str, stack: Stack, voice: str = "Peter") -> str:
    """The program with its host, key and voice."""
    key = stack.headers["X-API-Key"]
    return text.replace("HOST", stack.url).replace("KEY", key).replace("VOICE", voice)


def run(folder: Path, interpreter: str, name: str, text: str) -> bytes:
    (folder / name).write_text(text)
    done = subprocess.run([interpreter, name], cwd=folder, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_python_saves_a_file(stack: Stack, tmp_path: Path) -> None:
    used, duration_ms = run(tmp_path, sys.executable, "save.py", program(_SAVE, stack)).split()
    refused = run(tmp_path, sys.executable, "fail.py", program(_SAVE, stack, "InvalidVoice"))

    assert (used, refused.split()) == (b"1", [b"False", b"INVALID_VOICE", b"InvalidVoice"])
    with av.open(tmp_path / "output.mp3") as container:
        assert container.streams.audio[0].codec_context.name.startswith("mp3")
    assert abs(seconds_of((tmp_path / "output.mp3").read_bytes(), "mp3") - int(duration_ms) / 1000) < 0.2


def test_python_streams(stack: Stack, tmp_path: Path) -> None:
    assert seconds_of(run(tmp_path, sys.executable, "stream.py", program(_STREAM, stack)), "mp3") > 0.5


def test_node_fetches(stack: Stack, need: Need, tmp_path: Path) -> None:
    node = need("node")
    result = run(tmp_path, node, "good.mjs", program(_NODE, stack)).split()
    refused = run(tmp_path, node, "bad.mjs", program(_NODE, stack, "InvalidVoice"))

    assert (result[0], result[2], refused.split()) == (
        b"1",
        b"audio/mpeg",
        [b"false", b"INVALID_VOICE", b"true"],
    )
    assert (int(result[1]) > 500, int(result[3]) > HELLO_BYTES_MIN) == (True, True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Generator[str]:
    """A page of another origin."""
    (tmp_path / "index.html").write_text("<!doctype html><title>A shop</title>")
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with HTTPServer(("127.0.0.1", 0), partial(quiet, directory=tmp_path)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()


def test_a_browser_on_another_origin_fetches_and_plays(
    stack: Stack, browser: Browser, elsewhere: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    good, bad = (
        page.evaluate(f"async () => {{ {program(_SCRIPT, stack, voice)} return result; }}")
        for voice in ("Peter", "InvalidVoice")
    )
    context.close()

    used, duration_ms, kind, size, played_s = good
    assert (used, kind, bad) == ("1", "audio/mpeg", [False, "INVALID_VOICE", True])
    assert size > HELLO_BYTES_MIN
    assert abs(played_s - int(duration_ms) / 1000) < 0.2
