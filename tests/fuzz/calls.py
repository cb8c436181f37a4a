"""schemathesis, run as a program against a running service: every call of its document, with all checks."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from msgspec import Struct

HOME = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("schemathesis")
LIMIT_S = 3600


class Found(Struct, frozen=True, kw_only=True):
    """What one run tried and saw. `accepted`: valid requests that were not refused."""

    cases: int
    operations: int
    accepted: int
    failures: list[str]
    output: str


def fuzz(url: str, key: str, *options: str) -> Found:
    """One run with schemathesis' own options; reproducible by the seed it prints."""
    own = ",".join(_own(url, key))
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [PROGRAM, "--config-file", HOME / "schemathesis.toml", "run", f"{url}/openapi.json",
             "-H", f"X-API-Key: {key}", "--checks", "all", "--continue-on-failure", "--seed", _seed(),
             "--report", "json", "--report-json-path", report, *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(HOME), "SCHEMATHESIS_HOOKS": "hooks", "FUZZ_OWN": own},
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        assert report.exists(), done.stdout + done.stderr
        return _found(json.loads(report.read_text()), done.stdout)


def _own(url: str, key: str) -> list[str]:
    """What names the caller's own account and keys."""

    def ask(path: str) -> Any:
        return requests.get(f"{url}{path}", headers={"X-API-Key": key}, timeout=10).json()

    me, keys = ask("/api/auth/me")["user"], ask("/api/keys")["keys"]
    return [me["id"], me["email"], *(each["id"] for each in keys)]


def _found(report: dict[str, Any], output: str) -> Found:
    failures = [f"{one['title']}: {', '.join(one['operations'])}" for one in report["failures"]]
    rates = [phase for phases in report["valid_rates"].values() for phase in phases.values()]
    return Found(
        cases=report["test_cases"]["generated"],
        operations=report["operations"]["tested"],
        accepted=sum(rate["accepted"] for rate in rates),
        failures=[*failures, *map(str, report["errors"])],
        output=output,
    )


def _seed() -> str:
    return str(secrets.randbelow(2**32))
