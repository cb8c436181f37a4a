"""The rules and the dashboard as tests read them: every expression, every metric named in one."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

HOME = Path(__file__).parents[3]
PROMETHEUS = HOME / "ops" / "prometheus"
GPU = "codevoice_gpu_"  # metrics that are there with a driver alone


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((HOME / "ops/grafana/dashboards/codevoice.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def drawn() -> list[str]:
    """Every expression of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def everything() -> list[str]:
    """Every expression of rules, alerts and dashboard."""
    return [rule["expr"] for file in ("recording.yml", "alerts.yml") for rule in rules(file)] + drawn()


def named(expression: str) -> set[str]:
    """The metrics in an expression, as they are scraped."""
    return set(re.findall(r"\bcodevoice_\w+", expression))
