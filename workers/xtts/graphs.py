"""A decoding step as CUDA graphs: one for each number of rows and of slots, all made at the start."""

from collections.abc import Callable

import torch

ROWS = (1, 2, 4, 8, 16, 32)
SPANS = (256, 512, 768)  # and all of them


class Graphs:
    """Replays `run(rows, span)`, which must change nothing but tensors that stay where they are."""

    def __init__(self, run: Callable[[int, int], None], rows_max: int, slots: int) -> None:
        self._rows = [*(rows for rows in ROWS if rows < rows_max), rows_max]
        self._spans = [*(span for span in SPANS if span < slots), slots]
        self._pool = torch.cuda.graph_pool_handle()
        # The largest first: the others then find its memory in the pool.
        self._graphs = {
            (rows, span): self._capture(run, rows, span)
            for rows in reversed(self._rows)
            for span in reversed(self._spans)
        }

    def run(self, rows: int, span: int) -> None:
        """The step of the first `rows` rows, which attend to no more than `span` slots."""
        self._graphs[_least(self._rows, rows), _least(self._spans, span)].replay()

    def _capture(self, run: Callable[[int, int], None], rows: int, span: int) -> torch.cuda.CUDAGraph:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):  # kernels are chosen, workspaces made
                run(rows, span)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            run(rows, span)
        return graph


def _least(choices: list[int], wanted: int) -> int:
    return next(choice for choice in choices if choice >= wanted)
