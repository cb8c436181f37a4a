"""What stands for CUDA graphs on a CPU: it records the operations of some work, and replays those alone.

A replay, like a CUDA graph's, runs none of the work's Python: numbers that Python knew are those of the
recording, and every operation reads and writes the memory it had then.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workers.xtts.graphs import Work

_Operation = tuple[Any, Sequence[Any], dict[str, Any], list[Tensor]]  # what, of what, and its results


class Recorder:
    """A `Capture`. `recorded` and `replayed` count each piece of work, in the order of recording."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed: list[int] = []

    def __call__(self, work: Work) -> Work:
        tape, number = _Tape(), self.recorded
        with tape:
            work()
        self.recorded += 1

        def replay() -> None:
            self.replayed.append(number)
            tape.replay()

        return replay


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._operations: list[_Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert "_local_scalar_dense" not in str(func), "a value was read while recording"
        out = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, tensors(out)))
        return out

    def replay(self) -> None:
        for func, args, kwargs, results in self._operations:
            for new, kept in zip(tensors(func(*args, **kwargs)), results, strict=True):
                if new.data_ptr() != kept.data_ptr():  # else a view, or changed in place
                    kept.copy_(new)


def tensors(values: object) -> list[Tensor]:
    """All tensors in them."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
