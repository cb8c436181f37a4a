"""A GPU that computes nothing, for a torch without CUDA: of tensors at `cuda:0` only the shapes are known.

An operation on tensors of the CPU and of the GPU raises, as on a real one. Who waits for a value of the
GPU's on the host is noted.
"""

import ctypes
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from .recorder import tensors

GPU = torch.device("cuda:0")
_VALUES = tuple(
    getattr(torch.ops.aten, name).default for name in ("_local_scalar_dense", "item", "is_nonzero")
)
_CUDA, _META, _KINDS = 1, 14, 20  # c10::DeviceType


class FakeGpu:
    """Code `with` it has this GPU. `waits`: the functions of workers/xtts that waited for it, in order."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._modes = ExitStack()

    def __enter__(self) -> "FakeGpu":
        _guard_nothing()
        for mode in (torch.inference_mode(), self._fake, _Waits(self.waits)):
            self._modes.enter_context(mode)
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.close()

    def known(self, tensor: Tensor) -> Tensor:
        """A real tensor, at the CPU, as one of which only the shape is known."""
        return self._fake.from_tensor(tensor)


class _Waits(TorchDispatchMode):
    """Answers 0 to who asks for a value of the GPU's."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        on_gpu = any(tensor.device == GPU for tensor in tensors(args))
        if func in _VALUES and on_gpu:
            self._waits.append(_caller())
            return 0
        out = func(*args, **(kwargs or {}))
        if on_gpu and any(tensor.device.type == "cpu" for tensor in tensors(out)):
            self._waits.append(_caller())
        return out


def _caller() -> str:
    frame = sys._getframe()
    while frame.f_back and not frame.f_globals["__name__"].startswith("workers.xtts"):
        frame = frame.f_back
    return frame.f_code.co_qualname.partition(".<locals>")[0]


def _guard_nothing() -> None:
    """torch's indexing first makes a tensor's device the current one, by a guard which a build without CUDA
    lacks: let it have that of the device `meta`, which does nothing.
    """
    if torch.backends.cuda.is_built():
        return
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * _KINDS).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    guards[_CUDA] = guards[_META]
