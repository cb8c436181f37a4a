"""Rules that Prometheus accepts, alerts that fire and resolve, a runbook for each, a valid dashboard."""

import re
import subprocess
from pathlib import Path

import yaml

from tests.conftest import Need
from tests.ops.monitoring.rules import HOME, PROMETHEUS, drawn, named, panels, rules

STORIES = ("tests.yml", "tests_slow.yml")


def promtool(need: Need, *arguments: str) -> str:
    command = [need("promtool"), *arguments]
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_configuration_and_all_rules(need: Need) -> None:
    output = promtool(need, "check", "config", "prometheus.yml")
    assert f"{len(rules('recording.yml'))} rules found" in output
    assert f"{len(rules('alerts.yml'))} rules found" in output


def test_every_alert_fires_and_resolves_in_a_staged_fault(need: Need) -> None:
    promtool(need, "test", "rules", *STORIES)
    staged: dict[str, list[bool]] = {}
    for story in (
        story for file in STORIES for story in yaml.safe_load((PROMETHEUS / file).read_text())["tests"]
    ):
        for check in story["alert_rule_test"]:
            staged.setdefault(check["alertname"], []).append(bool(check["exp_alerts"]))
    assert staged == {rule["alert"]: [False, True, False] for rule in rules("alerts.yml")}


def test_every_alert_has_a_runbook() -> None:
    pages = {path.stem for path in (HOME / "docs" / "runbooks").glob("*.md")}
    assert pages == {rule["alert"] for rule in rules("alerts.yml")}
    for rule in rules("alerts.yml"):
        text = (HOME / rule["annotations"]["runbook_url"]).read_text()
        assert text.startswith(f"# {rule['alert']}\n")
        assert [part for part in ("## Look\n", "## Do\n") if part not in text] == []


def test_every_expression_of_the_dashboard_is_promql(need: Need, tmp_path: Path) -> None:
    taken = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(drawn())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": taken}]}))
    assert f"{len(taken)} rules found" in promtool(need, "check", "rules", str(file))


def test_every_recording_rule_in_use_is_defined() -> None:
    recorded = {rule["record"] for rule in rules("recording.yml")}
    alerts = [rule["expr"] for rule in rules("alerts.yml")]
    used = {name for expr in drawn() + alerts for name in re.findall(r"codevoice:[\w:]+", expr)}
    assert used <= recorded
    assert all(named(expr) or "codevoice:" in expr for expr in drawn())
    assert len(panels()) >= 20
