"""What coqui-tts needs of torchaudio: the real one if it loads, else stand-ins for the few parts it uses.

PyPI's torchaudio and torchcodec do not load beside a torch without CUDA. XTTS only needs a mel spectrogram, a
resampler and a reader of files from them.
"""

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy
import torch
from torch import Tensor


def install() -> bool:
    """To be called before `TTS` is imported. True if stand-ins replaced the real modules."""
    replaced = False
    for name, stand_in in (("torchaudio", _torchaudio), ("torchcodec", _torchcodec)):
        if not _loads(name):
            for part in [known for known in sys.modules if known.partition(".")[0] == name]:
                del sys.modules[part]  # what a failed import left
            sys.modules.update(stand_in())
            replaced = True
    return replaced


def _loads(name: str) -> bool:
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):  # absent; a library it needs is absent; no FFmpeg
        return False
    return True


def _torchaudio() -> dict[str, ModuleType]:
    root, transforms = _module("torchaudio"), _module("torchaudio.transforms")
    functional = _module("torchaudio.functional")
    for where, what in (
        (root, {"transforms": transforms, "functional": functional, "load": load}),
        (transforms, {"MelSpectrogram": MelSpectrogram}),
        (functional, {"resample": resample}),
    ):
        where.__dict__.update(what)
    return {module.__name__: module for module in (root, transforms, functional)}


def _torchcodec() -> dict[str, ModuleType]:
    return {"torchcodec": _module("torchcodec")}  # only looked up


def _module(name: str) -> ModuleType:
    module = ModuleType(name, "A stand-in: see workers/xtts/audio.py.")
    module.__spec__ = ModuleSpec(name, None, is_package="." not in name)
    module.__dict__.update(__path__=[], __version__="0+codevoice")
    return module


class MelSpectrogram(torch.nn.Module):
    """torchaudio's, for the arguments XTTS passes; its buffers have the same names, for the state dict."""

    def __init__(
        self,
        sample_rate: int = 16_000,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        f_min: float = 0.0,
        f_max: float | None = None,
        n_mels: int = 128,
        window_fn: Callable[[int], Tensor] = torch.hann_window,
        power: float = 2.0,
        normalized: bool = False,
        norm: str | None = None,
        mel_scale: str = "htk",
    ) -> None:
        super().__init__()
        import librosa

        window = window_fn(win_length or n_fft)
        self.spectrogram = _Spectrogram(window, n_fft, hop_length or len(window) // 2, power, normalized)
        bank = librosa.filters.mel(
            sr=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=f_min,
            fmax=f_max or sample_rate / 2,
            htk=mel_scale == "htk",
            norm=norm,  # pyright: ignore[reportArgumentType]
        )
        self.mel_scale = _Bank(torch.from_numpy(bank.T.copy()))

    def forward(self, wave: Tensor) -> Tensor:
        return self.mel_scale(self.spectrogram(wave))


class _Spectrogram(torch.nn.Module):
    window: Tensor

    def __init__(self, window: Tensor, n_fft: int, hop: int, power: float, normalized: bool) -> None:
        super().__init__()
        self.register_buffer("window", window)
        self._n_fft, self._hop, self._power, self._normalized = n_fft, hop, power, normalized

    def forward(self, wave: Tensor) -> Tensor:
        flat = wave.reshape(-1, wave.shape[-1])
        spectrum = torch.stft(
            flat,
            self._n_fft,
            self._hop,
            len(self.window),
            self.window,
            pad_mode="reflect",
            return_complex=True,
        )
        if self._normalized:
            spectrum = spectrum / self.window.pow(2).sum().sqrt()
        return spectrum.abs().pow(self._power).reshape(*wave.shape[:-1], *spectrum.shape[-2:])


class _Bank(torch.nn.Module):
    fb: Tensor

    def __init__(self, bank: Tensor) -> None:
        super().__init__()
        self.register_buffer("fb", bank)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return (spectrogram.transpose(-1, -2) @ self.fb).transpose(-1, -2)


def resample(wave: Tensor, orig_freq: int, new_freq: int) -> Tensor:
    """`wave` […, samples] at another rate."""
    if orig_freq == new_freq:
        return wave
    import soxr

    flat = wave.detach().cpu().reshape(-1, wave.shape[-1]).numpy()
    rows = numpy.stack([soxr.resample(row, orig_freq, new_freq) for row in flat])
    return torch.from_numpy(rows).reshape(*wave.shape[:-1], -1).to(wave)


def load(path: Any, normalize: bool = True) -> tuple[Tensor, int]:
    """([channels, samples] between -1 and 1, rate) of a file libsndfile reads."""
    import soundfile

    assert normalize
    samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate
