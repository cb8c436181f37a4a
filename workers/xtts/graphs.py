"""A decoding step as CUDA graphs: one for each number of rows and of slots, all captured at the start."""

from collections.abc import Callable
from typing import Protocol

import torch

ROWS = (1, 2, 4, 8, 16, 32)
SPANS = (256, 512, 768)  # and the whole cache
Work = Callable[[], None]


class Capture(Protocol):
    """Runs work once and returns a replay of it: the same operations on the same tensors, without Python."""

    def __call__(self, work: Work) -> Work: ...


class Graphs:
    """Replays `run(rows, span)`, which may change only tensors at fixed addresses."""

    def __init__(self, run: Callable[[int, int], None], rows_max: int, slots: int, capture: Capture) -> None:
        self._rows = [*(rows for rows in ROWS if rows < rows_max), rows_max]
        self._spans = [*(span for span in SPANS if span < slots), slots]
        # The largest first: the others then find its memory in the pool.
        self._graphs = {
            (rows, span): capture(lambda rows=rows, span=span: run(rows, span))
            for rows in reversed(self._rows)
            for span in reversed(self._spans)
        }

    def run(self, rows: int, span: int) -> None:
        """The step of the first `rows` rows, which attend to no more than `span` slots."""
        self._graphs[_least(self._rows, rows), _least(self._spans, span)]()


class CudaCapture:
    """Captures CUDA graphs that share their memory: they are replayed one after the other."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):  # choose kernels, allocate workspaces
                work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            work()
        return graph.replay


def _least(choices: list[int], wanted: int) -> int:
    return next(choice for choice in choices if choice >= wanted)
