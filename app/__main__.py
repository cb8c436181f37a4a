"""`python -m app`: the API server as a process.

TERM and INT drain it for at most CODEVOICE_API_DRAIN_S, then end it. USR1 lets requests under way finish
first, for use when another process serves already.
"""

import gc
import os
import signal
import socket
import sys
from types import FrameType

import structlog
import uvicorn

from app.application import create_app
from app.http.connection.protocol import protocol
from app.http.server import SHUTDOWN_S, Server
from app.settings import AppSettings, read_settings
from db.logging import configure
from db.metrics import MetricsSettings, serve
from db.settings import DbSettings, SettingsError, read
from db.storage.objects import StoreError

_KEEP_ALIVE_S = 30
_GC_OBJECTS = 10_000  # net allocations before a collection: requests under way are not garbage


def main() -> None:
    """Serve until a signal stops the process."""
    try:
        settings, metrics = read_settings(os.environ), read(MetricsSettings, os.environ)
        app = create_app(settings, read(DbSettings, os.environ))
    except (SettingsError, StoreError) as error:
        sys.exit(f"codevoice: {error}")
    configure(settings.log_level)
    _serve_metrics(metrics)
    gc.set_threshold(_GC_OBJECTS)
    gc.freeze()  # these objects live as long as the process: collections need not scan them
    listening = _listen(settings)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
        http=protocol(
            head_bytes_max=settings.header_bytes_max,
            head_wait_s=settings.header_wait_s,
            body_wait_s=settings.body_wait_s,
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    server = Server(config, drain_s=settings.api_drain_s, end_waits=app.drain, ready_fd=settings.ready_fd)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once it has shut down
        signal.signal(number, _end)
    signal.signal(signal.SIGUSR1, server.drain_for_successor)
    host, port = listening.getsockname()[:2]
    structlog.get_logger().info("listening", host=host, port=port)
    server.run(sockets=[listening])


def _serve_metrics(settings: MetricsSettings) -> None:
    try:
        serve(settings)
    except OSError as error:
        at = f"{settings.metrics_host}:{settings.metrics_port}"
        sys.exit(f"codevoice: cannot show metrics on {at}: {error.strerror}")


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(settings: AppSettings) -> socket.socket:
    if settings.listen_fd is not None:
        return socket.socket(fileno=settings.listen_fd)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        sys.exit(f"codevoice: cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    return listening


if __name__ == "__main__":
    main()
