"""The project's own rules: sizes, names, import contracts, and required docstrings."""

import ast
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Container, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
PACKAGES = ("app", "workers", "db", "ops")
FILES = sorted(path for package in (*PACKAGES, "tests") for path in (HOME / package).rglob("*.py"))
PRODUCT = [path for path in FILES if not path.is_relative_to(HOME / "tests")]
MODULES_A_FOLDER_MAX = 15
LINES_MAX = 350
FUNCTION_LINES_MAX = 50
# Words of a private language: the field has others for what they meant here.
OLD_WORDS = (
    r"front doors?", r"machine rooms?", r"outside hand", r"nudg\w*", r"mouths?", r"desks?", r"crafts?",
    r"airing", r"aloud", r"overheard", r"unheard", r"heeds?", r"kindly", r"by the clock", r"what becomes of",
    r"told", r"rows? \d+ (?:to|and) \d+",
)  # fmt: skip


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def module(path: Path) -> str:
    return ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, modules: Container[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules else node.module for each in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {each for each in found if each in modules}


def public(path: Path) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The module, its public classes and functions, and their public methods."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield tree
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    each for each in node.body if isinstance(each, kinds) and not each.name.startswith("_")
                )


def prose() -> Iterator[tuple[str, str]]:
    """Docstrings and comments of the product, which its command line's help is made of, and all documents."""
    for path in PRODUCT:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for node in ast.walk(tree):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield name(path), text
        with path.open("rb") as source:
            for token in tokenize.tokenize(source.readline):
                if token.type == tokenize.COMMENT:
                    yield f"{name(path)}:{token.start[0]}", token.string
    for path in (*(HOME / "docs").rglob("*.md"), HOME / "README.md", HOME / "CONTRIBUTING.md"):
        yield name(path), path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(HOME))


def test_no_folder_holds_many_modules() -> None:
    modules = Counter(name(path.parent) for path in FILES if path.stem != "__init__")
    versions = "db/postgres/migrations/versions"
    assert {
        folder: n for folder, n in modules.items() if n > MODULES_A_FOLDER_MAX and folder != versions
    } == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports within functions and for type checking count as well."""
    modules = {module(path): path for path in PRODUCT}
    graph = {own: imported_modules(path, modules) - {own} for own, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


def test_no_file_is_long() -> None:
    long = {name(path): n for path in FILES if (n := len(path.read_text().splitlines())) > LINES_MAX}
    assert long == {}


def size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def test_no_function_is_long() -> None:
    long = {
        f"{name(path)}:{function.name}": lines
        for path in PRODUCT
        for function in functions(path)
        if (lines := size(function)) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_functions_are_short_as_a_rule() -> None:
    sizes = sorted(size(function) for path in PRODUCT for function in functions(path))
    assert sizes[len(sizes) // 2] <= 12
    assert sizes[len(sizes) * 95 // 100] <= 20


def test_public_names_have_docstrings() -> None:
    documented = [ast.get_docstring(node) is not None for path in PRODUCT for node in public(path)]
    assert sum(documented) >= 0.95 * len(documented)


def test_the_old_words_are_gone() -> None:
    pattern = re.compile(rf"\b(?:{'|'.join(OLD_WORDS)})\b", re.IGNORECASE)
    found = {
        f"{source}: {match[0]}"
        for source, text in prose()
        for match in pattern.finditer(re.sub(r"`[^`]*`", "", text))
    }
    assert found == set()


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
