"""The documentation agrees with the code: routes, settings, commands, error codes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.domain import errors
from app.settings import AppSettings
from db.metrics import MetricsSettings
from db.settings import DbSettings, variables
from ops import cli
from ops.cli import LazyGroup
from ops.exporter import ExporterSettings
from tests.routes import every_route
from workers.models.catalogue import catalogue
from workers.models.fetch import megabytes
from workers.settings import WorkerSettings

HOME = Path(__file__).parent.parent


def document(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


def test_every_route_is_in_the_documents() -> None:
    routes = {re.sub(r":\w+}", "}", route.path) for route in every_route()}
    documented = document("docs/api.md") + document("docs/dashboard.md")
    assert {route for route in routes if f" {route}\n" not in documented} == set()


def test_every_setting_is_in_the_documents() -> None:
    kinds = (AppSettings, DbSettings, ExporterSettings, MetricsSettings, WorkerSettings)
    wanted = {name for kind in kinds for name in variables(kind)}
    documented = document("docs/settings.md")
    assert len(set(variables(AppSettings))) == len(list(variables(AppSettings)))  # one default for each
    assert {name for name in wanted if f"`{name}`" not in documented} == set()


def test_every_error_code_is_in_the_documents() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.code for kind in kinds if issubclass(kind, errors.DomainError)}
    documented = document("docs/api.md")
    assert {code for code in codes if f"`{code}`" not in documented} == set()


def test_the_readmes_files_and_commands_exist() -> None:
    readme = document("README.md")
    files = re.findall(r"\]\(([\w./-]+)\)", readme) + re.findall(r"bash (ops/\w+\.sh)", readme)
    assert [file for file in files if not (HOME / file).exists()] == []
    commands = set(re.findall(r"codevoice ((?:credits |ledger )?[a-z]+)", readme))
    assert {"say", "credits grant", "ledger audit", "bench wake", "migrate"} <= commands | {"bench wake"}
    for command in commands - {"bench wake"}:
        command_line = [Path(sys.executable).with_name("codevoice"), *command.split(), "--help"]
        assert subprocess.run(command_line, capture_output=True, check=False).returncode == 0, command


def commands(group: LazyGroup, *before: str) -> Iterator[str]:
    """Every command below `group`, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, LazyGroup):
            yield from commands(found, *before, name)
        else:
            yield " ".join((*before, name))


def test_every_command_is_in_the_documents() -> None:
    everyday = document("README.md") + document("docs/admin.md")
    known = set(commands(cli.codevoice))
    assert {"users create", "accounts create-api-only", "ledger heads", "completion", "say"} <= known
    assert {command for command in known if f"codevoice {command}" not in everyday} == set()


def test_every_operators_command_can_be_loaded() -> None:
    for path in commands(cli.codevoice):
        command: click.Command = cli.codevoice
        for name in path.split():
            assert isinstance(command, click.Group)
            _, found, _ = command.resolve_command(click.Context(command), [name])
            assert found is not None
            command = found
        assert command.help or command.callback, path


def test_the_page_on_models_agrees_with_the_catalogue() -> None:
    page = document("docs/models.md")
    for model in catalogue().values():
        size, languages = megabytes(model.bytes), ", ".join(model.languages)
        assert f"| `{model.name}` | {model.purpose} | {languages} | {size} | {model.licence} |\n" in page
        about = f"{model.attribution} {model.provenance} *Residual risk:* {model.residual_risk}"
        assert f"- **{model.name}**: {about}\n" in page


def test_every_decision_has_its_four_parts() -> None:
    for path in sorted((HOME / "docs" / "decisions").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        missing = [part for part in ("Context", "Decision", "Cost", "Refused") if part not in text]
        assert missing == [], path.name


@pytest.mark.parametrize("page", ["docs/ledger.md", "docs/threat-model.md"])
def test_every_test_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", document(page)))
    written = {
        name
        for path in (HOME / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - written == set()
    assert len(named) > 10


def test_every_entry_of_the_threat_model_names_a_test() -> None:
    entries = re.findall(r"^\| (?!entry|-)(.+) \|$", document("docs/threat-model.md"), re.MULTILINE)
    assert [entry for entry in entries if "`test_" not in entry.split(" | ")[-1]] == []
    assert len(entries) > 10


def current_documents() -> list[Path]:
    """All but the records of decisions and changes, which name what there was."""
    pages = (HOME / "docs").rglob("*.md")
    kept = [page for page in pages if page.parent.name not in ("decisions", "proof")]
    return [*kept, HOME / "README.md", HOME / "CONTRIBUTING.md", HOME / "SECURITY.md"]


def test_paths_in_documents_exist() -> None:
    """Placeholders are in capitals: NAME, NNNN."""
    pattern = re.compile(r"(?<![\w/])((?:app|workers|db|ops|tests)/[\w/.-]+\.(?:py|sql|sh|lua|toml|txt))")
    missing = {
        f"{page.name}: {path}"
        for page in current_documents()
        for path in pattern.findall(page.read_text(encoding="utf-8"))
        if not re.search("[A-Z]{4}", path) and not (HOME / path).exists()
    }
    assert missing == set()


def test_tests_in_documents_exist() -> None:
    tests = {
        name
        for path in (HOME / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = {
        f"{page.name}: {name}"
        for page in current_documents()
        if page.name != "CONTRIBUTING.md"  # whose examples are made up
        for name in re.findall(r"`(?:[\w/.]*::)?(test_\w+)`", page.read_text(encoding="utf-8"))
        if name not in tests
    }
    assert named == set()


def test_every_package_has_a_line_in_the_architecture() -> None:
    text = (HOME / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {
        path.parent.relative_to(HOME).as_posix()
        for room in ("app", "workers", "db", "ops")
        for path in (HOME / room).glob("*/__init__.py")
    }
    assert {package for package in packages if f"`{package}" not in text} == set()
