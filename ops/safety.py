"""`just audit`: scans our code, its history and its dependencies with third-party security tools."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.domain.identity.key_crypto import is_well_formed

HOME = Path(__file__).parent.parent
_SBOM = "dist/sbom.cdx.json"
_PACKAGES = ("app", "db", "ops", "workers")
_NEVER = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # Amazon
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{22,}\b"
    r"|\bxox[baprs]-[A-Za-z0-9-]{10,}\b"  # Slack
    r"|\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}\b|\bAIza[A-Za-z0-9_-]{35}\b"  # OpenAI, Google
    r"|\bpypi-[A-Za-z0-9_-]{50,}\b|\bnpm_[A-Za-z0-9]{36}\b"
)
_OUR_KEY = re.compile(r"cv_live_[0-9A-Za-z]{49}")


class CheckResult(NamedTuple):
    """The result of one check."""

    is_good: bool
    lines: Sequence[str]


def main() -> int:
    """Run every check, whatever the others found. Exit status 0 only if all are good."""
    checks: dict[str, Callable[[], CheckResult]] = {
        "code (bandit)": _code,
        "secrets in the history": lambda: secrets(HOME),
        "advisories (pip-audit)": _advisories,
        "list of parts (CycloneDX)": _parts,
    }
    is_good = True
    for name, check in checks.items():
        result = check()
        is_good &= result.is_good
        print(f"{'ok  ' if result.is_good else 'FAIL'} {name}", *result.lines, sep="\n       ")
    return 0 if is_good else 1


def secrets(repository: Path) -> CheckResult:
    """Whether any commit of any branch, or the working tree, contains a credential."""
    history = _run("git", "log", "--all", "-p", "--no-color", "-U0", "--format=commit %h", at=repository)
    found = sorted(set(_found(history.stdout.splitlines())))
    commits = history.stdout.count("\ncommit ") + history.stdout.startswith("commit ")
    return CheckResult(history.returncode == 0 and not found, [*found, f"{commits} commits read"])


def _found(lines: Sequence[str]) -> Iterator[str]:
    commit = file = ""
    for line in lines:
        if line.startswith("commit "):
            commit = line.split()[1]
        elif line.startswith("+++ "):
            file = line[6:]
        elif line.startswith("+") and is_secret(line):
            yield f"{commit} {file}"  # never the secret itself: this output is stored


def is_secret(line: str) -> bool:
    """Whether something in the line has a secret's form; for our own keys, only with a correct checksum."""
    return bool(_NEVER.search(line)) or any(map(is_well_formed, _OUR_KEY.findall(line)))


def _code() -> CheckResult:
    """Medium severity and above; accepted findings have their reason beside them in the code."""
    done = _run(_program("bandit"), "-q", "-ll", "-r", *_PACKAGES, "-f", "json")
    found = json.loads(done.stdout)["results"]
    lines = [f"{one['filename']}:{one['line_number']} {one['test_id']} {one['issue_text']}" for one in found]
    return CheckResult(not found, lines)


def _advisories() -> CheckResult:
    """An index may serve packages but no advisories: then nothing was looked up, and the output says so."""
    done = _run(
        _program("pip-audit"), "-r", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json",
        "--progress-spinner", "off",
    )  # fmt: skip
    if not done.stdout.strip():
        return CheckResult(
            True, ["NOT LOOKED UP: the service of advisories is out of reach", done.stderr[-200:]]
        )
    return advisories(json.loads(done.stdout)["dependencies"])


def advisories(parts: Sequence[dict[str, object]]) -> CheckResult:
    """What pip-audit found for each package."""
    unknown = [part for part in parts if "skip_reason" in part]
    known = [
        f"{part['name']} {part['version']}: {one['id']}"
        for part in parts
        for one in part.get("vulns", ())  # type: ignore[attr-defined]
    ]
    said = [f"{len(parts) - len(unknown)} packages looked up"]
    if unknown:
        said.append(f"NOT LOOKED UP: {len(unknown)}, of which this index serves no advisories")
    return CheckResult(not known, [*known, *said])


def _parts() -> CheckResult:
    """Write the software bill of materials of what is installed in this environment."""
    (HOME / _SBOM).parent.mkdir(exist_ok=True)
    done = _run(
        _program("cyclonedx-py"), "environment", "--no-validate", "--pyproject", "pyproject.toml",
        "--output-reproducible", "--of", "JSON", "-o", _SBOM, sys.executable,
    )  # fmt: skip
    if done.returncode:
        return CheckResult(False, done.stderr.splitlines()[-3:])
    parts = json.loads((HOME / _SBOM).read_text())["components"]
    return CheckResult(True, [f"{len(parts)} parts in {_SBOM}"])


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(*arguments: str, at: Path = HOME) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=at, capture_output=True, text=True, errors="replace", check=False)


if __name__ == "__main__":
    sys.exit(main())
