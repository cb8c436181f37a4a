"""A newcomer's first minutes: the stack as it comes, and programs as people write them."""

import io
import json
import subprocess
import wave
from pathlib import Path

import pytest
import requests

from tests.conftest import Need
from tests.e2e.clients.programs import download, poll

from .conftest import Stack


def seconds_of(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 22050)
        return read.getnframes() / read.getframerate()


def test_text_becomes_speech(stack: Stack) -> None:
    status = poll(stack, stack.speak("Hello world from CodeVoice"))
    speech = download(stack, status)
    assert 1.0 < seconds_of(speech) < 3.0
    assert status["duration_ms"] == round(1000 * seconds_of(speech))


def test_the_printed_curl_works(stack: Stack, need: Need, tmp_path: Path) -> None:
    curl = need("curl")
    body = '{"text":"Hello world from CodeVoice","voice":"ryan"}'
    headers = ("-H", "Content-Type: application/json", "-H", f"X-API-Key: {stack.headers['X-API-Key']}")
    sent = subprocess.run(
        [curl, "-sX", "POST", f"{stack.url}/v1/tts", "-d", body, *headers],
        capture_output=True,
        check=True,
    )
    answer = json.loads(sent.stdout)
    assert answer["status"] == "queued"
    assert answer["user_type"] == "registered"
    assert answer["tier"] == 1
    assert answer["message"].startswith(("Free credit used. ", "Paid credit used. "))
    poll(stack, answer["job_id"])
    file = tmp_path / "voice.wav"
    subprocess.run([curl, "-sL", f"{stack.url}/tts/audio/{answer['job_id']}", "--output", file], check=True)
    assert seconds_of(file.read_bytes()) > 1.0


def test_a_node_proxy_and_a_browsers_poller_work(stack: Stack, need: Need, tmp_path: Path) -> None:
    program = tmp_path / "client.mjs"
    program.write_text(NODE_CLIENT)
    done = subprocess.run(
        [need("node"), program, stack.url, stack.headers["X-API-Key"]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["audio"].startswith("/tts/audio/")
    assert result["bytes"] > 10_000
    assert result["unknown"] == "stopped"


# A server of our own between browser and CodeVoice, and a page's script that knows only that server.
NODE_CLIENT = """
import http from "node:http";
const [base, key] = process.argv.slice(2);

const proxy = http.createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const asked = request.method === "POST"
    ? await fetch(`${base}/v1/tts`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-API-Key": key },
        body: Buffer.concat(parts),
      })
    : await fetch(`${base}${request.url}`);
  response.writeHead(asked.status, { "Content-Type": asked.headers.get("content-type") });
  response.end(Buffer.from(await asked.arrayBuffer()));
});
await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
const page = `http://127.0.0.1:${proxy.address().port}`;

async function audioOf(job) {
  for (;;) {
    const now = await (await fetch(`${page}/tts/status/${job}`)).json();
    if (now.status === "completed") return now.audio_url;
    if (now.status === "failed") throw new Error(now.error || "failed");
    await new Promise((again) => setTimeout(again, 50));
  }
}

const queued = await fetch(`${page}/v1/tts`, {
  method: "POST", body: JSON.stringify({ text: "Hello from the browser", voice: "ryan" }),
});
const audio = await audioOf((await queued.json()).job_id);
const bytes = (await (await fetch(page + audio)).arrayBuffer()).byteLength;
const unknown = await audioOf("00000000-0000-4000-8000-000000000000").catch(() => "stopped");
console.log(JSON.stringify({ audio, bytes, unknown }));
proxy.close();
"""


@pytest.mark.parametrize("voice", ["ryan", "Peter", "emma", "JAMES", "de-female", "fr-fr-male"])
def test_voices_are_found_by_any_spelling_of_their_name(stack: Stack, voice: str) -> None:
    assert poll(stack, stack.speak("1 2 3", voice))["status"] == "completed"


def test_the_voices_of_the_documents_are_there_with_their_true_quality(stack: Stack) -> None:
    voices = requests.get(f"{stack.url}/v1/voices", timeout=10).json()["voices"]
    listed = {voice["id"]: voice for voice in voices}
    spoken_by = {name: listed[listed[name]["voice_used"]] for name in ("emma", "ryan", "peter", "james")}
    assert [voice["name"] for voice in voices[:4]] == ["Emma", "ryan", "Peter", "James"]
    assert {voice["quality"] for voice in voices if voice["engine"] == "espeak"} == {"low"}
    for name, voice in spoken_by.items():
        result = ("engine", "gender", "quality", "languages")
        assert [listed[name][field] for field in result] == [voice[field] for field in result]


def test_say_writes_a_file(stack: Stack, tmp_path: Path) -> None:
    done = stack.run("say", "Good morning", "-o", str(tmp_path / "a.wav"), "--voice", "emma")
    assert done.returncode == 0, done.stderr
    assert seconds_of((tmp_path / "a.wav").read_bytes()) > 0.5


def test_say_with_an_unknown_voice_fails_and_costs_nothing(stack: Stack, tmp_path: Path) -> None:
    before = stack.credits()
    done = stack.run("say", "Good morning", "-o", str(tmp_path / "a.wav"), "--voice", "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert not (tmp_path / "a.wav").exists()
    assert stack.credits() == before


def test_the_wake_up_is_measured(stack: Stack) -> None:
    done = stack.run("bench", "wake", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert figures["jobs"] == 40
    assert 0 < figures["claim_ms_p50"] <= figures["claim_ms_p95"]
    assert stack.audit_is_clean()


def test_pollers_stop_on_a_cancelled_job(stack: Stack) -> None:
    job = stack.speak("word " * 15_000)
    gone = requests.delete(f"{stack.url}/v1/jobs/{job}", headers=stack.headers, timeout=10)
    assert gone.status_code == 200, gone.text
    assert poll(stack, job)["reason"] == "cancelled"
    assert stack.credits()["held"] == 0


def test_pollers_stop_on_an_unknown_job(stack: Stack) -> None:
    for job in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        answer = requests.get(f"{stack.url}/tts/status/{job}", timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (404, "failed")
        assert answer.json()["error"]
