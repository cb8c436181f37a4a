"""Transcription by a newcomer's stack: files in, words out; malicious files do no harm."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jiwer
import pytest
import requests

from tests.conftest import Need
from tests.sounds import FORMATS, clips, encoded, hostile

from .conftest import Stack

WER_MAX = 0.15
GROWTH_MB_MAX = 100


def send(stack: Stack, content: bytes, name: str = "clip.wav", **fields: str) -> requests.Response:
    return requests.post(
        f"{stack.url}/transcribe",
        headers=stack.headers,
        files={"file": (name, content)},
        data=fields,
        timeout=60,
    )


def spoken() -> bytes:
    """PCM of one clip."""
    return clips()["lights"][0][44:]


def test_speech_is_transcribed(stack: Stack) -> None:
    spoken_texts: list[str] = []
    transcribed: list[str] = []
    for content, text in clips().values():
        answer = send(stack, content, language="en-US")
        assert answer.status_code == 200, answer.text
        spoken_texts.append(text.lower().strip("."))
        transcribed.append(answer.json()["text"])

    wer = jiwer.wer(spoken_texts, transcribed)

    print(f"word error rate of the embedded engine: {wer:.3f}")
    assert wer <= WER_MAX


def test_the_documents_curl_gets_a_transcript_for_a_credit(stack: Stack, need: Need, tmp_path: Path) -> None:
    (tmp_path / "sample.wav").write_bytes(clips()["lights"][0])
    before = stack.credits()["total_remaining"]
    command = [need("curl"), "-s", "-X", "POST", f"{stack.url}/transcribe"]
    key = ["-H", f"X-API-Key: {stack.headers['X-API-Key']}"]
    form = ["-F", "language=en-US", "-F", "file=@sample.wav"]

    done = subprocess.run([*command, *key, *form], cwd=tmp_path, capture_output=True, check=True, timeout=60)

    found: dict[str, Any] = requests.models.complexjson.loads(done.stdout)
    [segment] = found["segments"]
    assert set(found) == {
        "text",
        "language",
        "duration",
        "segments",
        "credits",
        "engine",
        "warnings",
        "job_id",
    }
    assert found["engine"] == "pocketsphinx"
    assert set(segment) == {"id", "start", "end", "text"}
    assert 0 <= segment["start"] < segment["end"] <= found["duration"]
    assert (segment["id"], found["language"]) == (0, "en-US")
    assert found["credits"] == {"used": 1, "remaining": before - 1}


@pytest.mark.parametrize("ending", FORMATS)
def test_every_audio_format_is_accepted(stack: Stack, ending: str) -> None:
    answer = send(stack, encoded(spoken(), ending), name="upload")

    assert answer.status_code == 200, answer.text
    assert abs(answer.json()["duration"] - 1.97) < 0.2
    assert jiwer.wer("please turn off the lights", answer.json()["text"]) <= 0.4


def test_silence_gives_an_empty_transcript_and_a_truncated_file_a_shorter_duration(stack: Stack) -> None:
    silence = send(stack, encoded(bytes(32_000), "flac")).json()
    short = send(stack, encoded(spoken() * 2, "mp3")[:6000]).json()

    assert (silence["text"], silence["segments"], silence["credits"]["used"]) == ("", [], 1)
    assert short["duration"] < 3.8


def test_the_command_line_transcribes_a_file(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "clip.flac").write_bytes(encoded(spoken(), "flac"))

    done = stack.run("transcribe", str(tmp_path / "clip.flac"), "--language", "en")
    refused = stack.run("transcribe", __file__)

    assert (done.returncode, done.stdout) == (0, "please turn off the lights\n")
    sent, transcribing, warning = done.stderr.splitlines()
    assert (sent, transcribing) == ("sent 100 %", "transcribing")
    assert warning.startswith("warning: PocketSphinx heard this")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not audio of a kind we take" in refused.stderr


def memory_mb(stack: Stack) -> float:
    """What the API and the transcription worker, with its children, have for themselves."""
    pids = stack.env()["pids"]
    waiting, total_kb = [str(pids["api"]), str(pids["worker-pocketsphinx-cpu"])], 0
    while waiting:
        process = Path("/proc") / waiting.pop()
        total_kb += int(re.findall(r"RssAnon:\s+(\d+)", (process / "status").read_text())[0])
        for task in (process / "task").iterdir():
            waiting += (task / "children").read_text().split()
    return total_kb / 1024


def test_malicious_files_cost_nothing_and_do_no_harm(stack: Stack, tmp_path: Path) -> None:
    canary = tmp_path / "canary.wav"
    canary.write_bytes(clips()["station"][0])  # it would be transcribed
    files = list(hostile(canary, spoken()))
    assert send(stack, clips()["lights"][0]).status_code == 200
    credits, before_mb = stack.credits(), memory_mb(stack)
    odd: dict[str, str] = {}

    for name, content in files:
        answer = send(stack, content)
        detail = answer.json().get("detail", {})
        if not 400 <= answer.status_code < 500 or not detail.get("message") or "field" not in detail:
            odd[name] = f"{answer.status_code} {answer.text[:200]}"

    after_mb = memory_mb(stack)
    print(f"{len(files)} hostile files; API and worker: {before_mb:.0f} MB, then {after_mb:.0f} MB")
    assert len(files) >= 40
    assert odd == {}
    assert stack.credits() == credits
    assert after_mb - before_mb < GROWTH_MB_MAX
    assert send(stack, clips()["lights"][0]).status_code == 200
