"""A worker: everything that runs beside its engine, built once, started and stopped in order."""

import os
import secrets
import socket
import threading
from functools import partial

import structlog

from db.redis import live_audio
from db.settings import DbSettings
from db.storage.disk import floor_of
from db.storage.objects import open_store
from workers import metrics
from workers.engines.protocol import Engine
from workers.engines.transcriber import Transcriber
from workers.jobs import actors, broker
from workers.jobs.connection import WorkerLink
from workers.jobs.control_channel import ControlChannel
from workers.jobs.lease_renewer import LeaseRenewer
from workers.jobs.maintenance import Maintenance
from workers.jobs.orphaned_audio import OrphanedAudio
from workers.jobs.runner import Runner
from workers.pipelines.factory import open_pipeline
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.settings import WorkerSettings

log = structlog.get_logger()


class Worker:
    """Claims and runs jobs of one engine on one device."""

    def __init__(self, engine: Engine | Transcriber, settings: WorkerSettings, places: DbSettings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        links = partial(WorkerLink, places.database_url)
        store = open_store(places.objects, floor=floor_of(places))
        self._publisher = LiveAudioPublisher(
            live_audio.connect(places.redis_url),
            keep_s=settings.live_keep_s,
            audio_bytes_max=settings.live_bytes_max,
        )
        self._pipeline = open_pipeline(engine, store, settings, self._publisher)
        self.runner = Runner(self._pipeline, store, settings, links, self._name, self._publisher)
        self._maintenance = Maintenance(
            self.runner, self._pipeline, store, settings, links("timer"), self._name, self._publisher
        )
        self._control = ControlChannel(live_audio.connect(places.redis_url), self.runner.rows)
        self._lease_renewer = LeaseRenewer(
            self.runner.rows, links("keeper"), worker=self._name, lease_s=settings.lease_s
        )
        self._orphans = OrphanedAudio(store, links("orphans"), settings)
        wakeups = broker.broker(places.redis_url)
        engine_name = self._pipeline.capabilities.engine
        actors.declare(wakeups, self.runner.claims, engine=engine_name, device=settings.device)
        self._consumer = broker.consumer(wakeups)

    def start(self, to_stop: threading.Event) -> None:
        """Start all threads; `to_stop` is set when the process is to end."""
        self._publisher.start()
        self._maintenance.start(to_stop)
        self._lease_renewer.start()
        self._orphans.start()
        self._control.start()
        if self._settings.wake:
            self._consumer.start()
        known = self._pipeline.capabilities
        metrics.ready(known.engine, known.kind, self._pipeline.slots)
        log.info(
            "worker_ready",
            engine=known.engine,
            device=self._settings.device,
            visible=os.environ["CUDA_VISIBLE_DEVICES"],
            slots=self._pipeline.slots,
            worker=self._name,
        )

    def stop(self, drain_s: float) -> None:
        """Claim no more, let running jobs end within `drain_s`, hand the rest back, stop all threads."""
        self.runner.stop_claiming()
        if self._settings.wake:
            self._consumer.stop(timeout=2000)
        self.runner.stop(drain_s)
        self._orphans.stop()
        self._maintenance.stop()
        self._lease_renewer.stop()
        self._control.stop()
        self._publisher.stop()

    def close(self) -> None:
        """Stop the engine."""
        self._pipeline.close()
