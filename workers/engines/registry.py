"""The engines by name, and how each is loaded: its libraries are imported only then."""

from collections.abc import Callable
from importlib import import_module

from db.settings import SettingsError
from workers.engines.protocol import Engine
from workers.engines.transcriber import Transcriber
from workers.settings import WorkerSettings

CPU_ONLY = frozenset({"espeak", "hibari", "pocketsphinx"})  # engines that a GPU does not speed up
LOADED_LATER = frozenset({"kokoro"})  # engines that load their model at first use: not warmed up


_LOADERS = {
    "espeak": "workers.engines.espeak.engine:EspeakEngine",
    "hibari": "workers.engines.hibari.engine:from_environment",
    "kokoro": "workers.engines.kokoro.engine:from_environment",
    "xtts": "workers.engines.xtts.engine:from_environment",
}


def speaks(name: str) -> bool:
    """Whether this is the name of a speech engine."""
    return name in _LOADERS or ":" in name


def load(name: str) -> Engine:
    """Build the named engine, or call the `module:function` given as its name; imports its libraries only
    here.

    Raises SettingsError if no such engine exists or something it needs is missing.
    """
    if not speaks(name):
        raise SettingsError(f"CODEVOICE_ENGINE: no engine {name}; there are {', '.join(sorted(_LOADERS))}")
    module, _, function = _LOADERS.get(name, name).partition(":")
    return getattr(import_module(module), function)()


def _pocketsphinx(_settings: WorkerSettings) -> Transcriber:
    from workers.engines.pocketsphinx.engine import PocketsphinxTranscriber

    return PocketsphinxTranscriber()


def _whisper(settings: WorkerSettings) -> Transcriber:
    from workers.engines.whisper.engine import WhisperTranscriber

    return WhisperTranscriber(settings)


TRANSCRIBERS: dict[str, Callable[[WorkerSettings], Transcriber]] = {
    "pocketsphinx": _pocketsphinx,
    "whisper": _whisper,
}
