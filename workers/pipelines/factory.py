"""Chooses the pipeline for an engine."""

from db.storage.objects import Objects
from workers.audio import encoder
from workers.engines.protocol import Engine
from workers.engines.transcriber import Transcriber
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import Pipeline
from workers.pipelines.synthesis import SynthesisPipeline
from workers.pipelines.transcription import TranscriptionPipeline
from workers.settings import WorkerSettings


def open_pipeline(
    engine: Engine | Transcriber,
    store: Objects,
    settings: WorkerSettings,
    publisher: LiveAudioPublisher,
) -> Pipeline:
    """The pipeline for the engine's kind of jobs."""

    if isinstance(engine, Transcriber):
        return TranscriptionPipeline(engine, store, settings)
    encoder.warm_up()
    return SynthesisPipeline(engine, store, settings, publisher)
