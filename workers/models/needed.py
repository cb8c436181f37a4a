"""Which models an engine needs before it can load."""

import os
from collections.abc import Mapping
from pathlib import Path

from workers.models.catalogue import catalogue
from workers.settings import WorkerSettings

WHISPER = "whisper-base"  # unless CODEVOICE_WHISPER_MODEL is set
NEEDED: Mapping[str, tuple[str, ...]] = {
    "hibari": ("hibari",),
    "kokoro": ("kokoro", "hibari"),  # English is pronounced by hibari's code
}


def needed(settings: WorkerSettings) -> tuple[str, ...]:
    """The catalogue names of the models that the settings' engine loads from the models folder."""
    return _whisper(settings) if settings.engine == "whisper" else NEEDED.get(settings.engine, ())


def _whisper(settings: WorkerSettings) -> tuple[str, ...]:
    """Empty if it is a folder of the operator's own, or may be downloaded elsewhere."""
    chosen = settings.whisper_model or WHISPER
    if settings.whisper_download or is_folder(chosen):
        return ()
    return tuple(name for name in (chosen, f"whisper-{chosen}") if name in catalogue())[:1]


def is_folder(chosen: str) -> bool:
    """Whether a setting names a folder rather than a model: a bare name never does."""
    return os.sep in chosen and Path(chosen).is_dir()
