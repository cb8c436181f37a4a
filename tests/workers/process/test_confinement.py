"""What a child cannot do that a customer's text or file took over: tried by a program planted in one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from tests.conftest import Lack, Need
from tests.workers.speaking import LONG, begin, children, server, utterance
from workers.engines.espeak.engine import EspeakEngine
from workers.process import confinement
from workers.process import trial as trial_of_kinds
from workers.process.profiles import PROFILES
from workers.process.trial import KINDS, Trial, run_probe

HOUSE = Path(__file__).parents[3]
ATTEMPTS = (
    *("open_passwd", "read_own_environ", "read_parents_environ", "read_workers_environ", "write_file"),
    *("list_folder", "tcp_socket", "udp_socket", "unix_socket", "tcp_connect", "tcp_bind", "tcp_listen"),
    *("exec", "fork", "clone3", "start_thread", "ptrace_parent", "read_parents_memory"),
    *("write_parents_memory", "signal_zero_parent", "signal_parent", "signal_parents_thread"),
    *("signal_parents_task", "signal_worker", "signal_group", "signal_all", "pidfd_open_parent"),
    *("pidfd_signal", "pidfd_descriptor", "advise_process", "limit_parent", "raise_own_limit"),
    *(
        "slow_parent_down",
        "become_root",
        "stop_own_clock",
        "block_own_clock",
        "executable_memory",
        "io_uring",
        "bpf",
    ),
    *("keyctl", "add_key", "userfaultfd", "perf_event_open", "mount", "fsopen", "open_tree", "unshare"),
    *("setns", "chroot", "open_by_handle", "personality", "memfd"),
)
MISSING = set(confinement.missing())
needs_seccomp = pytest.mark.usefixtures("has_seccomp")
needs_landlock = pytest.mark.usefixtures("has_landlock")
needs_root = pytest.mark.usefixtures("is_root")


@pytest.fixture
def has_seccomp(lack: Lack) -> None:
    if "seccomp" in MISSING:
        lack("seccomp with libseccomp")


@pytest.fixture
def has_landlock(lack: Lack) -> None:
    if "landlock" in MISSING:
        lack("Landlock")


@pytest.fixture
def is_root(lack: Lack) -> None:
    if os.geteuid():
        lack("root")


@pytest.fixture(scope="module", params=KINDS)
def trial(request: pytest.FixtureRequest) -> Trial:
    return run_probe(request.param)


def test_every_kind_that_reads_a_customers_bytes_is_tried() -> None:
    assert set(KINDS) == {"espeak", "pocketsphinx", "decoder", "hibari", "kokoro"}


@needs_seccomp
@needs_landlock
def test_a_child_of_each_kind_is_denied_everything_tried(trial: Trial) -> None:
    assert {name: trial.attempts[name].split()[0] for name in ATTEMPTS} == dict.fromkeys(ATTEMPTS, "denied")
    assert set(trial.attempts) == set(ATTEMPTS)
    assert trial.faults == ()


def test_a_child_of_each_kind_has_neither_environment_nor_rights(trial: Trial) -> None:
    assert trial.proc.environ_bytes == 0
    assert trial.proc.no_new_privs == 1
    assert trial.proc.capabilities == 0
    assert trial.proc.descriptors <= 6


@needs_root
@pytest.mark.parametrize("kind", KINDS)
def test_roots_children_are_each_kind_its_own_user_without_groups(kind: str) -> None:
    proc, uid = run_probe(kind).proc, PROFILES[kind].uid
    assert (proc.uid, proc.gid, proc.groups) == (uid, uid, ())
    assert 64001 <= uid <= 64019


def test_each_kind_has_a_uid_of_its_own() -> None:
    assert len({profile.uid for profile in PROFILES.values()}) == len(PROFILES)


def test_a_child_with_cuda_has_all_but_seccomp_and_a_limit_of_address_space() -> None:
    cuda = PROFILES["cuda"]
    assert (cuda.seccomp, cuda.memory_bytes) == (False, None)
    assert (cuda.uid, cuda.file_bytes) == (64004, 0)
    assert min(cuda.cpu_s, cuda.wall_s, cuda.open_files, cuda.processes) > 0
    assert all(
        profile.seccomp and profile.memory_bytes for kind, profile in PROFILES.items() if kind != "cuda"
    )


@pytest.fixture
def speaking() -> Iterator[int]:
    """The process id of a child in the middle of a text."""
    with closing(EspeakEngine()) as engine:
        audio = iter(begin(engine, utterance(LONG)))
        next(audio)
        yield children(server())[0]


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


@needs_root
def test_a_child_that_speaks_is_confined_as_the_planted_one(
    speaking: int,
) -> None:
    found = status(speaking)
    assert found["NoNewPrivs"] == "1"
    assert "seccomp" in MISSING or (found["Seccomp"], found["Seccomp_filters"]) == ("2", "2")
    assert Path(f"/proc/{speaking}/environ").read_bytes() == b""
    kept = {os.readlink(path) for path in Path(f"/proc/{speaking}/fd").iterdir()}
    assert all(name.startswith(("/dev/null", "socket:")) or name.endswith("espeakng_loader") for name in kept)
    limits = Path(f"/proc/{speaking}/limits").read_text()
    for name in ("Max file size", "Max core file size"):
        [line] = [line for line in limits.splitlines() if line.startswith(name)]
        assert line.removeprefix(name).split()[:2] == ["0", "0"], line


AS_SOMEBODY = """
import json, os, sys
from contextlib import closing, nullcontext
from importlib.util import find_spec
import msgspec
from tests.conftest import Lack, Need
from tests.workers.speaking import say, utterance
from workers.engines.espeak.engine import EspeakEngine
from workers.process.confinement import missing
from workers.process.trial import KINDS, run_probe
with closing(EspeakEngine()) as engine:
    spoken = len(say(engine, utterance()))
trials = {kind: run_probe(kind) for kind in KINDS}
found = {"missing": missing(), "uid": os.getuid(), "spoken": spoken, "trials": trials}
print(msgspec.json.encode(found).decode())
"""


class AsSomebody(msgspec.Struct):
    missing: list[str]
    uid: int
    spoken: int
    trials: dict[str, Trial]


@needs_seccomp
@needs_landlock
@needs_root
def test_children_of_a_user_other_than_root_are_denied_the_same(need: Need) -> None:
    # The one capability lets it read Python where that lies in root's home; its children must not keep it.
    somebody = [need("setpriv"), "--reuid=10001", "--regid=10001", "--clear-groups"]
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--"]
    done = subprocess.run(
        [*somebody, *reading, sys.executable, "-c", AS_SOMEBODY],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout, type=AsSomebody)
    assert (found.missing, found.uid) == (["own_uid"], 10001)
    assert found.spoken > 100_000
    for trial in found.trials.values():
        assert trial.faults == ()
        assert [name for name, outcome in trial.attempts.items() if "denied" not in outcome] == []
        assert (trial.proc.uid, trial.proc.capabilities, trial.proc.environ_bytes) == (10001, 0, 0)


X32 = 0x40000000
FILTERED = """
import ctypes, os, sys
from workers.process import confinement, seccomp
confinement._prctl(38, 1)
seccomp.install(seccomp.child_filter(reads_files=False))
ctypes.CDLL(None).syscall(ctypes.c_long(int(sys.argv[1])))
os._exit(7)
"""


@needs_seccomp
@pytest.mark.parametrize(("number", "ends"), [(39, 7), (X32 + 39, -signal.SIGSYS)])
def test_system_calls_by_x32_numbers_end_the_process(number: int, ends: int, lack: Lack) -> None:
    if os.uname().machine != "x86_64":
        lack("an x86-64 processor, whose ABI x32 is", may_be_absent=True)
    done = subprocess.run([sys.executable, "-c", FILTERED, str(number)], cwd=HOUSE, check=False)
    assert done.returncode == ends


class Planted:
    """In place of a server whose child attempts nothing before it is notified that it was inspected."""

    def __init__(self) -> None:
        self.is_let_go_on = False

    def send(self, _: bytes, fds: list[int]) -> None:
        self._stream = socket.socket(fileno=os.dup(fds[0]))
        about = {"pid": os.getpid(), "environ_bytes": 0, "descriptors": 5}
        self._stream.sendall(json.dumps(about).encode() + b"\n")
        threading.Thread(target=self._try).start()

    def _try(self) -> None:
        with self._stream:
            self.is_let_go_on = bool(self._stream.recv(1))
            self._stream.sendall(b'{"unshare":"allowed"}\n{"exec":"denied"}\n')


def test_proc_is_read_before_an_attempt_can_change_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    planted, real = Planted(), trial_of_kinds._proc
    seen = list[bool]()
    monkeypatch.setattr(
        trial_of_kinds, "_proc", lambda found: (seen.append(planted.is_let_go_on), real(found))[1]
    )
    found = trial_of_kinds._tried("decoder", planted)
    assert seen == [False]
    assert found.attempts == {"unshare": "allowed", "exec": "denied"}


LACKING = """
import os, sys
from workers.process import confinement
confinement.missing = lambda: ["landlock", "landlock_network", "landlock_scope", "seccomp", "own_uid"]
confined = confinement.Confinement(confinement.Profile(uid=64001, cpu_s=9, wall_s=9, memory_bytes=1 << 28))
confined.of_server(["/usr"])
confined.of_child()
os._exit(0 if os.getuid() == int(sys.argv[1]) else 1)
"""


def test_a_machine_that_lacks_everything_confines_by_the_rest() -> None:
    done = subprocess.run([sys.executable, "-c", LACKING, str(os.getuid())], cwd=HOUSE, check=False)
    assert done.returncode == 0


@needs_root
def test_data_that_the_childs_user_cannot_read_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = find_spec("espeakng_loader")
    assert spec
    assert spec.origin
    shutil.copytree(Path(spec.origin).parent, tmp_path / "espeakng_loader")
    for path in tmp_path.rglob("*"):
        path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConnectionError):
        EspeakEngine()
    assert "chmod -R o+rX" in capfd.readouterr().err
