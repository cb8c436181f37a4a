"""The alert drill: alerts fire and resolve with real faults, and every alert has a fault."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ops.drill.cards import FakeGpu
from ops.drill.faults import faults, short
from ops.drill.prometheus import shortened
from ops.drill.run import drill
from tests.conftest import Need
from tests.ops.monitoring.rules import rules
from tests.ops.monitoring.test_rules import promtool


def test_alerts_of_every_kind_fire_and_resolve_in_a_running_stack(need: Need) -> None:
    need("prometheus")
    staged = drill(short, print)
    assert {each.alert for each in staged} == {
        "CodeVoiceCallersRefused",
        "CodeVoiceGpuMemoryFull",
        "CodeVoiceLedgerWrong",
        "CodeVoicePartAway",
    }


def test_the_whole_drill_has_a_fault_for_each_alert() -> None:
    store: Any = SimpleNamespace(up=None, down=None)
    site: Any = SimpleNamespace(objects=Path("objects"), has_disk=True, postgres=store, valkey=store)
    staged = [
        name
        for group in faults(site, FakeGpu())
        for fault in group
        for name in fault.alerts + fault.afterwards
    ]
    assert {*staged} == {rule["alert"] for rule in rules("alerts.yml")}


def test_shortened_rules_are_the_same_rules(need: Need, tmp_path: Path) -> None:
    for name in ("recording.yml", "alerts.yml"):
        text = shortened(tmp_path, name).read_text()
        assert f"{len(rules(name))} rules found" in promtool(need, "check", "rules", str(tmp_path / name))
    assert "for: 1s\n" in text
    assert "[1440s] offset 60s" in text
    assert "for: 1m" not in text
