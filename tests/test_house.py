"""The project's own rules: sizes, names, import contracts, and required docstrings."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
PACKAGES = ("app", "workers", "db", "ops")
FILES = sorted(path for package in (*PACKAGES, "tests") for path in (HOME / package).rglob("*.py"))
LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    return str(path.relative_to(HOME))


def test_no_file_is_long() -> None:
    long = {name(path): n for path in FILES if (n := len(path.read_text().splitlines())) > LINES_MAX}
    assert long == {}


def test_no_function_is_long() -> None:
    long = {
        f"{name(path)}:{function.name}": lines
        for path in FILES
        for function in functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_functions_are_short_as_a_rule() -> None:
    sizes = sorted(
        (function.end_lineno or 0) - function.lineno + 1
        for path in FILES
        if not name(path).startswith("tests")
        for function in functions(path)
    )
    assert sizes[len(sizes) // 2] <= 12


def test_every_file_has_a_docstring() -> None:
    silent = [
        name(path)
        for path in FILES
        if not name(path).startswith("tests")
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_no_package_shadows_the_standard_library() -> None:
    top = {path.name for path in HOME.iterdir() if path.is_dir()} & set(sys.stdlib_module_names)
    assert top == set()


@pytest.mark.parametrize("word", ["utils", "helpers", "helper", "manager", "misc", "common"])
def test_no_file_has_a_meaningless_name(word: str) -> None:
    assert [name(path) for path in FILES if word in path.stem.split("_")] == []


def test_the_import_contracts_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_but_the_engines_server_loads_the_gpl_library() -> None:
    assert [name(path) for path in FILES if "espeakng_loader" in imports(path)] == []
    callers = [name(path) for path in FILES if "espeak_Initialize(" in path.read_text(encoding="utf-8")]
    assert sorted(callers) == ["tests/test_house.py", "workers/engines/espeak/espeak_server.py"]


def test_the_apis_default_threads_run_only_short_calls() -> None:
    """Looking up host names needs them. What waits for a network or a disk has threads of its own."""
    allowed = {
        "app/domain/database.py",  # imports modules
        "app/domain/voices/model_downloads.py",  # reads a small file
        "app/domain/admin/erasure.py",  # the command line's, like the next
        "app/domain/admin/export.py",
    }
    found = {
        name(path)
        for path in FILES
        if name(path).startswith(("app/", "db/"))
        and re.search(r"to_thread|run_in_executor\(\s*None", path.read_text(encoding="utf-8"))
    }
    assert found == allowed


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_messages_are_never_pickled() -> None:
    assert [name(path) for path in FILES if "pickle" in imports(path)] == []


def test_every_recipe_of_the_justfile_has_a_comment() -> None:
    lines = (HOME / "justfile").read_text().splitlines()
    recipes = [n for n, line in enumerate(lines) if re.match(r"\w[^=]*:(?!=)", line)]
    assert [lines[n] for n in recipes if not lines[n - 1].startswith("# ")] == []
