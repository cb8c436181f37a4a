"""The number of API processes, and the settings of each."""

from pathlib import Path

import pytest

from ops.processes.listener import Listener
from ops.stack import api_processes

LISTENER = Listener(fd=7, url="http://127.0.0.1:1")
DATABASE = {"DATABASE_URL": "postgresql://-", "REDIS_URL": "redis://-", "CODEVOICE_OBJECTS": "file:///-"}


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (64, 8)])
def test_one_api_process_runs_for_every_two_cores(
    cores: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert api_processes.default_count() == count


def programs(count: int, **environ: str) -> dict[str, dict[str, str]]:
    logs = {name: Path(name) for name in api_processes.names(count)}
    made = api_processes.programs(count, environ, LISTENER, logs, wave=0)
    return {program.name: dict(program.env) for program in made}


def test_api_processes_share_a_socket_and_the_threads_for_passwords() -> None:
    shown = programs(2)
    assert shown["api"] == shown["api-2"]
    assert shown["api"] == {
        "CODEVOICE_LISTEN_FD": "7",
        "CODEVOICE_PASSWORD_THREADS": "1",
        "CODEVOICE_PASSWORD_WAITING_MAX": "16",
    }


def test_an_operators_settings_apply_to_each_process() -> None:
    assert programs(3, CODEVOICE_PASSWORD_THREADS="5")["api-3"]["CODEVOICE_PASSWORD_THREADS"] == "5"


def test_the_database_has_connections_for_all_processes_and_their_successors() -> None:
    assert api_processes.connections(1, DATABASE) == 2 * (16 + 13)
    assert api_processes.connections(3, {**DATABASE, "CODEVOICE_POOL_CONNECTIONS": "10"}) == 2 * 3 * 23
