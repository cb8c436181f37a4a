"""README's blocks work as they are pasted, in their order."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Need

from .conftest import Stack

HOUSE = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = "bash ops/"  # the two commands that set up: what runs this test


def blocks() -> list[tuple[str, str]]:
    found = BLOCK.findall((HOUSE / "README.md").read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if not text.startswith(SET_UP)]


def test_every_block_works_as_pasted_in_order(stack: Stack, need: Need, tmp_path: Path) -> None:
    need("curl")
    (tmp_path / ".venv").symlink_to(HOUSE / ".venv")
    script = ["set -euo pipefail"]
    for language, text in blocks():
        script.append(text if language == "sh" else f".venv/bin/python - <<'END'\n{text}END\n")

    done = subprocess.run(
        ["/bin/bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    files = ("morning.mp3", "morning.wav", "job.wav", "hello.mp3")
    assert {name: (tmp_path / name).stat().st_size > 1000 for name in files} == dict.fromkeys(files, True)


@pytest.mark.parametrize("command", ["bash ops/up.sh", "bash ops/test.sh"])
def test_the_two_commands_are_in_the_readme(command: str) -> None:
    assert f"```sh\n{command}\n```" in (HOUSE / "README.md").read_text(encoding="utf-8")
