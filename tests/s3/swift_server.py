"""OpenStack Swift with its S3 API, in one process: `python swift_server.py FOLDER PORT`. Prints `ready`.

Run as a separate process: it uses eventlet, which patches the whole interpreter.
"""

import eventlet

eventlet.monkey_patch()

import logging  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from socket import socket  # noqa: E402

import swift.common.storage_policy  # noqa: E402
import swift.common.utils  # noqa: E402
from eventlet import wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

PARTS = ("account", "container", "object")
FILTERS = {
    "catch_errors": "",
    "gatekeeper": "",
    "cache": "memcache_servers=127.0.0.1:1",  # no server there; Swift works without
    "listing_formats": "",
    "bulk": "",
    "s3api": "location=us-east-1\ns3_acl=false\nallow_multipart_uploads=true\nmin_segment_size=5242880",
    "tempauth": "user_test_tester=testing .admin",
    "copy": "",
    "slo": "",
    "dlo": "",
}
FACTORIES = {"cache": "memcache"}


def serve(folder: Path, port: int) -> None:
    """Serve S3 on that port, for key `test:tester` and secret `testing`, until killed."""
    _prepare(folder)
    sockets = {part: eventlet.listen(("127.0.0.1", 0)) for part in PARTS}
    for part, listening in sockets.items():
        _ring(folder, part, listening.getsockname()[1])
        (folder / f"{part}.conf").write_text(_part(folder, part))
    (folder / "proxy.conf").write_text(_proxy(folder))
    sockets["proxy"] = eventlet.listen(("127.0.0.1", port))
    servers = [eventlet.spawn(_run, folder, name, listening) for name, listening in sockets.items()]
    print("ready", flush=True)
    for server in servers:
        server.wait()


def _prepare(folder: Path) -> None:
    (folder / "srv" / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir(exist_ok=True)
    policy = "[storage-policy:0]\nname=one\ndefault=yes\n"
    (folder / "swift.conf").write_text(f"[swift-hash]\nswift_hash_path_suffix=test\n{policy}")
    swift.common.utils.set_swift_dir(str(folder))
    swift.common.storage_policy.reload_storage_policies()


def _ring(folder: Path, part: str, port: int) -> None:
    """A ring of one disk, on one server."""
    builder = RingBuilder(1, 1, 0)
    place = {
        "region": 1,
        "zone": 1,
        "ip": "127.0.0.1",
        "port": port,
        "device": "disk",
        "weight": 1.0,
        "id": 0,
    }
    builder.add_dev(place)
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{part}.ring.gz"))


def _common(folder: Path) -> str:
    return (
        f"[DEFAULT]\nswift_dir={folder}\ndevices={folder}/srv\nmount_check=false\n"
        "disable_fallocate=true\nlog_level=ERROR\n"
    )


def _part(folder: Path, part: str) -> str:
    app = f"[app:{part}-server]\nuse=egg:swift#{part}\nrecon_cache_path={folder}/cache\n"
    return f"{_common(folder)}[pipeline:main]\npipeline={part}-server\n{app}"


def _proxy(folder: Path) -> str:
    pipeline = f"[pipeline:main]\npipeline={' '.join(FILTERS)} proxy-server\n"
    app = "[app:proxy-server]\nuse=egg:swift#proxy\nallow_account_management=true\naccount_autocreate=true\n"
    filters = [f"[filter:{n}]\nuse=egg:swift#{FACTORIES.get(n, n)}\n{more}\n" for n, more in FILTERS.items()]
    return _common(folder) + pipeline + app + "".join(filters)


def _run(folder: Path, name: str, listening: socket) -> None:
    silent = logging.getLogger("silent")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    app = loadapp(str(folder / f"{name}.conf"), global_conf={"log_name": name})
    wsgi.server(listening, app, silent, protocol=SwiftHttpProtocol, log_output=False)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
