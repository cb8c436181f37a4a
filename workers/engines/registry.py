"""The engines by name, and how each is loaded: its libraries are imported only then."""

from collections.abc import Callable
from importlib import import_module

from db.settings import SettingsError
from workers.engines.protocol import Engine
from workers.engines.transcriber import Transcriber
from workers.settings import WorkerSettings

CPU_ONLY = frozenset({"espeak", "hibari", "pocketsphinx"})  # engines that a GPU does not speed up
LOADED_LATER = frozenset({"kokoro"})  # engines that load their model at first use: not warmed up


def speaks(name: str) -> bool:
    """Whether this is the name of a speech engine."""
    return name in _LOADERS or ":" in name


def load(name: str) -> Engine:
    """Build the named engine, or call the `module:function` given as its name; imports its libraries only
    here.

    Raises SettingsError if no such engine exists or something it needs is missing.
    """
    module, _, function = name.partition(":")
    if function:
        return getattr(import_module(module), function)()
    if name not in _LOADERS:
        raise SettingsError(f"CODEVOICE_ENGINE: no engine {name}; there are {', '.join(sorted(_LOADERS))}")
    return _LOADERS[name]()


def _espeak() -> Engine:
    from workers.engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def _hibari() -> Engine:
    from workers.engines.hibari.engine import from_environment

    return from_environment()


def _kokoro() -> Engine:
    from workers.engines.kokoro.engine import from_environment

    return from_environment()


def _xtts() -> Engine:
    from workers.engines.xtts.engine import from_environment

    return from_environment()


_LOADERS: dict[str, Callable[[], Engine]] = {
    "espeak": _espeak,
    "hibari": _hibari,
    "kokoro": _kokoro,
    "xtts": _xtts,
}


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
