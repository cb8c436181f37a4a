"""The console script: quick, clear, and with exit codes to rely on."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from db.settings import DbSettings
from ops.stack.home import held, home_of
from ops.stack.running import NoStack, Stack, settings_for_cli, write_stack
from tests.clock import unhurried

CODEVOICE = str(Path(sys.executable).with_name("codevoice"))
STACK = Stack(
    database_url="postgresql://app",
    database_owner_url="postgresql://owner",
    redis_url="redis://here",
    objects="file:///objects",
    url="http://127.0.0.1:1",
    pids={"supervisor": 1},
    api_key="cv_demo",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `codevoice` with a home of its own; keywords are variables."""

    def run_it(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        given = {"PATH": os.environ["PATH"], "CODEVOICE_HOME": str(tmp_path / "home"), **environ}
        return subprocess.run(
            [CODEVOICE, *arguments], env=given, capture_output=True, text=True, timeout=60, check=False
        )

    return run_it


@pytest.fixture
def stack(tmp_path: Path) -> Generator[dict[str, str]]:
    """The environment that finds a stack, which seems to run."""
    environ = {"CODEVOICE_HOME": str(tmp_path / "home")}
    home = home_of(environ)
    with held(home):
        write_stack(home, STACK)
        yield environ


def test_help_is_quick_and_names_every_command(run: Run) -> None:
    run("--help")  # compiled once
    began = time.monotonic()
    done = run("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "env", "migrate", "say", "credits", "ledger", "bench"))
    assert time.monotonic() - began < unhurried(2)  # 0.2 s alone; here others may be at work


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['codevoice', '--help']; import ops.cli\n"
        "try: ops.cli.main()\n"
        "finally: print(sorted({'asyncpg', 'psycopg', 'redis', 'sqlalchemy', 'litestar'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [("env", "--json"), ("migrate",), ("say", "Hello.", "-o", "voice.wav")])
def test_without_a_stack_the_exit_status_is_3(run: Run, command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"codevoice: no stack runs in {tmp_path / 'home'}: start one with")


def test_wrong_usage_is_2(run: Run) -> None:
    assert run("say", "Hello.").returncode == 2


def test_env_describes_the_running_stack_without_its_key(run: Run, stack: dict[str, str]) -> None:
    variables = json.loads(run("env", "--json", **stack).stdout)
    assert variables == {
        "database_url": "postgresql://app",
        "database_owner_url": "postgresql://owner",
        "redis_url": "redis://here",
        "objects": "file:///objects",
        "url": "http://127.0.0.1:1",
        "pids": {"supervisor": 1},
        "metrics_url": "",
    }


def test_env_for_a_shell_sets_what_clients_read(run: Run, stack: dict[str, str]) -> None:
    printed = run("env", "--shell", **stack).stdout
    names = ("CODEVOICE_URL", "CODEVOICE_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY")
    shell = subprocess.run(["sh", "-c", printed + "\nenv"], capture_output=True, text=True, check=True)
    variables = dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith(names))
    assert variables == {
        "CODEVOICE_URL": "http://127.0.0.1:1",
        "CODEVOICE_API_KEY": "cv_demo",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": "cv_demo",
    }


def test_files_left_by_a_dead_stack_are_ignored(stack: dict[str, str]) -> None:
    home = home_of(stack)
    (home.folder / "lock").unlink()  # as if no process held it
    assert home.stack_file.exists()
    with pytest.raises(NoStack):
        settings_for_cli(stack)


def test_commands_work_on_the_running_stack(stack: dict[str, str]) -> None:
    assert settings_for_cli(stack) == DbSettings(
        database_url="postgresql://app",
        database_owner_url="postgresql://owner",
        redis_url="redis://here",
        objects="file:///objects",
    )


def test_database_url_wins_and_is_not_mixed_with_the_stack(stack: dict[str, str]) -> None:
    assert settings_for_cli({**stack, "DATABASE_URL": "postgresql://else"}) == DbSettings(
        database_url="postgresql://else", redis_url="", objects=""
    )


VOICES = [
    {"id": "emma", "name": "Emma", "voice_used": "heart", "engine": "hibari", "languages": ["en-US"],
     "gender": "female", "quality": "high", "style": "neutral"},
    {"id": "espeak-ryan", "name": "eSpeak Ryan", "voice_used": "espeak-ryan", "engine": "espeak",
     "languages": ["en-US", "en-GB"], "gender": "male", "quality": "low", "style": "neutral"},
]  # fmt: skip


class FakeApi(http.server.BaseHTTPRequestHandler):
    """Responds as the API contract requires, for one job; fails for the text "fail"."""

    text: ClassVar[str] = ""
    polls: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        FakeApi.text, FakeApi.polls = body["text"], 0
        if self.headers["X-API-Key"] != "cv_demo":
            self.answer(401, {"detail": {"error": "invalid_api_key", "message": "Unknown key."}})
        else:
            self.answer(200, {"job_id": "j1", "status": "queued"})

    def do_GET(self) -> None:
        FakeApi.polls += 1
        states = ["queued", "failed" if FakeApi.text == "fail" else "completed"]
        path = self.path.partition("?")[0]
        answers: dict[str, Any] = {
            "/v1/voices": {"voices": VOICES if "?" not in self.path else VOICES[:1]},
            "/tts/status/j1": {"status": states[FakeApi.polls > 1], "error": "no such phoneme"},
            "/tts/audio/j1": "RIFF",
        }
        self.answer(200, answers[path])

    def answer(self, status: int, body: object) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def fake_api() -> Generator[dict[str, str]]:
    """A fake API server, and the variables that point to it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield {"CODEVOICE_URL": url, "CODEVOICE_API_KEY": "cv_demo"}
        server.shutdown()
        thread.join()


def test_say_waits_for_the_job_and_writes_the_file(
    run: Run, fake_api: dict[str, str], tmp_path: Path
) -> None:
    done = run("say", "Hello.", "-o", str(tmp_path / "voice.wav"), **fake_api)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "Emma speaks: job j1", "queued", "completed", f"wrote {tmp_path / 'voice.wav'}"
    ]  # fmt: skip
    assert (tmp_path / "voice.wav").read_text() == "RIFF"


def test_voices_prints_the_voice_of_each_alias(run: Run, fake_api: dict[str, str]) -> None:
    done = run("voices", **fake_api)
    as_json = json.loads(run("voices", "--language", "en-US", "--json", **fake_api).stdout)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "name\tvoice_used\tengine\tlanguages\tgender\tquality",
            "Emma\theart\thibari\ten-US\tfemale\thigh",
            "eSpeak Ryan\tespeak-ryan\tespeak\ten-US,en-GB\tmale\tlow",
        ],
    )
    assert [(voice["id"], voice["voice_used"]) for voice in as_json] == [("emma", "heart")]


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        ("Hello.", {"CODEVOICE_API_KEY": "cv_no"}, "401: Unknown key."),
        ("fail", {}, "the job failed: no such phoneme"),
        ("Hello.", {"CODEVOICE_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer"),
    ],
)
def test_say_prints_why_it_failed(
    run: Run, fake_api: dict[str, str], tmp_path: Path, text: str, change: dict[str, str], message: str
) -> None:
    done = run("say", text, "-o", str(tmp_path / "voice.wav"), **{**fake_api, **change})
    assert done.returncode == 1
    assert message in done.stderr
    assert list(tmp_path.glob("voice.wav*")) == []
