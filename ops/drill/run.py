"""One drill from beginning to end: load, faults, and how long each alert took to fire and to clear."""

import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from ops.bench import fund
from ops.bench.harness.posting import ready
from ops.drill.cards import FakeGpu, shown
from ops.drill.faults import Fault
from ops.drill.prometheus import DrillError, Prometheus, await_alerts, prometheus
from ops.drill.site import Load, Site, site
from ops.processes.listener import get
from ops.storm.engine import VOICE

_CREDITS = 500_000  # more than all faults cost
_QUIET_S = 3.0  # before the first fault: nothing may fire
_FIRES_S_MAX = 45.0
_CLEARS_S_MAX = 120.0


class Staged(Struct, frozen=True):
    """An alert that fired and cleared."""

    alert: str
    fault: str
    fired_s: float  # after the fault began
    cleared_s: float  # after it was undone


Groups = list[list[Fault]]


def drill(choose: Callable[[Site, FakeGpu], Groups], report: Callable[[str], None]) -> list[Staged]:
    """Stage the chosen faults. Raises DrillError: an alert does not fire or clear, or fires unexpectedly."""
    card = FakeGpu()
    with tempfile.TemporaryDirectory(prefix="codevoice-drill-") as folder, site() as made, shown(card) as gpu:
        fund(made.stack, credits=_CREDITS)
        for voice in (VOICE, "espeak-ryan"):
            ready(made.stack, voice)
        load = Load(made, "Somebody always speaks.")
        load.start()
        try:
            _await_seen(made)
            with prometheus(Path(folder), [made.stack.metrics_url, gpu]) as server:
                _await_quiet(server)
                return _stage(choose(made, card), server, report)
        finally:
            load.stop()


def _await_seen(made: Site) -> None:
    """Wait until the exporter shows the initial credits, which must not count as a rise."""
    deadline = time.monotonic() + _FIRES_S_MAX
    while _credits_shown(made) < 0.9 * _CREDITS:
        if time.monotonic() > deadline:
            raise DrillError("the exporter does not see the credits")
        time.sleep(0.2)


def _credits_shown(made: Site) -> float:
    text = get(made.stack.metrics_url, "/metrics") or b""
    found = re.search(rb'codevoice_credits\{bucket="paid"\} (\S+)', text)
    return float(found[1]) if found else 0.0


def _await_quiet(server: Prometheus) -> None:
    """Check that under load alone nothing fires, once the first scrapes have come."""
    began = quiet_since = time.monotonic()
    while (now := time.monotonic()) < quiet_since + _QUIET_S:
        if found := server.firing():
            quiet_since = now
            if now > began + _FIRES_S_MAX:
                raise DrillError(f"without a fault there fire {', '.join(sorted(found))}")
        time.sleep(0.2)


def _stage(groups: Groups, server: Prometheus, report: Callable[[str], None]) -> list[Staged]:
    """Group by group; alerts that only time clears are checked again at the end."""
    staged: list[Staged] = []
    passing: list[_Held] = []
    for group in groups:
        held = _hold(group, server, report)
        if all(fault.passes for fault in group):
            passing.append(held)
        else:
            staged += _cleared(held, server)
    for held in passing:
        staged += _cleared(held, server)
    return staged


class _Held(Struct, frozen=True):
    """A group of faults that is over; times by the monotonic clock."""

    begun: dict[str, tuple[str, float]]  # by alert: the fault, and when it began
    fired: dict[str, float]
    ended: float


def _hold(group: Sequence[Fault], server: Prometheus, report: Callable[[str], None]) -> _Held:
    """Begin all, wait until all their alerts fire, undo all."""
    begun: dict[str, tuple[str, float]] = {}
    at_work: list[Fault] = []
    try:
        for fault in group:
            report(fault.name)
            begun |= {alert: (fault.name, time.monotonic()) for alert in fault.alerts + fault.afterwards}
            at_work.append(fault)
            fault.begin()
        during = [alert for fault in group for alert in fault.alerts]
        fired = await_alerts(server, during, firing=True, within_s=_FIRES_S_MAX)
    finally:
        for fault in at_work:
            fault.end()
    ended = time.monotonic()
    after = [alert for fault in group for alert in fault.afterwards]
    return _Held(begun, fired | await_alerts(server, after, firing=True, within_s=_FIRES_S_MAX), ended)


def _cleared(held: _Held, server: Prometheus) -> list[Staged]:
    gone = await_alerts(server, held.fired, firing=False, within_s=_CLEARS_S_MAX)
    return [
        Staged(alert, fault, round(held.fired[alert] - at, 1), round(gone[alert] - held.ended, 1))
        for alert, (fault, at) in held.begun.items()
    ]
