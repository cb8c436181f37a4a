"""Which Whisper model a worker loads, from where, and in which number format it computes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from db.settings import SettingsError
from workers.models.catalogue import catalogue
from workers.models.needed import WHISPER, is_folder, needed
from workers.models.store import ModelError, installed, models_folder, verified
from workers.settings import WorkerSettings

_PREFIX = "whisper-"
_FILES = ("config.json", "model.bin", "tokenizer.json")
_CHOSEN_TYPES = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8_float16", "float32")}
_THREADS_MAX = 4  # more help one window little, and other processes need the processor too


def load(settings: WorkerSettings, environ: Mapping[str, str] = os.environ) -> Any:
    """faster-whisper's model. Raises SettingsError with a message of one line."""
    source = _source(settings, models_folder(environ))
    try:
        from faster_whisper import WhisperModel
    except ModuleNotFoundError:
        raise SettingsError("CODEVOICE_ENGINE: whisper needs codevoice[whisper]") from None
    device = "cpu" if settings.device == "cpu" else "cuda"
    try:
        return WhisperModel(
            str(source),
            device=device,
            compute_type=_compute_type(settings.whisper_compute_type, device),
            cpu_threads=settings.whisper_threads or min(_THREADS_MAX, len(os.sched_getaffinity(0))),
            local_files_only=not settings.whisper_download,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"CODEVOICE_WHISPER_MODEL: the model does not load: {reason}") from error


def _source(settings: WorkerSettings, models: Path) -> Path | str:
    """The model's folder; or its name if it may be downloaded."""
    name, chosen = next(iter(needed(settings)), None), settings.whisper_model or WHISPER
    if name is None and is_folder(chosen):
        return _complete(Path(chosen))
    if name is not None and (installed(name, models) or not settings.whisper_download):
        try:
            return _complete(verified(name, models))
        except ModelError as error:
            raise SettingsError(f"CODEVOICE_WHISPER_MODEL: {error}") from None
    if settings.whisper_download:
        return (name or chosen).removeprefix(_PREFIX)
    known = ", ".join(name for name in catalogue() if name.startswith(_PREFIX))
    raise SettingsError(
        f"CODEVOICE_WHISPER_MODEL: there is no folder {chosen}, and the catalogue knows {known};"
        " CODEVOICE_WHISPER_DOWNLOAD=true would look for a model of that name"
    )


def _complete(folder: Path) -> Path:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if not missing and not any(folder.glob("vocabulary.*")):
        missing = ["vocabulary.json"]
    if missing:
        raise SettingsError(f"CODEVOICE_WHISPER_MODEL: {folder} has no {missing[0]}")
    return folder


def _compute_type(chosen: str, device: str) -> str:
    """Without a setting: the fastest of the types whose accuracy is as good to a human reader."""
    import ctranslate2

    if device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise SettingsError("CODEVOICE_DEVICE: CTranslate2 sees no GPU; cpu would do")
    supported = ctranslate2.get_supported_compute_types(device)
    wanted = _CHOSEN_TYPES[device] if chosen in ("", "auto", "default") else (chosen,)
    for name in wanted:
        if name in supported:
            return name
    known = ", ".join(sorted(supported))
    raise SettingsError(f"CODEVOICE_WHISPER_COMPUTE_TYPE: {device} has {known}, not {wanted[0]}")
