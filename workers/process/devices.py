"""Which device a process sees: set before torch is imported, which reads it only once."""

import os
import re
from collections.abc import Mapping, MutableMapping

from db.settings import SettingsError

CPU = "cpu"


def seen(environ: Mapping[str, str]) -> list[str]:
    """`cuda:0` and so on: as many as CUDA_VISIBLE_DEVICES lists if it is set, else as the driver knows."""
    listed = _listed(environ)
    count = _known_to_the_driver() if listed is None else len(listed)
    return [f"cuda:{n}" for n in range(count)]


def visible(device: str, environ: Mapping[str, str]) -> str:
    """The CUDA_VISIBLE_DEVICES for `device` alone: a number or UUID of CUDA's, none for `cpu`.

    `cuda:N` counts within CUDA_VISIBLE_DEVICES if that is set. Raises SettingsError.
    """
    if device == CPU:
        return ""
    found = re.fullmatch(r"cuda:(\d{1,3})", device)
    if found is None:
        raise SettingsError(f"CODEVOICE_DEVICE: `cpu` or `cuda:N`, not `{device}`")
    number, listed = int(found[1]), _listed(environ)
    if listed is None:
        return str(number)
    if number >= len(listed):
        given = environ["CUDA_VISIBLE_DEVICES"]
        raise SettingsError(f"CODEVOICE_DEVICE: no {device} among CUDA_VISIBLE_DEVICES={given}")
    return listed[number]


def pin(device: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Hide all devices but `device` from this process; numbers are `nvidia-smi`'s. Raises SettingsError."""
    environ["CUDA_VISIBLE_DEVICES"] = visible(device, environ)
    environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def _listed(environ: Mapping[str, str]) -> list[str] | None:
    """The entries of CUDA_VISIBLE_DEVICES as CUDA reads it: up to the first invalid one."""
    given = environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return None
    entries = [entry.strip() for entry in given.split(",")]
    ends = [n for n, entry in enumerate(entries) if entry in ("", "-1")]
    return entries[: ends[0]] if ends else entries


def _known_to_the_driver() -> int:
    import pynvml  # nvidia-ml-py: queries the driver, without torch and without a CUDA context

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return pynvml.nvmlDeviceGetCount()
    finally:
        pynvml.nvmlShutdown()
