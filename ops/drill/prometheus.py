"""A Prometheus of the drill's own: our rules with shortened times, and which alerts fire."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

import msgspec
from msgspec import Struct

from ops.processes.listener import get
from ops.processes.program import die_with_us
from ops.stack.embedded import free_port

FACTOR = 60  # divides all times: a minute becomes a second
_WINDOW_S_MIN = 4  # a rate needs several scrapes
_FOR_S_MIN = 1
_SCRAPE_S = 1
_READY_S_MAX = 30.0
_POLL_S = 0.1
_RULES = Path(__file__).parents[1] / "prometheus"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Ages compared with metrics are times too. The others (10 s to first audio) are staged at full length.
_AGES = {
    "codevoice_queue_oldest_job_age_seconds) > 60": "codevoice_queue_oldest_job_age_seconds) > 1",
    "codevoice_ledger_audit_timestamp_seconds) > 3600": "codevoice_ledger_audit_timestamp_seconds) > 60",
}


class DrillError(Exception):
    """The drill failed, or cannot run here; the message gives the reason."""


class _Alert(Struct, frozen=True):
    labels: dict[str, str]
    state: str


class _Alerts(Struct, frozen=True):
    alerts: list[_Alert]


class _Answer(Struct, frozen=True):
    data: _Alerts


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> set[str]:
        """Names of the alerts that fire now; empty while it does not answer."""
        answer = get(self._url, "/api/v1/alerts")
        alerts = msgspec.json.decode(answer, type=_Answer).data.alerts if answer else []
        return {alert.labels["alertname"] for alert in alerts if alert.state == "firing"}

    def await_ready(self) -> None:
        """Return when it scrapes; raises DrillError."""
        deadline = time.monotonic() + _READY_S_MAX
        while get(self._url, "/-/ready") is None:
            if time.monotonic() > deadline:
                raise DrillError("Prometheus did not start")
            time.sleep(_POLL_S)


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Generator[Prometheus]:
    """A server with the shortened rules that scrapes these addresses each second."""
    program = shutil.which("prometheus")
    if program is None:
        raise DrillError("prometheus is not installed")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": f"{_SCRAPE_S}s", "evaluation_interval": f"{_SCRAPE_S}s"},
        "rule_files": [str(shortened(folder, name)) for name in ("recording.yml", "alerts.yml")],
        "scrape_configs": [
            {"job_name": "codevoice", "static_configs": [{"targets": [_address(url) for url in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with subprocess.Popen(
        [
            *(program, f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}"),
            *(f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error"),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_us(SIGTERM),
    ) as server:
        try:
            running = Prometheus(f"http://{address}")
            running.await_ready()
            yield running
        finally:
            server.terminate()


def shortened(folder: Path, name: str) -> Path:
    """One of our rule files with every time in it divided by FACTOR; nothing else is changed."""
    text = (_RULES / name).read_text(encoding="utf-8")
    text = re.sub(r"(?<=for: )(\d+)([smhd])\b", lambda found: _divided(found, _FOR_S_MIN), text)
    text = re.sub(r"(?<=\[)(\d+)([smhd])(?=\])", lambda found: _divided(found, _WINDOW_S_MIN), text)
    text = re.sub(r"(?<=offset )(\d+)([smhd])\b", lambda found: _divided(found, _FOR_S_MIN), text)
    for age, short in _AGES.items():
        text = text.replace(age, short)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def _divided(found: "re.Match[str]", least_s: int) -> str:
    return f"{max(least_s, round(int(found[1]) * _UNITS_S[found[2]] / FACTOR))}s"


def _address(url: str) -> str:
    return url.removeprefix("http://").partition("/")[0]


def await_alerts(
    server: Prometheus, wanted: Collection[str], *, firing: bool, within_s: float
) -> dict[str, float]:
    """When each of `wanted` was first seen firing (or not), by the monotonic clock. Raises DrillError."""
    seen: dict[str, float] = {}
    deadline = time.monotonic() + within_s
    while missing := set(wanted) - seen.keys():
        now = time.monotonic()
        if now > deadline:
            what = "fire" if firing else "clear"
            raise DrillError(f"did not {what} within {within_s:g} s: {', '.join(sorted(missing))}")
        up = server.firing()
        seen |= {name: now for name in missing if (name in up) == firing}
        time.sleep(_POLL_S)
    return seen
