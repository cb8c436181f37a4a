"""`codevoice worker`: one process per device; whatever happens to one, no job is lost and no try is used."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

import asyncpg
import pytest

from db.postgres.pool import Pool
from db.settings import SettingsError
from db.types import SpeechParams
from ops.stack.workers import WorkerSlot, worker_slots
from tests.records import Submit, Wallet, new_job, submit, wallet
from tests.workers import scripted
from workers.process.licence import NON_COMMERCIAL

__all__ = ["submit", "wallet"]

CODEVOICE = str(Path(sys.executable).with_name("codevoice"))
LOOPBACK = Path(__file__).parents[2] / "loopback"
AGREED = {"COQUI_TOS_AGREED": "1", "CODEVOICE_XTTS_LICENCE": NON_COMMERCIAL}


class Crew:
    """A running `codevoice worker` with a scripted engine."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        command = [CODEVOICE, "worker", "--engines", scripted.NAME]
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)

    def processes(self) -> dict[int, str]:
        """Every worker process so far: what it saw of CUDA, and whether torch was loaded before."""
        return {int(file.name[8:]): file.read_text() for file in self.folder.glob("process-*")}

    def running(self) -> list[int]:
        return [pid for pid in self.processes() if Path(f"/proc/{pid}").exists()]


Start = Callable[..., Crew]


@pytest.fixture
def start(database: tuple[str, str], redis_url: str, tmp_path: Path) -> Generator[Start]:
    """Starts a crew on the test's own database; drained at the end, having reached nothing but loopback."""
    crews: list[Crew] = []
    (tmp_path / "script").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database[1],
        "REDIS_URL": redis_url,
        "CODEVOICE_OBJECTS": (tmp_path / "objects").as_uri(),
        "CODEVOICE_LEASE_S": "2",
        "CODEVOICE_SWEEP_S": "0.1",
        "SCRIPTED_FOLDER": str(tmp_path / "script"),
        "PYTHONPATH": str(LOOPBACK),
        "LOOPBACK_ATTEMPTS": str(tmp_path / "attempts"),
    }

    def one(**more: str) -> Crew:
        crews.append(Crew(tmp_path / "script", environ | more))
        return crews[-1]

    yield one
    for crew in crews:
        crew.process.terminate()
        print(crew.process.communicate(timeout=20)[1])  # printed if a test fails
    assert not (tmp_path / "attempts").exists()


async def true(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def counted(pool: Pool, wanted: int, *states: str) -> None:
    """Returns when `wanted` jobs are in one of `states`."""
    async with asyncio.timeout(30):
        while await pool.fetchval("SELECT count(*) FROM cv.job WHERE state = ANY($1)", states) < wanted:
            await asyncio.sleep(0.02)


async def tries(pool: Pool) -> list[tuple[int, int]]:
    """(attempt, tries) of every job."""
    rows: list[asyncpg.Record] = await pool.fetch("SELECT attempt, tries FROM cv.job ORDER BY created_at, id")
    return [(row["attempt"], row["tries"]) for row in rows]


async def spent(pool: Pool, owner: uuid.UUID) -> tuple[int, int]:
    assert await pool.fetch("SELECT * FROM cv.recon") == []
    row = await pool.fetchrow("SELECT spent / 1000000, held FROM cv.balance WHERE owner = $1", owner)
    return tuple(row)


def ordered(owner: uuid.UUID, *texts: str) -> list[object]:
    said = [SpeechParams(text=text, voice="ryan", language="en-US") for text in texts]
    return [new_job(owner, params=params) for params in said]


async def test_two_devices_give_two_processes_that_see_one_each(start: Start) -> None:
    crew = start(CODEVOICE_DEVICES="cuda:0,cuda:1")
    await true(lambda: sorted(crew.processes().values()) == ["0 False", "1 False"])
    given = [Path(f"/proc/{pid}/environ").read_bytes() for pid in crew.processes()]
    assert sorted(b"CUDA_VISIBLE_DEVICES=1\0" in text for text in given) == [False, True]


async def test_a_lost_device_loses_no_job_and_uses_no_try(
    start: Start, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    await submit(*ordered(owner, "wait", "wait", "lose"))
    crew = start(CODEVOICE_DEVICES="cuda:0")
    await true(lambda: len(crew.processes()) == 2)
    (crew.folder / "go").touch()
    await counted(pool, 3, "completed")
    assert await tries(pool) == [(2, 1)] * 3
    assert await spent(pool, owner) == (3, 0)


async def test_kill_9_in_mid_batch_loses_nothing(
    start: Start, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    await submit(*ordered(owner, "wait", "wait", "wait"))
    crew = start(CODEVOICE_DEVICES="cuda:0")
    await counted(pool, 3, "processing")
    [first] = crew.processes()
    os.kill(first, signal.SIGKILL)
    (crew.folder / "go").touch()
    await counted(pool, 3, "completed")
    assert crew.running() != [first]
    assert await tries(pool) == [(2, 2)] * 3
    assert await spent(pool, owner) == (3, 0)


async def test_a_process_that_has_grown_is_replaced_once_its_jobs_have_ended(
    start: Start, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    crew = start(CODEVOICE_DEVICES="cuda:0", CODEVOICE_WORKER_MEMORY_MAX_MB="300")
    await submit(*ordered(owner, "wait", "grow"))
    await counted(pool, 1, "completed")
    await submit(*ordered(owner, "say"))  # left for the next process
    (crew.folder / "go").touch()
    await counted(pool, 3, "completed")
    await true(lambda: len(crew.processes()) == 2)
    assert await tries(pool) == [(1, 1)] * 3
    assert await spent(pool, owner) == (3, 0)


async def test_renewed_workers_finish_their_jobs_first_one_device_after_the_other(
    start: Start, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    await submit(*ordered(owner, "wait", "wait"))
    crew = start(CODEVOICE_DEVICES="cuda:0,cuda:1")
    await true(lambda: len(crew.running()) == 2)
    await counted(pool, 2, "processing")
    crew.process.send_signal(signal.SIGUSR1)
    await submit(*ordered(owner, "say"))  # the process that is not renewed yet serves it
    await counted(pool, 1, "completed")
    assert len(crew.processes()) <= 3
    (crew.folder / "go").touch()
    await counted(pool, 3, "completed")
    await true(lambda: len(crew.processes()) == 4)
    await true(lambda: len(crew.running()) == 2)
    assert await tries(pool) == [(1, 1)] * 3
    assert await spent(pool, owner) == (3, 0)


async def test_term_drains_and_leaves_no_process(
    start: Start, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    await submit(*ordered(await wallet(), "wait"))
    crew = start(CODEVOICE_DEVICES="cuda:0,cuda:1")
    await true(lambda: len(crew.running()) == 2)
    await counted(pool, 1, "processing")
    crew.process.terminate()
    await true(lambda: len(crew.running()) == 1)  # the idle one has gone already
    (crew.folder / "go").touch()
    _, said = await asyncio.to_thread(crew.process.communicate, timeout=20)
    assert (crew.process.returncode, crew.running()) == (0, [])
    assert "draining" in said
    assert await tries(pool) == [(1, 1)]
    await counted(pool, 1, "completed")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"CODEVOICE_ENGINES": "xtts"}, "NON-COMMERCIAL"),
        ({"CODEVOICE_ENGINES": "xtts", "COQUI_TOS_AGREED": "1"}, "set COQUI_TOS_AGREED=1 and"),
        ({"CODEVOICE_ENGINES": "tin-can"}, "no engine tin-can"),
        ({"CODEVOICE_ENGINES": "espeak,espeak"}, "name each engine once"),
        ({"CODEVOICE_ENGINES": scripted.NAME, "CODEVOICE_DEVICES": "gpu"}, "`cpu` or `cuda:N`, not `gpu`"),
        ({"CODEVOICE_ENGINES": scripted.NAME, "CODEVOICE_WORKER_MEMORY_MAX_MB": "9"}, "before the first job"),
    ],
)
def test_a_worker_that_cannot_run_reports_the_reason_and_is_not_restarted(
    given: dict[str, str], why: str, tmp_path: Path
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CODEVOICE_OBJECTS": tmp_path.as_uri(),
        "SCRIPTED_FOLDER": str(tmp_path),
    }
    command = [CODEVOICE, "worker"]
    done = subprocess.run(
        command, env=environ | given, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert done.stderr.count("starting it again") == 0


def test_every_visible_device_gets_a_worker_and_espeak_none() -> None:
    visible = {"CUDA_VISIBLE_DEVICES": "GPU-5ea1,3,-1,4"}
    assert worker_slots("xtts,espeak", "", visible) == [
        WorkerSlot("xtts", "cuda:0", "GPU-5ea1"),
        WorkerSlot("xtts", "cuda:1", "3"),
        WorkerSlot("espeak", "cpu", ""),
    ]
    assert worker_slots("xtts", "cuda:1", visible) == [WorkerSlot("xtts", "cuda:1", "3")]
    assert worker_slots("xtts", "", {"CUDA_VISIBLE_DEVICES": ""}) == [WorkerSlot("xtts", "cpu", "")]
    with pytest.raises(SettingsError, match="no cuda:2 among CUDA_VISIBLE_DEVICES=GPU-5ea1,3,-1,4"):
        worker_slots("xtts", "cuda:2", visible)


def test_engines_that_cannot_use_all_cores_get_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(32)))
    found = worker_slots("espeak,whisper,hibari", "cpu", {})
    assert [post.name for post in found] == [
        "worker-espeak-cpu",
        "worker-espeak-cpu-2",
        *("worker-whisper-cpu", "worker-whisper-cpu-2", "worker-whisper-cpu-3", "worker-whisper-cpu-4"),
        "worker-hibari-cpu",
    ]
